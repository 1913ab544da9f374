//! Shares of success at the end of an interval: against the others, and by themselves.

use std::sync::Arc;

use super::Endpoint;
use crate::proxy::vitals::Phase;
use crate::resource::{OutlierDetection, PARTS_PER_MILLION, SuccessRate};

/// What one endpoint answered in an interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tally {
    /// Its place in the group.
    pub(super) index: usize,
    pub(super) succeeded: u32,
    pub(super) failed: u32,
}

impl Tally {
    fn total(self) -> u32 {
        self.succeeded.saturating_add(self.failed)
    }

    /// From 0 to 100.
    fn percent(self) -> f64 {
        f64::from(self.succeeded) * 100.0 / f64::from(self.total().max(1))
    }
}

/// The tallies of those who are well, which begin anew.
pub(super) fn take(group: &[Arc<Endpoint>]) -> Vec<Tally> {
    let well = group.iter().enumerate().filter(|(_, one)| one.vitals.phase() == Phase::Well);
    let tally = well.map(|(index, endpoint)| {
        let (succeeded, failed) = endpoint.vitals.take_tally();
        Tally { index, succeeded, failed }
    });
    tally.collect()
}

/// Who is an outlier and why, the worst first; nobody twice.
pub(super) fn outliers(tallies: &[Tally], rules: &OutlierDetection) -> Vec<(usize, String)> {
    let mut found: Vec<(Tally, String)> = Vec::new();
    if let Some(rule) = &rules.success_rate {
        let enough = with_volume(tallies, rule.request_volume, rule.minimum_hosts);
        if let Some(threshold) = threshold(&enough, rule) {
            let below = enough.iter().filter(|tally| tally.percent() < threshold);
            found.extend(below.map(|tally| {
                let percent = tally.percent();
                let of = tally.total();
                let why = format!(
                    "{percent:.1} % of {of} requests succeeded; below {threshold:.1} % it is an \
                     outlier among the others",
                );
                (*tally, why)
            }));
        }
    }
    if let Some(rule) = &rules.failure_percent {
        let enough = with_volume(tallies, rule.request_volume, rule.minimum_hosts);
        for tally in enough {
            let limit = u64::from(tally.total()) * u64::from(rule.threshold_ppm);
            let failed = u64::from(tally.failed) * u64::from(PARTS_PER_MILLION);
            if failed >= limit && !found.iter().any(|(known, _)| known.index == tally.index) {
                let (percent, of) = (100.0 - tally.percent(), tally.total());
                found.push((tally, format!("{percent:.1} % of {of} requests failed")));
            }
        }
    }
    found.sort_by(|(one, _), (other, _)| one.percent().total_cmp(&other.percent()));
    found.into_iter().map(|(tally, why)| (tally.index, why)).collect()
}

/// Those that had enough requests; nobody where they are too few.
fn with_volume(tallies: &[Tally], volume: u32, hosts: u32) -> Vec<Tally> {
    let had = |tally: &&Tally| tally.total() >= volume.max(1);
    let enough: Vec<_> = tallies.iter().filter(had).copied().collect();
    if enough.len() < hosts as usize { Vec::new() } else { enough }
}

/// Mean less factor × standard deviation, percent; `None` where there is nobody.
fn threshold(tallies: &[Tally], rule: &SuccessRate) -> Option<f64> {
    let count = tallies.len() as f64;
    if tallies.is_empty() {
        return None;
    }
    let mean = tallies.iter().map(|tally| tally.percent()).sum::<f64>() / count;
    let variance =
        tallies.iter().map(|tally| (tally.percent() - mean).powi(2)).sum::<f64>() / count;
    Some(mean - variance.sqrt() * f64::from(rule.stdev_factor_milli) / 1_000.0)
}
