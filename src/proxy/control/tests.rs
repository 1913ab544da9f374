//! The pure parts of the control thread: renewal by the clock, pushback, whom it accepts.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;

use super::agency::Agency;
use super::answers::Answers;
use super::link::pushback;
use super::pools::Said;
use super::renewal::Renewal;
use super::succession::Standing;
use super::{Control, Done, Parts, ProcessId, Registration};
use crate::certs::{Authority, Credentials, PendingKey};
use crate::names::{Identity, TrustDomain};
use crate::proxy::directory::Fault;
use crate::proxy::join::{Applicant, Proof};
use crate::proxy::serve::tests::rig::shared;
use crate::proxy::view::{Status, View};
use crate::resource::{Address, Key, Kind, Resource};
use crate::telemetry::span::{Span, SpanQueue};
use crate::xds::agent::{Pool, PoolEndpoint, Pools};
use crate::xds::codec::{self, Encoded};
use crate::xds::discovery::{DeltaResponse, Node};
use crate::xds::subscription::Subscription;

const LIFE: Duration = Duration::from_secs(1_000);

fn credentials(issued: SystemTime) -> Credentials {
    let mesh: TrustDomain = "cluster.local".parse().unwrap();
    let authority = Authority::create(&mesh, issued).unwrap();
    let identity: Identity = "spiffe://cluster.local/ns/default/sa/web".parse().unwrap();
    let key = PendingKey::generate().unwrap();
    let csr = key.anonymous_csr().unwrap();
    let signed = authority.sign(&csr, &identity, LIFE, issued).unwrap();
    key.finish(signed.chain, authority.roots(), &identity).unwrap()
}

#[test]
fn a_certificate_is_renewed_at_half_of_its_life() {
    let (issued, now) = (SystemTime::now(), Instant::now());
    let credentials = credentials(issued);
    for random in [0, u64::MAX] {
        let mut renewal = Renewal::new(&credentials, random);
        assert!(!renewal.begin(issued + LIFE.mul_f64(0.48), now));
        assert!(renewal.begin(issued + LIFE.mul_f64(0.52), now));
        assert!(!renewal.begin(issued + LIFE.mul_f64(0.52), now), "one at a time");
        assert!(renewal.done(Renewal::new(&credentials, random)).is_empty());
    }
}

#[test]
fn a_failure_is_tried_again_later_and_often_when_it_has_expired() {
    let (issued, start) = (SystemTime::now(), Instant::now());
    let mut renewal = Renewal::new(&credentials(issued), 0);
    let half = issued + LIFE.mul_f64(0.52);
    assert!(renewal.begin(half, start));
    renewal.failed(false, (half, start), u64::MAX);
    assert!(!renewal.begin(half, start + Duration::from_millis(900)));
    assert!(renewal.begin(half, start + Duration::from_secs(1)));
    let expired = issued + LIFE + Duration::from_secs(1);
    assert!(renewal.is_expired(expired) && !renewal.is_expired(half));
    for _ in 0..20 {
        renewal.failed(false, (expired, start), u64::MAX);
    }
    assert!(renewal.begin(expired, start + Duration::from_secs(1)), "at most a second then");
    renewal.failed(true, (expired, start), u64::MAX);
    assert!(!renewal.begin(expired, start + Duration::from_secs(29)), "it was told no");
    assert!(renewal.begin(expired, start + Duration::from_secs(30)));
}

#[test]
fn whoever_asks_is_told_when_the_new_one_is_in_use() {
    let (issued, now) = (SystemTime::now(), Instant::now());
    let credentials = credentials(issued);
    let mut renewal = Renewal::new(&credentials, 0);
    renewal.ask(7).unwrap();
    assert!(renewal.begin(issued, now), "asked for, so now");
    renewal.ask(8).unwrap();
    assert_eq!(renewal.done(Renewal::new(&credentials, 0)), [7, 8]);
    renewal.ask(9).unwrap();
    assert!(renewal.begin(issued, now));
    assert_eq!(renewal.failed(false, (issued, now), 0), [9]);
    let crowd = (0..1_000).filter(|&id| renewal.ask(id).is_ok()).count();
    assert!(crowd < 1_000, "bounded");
}

#[test]
fn only_the_control_planes_identity_is_accepted() {
    let identity = Identity::of_control_plane("a.mesh".parse().unwrap()).to_string();
    assert_eq!(identity, "spiffe://a.mesh/ns/meshctl-system/sa/meshctl-control-plane");
}

#[test]
fn a_server_may_ask_to_be_left_alone_within_bounds() {
    let with = |value: &str| {
        let mut status = tonic::Status::unavailable("busy");
        status.metadata_mut().insert("grpc-retry-pushback-ms", value.parse().unwrap());
        pushback(&status)
    };
    assert_eq!(with("1500"), Some(Duration::from_millis(1_500)));
    assert_eq!(with("999999999"), Some(Duration::from_secs(60)));
    assert_eq!(with("-1"), None);
    assert_eq!(pushback(&tonic::Status::unavailable("busy")), None);
}

fn address(port: u16) -> Encoded {
    let address = std::net::SocketAddr::from(([10, 0, 0, 1], port));
    let service = "default/reviews".parse().unwrap();
    codec::encode(&Resource::Address(Address { address, service, port }))
}

#[test]
fn a_response_is_answered_when_each_of_its_resources_is_decided() {
    let offered = [address(1), address(2)];
    let mut subscription = Subscription::new();
    for encoded in &offered {
        subscription.subscribe(&encoded.key).unwrap();
    }
    let _ = subscription.start(Node::default());
    let received = subscription.on_response(DeltaResponse {
        resources: offered.iter().map(Encoded::to_wire).collect(),
        type_url: Kind::Address.type_url().into(),
        nonce: "7".into(),
        ..DeltaResponse::default()
    });
    let mut answers = Answers::default();
    let tickets = answers.open(received.ticket, offered.to_vec());
    let [good, bad] = tickets.as_slice() else { panic!("one ticket each: {tickets:?}") };
    assert_eq!(answers.accept(*good), Some(offered[0].clone()));
    assert!(answers.take_decided().is_empty(), "one is undecided");
    let fault = Fault { field: "port".into(), reason: "no".into() };
    assert_eq!(answers.refuse(*bad, &fault), Some(offered[1].key.clone()));
    assert_eq!(answers.refuse(*bad, &fault), None, "decided once");
    let (ticket, refusals) = answers.take_decided().pop().unwrap();
    let request = subscription.settle(ticket, refusals).unwrap();
    assert_eq!(request.response_nonce, "7");
    assert!(request.error.is_some_and(|error| error.message.contains("port")), "a NACK");
    assert!(answers.take_decided().is_empty());
}

#[test]
fn what_was_recalled_from_disk_is_decided_without_an_answer() {
    let mut answers = Answers::default();
    let ticket = answers.recall(address(1));
    assert_eq!(answers.accept(ticket), Some(address(1)));
    assert!(answers.take_decided().is_empty());
}

#[tokio::test]
async fn spans_go_up_soon_after_the_first_one_and_together() {
    let queue = SpanQueue::default();
    let mut agency = Agency::default();
    let soon = Duration::from_millis(10);
    assert!(tokio::time::timeout(soon, agency.spans_due(&queue)).await.is_err(), "there is none");
    let began = Instant::now();
    queue.push(Span::default());
    let early = tokio::time::timeout(soon, agency.spans_due(&queue)).await;
    assert!(early.is_err(), "it waits for others");
    queue.push(Span::default());
    agency.spans_due(&queue).await;
    let waited = began.elapsed();
    assert!(waited >= Duration::from_millis(100), "counted from the first: {waited:?}");
    assert!(tokio::time::timeout(soon, agency.spans_due(&queue)).await.is_err(), "once for both");
}

#[test]
fn pools_are_told_when_they_change_and_at_most_every_second() {
    let (mut said, start) = (Said::default(), Instant::now());
    let pools = |total| Pools { pools: vec![Pool { total, ..Pool::default() }] };
    assert!(said.is_due(start));
    assert_eq!(said.news(Pools::default(), start), None, "all is well, as everybody thinks");
    assert_eq!(said.news(pools(1), start), Some(pools(1)));
    assert!(!said.is_due(start + Duration::from_millis(999)));
    let later = start + Duration::from_secs(1);
    assert!(said.is_due(later));
    assert_eq!(said.news(pools(1), later), None, "said before");
    assert!(said.is_due(later), "nothing was said");
    assert_eq!(said.news(Pools::default(), later), Some(Pools::default()), "all is well again");
}

#[test]
fn a_moment_that_two_clocks_tell_a_little_differently_is_no_news() {
    let (mut said, start) = (Said::default(), Instant::now());
    let pools = |since_ms, until_ms| {
        let endpoint = PoolEndpoint { since_ms, until_ms, ..PoolEndpoint::default() };
        Pools { pools: vec![Pool { endpoints: vec![endpoint], ..Pool::default() }] }
    };
    assert!(said.news(pools(5_000, 0), start).is_some());
    assert_eq!(said.news(pools(5_001, 0), start), None);
    assert_eq!(said.news(pools(4_999, 0), start), None);
    let ends = said.news(pools(5_001, 9_000), start);
    assert_eq!(ends, Some(pools(5_000, 9_000)), "an end is news, and its beginning stays");
    assert!(said.news(pools(6_000, 9_000), start).is_some(), "out once more");
}

/// The control thread's parts of a proxy `shop/web-0`, which nobody runs.
fn control(home: &std::path::Path) -> Control {
    let shared = shared();
    let (status, seen) = watch::channel(Status::default());
    let view = View {
        proxy: shared.proxy.clone(),
        service: shared.service.clone(),
        app: None,
        directory: Arc::clone(&shared.directory),
        tls: Arc::clone(&shared.tls),
        metrics: Arc::clone(&shared.metrics),
        spans: Arc::clone(&shared.spans),
        accepted: Arc::default(),
        status: seen,
        log: None,
    };
    let registration = Registration {
        proxy: shared.proxy.clone(),
        service: shared.service.clone(),
        version: String::new(),
        labels: std::collections::BTreeMap::new(),
        service_account: "web".parse().unwrap(),
        addresses: Vec::new(),
        serves: None,
        process: ProcessId { pid: 1, started_ms: 1 },
        succeeds: None,
    };
    let applicant = Applicant {
        proxy: shared.proxy.clone(),
        service_account: "web".parse().unwrap(),
        proof: Proof::SameUser(home.to_owned()),
        directory: home.to_owned(),
    };
    let parts = Parts {
        applicant,
        registration,
        directory: Arc::clone(&shared.directory),
        view,
        status,
        control_plane: String::new(),
        refusal: watch::channel(None).0,
    };
    Control::new(parts, Instant::now())
}

#[tokio::test]
async fn what_is_wanted_while_a_link_is_opened_is_told_once_there_is_one() {
    let home = tempfile::tempdir().unwrap();
    let mut control = control(home.path());
    control.act();
    control.connect();
    let late = "shop/late".parse().unwrap();
    control.loader.want(&late, Instant::now());
    control.act();
    let told: Vec<String> =
        control.subscription.poll().into_iter().flat_map(|request| request.subscribe).collect();
    assert!(told.contains(&Key::service(&late).name.to_string()), "{told:?}");
}

#[tokio::test]
async fn a_job_that_panics_is_taken_for_that_job_and_no_other() {
    let home = tempfile::tempdir().unwrap();
    let mut control = control(home.path());
    control.connect();
    let opening = control.opening.expect("a job");
    let other = control.jobs.spawn(async { panic!("on purpose") }).id();
    control.on_done(Done::Panicked(other));
    assert_eq!(control.opening, Some(opening), "or two links would be opened");
    control.on_done(Done::Panicked(opening));
    assert_eq!(control.opening, None);
}

#[tokio::test]
async fn who_left_its_place_to_another_process_stays_so_when_its_application_comes_late() {
    let home = tempfile::tempdir().unwrap();
    let mut control = control(home.path());
    control.yield_to(ProcessId { pid: 2, started_ms: 2 });
    control.serve();
    assert_eq!(control.standing, Standing::Yielded);
    assert!(control.status.borrow().serving, "it takes its calls again once it is the proxy");
}
