//! Which mesh is meant, by flags and by what is recorded.

use super::*;

fn recorded() -> Installation {
    Installation::Kubernetes(Target {
        kubeconfig: None,
        context: Some("east".to_owned()),
        namespace: "mesh".parse().expect("a namespace"),
    })
}

fn flags(context: Option<&str>, kubeconfig: Option<&str>) -> ClusterArgs {
    let (context, kubeconfig) = (context.map(str::to_owned), kubeconfig.map(PathBuf::from));
    ClusterArgs { context, kubeconfig }
}

#[test]
fn what_is_recorded_is_read_again_and_forgotten() {
    let dir = tempfile::tempdir().expect("a directory");
    let home = dir.path().join("a/b");
    assert_eq!(Installation::read(&home).expect("nothing there"), None);
    Installation::forget(&home).expect("nothing there");
    recorded().record(&home).expect("written");
    assert_eq!(Installation::read(&home).expect("readable"), Some(recorded()));
    let text = std::fs::read_to_string(home.join(FILE)).expect("a file");
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let wanted =
        serde_json::json!({"platform": "kubernetes", "context": "east", "namespace": "mesh"});
    assert_eq!(value, wanted);
    Installation::forget(&home).expect("removed");
    assert_eq!(Installation::read(&home).expect("nothing there"), None);

    std::fs::write(home.join(FILE), "{").expect("written");
    let refused = Installation::read(&home).expect_err("damaged").render();
    assert!(refused.contains("cannot read what was installed"), "{refused}");
}

#[test]
fn flags_come_before_the_record_and_the_record_before_this_machine() {
    let meant = |args: ClusterArgs, it| Installation::meant(&args, it);
    assert_eq!(meant(flags(None, None), None), Installation::Local);
    assert_eq!(meant(flags(None, None), Some(Installation::Local)), Installation::Local);
    assert_eq!(meant(flags(None, None), Some(recorded())), recorded());
    assert_eq!(meant(flags(Some("east"), None), Some(recorded())), recorded());
    for (args, it) in [
        (flags(Some("west"), None), Some(recorded())),
        (flags(Some("east"), Some("/k")), Some(recorded())),
        (flags(None, Some("/k")), Some(recorded())),
        (flags(Some("west"), None), None),
    ] {
        let wanted = Target {
            kubeconfig: args.kubeconfig.clone(),
            context: args.context.clone(),
            namespace: usual(),
        };
        assert_eq!(meant(args, it), Installation::Kubernetes(wanted));
    }
}

#[test]
fn an_unsaid_context_and_a_relative_path_are_those_of_the_record() {
    let at = |context: Option<&str>| Target {
        kubeconfig: Some(std::path::absolute("k/config").expect("a path")),
        context: context.map(str::to_owned),
        namespace: "mesh".parse().expect("a namespace"),
    };
    let recorded = Some(Installation::Kubernetes(at(Some("east"))));
    for context in [None, Some("east")] {
        let meant = Installation::meant(&flags(context, Some("k/config")), recorded.clone());
        assert_eq!(meant, Installation::Kubernetes(at(context)));
    }
    let meant = Installation::meant(&flags(Some("west"), Some("k/config")), recorded);
    let elsewhere = Target { namespace: usual(), ..at(Some("west")) };
    assert_eq!(meant, Installation::Kubernetes(elsewhere));
}

#[test]
fn what_is_typed_for_a_mesh_names_its_cluster_and_its_namespace() {
    let target = |kubeconfig: Option<&str>, context: Option<&str>, namespace: &str| Target {
        kubeconfig: kubeconfig.map(PathBuf::from),
        context: context.map(str::to_owned),
        namespace: namespace.parse().expect("a namespace"),
    };
    for (target, typed) in [
        (target(None, None, ROOT_NAMESPACE), "meshctl install --platform kubernetes"),
        (target(None, Some("east"), ROOT_NAMESPACE), "meshctl install --context east"),
        (
            target(Some("/k"), Some("east"), "mesh"),
            "meshctl install --kubeconfig /k --context east --namespace mesh",
        ),
    ] {
        assert_eq!(target.command("install"), typed);
    }
}
