//! What proxies say of pools: bounded, put together by service, and told apart from what was.

use jiff::Timestamp;

use super::changes::{Change, changes};
use super::*;
use crate::control::registration::{Registration, tests::hello};
use crate::xds::agent::Breaker;

fn endpoint(name: &str, state: &str) -> PoolEndpoint {
    PoolEndpoint {
        workload: name.to_owned(),
        address: "127.0.0.1:9080".to_owned(),
        state: state.to_owned(),
        why: "5 errors in a row, the last was 503".to_owned(),
        since_ms: 1_000,
        until_ms: 31_000,
        ejections: 1,
        spared: false,
    }
}

fn pool(service: &str, endpoints: &[PoolEndpoint]) -> Pool {
    Pool { service: service.to_owned(), endpoints: endpoints.to_vec(), total: 3, ..Pool::default() }
}

fn refusing(open: bool, count: u64) -> Option<Breaker> {
    let refused = [("max_requests".to_owned(), count)].into();
    Some(Breaker { open, refused, last_ms: 5_000, ..Breaker::default() })
}

fn said(pools: impl Into<Vec<Pool>>) -> Pools {
    Pools { pools: pools.into() }
}

fn proxies(all: &[(&str, Pools)]) -> Proxies {
    let mut proxies = Proxies::default();
    for (name, pools) in all {
        let registration = Registration::from_hello(&hello(name, "web")).expect("valid");
        proxies.register(registration, Timestamp::UNIX_EPOCH).pools = bounded(pools.clone());
    }
    proxies
}

#[test]
fn an_endpoint_counts_once_however_many_callers_have_it_out() {
    let one = pool("default/reviews", &[endpoint("a", state::EJECTED), endpoint("b", "probation")]);
    let two = pool("default/reviews", &[endpoint("a", state::BY_HAND)]);
    let mut spared = endpoint("c", state::EJECTED);
    spared.spared = true;
    let three = pool("default/reviews", &[spared, endpoint("d", state::UNHEALTHY)]);
    let all = proxies(&[("web-0", said([one])), ("web-1", said([two])), ("web-2", said([three]))]);
    let status = &by_service(&all)["default/reviews"];
    assert_eq!(status.ejected.iter().collect::<Vec<_>>(), ["a", "d"]);
    let entries: Vec<_> = status
        .entries
        .iter()
        .map(|it| (it.endpoint.as_str(), it.caller.as_str(), it.state, it.is_out()))
        .collect();
    assert_eq!(
        entries,
        [
            ("a", "default/web-0", EndpointState::Ejected, true),
            ("a", "default/web-1", EndpointState::ByHand, true),
            ("b", "default/web-0", EndpointState::Probation, false),
            ("c", "default/web-2", EndpointState::Ejected, false),
            ("d", "default/web-2", EndpointState::Unhealthy, true),
        ]
    );
    assert_eq!(status.entries[0].until, Timestamp::from_second(31).ok());
    assert_eq!(status.breaker_word(), "Closed");
}

#[test]
fn a_breaker_is_open_as_soon_as_one_callers_is_and_refusals_add_up() {
    let with = |breaker| Pool { breaker, ..pool("default/reviews", &[]) };
    let quiet = said([with(refusing(false, 3))]);
    let all = |second| proxies(&[("web-0", quiet.clone()), ("web-1", said([with(second)]))]);
    let status = |second| by_service(&all(second)).remove("default/reviews").expect("there");
    assert_eq!(status(None).breaker_word(), "Closed");
    let open = status(refusing(true, 4));
    assert_eq!(open.breaker_word(), "Open");
    assert_eq!(open.breaker.refused["max_requests"], 7);
    let callers: Vec<_> =
        open.breaker.callers.iter().map(|it| (&*it.proxy, &*it.breaker)).collect();
    assert_eq!(callers, [("default/web-0", "Closed"), ("default/web-1", "Open")]);
    let shadow = refusing(true, 4).map(|breaker| Breaker { shadow: true, ..breaker });
    assert_eq!(status(shadow).breaker_word(), "Closed", "it only counts");
}

#[test]
fn what_cannot_be_is_left_out_and_no_more_is_kept_than_may_be() {
    let mut strange = endpoint("a", state::EJECTED);
    strange.why = format!("\u{1b}[31m{}", "x".repeat(10_000));
    let mut nowhere = endpoint("b", state::EJECTED);
    nowhere.address = "everywhere".to_owned();
    let bad = [strange, nowhere, endpoint("../x", "ejected"), endpoint("c", "gone mad")];
    let breaker = refusing(true, 1).map(|mut breaker| {
        breaker.refused.insert("\"} 1".to_owned(), 9);
        breaker
    });
    let first = Pool { breaker, ..pool("default/reviews", &bad) };
    let kept = bounded(said([pool("x\n", &[]), pool("default/z", &[]), first.clone(), first]));
    let names: Vec<_> = kept.pools.iter().map(|pool| pool.service.as_str()).collect();
    assert_eq!(names, ["default/reviews", "default/z"]);
    let [only] = &kept.pools[0].endpoints[..] else { panic!("one is real") };
    assert!(only.why.starts_with(" [31mxx") && only.why.len() <= WHY_MAX, "{}", only.why);
    assert_eq!(kept.pools[0].refused().collect::<Vec<_>>(), [("max_requests", 1)]);

    let many: Vec<_> = (0..ENDPOINTS_MAX).map(|n| endpoint(&format!("e{n}"), "ejected")).collect();
    let pools: Vec<_> = (0..POOLS_MAX + 9).map(|n| pool(&format!("default/s{n}"), &many)).collect();
    let kept = bounded(said(pools));
    let endpoints: usize = kept.pools.iter().map(|pool| pool.endpoints.len()).sum();
    assert_eq!((kept.pools.len(), endpoints), (POOLS_MAX, ENDPOINTS_MAX));
}

#[test]
fn a_transition_is_one_change_and_what_stays_is_none() {
    let out = |state: &str| said([pool("default/reviews", &[endpoint("a", state)])]);
    let nothing = said([]);
    let words = |before: &Pools, after: &Pools| -> Vec<String> {
        let word = |change: &Change<'_>| match change {
            Change::Out(service, it) => format!("{service}/{} {}", it.workload, it.state),
            Change::Back(service, it) => format!("{service}/{} back", it.workload),
            Change::Opened(service, _) => format!("{service} open"),
            Change::Closed(service) => format!("{service} closed"),
            Change::Panic(service) => format!("{service} panic"),
            Change::Calm(service) => format!("{service} calm"),
        };
        changes(before, after).iter().map(word).collect()
    };
    assert_eq!(words(&nothing, &out("ejected")), ["default/reviews/a ejected"]);
    assert!(words(&out("ejected"), &out("ejected")).is_empty());
    assert_eq!(words(&out("ejected"), &out("by-hand")), ["default/reviews/a by-hand"]);
    assert_eq!(words(&out("ejected"), &out("probation")), ["default/reviews/a back"]);
    assert!(words(&out("probation"), &nothing).is_empty());
    assert_eq!(words(&out("unhealthy"), &nothing), ["default/reviews/a back"]);

    let breaker = |open, count, panic| {
        let pool = pool("default/reviews", &[]);
        said([Pool { breaker: refusing(open, count), panic, ..pool }])
    };
    assert_eq!(words(&nothing, &breaker(true, 1, false)), ["default/reviews open"]);
    assert!(words(&breaker(true, 1, false), &breaker(true, 9, false)).is_empty());
    assert_eq!(
        words(&breaker(true, 9, false), &breaker(false, 9, false)),
        ["default/reviews closed"]
    );
    assert_eq!(
        words(&breaker(false, 9, false), &breaker(false, 9, true)),
        ["default/reviews panic"]
    );
    assert_eq!(words(&breaker(false, 9, true), &nothing), ["default/reviews calm"]);
}
