//! What `install --platform kubernetes --dry-run` prints, held against `testdata/install`;
//! `UPDATE_GOLDEN=1` rewrites it. No cluster and no kubeconfig is needed for it.

use std::path::{Path, PathBuf};

use super::binary::{meshctl, meshctl_in};

const DRY: [&str; 4] = ["install", "--platform", "kubernetes", "--dry-run"];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/install").join(name)
}

#[track_caller]
fn is(name: &str, printed: &str) {
    // The version of this build is that of no manifest in particular.
    let printed = printed.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(golden(name), &printed).expect("written");
    }
    let kept = std::fs::read_to_string(golden(name)).unwrap_or_default();
    assert_eq!(kept, printed, "`testdata/install/{name}` is stale, run with UPDATE_GOLDEN=1");
}

#[test]
fn the_manifests_are_these() {
    let run = meshctl(&DRY);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    is("default.yaml", &run.stdout);
    assert!(!run.stdout.contains("caBundle") && !run.stdout.contains("PRIVATE"), "no secret in it");
}

#[test]
fn values_change_them_and_flags_win() {
    let dir = tempfile::tempdir().expect("a directory");
    let values = "image: from-file:1\nlog: debug\nresources: {limits: {cpu: 2}}\n";
    std::fs::write(dir.path().join("values.yaml"), values).expect("written");
    let more = [
        "--values",
        "values.yaml",
        "--set",
        "nodeSelector.zone=a",
        "--image",
        "from-flag:1",
        "--namespace",
        "mesh",
    ];
    let run = meshctl_in(dir.path(), &[&DRY[..], &more].concat(), "");
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    let deployment = run.stdout.split("---\n").last().expect("the Deployment comes last");
    for line in ["image: from-flag:1", "zone: a", "cpu: 2", "- debug", "namespace: mesh"] {
        assert!(deployment.contains(line), "no `{line}` in\n{deployment}");
    }
    assert!(!run.stdout.contains("meshctl-system"), "another namespace is left");
}

#[test]
fn what_cannot_be_installed_is_a_fault_of_the_command_line() {
    for (words, said) in [
        (&["--replicas", "2"][..], "2 replicas are not supported in this version yet"),
        (&["--set", "imgae=x"], "did you mean `image`"),
        (&["--values", "none.yaml"], "cannot read the values `none.yaml`"),
        (&["--listen", "127.0.0.1:1"], "`--listen` is for `--platform local`"),
        (&["--namespace", "A"], "is not a valid namespace"),
    ] {
        let run = meshctl(&[&DRY[..], words].concat());
        assert_eq!(run.code, 2, "{words:?}: {run:?}");
        assert!(run.stderr.contains(said), "{words:?}: {}", run.stderr);
    }
    let run = meshctl(&["install", "--image", "x:1"]);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.stderr.contains("`--image` is for `--platform kubernetes`"), "{run:?}");
}
