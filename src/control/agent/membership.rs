//! How a proxy becomes part of the mesh and stops being so: registered for as long as its agent stream
//! lives, away when the stream is lost, gone after a goodbye.
//!
//! A process may name the one whose place it takes. Then the proxy is the newer process from that
//! moment on, as ready as it was, and what the older one says of it no longer counts.

use std::time::Instant;

use jiff::Timestamp;
use tonic::Status;

use crate::control::board::Board;
use crate::control::hub::HubError;
use crate::control::plane::Plane;
use crate::control::proxies::{AgentLink, PROXIES_MAX, Proxies};
use crate::control::registration::Registration;
use crate::names::{Identity, ProxyId, TrustDomain};
use crate::telemetry::limits::Limit;
use crate::xds::agent::{Counters, Hello, Pools};

#[cfg(test)]
mod tests;

/// Checks who it is, from another machine or not, and makes it part of the mesh.
pub(in crate::control) async fn register<'p>(
    plane: &'p Plane,
    (identity, elsewhere): (&Identity, bool),
    hello: &Hello,
    link: &AgentLink,
) -> Result<Connected<'p>, Status> {
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
    plane.is_workload(&id, identity).await?;
    let before = reserve(plane, &mut registration, link)?;
    // From here on it has its place, which is given up when this is dropped.
    let connected = Connected { plane, registration, stream: link.stream, process: link.process };
    let workload = plane.workload(&connected.registration);
    let refused = match plane.set_workload(&id, workload, link.stream).await {
        Ok(true) => None,
        Ok(false) => Some(Status::aborted("the proxy opened another agent stream")),
        Err(HubError::Conflict(conflict)) => Some(Status::already_exists(conflict.to_string())),
        Err(error @ HubError::Closed) => Some(Status::unavailable(error.to_string())),
    };
    if let Some(refused) = refused {
        give_back(plane, &id, link, before);
        keep_soon(plane, &id).await;
        return Err(refused);
    }
    keep(plane, &id).await;
    plane.board.lock().proxies.update(&id, Timestamp::now(), |proxy| {
        let own = proxy.agent.as_mut().filter(|agent| agent.stream == link.stream);
        own.into_iter().for_each(|agent| agent.in_mesh = true);
    });
    // Of its earlier processes only the one lives that let it in.
    let lives = |process: (u32, u64)| process == link.process || Some(process) == link.succeeds;
    plane.intake.lock().edges.gone(|teller| teller.proxy == id && !lives(teller.process));
    plane.registered.send_modify(|count| *count += 1);
    tracing::info!(proxy = %id, %identity, "registered");
    plane.warn_of_others(&connected.registration);
    Ok(connected)
}

/// Takes the proxy's place on the board, before the mesh or the store hears of it: of two that come at
/// once one is refused, and changes nothing. It is as ready as it was before, where that still
/// counts. Gives back what was registered in that place.
fn reserve(
    plane: &Plane,
    registration: &mut Registration,
    link: &AgentLink,
) -> Result<Option<Registration>, Status> {
    let (id, now, mut board) = (registration.proxy(), Timestamp::now(), plane.board.lock());
    admissible(&board.proxies, registration, link, &plane.trust_domain)?;
    let known = board.proxies.get(&id);
    if known.is_none() && board.proxies.count() >= PROXIES_MAX {
        plane.limits.hit(Limit::Proxies);
        return Err(Status::resource_exhausted(format!(
            "{PROXIES_MAX} proxies are registered, as many as one control plane takes"
        )));
    }
    let before = known.map(|proxy| proxy.registration.clone());
    // After a restart of the control plane the process is not known: it is taken for the same. A
    // successor has the listeners of the one before, on which calls are taken all the while.
    let same =
        known.is_none_or(|proxy| proxy.agent.as_ref().is_none_or(|agent| link.may_replace(agent)));
    let view = plane.view.load();
    if let Some(workload) = view.snapshot.workloads.get(&id).filter(|_| same) {
        registration.ready = workload.ready;
    }
    board.proxies.register(registration.clone(), now);
    board.proxies.update(&id, now, |proxy| {
        (proxy.pools, proxy.counters) = (Pools::default(), Counters::default());
    });
    board.proxies.take_place(&id, link.clone(), now);
    // Under the same lock as all that is lost: who has an agent stream is not away.
    plane.departures.lock().settle(&id);
    Ok(before)
}

/// Gives up a place that the mesh did not confirm: what was there before is there again, a process
/// that was to be succeeded too, unless another has the place by now.
fn give_back(plane: &Plane, id: &ProxyId, link: &AgentLink, before: Option<Registration>) {
    let (now, mut board) = (Timestamp::now(), plane.board.lock());
    let ended = board.proxies.update(id, now, |proxy| {
        proxy.agent.take_if(|agent| agent.stream == link.stream)?;
        let succeeded = |old: &mut AgentLink| link.succeeds == Some(old.process);
        proxy.agent = proxy.predecessor.agent.take_if(succeeded);
        Some(proxy.agent.is_none())
    });
    match (ended.flatten(), before) {
        (Some(alone), Some(before)) => {
            let service = before.service_name();
            board.proxies.register(before, now);
            if alone && plane.workloads_register() {
                plane.departures.lock().lost(id.clone(), service, Instant::now());
            }
        }
        (Some(_), None) => board.leave(id),
        (None, _) => {}
    }
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

/// Writes down whether the proxy is registered, and how. A full disk does not keep a workload from serving.
async fn keep(plane: &Plane, id: &ProxyId) {
    let written = async {
        let turn = plane.store.turn().await?;
        let written = {
            let board = plane.board.lock();
            turn.register(id.clone(), standing(plane, &board, id))
        };
        written.await
    };
    if let Err(error) = written.await {
        tracing::warn!(proxy = %id, %error, "the registration holds, but is not written down");
    }
}

/// As [`keep`], without waiting for the disk.
pub(super) async fn keep_soon(plane: &Plane, id: &ProxyId) {
    // Without a store all is about to end.
    let Ok(turn) = plane.store.turn().await else { return };
    let board = plane.board.lock();
    turn.register_soon(id.clone(), standing(plane, &board, id));
}

/// How the proxy is registered at this moment; `None` where the mesh does not know it. Whoever writes it
/// down asks this then, under the board's lock: of two who change one proxy, the later does not wait for
/// what the earlier has still to write.
fn standing(plane: &Plane, board: &Board, id: &ProxyId) -> Option<Registration> {
    let known = plane.view.load().snapshot.workloads.contains_key(id);
    board.proxies.get(id).filter(|_| known).map(|proxy| proxy.registration.clone())
}

/// Removes a workload from the mesh and from the store, unless its proxy is back or the control plane is
/// about to end; whether it did. Does not wait for the disk.
pub(in crate::control) async fn remove(plane: &Plane, id: &ProxyId) -> bool {
    let removed = matches!(plane.withdraw_workload(id).await, Ok(true));
    if removed {
        keep_soon(plane, id).await;
    }
    removed
}

/// A registered stream; when it is dropped the proxy is away.
#[derive(Debug)]
pub(in crate::control) struct Connected<'a> {
    pub(super) plane: &'a Plane,
    pub(super) registration: Registration,
    pub(super) stream: u64,
    /// The process that speaks, with its start.
    pub(super) process: (u32, u64),
}

impl Connected<'_> {
    /// The proxy says goodbye: its place is free. Whether it spoke for the proxy: a stream whose process
    /// has a successor does not.
    pub(super) fn leave(&self) -> bool {
        let (id, mut board) = (self.registration.proxy(), self.plane.board.lock());
        let speaks = board.proxies.agent_stream(&id) == Some(self.stream);
        if speaks {
            board.leave(&id);
            self.plane.departures.lock().settle(&id);
        }
        speaks
    }
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        let (id, now, mut board) =
            (self.registration.proxy(), Timestamp::now(), self.plane.board.lock());
        let lost = board.proxies.update(&id, now, |proxy| {
            proxy.predecessor.agent.take_if(|agent| agent.stream == self.stream);
            let lost = proxy.agent.take_if(|agent| agent.stream == self.stream).is_some();
            if lost {
                (proxy.pools, proxy.counters) = (Pools::default(), Counters::default());
            }
            lost
        });
        if lost != Some(true) {
            return;
        }
        tracing::info!(proxy = %id, "agent stream lost");
        if self.plane.workloads_register() {
            let service = self.registration.service_name();
            self.plane.departures.lock().lost(id, service, Instant::now());
        }
    }
}
