//! The mesh on a real cluster: kubelet, containers, applications that know nothing of it.
//!
//! These tests are ignored where no cluster is. `.ci/kubernetes` makes one (or takes the one that
//! `KUBECONFIG` names, with the image that `MESHCTL_TEST_IMAGE` names) and runs them. Each works in
//! namespaces of its own; what is there once for the whole cluster is held by [`support::Mesh`].

mod calls;
mod discovery;
mod figures;
mod guide;
mod install;
mod join;
mod resilience;
mod rules;
mod support;
mod take_over;
mod testbed;
mod under_load;
mod uninstall;
mod upgrade;
mod workloads;
