//! Workloads by their own addresses: asked for once, told apart from services and from what is
//! outside, retired when somebody else has the address.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::{QUICK, Rig, cluster, identity, named, service, subscribe};
use crate::names::Protocol;
use crate::proxy::directory::{Destination, Effect, HostCell, Limits, Miss, Ticket};
use crate::resource::{Address, Host, Key, Resource};

fn ip(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn host(last: u8, name: &str) -> Host {
    Host {
        ip: ip(last),
        service: named(name),
        workload: format!("{name}-0").parse().unwrap(),
        identity: Some(identity(name)),
        version: "v1".to_owned(),
        ports: vec![(25, Protocol::Tcp)],
    }
}

impl Rig {
    fn call_host(&mut self, last: u8) -> Vec<Effect> {
        self.loader.want_host(ip(last), self.start);
        self.loader.take_effects()
    }

    /// What is known without anybody answering: waits are not for these tests.
    async fn host_at(&self, last: u8) -> Result<Arc<HostCell>, Miss> {
        self.directory.wait_host(ip(last)).await
    }
}

#[tokio::test]
async fn a_workload_is_asked_for_once_and_its_ports_are_endpoints_of_their_own() {
    let mut rig = Rig::new(QUICK);
    assert_eq!(rig.call_host(1), [subscribe(Key::host(ip(1)))]);
    assert_eq!(rig.call_host(1), [], "asked for once");
    assert_eq!(rig.host_at(1).await.unwrap_err(), Miss::Pending, "no answer is not outside");
    assert_eq!(rig.offer(Resource::Host(host(1, "db")), 1), [Effect::Accept(Ticket(1))]);
    let cell = rig.host_at(1).await.unwrap();
    assert_eq!((&*cell.label, cell.protocol(25)), ("shop/db", Protocol::Tcp));
    assert_eq!(cell.protocol(80), Protocol::Detect);
    let endpoint = cell.endpoint(25);
    assert_eq!(endpoint.address, SocketAddr::new(ip(1), 25));
    assert_eq!(endpoint.identity, Some(identity("db")));
    assert!(Arc::ptr_eq(&endpoint, &cell.endpoint(25)), "its connections are reused");
    assert_ne!(endpoint.id, cell.endpoint(80).id);
}

#[tokio::test]
async fn a_cell_is_retired_when_somebody_else_has_the_address_or_nobody() {
    let mut rig = Rig::new(Limits::STANDARD);
    rig.call_host(1);
    rig.offer(Resource::Host(host(1, "db")), 1);
    let first = rig.host_at(1).await.unwrap();
    rig.offer(Resource::Host(host(1, "db")), 2);
    assert!(Arc::ptr_eq(&first, &rig.host_at(1).await.unwrap()), "nothing has changed");
    rig.offer(Resource::Host(Host { version: "v2".to_owned(), ..host(1, "db") }), 3);
    let second = rig.host_at(1).await.unwrap();
    assert_eq!((first.is_retired(), &*second.host.version), (false, "v2"));
    rig.offer(Resource::Host(Host { identity: None, ..host(1, "db") }), 4);
    assert!(second.is_retired(), "what needed mutual TLS must not go on without");
    let third = rig.host_at(1).await.unwrap();
    rig.gone(&Key::host(ip(1)));
    assert!(third.is_retired());
    assert_eq!(rig.host_at(1).await.unwrap_err(), Miss::NotAService);
    assert_eq!(rig.loader.outside_hosts(), [ip(1)]);
}

#[tokio::test]
async fn workloads_are_bounded_and_let_go_when_idle() {
    let mut rig = Rig::new(QUICK);
    rig.call_host(1);
    rig.call_host(2);
    assert_eq!(rig.call_host(3), [], "full of addresses without an answer");
    rig.offer(Resource::Host(host(1, "db")), 1);
    rig.gone(&Key::host(ip(2)));
    let [old, new] = [ip(2), ip(3)].map(Key::host);
    assert_eq!(rig.call_host(3), [Effect::Unsubscribe(old), subscribe(new.clone())]);
    rig.offer(Resource::Host(host(3, "web")), 2);
    rig.loader.tick(rig.start + Duration::from_secs(30));
    let used = rig.host_at(1).await.unwrap();
    let newest = subscribe(Key::host(ip(4)));
    assert_eq!(rig.call_host(4), [Effect::Unsubscribe(new), newest], "not used the longest");
    let unanswered = Effect::Unsubscribe(Key::host(ip(4)));
    assert_eq!(rig.tick(Duration::from_secs(60)), [unanswered]);
    assert!(!used.is_retired());
    let cell = rig.host_at(1).await.unwrap();
    let idle = [Effect::Unsubscribe(Key::host(ip(1)))];
    assert_eq!(rig.tick(Duration::from_secs(659)), [], "used at 60 s");
    assert_eq!(rig.tick(Duration::from_secs(660)), idle);
    assert!(!cell.is_retired(), "whoever calls it still may go on");
}

#[tokio::test]
async fn an_address_is_a_service_before_it_is_a_workload_before_it_is_outside() {
    let mut rig = Rig::new(Limits::STANDARD);
    let directory = Arc::clone(&rig.directory);
    let at = |last| SocketAddr::new(ip(last), 80);
    let called = async {
        let wait = |last| directory.wait_destination(at(last));
        tokio::join!(wait(1), wait(2), wait(3))
    };
    let answers = async {
        directory.wanted().await;
        assert_eq!(directory.take_wanted_addresses(), [at(1), at(2), at(3)]);
        assert_eq!(directory.take_wanted_hosts(), [ip(1), ip(2), ip(3)]);
        for last in [1, 2, 3] {
            rig.loader.want_address(at(last), rig.start);
            rig.call_host(last);
        }
        let found = Address { address: at(1), service: named("db"), port: 80 };
        for last in [1, 2] {
            rig.offer(Resource::Host(host(last, "pod")), 1);
        }
        rig.gone(&Key::host(ip(3)));
        rig.offer(Resource::Address(found), 2);
        rig.offer(Resource::Service(service("db", &["v1"])), 3);
        rig.offer(cluster("v1"), 4);
        rig.gone(&Key::address(at(2)));
        rig.gone(&Key::address(at(3)));
    };
    let ((one, two, three), ()) = tokio::join!(called, answers);
    assert!(
        matches!(one, Ok(Destination::Service(cell, 80)) if cell.table.load().name == named("db"))
    );
    assert!(matches!(two, Ok(Destination::Host(cell)) if cell.host.workload.as_str() == "pod-0"));
    assert!(matches!(three, Err(Miss::NotAService)));
}

#[tokio::test]
async fn a_workload_alone_does_not_say_that_no_service_is_there() {
    let mut rig = Rig::new(QUICK);
    rig.call_host(1);
    rig.offer(Resource::Host(host(1, "pod")), 1);
    let called = rig.directory.wait_destination(SocketAddr::new(ip(1), 80)).await;
    assert!(matches!(called, Err(Miss::Pending)));
}
