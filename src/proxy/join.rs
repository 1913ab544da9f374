//! How a proxy gets its certificate: by a [`Proof`] when it has none, later by the one that it has.
//!
//! Goes in: who the workload is to be, and a way to the control plane. Comes out: credentials and
//! roots that were held against each other, saved in the proxy's own directory. A key is made for
//! each request. When to renew is `control`'s business.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use tokio::sync::watch;
use tonic::{Code, Status};

use crate::certs::token::NoToken;
use crate::certs::{CredentialError, Credentials, PendingKey, RootPin, Roots, VerifyFailure};
use crate::names::{Identity, NameError, Namespace, ProxyId, ServiceAccount, TrustDomain};
use crate::net::backoff::Backoff;
use crate::net::causes::chain;
use crate::net::file::PrivateFileError;
use crate::xds::grpc::Client;
use crate::xds::identity::{SignRequest, SignResponse};
pub use elsewhere::Elsewhere;
pub use pod::PodToken;

mod contact;
mod elsewhere;
mod pod;
mod socket;
#[cfg(test)]
mod tests;

/// One try to get a certificate takes no longer.
const TRY: Duration = Duration::from_secs(10);

/// How long the first join waits for a control plane that is not there (it may be starting). In a
/// pod there is nothing better to do than to wait on.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest wait between two tries.
const LONGEST_RETRY: Duration = Duration::from_secs(1);

/// The same, where the control plane has said no: somebody has to do something first.
const LONGEST_RETRY_REFUSED: Duration = Duration::from_secs(5);

/// What proves who a workload is, as long as it has no valid certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// To be the same user: over `join.sock` of this home directory.
    SameUser(PathBuf),
    /// A token, shown over the network.
    Token(TokenProof),
}

/// The tokens that there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenProof {
    /// Of the pod's service account.
    Pod(PodToken),
    /// To join from another machine, once.
    Join(Elsewhere),
}

impl TokenProof {
    /// Where the control plane is, `host:port`.
    pub fn control_plane(&self) -> &str {
        match self {
            Self::Pod(PodToken { control_plane, .. })
            | Self::Join(Elsewhere { control_plane, .. }) => control_plane,
        }
    }
}

/// Who the workload is to be.
#[derive(Debug, Clone)]
pub struct Applicant {
    /// The proxy.
    pub proxy: ProxyId,
    /// The service account.
    pub service_account: ServiceAccount,
    /// What proves it.
    pub proof: Proof,
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
    Away(String, #[source] std::io::Error),
    /// A file that the proof needs cannot be read, or does not hold what it should.
    #[error("cannot use `{0}`")]
    File(PathBuf, #[source] std::io::Error),
    /// A file holds no join token.
    #[error("`{0}` holds no join token")]
    NoToken(PathBuf, #[source] NoToken),
    /// Neither a certificate nor a token.
    #[error("this proxy has no certificate yet, and no token to get one by")]
    Nothing,
    /// A certificate that proves nothing any more, and no token.
    #[error("the certificate of this proxy has expired, and there is no token to get another by")]
    Expired,
    /// Who answers is not who it must be.
    #[error("what answers on `{0}` is not the control plane of the token's mesh")]
    Impostor(String, #[source] VerifyFailure),
    /// The socket is another user's.
    #[error("`{0}` is served by another user")]
    Stranger(PathBuf),
    /// The control plane said no, or the call failed.
    #[error("the control plane did not sign: {}", .0.message())]
    Refused(Box<Status>),
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
            Self::Away(..) | Self::File(..) | Self::Timeout => true,
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

    /// Whether what was saved is of the mesh that a join token is for, where one is given.
    pub async fn is_of_its_mesh(&self, saved: &Joined) -> bool {
        let Proof::Token(TokenProof::Join(proof)) = &self.proof else { return true };
        match proof.token().await {
            Ok(Some(token)) => saved.roots.ders().any(|root| RootPin::of(root) == Some(token.root)),
            Ok(None) | Err(_) => true,
        }
    }

    /// Whether there are a certificate and a key of the run before, good or not.
    fn has_saved(&self) -> bool {
        let roots = Roots::load(&self.directory);
        roots.is_ok_and(|roots| Credentials::load(&self.directory, &roots).is_ok())
    }

    /// Gets the first certificate; waits for the control plane a while, without end where the proof
    /// is a pod's token. Why it waits is told to `waiting`.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn join(&self, waiting: &watch::Sender<Option<String>>) -> Result<Joined, JoinError> {
        let began = tokio::time::Instant::now();
        let mut backoff = Backoff::new(Duration::from_millis(100), LONGEST_RETRY_REFUSED);
        loop {
            let error = match self.prove(None).await {
                Ok(joined) => {
                    waiting.send_replace(None);
                    return Ok(joined);
                }
                Err(error) => error,
            };
            let patient = match self.proof {
                Proof::Token(TokenProof::Pod(_)) => true,
                _ => error.is_transient() && began.elapsed() < PATIENCE,
            };
            if !patient {
                return Err(error);
            }
            let why = chain(&error);
            if waiting.borrow().as_deref() != Some(&why) {
                tracing::info!(why, "waiting for the control plane");
                waiting.send_replace(Some(why));
            }
            let longest = if error.is_transient() { LONGEST_RETRY } else { LONGEST_RETRY_REFUSED };
            tokio::time::sleep(backoff.fail(fastrand::u64(..)).min(longest)).await;
        }
    }

    /// One try to get a certificate by the proof; `mesh` is the trust domain where that is fixed
    /// already.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn prove(&self, mesh: Option<&TrustDomain>) -> Result<Joined, JoinError> {
        match &self.proof {
            Proof::SameUser(home) => self.sign(socket::connect(home).await?, mesh, None).await,
            Proof::Token(TokenProof::Pod(proof)) => {
                let (client, found) = proof.connect().await?;
                same(mesh, &found)?;
                self.sign(client, Some(&found), Some(proof.token().await?)).await
            }
            Proof::Token(TokenProof::Join(proof)) => {
                let token = proof.token().await?.ok_or_else(|| match self.has_saved() {
                    true => JoinError::Expired,
                    false => JoinError::Nothing,
                })?;
                let (client, found) = proof.connect(&token).await?;
                same(mesh, &found)?;
                self.sign(client, Some(&found), Some(token.proof())).await
            }
        }
    }

    /// Gets a certificate by the one that the connection was made with.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn renew(&self, client: Client, mesh: &TrustDomain) -> Result<Joined, JoinError> {
        self.sign(client, Some(mesh), None).await
    }

    /// Gets a certificate over a connection to the control plane, and keeps it.
    async fn sign(
        &self,
        mut client: Client,
        mesh: Option<&TrustDomain>,
        token: Option<String>,
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
            token: token.unwrap_or_default(),
        };
        let answer = tokio::time::timeout(TRY, client.sign(request)).await;
        let answer = answer.map_err(|_| JoinError::Timeout)?;
        let answer = answer.map_err(|status| JoinError::Refused(Box::new(status)))?;
        let joined = self.take(key, answer, mesh)?;
        if let Err(error) = keep(&joined, &self.directory) {
            // A full disk must not end traffic; a restart then has to join anew.
            tracing::warn!(
                error = chain(&error),
                "the new certificate is used but could not be saved"
            );
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
        same(mesh, &found)?;
        let ders = |list: Vec<Vec<u8>>| list.into_iter().map(CertificateDer::from).collect();
        let roots = Roots::new(ders(answer.roots))?;
        let credentials = key.finish(ders(answer.chain), &roots, &self.identity(found))?;
        Ok(Joined { credentials, roots, control_plane: answer.control_plane })
    }
}

/// Whether a control plane is of the mesh that it must be of, where that is fixed already.
fn same(mesh: Option<&TrustDomain>, found: &TrustDomain) -> Result<(), JoinError> {
    match mesh.filter(|mesh| *mesh != found) {
        Some(expected) => {
            Err(JoinError::OtherMesh { found: found.clone(), expected: expected.clone() })
        }
        None => Ok(()),
    }
}

/// Roots first: credentials without roots are not read.
fn keep(joined: &Joined, directory: &Path) -> Result<(), CredentialError> {
    joined.roots.save(directory)?;
    joined.credentials.save(directory)
}
