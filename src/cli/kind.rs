//! Kinds of rules and single rules as users name them: `httproute`, `httproutes`, `svc`,
//! `httproute/reviews`. Case does not matter; the nearest word is suggested.

use crate::control::api::shapes::ObjectId;
use crate::mesh::{ObjectKind, ObjectRef};
use crate::names::{Namespace, ROOT_NAMESPACE};

use super::exit::Failure;

#[cfg(test)]
mod tests;

/// Words for a kind, the singular first.
pub(crate) fn words(kind: ObjectKind) -> &'static [&'static str] {
    match kind {
        ObjectKind::MeshConfig => &["meshconfig", "meshconfigs"],
        ObjectKind::Service => &["service", "services", "svc"],
        ObjectKind::HttpRoute => &["httproute", "httproutes"],
        ObjectKind::TrafficPolicy => &["trafficpolicy", "trafficpolicies"],
        ObjectKind::FaultPolicy => &["faultpolicy", "faultpolicies"],
    }
}

/// The kind as names of objects begin: `httproute` of `httproute/reviews`.
pub(crate) fn word(kind: &str) -> String {
    kind.to_ascii_lowercase()
}

/// Parses a kind; for clap's `value_parser`.
pub(crate) fn parse(text: &str) -> Result<ObjectKind, String> {
    let lower = text.to_ascii_lowercase();
    let known = ObjectKind::ALL.into_iter().find(|kind| words(*kind).contains(&lower.as_str()));
    known.ok_or_else(|| {
        let all = ObjectKind::ALL.into_iter().flat_map(words);
        let near = all
            .map(|word| (strsim::damerau_levenshtein(word, &lower), *word))
            .min()
            .filter(|(distance, _)| *distance <= 2);
        match near {
            Some((_, word)) => format!("`{text}` is not a kind of rule, did you mean `{word}`?"),
            None => {
                let all = ObjectKind::ALL.map(|kind| format!("`{}`", ObjectKind::as_str(kind)));
                format!("`{text}` is not a kind of rule, there are {}", all.join(", "))
            }
        }
    })
}

/// `KIND [NAME…]` and `KIND/NAME…`, as typed.
pub(crate) fn resolve(words: &[String]) -> Result<Vec<(ObjectKind, Option<String>)>, Failure> {
    let wrong = |why| Failure::usage(why);
    let Some((first, names)) = words.split_first() else {
        return Ok(Vec::new());
    };
    if words.iter().any(|word| word.contains('/')) {
        return words
            .iter()
            .map(|word| match word.split_once('/') {
                Some((kind, name)) => Ok((parse(kind).map_err(wrong)?, Some(name.to_owned()))),
                None => Err(Failure::usage(format!("`{word}` has no `KIND/` before the name"))
                    .help("write each as KIND/NAME, or one KIND and then names")),
            })
            .collect();
    }
    let kind = parse(first).map_err(wrong)?;
    Ok(match names {
        [] => vec![(kind, None)],
        names => names.iter().map(|name| (kind, Some(name.clone()))).collect(),
    })
}

/// The namespace in which a kind is held: `MeshConfig` lies in the root namespace.
pub(crate) fn namespace(kind: ObjectKind, namespace: &Namespace) -> String {
    match kind {
        ObjectKind::MeshConfig => ROOT_NAMESPACE.to_owned(),
        _ => namespace.to_string(),
    }
}

/// An object that was read, for the admin API.
pub(crate) fn id(reference: &ObjectRef) -> ObjectId {
    ObjectId {
        kind: reference.kind.as_str().to_owned(),
        namespace: reference.namespace.to_string(),
        name: reference.name.to_string(),
    }
}

/// One object, after checking that it can be a name.
pub(crate) fn reference(
    kind: ObjectKind,
    within: &Namespace,
    name: &str,
) -> Result<ObjectRef, Failure> {
    let name = name.parse().map_err(Failure::misuse)?;
    let namespace = match kind {
        ObjectKind::MeshConfig => Namespace::root(),
        _ => within.clone(),
    };
    Ok(ObjectRef { kind, namespace, name })
}

/// The same for the admin API.
pub(crate) fn object(
    kind: ObjectKind,
    within: &Namespace,
    name: &str,
) -> Result<ObjectId, Failure> {
    reference(kind, within, name).map(|reference| id(&reference))
}
