//! The limit that is found: near what the service keeps up with, for hours, and never out of bounds.

use proptest::prelude::*;

use super::*;

const BOUNDS: AdaptiveConcurrency = AdaptiveConcurrency { min: 3, max: 1_000 };

/// A service that works on so many requests at once, each for `base_us`; more of them queue.
struct Service {
    at_once: f64,
    base_us: f64,
}

impl Service {
    /// The latency with so many in flight.
    fn latency(&self, in_flight: u32) -> f64 {
        self.base_us * (f64::from(in_flight) / self.at_once).max(1.0)
    }
}

struct Caller {
    gradient: Gradient,
    now_ms: u64,
}

impl Caller {
    fn new() -> Self {
        Self { gradient: Gradient::new(BOUNDS), now_ms: 0 }
    }

    /// Lets `seconds` pass with a demand of so many at once; the worst latency of its second half.
    fn call(&mut self, service: &Service, demand: u32, seconds: u64) -> f64 {
        let windows = seconds * 1_000 / WINDOW;
        let mut worst = 0.0_f64;
        for nth in 0..windows {
            let most = demand.min(self.gradient.limit());
            let latency = service.latency(most);
            if nth > windows / 2 {
                worst = worst.max(latency);
            }
            self.now_ms += WINDOW;
            self.gradient.learn(super::Window { latency_us: latency, most }, self.now_ms);
        }
        worst
    }

    fn limit(&self) -> u32 {
        self.gradient.limit()
    }
}

#[test]
fn hours_of_overload_keep_the_queue_short() {
    for at_once in [4.0, 32.0, 200.0] {
        let service = Service { at_once, base_us: 20_000.0 };
        let mut caller = Caller::new();
        caller.call(&service, 2, 10);
        let worst = caller.call(&service, 10_000, 4 * 3_600);
        assert!(worst <= service.base_us * 2.5, "{at_once}: {worst}");
        assert!(f64::from(caller.limit()) >= at_once * 0.5, "{at_once}: {}", caller.limit());
    }
}

#[test]
fn overload_from_the_first_request_on_is_found_out_too() {
    let service = Service { at_once: 8.0, base_us: 5_000.0 };
    let mut caller = Caller::new();
    let worst = caller.call(&service, 10_000, 3_600);
    assert!(worst <= service.base_us * 3.0, "{worst}");
}

#[test]
fn a_service_that_became_slower_is_not_starved() {
    let fast = Service { at_once: 50.0, base_us: 10_000.0 };
    let slow = Service { at_once: 50.0, base_us: 40_000.0 };
    let mut caller = Caller::new();
    caller.call(&fast, 500, 600);
    caller.call(&slow, 500, 1_800);
    assert!(caller.limit() >= 40, "{}", caller.limit());
    let worst = caller.call(&fast, 500, 600);
    assert!(worst <= fast.base_us * 2.5, "{worst}");
}

#[test]
fn without_load_the_limit_stays_where_it_is() {
    let service = Service { at_once: 50.0, base_us: 10_000.0 };
    let mut caller = Caller::new();
    caller.call(&service, 500, 600);
    let before = caller.limit();
    caller.call(&service, 5, 7_200);
    assert_eq!(caller.limit(), before);
}

proptest! {
    #[test]
    fn the_limit_stays_within_its_bounds(
        windows in prop::collection::vec((1.0..1e9_f64, 0..5_000_u32, 0..120_000_u64), 1..300),
        min in 1..50_u32,
        more in 0..2_000_u32,
    ) {
        let bounds = AdaptiveConcurrency { min, max: min + more };
        let mut gradient = Gradient::new(bounds);
        let mut now = 0;
        for (latency_us, most, wait) in windows {
            now += wait;
            gradient.learn(super::Window { latency_us, most }, now);
            prop_assert!((bounds.min..=bounds.max).contains(&gradient.limit()));
        }
    }
}

#[test]
fn samples_of_workers_become_windows() {
    let adaptive = Adaptive::default();
    assert_eq!(adaptive.current(), u32::MAX);
    adaptive.limit(Some(BOUNDS));
    let first = adaptive.current();
    assert_eq!(first, 20);
    for ms in 0..10_000_u64 {
        adaptive.sample(Duration::from_millis(10), 20, ms);
    }
    assert!(adaptive.current() > first, "it may grow: {}", adaptive.current());
    let grown = adaptive.current();
    for ms in 10_000..20_000_u64 {
        adaptive.sample(Duration::from_millis(100), 1_000, ms);
    }
    assert!(adaptive.current() < grown, "it must shrink: {}", adaptive.current());
    adaptive.limit(None);
    assert_eq!(adaptive.current(), u32::MAX);
}
