//! When load is shed, and when no longer: by simulated fill alone.

use proptest::prelude::*;

use super::{Bell, Level, Overload};

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
        assert_eq!(overload.measure(fill), before != level, "{fill}");
        assert_eq!(overload.level(), level, "{fill}");
    }
}

#[test]
fn who_was_there_before_goes_on_until_all_are_refused() {
    let overload = Overload::default();
    let admitted =
        |overload: &Overload| [Level::Calm, Level::Shed].map(|then| overload.admits(then));
    assert_eq!(admitted(&overload), [true, true]);
    overload.measure(930);
    assert_eq!(admitted(&overload), [true, false]);
    overload.measure(960);
    assert_eq!(admitted(&overload), [false, false]);
    overload.measure(100);
    assert_eq!(admitted(&overload), [true, true]);
}

proptest! {
    #[test]
    fn a_small_change_never_moves_it_to_and_fro(fill in 0_u32..1_200, wobble in 0_u32..25) {
        let mut level = Level::Calm.next(fill);
        let mut changes = 0;
        for turn in 0..20 {
            let next = level.next(if turn % 2 == 0 { fill + wobble } else { fill });
            changes += u32::from(next != level);
            level = next;
        }
        prop_assert!(changes <= 2, "{changes}");
    }
}

#[test]
fn a_look_calls_the_workers_as_long_as_there_is_something_to_do() {
    let (overload, bell) = (Overload::default(), Bell::default());
    let mut shortages = bell.shortages();
    for (fill, level, called) in [
        (Some(100), Level::Calm, false),
        (Some(930), Level::Shed, true),
        // What cannot be read changes nothing.
        (None, Level::Shed, false),
        (Some(930), Level::Shed, true),
        (Some(100), Level::Calm, false),
    ] {
        overload.look(fill, &bell);
        assert_eq!(overload.level(), level);
        assert_eq!(shortages.has_changed().expect("the bell is there"), called);
        shortages.mark_unchanged();
    }
}
