//! What connections may yet take that have just come; a machine without I/O.
//!
//! A connection costs little when it is accepted, and most of what it ever will a moment later, when
//! its request is on its way and an answer waits to be read. Thousands can come in that moment. So for
//! a second each counts as if it took as much as one that stalls, besides what is measured. Those that
//! end make place for others: what counts is by how many they have become more.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What a connection may come to, bytes: of one whose client does not read, the rooms of both sides,
/// TLS, and what the kernel counts to the group.
const EACH: u64 = 48 * 1024;

/// How long it may take until it has.
const SETTLED: Duration = Duration::from_secs(1);

/// How many were open, at the looks of the last second.
#[derive(Debug, Default)]
pub(super) struct Crowd(VecDeque<(Instant, usize)>);

impl Crowd {
    /// Bytes that are to be expected of those who came lately, where `open` are open now.
    pub(super) fn coming(&mut self, now: Instant, open: usize) -> u64 {
        while self.0.pop_front_if(|(at, _)| now.saturating_duration_since(*at) >= SETTLED).is_some()
        {
        }
        self.0.push_back((now, open));
        let least = self.0.iter().map(|(_, open)| *open).min().unwrap_or(open);
        EACH.saturating_mul((open - least) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_within_a_second_and_is_still_there_counts() {
        let begun = Instant::now();
        let mut crowd = Crowd::default();
        let mut coming =
            |ms: u64, open| crowd.coming(begun + Duration::from_millis(ms), open) / EACH;
        assert_eq!(coming(0, 100), 0, "they were there before");
        assert_eq!(coming(10, 164), 64);
        assert_eq!(coming(20, 228), 128);
        assert_eq!(coming(500, 90), 0, "they have gone");
        assert_eq!(coming(510, 154), 64, "others are there for them");
        assert_eq!(coming(1_499, 154), 64);
        assert_eq!(coming(1_511, 154), 0, "they have had their second");
        assert_eq!(coming(9_000, 5_000), 0, "nothing is known of them");
    }

    #[test]
    fn connections_of_one_request_each_do_not_add_up() {
        let begun = Instant::now();
        let mut crowd = Crowd::default();
        let looks = (0..10_000_u64).map(|look| {
            let open = 30 + (look % 7) as usize;
            crowd.coming(begun + Duration::from_millis(look), open)
        });
        assert!(looks.max().unwrap_or(0) <= 7 * EACH);
        assert!(crowd.0.len() <= 1_001);
    }
}
