//! What documents would change, where others hold already.

use super::*;
use crate::mesh::fixture::{came, empty, workload};
use crate::rules::from_value;

fn policy(name: &str, idle: &str) -> String {
    format!(
        "apiVersion: meshctl.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{targetRefs: [{{kind: Service, name: web}}], timeouts: {{connect: {idle}}}}}\n"
    )
}

fn options() -> Options {
    Options {
        default_namespace: namespace("shop").expect("valid"),
        unknown_kinds: UnknownKinds::Refuse,
    }
}

fn document(text: String) -> [Document; 1] {
    [Document { source: "rules.yaml".to_owned(), text }]
}

/// The mesh with a policy on top, applied at that moment.
fn with(mesh: &Snapshot, text: String, created_ms: u64) -> Snapshot {
    let (mut parsed, _) = read(&document(text), &options(), mesh).expect("good");
    let it = parsed.objects.pop().expect("one");
    let object = from_value(&it.source, 1, created_ms).expect("readable");
    mesh.apply(&[Change::Object(it.reference, Some(object))])
}

/// What was not applied yet counted as older than all, so that it seemed to win.
#[test]
fn what_an_older_policy_keeps_from_holding_changes_nothing() {
    let mesh = empty().apply(&[came(workload("shop/web-0", "web", ""))]);
    let mesh = with(&mesh, policy("old", "2s"), 1_000);
    let mesh = with(&mesh, policy("young", "3s"), 2_000);
    let change = |text: String| {
        let effects = work_out(&document(text), &options(), Vec::new(), &mesh).expect("good");
        effects.into_iter().map(|it| (it.before, it.after)).collect::<Vec<_>>()
    };
    assert_eq!(change(policy("young", "4s")), [], "the old one holds still");
    assert_eq!(change(policy("another", "4s")), [], "a new one is the youngest");
    assert_eq!(change(policy("old", "4s")), [("2s".to_owned(), "4s".to_owned())]);
}
