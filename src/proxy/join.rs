//! How a proxy gets its certificate: over `join.sock` of the home directory, where the proof is to
//! be the same user; later by the certificate that it has.
//!
//! Goes in: who the workload is to be, and a way to the control plane. Comes out: credentials and
//! roots that were held against each other, saved in the proxy's own directory. A key is made for
//! each request. When to renew is `control`'s business.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use tokio::net::UnixStream;
use tonic::{Code, Status};

use crate::certs::{CredentialError, Credentials, PendingKey, Roots};
use crate::names::{Identity, NameError, Namespace, ProxyId, ServiceAccount, TrustDomain};
use crate::net::backoff::Backoff;
use crate::net::file::PrivateFileError;
use crate::xds::grpc::{Client, Keepalive, channel_over};
use crate::xds::identity::{SignRequest, SignResponse};

/// The socket in the home directory.
const SOCKET: &str = "join.sock";

/// One try to get a certificate takes no longer.
const TRY: Duration = Duration::from_secs(10);

/// How long the first join waits for a control plane that is not there (it may be starting).
const PATIENCE: Duration = Duration::from_secs(5);

/// Who the workload is to be.
#[derive(Debug, Clone)]
pub struct Applicant {
    /// The proxy.
    pub proxy: ProxyId,
    /// The service account.
    pub service_account: ServiceAccount,
    /// The home directory, with the socket in it.
    pub home: PathBuf,
    /// The proxy's own directory, where what was got is kept.
    pub directory: PathBuf,
}

/// What a proxy begins with.
#[derive(Debug)]
pub struct Joined {
    /// Its certificate and key.
    pub credentials: Credentials,
    /// Whom it trusts.
    pub roots: Roots,
    /// Where the control plane is, `address:port`; empty where that was not told.
    pub control_plane: String,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Nobody listens.
    #[error("no control plane answers on `{0}`")]
    Away(PathBuf, #[source] io::Error),
    /// The socket is another user's.
    #[error("`{0}` is served by another user")]
    Stranger(PathBuf),
    /// The control plane said no, or the call failed.
    #[error("the control plane did not sign: {}", .0.message())]
    Refused(#[source] Box<Status>),
    /// No answer in time.
    #[error("the control plane did not answer within {} s", TRY.as_secs())]
    Timeout,
    /// What it names is no trust domain.
    #[error("the control plane names a trust domain that is none")]
    TrustDomain(#[from] NameError),
    /// The mesh is another one than before.
    #[error("the trust domain is `{found}`, but this proxy belongs to `{expected}`")]
    OtherMesh {
        /// Named by the control plane.
        found: TrustDomain,
        /// Of the certificate so far.
        expected: TrustDomain,
    },
    /// What came back is not usable.
    #[error(transparent)]
    Credential(#[from] CredentialError),
}

impl JoinError {
    /// Whether the same may work later without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Away(..) | Self::Timeout => true,
            Self::Refused(status) => matches!(
                status.code(),
                Code::Unavailable
                    | Code::ResourceExhausted
                    | Code::DeadlineExceeded
                    | Code::Aborted
            ),
            _ => false,
        }
    }
}

impl Applicant {
    /// The namespace of the workload.
    pub fn namespace(&self) -> &Namespace {
        &self.proxy.namespace
    }

    /// Who that is in `trust_domain`.
    pub fn identity(&self, trust_domain: TrustDomain) -> Identity {
        Identity {
            trust_domain,
            namespace: self.namespace().clone(),
            service_account: self.service_account.clone(),
        }
    }

    /// The certificate of the run before, while it is valid at `now` and ours.
    ///
    /// # Errors
    /// What is wrong with the files, where there are some; joining anew is the remedy.
    pub fn saved(&self, now: SystemTime) -> Result<Option<Joined>, CredentialError> {
        let roots = match Roots::load(&self.directory) {
            Err(CredentialError::File(PrivateFileError::Missing(_))) => return Ok(None),
            roots => roots?,
        };
        let credentials = match Credentials::load(&self.directory, &roots) {
            Err(CredentialError::File(PrivateFileError::Missing(_))) => return Ok(None),
            credentials => credentials?,
        };
        let ours = self.identity(credentials.identity().trust_domain.clone());
        let usable = *credentials.identity() == ours && credentials.is_valid(now);
        Ok(usable.then(|| Joined { credentials, roots, control_plane: String::new() }))
    }

    /// Gets the first certificate over the home's socket; waits a while for the control plane.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn join(&self) -> Result<Joined, JoinError> {
        let began = tokio::time::Instant::now();
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        loop {
            match self.by_socket(None).await {
                Err(error) if error.is_transient() && began.elapsed() < PATIENCE => {
                    if backoff.failures() == 0 {
                        tracing::info!(%error, "waiting for the control plane");
                    }
                    tokio::time::sleep(backoff.fail(fastrand::u64(..))).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// One try over the home's socket; `mesh` is the trust domain where that is fixed already.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn by_socket(&self, mesh: Option<&TrustDomain>) -> Result<Joined, JoinError> {
        let path = self.home.join(SOCKET);
        let stream = UnixStream::connect(&path).await;
        let stream = stream.map_err(|error| JoinError::Away(path.clone(), error))?;
        let uid = stream.peer_cred().map(|peer| peer.uid());
        let own = rustix::process::geteuid().as_raw();
        if !uid.is_ok_and(|uid| uid == own || uid == 0) {
            return Err(JoinError::Stranger(path));
        }
        // The channel opens one stream, for one call.
        let stream = std::sync::Mutex::new(Some(stream));
        let connect = move || {
            let stream = stream.lock().ok().and_then(|mut stream| stream.take());
            async move { stream.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
        };
        let client = Client::new(channel_over(connect, Keepalive::default()));
        self.sign(client, mesh).await
    }

    /// Gets a certificate over a connection to the control plane, and keeps it.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn sign(
        &self,
        mut client: Client,
        mesh: Option<&TrustDomain>,
    ) -> Result<Joined, JoinError> {
        let key = PendingKey::generate()?;
        let csr = match mesh {
            Some(mesh) => key.csr(&self.identity(mesh.clone()))?,
            None => key.anonymous_csr()?,
        };
        let request = SignRequest {
            csr,
            namespace: self.namespace().to_string(),
            service_account: self.service_account.to_string(),
            proxy: self.proxy.name.to_string(),
        };
        let answer = tokio::time::timeout(TRY, client.sign(request)).await;
        let answer = answer.map_err(|_| JoinError::Timeout)?;
        let answer = answer.map_err(|status| JoinError::Refused(Box::new(status)))?;
        let joined = self.take(key, answer, mesh)?;
        if let Err(error) = keep(&joined, &self.directory) {
            // A full disk must not end traffic; a restart then has to join anew.
            tracing::warn!(%error, "the new certificate is used but could not be saved");
        }
        Ok(joined)
    }

    fn take(
        &self,
        key: PendingKey,
        answer: SignResponse,
        mesh: Option<&TrustDomain>,
    ) -> Result<Joined, JoinError> {
        let found: TrustDomain = answer.trust_domain.parse()?;
        if let Some(expected) = mesh.filter(|mesh| **mesh != found) {
            return Err(JoinError::OtherMesh { found, expected: expected.clone() });
        }
        let ders = |list: Vec<Vec<u8>>| list.into_iter().map(CertificateDer::from).collect();
        let roots = Roots::new(ders(answer.roots))?;
        let credentials = key.finish(ders(answer.chain), &roots, &self.identity(found))?;
        Ok(Joined { credentials, roots, control_plane: answer.control_plane })
    }
}

/// Roots first: credentials without roots are not read.
fn keep(joined: &Joined, directory: &Path) -> Result<(), CredentialError> {
    joined.roots.save(directory)?;
    joined.credentials.save(directory)
}
