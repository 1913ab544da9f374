//! An explanation for people, from top to bottom: the verdict, what was called, the rule that
//! decides and why those before it do not, limits, backends, and who is in and out.

use jiff::Timestamp;

use super::sections::{Sections, line};
use crate::cli::diagnostics::plural;
use crate::cli::output::{age, until};
use crate::explain::{
    Answer, BackendView, Destination, DestinationKind, EndpointView, Explanation, Outcome,
    RouteView, SettingView,
};

/// Settings that are told also where nobody says otherwise.
const ALWAYS: [&str; 5] = [
    "timeouts.request",
    "retry.attempts",
    "retry.on",
    "timeouts.connect",
    "loadBalancer.algorithm",
];

/// Matches that were passed over, and endpoints in their full share, that are told one by one.
const MOST: usize = 10;

type Line = (String, String);

pub(super) fn tell(it: &Explanation, now: Timestamp) -> String {
    let mut sections = Sections::default();
    sections.add("Verdict", it.answers.iter().map(|answer| verdict(answer, it)).collect());
    sections.add("Called", called(&it.destination));
    sections.add("Rule", it.route.as_ref().map(route).unwrap_or_default());
    let faults = it.faults.iter().map(|fault| {
        let idle = if fault.effective { "" } else { " (not put in)" };
        line(fault.rule.clone(), format!("{}{idle}", fault.what))
    });
    sections.add("Faults", faults.collect());
    sections.add("Limits", settings(&it.settings));
    for backend in &it.backends {
        let heading = format!("Backend {}:{}", backend.service, backend.port);
        sections.add(&heading, self::backend(backend, now));
    }
    sections.add("Notes", it.notes.iter().map(|note| line("-", note.as_str())).collect());
    sections.render(title(it))
}

fn title(it: &Explanation) -> String {
    let asked = &it.request;
    let becomes = match it.outcome {
        Outcome::Passes => "goes through",
        Outcome::Redirected => "is sent elsewhere",
        Outcome::Sometimes => "is refused sometimes",
        Outcome::Refused => "is refused",
    };
    let grpc = if asked.protocol == "grpc" { " (gRPC)" } else { "" };
    format!("{} {}{grpc} from {}: {becomes}", asked.method, asked.url, asked.proxy)
}

fn percent(percent: f64) -> String {
    match percent {
        whole if whole.fract() == 0.0 => format!("{whole}%"),
        part if part < 0.1 => format!("{part}%"),
        part => format!("{part:.1}%"),
    }
}

fn verdict(answer: &Answer, it: &Explanation) -> Line {
    let rule = answer.rule.as_ref().map(|rule| format!(", by {rule}")).unwrap_or_default();
    let key = percent(answer.percent);
    let (Some(reason), Some(status)) = (answer.reason, answer.status) else {
        let to = answer.to.as_deref().unwrap_or(&it.destination.name);
        return line(key, format!("to {to}{rule}"));
    };
    let status = match (status, answer.grpc_code) {
        (0, _) => "reset".to_owned(),
        (_, Some(code)) => format!("gRPC code {code}"),
        (status, None) => status.to_string(),
    };
    if let Some(location) = &answer.location {
        return line(key, format!("{status} to {location}{rule}"));
    }
    let on_the_way = answer.to.as_ref().map(|to| format!(", meant for {to}")).unwrap_or_default();
    line(key, format!("{status} {reason}{rule}{on_the_way}: {}", answer.why))
}

fn called(destination: &Destination) -> Vec<Line> {
    let Destination { kind, name, port, protocol, found, consumer, origins, identity } =
        destination;
    let what = match kind {
        DestinationKind::Service => "service",
        DestinationKind::Workload => "workload",
        DestinationKind::Outside => "outside",
        DestinationKind::Unknown => return Vec::new(),
    };
    let spoken = if protocol.is_empty() { String::new() } else { format!(" ({protocol})") };
    let mut lines =
        vec![line(what, format!("{name} port {port}{spoken}")), line("found", found.as_str())];
    if let Some(namespace) = consumer {
        let text = format!("those of the namespace {namespace}, in place of the service's own");
        lines.push(line("rules", text));
    }
    if !origins.is_empty() {
        lines.push(line("made of", origins.join(", ")));
    }
    lines.extend(identity.as_ref().map(|it| line("identity", format!("{it} over mutual TLS"))));
    lines
}

fn route(route: &RouteView) -> Vec<Line> {
    let mut lines = Vec::new();
    match (&route.rule, route.implicit) {
        (None, _) => {
            let text = format!("none of {}", plural_matches(route.matches));
            lines.push(line("rule", text));
        }
        (Some(rule), true) => {
            let text = format!("{rule}: no route is about it, so all goes to the service itself");
            lines.push(line("rule", text));
        }
        (Some(rule), false) => {
            lines.push(line("rule", rule.as_str()));
            let matched = route.matched.as_deref().unwrap_or_default();
            let place = format!("{matched} ({} of {} tried)", route.position, route.matches);
            lines.push(line("match", place));
        }
    }
    for skipped in route.skipped.iter().take(MOST) {
        lines.push(line("not", format!("{}: {}, {}", skipped.matched, skipped.why, skipped.rule)));
    }
    if let Some(more @ 1..) = route.skipped.len().checked_sub(MOST) {
        lines.push(line("not", format!("{more} more, see `-o json`")));
    }
    lines.extend(route.changes.iter().map(|change| line("change", change.as_str())));
    lines
}

fn plural_matches(count: usize) -> String {
    if count == 1 { "1 match".to_owned() } else { format!("{count} matches") }
}

fn settings(settings: &[SettingView]) -> Vec<Line> {
    let told = settings.iter().filter(|it| it.source.is_some() || ALWAYS.contains(&it.field));
    told.map(|it| {
        let source = it.source.as_deref().unwrap_or("default");
        line(it.field, format!("{} ({source})", it.value))
    })
    .collect()
}

fn backend(it: &BackendView, now: Timestamp) -> Vec<Line> {
    let mut lines = vec![line("share", format!("{} (weight {})", percent(it.percent), it.weight))];
    if !it.exists {
        lines.push(line("missing", "there is no such service with such a port"));
        return lines;
    }
    lines.extend(it.changes.iter().map(|change| line("change", change.as_str())));
    lines.extend(settings(&it.settings));
    if let Some(breaker) = &it.breaker {
        let refused: Vec<_> =
            breaker.refused.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        let shadow = if breaker.shadow { ", only counted" } else { "" };
        let text = format!("{}, refused so far: {}{shadow}", breaker.state, refused.join(", "));
        lines.push(line("breaker", text));
    }
    if it.panic {
        lines.push(line("panic", "so few endpoints are left that all are used"));
    }
    lines.extend(it.leads_to.as_ref().map(|to| line("leads to", to.as_str())));
    lines.extend(endpoints(&it.endpoints, now));
    lines
}

/// Those that have their full share in short, the others with why.
fn endpoints(endpoints: &[EndpointView], now: Timestamp) -> Vec<Line> {
    let (out, well): (Vec<_>, Vec<_>) = endpoints.iter().partition(|it| it.out.is_some());
    let mut lines = Vec::new();
    for it in well.iter().take(MOST) {
        lines.push(line("endpoint", endpoint(it)));
    }
    if let Some(more @ 1..) = well.len().checked_sub(MOST) {
        lines.push(line("endpoint", format!("and {}", plural(more, "other"))));
    }
    for it in out {
        let Some(why) = &it.out else { continue };
        let since = why.since.map(|then| format!(" for {}", age(then, now))).unwrap_or_default();
        let back = why.until.map(|then| format!(", until in {}", until(then, now)));
        let spared = if why.spared { ", spared" } else { "" };
        let state = format!("{}{since}{}{spared}", why.state, back.unwrap_or_default());
        lines.push(line("endpoint", format!("{}; {state}: {}", endpoint(it), why.why)));
    }
    lines
}

fn endpoint(it: &EndpointView) -> String {
    let how = match &it.identity {
        Some(identity) => format!("mutual TLS with {identity}"),
        None => "plaintext, it has no sidecar".to_owned(),
    };
    format!("{} {} at {}, {how}", percent(it.percent), it.name, it.address)
}
