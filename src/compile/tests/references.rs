//! What a route names and whether it is there.

use crate::compile::{Reference, references};
use crate::mesh::Parent;
use crate::mesh::fixture::*;
use crate::names::Protocol;

#[test]
fn each_parent_and_backend_says_whether_it_is_there() {
    let mut opaque = workload("default/db", "db", "");
    opaque.ports[0].protocol = Protocol::Tcp;
    let mesh = empty().apply(&[came(workload("default/r1", "reviews", "")), came(opaque)]);

    let mut named = route("default/r", "default/reviews", "default/db", vec![vec![prefix("/")]]);
    let parent = |service: &str, port| Parent { service: name(service), port, section: None };
    named.parents.extend([
        parent("default/reviews", Some(81)),
        parent("default/nobody", None),
        parent("default/db", None),
    ]);
    named.rules[0].backends.extend([backend_ref("default/db", 1), backend_ref("default/x", 80)]);

    let found = references(&mesh, &named);
    let parents: Vec<_> =
        found.parents.iter().map(|it| (it.reference, it.opaque.as_slice())).collect();
    let expected: [(Reference, &[u16]); 4] = [
        (Reference::Resolved, &[]),
        (Reference::NoPort, &[]),
        (Reference::NoService, &[]),
        (Reference::Resolved, &[80]),
    ];
    assert_eq!(parents, expected);
    let backends: Vec<_> = found.backends.iter().map(|it| it.reference).collect();
    assert_eq!(backends, [Reference::Resolved, Reference::NoPort, Reference::NoService]);
}
