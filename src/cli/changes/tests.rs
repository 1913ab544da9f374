//! One change in every form.

use super::*;
use crate::control::api::shapes::Action;

fn changes(dry_run: bool) -> Changes {
    let route = AppliedObject {
        kind: "HTTPRoute".into(),
        namespace: "default".into(),
        name: "reviews".into(),
        action: Action::Configured,
        generation: 2,
    };
    Changes::done(ApplyResult { revision: 7, objects: vec![route], warnings: vec![] }, dry_run)
}

#[test]
fn a_change_is_a_line_a_name_or_a_document() {
    let render = |changes: &Changes, format| changes.render(format).expect("renders");
    assert_eq!(render(&changes(false), None), "httproute/reviews configured\n");
    assert_eq!(render(&changes(true), None), "httproute/reviews configured (dry run)\n");
    let name = render(&changes(true), Some(ChangeFormat::Name));
    assert_eq!(name, "httproute/reviews\n", "a name is for the next command, without remarks");
    let json: serde_json::Value =
        serde_json::from_str(&render(&changes(false), Some(ChangeFormat::Json))).expect("JSON");
    let expected = serde_json::json!({
        "apiVersion": "meshctl.dev/v1alpha1",
        "kind": "ApplyResult",
        "dryRun": false,
        "revision": 7,
        "objects": [{
            "kind": "HTTPRoute", "namespace": "default", "name": "reviews",
            "action": "configured", "generation": 2,
        }],
        "warnings": [],
    });
    assert_eq!(json, expected);
    let yaml = render(&changes(false), Some(ChangeFormat::Yaml));
    assert_eq!(serde_yaml::from_str::<serde_json::Value>(&yaml).expect("YAML"), expected);
}

#[test]
fn what_nobody_was_asked_about_has_no_revision() {
    let id =
        ObjectId { kind: "Service".into(), namespace: "default".into(), name: "reviews".into() };
    let here = Changes::here([id], "checked", Vec::new());
    let value = serde_json::to_value(&here).expect("JSON");
    assert_eq!((&value["revision"], &value["dryRun"]), (&serde_json::Value::Null, &true.into()));
    assert_eq!(here.render(None).expect("renders"), "service/reviews checked (dry run)\n");
}
