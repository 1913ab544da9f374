//! The status of a rule: `Accepted`, `ResolvedRefs`, `Programmed`, as the Gateway API words them, and
//! of a fault policy whether it is `Active`.
//!
//! Pure, from the snapshot and from what the board says that proxies made of the rule. For people
//! `Programmed` counts the proxies that subscribe to what came of it, those away included: `n of m`.
//! What is written back to a cluster (`parents`, `standing`) leaves out the counts, so that it changes
//! at transitions only.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::Serialize;

use crate::control::board::Programmed;
use crate::control::faults::{self, Standing};
use crate::mesh::{
    FaultPolicy, HttpRoute, ObjectKind, ObjectRef, Parent, PolicyTarget, Snapshot, TrafficPolicy,
};

mod parents;
#[cfg(test)]
mod tests;

pub use parents::ParentStatus;

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `Accepted`, `ResolvedRefs`, `Active` (of faults) or `Programmed`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// One word.
    pub reason: &'static str,
    /// For people; empty where there is nothing to say.
    pub message: String,
    /// The generation that this is about.
    pub observed_generation: u64,
}

/// Judges rules against one moment of the mesh.
#[derive(Debug)]
pub struct Judge<'a> {
    snapshot: &'a Snapshot,
    unreadable: &'a BTreeMap<ObjectRef, String>,
    programmed: HashMap<(ObjectRef, u64), Programmed>,
    now: Timestamp,
}

/// The reason of a rule that is on its way to proxies.
pub const PENDING: &str = "Pending";

type Verdict = (&'static str, &'static str, String);

impl<'a> Judge<'a> {
    /// `programmed` says what proxies made of each rule, `unreadable` what could not be read.
    pub fn new(
        snapshot: &'a Snapshot,
        unreadable: &'a BTreeMap<ObjectRef, String>,
        programmed: HashMap<(ObjectRef, u64), Programmed>,
        now: Timestamp,
    ) -> Self {
        Self { snapshot, unreadable, programmed, now }
    }

    /// The conditions of a rule in the generation that is stored.
    pub fn conditions(&self, rule: &ObjectRef, generation: u64) -> Vec<Condition> {
        let mut conditions = vec![condition("Accepted", self.accepted(rule), generation)];
        if let Some(route) = self.snapshot.routes.get(rule) {
            conditions.push(condition("ResolvedRefs", self.resolved(route), generation));
        }
        conditions.extend(self.active(rule, generation));
        conditions.push(condition("Programmed", self.programmed(rule, generation), generation));
        conditions
    }

    /// The conditions of a policy or of the settings, without what changes all the time.
    pub fn standing(&self, rule: &ObjectRef, generation: u64) -> Vec<Condition> {
        let mut conditions = vec![condition("Accepted", self.accepted(rule), generation)];
        conditions.extend(self.active(rule, generation));
        conditions.push(condition("Programmed", self.progress(rule, generation), generation));
        conditions
    }

    /// Of a fault policy: whether it puts faults in now.
    fn active(&self, rule: &ObjectRef, generation: u64) -> Option<Condition> {
        let policy = self.snapshot.faults.get(rule)?;
        let end = faults::end(policy).map(|end| end.to_string());
        let verdict = match faults::standing(policy, self.now) {
            Standing::Active => {
                let end = end.map_or("it is deleted".to_owned(), |end| end);
                ("True", "Active", format!("{} until {end}", faults::what(policy)))
            }
            Standing::Shadow => ("False", "Shadow", "it is counted and not put in".to_owned()),
            Standing::Expired => ("False", "Expired", format!("at {}", end.unwrap_or_default())),
        };
        Some(condition("Active", verdict, generation))
    }

    fn accepted(&self, rule: &ObjectRef) -> Verdict {
        if let Some(why) = self.unreadable.get(rule) {
            return ("False", "Invalid", why.clone());
        }
        let missing = match rule.kind {
            ObjectKind::HttpRoute => {
                self.snapshot.routes.get(rule).and_then(|it| self.parentless(it))
            }
            ObjectKind::TrafficPolicy => {
                self.snapshot.policies.get(rule).and_then(|it| self.idle(rule, it))
            }
            ObjectKind::FaultPolicy => {
                self.snapshot.faults.get(rule).and_then(|it| self.aimless(it))
            }
            ObjectKind::Service | ObjectKind::MeshConfig => None,
        };
        missing.unwrap_or(("True", "Accepted", String::new()))
    }

    /// A route none of whose parents is there has no effect.
    fn parentless(&self, route: &HttpRoute) -> Option<Verdict> {
        let faults: Option<Vec<_>> =
            route.parents.iter().map(|parent| self.parent_fault(parent)).collect();
        Some(("False", "NoMatchingParent", faults?.join(", ")))
    }

    /// Why a route cannot be about that parent; `None` where it can.
    fn parent_fault(&self, parent: &Parent) -> Option<String> {
        let name = &parent.service;
        let Some(service) = self.snapshot.service(name) else {
            return Some(format!("no such service: `{name}`"));
        };
        if service.headless {
            return Some(format!("service `{name}` is headless: it has no address to call"));
        }
        let selected = service.ports.iter().any(|port| parent.selects(port));
        if selected || parent.is_whole() {
            return None;
        }
        let number = parent.port.map(|port| format!(" {port}")).unwrap_or_default();
        let named = parent.section.as_ref().map(|port| format!(" named `{port}`"));
        Some(format!("service `{name}` has no port{number}{}", named.unwrap_or_default()))
    }

    /// A policy has no effect while an older one is about the same service, or it is about none.
    fn idle(&self, rule: &ObjectRef, policy: &TrafficPolicy) -> Option<Verdict> {
        let mut older = None;
        for target in &policy.targets {
            let in_force = self.snapshot.policy_of(&target.service)?.reference();
            if in_force == *rule && self.snapshot.service(&target.service).is_some() {
                return None;
            }
            if in_force != *rule {
                older = Some((in_force, &target.service));
            }
        }
        if let Some((older, service)) = older {
            let message = format!("`{older}` is older and holds for `{service}`");
            return Some(("False", "Conflicted", message));
        }
        Some(target_not_found(&policy.targets))
    }

    /// A fault policy none of whose targets is there has no effect.
    fn aimless(&self, policy: &FaultPolicy) -> Option<Verdict> {
        let there = |target: &PolicyTarget| self.snapshot.service(&target.service).is_some();
        (!policy.targets.iter().any(there)).then(|| target_not_found(&policy.targets))
    }

    fn resolved(&self, route: &HttpRoute) -> Verdict {
        let backends = route.rules.iter().flat_map(|rule| &rule.backends);
        let missing = backends.filter_map(|backend| {
            let (name, port) = (&backend.service, backend.port);
            match self.snapshot.service(name) {
                None => Some(format!("no service `{name}`")),
                Some(service) if !service.has_port(port) => {
                    Some(format!("service `{name}` has no port {port}"))
                }
                Some(_) => None,
            }
        });
        let mut missing: Vec<_> = missing.collect();
        missing.sort_unstable();
        missing.dedup();
        match missing.is_empty() {
            true => ("True", "ResolvedRefs", String::new()),
            false => ("False", "BackendNotFound", missing.join(", ")),
        }
    }

    /// What proxies made of a rule, in numbers.
    fn programmed(&self, rule: &ObjectRef, generation: u64) -> Verdict {
        let (status, reason, message) = self.progress(rule, generation);
        let Some(programmed) = self.programmed.get(&(rule.clone(), generation)) else {
            return (status, reason, message);
        };
        let all = programmed.proxies.len();
        let done = programmed.proxies.values().filter(|done| **done).count();
        let count = format!("acknowledged by {done} of {all} proxies");
        let message = match reason {
            "NoProxies" => message,
            "Rejected" => format!("{count}; {message}"),
            _ => count,
        };
        (status, reason, message)
    }

    /// What proxies made of a rule, as long as it is the same.
    fn progress(&self, rule: &ObjectRef, generation: u64) -> Verdict {
        let programmed = self.programmed.get(&(rule.clone(), generation));
        let Some(programmed) = programmed.filter(|it| !it.proxies.is_empty()) else {
            return ("Unknown", "NoProxies", "no proxy uses what it is about".to_owned());
        };
        match &programmed.refusal {
            Some(refusal) => ("False", "Rejected", refusal.clone()),
            None if programmed.proxies.values().all(|done| *done) => {
                ("True", "Programmed", String::new())
            }
            None => ("False", PENDING, "not every proxy has acknowledged it yet".to_owned()),
        }
    }
}

fn target_not_found(targets: &[PolicyTarget]) -> Verdict {
    let names = targets.iter().map(|target| format!("`{}`", target.service));
    let message = format!("no such service: {}", names.collect::<Vec<_>>().join(", "));
    ("False", "TargetNotFound", message)
}

fn condition(kind: &'static str, (status, reason, message): Verdict, generation: u64) -> Condition {
    Condition { kind, status, reason, message, observed_generation: generation }
}
