//! `proxy run`: the command line of a sidecar, resolved to [`Config`]; `proxy::run` does the rest.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCandidates;

use super::super::args::{Context, NamespaceArgs};
use super::super::exit::{Exit, Failure, Outcome};
use super::super::{address, complete, size};
use super::capture::UserArgs;
use super::join::{JoinArgs, Reach};
use super::pod::PodArgs;
use super::take_over::{self, TakeOverArgs};
use crate::control::registration::check_label;
use crate::names::{ObjectName, Protocol, ServiceAccount, ServiceLabel, ServiceName};
use crate::proxy::run::{AdminAddress, Config, Hands, RunError, Upstream};
use crate::telemetry::logging::{self, Format, Logging};

#[cfg(test)]
mod tests;

/// Workers are at most so many where nothing else is said.
const WORKERS: usize = 2;
/// Workers are at most so many: each has descriptors of its own.
const WORKERS_MAX: usize = 64;
/// The exit code when the proxy failed before the command ran, as `env` and `timeout` have it.
const FAILED_BEFORE: u8 = 125;

/// Run the sidecar of one workload, with its application or beside it.
///
/// Applications reach the mesh as an HTTP proxy on `--outbound`, or on a local port for one service
/// with `--upstream`. Port 0 is chosen once for each name and kept. SIGTERM drains, a second one
/// ends at once. Logs go to standard error.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl proxy run --service web -- ./web
      run an application that only calls; `http_proxy` is set for it
  meshctl proxy run --service reviews --version v1 --app 127.0.0.1:9080
      stand in front of an application that runs already
  meshctl proxy run --service web --upstream ratings:9080=9080 -- ./web
      let it reach `ratings` on its own port 9080, whatever it speaks
  meshctl proxy run --service reviews --app 127.0.0.1:9080 \\
      --control-plane https://192.0.2.7:15012 --token-file token
      join a mesh whose control plane is on another machine
  meshctl proxy run --service web --capture --capture-user www-data
      take whatever that user sends by TCP, until the proxy ends (as root)
  meshctl proxy run --service reviews --app 127.0.0.1:9080 --take-over
      take the place of the proxy of that service that runs: a newer version, or other flags

Exit codes: with COMMAND those of COMMAND, 125 when the proxy failed before it.")]
pub(super) struct RunArgs {
    /// Service that the workload belongs to.
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(complete::services))]
    service: ServiceLabel,
    #[command(flatten)]
    namespace: NamespaceArgs,
    /// Version of the workload; `SERVICE-VERSION` becomes a service too.
    #[arg(long, value_name = "VERSION")]
    version: Option<ServiceLabel>,
    /// Label of the workload, beside `app` and `version`.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Where the application listens; without it the workload only calls.
    #[arg(long, value_name = "ADDR:PORT", value_parser = address::connect)]
    app: Option<SocketAddr>,
    /// How long no calls are sent here while the application does not listen yet.
    #[arg(long, requires = "app", value_name = "DURATION", default_value = "10s", value_parser = super::super::duration::parse)]
    app_wait: Duration,
    /// What the application speaks [default: found out].
    #[arg(long, requires = "app")]
    protocol: Option<ProtocolArg>,
    /// Name of the proxy [default: service, version and the lowest free number].
    #[arg(long, value_name = "NAME")]
    name: Option<ObjectName>,
    /// Service account of the identity [default: as the service].
    #[arg(long, value_name = "NAME")]
    service_account: Option<ServiceAccount>,
    /// Port of the service that the application answers for [default: as declared, else 80].
    #[arg(long, value_name = "PORT", requires = "app", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Address that callers are told [default: that of `--inbound`, else the one by which this machine
    /// reaches the control plane].
    #[arg(long, value_name = "ADDR")]
    advertise: Option<IpAddr>,
    /// Worker threads [default: the CPU quota, at most 2].
    #[arg(long, value_name = "N", env = "MESHCTL_WORKERS", hide_env_values = true, value_parser = count)]
    workers: Option<NonZeroUsize>,
    /// Memory that the proxy may use, beside the limit of its container, like `256MiB`; load is shed
    /// before it is reached.
    #[arg(long, value_name = "SIZE", env = "MESHCTL_MEMORY_LIMIT", hide_env_values = true, value_parser = size::parse)]
    memory_limit: Option<u64>,
    /// File that is written when the proxy, and the application that it starts, are ready, and removed
    /// at exit.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    ready_file: Option<PathBuf>,
    /// Where calls from the mesh arrive [default: 127.0.0.1:0; with the control plane on another
    /// machine a free port of the address that callers are told].
    #[arg(long, value_name = "ADDR:PORT", value_parser = address::listen)]
    inbound: Option<SocketAddr>,
    /// Where the application hands over its calls; loopback only.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0", value_parser = address::listen)]
    outbound: SocketAddr,
    /// Local port that stands for one port of a service.
    #[arg(long = "upstream", value_name = "NAME:PORT=LOCALPORT")]
    upstreams: Vec<String>,
    /// Where the proxy itself is asked: on loopback, or `unix:PATH`.
    #[arg(
        long,
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:0",
        default_value_if("captured", "true", "127.0.0.1:14700"),
        value_parser = admin
    )]
    admin: AdminAddress,
    #[command(flatten)]
    join: JoinArgs,
    #[command(flatten)]
    capture: UserArgs,
    #[command(flatten)]
    pod: PodArgs,
    #[command(flatten)]
    take_over: TakeOverArgs,
    /// How long connections may take to end after SIGTERM, or when a newer process has taken over.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = super::super::duration::parse)]
    drain: Duration,
    /// What to log: a level, or directives such as `info,meshctl::proxy=debug`.
    #[arg(
        long,
        value_name = "DIRECTIVES",
        env = "MESHCTL_LOG",
        hide_env_values = true,
        default_value = "info"
    )]
    log: String,
    /// The application, started when the proxy listens.
    #[arg(last = true, value_name = "COMMAND", value_hint = clap::ValueHint::CommandWithArguments)]
    command: Vec<OsString>,
}

/// What `--protocol` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ProtocolArg {
    Http,
    Http2,
    Grpc,
    Tcp,
}

pub(super) fn run(args: RunArgs, context: &Context) -> Outcome {
    let wrapped = !args.command.is_empty();
    let told = Told {
        log: args.log.clone(),
        capture: args.capture.clone(),
        join: args.join.clone(),
        take_over: args.take_over.clone(),
    };
    let config = resolve(args, context.home()?.to_owned())?;
    config.check().map_err(|error| failure(error.into(), &config, &told.join))?;
    match serve(config, &told) {
        Ok(code) => Ok(if code == 0 { Exit::Done } else { Exit::Command(code) }),
        Err(failure) if wrapped => Err(failure.exit_with(Exit::Command(FAILED_BEFORE))),
        Err(failure) => Err(failure),
    }
}

/// What the command line says beside [`Config`].
struct Told {
    log: String,
    capture: UserArgs,
    join: JoinArgs,
    take_over: TakeOverArgs,
}

fn serve(mut config: Config, told: &Told) -> Result<u8, Failure> {
    let mut inherited = told.take_over.begin(&config)?;
    let before = inherited.as_mut().and_then(|inherited| inherited.rules.take());
    let rules = told.capture.begin(before)?;
    // Held to the end: dropped, it writes out what still waits.
    let logging = start_logging(&told.log)?;
    if let Some(rules) = &rules {
        config.captured.outbound = Some(rules.port);
    }
    let hands = Hands { inherited, rules };
    crate::proxy::run::run(config.clone(), Some(logging.level()), hands)
        .map_err(|error| failure(error, &config, &told.join))
}

/// What to do about the failures that a user can do something about.
fn failure(error: RunError, config: &Config, join: &JoinArgs) -> Failure {
    let help = match &error {
        RunError::Join(why) => join.remedy(why),
        error => take_over::instead(error, config).unwrap_or_else(|| error.help()),
    };
    match error {
        RunError::Config(error) => Failure::misuse(error),
        error => Failure::from(error),
    }
    .help(help)
}

/// Fills in what was left out.
fn resolve(args: RunArgs, home: PathBuf) -> Result<Config, Failure> {
    let namespace = args.namespace.namespace;
    let upstreams = args.upstreams.iter().map(|text| upstream(text, &namespace));
    let upstreams = upstreams.collect::<Result<_, _>>()?;
    let mut labels = BTreeMap::new();
    for (key, value) in args.labels {
        if let Some(before) = labels.insert(key.clone(), value) {
            let what = format!("the label `{key}` was given twice, first as `{before}`");
            return Err(Failure::usage(what).help("keep one of the two"));
        }
    }
    let account = match args.service_account {
        Some(account) => account,
        None => args.service.as_str().parse()?,
    };
    let Reach { inbound, advertise } =
        args.join.reach(args.inbound, args.advertise, args.app.is_some())?;
    let probes = args.pod.probes(args.advertise)?;
    Ok(Config {
        home,
        token: args.join.token(),
        service: ServiceName::new(namespace, args.service),
        version: args.version.map(|version| version.to_string()),
        name: args.name,
        service_account: account,
        labels,
        app: args.app,
        app_wait: args.app_wait,
        protocol: args.protocol.map_or(Protocol::Detect, ProtocolArg::into),
        service_port: args.port,
        advertise,
        inbound,
        outbound: args.outbound,
        admin: args.admin,
        captured: args.pod.captured(),
        probes,
        upstreams,
        workers: args.workers.unwrap_or_else(workers),
        memory_limit: args.memory_limit,
        ready_file: args.ready_file.map(std::path::absolute).transpose()?,
        drain: args.drain,
        command: args.command,
    })
}

impl From<ProtocolArg> for Protocol {
    fn from(protocol: ProtocolArg) -> Self {
        match protocol {
            ProtocolArg::Http => Self::Http,
            ProtocolArg::Http2 => Self::Http2,
            ProtocolArg::Grpc => Self::Grpc,
            ProtocolArg::Tcp => Self::Tcp,
        }
    }
}

/// The CPU quota, at most [`WORKERS`].
fn workers() -> NonZeroUsize {
    let most = NonZeroUsize::MIN.saturating_add(WORKERS - 1);
    std::thread::available_parallelism().map_or(NonZeroUsize::MIN, |quota| quota.min(most))
}

fn label(text: &str) -> Result<(String, String), String> {
    let wrong = || format!("`{text}` is not of the form `KEY=VALUE`");
    let (key, value) = text.split_once('=').ok_or_else(wrong)?;
    if key.is_empty() {
        return Err(wrong());
    }
    check_label(key, value)?;
    Ok((key.to_owned(), value.to_owned()))
}

/// `--workers`.
fn count(text: &str) -> Result<NonZeroUsize, String> {
    let count = text.parse().ok().filter(|count: &NonZeroUsize| count.get() <= WORKERS_MAX);
    count.ok_or_else(|| format!("`{text}` is not a whole number from 1 to {WORKERS_MAX}"))
}

fn admin(text: &str) -> Result<AdminAddress, String> {
    match text.strip_prefix("unix:") {
        Some("") => Err("`unix:` needs a path".to_owned()),
        Some(path) => std::path::absolute(path).map(AdminAddress::Unix).map_err(|e| e.to_string()),
        None => text
            .parse()
            .map(AdminAddress::Tcp)
            .map_err(|_| format!("`{text}` is neither `ADDR:PORT` nor `unix:PATH`")),
    }
}

/// `NAME:PORT=LOCALPORT`, where NAME is `service`, `service.namespace` or `namespace/service`.
fn upstream(text: &str, namespace: &crate::names::Namespace) -> Result<Upstream, Failure> {
    let wrong = || {
        Failure::usage(format!("`--upstream {text}` is not of the form `NAME:PORT=LOCALPORT`"))
            .help("write for example `--upstream ratings:9080=9080`")
    };
    let (target, local) = text.split_once('=').ok_or_else(wrong)?;
    let (name, port) = target.rsplit_once(':').ok_or_else(wrong)?;
    let (namespace, name) = match (name.split_once('/'), name.split_once('.')) {
        (Some((namespace, name)), _) | (None, Some((name, namespace))) => {
            (namespace.parse().map_err(Failure::misuse)?, name)
        }
        (None, None) => (namespace.clone(), name),
    };
    let service = ServiceName::new(namespace, name.parse().map_err(Failure::misuse)?);
    let port: u16 = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
    Ok(Upstream { service, port, local_port: local.parse().map_err(|_| wrong())? })
}

fn start_logging(directives: &str) -> Result<Logging, Failure> {
    logging::init(Format::Text, directives).map_err(Failure::misuse)
}
