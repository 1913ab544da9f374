//! Ejection: who goes, for how long, and how they come back; by table and by simulated hours.

use std::net::SocketAddr;

use super::*;
use crate::proxy::clock::Wall;
use crate::proxy::vitals::{Sign, Standing};
use crate::resource::{FailurePercent, HealthProbe, SuccessRate};
use crate::telemetry::reason::Reason;

mod properties;
mod simulation;

const SECOND: u64 = 1_000;

/// Five errors, ten seconds, thirty, three hundred, a tenth: what holds where nothing is said.
fn standard() -> OutlierDetection {
    OutlierDetection {
        consecutive_errors: Some(5),
        consecutive_gateway_errors: None,
        consecutive_local_errors: None,
        success_rate: None,
        failure_percent: None,
        interval: Duration::from_secs(10),
        base_ejection: Duration::from_secs(30),
        max_ejection: Duration::from_secs(300),
        max_ejection_ppm: 100_000,
    }
}

/// An endpoint that nobody has called yet.
fn fresh(index: usize) -> Arc<Endpoint> {
    let address = SocketAddr::from(([10, 0, 0, 1], 1_000 + index as u16));
    Arc::new(Endpoint::plain(format!("w-{index}").parse().unwrap(), address))
}

/// A pool of one port and what watches over it.
struct Rig {
    endpoints: Vec<Arc<Endpoint>>,
    machine: Ejections,
    outliers: Option<OutlierDetection>,
    health: Option<HealthCheck>,
    slow_start: Option<Duration>,
    shadow: bool,
    now: u64,
    changes: Vec<(u64, String, What)>,
}

impl Rig {
    fn new(count: usize, outliers: OutlierDetection) -> Self {
        Self {
            endpoints: (0..count).map(fresh).collect(),
            machine: Ejections::default(),
            outliers: Some(outliers),
            health: None,
            slow_start: None,
            shadow: false,
            now: 0,
            changes: Vec::new(),
        }
    }

    /// Does something to the machine, under the rules and at the time that hold.
    fn act<T>(
        &mut self,
        act: impl FnOnce(&mut Ejections, &[Arc<Endpoint>], Rules<'_>, u64) -> T,
    ) -> T {
        let rules = Rules {
            outliers: self.outliers.as_ref(),
            health: self.health.as_ref(),
            slow_start: self.slow_start,
            shadow: self.shadow,
        };
        act(&mut self.machine, &self.endpoints, rules, self.now)
    }

    fn note(&mut self, changes: impl IntoIterator<Item = Change>) {
        let now = self.now;
        self.changes.extend(
            changes.into_iter().map(|change| (now, change.workload.to_string(), change.what)),
        );
    }

    /// An endpoint answers.
    fn answer(&mut self, index: usize, verdict: Verdict) {
        let endpoint = Arc::clone(&self.endpoints[index]);
        let Some(outliers) = &self.outliers else { return };
        let sign = Sign::of(verdict).expect("it says something");
        let Some(crossing) = endpoint.vitals.note(sign, outliers) else { return };
        let change = self.act(|machine, group, rules, now| {
            machine.crossed(group, &endpoint, (crossing, verdict), rules, now)
        });
        self.note(change);
    }

    fn fail(&mut self, index: usize, times: usize) {
        (0..times).for_each(|_| self.answer(index, Verdict::Answered(503, None)));
    }

    fn succeed(&mut self, index: usize, times: usize) {
        (0..times).for_each(|_| self.answer(index, Verdict::Answered(200, None)));
    }

    fn check(&mut self, index: usize, outcome: Result<(), String>) {
        let endpoint = Arc::clone(&self.endpoints[index]);
        let change =
            self.act(|machine, _, rules, now| machine.checked(&endpoint, outcome, rules, now));
        self.note(change);
    }

    fn tick(&mut self) {
        let changes = self.act(|machine, group, rules, now| machine.tick(&[group], rules, now));
        self.note(changes);
    }

    /// Goes on to `until`, with a tick whenever the machine asks for one.
    fn wait_until(&mut self, until: u64) {
        loop {
            self.tick();
            let next = self.act(|machine, _, rules, _| machine.next(rules));
            match next.filter(|next| *next <= until) {
                Some(next) => self.now = next.max(self.now + 1),
                None => break,
            }
        }
        self.now = until;
        self.tick();
    }

    fn standing(&self, index: usize) -> Standing {
        self.endpoints[index].vitals.standing(self.now)
    }

    fn out(&self) -> usize {
        let out =
            self.endpoints.iter().filter(|one| one.vitals.standing(self.now) == Standing::Out);
        out.count()
    }

    fn state(&mut self, index: usize) -> Option<(String, String, bool)> {
        let endpoint = Arc::clone(&self.endpoints[index]);
        let said =
            self.act(|machine, _, rules, now| machine.report(&endpoint, rules, Wall::new(now, 0)));
        said.map(|said| (said.state, said.why, said.spared))
    }

    fn words(&mut self, index: usize) -> String {
        let said = self.state(index);
        said.map_or_else(|| "well".into(), |(state, why, _)| format!("{state}: {why}"))
    }
}

#[test]
fn errors_in_a_row_eject_and_probation_leads_back() {
    let mut rig = Rig::new(10, standard());
    rig.fail(3, 4);
    rig.succeed(3, 1);
    rig.fail(3, 4);
    assert_eq!(rig.standing(3), Standing::In(1.0));
    rig.fail(3, 1);
    assert_eq!(rig.standing(3), Standing::Out);
    assert_eq!(rig.words(3), "ejected: 5 errors in a row, the last was 503");
    rig.wait_until(30 * SECOND - 1);
    assert_eq!(rig.standing(3), Standing::Out);
    rig.wait_until(30 * SECOND);
    assert_eq!(rig.standing(3), Standing::In(0.1));
    assert!(rig.words(3).starts_with("probation"));
    rig.succeed(3, 5);
    assert_eq!((rig.standing(3), rig.words(3)), (Standing::In(1.0), "well".into()));
    assert_eq!(rig.machine.total(), 1);
}

#[test]
fn one_error_on_probation_ejects_for_longer() {
    let mut rig = Rig::new(10, standard());
    rig.fail(0, 5);
    rig.wait_until(30 * SECOND);
    rig.answer(0, Verdict::Failed(Reason::TryTimeout));
    assert_eq!(rig.words(0), "ejected: an error on probation: try_timeout");
    rig.wait_until(90 * SECOND - 1);
    assert_eq!(rig.standing(0), Standing::Out, "twice the base");
    rig.wait_until(90 * SECOND);
    assert_eq!(rig.standing(0), Standing::In(0.1));
}

#[test]
fn little_traffic_ends_a_probation_after_an_interval_and_none_does_not() {
    let mut rig = Rig::new(10, standard());
    rig.fail(0, 5);
    rig.wait_until(200 * SECOND);
    assert_eq!(rig.standing(0), Standing::In(0.1), "nobody has asked it anything");
    rig.succeed(0, 1);
    rig.wait_until(220 * SECOND);
    assert_eq!(rig.standing(0), Standing::In(1.0));
}

#[test]
fn who_is_too_many_is_spared_and_shown() {
    let mut rig = Rig::new(10, standard());
    rig.fail(0, 5);
    rig.fail(1, 5);
    assert_eq!((rig.out(), rig.standing(1)), (1, Standing::In(1.0)));
    let (state, why, spared) = rig.state(1).unwrap();
    assert_eq!((state.as_str(), spared), ("ejected", true));
    assert_eq!(why, "5 errors in a row, the last was 503");
    rig.wait_until(25 * SECOND);
    assert_eq!(rig.state(1), None, "it has not happened again");
    // One may always go, even the only one.
    let mut alone = Rig::new(1, standard());
    alone.fail(0, 5);
    assert_eq!(alone.out(), 1);
}

#[test]
fn success_far_below_that_of_the_others_ejects_at_the_end_of_the_interval() {
    let rate = SuccessRate { minimum_hosts: 5, request_volume: 100, stdev_factor_milli: 1_900 };
    let outliers =
        OutlierDetection { consecutive_errors: None, success_rate: Some(rate), ..standard() };
    let mut rig = Rig::new(6, outliers.clone());
    rig.tick();
    for index in 0..6 {
        rig.succeed(index, if index == 2 { 60 } else { 99 });
        rig.fail(index, if index == 2 { 40 } else { 1 });
    }
    rig.wait_until(10 * SECOND - 1);
    assert_eq!(rig.out(), 0);
    rig.wait_until(10 * SECOND);
    assert_eq!((rig.out(), rig.standing(2)), (1, Standing::Out));
    let why = rig.words(2);
    assert!(why.contains("60.0 % of 100 requests succeeded; below 64.9 %"), "{why}");
    // With less traffic, or fewer endpoints, nobody is judged.
    for (count, requests) in [(4, 100), (6, 99)] {
        let mut rig = Rig::new(count, outliers.clone());
        rig.tick();
        (0..count).for_each(|index| rig.succeed(index, if index == 0 { 0 } else { requests }));
        rig.fail(0, requests);
        rig.wait_until(10 * SECOND);
        assert_eq!(rig.out(), 0, "{count} endpoints, {requests} requests");
    }
}

#[test]
fn a_share_of_failures_ejects_the_worst_first() {
    let percent = FailurePercent { threshold_ppm: 850_000, minimum_hosts: 5, request_volume: 50 };
    let outliers =
        OutlierDetection { consecutive_errors: None, failure_percent: Some(percent), ..standard() };
    let mut rig = Rig::new(5, outliers);
    rig.tick();
    for (index, failures) in [0, 86, 84, 100, 0].into_iter().enumerate() {
        rig.fail(index, failures);
        rig.succeed(index, 100 - failures);
    }
    rig.wait_until(10 * SECOND);
    assert_eq!((rig.out(), rig.standing(3)), (1, Standing::Out));
    assert_eq!(rig.words(3), "ejected: 100.0 % of 100 requests failed");
    assert!(rig.state(1).is_some_and(|(.., spared)| spared));
    assert_eq!(rig.state(2), None);
}

#[test]
fn health_checks_take_out_and_bring_back_by_their_thresholds() {
    let mut rig = Rig::new(3, standard());
    rig.slow_start = Some(Duration::from_secs(20));
    rig.health = Some(HealthCheck {
        probe: HealthProbe::Tcp,
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(1),
        unhealthy_after: 3,
        healthy_after: 2,
    });
    let refused = || Err("connect_failure".to_owned());
    rig.check(0, refused());
    rig.check(0, refused());
    rig.check(0, Ok(()));
    rig.check(0, refused());
    rig.check(0, refused());
    assert_eq!(rig.standing(0), Standing::In(1.0));
    rig.check(0, refused());
    assert_eq!(rig.standing(0), Standing::Out);
    assert_eq!(rig.words(0), "unhealthy: 3 health checks in a row failed: connect_failure");
    rig.check(0, Ok(()));
    rig.check(0, refused());
    rig.check(0, Ok(()));
    assert_eq!(rig.standing(0), Standing::Out);
    rig.check(0, Ok(()));
    assert_eq!(rig.standing(0), Standing::In(0.1), "it warms up");
    rig.now += 20 * SECOND;
    assert_eq!(rig.standing(0), Standing::In(1.0));
    // Without checks nobody is unhealthy any more.
    (0..3).for_each(|_| rig.check(1, refused()));
    assert_eq!(rig.standing(1), Standing::Out);
    rig.health = None;
    rig.tick();
    assert_eq!(rig.out(), 0);
}

#[test]
fn the_word_of_a_person_stands_above_all() {
    let mut rig = Rig::new(4, standard());
    let workload: ObjectName = "w-1".parse().unwrap();
    let out = |rig: &mut Rig, until| {
        let workload = workload.clone();
        let changes = rig.act(|machine, group, rules, now| {
            machine.take_out(&[group], &workload, until, rules, now)
        });
        changes.len()
    };
    assert_eq!(out(&mut rig, Some(60 * SECOND)), 1);
    assert!(rig.endpoints[1].vitals.is_out_by_hand());
    assert_eq!(rig.words(1), "by-hand: taken out by hand");
    rig.wait_until(60 * SECOND);
    assert_eq!((rig.standing(1), rig.words(1)), (Standing::In(1.0), "well".into()));
    // Until further notice, in shadow mode too, and although it is ejected besides.
    rig.shadow = true;
    rig.fail(1, 5);
    assert_eq!(out(&mut rig, None), 1);
    rig.wait_until(100_000 * SECOND);
    assert_eq!(rig.standing(1), Standing::Out);
    // Its name is what counts, not its address.
    rig.endpoints[1] = Arc::new(Endpoint::plain(workload.clone(), "10.0.0.9:80".parse().unwrap()));
    rig.act(|machine, group, rules, _| machine.adopt(&[group], rules));
    assert_eq!(rig.standing(1), Standing::Out);
    rig.act(|machine, group, rules, now| machine.restore(&[group], &workload, rules, now));
    assert_eq!((rig.standing(1), rig.words(1)), (Standing::In(1.0), "well".into()));
    let nobody = "nobody".parse().unwrap();
    let changes =
        rig.act(|machine, group, rules, now| machine.take_out(&[group], &nobody, None, rules, now));
    assert!(changes.is_empty());
}

#[test]
fn a_restored_endpoint_has_a_clean_record() {
    let mut rig = Rig::new(4, standard());
    rig.fail(1, 5);
    let workload = "w-1".parse().unwrap();
    rig.act(|machine, group, rules, now| machine.restore(&[group], &workload, rules, now));
    assert_eq!(rig.standing(1), Standing::In(1.0));
    rig.fail(1, 4);
    assert_eq!(rig.standing(1), Standing::In(1.0));
    rig.fail(1, 1);
    rig.wait_until(30 * SECOND);
    assert_eq!(rig.standing(1), Standing::In(0.1), "the first in a row takes the base");
}

#[test]
fn in_shadow_everything_is_shown_and_nobody_goes() {
    let mut rig = Rig::new(4, standard());
    rig.shadow = true;
    rig.fail(2, 5);
    assert_eq!((rig.out(), rig.machine.total()), (0, 1));
    assert!(rig.state(2).is_some_and(|(state, _, spared)| state == "ejected" && spared));
    rig.shadow = false;
    rig.act(|machine, group, rules, _| machine.adopt(&[group], rules));
    assert_eq!(rig.standing(2), Standing::Out);
}

#[test]
fn without_the_rule_all_come_back_and_a_smaller_pool_lets_go() {
    let mut rig = Rig::new(20, standard());
    rig.fail(0, 5);
    rig.now = 1;
    rig.fail(1, 5);
    assert_eq!(rig.out(), 2);
    rig.endpoints.truncate(10);
    rig.act(|machine, group, rules, _| machine.adopt(&[group], rules));
    rig.tick();
    assert_eq!((rig.out(), rig.standing(0)), (1, Standing::In(0.1)), "the first goes first");
    rig.outliers = None;
    rig.tick();
    assert_eq!((rig.out(), rig.standing(0)), (0, Standing::In(1.0)));
}
