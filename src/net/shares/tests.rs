//! One address cannot take what others need, and what is given back can be taken again.

use super::*;

#[test]
fn one_address_leaves_places_to_the_others() {
    let shares = Shares::new(3, 2);
    let (greedy, other): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    let held = [shares.take(greedy), shares.take(greedy)];
    assert!(held.iter().all(Option::is_some));
    assert!(shares.take(greedy).is_none());
    // The same one, written for IPv6.
    assert!(shares.take("::ffff:10.0.0.1".parse().expect("an address")).is_none());
    let last = shares.take(other);
    assert!(last.is_some());
    assert!(shares.take(other).is_none(), "no more than there are in all");
    drop(held);
    assert!(shares.take(greedy).is_some());
    drop(last);
    assert!(shares.0.taken.lock().of.is_empty(), "nothing is remembered of who has left");
    assert_eq!(shares.0.taken.lock().all, 0);
}
