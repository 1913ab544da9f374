//! Revisions of the rules by the binary: listed, looked at, gone back to.

use super::binary::meshctl;
use super::installed::Mesh;

fn route(name: &str, weight: u32) -> String {
    format!(
        "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}}}
spec:
  parentRefs: [{{group: \"\", kind: Service, name: {name}, port: 80}}]
  rules:
  - backendRefs: [{{name: {name}-v1, port: 80, weight: {weight}}}]
"
    )
}

/// A mesh with the revisions: 1 `a` and `b`; 2 `a` changed; 3 `b` deleted.
fn mesh() -> Mesh {
    let mesh = Mesh::install();
    assert_eq!(mesh.feed("apply -f -", &(route("a", 1) + &route("b", 1))).code, 0);
    assert_eq!(mesh.feed("apply -f -", &route("a", 2)).code, 0);
    assert_eq!(mesh.run("delete httproute b --yes").code, 0);
    mesh
}

fn weight(mesh: &Mesh, name: &str) -> serde_json::Value {
    let route = mesh.json(&format!("get httproute {name} -o json"));
    route["spec"]["rules"][0]["backendRefs"][0]["weight"].clone()
}

#[test]
fn who_changed_what_is_listed_and_shown() {
    let mesh = mesh();
    let uid = rustix::process::getuid().as_raw();
    let list = mesh.json("history -o json");
    assert_eq!(list["kind"], "RevisionList");
    let of = |field: &str| -> Vec<String> {
        let all = list["revisions"].as_array().expect("a list").iter();
        all.map(|it| it[field].to_string()).collect()
    };
    assert_eq!(of("revision"), ["3", "2", "1"]);
    assert_eq!(of("by"), [format!("\"uid {uid}\"").as_str(); 3], "as the system knows the caller");
    let shown = mesh.run("history").stdout;
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[1].contains("1 deleted      httproute/b"), "{shown}");
    assert!(lines[3].ends_with("2 created      httproute/a, httproute/b"), "{shown}");
    mesh.run("history --limit 1 -o name").is(0, "3\n", "");

    let one = mesh.run("history 2");
    assert!(one.stdout.contains("httproute/a in default configured\n"), "{one:?}");
    assert!(one.stdout.contains("\n-       weight: 1\n+       weight: 2\n"), "{one:?}");
    let one = mesh.json("history 3 -o json");
    assert_eq!(
        (&one["kind"], &one["objects"][0]["action"]),
        (&"Revision".into(), &"deleted".into())
    );
    assert_eq!(one["objects"][0]["before"]["metadata"]["name"], "b");
    mesh.run("history 9").is(
        1,
        "",
        "error: there is no revision 9, the last is 3\nhelp: see which there are with `meshctl history`\n",
    );
    let before = mesh.run("history 0");
    assert!(before.stderr.contains("revision 0 is before the first change"), "{before:?}");
    let word = mesh.run("rollback yesterday");
    assert_eq!(word.code, 2, "{word:?}");
    assert!(word.stderr.contains("`yesterday`: not the number of a revision"), "{word:?}");
    assert_eq!(mesh.run("history --limit 0").code, 2, "which is not the same as an empty history");
    assert_eq!(super::generated::offered_in(&mesh.home(), &["rollback", ""])[..3], ["3", "2", "1"]);
}

#[test]
fn a_rollback_is_a_revision_of_its_own_and_can_be_taken_back() {
    let mesh = mesh();
    let dry = mesh.run("rollback 1 --dry-run");
    assert_eq!(dry.stdout, "httproute/a configured (dry run)\nhttproute/b created (dry run)\n");
    assert_eq!(weight(&mesh, "a"), 2, "nothing was changed");
    let unasked = mesh.run("rollback 1");
    assert_eq!(unasked.code, 2, "{unasked:?}");
    assert!(unasked.stderr.contains("mesh in `DIR/home`, from revision 3 to 1:\n"), "{unasked:?}");
    assert!(unasked.stderr.contains("pass `--yes`"), "{unasked:?}");
    let created = mesh.json("history 1 -o json")["at"].clone();

    let done = mesh.run("rollback 1 --yes --wait");
    assert_eq!(done.stdout, "httproute/a configured\nhttproute/b created\n", "{done:?}");
    assert!(done.stderr.ends_with("no proxy subscribes to what changed\n"), "{done:?}");
    assert_eq!((weight(&mesh, "a"), weight(&mesh, "b")), (1.into(), 1.into()));
    let b = mesh.json("get httproute b -o json");
    assert_eq!(b["metadata"]["creationTimestamp"], created, "age decides between rules");
    let list = mesh.json("history -o json");
    let last = &list["revisions"][0];
    assert_eq!((&last["revision"], &last["note"]), (&4.into(), &"rollback to 1".into()));

    mesh.run("rollback 1 --yes").is(0, "", "the rules are what they were at revision 1 already\n");
    assert_eq!(mesh.run("rollback 3 --yes").code, 0);
    mesh.run("get all -o name").is(0, "httproute/a\n", "");
    assert_eq!(mesh.run("rollback 0 --yes").code, 0);
    mesh.run("get all -o name").is(0, "", "");
}

#[test]
fn on_a_cluster_it_is_said_whose_the_rules_are_and_what_to_do_there() {
    // Nothing of the cluster is looked at for that.
    for (words, what, help) in [
        ("history", "its cluster, which keeps no revisions", "keep them in Git"),
        ("rollback 1 --yes", "its cluster, which keeps no revisions", "keep them in Git"),
        ("backup", "is on a cluster, which keeps all of it", "the Secret `meshctl-ca`"),
        ("restore x", "is on a cluster, which keeps all of it", "back up the cluster"),
    ] {
        let words = format!("{words} --context nowhere");
        let run = meshctl(&words.split(' ').collect::<Vec<_>>());
        assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{run:?}");
        assert!(run.stderr.contains(what) && run.stderr.contains(help), "{run:?}");
    }
}
