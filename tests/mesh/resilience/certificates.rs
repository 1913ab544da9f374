//! Certificates that are renewed while requests go on.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Traffic, with};
use crate::support::{Mesh, Origin, eventually};

/// Serial number by workload.
fn serials(mesh: &Mesh) -> BTreeMap<String, String> {
    let list = mesh.read("/v1/certificates");
    let certificates = list["certificates"].as_array().expect("a list");
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    certificates.iter().map(|it| (text(&it["workload"]), text(&it["serial"]))).collect()
}

fn known(mesh: &Mesh, count: usize) -> BTreeMap<String, String> {
    eventually("the certificates are known", || {
        let serials = serials(mesh);
        (serials.len() == count).then_some(serials)
    })
}

#[test]
fn rotation_on_demand_costs_no_request() {
    let app = Origin::saying("here");
    let mesh = with(&app);
    let mut before = known(&mesh, 2);
    let traffic = Traffic::start(&mesh);
    for _ in 0..5 {
        let (status, answer) = mesh.post("/v1/rotate", &json!({"workloads": []}));
        assert_eq!(status, 200, "{answer}");
        let rotated = answer["workloads"].as_array().expect("a list");
        assert_eq!(rotated.len(), 2, "{answer}");
        for one in rotated {
            assert_eq!(one["error"], "", "{answer}");
            let workload = one["workload"].as_str().expect("a name");
            assert_ne!(one["serial"].as_str(), before.get(workload).map(String::as_str));
        }
        before = eventually("the new ones are in use", || {
            let now = serials(&mesh);
            let changed = now.iter().all(|(name, serial)| before.get(name) != Some(serial));
            changed.then_some(now)
        });
        traffic.goes_on(20);
    }
    traffic.none_failed();
}

#[test]
fn a_short_certificate_is_renewed_in_time_and_costs_no_request() {
    let app = Origin::saying("here");
    let rules = "
apiVersion: meshctl.dev/v1alpha1
kind: MeshConfig
metadata: {name: default}
spec: {certificates: {lifetime: 10s}}
";
    let mesh = Mesh::new().caller("web").service("app", &app).rules(rules).start();
    let before = known(&mesh, 2);
    let traffic = Traffic::start(&mesh);
    // Half of the life is 5 s; before the end of it, 10 s, both must have new ones.
    eventually("both are renewed", || {
        let now = serials(&mesh);
        now.iter().all(|(name, serial)| before.get(name) != Some(serial)).then_some(())
    });
    traffic.goes_on(20);
    traffic.none_failed();
}
