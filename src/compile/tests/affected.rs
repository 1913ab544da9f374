//! Which keys each kind of change touches, and which it leaves alone.

use std::sync::Arc;
use std::time::Duration;

use crate::compile::affected;
use crate::mesh::fixture::*;
use crate::mesh::{Change, MeshConfig, Object, Snapshot, Workload};
use crate::resource::MtlsMode;

/// `reviews` (two workloads) with a route that sends to `ratings`, and `web` beside them.
fn shop() -> Snapshot {
    empty().apply(&[
        came(workload("default/r1", "reviews", "")),
        came(workload("default/r2", "reviews", "")),
        came(workload("default/web", "web", "")),
        routed(route("default/r", "default/reviews", "default/ratings", vec![vec![prefix("/")]])),
    ])
}

fn keys(change: Change) -> Vec<String> {
    let old = shop();
    let changes = [change];
    let new = old.apply(&changes);
    affected(&old, &new, &changes).iter().map(ToString::to_string).collect()
}

const R1: &str = "Workload default/r1";
const ADDRESS: &str = "Address address/127.0.0.1:41000";
const REVIEWS: &str = "Service default/reviews";

#[test]
fn a_workload_of_a_known_service_touches_its_cluster_and_itself() {
    let resting = Workload { ready: false, ..workload("default/r1", "reviews", "") };
    assert_eq!(keys(came(resting)), [R1, "Cluster default/reviews", ADDRESS]);
}

#[test]
fn the_first_workload_of_a_backend_touches_whoever_routes_to_it() {
    let found = keys(came(workload("default/s1", "ratings", "")));
    let expected = [
        "Workload default/s1",
        "Service default/ratings",
        REVIEWS,
        "Cluster default/ratings",
        ADDRESS,
    ];
    let sort = |mut keys: Vec<String>| {
        keys.sort();
        keys
    };
    assert_eq!(sort(found), sort(expected.map(str::to_owned).to_vec()));
}

#[test]
fn a_producers_route_touches_its_parent_alone() {
    let other = route("default/x", "default/web", "default/reviews", vec![]);
    assert_eq!(keys(routed(other)), ["Service default/web"]);
}

#[test]
fn a_consumers_first_route_touches_its_own_resource_and_the_list_of_consumers() {
    let consumer = route("shop/x", "default/reviews", "default/reviews", vec![]);
    assert_eq!(keys(routed(consumer)), [REVIEWS, "Service default/reviews@shop"]);
}

#[test]
fn a_policy_touches_both_sides_of_its_target() {
    let treatment = policy("default/p", "default/web", Duration::from_secs(1));
    let mut found = keys(treated(treatment));
    found.sort();
    assert_eq!(found, ["Cluster default/web", "Service default/web"]);
}

#[test]
fn mesh_wide_settings_touch_workloads_only_where_mtls_changed() {
    let change = |config: MeshConfig| {
        Change::Object(MeshConfig::reference(), Some(Object::MeshConfig(Arc::new(config))))
    };
    let sampled = MeshConfig { sampling_ppm: 1, ..MeshConfig::default() };
    assert_eq!(keys(change(sampled)), ["Mesh mesh"]);
    let permissive = MeshConfig { mtls: MtlsMode::Permissive, ..MeshConfig::default() };
    let found = keys(change(permissive));
    assert_eq!(found, ["Mesh mesh", R1, "Workload default/r2", "Workload default/web"]);
    assert_eq!(keys(Change::Roots(Arc::default())), ["Mesh mesh"]);
}
