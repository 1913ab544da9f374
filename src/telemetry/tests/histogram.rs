//! Buckets cover every value, and quantiles lie in the right one.

use std::time::Duration;

use proptest::prelude::*;

use crate::telemetry::histogram::*;

fn of(values: &[u64]) -> Histogram {
    let mut histogram = Histogram::default();
    for micros in values {
        histogram.record(Duration::from_micros(*micros));
    }
    histogram
}

#[test]
fn buckets_begin_where_the_one_before_ends() {
    for bucket in 0..BUCKETS {
        let (low, next) = (lower_bound(bucket), lower_bound(bucket + 1));
        assert!(low < next, "{bucket}");
        assert_eq!(bucket_of(low), bucket);
        assert_eq!(bucket_of(next - 1), bucket);
    }
    assert_eq!(lower_bound(0), 0);
    assert_eq!(lower_bound(BUCKETS), 1 << 32);
    assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
}

proptest! {
    #[test]
    fn buckets_are_monotone_and_narrow(a in 0_u64..1 << 32, b in 0_u64..1 << 32) {
        let (low, high) = (a.min(b), a.max(b));
        prop_assert!(bucket_of(low) <= bucket_of(high));
        let bucket = bucket_of(a);
        let width = lower_bound(bucket + 1) - lower_bound(bucket);
        prop_assert!(width == 1 || width * 8 <= lower_bound(bucket));
    }

    #[test]
    fn quantiles_are_off_by_an_eighth_at_most(
        mut values in prop::collection::vec(1_u64..4_000_000_000, 1..300),
        q in 0.0_f64..=1.0,
    ) {
        let found = of(&values).quantile(q).expect("values").as_secs_f64() * 1e6;
        values.sort_unstable();
        let rank = (q * values.len() as f64).ceil().max(1.0) as usize;
        let exact = *values.get(rank - 1).expect("inside") as f64;
        prop_assert!((found - exact).abs() <= exact / 8.0 + 1.0, "{found} is not {exact}");
    }

    #[test]
    fn merging_and_subtracting_are_opposite(
        a in prop::collection::vec(any::<u32>(), 0..50),
        b in prop::collection::vec(any::<u32>(), 0..50),
    ) {
        let wide = |values: &[u32]| of(&values.iter().map(|v| u64::from(*v)).collect::<Vec<_>>());
        let (a, b) = (wide(&a), wide(&b));
        let mut sum = a.clone();
        sum.merge(&b);
        prop_assert_eq!(sum.count(), a.count() + b.count());
        prop_assert_eq!(sum.since(&a), b);
    }
}

#[test]
fn nothing_has_no_quantile_and_one_value_has_only_itself() {
    assert_eq!(Histogram::default().quantile(0.5), None);
    let one = of(&[1_000]);
    for q in [0.0, 0.5, 1.0, 7.0, -1.0] {
        let found = one.quantile(q).expect("a value");
        assert!((960..=1_024).contains(&micros(found)), "{found:?}");
    }
}

#[test]
fn buckets_from_the_network_are_bounded_and_counts_saturate() {
    let mut histogram = Histogram::default();
    histogram.add(usize::MAX, u64::MAX);
    histogram.add(0, 5);
    histogram.add(0, u64::MAX);
    assert_eq!(histogram.count(), u64::MAX);
    assert_eq!(histogram.non_empty().count(), 2);
    assert!(histogram.quantile(0.99).is_some());
}
