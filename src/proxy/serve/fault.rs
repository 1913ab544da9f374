//! A fault that is put in before a request is sent: the wait, which ends when the client goes.

use std::task::Poll;

use super::Connection;
use crate::proxy::decide::Decision;
use crate::proxy::exchange::Failure;
use crate::telemetry::reason::Reason;

impl Connection {
    /// Puts in what a fault policy says; the failure where the request ends with that.
    pub(super) async fn fault(&mut self, decision: &Decision) -> Option<Failure> {
        (self.client.tried, self.client.attempts) = (None, 0);
        let (wait, end) = decision.course()?;
        decision.fault.iter().for_each(|fault| self.client.events.fault(fault));
        let mut wait = std::pin::pin!(tokio::time::sleep(wait));
        let client = &mut self.client;
        let gone = std::future::poll_fn(|cx| match wait.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(false),
            Poll::Pending if client.is_gone(cx) => Poll::Ready(true),
            Poll::Pending => Poll::Pending,
        });
        match gone.await {
            true => Some(Failure::Client(Reason::ClientGone)),
            false => end.map(Failure::BeforeAnswer),
        }
    }
}
