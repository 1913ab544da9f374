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
    response: u64,
    encoded: Encoded,
}

impl Answers {
    /// A response has come that offers `offered`; a ticket for each.
    pub(super) fn open(
        &mut self,
        ticket: subscription::Ticket,
        offered: Vec<Encoded>,
    ) -> (u64, Vec<Ticket>) {
        let response = self.number();
        let undecided = offered.len();
        let entry = Response { ticket, undecided, refusals: Vec::new() };
        self.responses.insert(response, entry);
        let mut tickets = Vec::with_capacity(undecided);
        for encoded in offered {
            let ticket = Ticket(self.number());
            self.open.insert(ticket, Offered { response, encoded });
            tickets.push(ticket);
        }
        (response, tickets)
    }

    /// The resource behind `ticket` is in use; what it is.
    pub(super) fn accept(&mut self, ticket: Ticket) -> Option<Encoded> {
        self.decide(ticket).map(|(encoded, _)| encoded)
    }

    /// The resource behind `ticket` is not used; which it was.
    pub(super) fn refuse(&mut self, ticket: Ticket, fault: Fault) -> Option<Key> {
        let (encoded, response) = self.decide(ticket)?;
        let Fault { field, reason } = fault;
        let refusal = Refusal { name: encoded.key.name.to_string(), field, reason };
        response.refusals.push(refusal);
        Some(encoded.key)
    }

    /// The responses that are decided, each to be settled.
    pub(super) fn take_decided(&mut self) -> Vec<(subscription::Ticket, Vec<Refusal>)> {
        let decided = self.responses.extract_if(|_, response| response.undecided == 0);
        let mut decided: Vec<_> = decided.collect();
        decided.sort_unstable_by_key(|(number, _)| *number);
        decided.into_iter().map(|(_, response)| (response.ticket, response.refusals)).collect()
    }

    fn decide(&mut self, ticket: Ticket) -> Option<(Encoded, &mut Response)> {
        let Offered { response, encoded } = self.open.remove(&ticket)?;
        let response = self.responses.get_mut(&response)?;
        response.undecided -= 1;
        Some((encoded, response))
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
