//! Where endpoints run and how much they take: from labels, slices and nodes.

use std::sync::Arc;

use super::service_of;
use crate::compile::{affected, compile};
use crate::mesh::fixture::*;
use crate::mesh::{Change, Readiness, SliceEndpoint, Snapshot, Workload};
use crate::resource::{Key, Resource};

const WEB: &str = "default/web";
const ZONE: &str = "topology.kubernetes.io/zone";

fn labelled(mut workload: Workload, key: &str, value: &str) -> Workload {
    workload.labels.insert(key.into(), value.into());
    workload
}

fn node(name: &str, zone: Option<&str>) -> Change {
    Change::Node(name.into(), zone.map(Arc::from))
}

fn endpoints(mesh: &Snapshot) -> Vec<(String, String, u32)> {
    let compiled = compile(mesh, &Key::cluster(&name(WEB))).map(|it| it.resource);
    let Some(Resource::Cluster(cluster)) = compiled else { panic!("{compiled:?}") };
    let each = cluster.endpoints.into_iter();
    each.map(|it| (it.workload.to_string(), it.zone.clone(), it.weight)).collect()
}

fn own_zone(mesh: &Snapshot, proxy: &str) -> String {
    let key = Key::workload(&proxy.parse().expect("a proxy"));
    match compile(mesh, &key).map(|it| it.resource) {
        Some(Resource::Workload(workload)) => workload.zone,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_registered_workload_says_both_by_its_labels() {
    let one = labelled(workload("default/w1", "web", ""), ZONE, "west");
    let one = labelled(one, "meshctl.dev/weight", "7");
    let wrong = labelled(workload("default/w2", "web", ""), "meshctl.dev/weight", "none");
    let mesh = empty().apply(&[came(one), came(wrong)]);
    let expected = [("w1".to_owned(), "west".to_owned(), 7), ("w2".to_owned(), String::new(), 1)];
    assert_eq!(endpoints(&mesh), expected);
    assert_eq!(own_zone(&mesh, "default/w1"), "west");
    assert_eq!(service_of(&mesh, &Key::service(&name(WEB))).ports.len(), 1);
}

#[test]
fn of_a_pod_its_own_label_goes_before_its_slice_and_that_before_its_node() {
    let on_node =
        |proxy: &str, last| Workload { node: Some("n1".into()), ..pod(proxy, "web", last) };
    let told = |last: u8, zone: Option<&str>| SliceEndpoint {
        zone: zone.map(Arc::from),
        ..endpoint(Some(&format!("default/web-{last}")), last, Readiness::Ready)
    };
    let told = vec![
        told(1, Some("slice")),
        told(2, Some("slice")),
        told(3, None),
        SliceEndpoint { zone: Some("slice".into()), ..endpoint(None, 9, Readiness::Ready) },
    ];
    let before = empty().apply(&[
        declared(cluster_service(WEB, 1, &[80])),
        came(labelled(on_node("default/web-1", 1), ZONE, "label")),
        came(on_node("default/web-2", 2)),
        came(on_node("default/web-3", 3)),
        sliced(slice("default/web-a", WEB, &[80], told)),
    ]);
    let zones = |mesh: &Snapshot| {
        let each = endpoints(mesh).into_iter();
        each.map(|(workload, zone, _)| format!("{workload} {zone}")).collect::<Vec<_>>()
    };
    let change = [node("n1", Some("node"))];
    let after = before.apply(&change);
    let same = ["ip-10.1.0.9 slice", "web-1 label", "web-2 slice"];
    assert_eq!(zones(&before), [same.as_slice(), &["web-3 "]].concat());
    assert_eq!(zones(&after), [same.as_slice(), &["web-3 node"]].concat());
    assert_eq!(own_zone(&after, "default/web-2"), "node");
    let keys = affected(&before, &after, &change);
    assert!(keys.contains(&Key::cluster(&name(WEB))) && keys.len() == 4, "{keys:?}");
    assert_eq!(zones(&after.apply(&[node("n1", None)])), zones(&before));
}
