//! Who warns its callers, and for how long.

use std::sync::Arc;

use super::*;
use crate::proxy::cluster::Endpoint;

fn app() -> Endpoints {
    let address = "127.0.0.1:80".parse().expect("an address");
    Endpoints::App(Arc::new(Endpoint::plain("app-0".parse().expect("a name"), address)))
}

#[test]
fn only_failures_of_our_application_carry_a_warning_and_only_for_a_while() {
    let spent = Spent::default();
    assert!(spent.warning(&app(), 503, None).is_none(), "nothing was in vain");
    spent.mark();
    let warning = spent.warning(&app(), 503, None).expect("a failure");
    assert!(forbids(warning.set.first().map(|field| field.value.as_bytes())));
    assert!(spent.warning(&app(), 200, Some(14)).is_some(), "a failure in gRPC's words");
    assert!(spent.warning(&app(), 200, Some(0)).is_none());
    assert!(spent.warning(&app(), 404, None).is_none(), "no failure of the server");
    assert!(spent.warning(&Endpoints::Outside([].into()), 503, None).is_none(), "not our own");
    spent.mark_at(5);
    assert!(spent.is_recent(5) && spent.is_recent(5 + LATELY_MS));
    assert!(!spent.is_recent(6 + LATELY_MS));
}

#[test]
fn only_a_no_forbids() {
    assert!(forbids(Some(b" No ")));
    assert!(!forbids(Some(b"yes")) && !forbids(Some(b"")) && !forbids(None));
}
