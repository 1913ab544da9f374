//! What tests on a cluster stand on: the cluster, namespaces that go away, programs run against it.
//!
//! Waiting is `kubectl wait` with a deadline, never a sleep. A test that fails leaves the state of
//! its namespaces in its output.

mod cluster;
mod load;
mod namespace;
mod run;

pub(super) use cluster::Cluster;
pub(super) use load::Load;
pub(super) use namespace::Namespace;
pub(super) use run::Run;
