//! Properties of ejection: what holds whatever endpoints answer, and whenever.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Event {
    Answer(usize, u16),
    Wait(u64),
    Check(usize, bool),
    Resize(usize),
    TakeOut(usize, Option<u64>),
    Restore(usize),
    Shadow(bool),
}

fn event() -> impl Strategy<Value = Event> {
    let index = 0..24_usize;
    let status = prop_oneof![Just(200_u16), Just(500), Just(503)];
    prop_oneof![
        30 => (index.clone(), status).prop_map(|(index, status)| Event::Answer(index, status)),
        10 => (0..40_000_u64).prop_map(Event::Wait),
        5 => (index.clone(), any::<bool>()).prop_map(|(index, well)| Event::Check(index, well)),
        1 => (1..24_usize).prop_map(Event::Resize),
        1 => (index.clone(), prop::option::of(0..90_000_u64))
            .prop_map(|(index, time)| Event::TakeOut(index, time)),
        1 => index.prop_map(Event::Restore),
        1 => any::<bool>().prop_map(Event::Shadow),
    ]
}

fn rig(count: usize, ppm: u32) -> Rig {
    let rate = SuccessRate { minimum_hosts: 2, request_volume: 5, stdev_factor_milli: 1_000 };
    let percent = FailurePercent { threshold_ppm: 500_000, minimum_hosts: 1, request_volume: 5 };
    let mut rig = Rig::new(
        count,
        OutlierDetection {
            consecutive_errors: Some(2),
            consecutive_gateway_errors: Some(2),
            success_rate: Some(rate),
            failure_percent: Some(percent),
            max_ejection_ppm: ppm,
            ..standard()
        },
    );
    rig.health = Some(HealthCheck {
        probe: HealthProbe::Tcp,
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(1),
        unhealthy_after: 2,
        healthy_after: 2,
    });
    rig
}

fn happen(rig: &mut Rig, event: &Event) {
    let here = rig.endpoints.len();
    let name = |index: usize| rig.endpoints[index % here].workload.clone();
    match *event {
        Event::Answer(index, status) => {
            let burst = if status == 200 { 1 } else { 3 };
            (0..burst).for_each(|_| rig.answer(index % here, Verdict::Answered(status, None)));
        }
        Event::Wait(ms) => rig.wait_until(rig.now + ms),
        Event::Check(index, well) => {
            let outcome = if well { Ok(()) } else { Err("no".to_owned()) };
            rig.check(index % here, outcome);
        }
        Event::Resize(count) => {
            rig.endpoints.truncate(count);
            rig.endpoints.extend((rig.endpoints.len()..count).map(fresh));
            rig.act(|machine, group, rules, _| machine.adopt(&[group], rules));
            rig.tick();
        }
        Event::TakeOut(index, time) => {
            let (name, until) = (name(index), time.map(|time| rig.now + time));
            rig.act(|machine, group, rules, now| {
                machine.take_out(&[group], &name, until, rules, now)
            });
        }
        Event::Restore(index) => {
            let name = name(index);
            rig.act(|machine, group, rules, now| machine.restore(&[group], &name, rules, now));
        }
        Event::Shadow(shadow) => {
            rig.shadow = shadow;
            rig.act(|machine, group, rules, _| machine.adopt(&[group], rules));
        }
    }
}

proptest! {
    #[test]
    fn never_more_are_ejected_than_may_be_and_all_come_back(
        events in prop::collection::vec(event(), 1..250),
        ppm in 0..1_000_000_u32,
    ) {
        let mut rig = rig(24, ppm);
        for event in &events {
            happen(&mut rig, event);
            let limit = most(rig.outliers.as_ref().unwrap(), rig.endpoints.len());
            let ejected = rig.endpoints.iter().filter(|one| rig.machine.is_ejected(one)).count();
            prop_assert!(ejected <= limit, "{} of {}", ejected, rig.endpoints.len());
            for index in 0..rig.endpoints.len() {
                let out = rig.standing(index) == Standing::Out;
                let (state, spared) = match rig.state(index) {
                    Some((state, _, spared)) => (state, spared),
                    None => (String::new(), false),
                };
                let held = ["by-hand", "ejected", "unhealthy"].contains(&state.as_str());
                prop_assert_eq!(out, held && !spared, "what is shown is what is: {}", state);
            }
        }
        // Everything is well from now on, and nobody holds anybody back.
        let names: Vec<_> = rig.endpoints.iter().map(|one| one.workload.clone()).collect();
        for name in names.clone() {
            if rig.machine.by_hand.contains_key(&name) {
                rig.act(|machine, group, rules, now| machine.restore(&[group], &name, rules, now));
            }
        }
        for _ in 0..60 {
            for index in 0..names.len() {
                rig.check(index, Ok(()));
                if rig.standing(index) != Standing::Out {
                    rig.succeed(index, 5);
                }
            }
            rig.wait_until(rig.now + 10 * SECOND);
        }
        for index in 0..names.len() {
            prop_assert_eq!(rig.standing(index), Standing::In(1.0), "{}", rig.words(index));
        }
    }
}
