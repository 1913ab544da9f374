//! Hours of simulated time: flapping, failing and recovering endpoints under steady traffic.

use super::*;

/// Sends one request per endpoint and step to those that take part (on probation to one in ten), and
/// lets time pass; `fails` says who fails when.
fn run(rig: &mut Rig, seconds: u64, mut fails: impl FnMut(usize, u64) -> bool) {
    let end = rig.now + seconds * SECOND;
    let mut step = 0_u64;
    while rig.now < end {
        for index in 0..rig.endpoints.len() {
            let asked = match rig.standing(index) {
                Standing::Out => false,
                Standing::In(share) => share >= 1.0 || step.is_multiple_of(10),
            };
            if asked {
                let status = if fails(index, rig.now) { 503 } else { 200 };
                rig.answer(index, Verdict::Answered(status, None));
            }
        }
        step += 1;
        rig.wait_until(rig.now + SECOND / 5);
    }
}

/// How long each ejection of an endpoint lasted, seconds.
fn ejections(rig: &Rig, workload: &str) -> Vec<u64> {
    let of = rig.changes.iter().filter(|(_, name, _)| name == workload);
    let times = of.filter_map(|(_, _, what)| match what {
        What::Ejected { for_ms, .. } => Some(for_ms / SECOND),
        _ => None,
    });
    times.collect()
}

#[test]
fn who_never_recovers_is_out_longer_and_longer_up_to_the_longest() {
    let mut rig = Rig::new(10, standard());
    run(&mut rig, 4 * 3_600, |index, _| index == 4);
    let times = ejections(&rig, "w-4");
    assert_eq!(times[..11], [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300]);
    assert!(times[10..].iter().all(|time| *time == 300));
    assert!(rig.changes.iter().all(|(_, name, _)| name == "w-4"), "nobody else is touched");
}

#[test]
fn the_time_out_grows_while_it_flaps_and_shrinks_while_it_stays() {
    let mut rig = Rig::new(10, standard());
    // Bad for a quarter of an hour, then well for five minutes, then bad again.
    let bad = |now: u64| now < 900 * SECOND || (1_500 * SECOND..1_700 * SECOND).contains(&now);
    run(&mut rig, 1_400, |index, now| index == 0 && bad(now));
    let grown = ejections(&rig, "w-0");
    assert!(grown.len() >= 6 && grown.is_sorted(), "{grown:?}");
    assert_eq!(rig.standing(0), Standing::In(1.0), "back in full");
    let longest = *grown.last().unwrap();
    run(&mut rig, 300, |index, now| index == 0 && bad(now));
    let after = ejections(&rig, "w-0")[grown.len()];
    assert!(after < longest, "{after} after {longest}: it stayed in between");
    run(&mut rig, 7_200, |_, _| false);
    assert_eq!(rig.words(0), "well");
    let before = ejections(&rig, "w-0").len();
    rig.fail(0, 5);
    assert_eq!(ejections(&rig, "w-0")[before], 30, "after hours it begins anew");
}

#[test]
fn after_an_outage_of_all_everybody_has_a_full_share_again() {
    let outliers = OutlierDetection { max_ejection_ppm: 500_000, ..standard() };
    let mut rig = Rig::new(8, outliers);
    let mut most = 0;
    for _ in 0..20 {
        run(&mut rig, 60, |_, now| now < 1_200 * SECOND);
        most = most.max(rig.out());
    }
    assert_eq!(most, 4);
    run(&mut rig, 1_200, |_, _| false);
    assert!((0..8).all(|index| rig.standing(index) == Standing::In(1.0)));
    assert!((0..8).all(|index| rig.words(index) == "well"));
}

#[test]
fn ejections_end_on_time_and_not_with_the_interval() {
    let outliers = OutlierDetection { base_ejection: Duration::from_millis(3_300), ..standard() };
    let mut rig = Rig::new(10, outliers);
    rig.wait_until(5_000);
    rig.fail(0, 5);
    rig.wait_until(60 * SECOND);
    let back = rig.changes.iter().find(|(_, _, what)| *what == What::OnProbation).unwrap();
    assert_eq!(back.0, 8_300);
}

#[test]
fn slow_start_follows_the_probation() {
    let mut rig = Rig::new(10, standard());
    rig.slow_start = Some(Duration::from_secs(60));
    rig.fail(0, 5);
    rig.wait_until(30 * SECOND);
    rig.succeed(0, 5);
    let shares: Vec<f32> = (0..=6)
        .map(|step| {
            rig.wait_until((30 + step * 10) * SECOND);
            match rig.standing(0) {
                Standing::In(share) => share,
                Standing::Out => 0.0,
            }
        })
        .collect();
    assert!(shares.is_sorted() && shares.first() == Some(&0.1) && shares.last() == Some(&1.0));
    assert!(rig.state(0).is_none());
}
