//! What the demo has seen so far: pages as visitors got them, calls as the mesh counted them.
//!
//! Pure: traffic records into it, the observer replaces the rest, steps and screen read it. Pages
//! count for the step during which they were asked for, so that a step's proof holds none from
//! before its rule.

use std::collections::BTreeMap;

use crate::control::api::shapes::EdgeStatus;

/// What one page told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Page {
    /// It came, with reviews by this version.
    By(String),
    /// It did not, and why.
    Failed(String),
}

/// Pages that were asked for during the step.
#[derive(Debug, Clone, Default)]
pub(super) struct Pages {
    /// How many, by the version of reviews.
    pub(super) by_version: BTreeMap<String, u64>,
}

impl Pages {
    /// All that came.
    pub(super) fn total(&self) -> u64 {
        self.by_version.values().sum()
    }

    /// How many a version made.
    pub(super) fn by(&self, version: &str) -> u64 {
        self.by_version.get(version).copied().unwrap_or(0)
    }

    /// What part a version made, 0 to 1; 0 where there are none.
    #[expect(clippy::cast_precision_loss, reason = "a demo counts thousands")]
    pub(super) fn share(&self, version: &str) -> f64 {
        match self.total() {
            0 => 0.0,
            total => self.by(version) as f64 / total as f64,
        }
    }
}

/// One trace, as `meshctl trace ID` draws it.
#[derive(Debug, Clone)]
pub(super) struct Waterfall {
    /// 32 hexadecimal digits.
    pub(super) id: String,
    /// The services on the way.
    pub(super) services: Vec<String>,
    /// Lines for a terminal.
    pub(super) drawing: String,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// Which step pages count for.
    pub(super) step: usize,
    /// Pages of this step.
    pub(super) pages: Pages,
    /// Pages since the beginning.
    pub(super) asked: u64,
    /// Of these, those that failed.
    pub(super) failed: u64,
    /// Why the last one failed.
    pub(super) failure: Option<String>,
    /// Who talks to whom, as the control plane says.
    pub(super) edges: Vec<EdgeStatus>,
    /// How many proxies have all that was sent to them, of how many.
    pub(super) synced: (usize, usize),
    /// Endpoints of reviews that a caller leaves out, and why.
    pub(super) out: Vec<String>,
    /// What `apply --wait` said last.
    pub(super) applied: Vec<String>,
    /// A trace over all services.
    pub(super) trace: Option<Waterfall>,
}

impl Seen {
    /// A page that was asked for during `step`.
    pub(super) fn record(&mut self, step: usize, page: Page) {
        self.asked += 1;
        match page {
            Page::Failed(why) => {
                self.failed += 1;
                self.failure = Some(why);
            }
            Page::By(version) if step == self.step => {
                *self.pages.by_version.entry(version).or_default() += 1;
            }
            Page::By(_) => {}
        }
    }

    /// From now on pages count for this step.
    pub(super) fn begin(&mut self, step: usize) {
        self.step = step;
        self.pages = Pages::default();
    }

    /// The calls from one service to another.
    pub(super) fn edges_between(&self, from: &str, to: &str) -> Vec<&EdgeStatus> {
        self.edges.iter().filter(|edge| edge.from == from && edge.to == to).collect()
    }
}
