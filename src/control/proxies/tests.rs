//! The state of a proxy follows from what it has, and the index from what it subscribes to.

use super::*;
use crate::control::registration::tests::hello;

fn key(name: &str) -> Key {
    Key::service(&format!("default/{name}").parse().expect("valid"))
}

fn link() -> DiscoveryLink {
    DiscoveryLink { stream: 1, agent: 1, wake: Arc::default(), dirty: BTreeSet::new() }
}

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

fn registered() -> (Proxies, ProxyId) {
    let mut proxies = Proxies::default();
    let registration = Registration::from_hello(&hello("web-0", "web")).expect("valid");
    let id = registration.proxy();
    proxies.register(registration, time(0));
    (proxies, id)
}

#[test]
fn goes_from_disconnected_over_pending_to_synced_or_rejected() {
    let (mut proxies, id) = registered();
    let state = |proxies: &Proxies| {
        let proxy = proxies.get(&id).expect("there");
        (proxy.state, proxy.since)
    };
    assert_eq!(state(&proxies), (ProxyState::Disconnected, time(0)));
    proxies.update(&id, time(1), |proxy| proxy.discovery = Some(link()));
    assert_eq!(state(&proxies), (ProxyState::Synced, time(1)));
    proxies.subscribe(&id, key("reviews"));
    let version: Version = Some("v1".into());
    let holding = |change: fn(&mut Holding, Version), proxies: &mut Proxies, at| {
        proxies.update(&id, time(at), |proxy| {
            change(proxy.holdings.get_mut(&key("reviews")).expect("subscribed"), version.clone());
        });
    };
    holding(|holding, version| holding.sent = Some(version), &mut proxies, 2);
    assert_eq!(state(&proxies), (ProxyState::Pending, time(2)));
    holding(|holding, version| holding.acknowledged = Some(version), &mut proxies, 3);
    assert_eq!(state(&proxies), (ProxyState::Synced, time(3)));
    let reject = |holding: &mut Holding, version| {
        holding.rejected = Some((version, "ports: none".to_owned()));
    };
    holding(reject, &mut proxies, 4);
    assert_eq!(state(&proxies), (ProxyState::Rejected, time(4)));
    let reason = proxies.get(&id).expect("there").reason();
    assert_eq!(reason, "Service default/reviews: ports: none");
    proxies.update(&id, time(5), |proxy| proxy.discovery = None);
    assert_eq!(state(&proxies), (ProxyState::Disconnected, time(5)));
}

#[test]
fn only_subscribers_are_woken_and_told_which_key() {
    let (mut proxies, id) = registered();
    proxies.update(&id, time(1), |proxy| proxy.discovery = Some(link()));
    proxies.subscribe(&id, key("reviews"));
    proxies.wake(&key("ratings"));
    proxies.wake(&key("reviews"));
    let dirty = &proxies.get(&id).expect("there").discovery.as_ref().expect("set").dirty;
    assert_eq!(dirty.iter().collect::<Vec<_>>(), [&key("reviews")]);
    proxies.unsubscribe(&id, &key("reviews"));
    assert_eq!(proxies.subscribers(&key("reviews")).count(), 0);
    assert!(proxies.subscribers.is_empty(), "no empty entry is left");
}

#[test]
fn who_is_away_for_an_hour_is_forgotten() {
    let (mut proxies, id) = registered();
    proxies.subscribe(&id, key("reviews"));
    assert!(proxies.forgotten(time(3_599)).is_empty());
    assert_eq!(proxies.forgotten(time(3_600)), std::slice::from_ref(&id));
    proxies.remove(&id);
    assert_eq!((proxies.count(), proxies.subscribers.len()), (0, 0));
}
