//! What a proxy that calls ten services holds: in a mesh of 1,000 services with 100 endpoints each,
//! and in a mesh of just these ten.
//!
//! Prints a table; it judges nothing. The control plane is a real one in this process, its store
//! filled with registrations beforehand; the proxy is a process of its own, which is this program
//! once more, and all of a proxy but its workers.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use meshctl::control::home::Home;
use meshctl::control::registration::{RegisteredPort, Registration};
use meshctl::control::store::{Opened, Store};
use meshctl::control::{ControlPlaneConfig, run};
use meshctl::names::{Namespace, ProxyId, ServiceName, TrustDomain};
use meshctl::proxy::directory::{Directory, Lookup};
use runtime::{Caller, Runtime};
use tokio_util::sync::CancellationToken;

mod runtime;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SERVICES: usize = 1_000;
const CALLED: usize = 10;
const EACH: usize = 100;
const ROUNDS: usize = 3;

/// The proxy that calls, and its service.
const CALLER: (&str, &str) = ("caller-0", "caller");

/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> anyhow::Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match std::env::var_os(HOME) {
        Some(home) => runtime.block_on(proxy(Path::new(&home))),
        None => runtime.block_on(measure()),
    }
}

/// Tells the proxy where the control plane is.
const HOME: &str = "MESHCTL_BENCH_HOME";

#[expect(clippy::print_stdout, reason = "this is what it is for")]
async fn measure() -> anyhow::Result<()> {
    println!("| services | endpoints | held by the proxy | anonymous KiB, median of {ROUNDS} |");
    println!("|---|---|---|---|");
    for services in [CALLED, SERVICES] {
        let directory = directory()?;
        let home = directory.path().join("home");
        fill(&home, services).await?;
        let mut seen = Vec::new();
        for _ in 0..ROUNDS {
            seen.push(round(&home).await?);
        }
        seen.sort_unstable();
        let (kib, held) = seen.get(ROUNDS / 2).context("there are rounds")?;
        println!("| {services} | {} | {held} | {kib} |", services * EACH);
    }
    Ok(())
}

/// What one proxy comes to: anonymous KiB, and endpoints. Each has a control plane that has just
/// started: one that has been up for a while lets go of endpoints that it never hears of.
async fn round(home: &Path) -> anyhow::Result<(u64, usize)> {
    know_caller(home).await?;
    let shutdown = CancellationToken::new();
    let config = ControlPlaneConfig { home: home.to_owned(), listen: None, trust_domain: None };
    let plane = tokio::spawn(run(config, shutdown.clone()));
    let deadline = Instant::now() + PATIENCE;
    while !Home::new(home).running_file().exists() {
        anyhow::ensure!(Instant::now() < deadline, "the control plane is not ready in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let command = tokio::process::Command::new(std::env::current_exe()?)
        .env(HOME, home)
        .kill_on_drop(true)
        .output();
    // Longer than the proxy's own, which says how far it has got.
    let ended = tokio::time::timeout(PATIENCE * 2, command).await??;
    let failure = String::from_utf8_lossy(&ended.stderr);
    anyhow::ensure!(ended.status.success(), "the proxy has failed: {failure}");
    shutdown.cancel();
    plane.await??;
    let said = String::from_utf8(ended.stdout)?;
    let (held, kib) = said.trim().split_once(' ').context("the proxy says two numbers")?;
    Ok((kib.parse()?, held.parse()?))
}

/// In memory where that is possible: every registration is synchronized with the disk.
fn directory() -> anyhow::Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    Ok(if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempfile::tempdir()? })
}

/// Registers every endpoint, as if its proxy had done so before the control plane was last ended.
async fn fill(home: &Path, services: usize) -> anyhow::Result<()> {
    let endpoints = (0..services * EACH).map(|number| {
        let service = service_name(number / EACH);
        registration(&format!("{service}-{}", number % EACH), &service, number)
    });
    register(home, endpoints).await
}

/// Registers the caller likewise: of those whom it does not know a control plane takes no more than
/// 20,000.
async fn know_caller(home: &Path) -> anyhow::Result<()> {
    register(home, [registration(CALLER.0, CALLER.1, SERVICES * EACH)]).await
}

async fn register(
    home: &Path,
    registrations: impl IntoIterator<Item = anyhow::Result<Registration>>,
) -> anyhow::Result<()> {
    let home = Home::new(home);
    home.prepare()?;
    let mesh: TrustDomain = "cluster.local".parse()?;
    let Opened { store, mut commits, .. } = Store::open_sqlite(&home.store(), &mesh)?;
    tokio::spawn(async move { while commits.recv().await.is_some() {} });
    for registration in registrations {
        let registration = registration?;
        store.turn().await?.register_soon(registration.proxy(), Some(registration));
    }
    // Registrations are done in order: when this one is, all are.
    let nobody = ProxyId::new(Namespace::default_namespace(), "nobody".parse()?);
    Ok(store.turn().await?.register(nobody, None).await?)
}

fn registration(name: &str, service: &str, number: usize) -> anyhow::Result<Registration> {
    Ok(Registration {
        namespace: Namespace::default_namespace(),
        name: name.parse()?,
        service: service.parse()?,
        version: String::new(),
        labels: BTreeMap::from([("app".to_owned(), service.to_owned())]),
        service_account: service.parse()?,
        addresses: vec![Ipv4Addr::from(0x0a00_0000 + number as u32).into()],
        ports: vec![RegisteredPort {
            app: 8080,
            dial: 15_006,
            service: Some(80),
            protocol: "http".to_owned(),
        }],
        ready: true,
    })
}

fn service_name(number: usize) -> String {
    format!("service-{number:04}")
}

/// The proxy: says how many endpoints it holds, and how much anonymous memory in KiB.
#[expect(clippy::print_stdout, reason = "this is what the other process reads")]
async fn proxy(home: &Path) -> anyhow::Result<()> {
    let calls: Vec<String> = (0..CALLED).map(service_name).collect();
    let caller = Caller { name: CALLER.0, service: CALLER.1, serves: false, calls: &calls };
    let runtime = Runtime::start(home, &caller).await?;
    let deadline = Instant::now() + PATIENCE;
    let mut held = 0;
    while held < CALLED * EACH {
        anyhow::ensure!(Instant::now() < deadline, "only {held} endpoints have come");
        tokio::time::sleep(Duration::from_millis(20)).await;
        held = calls.iter().map(|name| endpoints(&runtime.directory, name)).sum();
    }
    // What was needed only for the start is over.
    tokio::time::sleep(Duration::from_secs(1)).await;
    println!("{held} {}", anonymous_kib()?);
    runtime.leave().await;
    Ok(())
}

/// How many endpoints of a service the proxy may call.
fn endpoints(directory: &Directory, name: &str) -> usize {
    let Ok(name) = name.parse() else { return 0 };
    let name = ServiceName::new(Namespace::default_namespace(), name);
    if !matches!(directory.service(&name), Lookup::Ready(_)) {
        return 0;
    }
    let cluster = directory.cluster(&name).load();
    let ports = cluster.iter().flat_map(|cluster| cluster.ports());
    ports.map(|port| port.endpoints.len()).sum()
}

fn anonymous_kib() -> anyhow::Result<u64> {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).context("an amount")?;
    Ok(kib.parse()?)
}
