//! What becomes of the parts of a request's kind: chance chooses backends, and faults.

use crate::explain::explanation::{Answer, Asked, Destination, Explanation, Outcome};
use crate::proxy::decide::Refusal;
use crate::proxy::h2::grpc_code_of;
use crate::telemetry::reason::Reason;

/// Less than this is nothing, and all but this is all.
const NOTHING: f64 = 1e-9;

/// All parts found so far.
#[derive(Debug)]
pub(super) struct Answers {
    grpc: bool,
    found: Vec<Answer>,
}

impl Answers {
    /// None yet, to a request of HTTP or of gRPC.
    pub(super) fn to(asked: &Asked) -> Self {
        Self { grpc: asked.protocol == "grpc", found: Vec::new() }
    }

    /// All of them are passed on.
    pub(super) fn passed(asked: &Asked, to: String) -> Self {
        let mut answers = Self::to(asked);
        answers.pass(1.0, to, None);
        answers
    }

    /// None of them is.
    pub(super) fn refused(asked: &Asked, refusal: &Refusal, why: String) -> Self {
        let mut answers = Self::to(asked);
        answers.refuse(1.0, refusal, (None, why));
        answers
    }

    /// A part is passed on.
    pub(super) fn pass(&mut self, part: f64, to: String, rule: Option<String>) {
        let to = Some(to);
        self.add(Answer {
            percent: part * 100.0,
            status: None,
            grpc_code: None,
            reason: None,
            rule,
            to,
            location: None,
            why: String::new(),
        });
    }

    /// A part is not, on its way to a backend or before.
    pub(super) fn refuse(
        &mut self,
        part: f64,
        refusal: &Refusal,
        (to, why): (Option<String>, String),
    ) {
        self.add(Answer {
            percent: part * 100.0,
            status: Some(refusal.status()),
            grpc_code: self.grpc.then(|| grpc_code_of(refusal)),
            reason: Some(refusal.reason.as_str()),
            rule: refusal.rule.as_ref().map(ToString::to_string),
            to,
            location: refusal.redirected.as_ref().map(|it| it.location.clone()),
            why,
        });
    }

    fn add(&mut self, answer: Answer) {
        if answer.percent <= NOTHING {
            return;
        }
        let same = |known: &&mut Answer| {
            let known = Answer { percent: answer.percent, ..(**known).clone() };
            known == answer
        };
        match self.found.iter_mut().find(same) {
            Some(known) => known.percent += answer.percent,
            None => self.found.push(answer),
        }
    }

    fn outcome(&self) -> Outcome {
        let redirected = Reason::Redirected.as_str();
        let part = |of: fn(&Answer, &str) -> bool| -> f64 {
            self.found.iter().filter(|it| of(it, redirected)).map(|it| it.percent).sum()
        };
        let refused = part(|it, redirected| it.reason.is_some_and(|reason| reason != redirected));
        if refused >= 100.0 - NOTHING {
            return Outcome::Refused;
        }
        if refused > NOTHING {
            return Outcome::Sometimes;
        }
        match part(|it, redirected| it.reason == Some(redirected)) > NOTHING {
            true => Outcome::Redirected,
            false => Outcome::Passes,
        }
    }

    /// An explanation with nothing but that.
    pub(super) fn into_explanation(
        mut self,
        request: Asked,
        destination: Destination,
    ) -> Explanation {
        let outcome = self.outcome();
        self.found.sort_by(|a, b| b.percent.total_cmp(&a.percent));
        for answer in &mut self.found {
            answer.percent = rounded(answer.percent);
        }
        Explanation {
            request,
            outcome,
            answers: self.found,
            destination,
            route: None,
            faults: Vec::new(),
            settings: Vec::new(),
            backends: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// A percentage to four places: a part per million is seen.
pub(super) fn rounded(percent: f64) -> f64 {
    (percent * 10_000.0).round() / 10_000.0
}
