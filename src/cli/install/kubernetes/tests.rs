//! What is recorded where a mesh does not get ready.

use super::*;
use crate::cli::on_cluster::fake;
use crate::cli::output::Color;

#[test]
fn what_does_not_get_ready_is_the_mesh_that_is_meant() {
    let dir = tempfile::tempdir().expect("a directory");
    let namespace = "mesh".parse().expect("a namespace");
    let target = Target { kubeconfig: None, context: Some("prod".to_owned()), namespace };
    let cluster = fake::cluster(|_, _| fake::absent());
    let printer = Printer::new(Color::Never, true);
    wait(&cluster, target.clone(), dir.path(), Duration::ZERO, printer).expect_err("it is absent");
    let meant = Installation::read(dir.path()).expect("readable");
    assert_eq!(meant, Some(Installation::Kubernetes(target)));
}
