//! Faults on the wire: who must understand them, and what is no fault.

use std::time::Duration;

use prost::Message;

use crate::names::Protocol;
use crate::resource::{
    AbortHow, Fault, FaultAbort, FaultDelay, Kind, Resource, Service, ServicePort,
};
use crate::xds::codec::{decode, encode};

fn service(faults: Vec<Fault>) -> Resource {
    let (protocol, matches, rules) = (Protocol::Http, Vec::new(), Vec::new());
    Resource::Service(Service {
        name: "shop/web".parse().unwrap(),
        consumer: None,
        overridden_in: Vec::new(),
        ports: vec![ServicePort { port: 80, protocol, matches, rules, faults }],
    })
}

fn fault() -> Fault {
    Fault {
        id: crate::names::RuleId("FaultPolicy/shop/f".into()),
        from: Vec::new(),
        matches: Vec::new(),
        delay: None,
        abort: None,
        expires: None,
        shadow: false,
    }
}

#[test]
fn a_proxy_that_knows_no_faults_must_refuse_them() {
    #[derive(Clone, PartialEq, Message)]
    struct Older {
        #[prost(uint32, tag = "15")]
        requires: u32,
    }
    let requires = |resource| Older::decode(encode(&resource).body).unwrap().requires;
    assert_eq!(requires(service(Vec::new())), 0);
    assert_eq!(requires(service(vec![fault()])), 2);
}

#[test]
fn what_is_no_fault_is_refused_by_its_field() {
    let refused = |fault| {
        let body = encode(&service(vec![fault])).body;
        decode(Kind::Service, "shop/web", &body).unwrap_err().to_string()
    };
    let abort = |how, ppm| Fault { abort: Some(FaultAbort { how, ppm }), ..fault() };
    let delay = |duration, ppm| Fault { delay: Some(FaultDelay { duration, ppm }), ..fault() };
    let at = |rest: &str| format!("ports[0].faults[0].{rest}");
    for (fault, expected) in [
        (abort(AbortHow::Status(200), 1), "abort.code: 200 is no way to fail"),
        (abort(AbortHow::Grpc(0), 1), "abort.code: 0 is no way to fail"),
        (abort(AbortHow::Reset, 1_000_001), "abort.ppm: 1000001 is more than all"),
        (
            delay(Duration::from_secs(3_601), 1),
            "delay.duration_us: is longer than any delay may be",
        ),
        (delay(Duration::ZERO, u32::MAX), "delay.ppm: 4294967295 is more than all"),
    ] {
        assert_eq!(refused(fault), at(expected));
    }
}
