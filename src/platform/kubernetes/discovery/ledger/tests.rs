//! What lists and events make of what is known, and which lists are not believed.

use super::{Ledger, Listed};

fn known(names: &[&'static str]) -> Ledger<&'static str, u8> {
    let mut ledger = Ledger::default();
    ledger.begin();
    for name in names {
        ledger.put(*name, Some(1));
    }
    assert_eq!(ledger.done(), Listed::Believed(vec![]));
    ledger
}

/// A complete list of `names`; what it takes away.
fn list(
    ledger: &mut Ledger<&'static str, u8>,
    names: &[&'static str],
) -> Option<Vec<&'static str>> {
    ledger.begin();
    for name in names {
        ledger.put(*name, Some(1));
    }
    match ledger.done() {
        Listed::Believed(gone) => Some(gone.into_iter().map(|(name, _)| name).collect()),
        Listed::Doubted { .. } => None,
    }
}

#[test]
fn only_what_differs_is_told() {
    let mut ledger = known(&["a"]);
    assert_eq!(ledger.put("a", Some(1)), None);
    assert!(ledger.put("a", Some(2)).is_some());
    assert!(ledger.put("a", None).is_some_and(|(_, item)| item.is_none()), "none of the mesh's");
    assert_eq!(ledger.put("a", None), None);
    assert_eq!(ledger.delete("a"), None);
}

#[test]
fn a_complete_list_takes_away_what_it_lacks_and_a_broken_one_nothing() {
    let mut ledger = known(&["a", "b", "c"]);
    ledger.begin();
    ledger.put("a", Some(1));
    assert_eq!(list(&mut ledger, &["a", "b"]), Some(vec!["c"]), "begun again and finished");
    assert_eq!(ledger.count(), 2);
}

#[test]
fn a_list_that_lacks_most_is_believed_when_the_next_one_says_the_same() {
    let mut ledger = known(&["a", "b", "c"]);
    assert_eq!(list(&mut ledger, &[]), None);
    assert_eq!(ledger.count(), 3, "nothing was taken away");
    assert_eq!(list(&mut ledger, &["a"]), Some(vec!["b", "c"]), "both lists lacked these");
    assert_eq!(list(&mut ledger, &[]), None, "one of one is most");
    assert_eq!(list(&mut ledger, &[]), Some(vec!["a"]));
}

#[test]
fn what_was_seen_after_a_list_that_was_not_believed_is_not_doubted() {
    let mut ledger = known(&["a", "b"]);
    assert_eq!(list(&mut ledger, &[]), None);
    ledger.put("a", Some(1));
    assert_eq!(list(&mut ledger, &[]), None, "`a` was there meanwhile");
    ledger.delete("b");
    assert_eq!(list(&mut ledger, &[]), Some(vec!["a"]));
}
