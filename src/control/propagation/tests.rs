//! Who counts for a revision, and when it is settled.

use std::time::Duration;

use super::*;

const REVISION: u64 = 7;

struct Bed {
    start: Instant,
    ledger: Ledger,
}

impl Bed {
    /// Revision 7 made version `v1` of `key()`, to which `subscribers` subscribe.
    fn new(subscribers: &[&str]) -> Self {
        let start = Instant::now();
        let mut ledger = Ledger::new(REVISION - 1);
        let proxies: Vec<_> = subscribers.iter().map(|name| proxy(name)).collect();
        let changed = [(key(), version("v1"))];
        ledger.compiled(&[(REVISION, start)], &changed, start, |_| proxies.clone());
        Self { start, ledger }
    }

    fn acknowledge(&mut self, name: &str, of: &str, after_ms: u64) {
        let now = self.start + Duration::from_millis(after_ms);
        self.ledger.acknowledged(&proxy(name), &key(), &version(of), now);
    }

    fn ask(&mut self) -> Propagation {
        self.ledger.propagation(REVISION, |_| true)
    }
}

fn proxy(name: &str) -> ProxyId {
    format!("default/{name}").parse().expect("valid")
}

fn key() -> Key {
    Key::service(&"default/reviews".parse().expect("valid"))
}

fn version(text: &str) -> Version {
    Some(text.into())
}

#[test]
fn settles_with_the_last_acknowledgement() {
    let mut bed = Bed::new(&["a", "b"]);
    bed.acknowledge("a", "v1", 3);
    let halfway = bed.ask();
    assert_eq!(halfway.acknowledged, ["default/a"]);
    assert_eq!(halfway.pending, ["default/b"]);
    assert_eq!(halfway.settled_ms, None);
    bed.acknowledge("b", "v1", 8);
    assert_eq!(bed.ask().settled_ms, Some(8.0));
    bed.acknowledge("b", "v1", 50);
    assert_eq!(bed.ask().settled_ms, Some(8.0), "saying it again changes nothing");
}

#[test]
fn an_old_version_does_not_count_and_a_later_one_does() {
    let mut bed = Bed::new(&["a"]);
    bed.acknowledge("a", "v0", 3);
    assert_eq!(bed.ask().pending, ["default/a"]);
    let later = [(key(), version("v2"))];
    bed.ledger.compiled(&[(REVISION + 1, bed.start)], &later, bed.start, |_| vec![proxy("a")]);
    bed.acknowledge("a", "v2", 5);
    assert_eq!(bed.ask().acknowledged, ["default/a"]);
}

#[test]
fn nobody_subscribed_settles_at_once_and_names_nobody() {
    let answer = Bed::new(&[]).ask();
    assert!(answer.compiled && answer.acknowledged.is_empty());
    assert_eq!(answer.settled_ms, Some(0.0));
}

#[test]
fn who_is_away_is_named_and_does_not_hold_up() {
    let mut bed = Bed::new(&["a", "b"]);
    bed.acknowledge("a", "v1", 2);
    let answer = bed.ledger.propagation(REVISION, |id| *id != proxy("b"));
    assert_eq!(answer.disconnected, ["default/b"]);
    assert_eq!(answer.settled_ms, Some(2.0));
}

#[test]
fn a_refusal_is_told_with_its_rules() {
    let mut bed = Bed::new(&["a"]);
    let why = ("rules[0].id: empty".to_owned(), vec!["HTTPRoute/default/reviews".to_owned()]);
    bed.ledger.rejected((&proxy("a"), &key()), &version("v1"), bed.start, why);
    let answer = bed.ask();
    assert_eq!(answer.rejected.len(), 1);
    assert_eq!(answer.rejected[0].resource, "Service default/reviews");
    assert_eq!(answer.rejected[0].rules, ["HTTPRoute/default/reviews"]);
    assert!(answer.settled_ms.is_some());
}

#[test]
fn letting_go_and_leaving_end_the_wait() {
    let mut bed = Bed::new(&["a", "b"]);
    bed.ledger.unsubscribed(&proxy("a"), &key());
    bed.ledger.left(&proxy("b"));
    let answer = bed.ask();
    assert!(answer.pending.is_empty() && answer.settled_ms.is_some());
}

#[test]
fn what_is_not_compiled_is_not_settled() {
    let mut bed = Bed::new(&[]);
    let answer = bed.ledger.propagation(REVISION + 1, |_| true);
    assert!(!answer.compiled);
    assert_eq!(answer.settled_ms, None);
}

#[test]
fn remembers_a_bounded_number_of_revisions() {
    let mut bed = Bed::new(&["a"]);
    for revision in 0..1_000 {
        let changed = [(key(), version(&revision.to_string()))];
        bed.ledger.compiled(&[(revision + 8, bed.start)], &changed, bed.start, |_| Vec::new());
    }
    assert_eq!(bed.ledger.records.len(), REVISIONS);
}

#[test]
fn a_key_that_changes_without_end_is_still_acknowledged_by_its_latest_version() {
    let mut bed = Bed::new(&["a"]);
    for index in 0..1_000 {
        let changed = [(key(), version(&format!("w{index}")))];
        bed.ledger.compiled(&[], &changed, bed.start, |_| Vec::new());
    }
    bed.acknowledge("a", "w999", 4);
    assert_eq!(bed.ask().acknowledged, ["default/a"]);
}

#[test]
fn all_that_came_after_a_revision_is_told_together() {
    let mut bed = Bed::new(&["a", "b"]);
    let other = Key::service(&"default/ratings".parse().expect("valid"));
    let later = bed.start + Duration::from_millis(5);
    let changed = [(key(), version("v2")), (other.clone(), version("w1"))];
    bed.ledger.compiled(&[(REVISION + 1, later)], &changed, later, |key| {
        vec![proxy(if *key == other { "c" } else { "a" })]
    });
    let since = |bed: &Bed, revision| bed.ledger.since(revision, |_| true);

    bed.acknowledge("a", "v1", 6);
    let all = since(&bed, REVISION - 1);
    assert!(all.compiled);
    assert_eq!((all.acknowledged, all.settled_ms), (vec![], None));
    assert_eq!(all.pending, ["default/a", "default/b", "default/c"], "the last word counts");
    let last = since(&bed, REVISION);
    assert_eq!(last.pending, ["default/a", "default/c"]);

    bed.acknowledge("a", "v2", 7);
    bed.acknowledge("b", "v2", 8);
    let now = bed.start + Duration::from_millis(9);
    bed.ledger.acknowledged(&proxy("c"), &other, &version("w1"), now);
    let all = since(&bed, REVISION - 1);
    assert_eq!(all.acknowledged, ["default/a", "default/b", "default/c"]);
    assert_eq!(all.settled_ms, Some(9.0));
    assert_eq!(since(&bed, REVISION).settled_ms, Some(4.0));
    let nothing = since(&bed, REVISION + 1);
    assert_eq!((nothing.compiled, nothing.acknowledged.len(), nothing.settled_ms), (true, 0, None));
}
