//! The word of a person: an endpoint is out until the time is over or a person puts it back.

use std::sync::Arc;

use super::{ByHand, Change, Ejections, Endpoint, ObjectName, Rules, What};

impl Ejections {
    /// Takes a workload out, those of its endpoints that come later included; what has changed:
    /// nothing where there is no such workload.
    pub(in crate::proxy) fn take_out(
        &mut self,
        groups: &[&[Arc<Endpoint>]],
        workload: &ObjectName,
        until: Option<u64>,
        rules: Rules<'_>,
        now: u64,
    ) -> Vec<Change> {
        let members = members(groups, workload);
        if members.is_empty() {
            return Vec::new();
        }
        self.by_hand.insert(workload.clone(), ByHand { since: now, until });
        self.settle_all(&members, rules, &What::TakenOut)
    }

    /// Puts a workload back, whatever took it out; what is known against it is forgotten.
    pub(in crate::proxy) fn restore(
        &mut self,
        groups: &[&[Arc<Endpoint>]],
        workload: &ObjectName,
        rules: Rules<'_>,
        now: u64,
    ) -> Vec<Change> {
        self.by_hand.remove(workload);
        let members = members(groups, workload);
        for endpoint in &members {
            endpoint.vitals.forget();
            endpoint.vitals.warm_up(now, std::time::Duration::ZERO);
            if let Some(record) = self.records.get_mut(&endpoint.id) {
                let ejections = record.ejections;
                *record = super::Record { ejections, ..super::Record::default() };
            }
        }
        self.settle_all(&members, rules, &What::Restored)
    }

    /// Ends what a person has ordered for a time.
    pub(super) fn hands_off(
        &mut self,
        groups: &[&[Arc<Endpoint>]],
        rules: Rules<'_>,
        now: u64,
    ) -> Vec<Change> {
        let over = |word: &ByHand| word.until.is_some_and(|until| until <= now);
        let ended: Vec<_> = self.by_hand.extract_if(.., |_, word| over(word)).collect();
        let mut changes = Vec::new();
        for (workload, _) in ended {
            let members = members(groups, &workload);
            changes.extend(self.settle_all(&members, rules, &What::GivenBack));
            for endpoint in &members {
                self.warm(endpoint, rules, now);
            }
        }
        changes
    }

    fn settle_all(&self, members: &[&Arc<Endpoint>], rules: Rules<'_>, what: &What) -> Vec<Change> {
        let settled = members.iter().map(|endpoint| {
            self.settle(endpoint, rules);
            Change::new(endpoint, what.clone())
        });
        settled.collect()
    }
}

fn members<'a>(groups: &[&'a [Arc<Endpoint>]], workload: &ObjectName) -> Vec<&'a Arc<Endpoint>> {
    let all = groups.iter().copied().flatten();
    all.filter(|endpoint| endpoint.workload == *workload).collect()
}
