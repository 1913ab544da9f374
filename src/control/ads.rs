//! Delta discovery with proxies, over mutual TLS: each stream drives one [`Session`].
//!
//! Who asks is known from its certificate; the node id must be a proxy registered to that identity,
//! and every key is authorized for it. A stream has one task and a bounded queue out; a proxy that
//! stops reading holds up nobody else. Every answer is recorded on the board, but for those of a process
//! whose successor has a stream already: it is served to its end, and does not count.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::Stream;
use jiff::Timestamp;
use tokio::sync::Notify;
use tonic::{Status, Streaming};

use crate::control::plane::Plane;
use crate::control::propagation::Version;
use crate::control::proxies::DiscoveryLink;
use crate::control::refusals::What;
use crate::control::session::{Limits, Refuse, Session};
use crate::control::stream;
use crate::names::{Identity, ProxyId};
use crate::resource::{Key, Kind};
use crate::telemetry::limits::Limit;
use crate::xds::discovery::{DeltaRequest, DeltaResponse};
use crate::xds::grpc::Peer;

#[cfg(test)]
mod tests;

/// Responses on their way out; a session has at most one unanswered per kind.
const QUEUE: usize = 8;

/// How long a proxy may take to say who it is.
const FIRST: Duration = Duration::from_secs(10);

/// How long discovery waits for the agent stream, which registers the proxy.
const REGISTRATION: Duration = Duration::from_secs(5);

/// After so long what a proxy wanted on its last stream, and not on this one, is let go.
const RESUBSCRIBE: Duration = Duration::from_secs(5);

/// Accepts a stream; it ends by itself.
pub(super) fn serve(
    plane: &Arc<Plane>,
    peer: Peer,
    inbound: Streaming<DeltaRequest>,
) -> Result<impl Stream<Item = Result<DeltaResponse, Status>> + use<>, Status> {
    let kind = stream::Kind { what: What::Discovery, queue: QUEUE };
    stream::serve(plane, peer, inbound, kind, |plane, identity, mut inbound, out| async move {
        drive(&plane, &identity, &mut inbound, &out).await
    })
}

async fn drive(
    plane: &Plane,
    identity: &Identity,
    inbound: &mut Streaming<DeltaRequest>,
    out: &stream::Out<DeltaResponse>,
) -> Result<(), Status> {
    let first = tokio::time::timeout(FIRST, inbound.message()).await;
    let silent = |_| Status::deadline_exceeded("nothing was asked for");
    // Boxed: it takes no room in the stream's future once it has been taken.
    let Some(first) = first.map_err(silent)??.map(Box::new) else { return Ok(()) };
    let node = first.node.as_ref().map(|node| node.id.as_str()).unwrap_or_default();
    let id: ProxyId = node.parse().map_err(|error| Status::invalid_argument(format!("{error}")))?;
    let agent = registered(plane, &id, identity).await?;
    let (stream, wake) = (plane.next_stream(), Arc::new(Notify::new()));
    let link = DiscoveryLink { stream, agent, wake: Arc::clone(&wake), dirty: BTreeSet::new() };
    let before = plane.board.lock().attach(&id, link, Timestamp::now());
    // Whatever ends this task, also a panic, ends the proxy's state of being connected.
    let _attached = Attached { plane, id: &id, stream };
    let mut conversation = Conversation::new(plane, id.clone(), stream);
    conversation.request(*first)?;
    conversation.hold(inbound, (&wake, before), out).await
}

struct Attached<'a> {
    plane: &'a Plane,
    id: &'a ProxyId,
    stream: u64,
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        self.plane.board.lock().detach(self.id, self.stream, Timestamp::now());
    }
}

/// Waits until the agent stream has registered the proxy, and holds it against the certificate; which
/// agent stream that is.
async fn registered(plane: &Plane, id: &ProxyId, identity: &Identity) -> Result<u64, Status> {
    let mut changes = plane.registered.subscribe();
    let known = || {
        let board = plane.board.lock();
        let proxy = board.proxies.get(id)?;
        let agent = proxy.agent.as_ref().filter(|agent| agent.in_mesh)?;
        Some((proxy.registration.identity(&plane.trust_domain), agent.stream))
    };
    let wait = async {
        loop {
            changes.mark_unchanged();
            if let Some(owner) = known() {
                return Some(owner);
            }
            changes.changed().await.ok()?;
        }
    };
    match tokio::time::timeout(REGISTRATION, wait).await.ok().flatten() {
        Some((owner, agent)) if owner == *identity => Ok(agent),
        Some(_) => {
            tracing::warn!(target: "audit", proxy = %id, %identity, "discovery refused: not its own node id");
            Err(Status::permission_denied(format!(
                "proxy `{id}` is registered to another identity"
            )))
        }
        None => Err(Status::failed_precondition(format!(
            "proxy `{id}` has not registered: open the agent stream first"
        ))),
    }
}

/// What one proxy may ask for.
fn authorized(id: &ProxyId, key: &Key) -> bool {
    match key.kind {
        Kind::Workload => *key == Key::workload(id),
        Kind::Service => match key.name.split_once('@') {
            Some((_, consumer)) => consumer == id.namespace.as_str(),
            None => true,
        },
        Kind::Mesh | Kind::Cluster | Kind::Address | Kind::Host => true,
    }
}

/// One stream with all that it remembers.
struct Conversation<'a> {
    plane: &'a Plane,
    id: ProxyId,
    stream: u64,
    session: Session,
    /// What each unanswered response held; at most one per kind.
    unanswered: HashMap<String, Vec<Key>>,
}

impl<'a> Conversation<'a> {
    fn new(plane: &'a Plane, id: ProxyId, stream: u64) -> Self {
        let session = Session::new(Limits::default());
        Self { plane, id, stream, session, unanswered: HashMap::new() }
    }

    async fn hold(
        &mut self,
        inbound: &mut Streaming<DeltaRequest>,
        (wake, before): (&Notify, Vec<Key>),
        out: &stream::Out<DeltaResponse>,
    ) -> Result<(), Status> {
        let resubscribed = tokio::time::sleep(RESUBSCRIBE);
        tokio::pin!(resubscribed);
        let mut before = Some(before);
        loop {
            for response in self.responses() {
                if out.send(Box::new(Ok(response))).await.is_err() {
                    return Ok(());
                }
            }
            let again = self.session.resend_at().map(tokio::time::Instant::from_std);
            tokio::select! {
                request = inbound.message() => match request? {
                    Some(request) => self.request(request)?,
                    None => return Ok(()),
                },
                () = wake.notified() => {
                    let mut board = self.plane.board.lock();
                    let dirty = board.take_dirty(&self.id, self.stream, Timestamp::now());
                    drop(board);
                    let replaced = || Status::aborted("the proxy opened another discovery stream");
                    self.session.on_change(dirty.ok_or_else(replaced)?.iter());
                }
                () = &mut resubscribed, if before.is_some() => {
                    self.let_go(before.take().unwrap_or_default());
                }
                () = sleep_until(again), if again.is_some() => {}
                () = out.closed() => return Ok(()),
            }
        }
    }

    fn request(&mut self, request: DeltaRequest) -> Result<(), Status> {
        let kind = Kind::from_type_url(&request.type_url);
        let key = |name: &String| Some(Key { kind: kind?, name: name.as_str().into() });
        let wanted: Vec<Key> = request.subscribe.iter().filter_map(key).collect();
        let unwanted: Vec<Key> = request.unsubscribe.iter().filter_map(key).collect();
        let answered = self.unanswered.remove(&request.response_nonce).unwrap_or_default();
        let id = self.id.clone();
        if let Err(refuse) = self.session.on_request(request, &|key| authorized(&id, key)) {
            return Err(self.refused(&refuse));
        }
        let (now, mut board) = (Instant::now(), self.plane.board.lock());
        if !board.speaks_for(&id, self.stream) {
            return Ok(());
        }
        for key in unwanted.iter().filter(|key| !self.session.subscribed(key)) {
            board.let_go(&id, key);
        }
        for key in &wanted {
            board.proxies.subscribe(&id, key.clone());
        }
        for key in wanted.iter().chain(&answered).filter(|key| self.session.subscribed(key)) {
            board.heard(&id, key, &self.session, now);
        }
        board.settle(&id, Timestamp::now());
        Ok(())
    }

    fn refused(&self, refuse: &Refuse) -> Status {
        let text = refuse.to_string();
        tracing::warn!(target: "audit", proxy = %self.id, why = %text, "discovery refused");
        if let Refuse::TooManyNames(_) = refuse {
            self.plane.limits.hit(Limit::SubscribedNames);
        }
        match refuse {
            Refuse::UnknownKind(_) | Refuse::NameTooLong => Status::invalid_argument(text),
            Refuse::TooManyNames(_) => Status::resource_exhausted(text),
            Refuse::NotAuthorized(_) => Status::permission_denied(text),
        }
    }

    fn responses(&mut self) -> Vec<DeltaResponse> {
        let mut board = self.plane.board.lock();
        let now = Instant::now();
        let responses = self.session.poll(now, &|key| board.resource(key));
        let withheld = self.session.take_withheld();
        if !board.speaks_for(&self.id, self.stream) {
            return responses;
        }
        for response in &responses {
            let sent = contents(response);
            for (key, version) in &sent {
                board.sent(&self.id, key, version);
            }
            let keys = sent.into_iter().map(|(key, _)| key).collect();
            self.unanswered.insert(response.nonce.clone(), keys);
        }
        for key in &withheld {
            board.heard(&self.id, key, &self.session, now);
        }
        if !responses.is_empty() || !withheld.is_empty() {
            board.settle(&self.id, Timestamp::now());
        }
        responses
    }

    fn let_go(&self, before: Vec<Key>) {
        let mut board = self.plane.board.lock();
        if !board.speaks_for(&self.id, self.stream) {
            return;
        }
        for key in before.into_iter().filter(|key| !self.session.subscribed(key)) {
            board.let_go(&self.id, &key);
        }
        board.settle(&self.id, Timestamp::now());
    }
}

/// Waits until then; without a moment for ever.
async fn sleep_until(moment: Option<tokio::time::Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// What a response says, key by key.
fn contents(response: &DeltaResponse) -> Vec<(Key, Version)> {
    let Some(kind) = Kind::from_type_url(&response.type_url) else { return Vec::new() };
    let key = |name: &str| Key { kind, name: name.into() };
    let there = response.resources.iter();
    let there = there.map(|it| (key(&it.name), Some(it.version.as_str().into())));
    there.chain(response.removed.iter().map(|name| (key(name), None))).collect()
}
