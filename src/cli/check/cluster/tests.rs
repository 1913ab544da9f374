//! What the groups make of what they see.

use jiff::Timestamp;

use super::*;
use crate::cli::check::Verdict;
use crate::cli::on_cluster::fake;
use crate::platform::kubernetes::survey::{NamespaceSeen, PodSeen};

fn namespace(name: &str, inject: Option<&str>) -> NamespaceSeen {
    NamespaceSeen {
        name: name.to_owned(),
        inject: inject.map(str::to_owned),
        pod_security: None,
        other_mesh: None,
        leaving: false,
    }
}

fn pod(namespace: &str, injected: Option<&str>) -> PodSeen {
    PodSeen {
        namespace: namespace.to_owned(),
        name: "p".to_owned(),
        inject: None,
        injected: injected.map(str::to_owned),
        workload: None,
        host_network: false,
        alive: true,
    }
}

fn target() -> Target {
    let namespace = "mesh".parse().unwrap();
    Target { kubeconfig: Some("/k".into()), context: Some("prod".to_owned()), namespace }
}

#[test]
fn a_misspelt_label_fails_and_is_named() {
    let good = [namespace("a", None), namespace("b", Some("enabled"))];
    assert_eq!(namespaces::spelt(&good).result, Verdict::Passed);
    let bad = namespaces::spelt(&[namespace("shop", Some("enable"))]);
    assert_eq!(bad.result, Verdict::Failed);
    assert!(bad.message.contains("`shop` has `enable`"), "{}", bad.message);
}

#[test]
fn another_mesh_matters_only_where_ours_is_too() {
    let mut both = namespace("shop", Some("enabled"));
    both.other_mesh = Some("istio-injection=enabled".to_owned());
    assert_eq!(namespaces::alone(&[both.clone()]).result, Verdict::Failed);
    both.inject = None;
    assert_eq!(namespaces::alone(&[both]).result, Verdict::Passed);
}

#[test]
fn pod_security_that_forbids_the_capture_fails() {
    for (level, verdict) in [
        (None, Verdict::Passed),
        (Some("privileged"), Verdict::Passed),
        (Some("baseline"), Verdict::Failed),
        (Some("restricted"), Verdict::Failed),
    ] {
        let mut it = namespace("shop", Some("enabled"));
        it.pod_security = level.map(str::to_owned);
        assert_eq!(namespaces::allowed(&[it]).result, verdict, "{level:?}");
    }
}

#[test]
fn pods_without_a_sidecar_are_named_where_they_should_have_one() {
    let namespaces = [namespace("on", Some("enabled")), namespace("off", None)];
    let meshed = |pods: &[PodSeen]| workloads::meshed(&namespaces, pods);
    assert_eq!(meshed(&[pod("off", None), pod("on", Some("1"))]).result, Verdict::Passed);
    let bare = meshed(&[pod("on", None)]);
    assert!(bare.remedy.ends_with("daemonset -n on"), "{}", bare.remedy);
    assert_eq!(bare.result, Verdict::Warning);
    assert!(bare.message.contains("on/p"), "{}", bare.message);
    for change in [
        |it: &mut PodSeen| it.host_network = true,
        |it: &mut PodSeen| it.alive = false,
        |it: &mut PodSeen| it.inject = Some("disabled".to_owned()),
    ] {
        let mut it = pod("on", None);
        change(&mut it);
        assert_eq!(meshed(&[it]).result, Verdict::Passed);
    }
    let mut own = pod("off", None);
    own.inject = Some("enabled".to_owned());
    assert_eq!(meshed(&[own]).result, Verdict::Warning);
}

#[test]
fn sidecars_of_another_version_are_named() {
    let current = crate::cli::version::CLIENT;
    assert_eq!(
        workloads::current(&[pod("a", Some(current)), pod("a", None)]).result,
        Verdict::Passed
    );
    let old = workloads::current(&[pod("a", Some("0.0.1"))]);
    assert_eq!(old.result, Verdict::Warning);
    assert!(old.message.contains("a/p (0.0.1)"), "{}", old.message);
}

#[test]
fn clocks_may_differ_by_two_minutes() {
    let here = Timestamp::from_second(1_000_000).unwrap();
    for (there, verdict) in
        [(999_880, Verdict::Passed), (1_000_121, Verdict::Warning), (999_000, Verdict::Warning)]
    {
        let there = Timestamp::from_second(there).unwrap();
        assert_eq!(before::clock(there, here).result, verdict, "{there}");
    }
}

#[test]
fn a_namespace_without_the_roots_or_with_others_is_named() {
    let namespaces = [namespace("a", Some("enabled")), namespace("b", None)];
    let copies = |text: &str| [("a".to_owned(), text.to_owned())].into();
    assert_eq!(installed::spread("root", &copies("root"), &namespaces).result, Verdict::Passed);
    for copies in [copies("other"), std::collections::BTreeMap::new()] {
        let found = installed::spread("root", &copies, &namespaces);
        assert_eq!((found.result, found.message.as_str()), (Verdict::Failed, "not a"));
    }
}

#[test]
fn no_root_at_all_fails() {
    assert_eq!(installed::root("", Timestamp::now()).result, Verdict::Failed);
}

/// On this machine there may be another mesh, and what is typed without flags would change that.
#[test]
fn remedies_name_the_cluster_and_the_namespace() {
    let to_it =
        |verb: &str| format!("meshctl {verb} --kubeconfig /k --context prod --namespace mesh");
    let bare = fake::cluster(|method, path| match (method, path) {
        (&http::Method::POST, "/api/v1/namespaces/default/pods") => {
            let pod = serde_json::json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": { "name": "p" }, "spec": { "containers": [] },
            });
            Some((201, pod))
        }
        (_, "/api/v1/configmaps") => fake::list(&[]),
        (_, path) if path.ends_with("/customresourcedefinitions/meshconfigs.meshctl.dev") => {
            Some((
                200,
                serde_json::json!({
                    "apiVersion": "v1", "kind": "Some",
                    "metadata": { "name": "a", "labels": { "app.kubernetes.io/managed-by": "meshctl" } },
                }),
            ))
        }
        _ => fake::absent(),
    });
    for finding in [
        installed::checks(&bare, &target()).remove(0),
        installed::whole(&bare, &target()).remove(0),
        installed::trusted(&bare, &target(), "root"),
        installed::injects(&bare, &target()),
    ] {
        assert_eq!(finding.remedy, to_it("install"), "{finding:?}");
    }
    let left = before::leftovers(&bare, &target(), false).unwrap();
    assert_eq!(left.remedy, to_it("uninstall"), "{left:?}");
    let same = |versions: &[&str]| {
        installed::same(versions.iter().map(|&it| it.to_owned()).collect(), &target())
    };
    assert_eq!(same(&[]).result, Verdict::Passed);
    assert_eq!(same(&["0.0.2", "0.0.1", "0.0.2"]).remedy, to_it("upgrade"));
    for later in [&["99.0.0"][..], &["0.0.1", "99.0.0"], &["none"]] {
        assert_eq!(same(later).remedy, "use that version of meshctl, or a later one");
    }
}
