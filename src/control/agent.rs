//! Agent streams: a proxy says who it is, registers its workload, tells how it is, and is told
//! what to do.
//!
//! The identity in [`Hello`](crate::xds::agent::Hello) must be that of the certificate, and a name belongs to
//! one live process, or to the successor that it let in.
//! The registration is kept, so that a restart of the control plane loses nobody. A goodbye removes
//! the workload at once; a lost stream leaves that to `departures`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream as Messages;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::control::intake::{Teller, bounds};
use crate::control::plane::Plane;
use crate::control::pools::{self, changes};
use crate::control::proxies::{AgentLink, Ask, Proxy};
use crate::control::refusals::What;
use crate::control::registration::Registration;
use crate::control::{status, stream};
use crate::names::{Identity, skew};
use crate::telemetry::limits::Limit;
use crate::xds::agent::{Command, Counters, Down, Noted, Pools, State, Up, Welcome, down, up};
use crate::xds::grpc::Peer;
pub(super) use asking::{AskError, ask};
pub(super) use membership::remove;
use membership::{Connected, keep_soon, register};

mod asking;
mod membership;

/// Messages on their way out.
const QUEUE: usize = 32;

/// Commands that wait for an answer, per proxy.
const ASKS: usize = Limit::Commands.most();

/// How long a proxy may take to say who it is.
const FIRST: Duration = Duration::from_secs(10);

type Out = stream::Out<Down>;

/// Accepts a stream; it ends by itself.
pub(super) fn serve(
    plane: &Arc<Plane>,
    peer: Peer,
    inbound: Streaming<Up>,
) -> Result<impl Messages<Item = Result<Down, Status>> + use<>, Status> {
    let elsewhere = peer.elsewhere;
    let kind = stream::Kind { what: What::Registration, queue: QUEUE };
    stream::serve(plane, peer, inbound, kind, move |plane, identity, mut inbound, out| async move {
        drive(&plane, (&identity, elsewhere), &mut inbound, &out).await
    })
}

async fn drive(
    plane: &Plane,
    from: (&Identity, bool),
    inbound: &mut Streaming<Up>,
    out: &Out,
) -> Result<(), Status> {
    let first = tokio::time::timeout(FIRST, inbound.message()).await;
    let silent = |_| Status::deadline_exceeded("no hello came");
    let Some(Up { message: Some(up::Message::Hello(hello)) }) = first.map_err(silent)?? else {
        return Err(Status::invalid_argument("the first message must be a hello"));
    };
    if let Err(skew) = skew::check(skew::OWN, &hello.product_version) {
        tracing::warn!(identity = %from.0, %skew, "a proxy was refused");
        return Err(Status::failed_precondition(format!("the proxy's {skew}")));
    }
    let (asks_in, asks) = mpsc::channel(ASKS);
    let link = AgentLink {
        stream: plane.next_stream(),
        asks: asks_in,
        end: CancellationToken::new(),
        process: (hello.pid, hello.started_ms),
        version: skew::shown(&hello.product_version),
        succeeds: hello.succeeds.map(|process| (process.pid, process.started_ms)),
        in_mesh: false,
    };
    // Boxed, as what follows: a stream is silent nearly always, and thousands of them wait here.
    let connected = Box::pin(register(plane, from, &hello, &link)).await?;
    let welcome = Welcome { product_version: skew::OWN.to_owned() };
    send(out, down::Message::Welcome(welcome)).await?;
    let mut stream = Stream { connected, asked: HashMap::new(), next: 1 };
    tokio::select! {
        ended = stream.hold(inbound, asks, out) => ended,
        () = link.end.cancelled() => {
            Err(Status::aborted("the proxy opened another agent stream"))
        }
    }
}

async fn send(out: &Out, message: down::Message) -> Result<(), Status> {
    let gone = |_| Status::cancelled("the proxy went away");
    out.send(Box::new(Ok(Down { message: Some(message) }))).await.map_err(gone)
}

struct Stream<'a> {
    connected: Connected<'a>,
    /// Who waits for the answer to which command.
    asked: HashMap<u64, oneshot::Sender<Result<String, String>>>,
    next: u64,
}

impl Stream<'_> {
    async fn hold(
        &mut self,
        inbound: &mut Streaming<Up>,
        mut asks: mpsc::Receiver<Box<Ask>>,
        out: &Out,
    ) -> Result<(), Status> {
        loop {
            tokio::select! {
                message = inbound.message() => {
                    let Some(Up { message }) = message? else { return Ok(()) };
                    // A kind of message of a later version is no reason to end.
                    let Some(message) = message else { continue };
                    if Box::pin(self.take(message, out)).await? {
                        return Ok(());
                    }
                }
                Some(ask) = asks.recv() => Box::pin(self.ask(*ask, out)).await?,
                () = out.closed() => return Ok(()),
            }
        }
    }

    async fn ask(&mut self, ask: Ask, out: &Out) -> Result<(), Status> {
        self.asked.retain(|_, answer| !answer.is_closed());
        if self.asked.len() >= ASKS {
            self.connected.plane.limits.hit(Limit::Commands);
            let _ = ask.answer.send(Err("too many commands wait for an answer".to_owned()));
            return Ok(());
        }
        let id = self.next;
        self.next += 1;
        self.asked.insert(id, ask.answer);
        send(out, down::Message::Command(Command { id, action: Some(ask.action) })).await
    }

    /// Takes a message; whether it was the last.
    async fn take(&mut self, message: up::Message, out: &Out) -> Result<bool, Status> {
        let plane = self.connected.plane;
        let id = self.connected.registration.proxy();
        match message {
            up::Message::Hello(_) => return Err(Status::invalid_argument("a second hello")),
            up::Message::State(state) => {
                let ready = self.state(bounds::state(state)).await;
                send(out, down::Message::Noted(Noted { ready })).await?;
            }
            up::Message::Metrics(mut metrics) => {
                status::name_strangers(&mut metrics, &plane.view.load().snapshot);
                let of = &self.connected.registration;
                let metrics = bounds::metrics(metrics, of, &plane.trust_domain);
                let teller = Teller { proxy: id, process: self.connected.process };
                plane.intake.lock().metrics(metrics, &teller, plane.second());
            }
            up::Message::Spans(spans) => plane.intake.lock().spans(spans, &id),
            up::Message::Pools(pools) => {
                if pools.pools.len() > pools::POOLS_MAX {
                    plane.limits.hit(Limit::Pools);
                }
                self.pools(&pools::bounded(pools));
            }
            up::Message::Counters(counters) => self.counters(counters),
            up::Message::Reply(reply) => {
                if let Some(answer) = self.asked.remove(&reply.id) {
                    let result = match reply.error.is_empty() {
                        true => Ok(reply.body),
                        false => Err(reply.error),
                    };
                    let _ = answer.send(result);
                }
            }
            up::Message::Goodbye(_) => {
                if self.connected.leave() {
                    tracing::info!(proxy = %id, "left");
                    remove(plane, &id).await;
                } else {
                    tracing::info!(proxy = %id, "the predecessor left");
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes how the proxy has the pools of the services that it calls.
    fn pools(&self, said: &Pools) {
        let Connected { plane, registration, stream, .. } = &self.connected;
        let id = registration.proxy();
        let before = plane.board.lock().proxies.update(&id, Timestamp::now(), |proxy| {
            // Another stream of it may have taken over meanwhile.
            let ours = proxy.agent.as_ref().is_some_and(|agent| agent.stream == *stream);
            ours.then(|| std::mem::replace(&mut proxy.pools, said.clone()))
        });
        if let Some(Some(before)) = before {
            changes::log(&id, &changes::changes(&before, said));
        }
    }

    /// Takes what the proxy counts of itself.
    fn counters(&self, mut said: Counters) {
        let Connected { plane, registration, stream, .. } = &self.connected;
        said.limits.retain(|word, _| Limit::ALL.iter().any(|limit| limit.as_str() == word));
        plane.board.lock().proxies.update(&registration.proxy(), Timestamp::now(), |proxy| {
            if proxy.agent.as_ref().is_some_and(|agent| agent.stream == *stream) {
                proxy.counters = said;
            }
        });
    }

    /// Takes how the proxy is; whether the mesh now counts on it. What the mesh did not take is tried
    /// again when the proxy says it again.
    async fn state(&mut self, state: State) -> bool {
        let ready = state.ready && !state.draining;
        let Connected { plane, registration, stream, .. } = &mut self.connected;
        let id = registration.proxy();
        // A stream whose process has a successor does not speak for the proxy.
        let speaking = |note: &mut dyn FnMut(&mut Proxy)| {
            let spoke = plane.board.lock().proxies.update(&id, Timestamp::now(), |proxy| {
                let speaks = proxy.agent.as_ref().is_some_and(|agent| agent.stream == *stream);
                speaks.then(|| note(proxy))
            });
            spoke.flatten().is_some()
        };
        if !speaking(&mut |proxy| proxy.told = Some(state.clone())) || registration.ready == ready {
            return registration.ready;
        }
        let changed = Registration { ready, ..registration.clone() };
        match plane.set_workload(&id, plane.workload(&changed), *stream).await {
            Ok(true) => {
                registration.ready = ready;
                speaking(&mut |proxy| proxy.registration.ready = ready);
                keep_soon(plane, &id).await;
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(proxy = %id, %error, "the mesh does not take its state"),
        }
        registration.ready
    }
}
