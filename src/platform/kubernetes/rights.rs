//! What whoever installs may and may not do: asked before anything is changed.
//!
//! To grant a role one must hold what it grants (or `escalate`), so the control plane's rights are
//! among those that an installation needs.

use futures_util::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Api;
use kube::api::PostParams;

use super::client::Connection;
use super::client::fault::RequestError;
use super::manifests::{Values, control_plane_rules, objects};
use super::objects::{Place, within};

#[cfg(test)]
mod tests;

/// Questions at once.
const AT_ONCE: usize = 8;

/// A right, as RBAC has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// What.
    pub verb: String,
    /// The API group; empty for the core.
    pub group: String,
    /// Plural, with the subresource.
    pub resource: String,
    /// Where; `None` for everywhere.
    pub namespace: Option<String>,
    /// Of one object; `None` for all.
    pub name: Option<String>,
}

/// Rights in words, those to one thing in one line: `get, list services.example.org in `shop``.
pub fn told(rights: &[Right]) -> Vec<String> {
    let mut lines: Vec<(&Right, Vec<&str>)> = Vec::new();
    for right in rights {
        let about = |it: &Right| {
            (&it.group, &it.resource, &it.namespace, &it.name)
                == (&right.group, &right.resource, &right.namespace, &right.name)
        };
        match lines.iter_mut().find(|(first, _)| about(first)) {
            Some((_, verbs)) => verbs.push(&right.verb),
            None => lines.push((right, vec![&right.verb])),
        }
    }
    lines.iter().map(|(right, verbs)| line(right, verbs)).collect()
}

fn line(right: &Right, verbs: &[&str]) -> String {
    let (resource, subresource) = match right.resource.split_once('/') {
        Some((resource, sub)) => (resource, format!("/{sub}")),
        None => (right.resource.as_str(), String::new()),
    };
    let group = match right.group.as_str() {
        "" => String::new(),
        group => format!(".{group}"),
    };
    let name = right.name.as_ref().map(|it| format!(" `{it}`")).unwrap_or_default();
    let place = right.namespace.as_ref().map(|it| format!(" in `{it}`")).unwrap_or_default();
    format!("{} {resource}{group}{subresource}{name}{place}", verbs.join(", "))
}

/// Each right that an installation with `values` needs, once.
pub fn needed(values: &Values) -> Vec<Right> {
    let places: Vec<Place> = objects(values).iter().filter_map(Place::of).collect();
    // Applying what is not there yet is a creation too.
    let mut rights = ["get", "create", "patch"].map(|verb| to(verb, &places)).concat();
    for rule in control_plane_rules() {
        let names: Vec<_> = match rule.names {
            [] => vec![None],
            names => names.iter().map(|&name| Some(name.to_owned())).collect(),
        };
        for (&resource, &verb, name) in product(rule.resources, rule.verbs, &names) {
            rights.push(Right {
                verb: verb.to_owned(),
                group: rule.group.to_owned(),
                resource: resource.to_owned(),
                namespace: rule.own_namespace.then(|| values.namespace.to_string()),
                name: name.clone(),
            });
        }
    }
    rights.sort_unstable();
    rights.dedup();
    rights
}

/// The right to do something to each of these objects.
pub fn to(verb: &str, places: &[Place]) -> Vec<Right> {
    let right = |place: &Place| Right {
        verb: verb.to_owned(),
        group: place.resource.group.clone(),
        resource: place.resource.plural.clone(),
        namespace: place.namespace.clone(),
        name: (verb != "create").then(|| place.name.clone()),
    };
    places.iter().map(right).collect()
}

fn product<'a, A, B, C>(
    a: &'a [A],
    b: &'a [B],
    c: &'a [C],
) -> impl Iterator<Item = (&'a A, &'a B, &'a C)> {
    a.iter().flat_map(move |a| b.iter().flat_map(move |b| c.iter().map(move |c| (a, b, c))))
}

/// Those of `rights` that whoever asks has not.
///
/// # Errors
/// [`RequestError`].
pub async fn missing(to: &Connection, rights: Vec<Right>) -> Result<Vec<Right>, RequestError> {
    let all = |text: &str| text.to_owned();
    let everything =
        Right { verb: all("*"), group: all("*"), resource: all("*"), namespace: None, name: None };
    if has(to, &everything).await? {
        return Ok(Vec::new());
    }
    let asked = rights.into_iter().map(async |right| Ok((has(to, &right).await?, right)));
    let answers: Vec<(bool, Right)> =
        futures_util::stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
    Ok(answers.into_iter().filter(|(has, _)| !has).map(|(_, right)| right).collect())
}

async fn has(to: &Connection, right: &Right) -> Result<bool, RequestError> {
    let Right { verb, group, resource, namespace, name } = right.clone();
    let (resource, subresource) = match resource.split_once('/') {
        Some((resource, sub)) => (resource.to_owned(), Some(sub.to_owned())),
        None => (resource, None),
    };
    let attributes = ResourceAttributes {
        verb: Some(verb),
        group: Some(group),
        resource: Some(resource),
        subresource,
        namespace,
        name,
        ..ResourceAttributes::default()
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(to.client.clone());
    let params = PostParams::default();
    let request = reviews.create(&params, &review);
    let answer = within(to, "ask what you may do", request).await?;
    Ok(answer.status.is_some_and(|it| it.allowed))
}
