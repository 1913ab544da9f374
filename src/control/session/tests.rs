//! What the control plane's end sends and records, against requests written by hand.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::line::RESEND;
use super::*;
use crate::resource::{Address, Mesh, OutboundMode, Resource};
use crate::xds::codec::encode;
use crate::xds::discovery::Status;

/// What there is, and one session.
struct Bench {
    session: Session,
    resources: RefCell<BTreeMap<Key, Arc<Encoded>>>,
}

fn key(last: u8) -> Key {
    Key::address(format!("10.0.0.{last}:80").parse().unwrap())
}

fn names(keys: &[Key]) -> Vec<String> {
    keys.iter().map(|key| key.name.to_string()).collect()
}

fn request() -> DeltaRequest {
    DeltaRequest { type_url: Kind::Address.type_url().into(), ..DeltaRequest::default() }
}

impl Bench {
    fn new(limits: Limits) -> Self {
        Self { session: Session::new(limits), resources: RefCell::default() }
    }

    /// Sets 10.0.0.`last` to `port` and says so.
    fn set(&mut self, last: u8, port: u16) -> Held {
        let encoded = encode(&Resource::Address(Address {
            address: format!("10.0.0.{last}:80").parse().unwrap(),
            service: "shop/web".parse().unwrap(),
            port,
        }));
        let version = Held::Version(encoded.version.clone());
        self.resources.get_mut().insert(key(last), Arc::new(encoded));
        self.session.on_change([&key(last)]);
        version
    }

    fn send(&mut self, request: DeltaRequest) {
        self.session.on_request(request, &|_| true).unwrap();
    }

    fn subscribe(&mut self, keys: &[Key]) {
        self.send(DeltaRequest { subscribe: names(keys), ..request() });
    }

    fn answer(&mut self, response: &DeltaResponse, error: Option<Status>) {
        let type_url = response.type_url.clone();
        let response_nonce = response.nonce.clone();
        self.send(DeltaRequest { type_url, response_nonce, error, ..DeltaRequest::default() });
    }

    fn poll(&mut self) -> Vec<DeltaResponse> {
        self.poll_at(Instant::now())
    }

    fn poll_at(&mut self, now: Instant) -> Vec<DeltaResponse> {
        let resources = self.resources.borrow();
        self.session.poll(now, &|key| resources.get(key).cloned())
    }

    /// The one response that is due: what it brings and what it takes away.
    fn due(&mut self) -> (DeltaResponse, Vec<String>, Vec<String>) {
        let mut responses = self.poll();
        let one = responses.pop().expect("a response is due");
        assert_eq!(responses, []);
        let names = one.resources.iter().map(|resource| resource.name.clone()).collect();
        let removed = one.removed.clone();
        (one, names, removed)
    }
}

#[test]
fn sends_what_there_is_and_says_what_there_is_not() {
    let mut bench = Bench::new(Limits::default());
    let version = bench.set(1, 1);
    bench.subscribe(&[key(1), key(2)]);
    let (response, resources, removed) = bench.due();
    assert_eq!((resources, removed), (names(&[key(1)]), names(&[key(2)])));
    assert_eq!(bench.session.acknowledged(&key(1)), Some(&Held::Unknown));
    bench.answer(&response, None);
    assert_eq!(bench.session.acknowledged(&key(1)), Some(&version));
    assert_eq!(bench.session.acknowledged(&key(2)), Some(&Held::Absent));
    assert_eq!(bench.session.acknowledged(&key(3)), None);
    assert_eq!(bench.poll(), []);
    assert!(bench.session.is_settled());
}

#[test]
fn what_the_proxy_has_already_is_not_sent() {
    let mut bench = Bench::new(Limits::default());
    let Held::Version(version) = bench.set(1, 1) else { panic!() };
    let initial_versions = [(key(1).name.to_string(), version.to_string())].into();
    bench.send(DeltaRequest { subscribe: names(&[key(1)]), initial_versions, ..request() });
    assert_eq!(bench.poll(), []);
    assert_eq!(bench.session.acknowledged(&key(1)), Some(&Held::Version(version)));
    bench.set(1, 2);
    assert_eq!(bench.due().1, names(&[key(1)]));
}

#[test]
fn changes_merge_while_a_response_is_unanswered() {
    let mut bench = Bench::new(Limits::default());
    bench.set(1, 1);
    bench.subscribe(&[key(1)]);
    let (first, ..) = bench.due();
    for port in 2..100 {
        bench.set(1, port);
        assert_eq!(bench.poll(), []);
    }
    let last = bench.set(1, 100);
    bench.answer(&first, None);
    let (second, ..) = bench.due();
    bench.answer(&second, None);
    assert_eq!(bench.session.acknowledged(&key(1)), Some(&last));
    assert_eq!(bench.poll(), []);
}

#[test]
fn a_refused_version_is_recorded_and_not_sent_again_until_it_changes() {
    let mut bench = Bench::new(Limits::default());
    let (good, bad) = (bench.set(1, 1), bench.set(2, 1));
    bench.subscribe(&[key(1), key(2)]);
    let (response, ..) = bench.due();
    let why = Refusal::new(&key(2).name, "port", "in use");
    bench.answer(&response, Some(Status::refused(std::slice::from_ref(&why))));
    assert_eq!(bench.session.acknowledged(&key(1)), Some(&good));
    assert_eq!(bench.session.acknowledged(&key(2)), Some(&Held::Unknown));
    let refused = Refused { version: bad, refusal: why };
    assert_eq!(bench.session.refused(&key(1)), None);
    assert_eq!(bench.session.refused(&key(2)), Some(&refused));
    for _ in 0..10 {
        bench.session.on_change([&key(2)]);
        assert_eq!(bench.poll(), []);
    }
    bench.set(2, 2);
    let (response, ..) = bench.due();
    bench.answer(&response, None);
    assert_eq!(bench.session.refused(&key(2)), None);
}

#[test]
fn a_refusal_without_details_is_of_everything() {
    let mut bench = Bench::new(Limits::default());
    bench.set(1, 1);
    bench.subscribe(&[key(1), key(2)]);
    let (response, ..) = bench.due();
    let error = Status { code: 13, message: "no".into(), details: Vec::new() };
    bench.answer(&response, Some(error));
    assert!(bench.session.refused(&key(1)).is_some());
    assert_eq!(bench.session.refused(&key(2)).unwrap().refusal.reason, "no");
    assert_eq!(bench.poll(), []);
}

#[test]
fn a_stale_nonce_answers_nothing() {
    let mut bench = Bench::new(Limits::default());
    bench.set(1, 1);
    bench.subscribe(&[key(1)]);
    let (response, ..) = bench.due();
    bench.answer(&DeltaResponse { nonce: "77".into(), ..response.clone() }, None);
    assert_eq!(bench.session.acknowledged(&key(1)), Some(&Held::Unknown));
    bench.answer(&response, None);
    assert_ne!(bench.session.acknowledged(&key(1)), Some(&Held::Unknown));
}

#[test]
fn a_name_let_go_is_forgotten_and_asked_again_is_sent_again() {
    let mut bench = Bench::new(Limits::default());
    bench.set(1, 1);
    bench.subscribe(&[key(1)]);
    let (unanswered, ..) = bench.due();
    bench.send(DeltaRequest { unsubscribe: names(&[key(1)]), ..request() });
    assert!(!bench.session.subscribed(&key(1)));
    bench.set(1, 2);
    bench.subscribe(&[key(1)]);
    bench.answer(&unanswered, None);
    assert_eq!(bench.session.acknowledged(&key(1)), Some(&Held::Unknown), "that was another one");
    let (response, ..) = bench.due();
    bench.answer(&response, None);
    bench.subscribe(&[key(1)]);
    assert_eq!(bench.due().1, names(&[key(1)]), "the proxy has forgotten it");
}

#[test]
fn the_mesh_comes_before_clusters_before_services() {
    let mut bench = Bench::new(Limits::default());
    let mesh = Mesh {
        trust_domain: "cluster.local".parse().unwrap(),
        roots: vec![vec![1]],
        outbound: OutboundMode::AllowAny,
        sampling_ppm: 0,
    };
    let encoded = encode(&Resource::Mesh(mesh));
    bench.resources.get_mut().insert(Key::mesh(), Arc::new(encoded));
    for kind in Kind::ALL.into_iter().rev() {
        let name = if kind == Kind::Mesh { "mesh" } else { "shop/web" };
        let (type_url, subscribe) = (kind.type_url().into(), vec![name.into()]);
        bench.send(DeltaRequest { type_url, subscribe, ..DeltaRequest::default() });
    }
    let kinds: Vec<_> =
        bench.poll().iter().map(|response| Kind::from_type_url(&response.type_url)).collect();
    assert_eq!(kinds, Kind::ALL.map(Some));
}

#[test]
fn a_response_ends_at_its_size_and_the_rest_follows() {
    let mut bench = Bench::new(Limits { response_bytes: 100, ..Limits::default() });
    let keys: Vec<_> = (0..20).map(key).collect();
    (0..20).for_each(|last| drop(bench.set(last, 1)));
    bench.subscribe(&keys);
    let mut received = Vec::new();
    while let Some(response) = bench.poll().pop() {
        assert!(response.resources.len() < 4, "{}", response.resources.len());
        received.extend(response.resources.iter().map(|resource| resource.name.clone()));
        bench.answer(&response, None);
    }
    assert_eq!(received, names(&keys));
}

#[test]
fn a_resource_too_large_to_send_counts_as_refused() {
    let mut bench = Bench::new(Limits { resource_bytes: 10, ..Limits::default() });
    bench.set(1, 1);
    bench.subscribe(&[key(1)]);
    assert_eq!(bench.poll(), []);
    let reason = &bench.session.refused(&key(1)).unwrap().refusal.reason;
    assert!(reason.contains("10 is the most"), "{reason}");
    assert_eq!(bench.session.take_withheld(), [key(1)]);
    bench.session.on_change([&key(1)]);
    assert_eq!((bench.poll(), bench.session.take_withheld()), (vec![], vec![]), "told once");
    bench.set(1, 2);
    assert_eq!((bench.poll(), bench.session.take_withheld()), (vec![], vec![key(1)]));
}

#[test]
fn what_a_proxy_may_not_ask_for_ends_the_stream() {
    let subscribe = |subscribe: Vec<String>| DeltaRequest { subscribe, ..request() };
    let refused = |request| {
        let limits = Limits { names: 2, ..Limits::default() };
        Session::new(limits).on_request(request, &|asked| *asked != key(9)).unwrap_err()
    };
    let foreign = DeltaRequest { type_url: "foo".into(), ..request() };
    assert_eq!(refused(foreign), Refuse::UnknownKind("foo".into()));
    assert_eq!(refused(subscribe(names(&[key(9)]))), Refuse::NotAuthorized(key(9)));
    assert_eq!(refused(subscribe(names(&[key(1), key(2), key(3)]))), Refuse::TooManyNames(2));
    assert_eq!(refused(subscribe(vec!["x".repeat(NAME_BYTES + 1)])), Refuse::NameTooLong);
}

/// A proxy that refuses and asks anew, over and over, as fast as it can.
#[test]
fn who_refuses_in_a_loop_is_sent_the_same_once_a_second_and_what_is_new_at_once() {
    let mut bench = Bench::new(Limits::default());
    bench.set(1, 1);
    bench.subscribe(&[key(1)]);
    let began = Instant::now();
    let mut sent = 0;
    for step in 0..3_000_u64 {
        let now = began + std::time::Duration::from_millis(step);
        for response in bench.poll_at(now) {
            sent += 1;
            // Before and after it has answered.
            bench.subscribe(&[key(1)]);
            bench.answer(&response, Some(Status { message: "no".into(), ..Status::default() }));
        }
        let gone = DeltaRequest { unsubscribe: names(&[key(1)]), ..request() };
        bench.send(gone);
        bench.subscribe(&[key(1)]);
        assert!(bench.session.resend_at().is_some_and(|at| now < at && at <= now + RESEND));
    }
    assert_eq!(sent, 3);
    bench.set(1, 2);
    let now = began + std::time::Duration::from_millis(3_000);
    assert_eq!(bench.poll_at(now).len(), 1, "another version");
}

/// What waits for a proxy that does not answer is a set of names, not a list of what happened.
#[test]
fn who_answers_nothing_costs_no_more_than_its_names() {
    let mut bench = Bench::new(Limits::default());
    bench.subscribe(&[key(1), key(2)]);
    bench.set(1, 1);
    assert_eq!(bench.poll().len(), 1);
    let waiting = |bench: &Bench| format!("{:?}", bench.session).len();
    let (_, before) = (bench.set(2, 9_000), waiting(&bench));
    for port in 10_000..20_000 {
        bench.set(2, port);
        assert_eq!(bench.poll(), [], "one response is not answered yet");
    }
    assert!(waiting(&bench) <= before + 16, "{} after {before}", waiting(&bench));
    assert_eq!(bench.session.resend_at(), None);
}

#[test]
fn a_million_names_end_the_stream() {
    let mut session = Session::new(Limits::default());
    let subscribe = (0..1_000_000).map(|name| format!("default/s{name}")).collect();
    let type_url = Kind::Service.type_url().into();
    let refused = session
        .on_request(DeltaRequest { subscribe, type_url, ..DeltaRequest::default() }, &|_| true);
    assert_eq!(refused, Err(Refuse::TooManyNames(NAMES)));
    assert!(session.names() <= NAMES + 1);
}
