//! What `proxy run` is told in a pod: that everything is captured, and what the kubelet asks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use clap::Args;

use super::super::exit::Failure;
use crate::names::sidecar::{INBOUND_PORT, OUTBOUND_PORT, PROBE_PORT};
use crate::proxy::dataplane::Captured;
use crate::proxy::probes;

/// The sidecar of a pod, as injection writes it.
#[derive(Debug, Args)]
pub(super) struct PodArgs {
    /// Take the connections that `proxy capture` redirects, as the sidecar of a pod.
    #[arg(long, conflicts_with_all = ["app", "inbound"])]
    captured: bool,
    /// The pod's own probes and lifecycle handlers, JSON by `CONTAINER/KIND`.
    #[arg(
        long,
        value_name = "JSON",
        env = "MESHCTL_PROBES",
        hide_env_values = true,
        default_value = "{}"
    )]
    probes: String,
}

impl PodArgs {
    /// Where redirected connections arrive.
    pub(super) fn captured(&self) -> Captured {
        match self.captured {
            true => Captured { inbound: Some(INBOUND_PORT), outbound: Some(OUTBOUND_PORT) },
            false => Captured::default(),
        }
    }

    /// Where the kubelet asks, and what; the pod's applications are at `address`.
    pub(super) fn probes(
        &self,
        address: Option<IpAddr>,
    ) -> Result<Option<probes::Config>, Failure> {
        if !self.captured {
            return Ok(None);
        }
        let wrong = |error| Failure::misuse(error).context("cannot read the probes of the pod");
        Ok(Some(probes::Config {
            listen: SocketAddr::from((Ipv6Addr::UNSPECIFIED, PROBE_PORT)),
            pod: address.unwrap_or(Ipv4Addr::LOCALHOST.into()),
            originals: probes::read(&self.probes).map_err(wrong)?,
        }))
    }
}
