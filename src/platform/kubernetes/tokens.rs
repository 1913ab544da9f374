//! Who shows a service-account token: asked of the API server each time (TokenReview), nothing is
//! remembered here.
//!
//! A token counts for [`AUDIENCE`] alone, so that one meant for somebody else, or the API server's
//! own, proves nothing to us and ours nothing to them. A bound token (KEP-1205) names its pod; the
//! API server refuses it once that pod is gone.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::api::{Api, PostParams};
use kube::{Client, Error};
use tokio::sync::Semaphore;

use super::partial::Pod;
use crate::names::sidecar::AUDIENCE;
use crate::names::{Namespace, ObjectName, ServiceAccount};

#[cfg(test)]
mod tests;

/// The longest token that is looked at; the API server's own have about 1 KiB.
pub const TOKEN_BYTES: usize = 16 * 1024;

/// Questions to the API server at once; more wait.
const AT_ONCE: usize = 16;

/// How long one check may take, waiting included.
const PATIENCE: Duration = Duration::from_secs(8);

/// What user names of service accounts begin with.
const ACCOUNT: &str = "system:serviceaccount:";

/// Where the API server says to which pod a token is bound.
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// Whom a token proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// The account's namespace, and the pod's.
    pub namespace: Namespace,
    /// The account.
    pub service_account: ServiceAccount,
    /// The pod that the token is bound to, where it is.
    pub pod: Option<PodId>,
}

/// One pod, and not another of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodId {
    /// Its name.
    pub name: ObjectName,
    /// Its UID.
    pub uid: String,
}

/// Why a token proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is not what it must be. Told to the log, never to who showed it.
    #[error("the token is refused: {0}")]
    Refused(String),
    /// The API server did not answer, or not to us.
    #[error("the API server cannot be asked about the token: {0}")]
    Away(String),
}

/// Asks about tokens.
pub struct Tokens {
    client: Client,
    slots: Semaphore,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

impl Tokens {
    /// Asks with `client`.
    pub fn new(client: Client) -> Self {
        Self { client, slots: Semaphore::new(AT_ONCE) }
    }

    /// Whom `token` proves, whatever it is bound to.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn bearer(&self, token: &str) -> Result<Bearer, TokenError> {
        self.in_time(self.review(token)).await
    }

    /// The pod that `token` proves: bound to it, which lives, and runs as that account.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn pod(&self, token: &str) -> Result<(Bearer, PodId), TokenError> {
        let proven = async {
            let bearer = self.review(token).await?;
            let refused = |why: &str| TokenError::Refused(why.to_owned());
            let pod = bearer.pod.clone().ok_or_else(|| refused("it is bound to no pod"))?;
            let pods: Api<Pod> = Api::namespaced(self.client.clone(), bearer.namespace.as_str());
            let found = pods.get_opt(pod.name.as_str()).await.map_err(|error| away(&error))?;
            let found = found.ok_or_else(|| refused("its pod is gone"))?;
            check_pod(&bearer, &pod, &found)?;
            Ok((bearer, pod))
        };
        self.in_time(proven).await
    }

    async fn in_time<T>(
        &self,
        asking: impl Future<Output = Result<T, TokenError>>,
    ) -> Result<T, TokenError> {
        let asking = async {
            let _slot = self.slots.acquire().await;
            asking.await
        };
        let late = |_| TokenError::Away(format!("no answer within {} s", PATIENCE.as_secs()));
        tokio::time::timeout(PATIENCE, asking).await.map_err(late)?
    }

    async fn review(&self, token: &str) -> Result<Bearer, TokenError> {
        if token.is_empty() || token.len() > TOKEN_BYTES {
            return Err(TokenError::Refused("it is empty or too long".to_owned()));
        }
        let spec = TokenReviewSpec {
            token: Some(token.to_owned()),
            audiences: Some(vec![AUDIENCE.to_owned()]),
        };
        let review = TokenReview { spec, ..TokenReview::default() };
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let answer = reviews.create(&PostParams::default(), &review).await;
        bearer(&answer.map_err(|error| away(&error))?.status.unwrap_or_default())
    }
}

/// What the API server says of a token.
fn bearer(status: &TokenReviewStatus) -> Result<Bearer, TokenError> {
    let refused = |why: &str| TokenError::Refused(why.to_owned());
    if status.authenticated != Some(true) {
        let why = status.error.as_deref().unwrap_or("it is not a valid token");
        return Err(refused(why));
    }
    // An API server that knows no audiences would name none: then the token may be anybody's.
    if !status.audiences.iter().flatten().any(|audience| audience == AUDIENCE) {
        return Err(refused("it is meant for another audience"));
    }
    let user = status.user.clone().unwrap_or_default();
    let name = user.username.unwrap_or_default();
    let account = name.strip_prefix(ACCOUNT).and_then(|rest| rest.split_once(':'));
    let (namespace, account) = account.ok_or_else(|| refused("it is no service account's"))?;
    let wrong = |error: crate::names::NameError| TokenError::Refused(error.to_string());
    Ok(Bearer {
        namespace: namespace.parse().map_err(wrong)?,
        service_account: account.parse().map_err(wrong)?,
        pod: pod(&user.extra.unwrap_or_default())?,
    })
}

fn pod(extra: &BTreeMap<String, Vec<String>>) -> Result<Option<PodId>, TokenError> {
    let one = |key| match extra.get(key).map(Vec::as_slice) {
        Some([value]) if !value.is_empty() => Some(value.clone()),
        _ => None,
    };
    let (Some(name), Some(uid)) = (one(POD_NAME), one(POD_UID)) else { return Ok(None) };
    let name = name.parse().map_err(|error| TokenError::Refused(format!("{error}")))?;
    Ok(Some(PodId { name, uid }))
}

/// Holds the pod that there is against the one that the token is bound to.
fn check_pod(bearer: &Bearer, pod: &PodId, found: &Pod) -> Result<(), TokenError> {
    let spec = found.spec.as_ref();
    let account = spec.and_then(|spec| spec.service_account_name.as_deref());
    let why = if found.metadata.uid.as_deref() != Some(&pod.uid) {
        "its pod is gone, another has its name"
    } else if account.unwrap_or("default") != bearer.service_account.as_str() {
        "its pod runs as another service account"
    } else {
        return Ok(());
    };
    Err(TokenError::Refused(why.to_owned()))
}

fn away(error: &Error) -> TokenError {
    TokenError::Away(match error {
        Error::Api(status) => status.message.clone(),
        error => error.to_string(),
    })
}
