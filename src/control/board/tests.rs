//! Nobody misses a change, and what flaps back is not a change.

use super::*;
use crate::control::registration::{Registration, tests::hello};
use crate::resource::{Mesh, OutboundMode, Resource};
use crate::xds::codec;

fn mesh(sampling_ppm: u32) -> (Key, Option<Published>) {
    let resource = Resource::Mesh(Mesh {
        trust_domain: "cluster.local".parse().expect("valid"),
        roots: Vec::new(),
        outbound: OutboundMode::AllowAny,
        sampling_ppm,
    });
    let encoded = Arc::new(codec::encode(&resource));
    (Key::mesh(), Some(Published { encoded, origins: Vec::new() }))
}

fn subscribed() -> (Board, ProxyId) {
    let mut board = Board::new(0);
    let registration = Registration::from_hello(&hello("web-0", "web")).expect("valid");
    let (id, now) = (registration.proxy(), Timestamp::UNIX_EPOCH);
    board.proxies.register(registration, now);
    let link = DiscoveryLink { stream: 1, agent: 1, wake: Arc::default(), dirty: BTreeSet::new() };
    board.attach(&id, link, now);
    board.proxies.subscribe(&id, Key::mesh());
    (board, id)
}

fn dirty(board: &mut Board, id: &ProxyId) -> usize {
    board.take_dirty(id, 1, Timestamp::UNIX_EPOCH).expect("attached").len()
}

#[test]
fn a_change_wakes_its_subscribers_once_and_the_same_again_nobody() {
    let (mut board, id) = subscribed();
    board.publish(vec![mesh(1)], &[], Instant::now(), Instant::now());
    assert_eq!(dirty(&mut board, &id), 1);
    board.publish(vec![mesh(1)], &[], Instant::now(), Instant::now());
    assert_eq!(dirty(&mut board, &id), 0);
    board.publish(vec![(Key::mesh(), None)], &[], Instant::now(), Instant::now());
    assert_eq!(dirty(&mut board, &id), 1);
    assert_eq!(board.version(&Key::mesh()), None);
}

#[test]
fn a_revision_waits_for_those_who_subscribed_before_it() {
    let (mut board, id) = subscribed();
    board.publish(vec![mesh(1)], &[(1, Instant::now())], Instant::now(), Instant::now());
    let pending = board.ledger.propagation(1, |_| true).pending;
    assert_eq!(pending, [id.to_string()]);
}

#[test]
fn a_newer_stream_takes_the_place_of_an_older_one() {
    let (mut board, id) = subscribed();
    let (wake, now) = (Arc::new(tokio::sync::Notify::new()), Timestamp::UNIX_EPOCH);
    let before =
        board.attach(&id, DiscoveryLink { stream: 2, agent: 2, wake, dirty: BTreeSet::new() }, now);
    assert_eq!(before, [Key::mesh()]);
    assert_eq!(board.take_dirty(&id, 1, now), None);
    board.detach(&id, 1, now);
    assert!(board.proxies.get(&id).expect("there").discovery.is_some(), "the newer one stays");
}
