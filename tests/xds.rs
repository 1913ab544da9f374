//! A session and a subscription against each other: thousands of seeded histories of changes,
//! refusals, late verdicts, broken streams and restarts of either end. Afterwards the proxy uses
//! what the control plane has, but for what it refused, and nobody talks any more. `wire` is the
//! same over real gRPC.
//!
//! `SEED=n cargo test --test all xds::` plays one history alone.

mod history;
mod proxy;
mod wire;

use history::{Counts, History};

const SEEDS: u64 = 4000;

#[test]
fn both_ends_agree_after_any_history() {
    let only = std::env::var("SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let seeds = only.map_or(0..SEEDS, |seed| seed..seed + 1);
    for seed in seeds {
        let played = std::panic::catch_unwind(|| History::new(seed).play());
        assert!(played.is_ok(), "a history went wrong, see above; SEED={seed} plays it alone");
    }
}

/// Histories are worth something only if there is everything in them.
#[test]
fn histories_have_everything_in_them() {
    let all: Vec<Counts> = (0..100).map(|seed| History::new(seed).play()).collect();
    let sum = |of: fn(&Counts) -> usize| all.iter().map(of).sum::<usize>();
    assert!(sum(|counts| counts.changes) > 1000);
    assert!(sum(|counts| counts.sent) > 1000);
    assert!(sum(|counts| counts.refused) > 100);
    assert!(sum(|counts| counts.breaks) > 100);
    assert!(sum(|counts| counts.restarts) > 100);
}
