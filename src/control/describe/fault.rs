//! Fault policies: a section of the service that they are about, and the sections of one of them.

use jiff::Timestamp;

use super::{Line, matched, section};
use crate::control::api::shapes::Section;
use crate::control::faults::{self, Standing};
use crate::mesh::{FaultPolicy, ObjectRef, Snapshot};
use crate::names::ServiceName;

/// What is put in at a service, in the order in which the first that fits is taken.
pub(super) fn of_service(snapshot: &Snapshot, name: &ServiceName, now: Timestamp) -> Vec<Line> {
    let policies = snapshot.faults_of(name).into_iter();
    let line = |policy: std::sync::Arc<FaultPolicy>| {
        let which = match policy.matches.is_empty() {
            true => "all requests",
            false => "some requests",
        };
        let text = format!(
            "{} to {which} of {}: {}",
            faults::what(&policy),
            faults::callers(&policy),
            standing(&policy, now)
        );
        (policy.reference().to_string(), text)
    };
    policies.map(line).collect()
}

/// The sections of a fault policy.
pub fn policy(snapshot: &Snapshot, reference: &ObjectRef, now: Timestamp) -> Option<Vec<Section>> {
    let policy = snapshot.faults.get(reference)?;
    let targets = policy.targets.iter().map(|target| {
        let older = snapshot.faults_of(&target.service);
        let older = older.iter().position(|it| it.reference() == *reference).unwrap_or(0);
        let text = match snapshot.service(&target.service) {
            None => "no such service".to_owned(),
            Some(_) if older == 0 => "the first that is tried".to_owned(),
            Some(_) => format!("tried after {older} older"),
        };
        (target.service.to_string(), text)
    });
    let mut lines = vec![
        ("faults".to_owned(), faults::what(policy)),
        ("callers".to_owned(), faults::callers(policy)),
    ];
    lines.extend(policy.matches.iter().map(|it| ("match".to_owned(), matched(it))));
    if policy.matches.is_empty() {
        lines.push(("match".to_owned(), "all requests".to_owned()));
    }
    lines.push(("state".to_owned(), standing(policy, now)));
    Some(vec![section("Targets", targets), section("Settings", lines)])
}

/// `active until 2026-12-01T00:00:00Z`
fn standing(policy: &FaultPolicy, now: Timestamp) -> String {
    let end = faults::end(policy);
    let until = match end {
        Some(end) => format!("until {end}"),
        None => "until it is deleted".to_owned(),
    };
    match (faults::standing(policy, now), end) {
        (Standing::Active, _) => format!("active {until}"),
        (Standing::Shadow, _) => format!("counted only (mode Shadow), {until}"),
        (Standing::Expired, Some(end)) => format!("expired at {end}"),
        (Standing::Expired, None) => "expired".to_owned(),
    }
}
