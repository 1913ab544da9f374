//! What would become of a request, and why: resources and a request go in, the service, the rule,
//! the backends, who is in and out of their pools and the verdict come out.
//!
//! By the very functions that a proxy uses. [`Model`] is a directory fed by the loader of proxies,
//! with what the control plane (or a compiler beside it) answers; [`explain`] reads the head with the
//! proxy's codec, routes it by the proxy's tables and asks the balancer who takes part. [`effect`]
//! does the same twice, to tell what another set of rules would change.
//!
//! No sockets, no clock: what is told of live pools, and the time, are arguments. It knows resources
//! and what proxies do with them, and nothing of the documents that users write.

mod answers;
mod call;
mod destination;
pub mod effect;
mod explanation;
mod live;
mod model;
mod pools;
mod route;
#[cfg(test)]
mod tests;

pub use call::{Call, CallError};
pub use explanation::{
    Answer, Asked, BackendView, BreakerView, Destination, DestinationKind, EndpointView,
    Explanation, FaultView, OutView, Outcome, RouteView, SettingView, Skipped,
};
pub use live::{Live, LiveEndpoint, LivePool, Policy};
pub use model::{Known, Model, Refused};

use crate::proxy::h1::{Headroom, RequestHead, head_end};
use crate::proxy::head::Head;
use crate::telemetry::reason::Reason;
use answers::Answers;
use destination::Found;

/// What becomes of `call`, made by the caller of `model` at `now` (seconds since the Unix epoch).
pub fn explain(model: &Model, call: &Call, live: &Live, now: u64) -> Explanation {
    let asked = |path: &str| Asked {
        from: model.identity().to_string(),
        proxy: model.proxy().to_string(),
        method: call.method().to_owned(),
        url: call.url(),
        path: path.to_owned(),
        protocol: call.protocol(),
    };
    let bytes = call.bytes();
    let mut head = RequestHead::default();
    let read = head_end(&bytes, &mut 0).and_then(|_| head.parse(&bytes, Headroom::NONE));
    let mut explanation = match read {
        Ok(()) => {
            let view = head.view(&bytes);
            of_request((model, live, now), call, &view, asked(view.path()))
        }
        Err(malformed) => {
            let why = format!("the proxy does not read it: {}", malformed.detail);
            let asked = asked("");
            let answers = Answers::refused(&asked, &malformed.reason.into(), why);
            answers.into_explanation(asked, Destination::unread(call))
        }
    };
    explanation.notes.clone_from(&live.notes);
    explanation
}

/// The same where the head is one.
fn of_request(
    (model, live, now): (&Model, &Live, u64),
    call: &Call,
    head: &impl Head,
    asked: Asked,
) -> Explanation {
    let refused = |asked: Asked, reason: Reason, destination: Destination| {
        let answers = Answers::refused(&asked, &reason.into(), reason.meaning().to_owned());
        answers.into_explanation(asked, destination)
    };
    match destination::find(model, head.authority()) {
        Err(reason) => refused(asked, reason, Destination::unread(call)),
        Ok(Found::Service { table, port, destination }) => {
            route::through((model, live, now), (&table, port), head, (asked, destination))
        }
        Ok(Found::Beyond(Err(reason), destination)) => refused(asked, reason, destination),
        Ok(Found::Beyond(Ok(()), destination)) => {
            let answers = Answers::passed(&asked, destination.to());
            answers.into_explanation(asked, destination)
        }
    }
}

/// The reason of that word.
pub fn reason(word: &str) -> Option<Reason> {
    Reason::ALL.iter().copied().find(|reason| reason.as_str() == word)
}
