//! Which fault a request meets: by caller, by request, by clock and by chance.

use std::cell::Cell;

use proptest::prelude::*;

use super::*;
use crate::proxy::h1::{Headroom, RequestHead, head_end};
use crate::resource::{Fault, PathMatch, RouteMatch};

const ALL: u32 = PARTS_PER_MILLION;

fn me() -> Identity {
    "spiffe://cluster.local/ns/default/sa/web".parse().unwrap()
}

/// Fails with 503, always.
fn fault(name: &str) -> Fault {
    Fault {
        id: RuleId(format!("FaultPolicy/default/{name}").into()),
        from: Vec::new(),
        matches: Vec::new(),
        delay: None,
        abort: Some(FaultAbort { how: AbortHow::Status(503), ppm: ALL }),
        expires: None,
        shadow: false,
    }
}

fn on(path: &str) -> RouteMatch {
    let path = PathMatch::Prefix(path.to_owned());
    RouteMatch { rule: 0, path, method: None, headers: Vec::new(), query: Vec::new() }
}

/// What `GET path` meets at `now` where every number drawn is `random`.
fn met(faults: &[Fault], path: &str, now: u64, random: u32) -> Option<Injected> {
    let text = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    head_end(text.as_bytes(), &mut 0).unwrap().unwrap();
    let mut head = RequestHead::default();
    head.parse(text.as_bytes(), Headroom::NONE).unwrap();
    let faults = Faults::build(faults, &me(), "faults").unwrap();
    let (now, random) = (|| now, || random);
    let chance = Chance { now: &now, random: &random, counts: &FaultCounts::default() };
    faults.put_in(&head.view(text.as_bytes()), &chance).map(|injected| *injected)
}

fn name(injected: Option<Injected>) -> Option<String> {
    injected.map(|injected| injected.id.to_string())
}

#[test]
fn only_what_is_about_this_caller_is_kept() {
    let namespace = |text: &str| text.parse().unwrap();
    let identity =
        |ns: &str, account: &str| FaultSource::Identity(namespace(ns), account.parse().unwrap());
    for (from, mine) in [
        (vec![], true),
        (vec![identity("default", "web")], true),
        (vec![identity("default", "other"), identity("default", "web")], true),
        (vec![identity("default", "other")], false),
        (vec![identity("shop", "web")], false),
        (vec![FaultSource::Namespace(namespace("default"))], true),
        (vec![FaultSource::Namespace(namespace("shop"))], false),
    ] {
        let faults = [Fault { from: from.clone(), ..fault("a") }];
        let built = Faults::build(&faults, &me(), "faults").unwrap();
        assert_eq!(built.is_empty(), !mine, "{from:?}");
    }
}

#[test]
fn a_pattern_that_does_not_compile_is_refused_whoever_it_is_about() {
    let path = PathMatch::Regex("(".to_owned());
    let matches = vec![on("/"), RouteMatch { path, ..on("/") }];
    let from = vec![FaultSource::Namespace("shop".parse().unwrap())];
    let faults = [fault("a"), Fault { matches, from, ..fault("b") }];
    let error = Faults::build(&faults, &me(), "ports[0].faults").unwrap_err();
    assert_eq!(error.field, "ports[0].faults[1].matches[1].path");
}

#[test]
fn the_first_that_fits_is_taken() {
    let faults = [
        Fault { matches: vec![on("/a"), on("/b")], ..fault("some") },
        Fault { expires: Some(100), ..fault("ends") },
        fault("rest"),
    ];
    let at = |path, now| name(met(&faults, path, now, 0)).unwrap();
    assert_eq!(at("/a/x", 0), "FaultPolicy/default/some");
    assert_eq!(at("/b", 100), "FaultPolicy/default/some");
    assert_eq!(at("/c", 99), "FaultPolicy/default/ends");
    assert_eq!(at("/c", 100), "FaultPolicy/default/rest");
}

#[test]
fn the_clock_is_read_only_where_a_fault_that_fits_ends() {
    let read = Cell::new(0);
    let now = || {
        read.set(read.get() + 1);
        0
    };
    let chance = Chance { now: &now, random: &|| 0, counts: &FaultCounts::default() };
    let mut head = RequestHead::default();
    let text = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
    head.parse(text, Headroom::NONE).unwrap();
    let faults = [
        Fault { matches: vec![on("/b")], expires: Some(9), ..fault("elsewhere") },
        fault("for ever"),
        Fault { expires: Some(9), ..fault("not reached") },
    ];
    let faults = Faults::build(&faults, &me(), "").unwrap();
    assert!(faults.put_in(&head.view(text), &chance).is_some());
    assert_eq!(read.get(), 0);
}

#[test]
fn what_only_counts_is_passed_over_and_counted() {
    let counts = FaultCounts::default();
    let chance = Chance { now: &|| 0, random: &|| 0, counts: &counts };
    let mut head = RequestHead::default();
    let text = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    head.parse(text, Headroom::NONE).unwrap();
    let delay = Some(FaultDelay { duration: Duration::from_secs(1), ppm: ALL });
    let faults =
        [Fault { shadow: true, delay, ..fault("shadow") }, Fault { delay, ..fault("real") }];
    let faults = Faults::build(&faults, &me(), "").unwrap();
    for _ in 0..3 {
        let met = faults.put_in(&head.view(text), &chance).map(|it| *it);
        assert_eq!(name(met).as_deref(), Some("FaultPolicy/default/real"));
    }
    let counted: Vec<_> = counts
        .totals()
        .into_iter()
        .map(|(key, count)| (key.policy.to_string(), key.kind, key.mode, count))
        .collect();
    let (delay, abort) = (FaultKind::Delay, FaultKind::Abort);
    let (real, shadow) = ("FaultPolicy/default/real", "FaultPolicy/default/shadow");
    assert_eq!(
        counted,
        [
            (real.to_owned(), delay, FaultMode::Enforce, 3),
            (real.to_owned(), abort, FaultMode::Enforce, 3),
            (shadow.to_owned(), delay, FaultMode::Shadow, 3),
            (shadow.to_owned(), abort, FaultMode::Shadow, 3),
        ]
    );
}

proptest! {
    #[test]
    fn each_part_is_drawn_by_its_own_share(random in 0..ALL, delay in 0..=ALL, abort in 0..=ALL) {
        let faults = [Fault {
            delay: Some(FaultDelay { duration: Duration::from_secs(1), ppm: delay }),
            abort: Some(FaultAbort { how: AbortHow::Reset, ppm: abort }),
            ..fault("a")
        }];
        let met = met(&faults, "/", 0, random);
        let (waits, fails) = (random < delay, random < abort);
        prop_assert_eq!(met.is_some(), waits || fails, "what does nothing is nothing");
        prop_assert_eq!(met.as_ref().is_some_and(|it| it.delay.is_some()), waits);
        prop_assert_eq!(met.is_some_and(|it| it.abort.is_some()), fails);
    }

    #[test]
    fn a_delay_never_outlasts_the_request(delay in option(0..5_000_u64), limit in option(0..5_000_u64), aborts: bool) {
        let ms = |it: Option<u64>| it.map(Duration::from_millis);
        let abort = aborts.then_some(AbortHow::Reset);
        let injected = Injected { id: fault("a").id, delay: ms(delay), abort };
        let (wait, end) = injected.course(ms(limit));
        let asked = ms(delay).unwrap_or_default();
        match ms(limit) {
            Some(limit) if limit <= asked => {
                prop_assert_eq!((wait, end), (limit, Some(Reason::RequestTimeout)));
            }
            _ => prop_assert_eq!((wait, end), (asked, aborts.then_some(Reason::FaultInjected))),
        }
    }
}

fn option<T: Strategy>(inner: T) -> impl Strategy<Value = Option<T::Value>>
where
    T::Value: Clone,
{
    proptest::option::of(inner)
}

#[test]
fn every_grpc_code_is_a_failure_of_http_too() {
    for code in 1..=16 {
        let status = status(AbortHow::Grpc(code));
        assert!((400..600).contains(&status), "{code} is {status}");
    }
    assert_eq!((status(AbortHow::Grpc(14)), status(AbortHow::Status(418))), (503, 418));
    assert_eq!(status(AbortHow::Reset), 0, "nothing is answered");
}
