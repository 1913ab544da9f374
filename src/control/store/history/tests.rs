//! What is kept of the past, and what is forgotten of it.

use rusqlite::Connection;
use serde_json::json;

use super::*;
use crate::mesh::ObjectKind;

fn reference(name: &str) -> ObjectRef {
    ObjectRef {
        kind: ObjectKind::HttpRoute,
        namespace: "default".parse().expect("valid"),
        name: name.parse().expect("valid"),
    }
}

/// A revision that replaced a document of about `bytes` bytes.
fn entry(revision: u64, bytes: usize) -> Entry {
    let before = Some((json!({"text": "x".repeat(bytes)}), 7));
    let change = |name| Changed {
        reference: reference(name),
        action: Action::Configured,
        before: before.clone(),
    };
    Entry {
        revision,
        actor: "ada".to_owned(),
        at_ms: 1,
        note: String::new(),
        changes: Changes::Kept(vec![change("a")]),
    }
}

/// A history of entries with documents of so many bytes.
fn kept(bytes: impl IntoIterator<Item = usize>) -> Connection {
    let mut connection = Connection::open_in_memory().expect("it is in memory");
    connection.execute_batch(TABLES).expect("they are new");
    let transaction = connection.transaction().expect("nobody else is there");
    for (revision, bytes) in (1..).zip(bytes) {
        save(&transaction, &entry(revision, bytes)).expect("it is new");
    }
    transaction.commit().expect("it is in memory");
    connection
}

#[test]
fn what_was_saved_is_read_again() {
    let connection = kept([10]);
    assert_eq!(read(&connection, 1).expect("readable"), Some(entry(1, 10)));
    assert_eq!(read(&connection, 2).expect("readable"), None);
}

#[test]
fn lines_are_forgotten_by_their_number() {
    let connection = kept(std::iter::repeat_n(1, 1_005));
    let all = last(&connection, u64::MAX >> 1).expect("readable");
    let numbers: Vec<u64> = all.iter().map(|entry| entry.revision).collect();
    assert_eq!((numbers.len(), numbers.first(), numbers.last()), (1_000, Some(&1005), Some(&6)));
    let count = "SELECT COUNT(*) FROM changes";
    let rows: i64 = connection.query_row(count, [], |row| row.get(0)).expect("readable");
    assert_eq!(rows, 1_000);
}

#[test]
fn documents_are_forgotten_by_their_size_and_the_line_stays() {
    // Four of a mebibyte do not fit beside what rows take, nor does one of five.
    let of = |bytes: &[usize]| {
        let all = last(&kept(bytes.iter().copied()), 10).expect("readable");
        all.into_iter().map(|entry| matches!(entry.changes, Changes::Kept(_))).collect::<Vec<_>>()
    };
    assert_eq!(of(&[1 << 20; 5]), [true, true, true, false, false]);
    assert_eq!(of(&[1, 5 << 20]), [false, false], "what is older than what is forgotten is too");
    assert_eq!(of(&[5 << 20, 1]), [true, false]);
}

#[test]
fn a_row_that_was_changed_or_lost_is_told() {
    for harm in [
        "UPDATE changes SET before = '{}'",
        "UPDATE changes SET action = 'deleted'",
        "UPDATE revisions SET actor = 'eve'",
        "UPDATE revisions SET bytes = NULL",
        "DELETE FROM changes",
    ] {
        let connection = kept([10]);
        connection.execute_batch(harm).expect(harm);
        let found = read(&connection, 1).expect("readable").expect("the line is there");
        assert_eq!(found.changes, Changes::Damaged, "{harm}");
    }
}

#[test]
fn changes_are_taken_back() {
    let was = |text: &str| (json!(text), 1);
    let mut objects =
        BTreeMap::from([(reference("new"), was("new")), (reference("changed"), was("after"))]);
    let change = |name, action, before| Changed { reference: reference(name), action, before };
    undo(
        &mut objects,
        vec![
            change("new", Action::Created, None),
            change("changed", Action::Configured, Some(was("before"))),
            change("gone", Action::Deleted, Some(was("gone"))),
        ],
    );
    let expected = [(reference("changed"), was("before")), (reference("gone"), was("gone"))];
    assert_eq!(objects, BTreeMap::from(expected));
}
