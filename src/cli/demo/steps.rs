//! The story of the demo, as data: what each step applies, and what must be seen before it is over.
//!
//! Pure. A step is over when [`Step::missing`] has nothing left to ask for; nothing is taken on
//! trust, neither from the rule nor from the time that has passed.

use std::ops::RangeInclusive;

use super::seen::Seen;

/// The calls of the shop: who calls whom.
pub(super) const CALLS: &[(&str, &str)] =
    &[("visitors", "web"), ("web", "reviews"), ("reviews", "ratings")];

/// What proves a step.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Proof {
    /// Every call of the shop was seen, each over mutual TLS.
    Wired,
    /// This part of so many pages was made by version 2 of reviews.
    Split { pages: u64, share: RangeInclusive<f64> },
    /// A trace goes through every service.
    Traced,
    /// Version 2 of reviews is out, and at least so many pages came, none of them by it.
    LeftOut { pages: u64 },
    /// Nobody is out, and version 2 made at least so many pages.
    Back { pages: u64 },
}

/// What a step changes at its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// The weights of version 1 and 2.
    Split(u32, u32),
    /// Version 2 answers with errors from now on; before, the rules that are made for it.
    Break,
    /// Version 2 works again.
    Mend,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    /// What happens, in a line.
    pub(super) title: &'static str,
    /// What to look at.
    pub(super) story: &'static str,
    /// What happens at its beginning.
    pub(super) change: Option<Change>,
    /// What shows the same by hand, after `meshctl`.
    pub(super) commands: &'static [&'static str],
    /// What must be seen.
    pub(super) proof: Proof,
}

/// The whole story.
pub(super) fn steps() -> Vec<Step> {
    const APPLY: &[&str] = &["apply -f $MESHCTL_HOME/../rules.yaml --wait", "status --edges"];
    const POOL: &[&str] = &["status", "endpoints list reviews", "describe service reviews"];
    let split = |title, story, (v1, v2), pages, share| Step {
        title,
        story,
        change: Some(Change::Split(v1, v2)),
        commands: APPLY,
        proof: Proof::Split { pages, share },
    };
    vec![
        Step {
            title: "the shop is open",
            story: "Five applications call each other by plain HTTP. Their proxies make it mutual TLS.",
            change: None,
            commands: &["status", "status --edges", "certs list"],
            proof: Proof::Wired,
        },
        split(
            "a tenth of the pages goes to the new reviews",
            "A rule weighs reviews-v1 by 90 and reviews-v2, which has stars, by 10.",
            (90, 10),
            150,
            0.03..=0.20,
        ),
        split(
            "half of them",
            "The same rule, 50 and 50. `--wait` returns when every proxy that it concerns has it.",
            (50, 50),
            150,
            0.38..=0.62,
        ),
        split(
            "all of them",
            "0 and 100: of the pages asked for after `apply` returned, none is by version 1.",
            (0, 100),
            100,
            1.0..=1.0,
        ),
        Step {
            title: "one page, from end to end",
            story: "A trace: the applications only pass its headers on, the proxies measure.",
            change: None,
            commands: &["trace", "trace ID"],
            proof: Proof::Traced,
        },
        Step {
            title: "version 2 breaks, and no visitor notices",
            story: "Both versions are asked; one answers 503. It is tried elsewhere, then left out.",
            change: Some(Change::Break),
            commands: POOL,
            proof: Proof::LeftOut { pages: 100 },
        },
        Step {
            title: "version 2 works again, and is asked again",
            story: "After its time it gets a trickle first, and its share when that goes well.",
            change: Some(Change::Mend),
            commands: POOL,
            proof: Proof::Back { pages: 50 },
        },
    ]
}

impl Step {
    /// What has not been seen yet; nothing when the step is over.
    pub(super) fn missing(&self, seen: &Seen) -> Option<String> {
        match &self.proof {
            Proof::Wired => CALLS.iter().find_map(|(from, to)| missing_call(seen, from, to)),
            Proof::Split { pages, share } => {
                let (total, found) = (seen.pages.total(), seen.pages.share("v2"));
                if total < *pages {
                    return Some(format!("{total} of {pages} pages so far"));
                }
                let (least, most) = (share.start() * 100.0, share.end() * 100.0);
                let found = found * 100.0;
                let inside = (least..=most).contains(&found);
                (!inside).then(|| {
                    format!(
                        "{found:.1} % of {total} pages by v2, expected {least:.0} to {most:.0} %"
                    )
                })
            }
            Proof::Traced => match &seen.trace {
                None => Some("no trace through web, reviews and ratings yet".to_owned()),
                Some(_) => None,
            },
            Proof::LeftOut { pages } => {
                let (total, by_v2) = (seen.pages.total(), seen.pages.by("v2"));
                if by_v2 > 0 {
                    return Some(format!("{by_v2} pages by v2, which is broken"));
                }
                let out = seen.out.iter().any(|line| line.starts_with(BROKEN));
                (!out).then(|| format!("{BROKEN} is not left out yet")).or_else(|| {
                    (total < *pages).then(|| format!("{total} of {pages} pages so far"))
                })
            }
            Proof::Back { pages } => {
                let by_v2 = seen.pages.by("v2");
                let few =
                    (by_v2 < *pages).then(|| format!("{by_v2} of {pages} pages by v2 so far"));
                seen.out.first().cloned().or(few)
            }
        }
    }
}

/// The endpoint that breaks.
const BROKEN: &str = "reviews-v2-0";

fn missing_call(seen: &Seen, from: &str, to: &str) -> Option<String> {
    let edges = seen.edges_between(from, to);
    if edges.is_empty() {
        Some(format!("no call from {from} to {to} yet"))
    } else if edges.iter().all(|edge| edge.mtls) {
        None
    } else {
        Some(format!("a call from {from} to {to} was not over mutual TLS"))
    }
}

/// Rules that hold from the beginning: every request is traced, because there are few.
pub(super) const MESH_CONFIG: &str = "\
apiVersion: meshctl.dev/v1alpha1
kind: MeshConfig
metadata:
  name: default
spec:
  mtls: Strict
  tracing:
    sampling: 100%
";

impl Change {
    /// The rules that the demo applies, as a user would write them; none for what needs none.
    pub(super) fn rules(self) -> Option<String> {
        match self {
            Self::Split(v1, v2) => Some(split_rules(v1, v2)),
            Self::Break => Some(SAFE_RULES.to_owned()),
            Self::Mend => None,
        }
    }
}

/// For the end of the story. The times are short, so that nobody has to wait.
const SAFE_RULES: &str = "\
# Whoever calls reviews asks both versions. What fails is tried once more, elsewhere; who fails five
# times in a row is left out for a while.
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: reviews
spec:
  parentRefs:
  - {group: \"\", kind: Service, name: reviews}
  rules:
  - backendRefs:
    - {name: reviews, port: 80}
---
apiVersion: meshctl.dev/v1alpha1
kind: TrafficPolicy
metadata:
  name: reviews
spec:
  targetRefs:
  - {kind: Service, name: reviews}
  retry:
    attempts: 1
    on: [gateway-error]
  outlierDetection:
    consecutiveErrors: 5
    interval: 1s
    baseEjectionTime: 3s
    maxEjectionTime: 6s
";

fn split_rules(v1: u32, v2: u32) -> String {
    format!(
        "\
# Splits what calls reviews between its two versions. Change the weights and apply it again.
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: reviews
spec:
  parentRefs:
  - {{group: \"\", kind: Service, name: reviews}}
  rules:
  - backendRefs:
    - {{name: reviews-v1, port: 80, weight: {v1}}}
    - {{name: reviews-v2, port: 80, weight: {v2}}}
"
    )
}

/// What was seen, in lines, once a step is over.
pub(super) fn evidence(step: &Step, seen: &Seen) -> Vec<String> {
    match &step.proof {
        Proof::Wired => {
            CALLS.iter().map(|(from, to)| format!("{from} calls {to} over mutual TLS")).collect()
        }
        Proof::Split { .. } => {
            let pages = &seen.pages;
            let line = format!("{} pages by v1, {} by v2", pages.by("v1"), pages.by("v2"));
            seen.applied.iter().cloned().chain([line]).collect()
        }
        Proof::LeftOut { .. } => {
            let line =
                format!("{} pages by v1, {} by v2", seen.pages.by("v1"), seen.pages.by("v2"));
            seen.applied.iter().chain(&seen.out).cloned().chain([line]).collect()
        }
        Proof::Back { .. } => {
            vec![format!("{} pages by v1, {} by v2", seen.pages.by("v1"), seen.pages.by("v2"))]
        }
        Proof::Traced => {
            let Some(trace) = &seen.trace else { return Vec::new() };
            let title = format!("{} through {}", trace.id, trace.services.join(", "));
            std::iter::once(title).chain(trace.drawing.lines().map(str::to_owned)).collect()
        }
    }
}
