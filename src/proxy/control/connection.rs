//! Coming and going of the link: where the control plane is, when it is tried again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tonic::{Code, Status};

use super::link::{self, Link};
use super::{Control, Done, reports};
use crate::proxy::join::Proof;
use crate::xds::discovery::Node;

impl Control {
    /// Opens a link to where the control plane is now.
    pub(super) fn connect(&mut self) {
        let address = self.where_it_is();
        let node = Node {
            id: self.registration.proxy.to_string(),
            cluster: self.registration.service.to_string(),
            user_agent_name: format!("meshctl/{}", reports::PRODUCT_VERSION),
        };
        let requests = self.subscription.start(node);
        let hello = self.registration.hello();
        let tls = Arc::clone(&self.tls);
        let job = self.jobs.spawn(async move {
            Done::Opened(link::open(&address, &tls, hello, requests).await.map(Box::new))
        });
        self.opening = Some(job.id());
    }

    /// Where it is now, `host:port`. A local one that was started again may listen on another port.
    fn where_it_is(&self) -> String {
        let home = match &self.applicant.proof {
            Proof::SameUser(home) => home,
            Proof::Token(proof) => return proof.control_plane().to_owned(),
        };
        let path = home.join("control-plane.json");
        let text = std::fs::read(path).unwrap_or_default();
        let said: Option<serde_json::Value> = serde_json::from_slice(&text).ok();
        let address = said.as_ref().and_then(|said| said.get("address")?.as_str());
        address.unwrap_or(&self.control_plane).to_owned()
    }

    pub(super) fn connected(&mut self, link: Box<Link>) {
        self.opening = None;
        self.link = Some(link);
        self.agency.begin();
        self.status.send_modify(|status| status.connected = true);
        tracing::debug!("connected to the control plane");
    }

    /// The link is gone, or there was none; tried again after a while. Told once, until the
    /// control plane has taken us again.
    pub(super) fn lost(&mut self, why: &str, pushback: Option<Duration>) {
        let first = self.backoff.failures() == 0;
        self.link = None;
        let wait = self.backoff.fail(fastrand::u64(..));
        self.retry_at = tokio::time::Instant::now() + pushback.unwrap_or(wait).max(wait);
        self.status.send_modify(|status| status.connected = false);
        let what = match self.refusal.borrow().is_some() {
            true => "the control plane does not take this proxy",
            false => "no connection to the control plane",
        };
        let then = match self.status.borrow().configured {
            true => "serving on what is known",
            false => "trying again",
        };
        match first {
            true => tracing::warn!(why, "{what}; {then}"),
            false => tracing::debug!(why, "{what}; {then}"),
        }
    }

    /// Ends the link where the control plane does not read. One that it has ended says so itself,
    /// with the reason, as its last message.
    pub(super) fn sent<T>(&mut self, outcome: &Result<(), TrySendError<T>>) {
        if matches!(outcome, Err(TrySendError::Full(_))) {
            self.subscription.end();
            self.lost("the control plane does not read", None);
        }
    }

    /// Remembers why the control plane does not take us, where trying again alone does not help.
    pub(super) fn note_refusal(&self, status: &Status) {
        let ours = matches!(
            status.code(),
            Code::AlreadyExists
                | Code::InvalidArgument
                | Code::PermissionDenied
                | Code::FailedPrecondition
        );
        let why = status.message();
        if ours && self.refusal.borrow().as_deref() != Some(why) {
            // The first failure of several is told as the link is given up.
            if self.backoff.failures() > 0 {
                tracing::warn!(why, "the control plane does not take this proxy");
            }
            self.refusal.send_replace(Some(why.to_owned()));
        }
    }
}
