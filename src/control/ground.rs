//! Where the mesh runs, for what differs: what proves who joins, and who says which workloads there
//! are.

use std::sync::Arc;
use std::time::Duration;

use tonic::Status;

use crate::control::hub::HubError;
use crate::control::identity::{JoinTokens, Joining};
use crate::control::plane::Plane;
use crate::control::registration::Registration;
use crate::mesh::Workload;
use crate::names::{Identity, ProxyId, ServiceLabel};

/// How long a proxy may be ahead of what the API server has told of its pod.
const PODS_LAG: Duration = Duration::from_secs(5);

/// The forms that there are.
#[derive(Debug)]
pub(super) enum Ground {
    /// One machine or a few: to be the same user is proof, elsewhere a join token, and workloads say
    /// themselves what they are.
    Local(JoinTokens),
    /// A cluster: a token is proof, and workloads are its pods, whatever they say.
    Kubernetes(Joining),
}

impl Ground {
    /// The services that who has joined from another machine was let in for; `None` for everybody else.
    pub(super) fn bound(&self, identity: &Identity) -> Option<Vec<ServiceLabel>> {
        match self {
            Self::Local(tokens) => tokens.joins.bound(identity),
            Self::Kubernetes(_) => None,
        }
    }
}

impl Plane {
    /// Whether workloads are in the mesh because they registered.
    pub(super) fn workloads_register(&self) -> bool {
        matches!(self.ground, Ground::Local(_))
    }

    /// What the mesh is to know of a registered workload.
    pub(super) fn workload(&self, registration: &Registration) -> Workload {
        let bound = self.ground.bound(&registration.identity(&self.trust_domain));
        registration.workload(&self.trust_domain, bound)
    }

    /// Says behind which service a workload would stand by its labels and version, and does not.
    pub(super) fn warn_of_others(&self, registration: &Registration) {
        let bound = self.workload(registration);
        let free = Workload { bound: None, ..bound.clone() };
        let named = self.view.load().snapshot.services_of(&free);
        if let Some(service) = named.iter().find(|name| !bound.may_stand_behind(name)) {
            let (proxy, identity) = (&bound.proxy, &bound.identity);
            tracing::warn!(target: "audit", %proxy, %identity, %service, "it does not become an endpoint: it joined for another service");
        }
    }

    /// Makes a registered workload part of the mesh, as its agent stream `stream` says; `false` where
    /// another one speaks for it by now.
    pub(super) async fn set_workload(
        &self,
        id: &ProxyId,
        workload: Workload,
        stream: u64,
    ) -> Result<bool, HubError> {
        match self.ground {
            Ground::Local(_) => self.hub.set(id.clone(), Arc::new(workload), stream).await,
            Ground::Kubernetes(_) => Ok(true),
        }
    }

    /// Takes a registered workload out of the mesh; `false` where its proxy is back.
    pub(super) async fn withdraw_workload(&self, id: &ProxyId) -> Result<bool, HubError> {
        match self.ground {
            Ground::Local(_) => self.hub.withdraw(id.clone()).await,
            Ground::Kubernetes(_) => Ok(true),
        }
    }

    /// Whether who has joined from another machine was let in for that service.
    pub(super) fn may_serve(
        &self,
        identity: &Identity,
        service: &ServiceLabel,
    ) -> Result<(), Status> {
        let Some(bound) = self.ground.bound(identity) else { return Ok(()) };
        if bound.contains(service) {
            return Ok(());
        }
        tracing::warn!(target: "audit", %identity, %service, "registration refused: it joined for another service");
        let bound: Vec<_> = bound.iter().map(|service| format!("`{service}`")).collect();
        Err(Status::permission_denied(format!(
            "`{identity}` has joined from another machine for {}, not for `{service}`; make a token for that service, or use another `--service-account`",
            bound.join(", ")
        )))
    }

    /// Whether `id` may be the proxy of a workload with `identity`: on a cluster it must be a pod's
    /// that runs as that account, and is waited for shortly.
    pub(super) async fn is_workload(
        &self,
        id: &ProxyId,
        identity: &Identity,
    ) -> Result<(), Status> {
        if self.workloads_register() {
            return Ok(());
        }
        let mut published = self.revision.clone();
        let known = || {
            let view = self.view.load();
            view.snapshot.workloads.get(id).map(|workload| workload.identity == *identity)
        };
        let waiting = async {
            loop {
                published.mark_unchanged();
                if let Some(its_own) = known() {
                    return Some(its_own);
                }
                published.changed().await.ok()?;
            }
        };
        match tokio::time::timeout(PODS_LAG, waiting).await.ok().flatten() {
            Some(true) => Ok(()),
            Some(false) => Err(Status::permission_denied(format!(
                "the pod `{id}` does not run as `{identity}`"
            ))),
            None => Err(Status::unavailable(format!("no pod `{id}` is known (yet)"))),
        }
    }
}
