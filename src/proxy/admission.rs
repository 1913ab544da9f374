//! What a request needs beside an endpoint: to be let in by the circuit of its service, and for
//! every try more the consent of that circuit and of the budget. The same for every protocol; who
//! sends carries out what is said here.

use std::sync::Arc;
use std::time::Duration;

use crate::proxy::circuit::Permit;
use crate::proxy::cluster::Endpoint;
use crate::proxy::decide::{Decision, Endpoints};
use crate::proxy::tries::{Ended, Next, Tries};
use crate::telemetry::reason::Reason;

#[cfg(test)]
mod tests;

/// See the head of this file. What it holds counts until it is dropped.
#[derive(Debug)]
pub struct Admission<'a> {
    decision: &'a Decision,
    /// What was tried.
    pub tries: Tries<'a>,
    request: Option<Permit>,
    /// Counts its repetitions, of which one is out at a time.
    repetition: Option<Permit>,
    /// It has wanted one of those that the budget is about.
    wanted: bool,
}

/// What follows a try.
#[derive(Debug)]
pub enum Sequel {
    /// What it came to is the result.
    Stands,
    /// It is the result because there may be no repetition.
    Refused(Limit),
    /// The request is sent again.
    Again(Repetition),
}

/// A try more.
#[derive(Debug)]
pub struct Repetition {
    /// Where.
    pub endpoint: Arc<Endpoint>,
    /// After which wait.
    pub wait: Duration,
}

/// What a repetition ran into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// `maxRetries`: as many as may be are under way.
    MaxRetries,
    /// `budget`: there were as many as may be.
    Budget,
}

impl Limit {
    /// A word as those of [`Reason`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MaxRetries => "max_retries",
            Self::Budget => "retry_budget",
        }
    }
}

impl<'a> Admission<'a> {
    /// Nobody was asked yet.
    pub fn new(decision: &'a Decision, tries: Tries<'a>) -> Self {
        Self { decision, tries, request: None, repetition: None, wanted: false }
    }

    /// Asks to be let in, with all tries.
    ///
    /// # Errors
    /// The reason of the refusal.
    pub fn enter(&mut self) -> Result<(), Reason> {
        let Some(circuit) = self.decision.pool.circuit() else { return Ok(()) };
        self.request = circuit.request()?;
        if self.tries.retry().budget.is_some() {
            circuit.counted();
        }
        Ok(())
    }

    /// What counts the request, for what goes on when its tries are over.
    pub fn take(&mut self) -> Option<Permit> {
        self.request.take()
    }

    /// What follows the try that began last and came to `ended`; whether there is another endpoint
    /// is found out here.
    pub fn after(&mut self, mut ended: Ended) -> Sequel {
        // The application's own proxy leaves that to the caller's, which knows other endpoints.
        if matches!(self.decision.pool, Endpoints::App(_)) {
            return Sequel::Stands;
        }
        let random = fastrand::u64(..);
        // A choice that nobody follows would be missed by the others: first whether it is needed.
        if self.tries.after(&ended, random) == Next::Stand {
            return Sequel::Stands;
        }
        let Some(endpoint) = self.decision.pick(self.tries.tried()) else {
            return Sequel::Stands;
        };
        ended.elsewhere = self.is_new(&endpoint);
        match self.tries.after(&ended, random) {
            Next::Stand => Sequel::Stands,
            Next::Again(again) => match self.consent(again.budgeted) {
                Ok(()) => Sequel::Again(Repetition { endpoint, wait: again.wait }),
                Err(limit) => Sequel::Refused(limit),
            },
        }
    }

    /// Where a second try goes beside the first, if there may be one.
    pub fn beside(&mut self) -> Option<Arc<Endpoint>> {
        let endpoint = self.decision.pick(self.tries.tried())?;
        (self.is_new(&endpoint) && self.consent(true).is_ok()).then_some(endpoint)
    }

    fn is_new(&self, endpoint: &Endpoint) -> bool {
        !self.tries.tried().contains(&endpoint.id)
    }

    /// Asks circuit and budget for a repetition.
    fn consent(&mut self, budgeted: bool) -> Result<(), Limit> {
        let Some(circuit) = self.decision.pool.circuit().filter(|_| budgeted) else {
            return Ok(());
        };
        let budget = self.tries.retry().budget;
        if budget.is_some() && !std::mem::replace(&mut self.wanted, true) {
            circuit.wanted();
        }
        let permit = match self.repetition {
            Some(_) => None,
            None => circuit.retry().map_err(|_| Limit::MaxRetries)?,
        };
        if let Some(budget) = budget
            && !circuit.may_repeat(&budget)
        {
            return Err(Limit::Budget);
        }
        if permit.is_some() {
            self.repetition = permit;
        }
        Ok(())
    }
}
