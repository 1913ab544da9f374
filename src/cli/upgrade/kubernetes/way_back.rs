//! The way back from an upgrade on a cluster: what each object was before, applied again where the
//! new control plane does not get ready.
//!
//! Only fields that the upgrade changed, or that were ours before, are put back; what was not there
//! is deleted. The control plane that ran goes on meanwhile, because its Deployment replaces it only
//! by one that is ready.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::plan::Plan;
use crate::cli::exit::Failure;
use crate::cli::on_cluster::OnCluster;
use crate::cli::on_cluster::steps::{self, Step};
use crate::cli::output::Printer;
use crate::cli::version::CLIENT;
use crate::platform::kubernetes::objects::{self as api, Change, Place};
use crate::platform::kubernetes::owned;
use crate::platform::kubernetes::preview::Preview;

/// How long the version before may take to be ready again.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at whether it is.
const INTERVAL: Duration = Duration::from_secs(1);

/// What is put back, in the order in which it was applied.
pub(super) struct WayBack {
    objects: Vec<(Place, Option<Value>)>,
}

impl WayBack {
    /// Keeps what is there; a dry run has said of each what will come of it.
    pub(super) fn keep(steps: &[Step], previews: &[Preview]) -> Self {
        let each = steps.iter().zip(previews).map(|(step, preview)| {
            let before = step.before.as_ref();
            (step.place.clone(), before.map(|it| owned::put_back(it, &preview.after)))
        });
        Self { objects: each.collect() }
    }

    /// Puts everything back after `failure` of the new version; what there is to say about it.
    pub(super) fn take(
        &self,
        cluster: &OnCluster,
        plan: &Plan,
        printer: Printer,
        failure: Failure,
    ) -> Failure {
        let from = &plan.from;
        printer.note(&format!("version {CLIENT} does not get ready, putting version {from} back"));
        match self.put_back(cluster, plan, printer) {
            Ok(()) => {
                let help = match failure.remedy() {
                    "" => "see why, then try again".to_owned(),
                    remedy => remedy.to_owned(),
                };
                failure
                    .context(format!(
                        "version {CLIENT} did not get ready; version {from} is put back and runs"
                    ))
                    .help(help)
            }
            Err(again) => failure
                .context(format!("version {from} is not back entirely: {}", again.what()))
                .help(format!(
                    "try again with `{}`, and see how it is with `meshctl check`",
                    plan.target.command("upgrade")
                )),
        }
    }

    fn put_back(&self, cluster: &OnCluster, plan: &Plan, printer: Printer) -> Result<(), Failure> {
        let to = &cluster.connection;
        for (place, before) in self.objects.iter().rev() {
            let now = cluster.wait_for(api::get(to, place))?;
            let changed = match (before, &now) {
                (None, None) => false,
                (None, Some(_)) => cluster.wait_for(api::delete(to, place))?,
                (Some(before), now) => {
                    let asked = api::apply(to, place, before, now.as_ref());
                    cluster.wait_for(asked)? != Change::Unchanged
                }
            };
            if changed {
                printer.note(&format!("put back {place}"));
            }
        }
        // A pod of the new version may be there a moment longer, and is not what is waited for.
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match steps::ready(cluster, &plan.target.namespace, left, printer) {
                Err(_) if Instant::now() < deadline => std::thread::sleep(INTERVAL),
                end => return end,
            }
        }
    }
}
