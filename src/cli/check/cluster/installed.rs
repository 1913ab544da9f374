//! Whether what was installed is there, runs, and is trusted by the API server.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::ResourceExt as _;

use super::unknown;
use crate::certs::Roots;
use crate::cli::check::{self, Finding};
use crate::cli::diagnostics::listed;
use crate::cli::installation::Target;
use crate::cli::on_cluster::OnCluster;
use crate::cli::on_cluster::steps::is_managed;
use crate::cli::version::CLIENT;
use crate::names::sidecar::ROOT_CONFIG_MAP;
use crate::names::skew;
use crate::platform::kubernetes::client::fault::RequestError;
use crate::platform::kubernetes::manifests::{VERSION_LABEL, Values, objects};
use crate::platform::kubernetes::objects::{self as api, Place};
use crate::platform::kubernetes::rollout::{self, Rollout};
use crate::platform::kubernetes::survey::{self, NamespaceSeen};
use crate::platform::kubernetes::trial::{self, Trial};

/// Whether there is a control plane.
pub(super) fn is_there(cluster: &OnCluster, target: &Target) -> Result<bool, RequestError> {
    let look = rollout::look(&cluster.connection, &target.namespace);
    Ok(cluster.attempt(look)? != Rollout::Absent)
}

pub(super) fn checks(cluster: &OnCluster, target: &Target) -> Vec<Finding> {
    let runs = format!("the control plane runs in the namespace `{}`", target.namespace);
    let look = rollout::look(&cluster.connection, &target.namespace);
    let first = match cluster.attempt(look) {
        Err(error) => unknown(&runs, &error),
        Ok(Rollout::Absent) => {
            return vec![Finding::failed(runs, "there is none", &target.command("install"))];
        }
        Ok(Rollout::Ready) => Finding::passed(runs),
        Ok(Rollout::Waiting(what)) => {
            Finding::failed(runs, what, "wait, with `meshctl check --wait`")
        }
        Ok(Rollout::Stuck { why, help, .. }) => Finding::failed(runs, why, &help),
    };
    let mut findings = vec![first];
    findings.extend(whole(cluster, target));
    let name = "the mesh's roots can be read";
    match cluster.attempt(survey::roots(&cluster.connection)) {
        Err(error) => findings.push(unknown(name, &error)),
        Ok(copies) => {
            let own = copies.get(target.namespace.as_str()).cloned().unwrap_or_default();
            findings.push(root(&own, Timestamp::now()));
            findings.push(trusted(cluster, target, &own));
            if let Ok(namespaces) = cluster.attempt(survey::namespaces(&cluster.connection)) {
                findings.push(spread(&own, &copies, &namespaces));
            }
        }
    }
    findings.push(injects(cluster, target));
    findings
}

/// Everything that `install` makes is there and of this version.
pub(super) fn whole(cluster: &OnCluster, target: &Target) -> Vec<Finding> {
    let there = "all that `meshctl install` makes is there";
    let values = Values { namespace: target.namespace.clone(), ..Values::default() };
    let (mut missing, mut other) = (Vec::new(), Vec::new());
    for place in objects(&values).iter().filter_map(Place::of) {
        match cluster.attempt(api::get(&cluster.connection, &place)) {
            Err(error) => return vec![unknown(there, &error)],
            Ok(None) => missing.push(place.to_string()),
            // It was there before the mesh, and stays as its owner made it.
            Ok(Some(found)) if place.resource.kind == "Namespace" && !is_managed(&found) => {}
            Ok(Some(found)) => match found.labels().get(VERSION_LABEL) {
                Some(version) if version == CLIENT => {}
                version => other.push(version.cloned().unwrap_or_else(|| "none".to_owned())),
            },
        }
    }
    let first = match missing.is_empty() {
        true => Finding::passed(there),
        false => {
            let message = format!("missing: {}", listed(&missing));
            Finding::failed(there, message, &target.command("install"))
        }
    };
    vec![first, same(other, target)]
}

/// None of what is there has a version of these, which are not that of this program.
pub(super) fn same(mut other: Vec<String>, target: &Target) -> Finding {
    let name = "it has the version of this program";
    other.sort_unstable();
    other.dedup();
    if other.is_empty() {
        return Finding::passed(name);
    }
    let message = format!("it is {}, this program is {CLIENT}", other.join(" and "));
    match other.iter().all(|it| skew::is_later(CLIENT, it)) {
        true => Finding::warning(name, message, &target.command("upgrade")),
        false => Finding::warning(name, message, "use that version of meshctl, or a later one"),
    }
}

/// The mesh's own root is there and valid for long.
pub(super) fn root(pem: &str, now: Timestamp) -> Finding {
    let Ok(roots) = Roots::from_pem(pem.as_bytes()) else {
        let message = format!("there is none in the ConfigMap `{ROOT_CONFIG_MAP}`");
        return Finding::failed(check::ROOT_LASTS, message, "see the control plane's log");
    };
    let ends = roots.ders().filter_map(|der| {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
        Some(certificate.validity().not_after.timestamp())
    });
    let first = ends.min().and_then(|ends| Timestamp::from_second(ends).ok());
    check::root(first.unwrap_or(Timestamp::UNIX_EPOCH), now, "install a new mesh")
}

/// The API server trusts the certificate of the webhooks: their authority is the mesh's.
pub(super) fn trusted(cluster: &OnCluster, target: &Target, own: &str) -> Finding {
    let name = "the webhooks have the mesh's certificate authority";
    match cluster.attempt(rollout::bundles(&cluster.connection)) {
        Err(error) => unknown(name, &error),
        Ok(bundles) if bundles.is_empty() => {
            Finding::failed(name, "there is no webhook", &target.command("install"))
        }
        Ok(bundles) if !own.is_empty() && bundles.iter().all(|it| it.trim() == own.trim()) => {
            Finding::passed(name)
        }
        Ok(bundles) if bundles.iter().any(String::is_empty) => Finding::failed(
            name,
            "they have none yet, pods with sidecars cannot start",
            "the control plane writes it as it starts; see its log",
        ),
        Ok(_) => Finding::failed(
            name,
            "it is another one, pods with sidecars cannot start",
            "the control plane puts it right by itself; see its log",
        ),
    }
}

/// Each namespace whose pods get sidecars has the roots that they mount.
pub(super) fn spread(
    own: &str,
    copies: &BTreeMap<String, String>,
    namespaces: &[NamespaceSeen],
) -> Finding {
    let name = "every namespace has the mesh's roots";
    let without = namespaces.iter().filter(|it| it.is_enabled());
    let without = without.filter(|it| copies.get(&it.name).map(String::as_str) != Some(own));
    let without: Vec<String> = without.map(|it| it.name.clone()).collect();
    match without.is_empty() {
        true => Finding::passed(name),
        false => Finding::failed(
            name,
            format!("not {}", listed(&without)),
            "the control plane puts that right by itself; see its log",
        ),
    }
}

/// The API server can call the webhook, and gets a sidecar.
pub(super) fn injects(cluster: &OnCluster, target: &Target) -> Finding {
    let name = "a pod that is made on trial gets a sidecar";
    match cluster.attempt(trial::inject(&cluster.connection)) {
        Err(error) => unknown(name, &error),
        Ok(Trial::Injected) => Finding::passed(name),
        Ok(Trial::Bare) => {
            Finding::failed(name, "it would start without", &target.command("install"))
        }
        Ok(Trial::Unreachable(why)) => Finding::failed(
            name,
            why,
            "let the API server reach pods of the control plane on port 14717, as a firewall may not",
        ),
        Ok(Trial::Refused(why)) => {
            Finding::warning(name, why, "it could not be tried; see what refuses the pod")
        }
    }
}
