//! What tests on a cluster stand on: the cluster, the mesh in it, namespaces that go away, load.
//!
//! Waiting is `kubectl wait` with a deadline, never a sleep. A test that fails leaves the state of
//! its namespaces in its output.

mod cluster;
mod load;
mod mesh;
mod namespace;
mod run;
mod wire;

pub(super) use cluster::Cluster;
pub(super) use load::Load;
pub(super) use mesh::{Alone, Mesh, SYSTEM};
pub(super) use namespace::Namespace;
pub(super) use run::Run;
pub(super) use wire::Wire;
