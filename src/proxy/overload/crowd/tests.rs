//! Who counts, and for how long.

use super::*;

#[test]
fn what_began_lately_and_goes_on_counts() {
    let begun = Instant::now();
    let mut crowd = Crowd::default();
    let mut coming =
        |ms: u64, under_way| crowd.coming(begun + Duration::from_millis(ms), under_way) / EACH;
    assert_eq!(coming(0, 100), 0, "they were there before");
    assert_eq!(coming(10, 164), 64);
    assert_eq!(coming(20, 228), 128);
    assert_eq!(coming(500, 90), 0, "they have ended");
    assert_eq!(coming(510, 154), 64, "others are there for them");
    assert_eq!(coming(5_499, 154), 64);
    assert_eq!(coming(5_511, 154), 0, "they have had their time");
    assert_eq!(coming(19_000, 5_000), 0, "nothing is known of them");
}

#[test]
fn many_short_ones_do_not_add_up() {
    let begun = Instant::now();
    let mut crowd = Crowd::default();
    let looks = (0..20_000_u64).map(|look| {
        let under_way = 30 + (look % 7) as usize;
        crowd.coming(begun + Duration::from_millis(look), under_way)
    });
    assert!(looks.max().unwrap_or(0) <= 7 * EACH);
    assert!(crowd.0.len() <= 5_001);
}
