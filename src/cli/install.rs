//! `install`: the control plane, on this machine or on a cluster, and until it is ready.
//!
//! The arguments of both platforms stand here, with what each refuses of the other's; the work is in
//! `local` and `kubernetes`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::args::Context;
use super::exit::{Failure, Outcome};
use super::wait::TimeoutArgs;
use crate::names::{Namespace, TrustDomain};

mod kubernetes;
pub(crate) mod local;

/// Install the control plane and wait until it is ready.
///
/// On this machine it runs in the background as this user, is started again when it crashes, and
/// needs no root. On a cluster it is applied to a namespace of its own. Run twice, the second
/// changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl install                                  on this machine
  meshctl install --listen 192.0.2.7:15012         for proxies on other machines too
  meshctl install --service-unit > ~/.config/systemd/user/meshctl.service
  meshctl install --platform kubernetes            on the cluster of the current context
  meshctl install --context prod --set log=debug   on that of another one
  meshctl install --platform kubernetes --dry-run > mesh.yaml
  meshctl install --dry-run                        only say what would be done")]
pub(crate) struct InstallArgs {
    /// Where the control plane is to run [default: `local`, or `kubernetes` where a context or
    /// kubeconfig is named].
    #[arg(long)]
    platform: Option<Platform>,
    /// Trust domain of the identities, fixed by the first install [default: cluster.local].
    #[arg(long, value_name = "DOMAIN")]
    trust_domain: Option<TrustDomain>,
    /// Only say what would be done; for Kubernetes, the manifests as they would be applied.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    timeout: TimeoutArgs,
    #[command(flatten)]
    local: LocalArgs,
    #[command(flatten)]
    kubernetes: KubernetesArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "On this machine")]
struct LocalArgs {
    /// Where proxies connect; beyond loopback those of other machines too, by a token of
    /// `token create` [default: as before, at first a free port of 127.0.0.1].
    #[arg(long, value_name = "ADDR:PORT", value_parser = super::address::listen)]
    listen: Option<SocketAddr>,
    /// Print a systemd user unit that runs the control plane instead.
    #[arg(long, conflicts_with = "dry_run")]
    service_unit: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "On a cluster")]
struct KubernetesArgs {
    /// Namespace of the control plane [default: meshctl-system].
    #[arg(short, long)]
    namespace: Option<Namespace>,
    /// Image of the control plane and of the sidecars.
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// How many control planes run [default: 1].
    #[arg(long, value_name = "N")]
    replicas: Option<u32>,
    /// A value, such as `resources.limits.memory=1Gi`; may be given again.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// A file of values in YAML.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    values: Option<PathBuf>,
}

impl KubernetesArgs {
    /// The first that was given.
    fn given(&self) -> Option<&'static str> {
        let all = [
            ("--namespace", self.namespace.is_some()),
            ("--image", self.image.is_some()),
            ("--replicas", self.replicas.is_some()),
            ("--set", !self.set.is_empty()),
            ("--values", self.values.is_some()),
        ];
        all.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag)
    }
}

/// Where a control plane runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Platform {
    Local,
    Kubernetes,
}

pub(crate) fn run(args: &InstallArgs, context: &Context) -> Outcome {
    let named = &context.cluster;
    let platform = args.platform.unwrap_or(match (&named.context, &named.kubeconfig) {
        (None, None) => Platform::Local,
        _ => Platform::Kubernetes,
    });
    let foreign = |flag: &str, of: &str| {
        let text = format!("`{flag}` is for `--platform {of}`");
        Err(Failure::usage(text).help(format!("add `--platform {of}`, or leave `{flag}` out")))
    };
    match platform {
        Platform::Local if named.context.is_some() => foreign("--context", "kubernetes"),
        Platform::Local if named.kubeconfig.is_some() => foreign("--kubeconfig", "kubernetes"),
        Platform::Local => match args.kubernetes.given() {
            Some(flag) => foreign(flag, "kubernetes"),
            None => local::run(args, context),
        },
        Platform::Kubernetes if args.local.listen.is_some() => foreign("--listen", "local"),
        Platform::Kubernetes if args.local.service_unit => foreign("--service-unit", "local"),
        Platform::Kubernetes => kubernetes::run(args, context),
    }
}
