//! What one proxy is told to be: resolved, without defaults left to fill in and without a word of
//! the command line. `cli` makes it, `run` takes it; what cannot be (an outbound beyond loopback)
//! is refused by [`Config::check`] before anything is bound.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::names::{ObjectName, Protocol, ServiceAccount, ServiceName};
use crate::proxy::dataplane::Captured;
use crate::proxy::join::{Proof, TokenProof};
use crate::proxy::probes;

/// How long a proxy drains where nothing else is said.
pub const DRAIN: Duration = Duration::from_secs(30);

/// How long the mesh is not told of an application that does not listen yet, where nothing else is said.
pub const APP_WAIT: Duration = Duration::from_secs(10);

/// One proxy.
#[derive(Debug, Clone)]
pub struct Config {
    /// The home directory of this machine's mesh: `join.sock` of the control plane lies in it, and
    /// the proxy's own directory under `proxies/NAMESPACE/NAME/`.
    pub home: PathBuf,
    /// In a pod or on another machine: where the control plane is, and what to join by.
    pub token: Option<TokenProof>,
    /// The service that the workload registers under.
    pub service: ServiceName,
    /// The `version` label; with it the workload also makes the service `SERVICE-VERSION`.
    pub version: Option<String>,
    /// The proxy's name; `None` takes service, version and the lowest number that is free.
    pub name: Option<ObjectName>,
    /// The service account; by default named like the service.
    pub service_account: ServiceAccount,
    /// Labels beside `app` and `version`, which `run` adds itself.
    pub labels: BTreeMap<String, String>,
    /// Where the application listens; `None` for a workload that only calls.
    pub app: Option<SocketAddr>,
    /// How long the mesh is not told of the workload because its application does not listen yet; zero
    /// for not at all. In a pod the kubelet's probes decide instead. See [`APP_WAIT`].
    pub app_wait: Duration,
    /// What the application speaks.
    pub protocol: Protocol,
    /// The service's port that the application answers for; `None` leaves it to the service's
    /// declaration, and 80 where there is none.
    pub service_port: Option<u16>,
    /// The address that callers are told; `None` is the one that the inbound side listens on.
    pub advertise: Option<IpAddr>,
    /// Where calls from the mesh arrive. Port 0 is chosen once per name and kept.
    pub inbound: SocketAddr,
    /// Where the application hands over its calls; loopback only. Port 0 as above.
    pub outbound: SocketAddr,
    /// Where the proxy itself is asked; loopback or a Unix socket. Port 0 as above.
    pub admin: AdminAddress,
    /// Where the kernel redirects connections to. With captured inbound, `inbound` is not used, and
    /// every connection names its application itself.
    pub captured: Captured,
    /// Where the kubelet asks; `None` outside of pods.
    pub probes: Option<probes::Config>,
    /// Local ports that stand for one port of a service each.
    pub upstreams: Vec<Upstream>,
    /// How many worker threads.
    pub workers: NonZeroUsize,
    /// How much memory the process may use, bytes, beside the limits of its control groups.
    pub memory_limit: Option<u64>,
    /// Written when everything listens and the certificate is there, removed at exit.
    pub ready_file: Option<PathBuf>,
    /// How long connections may take to end after SIGTERM. See [`DRAIN`].
    pub drain: Duration,
    /// The application's command line; empty for none.
    pub command: Vec<OsString>,
}

/// Where the admin server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminAddress {
    /// On loopback.
    Tcp(SocketAddr),
    /// On a Unix socket, mode 0600, made anew.
    Unix(PathBuf),
}

impl std::fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// `--upstream NAME:PORT=LOCALPORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// The service.
    pub service: ServiceName,
    /// The service's port.
    pub port: u16,
    /// The port on the outbound side's address; 0 is chosen once per name and kept.
    pub local_port: u16,
}

/// Why a [`Config`] cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It would lend the workload's identity to other machines.
    #[error(
        "`--outbound {0}` is not a loopback address: whoever reaches it calls as this workload"
    )]
    OutboundBeyondLoopback(SocketAddr),
    /// It would show the configuration to other machines.
    #[error("`--admin {0}` is not a loopback address: whoever reaches it sees the configuration")]
    AdminBeyondLoopback(SocketAddr),
    /// Nobody could reach it.
    #[error("`--inbound {0}` listens on all addresses, of which callers need one")]
    AdvertiseMissing(SocketAddr),
    /// Callers on other machines would call themselves.
    #[error("`--advertise {0}` is a loopback address, which no other machine reaches")]
    AdvertiseLoopback(IpAddr),
    /// Callers on other machines would not get in.
    #[error("`--inbound {0}` is a loopback address, which no other machine reaches")]
    InboundLoopback(SocketAddr),
    /// The same service and port twice, or the same local port twice.
    #[error("`--upstream` names {0} twice")]
    UpstreamTwice(String),
    /// A label's value that `--service` or `--version` already gives.
    #[error("the label `{0}` is set by `--service` and `--version`")]
    LabelTaken(String),
}

impl ConfigError {
    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::OutboundBeyondLoopback(address) => {
                format!("listen on loopback: `--outbound 127.0.0.1:{}`", address.port())
            }
            Self::AdminBeyondLoopback(address) => {
                let port = address.port();
                format!("listen on loopback, `--admin 127.0.0.1:{port}`, or at `--admin unix:PATH`")
            }
            Self::AdvertiseMissing(_) | Self::AdvertiseLoopback(_) => {
                "say with `--advertise` which address callers are to use".to_owned()
            }
            Self::InboundLoopback(_) => "listen on another address, or leave it out".to_owned(),
            Self::UpstreamTwice(_) => "keep one of the two".to_owned(),
            Self::LabelTaken(label) => format!("leave `--label {label}=…` out"),
        }
    }
}

impl Config {
    /// Checks what the type cannot say.
    ///
    /// # Errors
    /// The first [`ConfigError`] found.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !self.outbound.ip().is_loopback() {
            return Err(ConfigError::OutboundBeyondLoopback(self.outbound));
        }
        if let AdminAddress::Tcp(address) = self.admin
            && !address.ip().is_loopback()
        {
            return Err(ConfigError::AdminBeyondLoopback(address));
        }
        if self.app.is_some() && self.advertise.is_none() && self.inbound.ip().is_unspecified() {
            return Err(ConfigError::AdvertiseMissing(self.inbound));
        }
        self.check_reach()?;
        if let Some(taken) = ["app", "version"].into_iter().find(|l| self.labels.contains_key(*l)) {
            return Err(ConfigError::LabelTaken(taken.into()));
        }
        for (index, upstream) in self.upstreams.iter().enumerate() {
            let earlier = self.upstreams.iter().take(index);
            let same = |other: &Upstream| {
                (&other.service, other.port) == (&upstream.service, upstream.port)
            };
            let clash = |other: &Upstream| {
                upstream.local_port != 0 && other.local_port == upstream.local_port
            };
            if earlier.clone().any(same) {
                let name = format!("`{}:{}`", upstream.service, upstream.port);
                return Err(ConfigError::UpstreamTwice(name));
            }
            if earlier.clone().any(clash) {
                let name = format!("the local port {}", upstream.local_port);
                return Err(ConfigError::UpstreamTwice(name));
            }
        }
        Ok(())
    }

    /// Whether the control plane is on another machine, and callers may be too.
    fn is_elsewhere(&self) -> bool {
        matches!(self.token, Some(TokenProof::Join(_)))
    }

    /// Whether this is the sidecar of a pod.
    pub(super) fn is_pod(&self) -> bool {
        matches!(self.token, Some(TokenProof::Pod(_)))
    }

    /// Refuses what callers on other machines could not reach.
    fn check_reach(&self) -> Result<(), ConfigError> {
        if !self.is_elsewhere() || self.app.is_none() {
            return Ok(());
        }
        match self.advertise {
            Some(ip) if ip.is_loopback() => Err(ConfigError::AdvertiseLoopback(ip)),
            _ if self.inbound.ip().is_loopback() => Err(ConfigError::InboundLoopback(self.inbound)),
            _ => Ok(()),
        }
    }

    /// What proves who the workload is.
    pub(super) fn proof(&self) -> Proof {
        match &self.token {
            Some(token) => Proof::Token(token.clone()),
            None => Proof::SameUser(self.home.clone()),
        }
    }

    /// Whether anybody calls this workload.
    pub fn serves(&self) -> bool {
        self.app.is_some() || self.captured.inbound.is_some()
    }

    /// All labels of the workload: `app`, `version`, and those given.
    pub fn all_labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.labels.clone();
        labels.insert("app".into(), self.service.name.to_string());
        if let Some(version) = &self.version {
            labels.insert("version".into(), version.clone());
        }
        labels
    }
}
