//! What the control plane may do, and why: as little as its work needs.
//!
//! One table, [`control_plane_rules`], makes the roles, the preflight of `check` and the table in
//! `docs/reference/rbac.md`. Names are given wherever the API server lets them be: not for `create`,
//! which has no name yet.

use serde_json::{Value, json};

use super::Values;
use crate::names::sidecar::{AUTHORITY_SECRET, CONTROL_PLANE, OPERATOR, ROOT_CONFIG_MAP, VIEWER};

/// A right of the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Only in the control plane's own namespace.
    pub own_namespace: bool,
    /// The API group; empty for the core.
    pub group: &'static str,
    /// Plural, with the subresource.
    pub resources: &'static [&'static str],
    /// Objects of these names only; empty for all.
    pub names: &'static [&'static str],
    /// What.
    pub verbs: &'static [&'static str],
    /// What for.
    pub why: &'static str,
}

const READ: &[&str] = &["get", "list", "watch"];
const GATEWAY: &str = "gateway.networking.k8s.io";

/// All rights of the control plane.
pub fn control_plane_rules() -> Vec<Rule> {
    let all = |group, resources, verbs, why| Rule {
        own_namespace: false,
        group,
        resources,
        names: &[],
        verbs,
        why,
    };
    let named = |names, rule: Rule| Rule { names, ..rule };
    let own = |rule: Rule| Rule { own_namespace: true, ..rule };
    vec![
        all(
            "",
            &["namespaces", "pods", "services"],
            READ,
            "which services and workloads there are",
        ),
        all("", &["nodes"], &["list", "watch"], "which zone a workload runs in"),
        all("discovery.k8s.io", &["endpointslices"], READ, "which endpoints a service has"),
        all(
            "meshctl.dev",
            &["meshconfigs", "trafficpolicies", "faultpolicies"],
            READ,
            "the rules of the mesh",
        ),
        all(
            "meshctl.dev",
            &["meshconfigs/status", "trafficpolicies/status", "faultpolicies/status"],
            &["update"],
            "what became of each rule",
        ),
        all(GATEWAY, &["httproutes"], READ, "the routes"),
        all(GATEWAY, &["httproutes/status"], &["update"], "what became of each route"),
        named(
            &[ROOT_CONFIG_MAP],
            all(
                "",
                &["configmaps"],
                &["get", "list", "watch", "update"],
                "the mesh's roots in every namespace, which sidecars mount",
            ),
        ),
        all("", &["configmaps"], &["create"], "the same in a namespace that is new"),
        named(
            &[CONTROL_PLANE],
            all(
                "admissionregistration.k8s.io",
                &["mutatingwebhookconfigurations"],
                &["get", "list", "watch", "patch"],
                "the certificate authority of its own webhooks, which it makes itself",
            ),
        ),
        all(
            "authentication.k8s.io",
            &["tokenreviews"],
            &["create"],
            "whether a token is whose it says",
        ),
        all("events.k8s.io", &["events"], &["create", "patch"], "what operators must notice"),
        own(named(
            &[AUTHORITY_SECRET],
            all("", &["secrets"], &["get"], "the mesh's certificate authority"),
        )),
        own(all("", &["secrets"], &["create"], "the same, at the first start")),
    ]
}

/// Roles and who has them.
pub(super) fn objects(values: &Values) -> Vec<Value> {
    let (own, everywhere): (Vec<_>, Vec<_>) =
        control_plane_rules().into_iter().partition(|rule| rule.own_namespace);
    let written = |rules: &[Rule]| rules.iter().map(written).collect::<Vec<_>>();
    let namespace = Some(values.namespace.as_str());
    let mut objects = vec![
        role("ClusterRole", CONTROL_PLANE, None, &written(&everywhere)),
        binding("ClusterRole", CONTROL_PLANE, values, None),
        role("Role", CONTROL_PLANE, namespace, &written(&own)),
        binding("Role", CONTROL_PLANE, values, namespace),
    ];
    // For people: bound to nobody; whoever binds them lets somebody use `status` and the like.
    for account in [VIEWER, OPERATOR] {
        // Whoever changes looks too, and is then asked for the token of those who look.
        let accounts: &[&str] = if account == OPERATOR { &[OPERATOR, VIEWER] } else { &[VIEWER] };
        objects.push(role("Role", account, namespace, &person(accounts)));
    }
    objects
}

/// What a person needs to ask the control plane as each of `accounts`.
fn person(accounts: &[&str]) -> Vec<Value> {
    vec![
        json!({ "apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": accounts, "verbs": ["create"] }),
        json!({ "apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"] }),
        json!({ "apiGroups": [""], "resources": ["pods/portforward"], "verbs": ["create", "get"] }),
        json!({ "apiGroups": [""], "resources": ["configmaps"], "resourceNames": [ROOT_CONFIG_MAP], "verbs": ["get"] }),
    ]
}

fn written(rule: &Rule) -> Value {
    let mut written =
        json!({ "apiGroups": [rule.group], "resources": rule.resources, "verbs": rule.verbs });
    if !rule.names.is_empty() {
        written["resourceNames"] = json!(rule.names);
    }
    written
}

fn role(kind: &str, name: &str, namespace: Option<&str>, rules: &[Value]) -> Value {
    let mut role = object(kind, name, namespace);
    role["rules"] = json!(rules);
    role
}

fn binding(kind: &str, name: &str, values: &Values, namespace: Option<&str>) -> Value {
    let mut binding = object(&format!("{kind}Binding"), name, namespace);
    binding["roleRef"] =
        json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name });
    binding["subjects"] = json!([
        { "kind": "ServiceAccount", "name": name, "namespace": values.namespace },
    ]);
    binding
}

fn object(kind: &str, name: &str, namespace: Option<&str>) -> Value {
    let mut metadata = json!({ "name": name });
    if let Some(namespace) = namespace {
        metadata["namespace"] = json!(namespace);
    }
    json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata })
}
