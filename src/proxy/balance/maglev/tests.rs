//! The table is the one of the paper, however it is filled.

use proptest::prelude::*;

use super::*;

/// The paper's procedure, word for word, with weights: a member is due in the first round in which
/// it has had fewer places than its weight entitles it to.
fn plain(keys: &[u64], weights: &[u64], length: u32) -> Vec<u32> {
    let heaviest = weights.iter().copied().max().unwrap();
    let mut places = vec![u32::MAX; length as usize];
    let mut at: Vec<u64> = keys.iter().map(|key| hash::nth(*key, 1) % u64::from(length)).collect();
    let skip = |member: usize| hash::nth(keys[member], 2) % u64::from(length - 1) + 1;
    let mut times = vec![1; keys.len()];
    let mut queue: Vec<Vec<usize>> = vec![Vec::new(); length as usize + 1];
    let mut free = length;
    let due = |times: u64, member: usize| (times * heaviest).div_ceil(weights[member]) as usize;
    for member in 0..keys.len() {
        if let Some(round) = queue.get_mut(due(1, member)) {
            round.push(member);
        }
    }
    for round in 1..=length as usize {
        for member in std::mem::take(&mut queue[round]) {
            while places[at[member] as usize] != u32::MAX {
                at[member] = (at[member] + skip(member)) % u64::from(length);
            }
            places[at[member] as usize] = member as u32;
            free -= 1;
            if free == 0 {
                return places;
            }
            times[member] += 1;
            if let Some(later) = queue.get_mut(due(times[member], member)) {
                later.push(member);
            }
        }
    }
    places
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn filled_quickly_it_is_the_same_table(
        keys in prop::collection::vec(any::<u64>(), 1..60),
        equal in any::<bool>(),
        weights in prop::collection::vec(prop_oneof![1..4u64, 1..5_000u64], 60),
    ) {
        let weights: Vec<u64> = weights[..keys.len()].iter().map(|w| if equal { 7 } else { *w }).collect();
        let table = Maglev::new(&keys, &weights);
        prop_assert!(*table.places == *plain(&keys, &weights, LENGTH), "{:?} {:?}", keys, weights);
    }

    #[test]
    fn nobody_is_due_before_or_after_the_time(heaviest in 1..10_000u64, part in 1..10_000u64) {
        let weight = part.min(heaviest);
        let mut due = Due::new(heaviest, weight);
        for times in 1..200 {
            prop_assert_eq!(due.round, (times * heaviest).div_ceil(weight));
            due.go_on();
        }
    }

    #[test]
    fn divided_and_multiplied_again_a_number_is_the_same(number in 1..LENGTH) {
        for prime in [LENGTH, LONG] {
            prop_assert_eq!(inverse(number, prime) * u64::from(number) % u64::from(prime), 1);
        }
    }
}

#[test]
fn for_thousands_it_is_the_same_table_too() {
    for count in [MANY, MANY + 1] {
        let keys: Vec<u64> = (0..count as u64).map(hash::mix).collect();
        let length = if count > MANY { LONG } else { LENGTH };
        let table = Maglev::new(&keys, &vec![3; count]);
        assert!(*table.places == *plain(&keys, &vec![3; count], length), "{count}");
    }
}
