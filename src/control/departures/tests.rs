//! Ten seconds of grace, thirty after a start, half of a service in any ten.

use super::*;

struct Bed {
    start: Instant,
    departures: Departures,
    left: usize,
}

impl Bed {
    /// `size` endpoints of `reviews`; all of them lost at `lost` seconds.
    fn new(size: usize, lost: u64) -> Self {
        let start = Instant::now();
        let mut departures = Departures::new(start);
        for index in 0..size {
            departures.lost(proxy(index), service(), start + Duration::from_secs(lost));
        }
        Self { start, departures, left: size }
    }

    fn at(&mut self, seconds: u64) -> usize {
        let left = self.left;
        let due = self.departures.due(self.start + Duration::from_secs(seconds), |_| left);
        self.left -= due.len();
        due.len()
    }
}

fn proxy(index: usize) -> ProxyId {
    format!("default/reviews-{index}").parse().expect("valid")
}

fn service() -> ServiceName {
    "default/reviews".parse().expect("valid")
}

#[test]
fn a_lost_stream_has_ten_seconds() {
    let mut bed = Bed::new(1, 100);
    assert_eq!([bed.at(105), bed.at(109), bed.at(110), bed.at(111)], [0, 0, 1, 0]);
}

#[test]
fn nobody_goes_in_the_first_thirty_seconds() {
    let mut bed = Bed::new(1, 0);
    assert_eq!([bed.at(10), bed.at(29), bed.at(30)], [0, 0, 1]);
}

#[test]
fn half_of_a_service_rounded_up_goes_in_any_ten_seconds() {
    let mut bed = Bed::new(5, 100);
    assert_eq!([bed.at(110), bed.at(111), bed.at(119), bed.at(120)], [3, 0, 0, 1]);
    assert_eq!([bed.at(125), bed.at(130)], [0, 1]);
    assert_eq!(bed.left, 0);
}

#[test]
fn who_comes_back_stays() {
    let mut bed = Bed::new(2, 100);
    bed.departures.settle(&proxy(0));
    bed.departures.settle(&proxy(1));
    assert_eq!(bed.at(200), 0);
}

#[test]
fn losing_a_stream_again_does_not_start_the_grace_anew() {
    let mut bed = Bed::new(1, 100);
    bed.departures.lost(proxy(0), service(), bed.start + Duration::from_secs(109));
    assert_eq!(bed.at(110), 1);
}

#[test]
fn services_are_damped_apart() {
    let mut bed = Bed::new(2, 100);
    let other: ServiceName = "default/ratings".parse().expect("valid");
    let lost = bed.start + Duration::from_secs(100);
    bed.departures.lost("default/ratings-0".parse().expect("valid"), other.clone(), lost);
    let due = bed.departures.due(lost + GRACE, |name| if *name == other { 1 } else { 2 });
    assert_eq!(due.len(), 2, "one of each: {due:?}");
}
