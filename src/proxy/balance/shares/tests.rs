//! The line of units: exact shares, in turn and at random, whatever the weights.

use proptest::prelude::*;

use super::*;

fn weights() -> impl Strategy<Value = Vec<u64>> {
    let mixed = prop::collection::vec(prop_oneof![1..8u64, 1..100_000u64, Just(1_000)], 1..40);
    prop_oneof![mixed, prop::collection::vec(Just(3), 1..40)]
}

proptest! {
    #[test]
    fn every_unit_has_the_owner_whose_units_it_is_among(weights in weights(), at in 0.0..1.0f64) {
        let shares = Shares::new(&weights);
        let sum: u64 = weights.iter().sum();
        for (member, weight) in weights.iter().enumerate() {
            let units = shares.units(member);
            let own = u128::from(units.end - units.start) * u128::from(sum);
            prop_assert_eq!(own, u128::from(*weight) * u128::from(shares.total()));
            let inside = units.start + ((units.end - units.start) as f64 * at) as u64;
            for unit in [units.start, inside.min(units.end - 1), units.end - 1] {
                prop_assert_eq!(shares.owner(unit), member);
            }
        }
    }

    #[test]
    fn in_turn_everybody_gets_exactly_their_share_and_nobody_waits_long(
        weights in prop::collection::vec(1..30u64, 1..20),
        start in 0..1_000_000u64,
    ) {
        let shares = Shares::new(&weights);
        let total = shares.total();
        let mut turns = vec![Vec::new(); weights.len()];
        for turn in 0..2 * total {
            turns[shares.owner(shares.at_turn(start + turn))].push(turn);
        }
        for (member, turns) in turns.iter().enumerate() {
            let units = shares.units(member);
            let own = units.end - units.start;
            prop_assert_eq!(turns.len() as u64, 2 * own);
            let longest = turns.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
            prop_assert!(longest <= 4 * total / own + 1, "{longest} of {total} with {own}");
        }
    }
}

#[test]
fn equal_members_come_strictly_in_turn() {
    for count in 1..50 {
        let shares = Shares::even(count);
        for round in 0..3 {
            let turns = (0..count as u64).map(|turn| round * count as u64 + turn);
            let mut seen: Vec<_> = turns.map(|turn| shares.owner(shares.at_turn(turn))).collect();
            seen.sort_unstable();
            assert!(seen.into_iter().eq(0..count), "{count} members, round {round}");
        }
    }
}

#[test]
fn lines_longer_than_a_word_are_walked_exactly() {
    let weights: Vec<u64> = (1..=5_000).map(|number| 100_000_000 + number * 17).collect();
    let shares = Shares::new(&weights);
    assert!(shares.total() > u64::from(u32::MAX));
    let units: Vec<_> = (0..1_000).map(|turn| shares.at_turn(turn)).collect();
    assert!(units.iter().all(|unit| *unit < shares.total()));
    let mut owners: Vec<_> = units.iter().map(|unit| shares.owner(*unit)).collect();
    owners.sort_unstable();
    owners.dedup();
    assert!(owners.len() > 990, "a thousand turns are spread over {} of 5 000", owners.len());
}
