//! The discovery half of the control thread: responses to the loader, its effects to the wire.

use std::time::Instant;

use rustls::pki_types::CertificateDer;

use super::Control;
use crate::certs::Roots;
use crate::proxy::directory::{Effect, Fault, Ticket};
use crate::resource::{Key, Kind, Resource};
use crate::xds::codec::{self, Encoded};
use crate::xds::discovery::{DeltaRequest, DeltaResponse};

impl Control {
    /// A response has come.
    pub(super) fn on_response(&mut self, response: DeltaResponse, now: Instant) {
        let received = self.subscription.on_response(response);
        for refusal in &received.refused {
            tracing::warn!(%refusal, "a resource could not be read; what was there stays in use");
        }
        let mut offered = Vec::new();
        let mut gone = Vec::new();
        for (key, resource) in received.updates {
            match resource {
                Some(resource) => offered.push(resource),
                None => gone.push(key),
            }
        }
        let tickets = self.answers.open(received.ticket, received.encoded);
        for (resource, ticket) in offered.into_iter().zip(tickets) {
            self.offer(resource, ticket, now);
        }
        for key in gone {
            self.loader.gone(&key, now);
            self.keeper.dropped(&key);
        }
        self.synced();
    }

    /// Hands a resource to the loader, after a look at what the loader does not know about.
    pub(super) fn offer(&mut self, resource: Resource, ticket: Ticket, now: Instant) {
        if let Resource::Mesh(mesh) = &resource
            && roots(&mesh.roots).is_none()
        {
            let reason = "they are missing, too many or unreadable".into();
            return self.refused(ticket, &Fault { field: "roots".into(), reason });
        }
        self.loader.offer(resource, Some(ticket), now);
    }

    /// Does what the loader asks for, and sends what is to be sent.
    pub(super) fn act(&mut self) {
        let (verdicts, wishes): (Vec<_>, Vec<_>) = self
            .loader
            .take_effects()
            .into_iter()
            .partition(|effect| matches!(effect, Effect::Accept(_) | Effect::Refuse(..)));
        // Verdicts first: what is subscribed to next may be what was just taken from disk.
        for effect in verdicts.into_iter().chain(wishes) {
            match effect {
                Effect::Accept(ticket) => self.accepted(ticket),
                Effect::Refuse(ticket, fault) => self.refused(ticket, &fault),
                Effect::Subscribe(key) => self.subscribe(&key),
                Effect::Unsubscribe(key) => {
                    self.subscription.unsubscribe(&key);
                    self.keeper.dropped(&key);
                }
            }
        }
        for (ticket, refusals) in self.answers.take_decided() {
            if let Some(request) = self.subscription.settle(ticket, refusals) {
                self.request(request);
            }
        }
        // What is wanted while a link is being opened is told once there is one.
        if self.link.is_some() {
            for request in self.subscription.poll() {
                self.request(request);
            }
        }
        self.send_state();
    }

    fn subscribe(&mut self, key: &Key) {
        let outcome = match self.keeper.version(key) {
            Some(version) => self.subscription.resume(key, &version),
            None => self.subscription.subscribe(key),
        };
        if let Err(error) = outcome {
            tracing::warn!(%key, %error, "a resource cannot be asked for");
        }
    }

    fn accepted(&mut self, ticket: Ticket) {
        let Some(encoded) = self.answers.accept(ticket) else { return };
        if encoded.key.kind == Kind::Mesh {
            self.trust(&encoded);
        }
        let ours = matches!(encoded.key.kind, Kind::Mesh | Kind::Workload);
        self.keeper.accepted(encoded);
        if ours && !self.status.borrow().configured {
            let workload = Key::workload(&self.registration.proxy);
            let both = [Key::mesh(), workload].iter().all(|key| self.keeper.version(key).is_some());
            self.status.send_modify(|status| status.configured = both);
        }
    }

    fn refused(&mut self, ticket: Ticket, fault: &Fault) {
        let Fault { field, reason } = fault;
        if let Some(key) = self.answers.refuse(ticket, fault) {
            tracing::warn!(%key, field, reason, "a resource cannot be used; what was there stays in use");
        }
    }

    /// Trusts the roots of an accepted mesh resource.
    fn trust(&self, encoded: &Encoded) {
        let Ok(Resource::Mesh(mesh)) =
            codec::decode(encoded.key.kind, &encoded.key.name, &encoded.body)
        else {
            return;
        };
        let Some(roots) = roots(&mesh.roots) else { return };
        if roots.fingerprints().eq(self.tls.roots().fingerprints()) {
            return;
        }
        if let Err(error) = roots.save(&self.applicant.directory) {
            tracing::warn!(%error, "new roots are trusted but could not be saved");
        }
        self.tls.set_roots(roots);
    }

    fn request(&mut self, request: DeltaRequest) {
        let Some(link) = &self.link else { return };
        let sent = link.requests.try_send(request);
        self.sent(&sent);
    }

    /// The control plane has spoken: what is in use is its newest word, not the last good one.
    pub(super) fn synced(&mut self) {
        if self.status.borrow().last_good {
            self.status.send_modify(|status| status.last_good = false);
        }
        if let Some(link) = &self.link {
            self.keeper.moved(&link.address);
        }
    }
}

fn roots(ders: &[Vec<u8>]) -> Option<Roots> {
    Roots::new(ders.iter().cloned().map(CertificateDer::from).collect()).ok()
}
