//! What is said of a route or policy, by what is there and by what proxies made of it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::mesh::Change;
use crate::rules;

const NOW: Timestamp = Timestamp::constant(1_000_000, 0);

const ROUTE: &str = "HTTPRoute/default/reviews";

fn route(backend: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "reviews", "namespace": "default"},
        "spec": {
            "parentRefs": [{"group": "", "kind": "Service", "name": "reviews"}],
            "rules": [{"backendRefs": [{"name": backend, "port": 80}]}]
        }
    })
}

fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80}]}
    })
}

fn policy(name: &str) -> Value {
    json!({
        "apiVersion": "meshctl.dev/v1alpha1", "kind": "TrafficPolicy",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"targetRefs": [{"kind": "Service", "name": "reviews"}], "timeouts": {"connect": "1s"}}
    })
}

fn snapshot(documents: &[Value]) -> Snapshot {
    let mut created = 0;
    let changes: Vec<_> = documents
        .iter()
        .map(|document| {
            created += 1;
            let object = rules::from_value(document, 1, created).expect("valid");
            Change::Object(reference(document), Some(object))
        })
        .collect();
    Snapshot::new("cluster.local".parse().expect("valid"), Arc::default()).apply(&changes)
}

fn reference(document: &Value) -> ObjectRef {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    ObjectRef {
        kind: crate::control::store::kind(&text(&document["kind"])).expect("known"),
        namespace: "default".parse().expect("valid"),
        name: text(&document["metadata"]["name"]).parse().expect("valid"),
    }
}

/// `Accepted=True …` for a rule.
fn words(
    snapshot: &Snapshot,
    rule: &Value,
    programmed: HashMap<(ObjectRef, u64), Programmed>,
) -> Vec<String> {
    let unreadable = BTreeMap::new();
    let judge = Judge::new(snapshot, &unreadable, programmed, NOW);
    let conditions = judge.conditions(&reference(rule), 1);
    let word = |it: &Condition| format!("{}={} {} {}", it.kind, it.status, it.reason, it.message);
    conditions.iter().map(|it| word(it).trim_end().to_owned()).collect()
}

#[test]
fn a_route_says_what_is_missing() {
    let rule = route("ratings");
    let alone = words(&snapshot(std::slice::from_ref(&rule)), &rule, HashMap::new());
    assert_eq!(alone[0], "Accepted=False NoMatchingParent no such service: `default/reviews`");
    assert_eq!(alone[1], "ResolvedRefs=False BackendNotFound no service `default/ratings`");
    let parent = words(&snapshot(&[service("reviews"), rule.clone()]), &rule, HashMap::new());
    assert_eq!(parent[0], "Accepted=True Accepted");
    let whole = snapshot(&[service("reviews"), service("ratings"), rule.clone()]);
    assert_eq!(words(&whole, &rule, HashMap::new())[1], "ResolvedRefs=True ResolvedRefs");
}

#[test]
fn proxies_are_counted_and_the_first_refusal_told() {
    let rule = route("reviews");
    let snapshot = snapshot(&[service("reviews"), rule.clone()]);
    let key = (reference(&rule), 1);
    let programmed = |proxies: &[(&str, bool)], refusal: Option<&str>| {
        let proxies = proxies.iter().map(|(name, done)| (name.parse().expect("valid"), *done));
        Programmed { proxies: proxies.collect(), refusal: refusal.map(str::to_owned) }
    };
    let said =
        |programmed| words(&snapshot, &rule, HashMap::from([(key.clone(), programmed)]))[2].clone();
    let two = [("default/a", true), ("default/b", false)];
    assert_eq!(
        said(programmed(&two, None)),
        "Programmed=False Pending acknowledged by 1 of 2 proxies"
    );
    assert_eq!(
        said(programmed(&two[..1], None)),
        "Programmed=True Programmed acknowledged by 1 of 1 proxies"
    );
    let refused = said(programmed(&two, Some("proxy `default/b` refused it")));
    assert!(refused.starts_with("Programmed=False Rejected acknowledged by 1 of 2"), "{refused}");
    assert!(refused.ends_with("proxy `default/b` refused it"), "{refused}");
    assert!(said(programmed(&[], None)).starts_with("Programmed=Unknown NoProxies"));
    assert_eq!(reference(&rule).to_string(), ROUTE);
}

#[test]
fn of_two_policies_for_a_service_the_older_holds() {
    let (older, younger) = (policy("older"), policy("younger"));
    let both = snapshot(&[service("reviews"), older.clone(), younger.clone()]);
    assert_eq!(words(&both, &older, HashMap::new())[0], "Accepted=True Accepted");
    let said = words(&both, &younger, HashMap::new());
    assert!(said[0].starts_with("Accepted=False Conflicted"), "{said:?}");
    let alone = snapshot(std::slice::from_ref(&older));
    let said = words(&alone, &older, HashMap::new());
    assert!(said[0].starts_with("Accepted=False TargetNotFound"), "{said:?}");
}

/// `port Accepted=True Accepted …` for each parent of a route.
fn said_of_parents(snapshot: &Snapshot, unreadable: Option<&str>, rule: &Value) -> Vec<String> {
    let why = unreadable.map(|why| (reference(rule), why.to_owned()));
    let unreadable: BTreeMap<_, _> = why.into_iter().collect();
    let judge = Judge::new(snapshot, &unreadable, HashMap::new(), NOW);
    let parents = judge.parents(&reference(rule), rule, 7);
    let word = |it: &Condition| {
        assert_eq!(it.observed_generation, 7);
        format!("{}={} {} {}", it.kind, it.status, it.reason, it.message).trim_end().to_owned()
    };
    let line = |parent: &ParentStatus| {
        let words: Vec<_> = parent.conditions.iter().take(2).map(word).collect();
        format!("{}: {}", parent.parent["name"].as_str().expect("a name"), words.join("; "))
    };
    parents.iter().map(line).collect()
}

#[test]
fn each_parent_has_a_status_of_its_own() {
    let mut rule = route("reviews");
    rule["spec"]["parentRefs"] = json!([
        {"group": "", "kind": "Service", "name": "reviews"},
        {"kind": "Service", "name": "reviews", "port": 81},
        {"kind": "Service", "name": "reviews", "sectionName": "web"},
        {"kind": "Service", "name": "gone"},
        {"kind": "Service", "name": "bare"},
    ]);
    let mut bare = service("bare");
    bare["spec"]["clusterIP"] = json!("None");
    let mut named = service("reviews");
    named["spec"]["ports"][0]["name"] = json!("web");
    let snapshot = snapshot(&[named, bare, rule.clone()]);
    rule["spec"]["parentRefs"].as_array_mut().expect("a list").push(json!({"name": "edge"}));
    let said = said_of_parents(&snapshot, None, &rule);
    let resolved = "ResolvedRefs=True ResolvedRefs";
    let refused = |name: &str, why: &str| {
        format!("{name}: Accepted=False NoMatchingParent {why}; {resolved}")
    };
    let expected = [
        format!("reviews: Accepted=True Accepted; {resolved}"),
        refused("reviews", "service `default/reviews` has no port 81"),
        format!("reviews: Accepted=True Accepted; {resolved}"),
        refused("gone", "no such service: `default/gone`"),
        refused("bare", "service `default/bare` is headless: it has no address to call"),
    ];
    assert_eq!(said, expected, "nothing is said of a Gateway");
}

#[test]
fn a_route_that_cannot_be_read_says_why_and_at_whose_backends() {
    let empty = snapshot(&[service("reviews")]);
    let mut rule = route("reviews");
    let said = said_of_parents(&empty, Some("not yet"), &rule);
    let accepted = "reviews: Accepted=False UnsupportedValue not yet; ResolvedRefs=";
    assert_eq!(said, [format!("{accepted}Unknown Pending the route cannot be read")]);
    rule["spec"]["rules"][0]["backendRefs"][0]["kind"] = json!("Bucket");
    let said = said_of_parents(&empty, Some("not yet"), &rule);
    assert_eq!(said, [format!("{accepted}False InvalidKind a backend is a Service, not `Bucket`")]);
}

#[test]
fn what_is_written_back_holds_no_counts() {
    let rule = policy("one");
    let snapshot = snapshot(&[service("reviews"), rule.clone()]);
    let (key, unreadable) = ((reference(&rule), 1), BTreeMap::new());
    let said = |proxies: &[bool]| {
        let proxies = proxies.iter().enumerate();
        let proxies = proxies.map(|(at, done)| (format!("a/{at}").parse().expect("valid"), *done));
        let programmed = Programmed { proxies: proxies.collect(), refusal: None };
        let judge =
            Judge::new(&snapshot, &unreadable, HashMap::from([(key.clone(), programmed)]), NOW);
        judge.standing(&reference(&rule), 1)
    };
    assert_eq!(said(&[true]), said(&[true, true]));
    assert_eq!(said(&[true, false]), said(&[false, false, true]));
    assert_ne!(said(&[true]), said(&[true, false]));
    assert_eq!(said(&[true]).len(), 2);
}

#[test]
fn a_fault_policy_says_whether_it_is_active() {
    let policy = |spec: Value| {
        let mut spec = spec;
        spec["targetRefs"] = json!([{"kind": "Service", "name": "reviews"}]);
        spec["abort"] = json!({"status": 503, "percent": 12.5});
        json!({
            "apiVersion": "meshctl.dev/v1alpha1", "kind": "FaultPolicy",
            "metadata": {"name": "faulty", "namespace": "default"}, "spec": spec
        })
    };
    // The clock of these tests stands at 1970-01-12T13:46:40Z.
    let cases = [
        (json!({}), "Active=True Active abort with 503 (12.5%) until it is deleted"),
        (
            json!({"expires": "1970-01-12T13:46:41Z"}),
            "Active=True Active abort with 503 (12.5%) until 1970-01-12T13:46:41Z",
        ),
        (
            json!({"expires": "1970-01-12T13:46:40Z"}),
            "Active=False Expired at 1970-01-12T13:46:40Z",
        ),
        (json!({"mode": "Shadow"}), "Active=False Shadow it is counted and not put in"),
    ];
    for (spec, expected) in cases {
        let rule = policy(spec);
        let said = words(&snapshot(&[service("reviews"), rule.clone()]), &rule, HashMap::new());
        assert_eq!(said[..2], ["Accepted=True Accepted", expected]);
        let unreadable = BTreeMap::new();
        let snapshot = snapshot(std::slice::from_ref(&rule));
        let judge = Judge::new(&snapshot, &unreadable, HashMap::new(), NOW);
        let kinds: Vec<_> =
            judge.standing(&reference(&rule), 1).iter().map(|it| (it.kind, it.reason)).collect();
        assert_eq!(kinds[0], ("Accepted", "TargetNotFound"));
        assert_eq!((kinds[1].0, kinds[2].0), ("Active", "Programmed"));
    }
}
