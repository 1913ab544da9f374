//! How a proxy becomes part of the mesh and stops being so: registered for as long as its agent stream
//! lives, away when the stream is lost, gone after a goodbye.
//!
//! A process may name the one whose place it takes. Then the proxy is the newer process from that
//! moment on, as ready as it was, and what the older one says of it no longer counts.

use std::time::Instant;

use jiff::Timestamp;
use tonic::Status;

use crate::control::hub::HubError;
use crate::control::plane::Plane;
use crate::control::proxies::{AgentLink, PROXIES_MAX, Proxies};
use crate::control::registration::Registration;
use crate::names::{Identity, ProxyId, TrustDomain};
use crate::telemetry::limits::Limit;
use crate::xds::agent::{Counters, Hello, Pools};

/// Checks who it is, from another machine or not, and makes it part of the mesh.
pub(super) async fn register(
    plane: &Plane,
    (identity, elsewhere): (&Identity, bool),
    hello: &Hello,
    link: &AgentLink,
) -> Result<Registration, Status> {
    let mut registration = Registration::from_hello(hello).map_err(Status::invalid_argument)?;
    let id = registration.proxy();
    if registration.identity(&plane.trust_domain) != *identity {
        tracing::warn!(target: "audit", proxy = %id, %identity, "registration refused: not its own identity");
        return Err(Status::permission_denied(format!(
            "the certificate is for `{identity}`, the hello for `{}`",
            registration.identity(&plane.trust_domain)
        )));
    }
    if elsewhere && plane.workloads_register() {
        registration.is_reachable().map_err(Status::invalid_argument)?;
    }
    plane.may_serve(identity, &registration.service)?;
    if let Some(ready) = admit(plane, &registration, link)? {
        registration.ready = ready;
    }
    plane.is_workload(&id, identity).await?;
    let workload = registration.workload(&plane.trust_domain);
    plane.set_workload(&id, Some(workload)).await.map_err(|error| match error {
        HubError::Conflict(conflict) => Status::already_exists(conflict.to_string()),
        HubError::Closed => Status::unavailable(error.to_string()),
    })?;
    keep(plane, &id, Some(registration.clone())).await;
    plane.departures.lock().settle(&id);
    {
        let (now, mut board) = (Timestamp::now(), plane.board.lock());
        // Looked at again: another stream may have come in while the mesh was told.
        admissible(&board.proxies, &registration, link, &plane.trust_domain)?;
        board.proxies.register(registration.clone(), now);
        board.proxies.update(&id, now, |proxy| {
            (proxy.pools, proxy.counters) = (Pools::default(), Counters::default());
        });
        board.proxies.take_place(&id, link.clone(), now);
    }
    plane.registered.send_modify(|count| *count += 1);
    tracing::info!(proxy = %id, %identity, "registered");
    Ok(registration)
}

/// Whether it may register; whether it was ready before, where that still counts.
fn admit(
    plane: &Plane,
    registration: &Registration,
    link: &AgentLink,
) -> Result<Option<bool>, Status> {
    let board = plane.board.lock();
    admissible(&board.proxies, registration, link, &plane.trust_domain)?;
    let id = registration.proxy();
    let known = board.proxies.get(&id);
    if known.is_none() && board.proxies.count() >= PROXIES_MAX {
        plane.limits.hit(Limit::Proxies);
        return Err(Status::resource_exhausted(format!("{PROXIES_MAX} proxies are registered")));
    }
    // After a restart of the control plane the process is not known: it is taken for the same. A
    // successor has the listeners of the one before, on which calls are taken all the while.
    let same =
        known.is_none_or(|proxy| proxy.agent.as_ref().is_none_or(|agent| link.may_replace(agent)));
    let view = plane.view.load();
    let before = view.snapshot.workloads.get(&id).filter(|_| same);
    Ok(before.map(|workload| workload.ready))
}

fn admissible(
    proxies: &Proxies,
    registration: &Registration,
    link: &AgentLink,
    trust_domain: &TrustDomain,
) -> Result<(), Status> {
    let id = registration.proxy();
    let Some(known) = proxies.get(&id) else { return Ok(()) };
    let Some(agent) = &known.agent else { return Ok(()) };
    if known.registration.identity(trust_domain) != registration.identity(trust_domain) {
        let owner = known.registration.identity(trust_domain);
        return Err(Status::already_exists(format!(
            "the name `{id}` is in use by `{owner}`; choose another with `--name`"
        )));
    }
    if !link.may_replace(agent) {
        return Err(Status::already_exists(format!(
            "proxy `{id}` is connected already (pid {}); choose another name with `--name`",
            agent.process.0
        )));
    }
    Ok(())
}

/// Writes down who is registered. A full disk does not keep a workload from serving.
async fn keep(plane: &Plane, id: &ProxyId, registration: Option<Registration>) {
    if let Err(error) = plane.store.register(id.clone(), registration).await {
        tracing::warn!(proxy = %id, %error, "the registration holds, but is not written down");
    }
}

/// Removes a workload from the mesh and from the store.
pub(in crate::control) async fn remove(plane: &Plane, id: &ProxyId) {
    if let Err(error) = plane.set_workload(id, None).await {
        tracing::warn!(proxy = %id, %error, "cannot remove the workload");
    }
    keep(plane, id, None).await;
}

/// A registered stream; when it is dropped the proxy is away.
pub(super) struct Connected<'a> {
    pub(super) plane: &'a Plane,
    pub(super) registration: Registration,
    pub(super) stream: u64,
}

impl Connected<'_> {
    /// Whether it speaks for the proxy: a stream whose process has a successor does not.
    pub(super) fn speaks(&self) -> bool {
        let board = self.plane.board.lock();
        let agent =
            board.proxies.get(&self.registration.proxy()).and_then(|proxy| proxy.agent.as_ref());
        agent.is_some_and(|agent| agent.stream == self.stream)
    }
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        let (id, now) = (self.registration.proxy(), Timestamp::now());
        let lost = self.plane.board.lock().proxies.update(&id, now, |proxy| {
            proxy.predecessor.agent.take_if(|agent| agent.stream == self.stream);
            let lost = proxy.agent.take_if(|agent| agent.stream == self.stream).is_some();
            if lost {
                (proxy.pools, proxy.counters) = (Pools::default(), Counters::default());
            }
            lost
        });
        if lost == Some(true) {
            tracing::info!(proxy = %id, "agent stream lost");
        }
        if lost == Some(true) && self.plane.workloads_register() {
            let service = self.registration.service_name();
            self.plane.departures.lock().lost(id, service, Instant::now());
        }
    }
}
