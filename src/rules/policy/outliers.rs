//! `outlierDetection`: when an endpoint is taken out for what it answers.

use std::time::Duration;

use crate::resource::{
    DEFAULT_PANIC_PPM, FailurePercent, OutlierDetection, PARTS_PER_MILLION, SuccessRate,
};
use crate::rules::at::{At, Fields, Shape};
use crate::rules::codes;
use crate::rules::policy::{INTERVALS, LONGEST, SHORTEST, number, ordered, time};
use crate::rules::problems::Problems;
use crate::rules::values::{self, show};

/// The most errors, hosts or requests that anything may wait for.
const MOST: u32 = 1_000_000;
const USUAL_ERRORS: u32 = 5;
const USUAL_HOSTS: u32 = 5;
const USUAL_INTERVAL: Duration = Duration::from_secs(10);
const USUAL_BASE: Duration = Duration::from_secs(30);
const USUAL_MAX: Duration = Duration::from_secs(300);
const USUAL_MAX_PPM: u32 = PARTS_PER_MILLION / 10;

const OUTLIERS: Shape = Shape {
    known: &[
        "consecutiveErrors",
        "consecutiveGatewayErrors",
        "consecutiveLocalErrors",
        "successRate",
        "failurePercent",
        "interval",
        "baseEjectionTime",
        "maxEjectionTime",
        "maxEjectionPercent",
        "panicThreshold",
    ],
    later: &[],
};
const SUCCESS: Shape =
    Shape { known: &["minimumHosts", "requestVolume", "stdevFactor"], later: &[] };
const FAILURE: Shape = Shape { known: &["threshold", "minimumHosts", "requestVolume"], later: &[] };

/// The detection and the panic threshold, parts per million.
pub(super) fn read<'a>(
    at: &'a At<'a>,
    problems: &mut Problems<'_>,
) -> (Option<OutlierDetection>, u32) {
    let Some(fields) = at.fields(problems, &OUTLIERS) else { return (None, DEFAULT_PANIC_PPM) };
    let errors = number(&fields, problems, "consecutiveErrors", 0, MOST).unwrap_or(USUAL_ERRORS);
    let mut row = |key| number(&fields, problems, key, 1, MOST);
    let (gateway, local) = (row("consecutiveGatewayErrors"), row("consecutiveLocalErrors"));
    let (base_ejection, max_ejection) = ejection(&fields, problems);
    let (least, most) = INTERVALS;
    let interval = time(&fields, problems, "interval", least, most).unwrap_or(USUAL_INTERVAL);
    let percent = fields.get("maxEjectionPercent");
    let max_ejection_ppm = percent.and_then(|at| values::whole_percent(&at, problems, 1));
    let panic = fields.get("panicThreshold");
    let panic_ppm = panic.and_then(|at| values::parts_per_million(&at, problems));
    let detection = OutlierDetection {
        consecutive_errors: (errors > 0).then_some(errors),
        consecutive_gateway_errors: gateway,
        consecutive_local_errors: local,
        success_rate: fields.get("successRate").and_then(|at| success(&at, problems)),
        failure_percent: fields.get("failurePercent").and_then(|at| failure(&at, problems)),
        interval,
        base_ejection,
        max_ejection,
        max_ejection_ppm: max_ejection_ppm.unwrap_or(USUAL_MAX_PPM),
    };
    if let Some(at) = fields.get("consecutiveErrors").filter(|_| finds_nothing(&fields, errors)) {
        let message = "`consecutiveErrors` is 0, and nothing else finds an outlier".to_owned();
        let help = "raise it, or add `successRate: {}` or `failurePercent: {}`";
        at.error_with(problems, codes::CONTRADICTION, message, help);
    }
    (Some(detection), panic_ppm.unwrap_or(DEFAULT_PANIC_PPM))
}

/// Whether the only row of errors is switched off and nothing stands in for it.
fn finds_nothing(fields: &Fields<'_>, errors: u32) -> bool {
    let others =
        ["consecutiveGatewayErrors", "consecutiveLocalErrors", "successRate", "failurePercent"];
    errors == 0 && others.into_iter().all(|key| fields.get(key).is_none())
}

fn ejection(fields: &Fields<'_>, problems: &mut Problems<'_>) -> (Duration, Duration) {
    let mut limit = |key| time(fields, problems, key, SHORTEST, LONGEST);
    let (base, max) = match (limit("baseEjectionTime"), limit("maxEjectionTime")) {
        (Some(base), Some(max)) => (base, max),
        (Some(base), None) => (base, USUAL_MAX.max(base)),
        (None, Some(max)) => (USUAL_BASE.min(max), max),
        (None, None) => (USUAL_BASE, USUAL_MAX),
    };
    ordered(fields, problems, ("baseEjectionTime", base), ("maxEjectionTime", max), show);
    (base, max)
}

fn success<'a>(at: &'a At<'a>, problems: &mut Problems<'_>) -> Option<SuccessRate> {
    let fields = at.fields(problems, &SUCCESS)?;
    let mut count = |key, usual| number(&fields, problems, key, 1, MOST).unwrap_or(usual);
    let (minimum_hosts, request_volume) =
        (count("minimumHosts", USUAL_HOSTS), count("requestVolume", 100));
    let factor = fields.get("stdevFactor");
    let factor = factor.and_then(|at| values::thousandths(&at, problems, 0.1, 100.0));
    Some(SuccessRate { minimum_hosts, request_volume, stdev_factor_milli: factor.unwrap_or(1_900) })
}

fn failure<'a>(at: &'a At<'a>, problems: &mut Problems<'_>) -> Option<FailurePercent> {
    let fields = at.fields(problems, &FAILURE)?;
    let mut count = |key, usual| number(&fields, problems, key, 1, MOST).unwrap_or(usual);
    let (minimum_hosts, request_volume) =
        (count("minimumHosts", USUAL_HOSTS), count("requestVolume", 50));
    let threshold = fields.get("threshold");
    let threshold_ppm = threshold.and_then(|at| {
        let ppm = values::parts_per_million(&at, problems)?;
        if ppm == 0 {
            let message = "`threshold` is 0%, which takes out who never failed".to_owned();
            at.error(problems, codes::BAD_PERCENT, message);
        }
        Some(ppm)
    });
    let threshold_ppm = threshold_ppm.unwrap_or(PARTS_PER_MILLION / 100 * 85);
    Some(FailurePercent { threshold_ppm, minimum_hosts, request_volume })
}
