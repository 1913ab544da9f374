//! The agent half of the control thread: reports up, commands down.

use std::time::{Duration, Instant};

use super::link::{self, Message};
use super::pools::Said;
use super::{Control, reports};
use crate::names::skew;
use crate::telemetry::collector::Previous;
use crate::telemetry::span::SpanQueue;
use crate::xds::agent::command::Action;
use crate::xds::agent::{Command, Counters, State, Up, down, up};

/// How long a span waits for others to go up with: short enough that whoever looks for the trace
/// of a request just made finds all of it.
const SPANS_WAIT: Duration = Duration::from_millis(100);

/// Spans in one message.
const SPANS_PER_MESSAGE: usize = 500;

/// A reply is no longer: it has to fit into a gRPC message.
const LONGEST_REPLY: usize = 8 * 1024 * 1024;

/// What was said over the agent stream so far.
#[derive(Debug, Default)]
pub(super) struct Agency {
    /// On this link.
    state: Option<State>,
    /// On this link.
    counters: Counters,
    metrics: Previous,
    reported: Option<Instant>,
    pub(super) pools: Said,
    spans_at: Option<tokio::time::Instant>,
}

impl Agency {
    /// A new link: how we are has not been said on it.
    pub(super) fn begin(&mut self) {
        self.state = None;
        self.counters = Counters::default();
        self.pools = Said::default();
    }

    /// Returns [`SPANS_WAIT`] after the first span that waits. Nothing is lost when it is dropped.
    pub(super) async fn spans_due(&mut self, queue: &SpanQueue) {
        let at = match self.spans_at {
            Some(at) => at,
            None => {
                queue.arrived().await;
                *self.spans_at.insert(tokio::time::Instant::now() + SPANS_WAIT)
            }
        };
        tokio::time::sleep_until(at).await;
        self.spans_at = None;
    }

    /// Whether a report is due at `now`; counts as made then.
    pub(super) fn is_due(&mut self, now: Instant, every: Duration) -> bool {
        let due = self.reported.is_none_or(|before| now.duration_since(before) >= every);
        if due {
            self.reported = Some(now);
        }
        due
    }
}

impl Control {
    /// Something came over the link.
    pub(super) fn on_message(&mut self, message: Message) {
        match message {
            Message::Response(response) => self.on_response(response, Instant::now()),
            Message::Down(down) => match down.message {
                Some(down::Message::Welcome(welcome)) => {
                    tracing::debug!(version = welcome.product_version, "registered");
                    if let Err(skew) = skew::check(skew::OWN, &welcome.product_version) {
                        // One that is older than this does not look by itself.
                        let why = format!("the control plane's {skew}");
                        self.subscription.end();
                        self.note_refusal(&tonic::Status::failed_precondition(&*why));
                        return self.lost(&why, None);
                    }
                    self.refusal.send_replace(None);
                    // Not before: who is refused is connected first, and would try without a pause.
                    self.backoff.succeed();
                    self.synced();
                }
                Some(down::Message::Command(command)) => self.on_command(command),
                Some(down::Message::Noted(noted)) => {
                    self.status.send_if_modified(|status| {
                        std::mem::replace(&mut status.announced, noted.ready) != noted.ready
                    });
                }
                None => tracing::debug!("a message of a kind that is not known was ignored"),
            },
            Message::Closed(status) => {
                self.subscription.end();
                let why = status.as_ref().map_or("the stream ended", |status| status.message());
                let pushback = status.as_ref().and_then(link::pushback);
                if let Some(status) = &status {
                    self.note_refusal(status);
                }
                self.lost(why, pushback);
            }
        }
    }

    fn on_command(&mut self, Command { id, action }: Command) {
        let outcome = match action {
            Some(Action::Log(filter)) => self.view.set_log(&filter).map(|()| String::new()),
            Some(Action::Config(_)) => Ok(self.view.config().to_string()),
            Some(Action::Stats(_)) => Ok(self.view.stats().to_string()),
            Some(Action::Rotate(_)) => match self.renewal.ask(id) {
                // Answered when the new certificate is in use.
                Ok(()) => return self.on_tick(Instant::now(), std::time::SystemTime::now()),
                Err(error) => Err(error),
            },
            Some(Action::Eject(order)) => self.eject(&order),
            Some(Action::Restore(order)) => self.put_back(&order),
            None => Err("this version does not know that command".into()),
        };
        let outcome = outcome.and_then(|body| match body.len() <= LONGEST_REPLY {
            true => Ok(body),
            false => Err(format!("the answer has more than {LONGEST_REPLY} bytes")),
        });
        self.send(reports::reply(id, outcome));
    }

    /// Answers commands that waited for one thing.
    pub(super) fn reply_all(&mut self, commands: &[u64], outcome: &Result<String, String>) {
        for &id in commands {
            self.send(reports::reply(id, outcome.clone()));
        }
    }

    /// Says how we are, where that has changed.
    pub(super) fn send_state(&mut self) {
        if self.link.is_none() {
            return;
        }
        let state = reports::state(*self.status.borrow(), &self.tls.credentials());
        if self.agency.state.as_ref() != Some(&state) {
            self.agency.state = Some(state.clone());
            self.send(reports::wrap(up::Message::State(state)));
        }
    }

    /// Sends what was measured since the last time; while there is no link it adds up.
    pub(super) fn report(&mut self) {
        if self.link.is_none() {
            return;
        }
        let edges = self.view.metrics.collect_delta(&mut self.agency.metrics);
        for message in reports::metrics(&edges) {
            self.send(message);
        }
        self.report_counters();
        self.report_spans();
    }

    /// Says what is counted of this process, where that has changed.
    fn report_counters(&mut self) {
        let limits = self.view.limits();
        let counters = Counters {
            limits: limits.iter().map(|(limit, count)| (limit.as_str().into(), *count)).collect(),
            panics: self.view.metrics.panics.total(),
        };
        if self.agency.counters != counters {
            self.agency.counters = counters.clone();
            self.send(reports::wrap(up::Message::Counters(counters)));
        }
    }

    /// Sends the spans that wait; while there is no link they go on waiting.
    pub(super) fn report_spans(&mut self) {
        while self.link.is_some() {
            let spans = self.view.spans.drain(SPANS_PER_MESSAGE);
            let last = spans.len() < SPANS_PER_MESSAGE;
            if !spans.is_empty() {
                self.send(reports::spans(spans));
            }
            if last {
                break;
            }
        }
    }

    /// Sends one message; without a link it is lost, as is what a frozen control plane leaves.
    pub(super) fn send(&mut self, message: Up) {
        let Some(link) = &self.link else { return };
        let sent = link.ups.try_send(message);
        self.sent(&sent);
    }
}
