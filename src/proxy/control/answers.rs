//! From verdicts on single resources to the answer to a whole response.
//!
//! A response is answered (ACK, or NACK with a refusal per resource) when each of its resources has
//! been accepted or refused, which for a service may be seconds later than for its neighbours.
//! Bound: [`UNSETTLED`](crate::xds::subscription::UNSETTLED) responses per stream.

use std::collections::HashMap;

use crate::proxy::directory::{Fault, Ticket};
use crate::resource::Key;
use crate::xds::codec::Encoded;
use crate::xds::discovery::Refusal;
use crate::xds::subscription;

/// Responses that are not answered yet.
#[derive(Debug, Default)]
pub(super) struct Answers {
    responses: HashMap<u64, Response>,
    open: HashMap<Ticket, Offered>,
    next: u64,
}

#[derive(Debug)]
struct Response {
    ticket: subscription::Ticket,
    undecided: usize,
    refusals: Vec<Refusal>,
}

#[derive(Debug)]
struct Offered {
    /// `None`: from the last good configuration, nobody waits for an answer.
    response: Option<u64>,
    encoded: Encoded,
}

impl Answers {
    /// A response has come that offers `offered`; a ticket for each.
    pub(super) fn open(
        &mut self,
        ticket: subscription::Ticket,
        offered: Vec<Encoded>,
    ) -> Vec<Ticket> {
        let response = self.number();
        let entry = Response { ticket, undecided: offered.len(), refusals: Vec::new() };
        self.responses.insert(response, entry);
        offered.into_iter().map(|encoded| self.offer(encoded, Some(response))).collect()
    }

    /// A ticket for a resource that came in no response.
    pub(super) fn recall(&mut self, encoded: Encoded) -> Ticket {
        self.offer(encoded, None)
    }

    fn offer(&mut self, encoded: Encoded, response: Option<u64>) -> Ticket {
        let ticket = Ticket(self.number());
        self.open.insert(ticket, Offered { response, encoded });
        ticket
    }

    /// The resource behind `ticket` is in use; what it is.
    pub(super) fn accept(&mut self, ticket: Ticket) -> Option<Encoded> {
        let Offered { response, encoded } = self.open.remove(&ticket)?;
        if let Some(response) = self.response(response) {
            response.undecided -= 1;
        }
        Some(encoded)
    }

    /// The resource behind `ticket` is not used; which it was.
    pub(super) fn refuse(&mut self, ticket: Ticket, fault: &Fault) -> Option<Key> {
        let Offered { response, encoded } = self.open.remove(&ticket)?;
        if let Some(response) = self.response(response) {
            let Fault { field, reason } = fault.clone();
            let name = encoded.key.name.to_string();
            response.refusals.push(Refusal { name, field, reason });
            response.undecided -= 1;
        }
        Some(encoded.key)
    }

    /// The responses that are decided, each to be settled.
    pub(super) fn take_decided(&mut self) -> Vec<(subscription::Ticket, Vec<Refusal>)> {
        let decided = self.responses.extract_if(|_, response| response.undecided == 0);
        let mut decided: Vec<_> = decided.collect();
        decided.sort_unstable_by_key(|(number, _)| *number);
        decided.into_iter().map(|(_, response)| (response.ticket, response.refusals)).collect()
    }

    fn response(&mut self, number: Option<u64>) -> Option<&mut Response> {
        self.responses.get_mut(&number?)
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
