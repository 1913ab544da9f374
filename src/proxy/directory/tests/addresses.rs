//! Addresses in the directory: asked for once, answered either way, bounded, let go when idle.

use std::net::SocketAddr;
use std::time::Duration;

use super::{QUICK, Rig, cluster, named, service, subscribe};
use crate::proxy::directory::{Answering, Effect, Limits, Miss, Ticket};
use crate::resource::{Address, Key, Resource};

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn found(port: u16, name: &str) -> Resource {
    Resource::Address(Address { address: address(port), service: named(name), port: 80 })
}

impl Rig {
    fn call(&mut self, port: u16) -> Vec<Effect> {
        self.loader.want_address(address(port), self.start);
        self.loader.take_effects()
    }

    fn at(&self, port: u16) -> Answering {
        self.directory.address(address(port))
    }
}

#[test]
fn an_address_is_asked_for_once_and_its_service_with_the_answer() {
    let mut rig = Rig::new(Limits::STANDARD);
    assert_eq!(rig.call(1), [subscribe(Key::address(address(1)))]);
    assert_eq!(rig.call(1), [], "asked for once");
    assert_eq!(rig.at(1), Answering::Unknown);
    let effects = rig.offer(found(1, "reviews"), 1);
    let service = subscribe(Key::service(&named("reviews")));
    assert_eq!(effects, [service, Effect::Accept(Ticket(1))]);
    assert_eq!(rig.at(1), Answering::Service(named("reviews"), 80));
}

#[test]
fn an_address_is_outside_when_the_control_plane_says_so_and_until_it_says_otherwise() {
    let mut rig = Rig::new(Limits::STANDARD);
    rig.call(1);
    assert_eq!(rig.gone(&Key::address(address(1))), []);
    assert_eq!(rig.at(1), Answering::Outside);
    assert_eq!(rig.loader.outside(), [address(1)]);
    rig.offer(found(1, "reviews"), 1);
    assert_eq!(rig.at(1), Answering::Service(named("reviews"), 80));
    assert_eq!(rig.loader.outside(), []);
}

#[test]
fn an_answer_about_an_address_nobody_asks_for_changes_nothing() {
    let mut rig = Rig::new(Limits::STANDARD);
    assert_eq!(rig.offer(found(1, "reviews"), 1), [Effect::Accept(Ticket(1))]);
    rig.gone(&Key::address(address(2)));
    assert_eq!([rig.at(1), rig.at(2)], [Answering::Unknown, Answering::Unknown]);
}

#[test]
fn idle_addresses_are_let_go_those_outside_sooner() {
    let mut rig = Rig::new(Limits::STANDARD);
    for port in [1, 2, 3] {
        rig.call(port);
    }
    rig.offer(found(1, "reviews"), 1);
    rig.gone(&Key::address(address(2)));
    rig.loader.tick(rig.start + Duration::from_secs(30));
    assert_eq!(rig.at(2), Answering::Outside, "and used again");
    let no_answer = Effect::Unsubscribe(Key::address(address(3)));
    assert!(rig.tick(Duration::from_secs(60)).contains(&no_answer));
    assert_eq!(rig.at(1), Answering::Service(named("reviews"), 80), "used at 60 s");
    let outside = Effect::Unsubscribe(Key::address(address(2)));
    assert!(rig.tick(Duration::from_secs(90)).contains(&outside));
    assert_eq!(rig.at(2), Answering::Unknown);
    assert_eq!(rig.at(1), Answering::Service(named("reviews"), 80), "used at 90 s");
    let inside = Effect::Unsubscribe(Key::address(address(1)));
    assert!(!rig.tick(Duration::from_secs(689)).contains(&inside));
    assert!(rig.tick(Duration::from_secs(690)).contains(&inside));
    assert_eq!(rig.at(1), Answering::Unknown);
}

#[test]
fn addresses_are_bounded_and_those_outside_make_room() {
    let mut rig = Rig::new(QUICK);
    rig.call(1);
    rig.call(2);
    assert_eq!(rig.call(3), [], "full of addresses without an answer");
    rig.gone(&Key::address(address(1)));
    let [old, new] = [address(1), address(3)].map(Key::address);
    assert_eq!(rig.call(3), [Effect::Unsubscribe(old), subscribe(new)]);
    assert_eq!(rig.at(1), Answering::Unknown);
}

#[tokio::test]
async fn a_call_waits_for_the_address_and_for_its_service() {
    let mut rig = Rig::new(Limits::STANDARD);
    let directory = std::sync::Arc::clone(&rig.directory);
    let request = directory.wait_service_at(address(1));
    let answer = async {
        directory.wanted().await;
        assert_eq!(directory.take_wanted_addresses(), [address(1)]);
        rig.call(1);
        rig.offer(found(1, "reviews"), 1);
        rig.offer(Resource::Service(service("reviews", &["v1"])), 2);
        rig.offer(cluster("v1"), 3);
    };
    let (called, ()) = tokio::join!(request, answer);
    let (cell, port) = called.unwrap();
    assert_eq!((&cell.table.load().name, port), (&named("reviews"), 80));
}

#[tokio::test]
async fn without_an_answer_an_address_is_pending_never_outside() {
    let mut rig = Rig::new(QUICK);
    let directory = std::sync::Arc::clone(&rig.directory);
    let wait = || directory.wait_address(address(1));
    let (a, b, c) = tokio::join!(wait(), wait(), wait());
    assert_eq!([a, b, c], [const { Err(Miss::Pending) }; 3]);
    rig.call(1);
    rig.offer(found(1, "reviews"), 1);
    rig.gone(&Key::service(&named("reviews")));
    let called = directory.wait_service_at(address(1)).await;
    assert_eq!(called.unwrap_err(), Miss::Pending, "an address of the mesh is never outside");
    rig.gone(&Key::address(address(1)));
    assert_eq!(wait().await, Err(Miss::NotAService));
}
