//! From `apply` to the last acknowledgement: a control plane and 100 real proxy runtimes in one
//! process, each with its own certificate, streams and configuration, over real sockets.
//!
//! Prints quantiles over many changes; it judges nothing. A runtime is everything of a proxy but its
//! workers: what arrives is decoded, compiled to tables and put in use before it is acknowledged.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use meshctl::control::api::shapes::{ApplyRequest, ApplyResult, MeshStatus, Propagation, Source};
use meshctl::control::{ControlPlaneConfig, run};
use runtime::{Caller, Runtime};

#[expect(dead_code, reason = "the other bench looks at what its proxies know")]
mod runtime;

const PROXIES: usize = 100;
const CHANGES: usize = 200;

/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> anyhow::Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure())
}

async fn measure() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let home = directory.path().join("home");
    let shutdown = tokio_util::sync::CancellationToken::new();
    let config = ControlPlaneConfig { home: home.clone(), listen: None, trust_domain: None };
    let plane = tokio::spawn(run(config, shutdown.clone()));
    let api = Api::new(&home)?;
    api.until("the control plane is ready", |status| status.control_plane.ready).await?;

    let mut proxies = Vec::new();
    for number in 0..PROXIES {
        // The first serves `reviews`, the others call it.
        let (service, serves) = if number == 0 { ("reviews", true) } else { ("caller", false) };
        let name = format!("{service}-{number}");
        let caller = Caller { name: &name, service, serves, calls: &["reviews".to_owned()] };
        proxies.push(Runtime::start(&home, &caller).await?);
    }
    let synced = |status: &MeshStatus| {
        let states = status.proxies.iter().map(|proxy| format!("{:?}", proxy.state));
        states.filter(|state| state == "Synced").count() == PROXIES
    };
    api.until("every proxy is synced", synced).await?;
    // A proxy is synced, too, before it has asked for the service; what counts is who acknowledges.
    let deadline = Instant::now() + PATIENCE;
    let mut weight = 100;
    while api.change(weight).await?.acknowledged.len() < PROXIES - 1 {
        anyhow::ensure!(Instant::now() < deadline, "not every proxy subscribes");
        weight = 150 - weight;
    }

    let (mut told, mut seen) = (Vec::new(), Vec::new());
    for number in 0..CHANGES {
        let begun = Instant::now();
        let settled = api.change(1 + number % 99).await?;
        seen.push(begun.elapsed().as_secs_f64() * 1000.0);
        let came = settled.acknowledged.len();
        anyhow::ensure!(came >= PROXIES - 1, "only {came} proxies acknowledged: {settled:?}");
        told.push(settled.settled_ms.context("a settled change says how long it took")?);
    }
    report(&mut told, &mut seen);
    for proxy in proxies {
        proxy.leave().await;
    }
    shutdown.cancel();
    plane.await??;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn report(told: &mut [f64], seen: &mut [f64]) {
    println!("{CHANGES} changes, each acknowledged by {} proxies\n", PROXIES - 1);
    println!("| ms | p50 | p95 | p99 | max |\n|---|---|---|---|---|");
    for (what, values) in [("commit to last acknowledgement", told), ("apply to told", seen)] {
        values.sort_by(f64::total_cmp);
        let at = |part: usize| values.get((values.len() - 1) * part / 100).copied().unwrap_or(0.0);
        let (p50, p95, p99, max) = (at(50), at(95), at(99), at(100));
        println!("| {what} | {p50:.1} | {p95:.1} | {p99:.1} | {max:.1} |");
    }
}

/// The admin API of the control plane, as the command line uses it.
struct Api {
    client: reqwest::Client,
}

impl Api {
    fn new(home: &Path) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .unix_socket(home.join("admin.sock"))
            .tls_certs_only([])
            .timeout(PATIENCE)
            .build()?;
        Ok(Self { client })
    }

    async fn until(&self, what: &str, is: impl Fn(&MeshStatus) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(answer) = self.client.get("http://meshctl/v1/status").send().await
                && answer.status().is_success()
                && is(&answer.json().await?)
            {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < deadline, "not in time: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Applies a rule with this weight, and waits until it is settled.
    async fn change(&self, weight: usize) -> anyhow::Result<Propagation> {
        let text = format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: reviews}}\n\
             spec:\n  parentRefs: [{{group: \"\", kind: Service, name: reviews}}]\n  rules:\n  \
             - backendRefs:\n    - {{name: reviews, port: 80, weight: {weight}}}\n    \
             - {{name: reviews-v1, port: 80, weight: {}}}\n",
            100 - weight
        );
        let request = ApplyRequest {
            sources: vec![Source { name: "rules.yaml".to_owned(), text }],
            dry_run: false,
            namespace: "default".to_owned(),
            actor: String::new(),
            apply_set: String::new(),
            prune: Vec::new(),
        };
        let answer = self.client.post("http://meshctl/v1/apply").json(&request).send().await?;
        let applied: ApplyResult = read(answer).await?;
        let url = format!("http://meshctl/v1/propagation?revision={}", applied.revision);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now: Propagation = read(self.client.get(&url).send().await?).await?;
            anyhow::ensure!(now.rejected.is_empty(), "refused: {:?}", now.rejected);
            if now.settled_ms.is_some() {
                return Ok(now);
            }
            anyhow::ensure!(Instant::now() < deadline, "not settled in time: {now:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn read<T: serde::de::DeserializeOwned>(answer: reqwest::Response) -> anyhow::Result<T> {
    let status = answer.status();
    let text = answer.text().await?;
    anyhow::ensure!(status.is_success(), "{status}: {text}");
    Ok(serde_json::from_str(&text)?)
}
