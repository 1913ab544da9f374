//! When load is shed, and when no longer: by simulated fill alone.

use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;

use super::memory::{Fill, Gauge};
use super::{BURST, Bell, Level, Overload};

#[test]
fn shedding_and_cutting_begin_where_they_are_said_to_and_end_below() {
    let overload = Overload::default();
    let course = [
        (0, Level::Calm),
        (919, Level::Calm),
        (920, Level::Shed),
        (949, Level::Shed),
        (881, Level::Shed),
        (880, Level::Calm),
        (949, Level::Shed),
        (950, Level::Cut),
        (921, Level::Cut),
        (920, Level::Shed),
        (950, Level::Cut),
        (880, Level::Calm),
        (2_000, Level::Cut),
    ];
    for (fill, level) in course {
        let before = overload.level();
        assert_eq!(overload.measure(Fill::of(fill)), before != level, "{fill}");
        assert_eq!(overload.level(), level, "{fill}");
    }
}

#[test]
fn who_was_there_before_goes_on_until_all_are_refused() {
    let overload = Overload::default();
    let admitted =
        |overload: &Overload| [Level::Calm, Level::Shed].map(|then| overload.admits(then));
    assert_eq!(admitted(&overload), [true, true]);
    overload.measure(Fill::of(930));
    assert_eq!(admitted(&overload), [true, false]);
    overload.measure(Fill::of(960));
    assert_eq!(admitted(&overload), [false, false]);
    overload.measure(Fill::of(100));
    assert_eq!(admitted(&overload), [true, true]);
}

proptest! {
    #[test]
    fn a_small_change_never_moves_it_to_and_fro(fill in 0_u32..1_200, wobble in 0_u32..25) {
        let mut level = Level::Calm.next(Fill::of(fill));
        let mut changes = 0;
        for turn in 0..20 {
            let next = level.next(Fill::of(if turn % 2 == 0 { fill + wobble } else { fill }));
            changes += u32::from(next != level);
            level = next;
        }
        prop_assert!(changes <= 2, "{changes}");
    }
}

#[test]
fn who_has_just_come_keeps_others_out_and_cuts_nobody() {
    let overload = Overload::default();
    overload.measure(Fill { used: 300, soon: 920 });
    assert_eq!(overload.level(), Level::Shed);
    overload.measure(Fill { used: 500, soon: 2_000 });
    assert_eq!(overload.level(), Level::Shed, "they are not refused what they came for");
    overload.measure(Fill { used: 700, soon: 881 });
    assert_eq!(overload.level(), Level::Shed);
    overload.measure(Fill { used: 700, soon: 880 });
    assert_eq!(overload.level(), Level::Calm);
}

/// A process that is over its limit already, so that the first look sees it.
#[test]
fn many_that_come_at_once_are_a_reason_to_look_at_once() {
    let (overload, bell) = (Overload::new(Gauge::of_process(Some(1))), Bell::default());
    let shortages = bell.shortages();
    (1..BURST).for_each(|_| overload.arrives(&bell));
    assert_eq!(overload.level(), Level::Calm, "it was not looked at");
    overload.arrives(&bell);
    assert_eq!(overload.level(), Level::Cut);
    assert!(shortages.has_changed().expect("the bell is there"), "the workers are called");
}

#[tokio::test]
async fn the_workers_are_called_as_long_as_there_is_something_to_do() {
    let (overload, bell) =
        (Arc::new(Overload::new(Gauge::of_process(Some(1)))), Arc::<Bell>::default());
    let watch = tokio::spawn(Arc::clone(&overload).watch(Arc::clone(&bell)));
    let mut shortages = bell.shortages();
    for _ in 0..3 {
        shortages.changed().await.expect("the bell is there");
        assert_eq!(overload.level(), Level::Cut);
    }
    watch.abort();
}

#[test]
fn what_cannot_be_read_changes_nothing_and_where_there_is_room_nobody_is_called() {
    let (overload, now) = (Overload::default(), Instant::now());
    overload.measure(Fill::of(930));
    assert_eq!(overload.look(now), None, "there is nothing to read");
    assert_eq!(overload.level(), Level::Shed);

    let (overload, bell) = (Overload::new(Gauge::of_process(Some(u64::MAX / 2))), Bell::default());
    let shortages = bell.shortages();
    overload.measure(Fill::of(930));
    (0..BURST).for_each(|_| overload.arrives(&bell));
    assert_eq!(overload.level(), Level::Calm);
    assert!(!shortages.has_changed().expect("the bell is there"));
}

#[test]
fn what_is_under_way_is_counted_until_it_ends() {
    let (overload, now) = (Overload::new(Gauge::of_process(Some(1 << 40))), Instant::now());
    let lane = overload.lane().expect("there is a limit");
    let soon = || overload.look(now).expect("read");
    let before = soon();
    let many: Vec<_> = (0..1_000_000).map(|_| lane.begin()).collect();
    assert!(soon().soon >= before.soon + 90, "a tenth of the memory");
    drop(many);
    assert!(soon().soon < before.soon + 90);
    assert!(Overload::default().lane().is_none(), "nobody asks");
}
