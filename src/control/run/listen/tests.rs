//! Who has a place on the port for proxies.

use super::*;

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn one_address_takes_no_more_than_a_quarter_with_a_certificate_or_without() {
    let places = Places::new(40);
    let other = address("10.0.0.2");
    for from in ["10.0.0.1", "::ffff:10.0.0.1"].map(address) {
        let held: Vec<_> = (0..10).map(|_| places.take(true, from)).collect();
        assert!(held.iter().all(Result::is_ok), "{from}");
        assert_eq!(places.take(true, from).err(), Some(Limit::Connections));
        assert!(places.take(true, other).is_ok());
    }
    let from = address("10.0.0.1");
    assert!(places.take(true, from).is_ok(), "they were given back");
    let held: Vec<_> = (0..ANONYMOUS_EACH).map(|_| places.take(false, from)).collect();
    assert!(held.iter().all(Result::is_ok));
    assert_eq!(places.take(false, from).err(), Some(Limit::JoiningConnections));
}

#[test]
fn proxies_of_one_machine_are_not_counted_together() {
    let places = Places::new(4);
    let held: Vec<_> = (0..100).map(|_| places.take(true, address("127.0.0.1"))).collect();
    assert!(held.iter().all(|it| matches!(it, Ok(None))));
}
