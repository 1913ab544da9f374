//! What a revision is called, and the lines in which two documents differ.

use serde_json::{Value, json};

use super::*;

fn object(action: Action, before: Value, after: Value) -> RevisedObject {
    let [kind, namespace, name] = ["HTTPRoute", "default", "a"].map(str::to_owned);
    RevisedObject { kind, namespace, name, action, before, after }
}

fn revision(state: RevisionState, note: &str) -> Revision {
    let object = |action| object(action, Value::Null, Value::Null);
    Revision {
        revision: 7,
        at: Timestamp::UNIX_EPOCH,
        by: "ada (uid 1000)".into(),
        note: note.into(),
        state,
        objects: [Action::Created, Action::Deleted, Action::Created].map(object).into(),
    }
}

#[test]
fn what_a_revision_did_is_counted_and_what_is_not_known_is_said() {
    let said = |state, note: &str| {
        let revisions = vec![revision(state, note)];
        let list = RevisionList { api_version: String::new(), kind: String::new(), revisions };
        let view = list_view(&list);
        view.lines().nth(1).expect("a row").to_owned()
    };
    let kept = said(RevisionState::Kept, "");
    assert!(kept.contains("ada (uid 1000)   2 created, 1 deleted"), "{kept}");
    let back = said(RevisionState::Kept, "rollback to 3");
    assert!(back.contains("rollback to 3: 2 created, 1 deleted"), "{back}");
    assert!(said(RevisionState::Forgotten, "").contains("no longer kept"));
    assert!(said(RevisionState::Damaged, "rollback to 3").contains("damaged"));
}

fn list_view(all: &RevisionList) -> String {
    let view = list(all, Timestamp::UNIX_EPOCH).expect("it is JSON");
    let text = crate::cli::output::render(crate::cli::output::Format::Table, &view, None);
    anstream::adapter::strip_str(&text.expect("a table")).to_string()
}

#[test]
fn lines_that_differ_are_shown_with_few_around_them() {
    let document = |weight: u32| json!({"a": 1, "b": 2, "c": 3, "d": 4, "spec": {"weight": weight}, "t": 1, "u": 2});
    let shown = difference(&object(Action::Configured, document(1), document(2)));
    let shown = anstream::adapter::strip_str(&shown.expect("it is YAML")).to_string();
    assert_eq!(shown, "  d: 4\n  spec:\n-   weight: 1\n+   weight: 2\n  t: 1\n  u: 2\n");
    let gone = difference(&object(Action::Deleted, json!({"a": 1}), Value::Null));
    assert_eq!(anstream::adapter::strip_str(&gone.expect("it is YAML")).to_string(), "- a: 1\n");
}
