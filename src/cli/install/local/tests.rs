//! What is recorded where a control plane runs already.

use clap::Parser as _;
use serde_json::json;

use super::*;
use crate::cli::args::{Cli, Command};
use crate::cli::installation::Target;
use crate::names::Namespace;

#[test]
fn a_control_plane_that_runs_already_is_the_one_that_is_meant() {
    let dir = tempfile::tempdir().expect("a directory");
    let (context, namespace) = (Some("prod".to_owned()), Namespace::root());
    let cluster = Target { kubeconfig: None, context, namespace };
    Installation::Kubernetes(cluster).record(dir.path()).expect("written");

    let line = Cli::try_parse_from(["meshctl", "--quiet", "install"]).expect("a command line");
    let Command::Install(args) = &line.command else { panic!("it is `install`") };
    let status = serde_json::from_value(json!({
        "apiVersion": "meshctl.dev/v1alpha1",
        "kind": "MeshStatus",
        "controlPlane": {
            "ready": true, "version": CLIENT, "address": "127.0.0.1:1", "revision": 1,
            "rootExpires": "2036-01-01T00:00:00Z", "since": "2026-01-01T00:00:00Z",
        },
        "proxies": [], "services": [], "edges": [],
    }));
    let status = status.expect("a status");
    already(args, &status, dir.path(), &Context::new(&line.global)).expect("nothing to do");
    let meant = Installation::read(dir.path()).expect("readable");
    assert_eq!(meant, Some(Installation::Local));
}
