//! `control-plane run`: what the background process runs, in the foreground here.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::args::Context;
use super::exit::{Exit, Failure, Outcome};
use crate::control::{
    self, Addresses, ControlPlaneConfig, DEFAULT_TRUST_DOMAIN, KubernetesConfig, RunError,
};
use crate::names::{Namespace, ROOT_NAMESPACE, TrustDomain};
use crate::net::descriptors;
use crate::platform::kubernetes::client::{self, ClientError, Connection};
use crate::platform::local::{self, Launch};
use crate::telemetry::logging;

/// Run the control plane in the foreground.
#[derive(Debug, Args)]
#[command(
    subcommand_required = true,
    after_help = "\
Examples:
  meshctl control-plane run      what `meshctl install` starts in the background"
)]
pub(crate) struct ControlPlaneArgs {
    #[command(subcommand)]
    command: ControlPlaneCommand,
}

#[derive(Debug, Subcommand)]
enum ControlPlaneCommand {
    Run(RunArgs),
}

/// Run the control plane in the foreground until it is told to end.
///
/// Logs go to standard error. SIGTERM and SIGINT end it; `meshctl uninstall` does too. On Kubernetes
/// it keeps nothing itself: a restart goes on where the cluster stands.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl control-plane run
  meshctl control-plane run --home /tmp/mesh --listen 127.0.0.1:15012
  meshctl control-plane run --platform kubernetes --image meshctl:0.1.0
      what the pod runs")]
struct RunArgs {
    /// Where the mesh runs.
    #[arg(long, value_name = "PLATFORM", default_value = "local")]
    platform: Platform,
    /// Where proxies connect; beyond loopback for proxies on other machines [default: as before, at
    /// first a free port of 127.0.0.1; on Kubernetes port 14712 of all addresses].
    #[arg(long, value_name = "ADDR:PORT", value_parser = super::address::listen)]
    listen: Option<SocketAddr>,
    /// Trust domain of the identities, fixed when the mesh is first started [default: cluster.local].
    #[arg(long, value_name = "DOMAIN")]
    trust_domain: Option<TrustDomain>,
    /// What to log: a level, or directives such as `info,meshctl::control=debug`.
    #[arg(
        long,
        value_name = "DIRECTIVES",
        env = "MESHCTL_LOG",
        hide_env_values = true,
        default_value = "info"
    )]
    log: String,
    #[command(flatten)]
    kubernetes: KubernetesArgs,
    /// Run as the process that starts the control plane again when it crashes.
    #[arg(long, hide = true)]
    supervise: bool,
}

/// What `--platform` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Platform {
    Local,
    Kubernetes,
}

/// What only a control plane on a cluster takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "On Kubernetes")]
struct KubernetesArgs {
    /// Namespace that it runs in.
    #[arg(long, value_name = "NAMESPACE", default_value = ROOT_NAMESPACE)]
    namespace: Namespace,
    /// Image of the sidecars.
    #[arg(long, value_name = "IMAGE", required_if_eq("platform", "kubernetes"))]
    image: Option<String>,
    /// Kubeconfig of the cluster [default: inside a pod its service account, else as kubectl].
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    kubeconfig: Option<PathBuf>,
    /// Context in the kubeconfig [default: the current one].
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Where the command line connects [default: port 14714 of all addresses].
    #[arg(long, hide = true, value_name = "ADDR:PORT", value_parser = super::address::listen)]
    listen_api: Option<SocketAddr>,
    /// Where the API server connects [default: port 14717 of all addresses].
    #[arg(long, hide = true, value_name = "ADDR:PORT", value_parser = super::address::listen)]
    listen_webhook: Option<SocketAddr>,
    /// Where health and metrics are served [default: port 14715 of all addresses].
    #[arg(long, hide = true, value_name = "ADDR:PORT", value_parser = super::address::listen)]
    listen_metrics: Option<SocketAddr>,
    /// How long the certificate of the webhooks is valid; renewed at half of it.
    #[arg(long, hide = true, value_name = "DURATION", default_value = "24h", value_parser = super::duration::parse)]
    webhook_certificate_life: Duration,
}

pub(crate) fn run(args: &ControlPlaneArgs, context: &Context) -> Outcome {
    let ControlPlaneCommand::Run(args) = &args.command;
    if args.supervise {
        let launch = launch(context, args.listen, args.trust_domain.clone())?;
        let code = local::supervise(&launch)?;
        return Ok(if code == 0 { Exit::Done } else { Exit::Command(code) });
    }
    serve(args, context)
}

/// The background process of a home directory, of this very program.
pub(crate) fn launch(
    context: &Context,
    listen: Option<SocketAddr>,
    trust_domain: Option<TrustDomain>,
) -> Result<Launch, Failure> {
    let home = crate::control::home::Home::new(context.home()?);
    let program = std::env::current_exe();
    let program = program
        .map_err(|error| Failure::from(error).context("cannot tell where this program lies"))?;
    Ok(Launch { program, home: home.dir().to_owned(), log: home.log(), listen, trust_domain })
}

/// Serves until SIGTERM, SIGINT or the admin API says stop; a second signal ends it at once.
fn serve(args: &RunArgs, context: &Context) -> Outcome {
    // Only a local one has a home.
    let home = match args.platform {
        Platform::Local => Some(context.home()?.to_owned()),
        Platform::Kubernetes => None,
    };
    let _logging = logging::init(logging::Format::default(), &args.log).map_err(Failure::misuse)?;
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    descriptors::raise();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let shutdown = CancellationToken::new();
    let ended = runtime.block_on(async {
        let signals = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
        let [term, interrupt] = signals;
        tokio::spawn(stop(term?, interrupt?, shutdown.clone()));
        match home {
            Some(home) => {
                let (listen, trust_domain) = (args.listen, args.trust_domain.clone());
                let config = ControlPlaneConfig { home, listen, trust_domain };
                control::run(config, shutdown).await.map_err(failure)
            }
            None => {
                let config = on_kubernetes(args).await?;
                control::run_on_kubernetes(config, shutdown).await.map_err(failure)
            }
        }
    });
    // What still runs in the background was given its time.
    runtime.shutdown_background();
    ended.map(|()| Exit::Done)
}

/// What to do about what a user can do something about.
fn failure(error: RunError) -> Failure {
    let help = error.help();
    Failure::from(error).help(help)
}

async fn on_kubernetes(args: &RunArgs) -> Result<KubernetesConfig, Failure> {
    let only = &args.kubernetes;
    let Connection { client, server, context, .. } = connect(only).await.map_err(|error| {
        let help = error.help();
        Failure::from(error).help(&help)
    })?;
    tracing::info!(%server, %context, "the cluster");
    let default = || DEFAULT_TRUST_DOMAIN.parse().expect("it is a DNS-1123 subdomain");
    let usual = Addresses::default();
    Ok(KubernetesConfig {
        client,
        namespace: only.namespace.clone(),
        trust_domain: args.trust_domain.clone().unwrap_or_else(default),
        image: only.image.clone().unwrap_or_default(),
        addresses: Addresses {
            proxies: args.listen.unwrap_or(usual.proxies),
            api: only.listen_api.unwrap_or(usual.api),
            webhook: only.listen_webhook.unwrap_or(usual.webhook),
            metrics: only.listen_metrics.unwrap_or(usual.metrics),
        },
        webhook_life: only.webhook_certificate_life,
    })
}

/// Inside a pod its service account, unless a kubeconfig or a context was asked for.
async fn connect(args: &KubernetesArgs) -> Result<Connection, ClientError> {
    let asked = args.kubeconfig.is_some() || args.context.is_some();
    if !asked && std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        return client::in_cluster();
    }
    client::connect(args.kubeconfig.as_deref(), args.context.as_deref()).await
}

async fn stop(mut term: Signal, mut interrupt: Signal, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        if shutdown.is_cancelled() {
            std::process::exit(1);
        }
        shutdown.cancel();
    }
}
