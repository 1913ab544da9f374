//! `upgrade` on this machine: puts this program in the place of the control plane that runs, of an
//! earlier version.
//!
//! The plan is worked out first and is all that `--plan` shows. The store is copied before anything
//! is stopped; what its tables need is done by the control plane as it starts, in one transaction.
//! Proxies go on serving on what they have. Where this version does not get ready, the one before is
//! started again (`way_back`). Once it did there is no way back by this command: an earlier version
//! is refused, here and by the store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::{UpgradeArgs, not_from};
use crate::certs::Authority;
use crate::cli::args::Context;
use crate::cli::client::{Client, Fault};
use crate::cli::diagnostics::plural;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::installation::Installation;
use crate::cli::output::View;
use crate::cli::version::CLIENT;
use crate::cli::wait;
use crate::cli::{control_plane, install, uninstall};
use crate::control::api::shapes::{API_VERSION, MeshStatus, ProxyState, ProxyStatus};
use crate::control::home::Home;
use crate::control::store;
use crate::names::skew;
use crate::platform::local::Holder;

#[cfg(test)]
mod tests;
mod way_back;

use way_back::WayBack;

/// The longest that a control plane which does not hang takes to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// What there is, and what it becomes.
#[derive(Debug)]
struct Plan {
    home: PathBuf,
    /// The version that runs; `None` where none does.
    running: Option<String>,
    /// The version of the store's tables; `None` where there is no store.
    schema: Option<i64>,
    /// Proxies that are connected, each with the version that it told.
    proxies: Vec<(String, String)>,
}

pub(super) fn run(args: &UpgradeArgs, context: &Context) -> Outcome {
    let launch = control_plane::launch(context, None, None)?;
    let home = Home::new(&launch.home);
    let client = Client::new(&launch.home)?.within(ANSWER);
    let plan = Plan::make(&client, &home)?;
    plan.check()?;
    if args.plan {
        context.printer.view(args.format.output, &plan.view())?;
        return Ok(Exit::Done);
    }
    if plan.nothing_to_do() {
        let text = format!("control plane runs version {CLIENT} already, nothing changed");
        context.printer.line(&text)?;
        return Ok(Exit::Done);
    }
    if let Some(copy) = plan.copy() {
        let authority = Authority::load(&home.ca())?;
        store::copy(&home.store(), authority.trust_domain(), &copy)?;
        context.printer.note(&format!("store copied to `{}`", copy.display()));
    }
    let way_back = WayBack::keep(&plan, &launch)?;
    // One that ends again and again answers nobody, and what starts it again would go on doing so.
    if plan.running.is_some() || Holder::find(&launch.home)?.is_some() {
        uninstall::local::stop(&client, &home, args.timeout.timeout, context)?;
    }
    let progress = context.printer.progress("starting the control plane");
    let started = install::local::start(&launch, &client, args.timeout.timeout);
    drop(progress);
    let status = started.map_err(|failure| match &way_back {
        Some(way_back) => way_back.take(&plan, &client, context, failure),
        None => plan.stuck(failure),
    })?;
    replaced(&status.control_plane.version)?;
    Installation::Local.record(&launch.home)?;
    wait::returned(&client, context, args.timeout)?;
    let from = plan.running.as_deref().unwrap_or("a stopped one");
    let address = &status.control_plane.address;
    context
        .printer
        .line(&format!("control plane upgraded from {from} to {CLIENT}, at {address}"))?;
    Ok(Exit::Done)
}

/// It is this version that answers now; another has been started by somebody else.
fn replaced(answers: &str) -> Result<(), Failure> {
    if answers == CLIENT {
        return Ok(());
    }
    Err(Failure::new(format!("version {answers} was started again"))
        .context("the control plane was stopped, and it is not this version that answers now")
        .help(format!("let whatever starts it, such as a service manager, start version {CLIENT}")))
}

/// Whether the store in `home` is one of an earlier version, which only `upgrade` changes.
pub(crate) fn is_due(home: &Home) -> bool {
    store::schema(&home.store()).is_ok_and(|(found, known)| found < known)
}

impl Plan {
    fn make(client: &Client, home: &Home) -> Result<Self, Failure> {
        let status = match client.ask::<MeshStatus>("/v1/status", &[]) {
            Ok(status) => Some(status),
            Err(Fault::NotRunning) => None,
            Err(fault) => return Err(client.failure(fault)),
        };
        let connected = |status: &MeshStatus| {
            let all = status.proxies.iter().filter(|it| it.state != ProxyState::Disconnected);
            let told = |it: &ProxyStatus| {
                (format!("{}/{}", it.namespace, it.name), it.product_version.clone())
            };
            all.map(told).collect()
        };
        let schema = match home.store().exists() {
            true => Some(store::schema(&home.store())?.0),
            false => None,
        };
        Ok(Self {
            home: home.dir().to_owned(),
            proxies: status.as_ref().map(connected).unwrap_or_default(),
            running: status.map(|status| status.control_plane.version),
            schema,
        })
    }

    /// Refuses what this version does not do.
    fn check(&self) -> Result<(), Failure> {
        let home = self.home.display();
        if self.running.is_none() && self.schema.is_none() {
            return Err(Failure::new(format!("there is no mesh in `{home}`"))
                .help("make one with `meshctl install`, or name another with `--home`"));
        }
        if let Some(schema) = self.schema.filter(|schema| *schema > store::SCHEMA) {
            let known = store::SCHEMA;
            return Err(Failure::new(format!(
                "the store in `{home}` has schema {schema}, version {CLIENT} knows {known}"
            ))
            .help("use the version of meshctl that wrote it, or a later one"));
        }
        let Some(running) = &self.running else { return Ok(()) };
        not_from(running)?;
        let far = |(_, version): &&(String, String)| skew::check(CLIENT, version).is_err();
        match self.proxies.iter().find(far) {
            None => Ok(()),
            Some((proxy, version)) => Err(Failure::new(format!(
                "proxy `{proxy}` is of version {version}, and {CLIENT} would refuse it: more than one minor version lies between"
            ))
            .help(format!("start it again by version {running} first"))),
        }
    }

    /// How many proxies have which version.
    fn versions(&self) -> BTreeMap<&str, usize> {
        let mut versions = BTreeMap::new();
        for (_, version) in &self.proxies {
            *versions.entry(version.as_str()).or_default() += 1;
        }
        versions
    }

    fn migrates(&self) -> bool {
        self.schema.is_some_and(|schema| schema < store::SCHEMA)
    }

    fn nothing_to_do(&self) -> bool {
        self.running.as_deref() == Some(CLIENT) && !self.migrates()
    }

    /// Where the store is copied to before.
    fn copy(&self) -> Option<PathBuf> {
        self.schema.map(|_| self.home.join("before-upgrade.db"))
    }

    fn view(&self) -> View {
        let running = self.running.as_deref().unwrap_or("none runs");
        let due = !self.nothing_to_do();
        let mut lead = vec![format!("control plane   {running} → {CLIENT}")];
        lead.push(match (self.schema, self.migrates()) {
            (None, _) => "store           none yet".to_owned(),
            (Some(schema), true) => {
                format!("store           schema {schema} → {}", store::SCHEMA)
            }
            (Some(schema), false) => format!("store           schema {schema}, stays"),
        });
        if let (Some(copy), true) = (self.copy(), due) {
            lead.push(format!("copied before   {}", copy.display()));
        }
        lead.push(match due {
            true => match &self.running {
                Some(running) => format!(
                    "starts again    the control plane; version {running} where this one does not get ready"
                ),
                None => "starts again    the control plane".to_owned(),
            },
            false => "starts again    nothing".to_owned(),
        });
        lead.push(format!("goes on         {}", self.going_on()));
        let value = json!({
            "apiVersion": API_VERSION,
            "kind": "UpgradePlan",
            "from": self.running,
            "to": CLIENT,
            "due": due,
            "schema": {"from": self.schema, "to": store::SCHEMA},
            "copy": self.copy().filter(|_| due),
            "proxies": self.proxies.len(),
            "proxyVersions": self.versions(),
        });
        View { value, lead, names: vec![CLIENT.to_owned()], ..View::default() }
    }

    /// `3 proxies with the versions that they have: 2 of 0.1.0, 1 of 0.2.0`.
    fn going_on(&self) -> String {
        if self.proxies.is_empty() {
            return "no proxy is connected".to_owned();
        }
        let each = self.versions().into_iter().map(|(version, count)| match version {
            "" => format!("{count} that did not tell"),
            version => format!("{count} of {version}"),
        });
        let each: Vec<_> = each.collect();
        let proxies = plural(self.proxies.len(), "proxy");
        format!("{proxies}, with the version that they have: {}", each.join(", "))
    }

    /// That the new one did not start, and how to have the old one back.
    fn stuck(&self, failure: Failure) -> Failure {
        let remedy = failure.remedy().to_owned();
        let store = Home::new(&self.home).store();
        let back = self.copy().map(|copy| back(&copy, &store)).unwrap_or_default();
        failure.context("the control plane was stopped, and this version did not start").help(
            [remedy, back]
                .iter()
                .filter(|it| !it.is_empty())
                .cloned()
                .collect::<Vec<_>>()
                .join("\n"),
        )
    }
}

fn back(copy: &Path, store: &Path) -> String {
    let (copy, store) = (copy.display(), store.display());
    // A journal of the version that failed would be played into the copy.
    format!(
        "to go back: `rm -f {store}-wal {store}-shm && cp {copy} {store}`, and `meshctl install` by the version before"
    )
}
