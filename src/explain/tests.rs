//! What is told of a request: from documents, compiled and fed to a model as a mesh would.

use std::convert::Infallible;
use std::sync::Arc;

use super::*;
use crate::compile;
use crate::mesh::fixture::{came, declared, policy, service, treated, workload};
use crate::mesh::{Change, Snapshot};
use crate::resource::{Key, PathMatch, Resource};

const NOW: u64 = 1_800_000_000;

/// `web`, and two workloads of `reviews`.
fn mesh(more: Vec<Change>) -> Snapshot {
    let changes = vec![
        came(workload("default/web-0", "web", "")),
        came(workload("default/reviews-0", "reviews", "")),
        came(workload("default/reviews-1", "reviews", "")),
    ];
    let empty = Snapshot::new("cluster.local".parse().unwrap(), Arc::default());
    empty.apply(&changes.into_iter().chain(more).collect::<Vec<_>>())
}

fn known(snapshot: &Snapshot, key: &Key) -> Known {
    let compiled = compile::compile(snapshot, key);
    let origins = compiled.iter().flat_map(|it| &it.origins);
    Known {
        origins: origins.map(|(object, _)| object.to_string()).collect(),
        resource: compiled.as_ref().map(|it| it.resource.clone()),
    }
}

fn model(snapshot: &Snapshot, authority: &str) -> Model {
    let key = Key::workload(&"default/web-0".parse().unwrap());
    let Some(Resource::Workload(workload)) = known(snapshot, &key).resource else { panic!() };
    let Ok(model) =
        Model::load(workload, authority, |key| Ok::<_, Infallible>(known(snapshot, key)));
    model
}

fn explained(snapshot: &Snapshot, url: &str, live: &Live) -> Explanation {
    let call = Call::http("GET", url, Vec::new()).unwrap();
    explain(&model(snapshot, call.authority()), &call, live, NOW)
}

fn told(state: &str, spared: bool) -> LiveEndpoint {
    LiveEndpoint {
        workload: "reviews-0".into(),
        address: "127.0.0.1:41000".into(),
        state: state.into(),
        why: "5 errors in a row".into(),
        since: None,
        until: None,
        spared,
    }
}

/// The part of `reviews-0` where it is told to be in a state, in percent.
fn part(endpoint: LiveEndpoint) -> (f64, Outcome) {
    let pool = LivePool { breaker: None, endpoints: vec![endpoint] };
    let pools = [("default/reviews".parse().unwrap(), pool)].into();
    let live = Live { running: true, pools, ..Live::default() };
    let said = explained(&mesh(Vec::new()), "http://reviews/", &live);
    let endpoints = &said.backends[0].endpoints;
    assert!(endpoints[0].out.is_some() && endpoints[1].out.is_none(), "{endpoints:?}");
    (endpoints[0].percent, said.outcome)
}

#[test]
fn who_is_out_gets_nothing_and_who_comes_back_little() {
    for state in ["Ejected", "Unhealthy", "ByHand"] {
        assert_eq!(part(told(state, false)), (0.0, Outcome::Passes), "{state}");
    }
    assert_eq!(part(told("Ejected", true)).0, 50.0, "spared");
    let (trickle, _) = part(told("Probation", false));
    assert!((9.0..9.2).contains(&trickle), "{trickle}: a tenth beside a whole");
    let at = |second: i64| jiff::Timestamp::from_second(NOW as i64 + second).ok();
    let warming = LiveEndpoint { since: at(-30), until: at(30), ..told("Warming", false) };
    let (half, _) = part(warming);
    assert!((33.2..33.4).contains(&half), "{half}: a half beside a whole");
}

#[test]
fn where_all_are_out_by_hand_nobody_answers_and_where_all_are_ejected_panic_lets_them() {
    let all = |state: &str| {
        let second = LiveEndpoint { workload: "reviews-1".into(), ..told(state, false) };
        let pool = LivePool { breaker: None, endpoints: vec![told(state, false), second] };
        let pools = [("default/reviews".parse().unwrap(), pool)].into();
        let live = Live { running: true, pools, ..Live::default() };
        explained(&mesh(Vec::new()), "http://reviews/", &live)
    };
    let said = all("ByHand");
    assert_eq!((said.outcome, said.answers[0].reason), (Outcome::Refused, Some("no_endpoints")));
    assert!(said.answers[0].why.contains("all of its 2 endpoints are out"), "{said:?}");
    let said = all("Ejected");
    assert!(said.backends[0].panic && said.outcome == Outcome::Passes, "{said:?}");
}

#[test]
fn a_setting_names_the_policy_that_says_it() {
    let limit = policy("default/p", "default/reviews", std::time::Duration::from_secs(5));
    let settings = compile::settings(Some(&limit));
    let snapshot = mesh(vec![treated(limit)]);
    let said = Policy { name: "TrafficPolicy/default/p".into(), settings };
    let policies = [("default/reviews".parse().unwrap(), said)].into();
    let live = Live { policies, ..Live::default() };
    let said = explained(&snapshot, "http://reviews/", &live);
    let setting = |field: &str| said.settings.iter().find(|it| it.field == field).unwrap();
    assert_eq!(setting("timeouts.request").value, "5s");
    assert_eq!(setting("timeouts.request").source.as_deref(), Some("TrafficPolicy/default/p"));
    assert_eq!(setting("retry.attempts").source, None);
    assert_eq!(said.destination.origins, ["TrafficPolicy/default/p"]);
}

#[test]
fn what_a_proxy_cannot_use_is_said_and_the_request_waits_in_vain() {
    let snapshot = mesh(Vec::new());
    let key = Key::workload(&"default/web-0".parse().unwrap());
    let Some(Resource::Workload(workload)) = known(&snapshot, &key).resource else { panic!() };
    let Ok(model) = Model::load(workload, "reviews", |key| {
        let mut known = known(&snapshot, key);
        if let Some(Resource::Service(service)) = &mut known.resource {
            service.ports[0].matches[0].rule = 7;
        }
        Ok::<_, Infallible>(known)
    });
    assert_eq!(model.refused().len(), 1, "{:?}", model.refused());
    let call = Call::http("GET", "http://reviews/", Vec::new()).unwrap();
    let said = explain(&model, &call, &Live::default(), NOW);
    assert_eq!(said.answers[0].reason, Some("config_pending"));
}

#[test]
fn a_port_that_the_service_does_not_have_is_no_route() {
    let snapshot = mesh(vec![declared(service("default/reviews", &[80]))]);
    let said = explained(&snapshot, "http://reviews:81/", &Live::default());
    assert_eq!((said.answers[0].status, said.answers[0].reason), (Some(404), Some("no_route")));
    assert!(said.answers[0].why.contains("no port 81"), "{said:?}");
}

#[test]
fn a_path_that_can_be_read_in_two_ways_is_refused_where_rules_look_at_paths() {
    let snapshot = mesh(vec![declared(service("default/reviews", &[80]))]);
    let ask = |path: &str| {
        let key = Key::workload(&"default/web-0".parse().unwrap());
        let Some(Resource::Workload(workload)) = known(&snapshot, &key).resource else { panic!() };
        let Ok(model) = Model::load(workload, "reviews", |key| {
            let mut known = known(&snapshot, key);
            if let Some(Resource::Service(service)) = &mut known.resource {
                service.ports[0].matches[0].path = PathMatch::Prefix(path.into());
            }
            Ok::<_, Infallible>(known)
        });
        let call = Call::http("GET", "http://reviews/a/..;/b", Vec::new()).unwrap();
        let said = explain(&model, &call, &Live::default(), NOW);
        said.answers[0].reason
    };
    assert_eq!(ask("/a"), Some("bad_request"));
    assert_ne!(ask("/"), Some("bad_request"));
}

#[test]
fn words_become_requests() {
    let call = |url: &str| Call::http("GET", url, Vec::new()).map(|call| call.url());
    assert_eq!(call("http://a/b?c").unwrap(), "http://a/b?c");
    assert_eq!(call("a").unwrap(), "http://a/");
    assert_eq!(call("HTTP://a:81?c").unwrap(), "http://a:81/?c");
    assert_eq!(call("https://a"), Err(CallError::Scheme("https://a".into())));
    assert_eq!(call("http:///x"), Err(CallError::NoHost("http:///x".into())));
    assert_eq!(call("http://a/\r\nb"), Err(CallError::LineBreak("the request")));
    let connect = Call::http("connect", "http://a", Vec::new());
    assert_eq!(connect, Err(CallError::Connect));
    let grpc = |method: &str, url: &str| Call::grpc(method, url, Vec::new()).map(|call| call.url());
    assert_eq!(grpc("/a.B/C", "b").unwrap(), "http://b/a.B/C");
    assert_eq!(grpc("C", "b"), Err(CallError::Method("C".into())));
    assert_eq!(grpc("a.B/C", "b/x"), Err(CallError::Method("/x".into())));
}
