//! What verdicts say of an endpoint, and what its share is.

use super::*;

fn rules() -> OutlierDetection {
    OutlierDetection {
        consecutive_errors: Some(5),
        consecutive_gateway_errors: Some(3),
        consecutive_local_errors: Some(2),
        success_rate: None,
        failure_percent: None,
        interval: Duration::from_secs(10),
        base_ejection: Duration::from_secs(30),
        max_ejection: Duration::from_secs(300),
        max_ejection_ppm: 100_000,
    }
}

#[test]
fn verdicts_are_good_or_bad_or_say_nothing() {
    let bad = |gateway, local| Some(Sign::Bad { gateway, local });
    let cases = [
        (Verdict::Answered(200, None), Some(Sign::Good)),
        (Verdict::Answered(404, None), Some(Sign::Good)),
        (Verdict::Answered(429, None), Some(Sign::Good)),
        (Verdict::Answered(500, None), bad(false, false)),
        (Verdict::Answered(503, None), bad(true, false)),
        (Verdict::Answered(503, Some(0)), bad(true, false)),
        (Verdict::Answered(200, Some(0)), Some(Sign::Good)),
        (Verdict::Answered(200, Some(5)), Some(Sign::Good)),
        (Verdict::Answered(200, Some(12)), Some(Sign::Good)),
        (Verdict::Answered(200, Some(13)), bad(false, false)),
        (Verdict::Answered(200, Some(14)), bad(true, false)),
        (Verdict::Failed(Reason::ConnectFailure), bad(true, true)),
        (Verdict::Failed(Reason::TryTimeout), bad(true, true)),
        (Verdict::Failed(Reason::UpstreamReset), bad(false, true)),
        (Verdict::Failed(Reason::MaxConnections), None),
        (Verdict::Failed(Reason::ClientGone), None),
        (Verdict::Abandoned, None),
    ];
    for (verdict, sign) in cases {
        assert_eq!(Sign::of(verdict), sign, "{verdict:?}");
    }
}

#[test]
fn errors_in_a_row_are_counted_by_kind() {
    let (vitals, rules) = (Vitals::default(), rules());
    let gateway = Sign::Bad { gateway: true, local: false };
    let local = Sign::Bad { gateway: false, local: true };
    let own = Sign::Bad { gateway: false, local: false };
    assert_eq!(vitals.note(gateway, &rules), None);
    assert_eq!(vitals.note(gateway, &rules), None);
    assert_eq!(vitals.note(own, &rules), None, "an error that is none of a gateway ends its row");
    assert_eq!(vitals.note(gateway, &rules), None);
    assert_eq!(vitals.note(gateway, &rules), Some(Crossing::Errors(5, "errors")));
    assert_eq!(vitals.note(Sign::Good, &rules), None);
    assert_eq!(vitals.note(local, &rules), None);
    assert_eq!(vitals.note(local, &rules), Some(Crossing::Errors(2, "local errors")));
}

#[test]
fn on_probation_one_error_decides_and_so_do_five_successes() {
    let (vitals, rules) = (Vitals::default(), rules());
    vitals.decide(Phase::Ejected, true, false, false);
    assert_eq!(vitals.standing(0), Standing::Out);
    let own = Sign::Bad { gateway: false, local: false };
    assert_eq!((0..9).find_map(|_| vitals.note(own, &rules)), None, "it is out");
    vitals.decide(Phase::Probation, false, false, true);
    assert_eq!(vitals.standing(0), Standing::In(TRICKLE));
    assert_eq!((0..4).find_map(|_| vitals.note(Sign::Good, &rules)), None);
    assert_eq!(vitals.note(Sign::Good, &rules), Some(Crossing::Recovered));
    assert_eq!(vitals.note(own, &rules), Some(Crossing::Relapse));
    let lenient = OutlierDetection { consecutive_errors: None, ..rules };
    assert_eq!(vitals.note(own, &lenient), None, "only gateway and local errors count");
}

#[test]
fn a_share_grows_evenly_while_it_warms_up() {
    let vitals = Vitals::default();
    assert_eq!(vitals.standing(0), Standing::In(1.0));
    vitals.warm_up(1_000, Duration::from_secs(10));
    let share = |now| match vitals.standing(now) {
        Standing::In(share) => share,
        Standing::Out => 0.0,
    };
    assert_eq!([share(1_000), share(6_000), share(11_000)], [COLD, 0.5, 1.0]);
    assert!((1..11).all(|second| share(second * 1_000) <= share((second + 1) * 1_000)));
    assert_eq!((vitals.warm_at(10_999), vitals.warm_at(11_000)), (Some(11_000), None));
}
