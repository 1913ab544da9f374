//! What the proxy's end asks for, holds and answers, without a server.

use super::*;
use crate::resource::Address;
use crate::xds::codec::{Encoded, encode};

fn address(last: u8, port: u16) -> Encoded {
    encode(&Resource::Address(Address {
        address: format!("10.0.0.{last}:80").parse().unwrap(),
        service: "shop/web".parse().unwrap(),
        port,
    }))
}

fn key(last: u8) -> Key {
    address(last, 1).key
}

fn response(nonce: &str, resources: &[&Encoded], removed: &[Key]) -> DeltaResponse {
    DeltaResponse {
        type_url: Kind::Address.type_url().into(),
        nonce: nonce.into(),
        resources: resources.iter().map(|encoded| encoded.to_wire()).collect(),
        removed: removed.iter().map(|key| key.name.to_string()).collect(),
    }
}

fn refusal(key: &Key) -> Refusal {
    Refusal::new(&key.name, "service", "not today")
}

fn version(encoded: &Encoded) -> Held {
    Held::Version(encoded.version.clone())
}

/// Subscribed to 10.0.0.1 and 10.0.0.2, with a stream that has been told.
fn streaming() -> Subscription {
    let mut subscription = Subscription::new();
    subscription.subscribe(&key(1)).unwrap();
    subscription.subscribe(&key(2)).unwrap();
    let _ = subscription.start(Node::default());
    subscription
}

#[test]
fn a_stream_begins_with_every_name_and_what_is_held() {
    let mut subscription = Subscription::new();
    subscription.subscribe(&key(1)).unwrap();
    subscription.resume(&key(2), "abc").unwrap();
    subscription.subscribe(&Key::mesh()).unwrap();
    assert_eq!(subscription.poll(), [], "there is nobody to tell yet");
    let node = Node { id: "shop/web-1".into(), ..Node::default() };
    let requests = subscription.start(node.clone());
    let [mesh, addresses] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!((&mesh.node, &addresses.node), (&Some(node), &None));
    assert_eq!(mesh.subscribe, ["mesh"]);
    assert_eq!(addresses.subscribe, ["address/10.0.0.1:80", "address/10.0.0.2:80"]);
    let held: Vec<_> = addresses.initial_versions.iter().collect();
    assert_eq!(held, [(&"address/10.0.0.2:80".to_owned(), &"abc".to_owned())]);
}

#[test]
fn a_stream_without_names_says_who_asks() {
    let node = Node { id: "shop/web-1".into(), ..Node::default() };
    let requests = Subscription::new().start(node.clone());
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].node, Some(node));
}

#[test]
fn changes_of_subscriptions_are_told_once_and_together() {
    let mut subscription = streaming();
    subscription.subscribe(&key(1)).unwrap();
    assert_eq!(subscription.poll(), [], "it is subscribed already");
    subscription.subscribe(&key(3)).unwrap();
    subscription.unsubscribe(&key(1));
    let requests = subscription.poll();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].subscribe, ["address/10.0.0.3:80"]);
    assert_eq!(requests[0].unsubscribe, ["address/10.0.0.1:80"]);
    assert_eq!(subscription.poll(), []);
}

#[test]
fn what_is_settled_is_held_and_what_is_refused_keeps_the_last_good() {
    let mut subscription = streaming();
    let (one, two) = (address(1, 1), address(2, 1));
    let received = subscription.on_response(response("a", &[&one, &two], &[]));
    assert_eq!(received.updates.len(), 2);
    assert_eq!(subscription.held(&key(1)), Some(&Held::Unknown), "not before it is settled");
    let ack = subscription.settle(received.ticket, Vec::new()).unwrap();
    assert_eq!((ack.response_nonce.as_str(), ack.error), ("a", None));

    let (newer_one, newer_two) = (address(1, 2), address(2, 2));
    let received = subscription.on_response(response("b", &[&newer_one, &newer_two], &[]));
    let nack = subscription.settle(received.ticket, vec![refusal(&key(1))]).unwrap();
    let error = nack.error.unwrap();
    assert_eq!(error.message, "address/10.0.0.1:80: service: not today");
    assert_eq!(error.refusals().collect::<Vec<_>>(), [refusal(&key(1))]);
    assert_eq!(subscription.held(&key(1)), Some(&version(&one)));
    assert_eq!(subscription.held(&key(2)), Some(&version(&newer_two)));
}

#[test]
fn one_bad_body_does_not_hold_back_the_others() {
    let mut subscription = streaming();
    let (good, mut bad) = (address(1, 1), address(2, 1));
    bad.body = vec![0xff; 9].into();
    let received = subscription.on_response(response("a", &[&bad, &good], &[]));
    assert_eq!(received.updates.len(), 1);
    assert_eq!(received.encoded, std::slice::from_ref(&good), "as it came");
    assert_eq!(received.refused[0].name, *key(2).name);
    let nack = subscription.settle(received.ticket, Vec::new()).unwrap();
    assert_eq!(nack.error.unwrap().refusals().count(), 1);
    assert_eq!(subscription.held(&key(1)), Some(&version(&good)));
    assert_eq!(subscription.held(&key(2)), Some(&Held::Unknown));
}

#[test]
fn an_unknown_kind_is_refused() {
    let mut subscription = streaming();
    let url = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
    let foreign = DeltaResponse { type_url: url.into(), ..response("a", &[&address(1, 1)], &[]) };
    let received = subscription.on_response(foreign);
    assert_eq!(received.updates, []);
    let nack = subscription.settle(received.ticket, Vec::new()).unwrap();
    assert_eq!((nack.type_url.as_str(), nack.response_nonce.as_str()), (url, "a"));
    assert!(nack.error.unwrap().message.contains("not known"));
}

#[test]
fn what_is_removed_is_known_not_to_exist() {
    let mut subscription = streaming();
    let received = subscription.on_response(response("a", &[], &[key(1)]));
    assert_eq!(received.updates, [(key(1), None)]);
    let _ = subscription.settle(received.ticket, Vec::new());
    assert_eq!(subscription.held(&key(1)), Some(&Held::Absent));
}

#[test]
fn responses_settle_in_any_order_and_the_newest_counts() {
    let mut subscription = streaming();
    let (older, newer) = (address(1, 1), address(1, 2));
    let first = subscription.on_response(response("a", &[&older], &[])).ticket;
    let second = subscription.on_response(response("b", &[&newer], &[])).ticket;
    let ack = subscription.settle(second, Vec::new()).unwrap();
    assert_eq!(ack.response_nonce, "b");
    let ack = subscription.settle(first, Vec::new()).unwrap();
    assert_eq!(ack.response_nonce, "a");
    assert_eq!(subscription.held(&key(1)), Some(&version(&newer)));
}

#[test]
fn a_newer_one_refused_leaves_an_older_one_that_waits() {
    let mut subscription = streaming();
    let (older, newer) = (address(1, 1), address(1, 2));
    let first = subscription.on_response(response("a", &[&older], &[])).ticket;
    let second = subscription.on_response(response("b", &[&newer], &[])).ticket;
    let _ = subscription.settle(second, vec![refusal(&key(1))]);
    let _ = subscription.settle(first, Vec::new());
    assert_eq!(subscription.held(&key(1)), Some(&version(&older)));
    let requests = subscription.start(Node::default());
    assert_eq!(requests[0].initial_versions.len(), 1, "all is settled");
}

/// The caller may have put an unsettled update in use after all, so claiming the version before it
/// could leave it with the update for good.
#[test]
fn what_was_not_settled_when_a_stream_ended_is_not_claimed() {
    let mut subscription = streaming();
    let first = subscription.on_response(response("a", &[&address(1, 1)], &[])).ticket;
    let _ = subscription.settle(first, Vec::new());
    let late = subscription.on_response(response("b", &[&address(1, 2)], &[])).ticket;
    let requests = subscription.start(Node::default());
    assert!(requests[0].initial_versions.is_empty(), "{requests:?}");
    assert_eq!(subscription.settle(late, Vec::new()), None);
    assert_eq!(subscription.held(&key(1)), Some(&Held::Unknown));
}

#[test]
fn a_name_let_go_is_neither_read_nor_held() {
    let mut subscription = streaming();
    let late = subscription.on_response(response("a", &[&address(1, 1)], &[])).ticket;
    subscription.unsubscribe(&key(1));
    let received = subscription.on_response(response("b", &[&address(1, 2)], &[]));
    assert_eq!(received.updates, []);
    let ack = subscription.settle(received.ticket, Vec::new()).unwrap();
    assert_eq!(ack.error, None);

    subscription.subscribe(&key(1)).unwrap();
    let _ = subscription.settle(late, Vec::new());
    assert_eq!(subscription.held(&key(1)), Some(&Held::Unknown), "that was the one let go");
}

#[test]
fn names_and_unsettled_responses_are_bounded() {
    let mut subscription = streaming();
    for count in subscription.names.len()..NAMES {
        let name = format!("address/[::{count:x}]:80").into();
        subscription.subscribe(&Key { kind: Kind::Address, name }).unwrap();
    }
    assert_eq!(subscription.subscribe(&Key::mesh()), Err(TooManyNames));
    let one = address(1, 1);
    let unsettled: Vec<_> =
        (0..UNSETTLED).map(|_| subscription.on_response(response("a", &[&one], &[]))).collect();
    assert!(unsettled.iter().all(|received| received.refused.is_empty()));
    let beyond = subscription.on_response(response("b", &[&one], &[]));
    assert_eq!((beyond.updates.len(), beyond.refused.len()), (0, 1));
}

/// A hundred that cannot be read of each kind, and a good one among them.
#[test]
fn a_hundred_bad_bodies_of_any_kind_hold_back_nothing() {
    for kind in Kind::ALL {
        let mut subscription = Subscription::new();
        let bad = |which: usize| Key { kind, name: format!("default/bad-{which}").into() };
        let good = Key::mesh();
        subscription.subscribe(&good).unwrap();
        let mut offered = DeltaResponse { type_url: kind.type_url().into(), ..Default::default() };
        for which in 0..100 {
            subscription.subscribe(&bad(which)).unwrap();
            let body: Vec<u8> = match which % 4 {
                0 => vec![0xff; 40],
                1 => vec![0x0a, 0x7f],
                2 => vec![0x08],
                _ => (0..=255).collect(),
            };
            offered.resources.push(WireResource {
                name: bad(which).name.to_string(),
                version: format!("{which}"),
                resource: Some(super::super::discovery::Any {
                    type_url: kind.type_url().into(),
                    value: body.into(),
                }),
            });
        }
        let _ = subscription.start(Node::default());
        let received = subscription.on_response(offered);
        assert_eq!((received.updates.len(), received.refused.len()), (0, 100), "{kind:?}");
        let nack = subscription.settle(received.ticket, Vec::new()).unwrap().error.unwrap();
        let named: Vec<_> = nack.refusals().map(|refusal| refusal.name).collect();
        assert_eq!(named, (0..100).map(|it| bad(it).name.to_string()).collect::<Vec<_>>());
        assert!(nack.refusals().all(|refusal| !refusal.reason.is_empty()), "{kind:?}");
        assert_eq!(subscription.held(&bad(0)), Some(&Held::Unknown), "{kind:?}");
        // What came before stays, and what comes after is taken.
        assert_eq!(subscription.held(&good), Some(&Held::Unknown));
    }
}
