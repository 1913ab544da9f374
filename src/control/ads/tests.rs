//! Who may ask for what, and what the board knows of what was not sent.

use super::*;
use crate::control::api::shapes::ProxyState;
use crate::control::registration::{Registration, tests::hello};
use crate::control::run::tests::Bed;

#[test]
fn a_proxy_gets_its_own_workload_and_rules_of_its_own_namespace_alone() {
    let id: ProxyId = "shop/web-0".parse().expect("valid");
    let service = "default/reviews".parse().expect("valid");
    let namespace = |text: &str| text.parse().expect("valid");
    let cases = [
        (Key::mesh(), true),
        (Key::service(&service), true),
        (Key::cluster(&service), true),
        (Key::service_for(&service, &namespace("shop")), true),
        (Key::service_for(&service, &namespace("bank")), false),
        (Key::workload(&id), true),
        (Key::workload(&"shop/web-1".parse().expect("valid")), false),
        (Key::workload(&"bank/web-0".parse().expect("valid")), false),
    ];
    for (key, allowed) in cases {
        assert_eq!(authorized(&id, &key), allowed, "{key}");
    }
}

/// Only what was sent and answered was told to the board: such a revision stayed pending for ever.
#[tokio::test]
async fn what_is_too_large_to_be_sent_is_a_refusal_of_its_revision() {
    let Bed { plane, dir: _dir, .. } = Bed::new();
    let registration = Registration::from_hello(&hello("web-0", "web")).expect("valid");
    let id = registration.proxy();
    {
        let (mut board, now) = (plane.board.lock(), Timestamp::now());
        board.proxies.register(registration, now);
        let link =
            DiscoveryLink { stream: 1, agent: 1, wake: Arc::default(), dirty: BTreeSet::new() };
        board.attach(&id, link, now);
    }
    let mut conversation = Conversation::new(&plane, id.clone(), 1);
    conversation.session = Session::new(Limits { resource_bytes: 10, ..Limits::default() });
    let type_url = Kind::Mesh.type_url().to_owned();
    let subscribe = vec![Key::mesh().name.to_string()];
    let request = DeltaRequest { type_url, subscribe, ..DeltaRequest::default() };
    conversation.request(request).expect("it may");
    {
        let (mut board, now) = (plane.board.lock(), Instant::now());
        let published = board.published(&Key::mesh()).expect("there is one");
        board.publish(vec![(Key::mesh(), None)], &[], now, now);
        board.publish(vec![(Key::mesh(), Some(published))], &[(7, now)], now, now);
    }
    assert_eq!(conversation.responses(), []);
    let mut board = plane.board.lock();
    let propagation = board.ledger.propagation(7, |_| true);
    assert_eq!((propagation.pending.len(), propagation.rejected.len()), (0, 1));
    let rejection = &propagation.rejected[0];
    assert_eq!(
        (&rejection.proxy, &rejection.resource),
        (&id.to_string(), &Key::mesh().to_string())
    );
    assert!(rejection.reason.contains("10 is the most"), "{}", rejection.reason);
    assert_eq!(board.proxies.get(&id).expect("there").state, ProxyState::Rejected);
}
