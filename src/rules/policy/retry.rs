//! `retry`: what is tried again, how often, and what bounds it.

use std::time::Duration;

use crate::mesh::{asked_retry, longest_backoff};
use crate::resource::{Retry, RetryBackoff, RetryBudget, RetryOn};
use crate::rules::at::{At, Fields, Shape};
use crate::rules::codes;
use crate::rules::policy::{LONGEST, SHORTEST, number, ordered, time};
use crate::rules::problems::{Problems, alternatives};
use crate::rules::values::{self, show};

/// The most tries after the first.
pub(in crate::rules) const MAX_ATTEMPTS: u32 = 100;
const MAX_CODES: usize = 200;
const MAX_PER_SECOND: u32 = 1_000_000;

const RETRY: Shape = Shape {
    known: &[
        "attempts",
        "on",
        "statusCodes",
        "methods",
        "perTryTimeout",
        "backoff",
        "budget",
        "maxBody",
        "hedge",
    ],
    later: &[],
};
const BACKOFF: Shape = Shape { known: &["base", "max"], later: &[] };
const BUDGET: Shape = Shape { known: &["percent", "minPerSecond"], later: &[] };
const HEDGE: Shape = Shape { known: &["after"], later: &[] };

/// A condition of `on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    ConnectFailure,
    RefusedStream,
    GatewayError,
    ServerError,
    Reset,
    StatusCodes,
    Grpc(u32),
}

/// The words of `on`; gRPC codes by the names of its specification.
const CONDITIONS: &[(&str, Condition)] = &[
    ("connect-failure", Condition::ConnectFailure),
    ("refused-stream", Condition::RefusedStream),
    ("gateway-error", Condition::GatewayError),
    ("5xx", Condition::ServerError),
    ("reset", Condition::Reset),
    ("retriable-status-codes", Condition::StatusCodes),
    ("cancelled", Condition::Grpc(1)),
    ("deadline-exceeded", Condition::Grpc(4)),
    ("resource-exhausted", Condition::Grpc(8)),
    ("internal", Condition::Grpc(13)),
    ("unavailable", Condition::Grpc(14)),
];

/// A policy's repetitions; both `None` where it does not speak of them.
#[derive(Default)]
pub(super) struct Retries {
    pub(super) retry: Option<Retry>,
    pub(super) try_timeout: Option<Duration>,
}

/// The words of `on` that `retry` stands for.
pub(in crate::rules) fn conditions(retry: &Retry) -> Vec<&'static str> {
    let holds = |condition| match condition {
        Condition::ConnectFailure => retry.on.connect_failure,
        Condition::RefusedStream => retry.on.refused_stream,
        Condition::GatewayError => retry.on.gateway_error,
        Condition::ServerError => retry.on.server_error,
        Condition::Reset => retry.on.reset,
        Condition::StatusCodes => !retry.status_codes.is_empty(),
        Condition::Grpc(code) => retry.grpc_codes.contains(&code),
    };
    let words = CONDITIONS.iter().filter(|(_, condition)| holds(*condition));
    words.map(|(word, _)| *word).collect()
}

pub(super) fn read<'a>(at: &'a At<'a>, problems: &mut Problems<'_>) -> Retries {
    let Some(fields) = at.fields(problems, &RETRY) else { return Retries::default() };
    let mut retry = asked_retry();
    if let Some(attempts) = number(&fields, problems, "attempts", 0, MAX_ATTEMPTS) {
        retry.attempts = attempts;
    }
    if let Some(at) = fields.get("statusCodes") {
        retry.status_codes = status_codes(&at, false, problems);
    }
    if let Some(at) = fields.get("on") {
        on(&at, &mut retry, problems);
    }
    let methods = &[("idempotent", false), ("all", true)];
    if let Some(at) = fields.get("methods") {
        retry.any_method = at.word(problems, methods, &[]).unwrap_or_default();
        twice(&at, &retry, problems);
    }
    if let Some(at) = fields.get("backoff") {
        retry.backoff = backoff(&at, retry.backoff, problems);
    }
    if let Some(at) = fields.get("budget") {
        retry.budget = budget(&at, retry.budget, problems);
    }
    if let Some(size) = fields.get("maxBody").and_then(|at| values::size(&at, problems)) {
        retry.max_body = size;
    }
    let try_timeout = time(&fields, problems, "perTryTimeout", SHORTEST, LONGEST);
    retry.hedge_after = fields.get("hedge").and_then(|at| hedge(&at, problems));
    hedgeable(&fields, &retry, try_timeout, problems);
    Retries { retry: Some(retry), try_timeout }
}

/// Statuses of failures, ascending, each once; whether one may be written twice the caller says.
pub(in crate::rules) fn status_codes<'a>(
    at: &'a At<'a>,
    may_repeat: bool,
    problems: &mut Problems<'_>,
) -> Vec<u16> {
    let mut codes = Vec::new();
    for item in at.items(problems, 0, MAX_CODES) {
        let Some(code) = values::whole(&item, problems, codes::BAD_NUMBER, 400, 599) else {
            continue;
        };
        let Ok(code) = u16::try_from(code) else { continue };
        if !may_repeat && codes.contains(&code) {
            item.error(problems, codes::DUPLICATE_ITEM, format!("status {code} stands twice"));
        }
        codes.push(code);
    }
    codes.sort_unstable();
    codes.dedup();
    codes
}

fn on<'a>(at: &'a At<'a>, retry: &mut Retry, problems: &mut Problems<'_>) {
    let before = problems.errors();
    let mut seen = Vec::new();
    for item in at.items(problems, 1, CONDITIONS.len()) {
        let Some(condition) = item.word(problems, CONDITIONS, &[]) else { continue };
        if seen.contains(&condition) {
            let word = item.text(problems).unwrap_or_default();
            let message = format!("condition `{word}` stands twice");
            item.error(problems, codes::DUPLICATE_ITEM, message);
        }
        seen.push(condition);
    }
    let has = |condition| seen.contains(&condition);
    retry.on = RetryOn {
        connect_failure: has(Condition::ConnectFailure),
        refused_stream: has(Condition::RefusedStream),
        gateway_error: has(Condition::GatewayError),
        server_error: has(Condition::ServerError),
        reset: has(Condition::Reset),
    };
    let grpc = seen.iter().filter_map(|condition| match condition {
        Condition::Grpc(code) => Some(*code),
        _ => None,
    });
    retry.grpc_codes = grpc.collect();
    retry.grpc_codes.sort_unstable();
    if problems.errors() > before {
        return;
    }
    let (message, help) = match (has(Condition::StatusCodes), retry.status_codes.is_empty()) {
        (true, true) => ("`retriable-status-codes` are not said", "add `statusCodes`"),
        (false, false) => {
            ("`statusCodes` are not asked about", "add `retriable-status-codes` to `on`")
        }
        _ => return,
    };
    at.error_with(problems, codes::CONTRADICTION, message.to_owned(), help);
}

/// Warns where `methods: all` repeats a call of which nobody knows whether it was carried out: after
/// these conditions it may have been.
fn twice(at: &At<'_>, retry: &Retry, problems: &mut Problems<'_>) {
    const UNCERTAIN: &[Condition] = &[
        Condition::ServerError,
        Condition::Reset,
        Condition::Grpc(1),
        Condition::Grpc(4),
        Condition::Grpc(13),
    ];
    if !retry.any_method || retry.attempts == 0 {
        return;
    }
    let named = conditions(retry).into_iter().filter(|word| {
        let known = CONDITIONS.iter().find(|(known, _)| known == word);
        known.is_some_and(|(_, condition)| UNCERTAIN.contains(condition))
    });
    let named: Vec<&str> = named.collect();
    if !named.is_empty() {
        let message = format!(
            "with `methods: all` a POST may be carried out twice: after {} nobody knows whether it was",
            alternatives(named)
        );
        at.warning(problems, codes::UNSAFE_RETRY, message);
    }
}

fn backoff<'a>(at: &'a At<'a>, usual: RetryBackoff, problems: &mut Problems<'_>) -> RetryBackoff {
    let Some(fields) = at.fields(problems, &BACKOFF) else { return usual };
    let mut limit = |key| time(&fields, problems, key, SHORTEST, LONGEST);
    let (base, max) = match (limit("base"), limit("max")) {
        (Some(base), Some(max)) => (base, max),
        (Some(base), None) => (base, longest_backoff(base, usual.max)),
        (None, Some(max)) => (usual.base.min(max), max),
        (None, None) => (usual.base, usual.max),
    };
    ordered(&fields, problems, ("base", base), ("max", max), show);
    RetryBackoff { base, max }
}

fn budget<'a>(
    at: &'a At<'a>,
    usual: Option<RetryBudget>,
    problems: &mut Problems<'_>,
) -> Option<RetryBudget> {
    let fields = at.fields(problems, &BUDGET)?;
    let RetryBudget { ppm, min_per_second } = usual?;
    let percent = fields.get("percent").and_then(|at| values::whole_percent(&at, problems, 0));
    let floor = number(&fields, problems, "minPerSecond", 0, MAX_PER_SECOND);
    let budget = RetryBudget {
        ppm: percent.unwrap_or(ppm),
        min_per_second: floor.unwrap_or(min_per_second),
    };
    if budget.ppm == 0 && budget.min_per_second == 0 {
        let message = "the budget allows nothing: both its parts are 0".to_owned();
        at.error_with(problems, codes::CONTRADICTION, message, "for no retries say `attempts: 0`");
    }
    Some(budget)
}

fn hedge<'a>(at: &'a At<'a>, problems: &mut Problems<'_>) -> Option<Duration> {
    let fields = at.fields(problems, &HEDGE)?;
    let after = fields.need(problems, "after")?;
    values::duration_within(&after, problems, SHORTEST, LONGEST)
}

/// A second try needs an attempt, and must begin before the first has run out of time.
fn hedgeable(
    fields: &Fields<'_>,
    retry: &Retry,
    try_timeout: Option<Duration>,
    problems: &mut Problems<'_>,
) {
    let (Some(at), Some(after)) = (fields.get("hedge"), retry.hedge_after) else { return };
    if retry.attempts == 0 {
        let message = "`hedge` needs a second try, and `attempts` is 0".to_owned();
        at.error(problems, codes::CONTRADICTION, message);
    }
    if let Some(limit) = try_timeout.filter(|limit| after >= *limit) {
        let message = format!(
            "`hedge` ({}) is not shorter than `perTryTimeout` ({})",
            show(after),
            show(limit)
        );
        at.error(problems, codes::CONTRADICTION, message);
    }
}
