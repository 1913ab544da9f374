//! What is said of a pool's endpoints: to people, and to the control plane.

use super::{Ejections, Endpoint, Record, Rules};
use crate::proxy::clock::Wall;
use crate::xds::agent::{PoolEndpoint, state};

/// What there is to say of an endpoint.
struct Say<'a> {
    state: &'static str,
    why: &'a str,
    since: u64,
    until: Option<u64>,
    spared: bool,
}

impl Ejections {
    /// What there is to say of an endpoint; `None` while it is in its full share. What holds it out
    /// longest comes first: a person's word, then health, then what it answers.
    pub(in crate::proxy) fn report(
        &self,
        endpoint: &Endpoint,
        rules: Rules<'_>,
        wall: Wall,
    ) -> Option<PoolEndpoint> {
        let record = self.records.get(&endpoint.id);
        let said = self.say(endpoint, record, rules, wall.now_ms())?;
        Some(PoolEndpoint {
            workload: endpoint.workload.to_string(),
            address: endpoint.address.to_string(),
            state: said.state.to_owned(),
            why: said.why.to_owned(),
            since_ms: wall.at(said.since),
            until_ms: said.until.map_or(0, |until| wall.at(until)),
            ejections: record.map_or(0, |record| record.ejections),
            spared: said.spared,
        })
    }

    fn say<'a>(
        &'a self,
        endpoint: &Endpoint,
        record: Option<&'a Record>,
        rules: Rules<'_>,
        now: u64,
    ) -> Option<Say<'a>> {
        let shadow = rules.shadow;
        if let Some(word) = self.by_hand.get(&endpoint.workload) {
            let (since, until) = (word.since, word.until);
            let why = "taken out by hand";
            return Some(Say { state: state::BY_HAND, why, since, until, spared: false });
        }
        if let Some((since, why)) = record.and_then(|record| record.unhealthy.as_ref()) {
            let since = *since;
            return Some(Say { state: state::UNHEALTHY, why, since, until: None, spared: shadow });
        }
        if let Some(ejected) = record.and_then(|record| record.ejected.as_ref()) {
            let (since, until) = (ejected.since, Some(ejected.until));
            return Some(Say {
                state: state::EJECTED,
                why: &ejected.why,
                since,
                until,
                spared: shadow,
            });
        }
        if let Some(since) = record.and_then(|record| record.probation) {
            let why = "back after its ejection, with a tenth of its share";
            return Some(Say { state: state::PROBATION, why, since, until: None, spared: shadow });
        }
        if let Some((since, why)) = record.and_then(|record| record.spared.as_ref()) {
            let since = *since;
            return Some(Say { state: state::EJECTED, why, since, until: None, spared: true });
        }
        let until = endpoint.vitals.warm_at(now)?;
        let since = endpoint.vitals.warms_since();
        let why = "new or back, its share grows";
        Some(Say { state: state::WARMING, why, since, until: Some(until), spared: false })
    }

    /// Ejections of all endpoints so far.
    pub(in crate::proxy) fn total(&self) -> u64 {
        self.total
    }
}
