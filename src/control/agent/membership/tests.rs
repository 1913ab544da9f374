//! Who is part of the mesh when several things happen to one proxy at once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::*;
use crate::certs::RootPin;
use crate::control::agent::Stream;
use crate::control::ground::Ground;
use crate::control::joins::{Claim, Wanted};
use crate::control::registration::tests::hello;
use crate::control::run::tests::Bed;
use crate::control::store::{self, Batch, Write};
use crate::names::Namespace;
use crate::rules::{Document, Options, UnknownKinds, parse};
use crate::xds::agent::State;

fn link(stream: u64, pid: u32) -> AgentLink {
    AgentLink {
        stream,
        asks: mpsc::channel(1).0,
        end: CancellationToken::new(),
        process: (pid, 1),
        version: String::new(),
        succeeds: None,
        in_mesh: false,
    }
}

async fn registered<'p>(
    plane: &'p Plane,
    hello: &Hello,
    link: &AgentLink,
) -> Result<Connected<'p>, Status> {
    let registration = Registration::from_hello(hello).expect("valid");
    let identity = registration.identity(&plane.trust_domain);
    register(plane, (&identity, false), hello, link).await
}

fn addresses(plane: &Plane, id: &ProxyId) -> Option<Vec<IpAddr>> {
    plane.view.load().snapshot.workloads.get(id).map(|workload| workload.addresses.clone())
}

/// Everything that was to be written down is: what is asked of the store last is done last.
async fn settled(plane: &Plane) {
    keep(plane, &"default/nobody-0".parse().expect("a name")).await;
}

/// Everything that is away is due.
fn due(plane: &Plane) -> Vec<ProxyId> {
    plane.departures.lock().due(Instant::now() + Duration::from_secs(3_600), |_| 2)
}

/// Both had passed the first look before the mesh had heard of either, and the one that was refused
/// in the end had written its address over that of the other.
#[tokio::test]
async fn of_two_that_register_at_once_the_mesh_and_the_store_hear_of_one() {
    let Bed { plane, owner, home, dir: _dir } = Bed::new();
    tokio::spawn(owner.run(plane.stop.clone()));
    let first = hello("reviews-0", "reviews");
    let second = Hello { addresses: vec!["127.0.0.2".to_owned()], ..first.clone() };
    let (one, two) = (link(1, 1), link(2, 2));
    // The hub has its turn once both wait, as far as they get.
    let (won, lost) =
        tokio::join!(registered(&plane, &first, &one), registered(&plane, &second, &two));
    assert_eq!(lost.expect_err("refused").code(), Code::AlreadyExists);
    let id = won.expect("registered").registration.proxy();
    let loopback: IpAddr = "127.0.0.1".parse().expect("an address");
    assert_eq!(addresses(&plane, &id), Some(vec![loopback]));
    let (kept, _) = store::verify(&home.store(), &plane.trust_domain).expect("a store");
    assert_eq!(kept.registrations[&id].addresses, [loopback]);
}

#[tokio::test]
async fn who_the_mesh_does_not_take_leaves_the_place_as_it_was() {
    let Bed { plane, owner, dir: _dir, .. } = Bed::new();
    tokio::spawn(owner.run(plane.stop.clone()));
    let running = registered(&plane, &hello("reviews-0", "reviews"), &link(1, 1)).await;
    let running = running.expect("registered");
    // `reviews` of version `v1` has made `reviews-v1`.
    let mut wrong = hello("other-0", "reviews-v1");
    let refused = registered(&plane, &wrong, &link(2, 2)).await.expect_err("refused");
    assert_eq!(refused.code(), Code::AlreadyExists);
    let id = running.registration.proxy();
    let known: Vec<_> = plane.board.lock().proxies.iter().map(|(id, _)| id.clone()).collect();
    assert_eq!(known, std::slice::from_ref(&id));

    wrong = Hello { name: "x-0".to_owned(), service: "x".to_owned(), ..wrong };
    let x = registered(&plane, &wrong, &link(3, 3)).await.expect("registered");
    let successor = AgentLink { succeeds: Some((3, 1)), ..link(4, 4) };
    wrong.service = "reviews-v1".to_owned();
    registered(&plane, &wrong, &successor).await.expect_err("refused");
    let board = plane.board.lock();
    let proxy = board.proxies.get(&x.registration.proxy()).expect("there");
    assert_eq!(proxy.agent.as_ref().expect("connected").stream, 3, "it speaks for itself again");
    assert_eq!(proxy.registration, x.registration);
    drop(board);
    assert_eq!(due(&plane), []);
}

/// The ids of departures were taken, and removed one by one, whoever had come back meanwhile.
#[tokio::test]
async fn who_is_back_when_its_departure_is_due_stays() {
    let Bed { plane, owner, home, dir: _dir } = Bed::new();
    tokio::spawn(owner.run(plane.stop.clone()));
    let web = hello("web-0", "web");
    let lost = registered(&plane, &web, &link(1, 1)).await.expect("registered");
    let id = lost.registration.proxy();
    drop(lost);
    assert_eq!(due(&plane), std::slice::from_ref(&id));
    let back = registered(&plane, &web, &link(2, 1)).await.expect("registered");
    assert!(!remove(&plane, &id).await);
    assert!(addresses(&plane, &id).is_some());
    assert_eq!(due(&plane), [], "who is connected is not away");
    drop(back);
    assert!(remove(&plane, &id).await);
    assert_eq!(addresses(&plane, &id), None);
    settled(&plane).await;
    let (kept, _) = store::verify(&home.store(), &plane.trust_domain).expect("a store");
    assert_eq!(kept.registrations.len(), 0);
}

/// Thousands who were due when the control plane stopped were each warned of, and said to be gone.
#[tokio::test]
async fn nobody_is_removed_while_the_control_plane_ends() {
    let Bed { plane, owner, home, dir: _dir } = Bed::new();
    let mesh = tokio::spawn(owner.run(plane.stop.clone()));
    let web = registered(&plane, &hello("web-0", "web"), &link(1, 1)).await.expect("registered");
    let id = web.registration.proxy();
    drop(web);
    plane.stop.cancel();
    mesh.await.expect("it ends");
    assert!(!remove(&plane, &id).await);
    settled(&plane).await;
    let (kept, _) = store::verify(&home.store(), &plane.trust_domain).expect("a store");
    assert!(kept.registrations.contains_key(&id), "the next control plane knows it");
}

/// Each wrote down what it had made of the proxy, in the order in which they got to it, not in that in
/// which the mesh had heard of it.
#[tokio::test]
async fn who_comes_back_and_leaves_while_something_waits_to_be_written_is_not_kept() {
    let Bed { plane, owner, home, dir: _dir } = Bed::new();
    tokio::spawn(owner.run(plane.stop.clone()));
    let web = hello("web-0", "web");
    let (one, two) = (link(1, 1), link(2, 1));
    let mut first = Box::pin(registered(&plane, &web, &one));
    assert!(std::future::poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx).is_pending())).await);
    let id = "default/web-0".parse().expect("a name");
    // The mesh has it; what is left waits until it is looked at again.
    while addresses(&plane, &id).is_none() {
        tokio::task::yield_now().await;
    }
    let back = registered(&plane, &web, &two).await.expect("the same process");
    assert!(back.leave());
    assert!(remove(&plane, &id).await);
    drop(first.await.expect("it was part of the mesh"));
    assert_eq!(addresses(&plane, &id), None);
    settled(&plane).await;
    let (kept, _) = store::verify(&home.store(), &plane.trust_domain).expect("a store");
    assert_eq!(kept.registrations.len(), 0, "it has said goodbye");
}

#[tokio::test]
async fn what_a_stream_said_whose_place_is_taken_changes_nothing() {
    let Bed { plane, owner, dir: _dir, .. } = Bed::new();
    tokio::spawn(owner.run(plane.stop.clone()));
    let web = hello("web-0", "web");
    let old = registered(&plane, &web, &link(1, 1)).await.expect("registered");
    let id = old.registration.proxy();
    let successor = AgentLink { succeeds: Some((1, 1)), ..link(2, 2) };
    let moved = Hello { addresses: vec!["127.0.0.2".to_owned()], ..web };
    let new = registered(&plane, &moved, &successor).await.expect("registered");
    let late = plane.workload(&old.registration);
    assert!(!plane.set_workload(&id, late, old.stream).await.expect("the hub is there"));
    assert!(!old.leave(), "its goodbye is its own");
    drop(old);
    assert_eq!(addresses(&plane, &id), Some(new.registration.addresses.clone()));
    assert_eq!(due(&plane), []);
}

/// The identity `web` joins from another machine for the service `web`.
fn join(plane: &Plane) {
    let Ground::Local(tokens) = &plane.ground else { panic!("a local one") };
    let now = Timestamp::now();
    let wanted = Wanted {
        namespace: Namespace::default_namespace(),
        service: "web".parse().expect("valid"),
        service_account: "web".parse().expect("valid"),
        expires: now + Duration::from_secs(60),
    };
    let root = RootPin::of(plane.authority.certificate()).expect("readable");
    let (token, _) = tokens.joins.create(wanted, root, now).expect("room");
    let claim = Claim {
        identity: "spiffe://cluster.local/ns/default/sa/web".parse().expect("an identity"),
        proxy: "default/web-0".parse().expect("a proxy"),
        from: None,
    };
    tokens.joins.spend(&token.proof(), &claim, now).expect("spent");
}

/// Declares a service that selects that application.
async fn declare(plane: &Plane, name: &str, app: &str) {
    let text = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: 80, targetPort: 9080}}], selector: {{app: {app}}}}}\n"
    );
    let default_namespace = Namespace::default_namespace();
    let options = Options { default_namespace, unknown_kinds: UnknownKinds::Refuse };
    let parsed = parse(&[Document { source: "x.yaml".to_owned(), text }], &options);
    assert!(!parsed.has_errors(), "{:?}", parsed.diagnostics);
    let batch = Batch {
        actor: "test".to_owned(),
        at_ms: 1,
        note: String::new(),
        expected: None,
        writes: parsed.objects.into_iter().map(|it| Write::Put(it.reference, it.source)).collect(),
        dry_run: false,
    };
    let revision = plane.store.apply(batch).await.expect("applied").revision;
    plane.revision.clone().wait_for(|published| *published >= revision).await.expect("published");
}

/// The proxies behind a service of the namespace `default`.
fn behind(plane: &Plane, service: &str) -> Vec<String> {
    let name = format!("default/{service}").parse().expect("a service name");
    let workloads = plane.view.load().snapshot.workloads_of(&name);
    workloads.iter().map(|workload| workload.proxy.name.to_string()).collect()
}

/// The binding was held against the service in the hello alone: with labels of another application it
/// became an endpoint of whatever selects those.
#[tokio::test]
async fn who_joined_for_one_service_is_an_endpoint_of_no_other() {
    let Bed { plane, owner, dir: _dir, .. } = Bed::new();
    tokio::spawn(owner.run(plane.stop.clone()));
    join(&plane);
    declare(&plane, "payments", "payments").await;
    let labels = HashMap::from([("app".to_owned(), "payments".to_owned())]);
    let sly = Hello { version: String::new(), labels, ..hello("web-0", "web") };
    let _sly = registered(&plane, &sly, &link(1, 1)).await.expect("as `web` it is welcome");
    assert_eq!((behind(&plane, "payments"), behind(&plane, "web")), (vec![], vec!["web-0".into()]));
    declare(&plane, "later", "payments").await;
    assert_eq!(behind(&plane, "later"), Vec::<String>::new());

    // Who joined for nothing is selected by its labels, as everywhere.
    let honest = Hello { labels: sly.labels.clone(), ..hello("pay-0", "pay") };
    let _honest = registered(&plane, &honest, &link(2, 2)).await.expect("registered");
    assert_eq!(behind(&plane, "payments"), ["pay-0"]);
    assert_eq!(behind(&plane, "later"), ["pay-0"]);
    // And what it joined for it stands behind, declared or not.
    declare(&plane, "web", "payments").await;
    assert_eq!(behind(&plane, "web"), ["pay-0", "web-0"]);
}

/// `web` of version `admin` made the service `web-admin`, and kept its own workloads out.
#[tokio::test]
async fn who_joined_for_one_service_makes_no_other_by_its_version() {
    let Bed { plane, owner, dir: _dir, .. } = Bed::new();
    tokio::spawn(owner.run(plane.stop.clone()));
    join(&plane);
    let sly = Hello { version: "admin".to_owned(), ..hello("web-0", "web") };
    let _sly = registered(&plane, &sly, &link(1, 1)).await.expect("as `web` it is welcome");
    assert_eq!(behind(&plane, "web-admin"), Vec::<String>::new());
    let own = Hello { version: String::new(), ..hello("admin-0", "web-admin") };
    let _own = registered(&plane, &own, &link(2, 2)).await.expect("the name is free");
    assert_eq!(behind(&plane, "web-admin"), ["admin-0"]);
    assert_eq!(behind(&plane, "web"), ["web-0"]);
}

/// Callers that dialled the address of another workload were led to its own service.
#[tokio::test]
async fn who_joined_does_not_take_the_address_of_another() {
    let Bed { plane, owner, dir: _dir, .. } = Bed::new();
    tokio::spawn(owner.run(plane.stop.clone()));
    join(&plane);
    let at = |name: &str, service: &str, port: u32| {
        let mut hello = Hello { version: String::new(), ..hello(name, service) };
        hello.addresses = vec!["10.0.0.5".to_owned()];
        hello.ports[0].dial_port = port;
        hello
    };
    let _pay = registered(&plane, &at("pay-0", "pay", 41_001), &link(1, 1)).await.expect("taken");
    let refused = registered(&plane, &at("web-0", "web", 41_001), &link(2, 2)).await;
    let refused = refused.expect_err("it is that of `pay`");
    assert_eq!(refused.code(), Code::AlreadyExists);
    assert!(refused.message().contains("`10.0.0.5:41001` is that of proxy `default/pay-0`"));
    // Beside it on the same machine, again, and in another process of the same identity it is welcome.
    let web = at("web-0", "web", 41_002);
    drop(registered(&plane, &web, &link(3, 3)).await.expect("another port"));
    let _web = registered(&plane, &web, &link(4, 4)).await.expect("again");
    let _next = registered(&plane, &at("web-1", "web", 41_002), &link(5, 5)).await.expect("taken");
}

/// What the mesh had not taken was noted as taken, and never tried again.
#[tokio::test]
async fn a_state_that_the_mesh_does_not_take_is_not_noted() {
    let Bed { plane, owner, dir: _dir, .. } = Bed::new();
    let (stop, ready) = (CancellationToken::new(), || State { ready: true, ..State::default() });
    let hub = tokio::spawn(owner.run(stop.clone()));
    let connected = registered(&plane, &hello("web-0", "web"), &link(1, 1)).await.expect("taken");
    let id = connected.registration.proxy();
    let mut stream = Stream { connected, asked: HashMap::new(), next: 1 };
    assert!(stream.state(ready()).await);
    assert!(!stream.state(State::default()).await);
    stop.cancel();
    hub.await.expect("it ended");
    assert!(!stream.state(ready()).await, "nobody calls it");
    let board = plane.board.lock();
    let proxy = board.proxies.get(&id).expect("there");
    assert!(!stream.connected.registration.ready && !proxy.registration.ready);
    assert!(proxy.told.as_ref().is_some_and(|told| told.ready), "what it says of itself is shown");
}
