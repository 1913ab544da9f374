//! What is measured, and what is not.

use super::*;

fn proxy(name: &str) -> ProxyId {
    format!("default/{name}").parse().expect("valid")
}

fn key(name: &str) -> Key {
    Key::service(&format!("default/{name}").parse().expect("valid"))
}

fn sums(convergence: &Convergence) -> (u64, u64) {
    let (took, sum) = convergence.took();
    (took.count(), sum)
}

#[test]
fn each_proxy_is_measured_from_the_first_change_that_it_lacks() {
    let start = Instant::now();
    let after = |ms| start + Duration::from_millis(ms);
    let mut convergence = Convergence::default();
    for name in ["a", "b"] {
        convergence.changed(&proxy(name), &key("reviews"), start);
    }
    convergence.acknowledged(&proxy("a"), &key("reviews"), after(2));
    convergence.changed(&proxy("b"), &key("reviews"), after(5));
    convergence.acknowledged(&proxy("b"), &key("reviews"), after(8));
    assert_eq!(sums(&convergence), (2, 10_000));
    convergence.acknowledged(&proxy("b"), &key("reviews"), after(9));
    assert_eq!(sums(&convergence), (2, 10_000), "saying it again is no news");
}

#[test]
fn who_is_away_refuses_or_lets_go_is_not_measured() {
    let start = Instant::now();
    let mut convergence = Convergence::default();
    convergence.changed(&proxy("a"), &key("reviews"), start);
    convergence.left(&proxy("a"));
    convergence.changed(&proxy("b"), &key("reviews"), start);
    convergence.changed(&proxy("b"), &key("ratings"), start);
    assert!(convergence.forget(&proxy("b"), &key("reviews")).is_some());
    for name in ["a", "b"] {
        convergence.acknowledged(&proxy(name), &key("reviews"), start);
    }
    assert_eq!(sums(&convergence), (0, 0));
    convergence.acknowledged(&proxy("b"), &key("ratings"), start);
    assert_eq!(sums(&convergence), (1, 0));
    assert!(convergence.waiting.is_empty(), "nothing is kept of who is up to date");
}
