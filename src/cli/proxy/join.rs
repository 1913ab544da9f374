//! What `proxy run` is told where the control plane is not of this home: where it is, what to join by,
//! and at which address callers on other machines find the workload.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::path::PathBuf;

use clap::Args;

use super::super::address;
use super::super::exit::Failure;
use crate::proxy::join::{Elsewhere, JoinError, PodToken, TokenProof};

/// Where the workload listens when it is not beside its control plane's home.
const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// How a workload joins that is not of the home's control plane.
#[derive(Debug, Clone, Args)]
pub(super) struct JoinArgs {
    /// Control plane on another machine or of a cluster.
    #[arg(long, value_name = "URL", value_parser = address::control_plane)]
    control_plane: Option<String>,
    /// File with the token to join by: once, as `token create` prints it; with `--roots-file` the
    /// service-account token of a pod, read again at each try.
    #[arg(long, value_name = "FILE", requires = "control_plane", value_hint = clap::ValueHint::FilePath)]
    token_file: Option<PathBuf>,
    /// In a pod: file with the mesh's root certificates (PEM), which the control plane must prove.
    #[arg(long, value_name = "FILE", requires_all = ["control_plane", "token_file"], value_hint = clap::ValueHint::FilePath)]
    roots_file: Option<PathBuf>,
}

/// Where callers find the workload.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reach {
    /// Where their calls arrive.
    pub(super) inbound: SocketAddr,
    /// What they are told; `None`: the address of `inbound`.
    pub(super) advertise: Option<IpAddr>,
}

impl JoinArgs {
    /// What the workload joins by; `None`: by being of the same user.
    pub(super) fn token(self) -> Option<TokenProof> {
        let Self { control_plane, token_file, roots_file } = self;
        let control_plane = control_plane?;
        Some(match (token_file, roots_file) {
            (Some(token_file), Some(roots_file)) => {
                TokenProof::Pod(PodToken { control_plane, token_file, roots_file })
            }
            (token_file, _) => TokenProof::Join(Elsewhere { control_plane, token_file }),
        })
    }

    /// Fills in where callers find the workload, from what was said of it.
    pub(super) fn reach(
        &self,
        inbound: Option<SocketAddr>,
        advertise: Option<IpAddr>,
        serves: bool,
    ) -> Result<Reach, Failure> {
        let elsewhere = self.control_plane.as_deref().filter(|_| self.roots_file.is_none());
        let Some(control_plane) = elsewhere.filter(|_| serves) else {
            return Ok(Reach { inbound: inbound.unwrap_or(LOOPBACK), advertise });
        };
        let advertise = match (advertise, inbound) {
            (None, Some(inbound)) if !inbound.ip().is_unspecified() => None,
            (None, _) => Some(own_address(control_plane)?),
            (said, _) => said,
        };
        let free = |ip| SocketAddr::new(ip, 0);
        let inbound = inbound.unwrap_or_else(|| advertise.map_or(LOOPBACK, free));
        Ok(Reach { inbound, advertise })
    }

    /// What to do about a join that failed.
    pub(super) fn remedy(&self, error: &JoinError) -> String {
        const MAKE: &str = "make one on the machine of the control plane with `meshctl token create --service NAME`, and name its file with `--token-file`";
        match (&self.control_plane, error) {
            (_, JoinError::Stranger(_)) => "run as that user, or name another mesh with `--home`".to_owned(),
            (_, JoinError::OtherMesh { .. }) => {
                "give it another `--name`, or join the mesh that it belongs to".to_owned()
            }
            (None, _) => "the control plane of this machine is started with `meshctl install`; `meshctl check` looks at it".to_owned(),
            (Some(_), JoinError::Nothing | JoinError::Expired | JoinError::NoToken(..)) => {
                MAKE.to_owned()
            }
            (Some(_), JoinError::File(..)) => {
                "name a file that is there, and that this user may read, with `--token-file`".to_owned()
            }
            (Some(_), JoinError::Refused(status)) if status.code() == tonic::Code::PermissionDenied => {
                "a token is good once, not for long and for one workload; `meshctl token list` on the machine of the control plane shows which there are".to_owned()
            }
            (Some(at), JoinError::Away(..) | JoinError::Timeout) => format!(
                "see whether `https://{at}` is right and reached from here; there the control plane listens after `meshctl install --listen ADDR:PORT`"
            ),
            (Some(_), JoinError::Impostor(..)) => {
                "name the address of the control plane that made the token".to_owned()
            }
            (Some(_), _) => String::new(),
        }
    }
}

/// The address by which this machine reaches the control plane; nothing is sent to find it out.
fn own_address(control_plane: &str) -> Result<IpAddr, Failure> {
    let unknown = |error: std::io::Error| {
        Failure::from(error)
            .context(format!("cannot tell by which address this machine reaches `{control_plane}`"))
            .help("say with `--advertise` which address callers are to use")
    };
    let mut found = control_plane.to_socket_addrs().map_err(unknown)?;
    let to = found.next().ok_or_else(|| unknown(std::io::ErrorKind::NotFound.into()))?;
    let any: IpAddr = match to.is_ipv4() {
        true => Ipv4Addr::UNSPECIFIED.into(),
        false => Ipv6Addr::UNSPECIFIED.into(),
    };
    let own = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect(to)?;
        socket.local_addr()
    });
    match own.map_err(unknown)?.ip() {
        ip if ip.is_loopback() => Err(Failure::usage(format!(
            "this machine reaches `{control_plane}` over loopback, which no other machine does"
        ))
        .help("say with `--advertise` which address callers are to use")),
        ip => Ok(ip),
    }
}
