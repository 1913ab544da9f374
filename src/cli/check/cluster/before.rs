//! What an installation needs of a cluster.

use jiff::{SignedDuration, Timestamp};

use super::unknown;
use crate::cli::check::Finding;
use crate::cli::diagnostics::listed;
use crate::cli::installation::Target;
use crate::cli::on_cluster::OnCluster;
use crate::names::sidecar::{CONTROL_PLANE, ROOT_CONFIG_MAP};
use crate::platform::kubernetes::client::fault::RequestError;
use crate::platform::kubernetes::manifests::{MANAGED_BY, Values, objects};
use crate::platform::kubernetes::objects::{self as api, Place};
use crate::platform::kubernetes::{rights, survey, versions};

/// Certificates are good from two minutes before they were made.
const SKEW: SignedDuration = SignedDuration::from_secs(120);
/// The definition of the routes, which the Gateway API brings.
const ROUTES: &str = "httproutes.gateway.networking.k8s.io";
/// How to get it.
const GET_ROUTES: &str = "kubectl apply --server-side -f https://github.com/kubernetes-sigs/gateway-api/releases/download/v1.6.1/standard-install.yaml";

/// The findings, and whether it answers at all.
pub(super) fn cluster(cluster: &OnCluster) -> (Vec<Finding>, bool) {
    let to = &cluster.connection;
    let answers = format!("the API server of {} answers", cluster.target());
    let version = match cluster.attempt(versions::kubernetes(to)) {
        Ok(version) => version,
        Err(error) => {
            return (vec![Finding::failed(answers, error.why(), error.help())], false);
        }
    };
    let mut findings = vec![Finding::passed(answers), version_finding(version)];
    if to.insecure {
        findings.push(Finding::warning(
            "its certificate is looked at",
            format!("context `{}` says `insecure-skip-tls-verify`", to.context),
            "put the cluster's `certificate-authority-data` into the kubeconfig instead",
        ));
    }
    let agree = "its clock and that of this machine agree";
    match cluster.attempt(versions::clock(to)) {
        Ok(Some(there)) => findings.push(clock(there, Timestamp::now())),
        Ok(None) => {}
        Err(error) => findings.push(unknown(agree, &error)),
    }
    findings.push(routes(cluster));
    (findings, true)
}

fn version_finding(version: Result<String, String>) -> Finding {
    let (major, minor) = versions::OLDEST;
    let name = format!("it runs Kubernetes {major}.{minor} or newer");
    match version {
        Ok(_) => Finding::passed(name),
        Err(found) => Finding::failed(name, format!("it runs {found}"), "upgrade the cluster"),
    }
}

pub(super) fn clock(there: Timestamp, here: Timestamp) -> Finding {
    let name = "its clock and that of this machine agree";
    let off = there.duration_since(here);
    match off.abs() <= SKEW {
        true => Finding::passed(name),
        false => {
            let way = if off.is_negative() { "behind" } else { "ahead" };
            let seconds = off.abs().as_secs();
            Finding::warning(
                name,
                format!("the API server is {seconds} s {way}"),
                "let both follow a time server; certificates of a skewed node are refused",
            )
        }
    }
}

/// The Gateway API's kind of routes is there, in the version that is read.
fn routes(cluster: &OnCluster) -> Finding {
    let name = "it knows the Gateway API's routes";
    let found = match cluster.attempt(versions::definition(&cluster.connection, ROUTES)) {
        Ok(found) => found,
        Err(error) => return unknown(name, &error),
    };
    let Some(found) = found else {
        return Finding::warning(
            name,
            "it has no `HTTPRoute`, so no route can be written",
            GET_ROUTES,
        );
    };
    let served = found.data["spec"]["versions"].as_array().into_iter().flatten();
    let mut served = served.filter(|it| it["served"] == true);
    match served.any(|it| it["name"] == "v1") {
        true => Finding::passed(name),
        false => Finding::warning(name, "it has no `v1` of `HTTPRoute`", GET_ROUTES),
    }
}

/// Whoever asks may install.
pub(super) fn rights(cluster: &OnCluster, target: &Target) -> Option<Finding> {
    let name = "you may install a mesh";
    let values = Values { namespace: target.namespace.clone(), ..Values::default() };
    let asked = rights::missing(&cluster.connection, rights::needed(&values));
    Some(match cluster.attempt(asked) {
        Err(error) => unknown(name, &error),
        Ok(missing) if missing.is_empty() => Finding::passed(name),
        Ok(missing) => {
            let missing = rights::told(&missing);
            let remedy = "let an administrator of the cluster (`cluster-admin`) install it";
            Finding::failed(name, format!("not allowed: {}", listed(&missing)), remedy)
        }
    })
}

/// Nothing of an earlier mesh is left, where none is installed.
pub(super) fn leftovers(
    cluster: &OnCluster,
    target: &Target,
    is_installed: bool,
) -> Option<Finding> {
    if is_installed {
        return None;
    }
    let name = "nothing is left of an earlier mesh";
    Some(match left(cluster) {
        Err(error) => unknown(name, &error),
        Ok(left) if left.is_empty() => Finding::passed(name),
        Ok(left) => Finding::warning(name, listed(&left), &target.command("uninstall")),
    })
}

fn left(cluster: &OnCluster) -> Result<Vec<String>, RequestError> {
    let to = &cluster.connection;
    let mut left = Vec::new();
    for place in objects(&Values::default()).iter().filter_map(Place::of) {
        if place.namespace.is_some() || place.resource.kind == "Namespace" {
            continue;
        }
        let Some(found) = cluster.attempt(api::get(to, &place))? else { continue };
        let labels = found.metadata.labels.unwrap_or_default();
        if labels.get(MANAGED_BY).map(String::as_str) == Some(CONTROL_PLANE) {
            left.push(place.to_string());
        }
    }
    let copies = cluster.attempt(survey::roots(to))?;
    left.extend(copies.keys().map(|it| format!("ConfigMap `{ROOT_CONFIG_MAP}` in `{it}`")));
    Ok(left)
}
