//! What time does: ejections end, probations are over, intervals are judged, multipliers shrink.

use std::sync::Arc;

use super::{Change, Ejections, Endpoint, OutlierDetection, Rules, What, millis, most, shares};

impl Ejections {
    /// Time has passed. `groups` are the endpoints of each port.
    pub(in crate::proxy) fn tick(
        &mut self,
        groups: &[&[Arc<Endpoint>]],
        rules: Rules<'_>,
        now: u64,
    ) -> Vec<Change> {
        let mut changes = self.hands_off(groups, rules, now);
        changes.extend(self.lapse(groups, rules));
        let Some(outliers) = rules.outliers else { return changes };
        for group in groups {
            self.let_back(group, outliers, rules, now, &mut changes);
        }
        let interval = millis(outliers.interval).max(1);
        match self.interval_ends {
            // A shorter interval holds at once.
            Some(ends) if now < ends => self.interval_ends = Some(ends.min(now + interval)),
            Some(_) => {
                self.interval_ends = Some(now + interval);
                for group in groups {
                    self.steady(group, interval, now);
                    self.judge(group, outliers, rules, now, &mut changes);
                }
            }
            None => self.interval_ends = Some(now + interval),
        }
        changes
    }

    /// When [`Ejections::tick`] has something to do next; `None`: not before something happens.
    pub(in crate::proxy) fn next(&self, rules: Rules<'_>) -> Option<u64> {
        let ends = self.records.values().filter_map(|record| record.ejected.as_ref());
        let ends = ends.map(|ejected| ejected.until);
        let hands = self.by_hand.values().filter_map(|word| word.until);
        let interval = rules.outliers.and(Some(self.interval_ends.unwrap_or(0)));
        ends.chain(hands).chain(interval).min()
    }

    /// What was decided by rules that are no more is undone.
    fn lapse(&mut self, groups: &[&[Arc<Endpoint>]], rules: Rules<'_>) -> Vec<Change> {
        let mut changes = Vec::new();
        let (judged, checked) = (rules.outliers.is_some(), rules.health.is_some());
        if judged && checked || self.records.is_empty() {
            return changes;
        }
        for endpoint in groups.iter().copied().flatten() {
            let Some(record) = self.records.get_mut(&endpoint.id) else { continue };
            let ejected = !judged && (record.ejected.is_some() || record.probation.is_some());
            let unhealthy = !checked && record.unhealthy.is_some();
            if !judged {
                (record.ejected, record.probation, record.spared) = (None, None, None);
                record.times = 0;
            }
            if !checked {
                (record.unhealthy, record.contrary) = (None, 0);
            }
            if ejected || unhealthy {
                endpoint.vitals.forget();
                self.settle(endpoint, rules);
                changes.push(Change::new(endpoint, What::Back));
            }
        }
        if !judged {
            self.interval_ends = None;
        }
        changes
    }

    /// Puts those on probation whose ejection has ended, and those who are too many by now; ends
    /// probations that had time enough.
    fn let_back(
        &mut self,
        group: &[Arc<Endpoint>],
        outliers: &OutlierDetection,
        rules: Rules<'_>,
        now: u64,
        changes: &mut Vec<Change>,
    ) {
        let since = |endpoint: &Arc<Endpoint>| {
            let ejected = self.records.get(&endpoint.id)?.ejected.as_ref()?;
            Some((ejected.since, ejected.until <= now, Arc::clone(endpoint)))
        };
        let mut ejected: Vec<_> = group.iter().filter_map(since).collect();
        let over = ejected.len().saturating_sub(most(outliers, group.len()));
        ejected.sort_by_key(|(since, over, _)| (!over, *since));
        for (at, (_, ended, endpoint)) in ejected.into_iter().enumerate() {
            if ended || at < over {
                let record = self.records.entry(endpoint.id).or_default();
                (record.ejected, record.probation) = (None, Some(now));
                endpoint.vitals.forget();
                self.settle(&endpoint, rules);
                changes.push(Change::new(&endpoint, What::OnProbation));
            }
        }
        let enough = now.saturating_sub(millis(outliers.interval));
        for endpoint in group {
            let began = self.records.get(&endpoint.id).and_then(|record| record.probation);
            if began.is_some_and(|began| began <= enough) && endpoint.vitals.successes() > 0 {
                changes.push(self.recover(endpoint, rules, now));
            }
        }
    }

    /// The multiplier of those who stayed in for an interval shrinks.
    fn steady(&mut self, group: &[Arc<Endpoint>], interval: u64, now: u64) {
        for endpoint in group {
            let Some(record) = self.records.get_mut(&endpoint.id) else { continue };
            let stays = record.ejected.is_none() && record.probation.is_none();
            if stays && record.times > 0 && record.steady_since + interval <= now {
                record.times -= 1;
            }
            if record.spared.as_ref().is_some_and(|(since, _)| since + interval <= now) {
                record.spared = None;
            }
        }
    }

    /// The end of an interval: who failed too much compared with the others, or by itself.
    fn judge(
        &mut self,
        group: &[Arc<Endpoint>],
        outliers: &OutlierDetection,
        rules: Rules<'_>,
        now: u64,
        changes: &mut Vec<Change>,
    ) {
        if outliers.success_rate.is_none() && outliers.failure_percent.is_none() {
            return;
        }
        let tallies = shares::take(group);
        for (index, why) in shares::outliers(&tallies, outliers) {
            let Some(endpoint) = group.get(index) else { continue };
            if !self.is_ejected(endpoint) {
                changes.push(self.eject(group, endpoint, why, rules, now));
            }
        }
    }
}
