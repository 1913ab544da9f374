//! Faults at the ports of a service: whose, in which order, and where there can be none.

use super::{called, origins, reviews, service_of};
use crate::compile::{affected, compile};
use crate::mesh::fixture::*;
use crate::names::Protocol;
use crate::resource::{Key, RouteMatch};

const REVIEWS: &str = "default/reviews";

#[test]
fn the_oldest_is_tried_first_and_each_is_an_origin() {
    let mut young = fault_policy("default/a", REVIEWS);
    young.created_ms = 2;
    young.matches = vec![prefix("/slow")];
    let old = fault_policy("default/b", REVIEWS);
    let mesh = reviews().apply(&[made_faulty(young), made_faulty(old)]);
    let faults = called(&mesh).ports.remove(0).faults;
    let ids: Vec<_> = faults.iter().map(|fault| fault.id.to_string()).collect();
    assert_eq!(ids, ["FaultPolicy/default/b", "FaultPolicy/default/a"]);
    let [RouteMatch { rule: 0, path, .. }] = &faults[1].matches[..] else { panic!("{faults:?}") };
    assert_eq!(*path, prefix("/slow").path);
    let compiled = compile(&mesh, &Key::service(&name(REVIEWS))).expect("a service");
    assert_eq!(origins(&compiled), ["FaultPolicy/default/a 1", "FaultPolicy/default/b 1"]);
}

#[test]
fn consumers_meet_them_too_and_endpoints_know_nothing_of_them() {
    let own = route("shop/c", REVIEWS, REVIEWS, vec![vec![prefix("/")]]);
    let before = reviews().apply(&[routed(own)]);
    let change = [made_faulty(fault_policy("default/f", REVIEWS))];
    let mesh = before.apply(&change);
    let shop = "shop".parse().expect("a namespace");
    let theirs = Key::service_for(&name(REVIEWS), &shop);
    assert_eq!(service_of(&mesh, &theirs).ports[0].faults.len(), 1);
    let keys: Vec<_> = affected(&before, &mesh, &change).into_iter().collect();
    assert_eq!(keys, [Key::service(&name(REVIEWS)), theirs]);
}

#[test]
fn an_opaque_port_has_none() {
    let mut opaque = workload("default/r1", "reviews", "");
    opaque.ports[0].protocol = Protocol::Tcp;
    let mesh = empty().apply(&[came(opaque), made_faulty(fault_policy("default/f", REVIEWS))]);
    assert_eq!(called(&mesh).ports[0].faults, []);
}
