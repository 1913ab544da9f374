//! Sets of rules that are applied together, marked by a label, so that what a set no longer has can
//! be found and deleted. Only what carries the label of the very set is ever looked at.

use super::client::Client;
use super::cluster::failed;
use super::exit::Failure;
use super::kind;
use crate::control::api::shapes::ObjectList;
use crate::mesh::ObjectRef;
use crate::names::{APPLY_SET_LABEL, check_label};
use crate::platform::kubernetes::rules;
use crate::rules::Parsed;

/// `--apply-set` and `--prune`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ApplySetArgs {
    /// The set that these rules belong to, written on each as the label `meshctl.dev/apply-set`.
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(crate) apply_set: Option<String>,
    /// Delete the rules of the set that are not among these any more.
    #[arg(long, requires = "apply_set")]
    pub(crate) prune: bool,
}

fn name(text: &str) -> Result<String, String> {
    check_label("name of a set", text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

impl ApplySetArgs {
    /// Writes the label on all rules, where there is a set.
    pub(crate) fn mark(&self, parsed: &mut Parsed) {
        if let Some(set) = &self.apply_set {
            parsed.objects.iter_mut().for_each(|object| object.label(APPLY_SET_LABEL, set));
        }
    }

    /// The rules of the set that the mesh has and the files do not, in order; none without
    /// `--prune`.
    pub(crate) fn leftovers(
        &self,
        client: &Client,
        parsed: &Parsed,
    ) -> Result<Vec<ObjectRef>, Failure> {
        let (Some(set), true) = (&self.apply_set, self.prune) else { return Ok(Vec::new()) };
        let mut all = match client.cluster() {
            Some(cluster) => {
                let asked = rules::labelled(&cluster.connection, (APPLY_SET_LABEL, set));
                client.block_on(asked).map_err(failed)?
            }
            None => labelled(client, set)?,
        };
        all.retain(|it| !parsed.objects.iter().any(|object| object.reference == *it));
        all.sort_unstable();
        Ok(all)
    }
}

/// The rules of a set that the control plane keeps.
fn labelled(client: &Client, set: &str) -> Result<Vec<ObjectRef>, Failure> {
    let list: ObjectList = client.get("/v1/objects", &[])?;
    let mut found = Vec::new();
    for item in &list.items {
        let labels = item.pointer("/metadata/labels");
        if labels.and_then(|labels| labels.get(APPLY_SET_LABEL)?.as_str()) != Some(set) {
            continue;
        }
        let text = |pointer: &str| {
            item.pointer(pointer).and_then(|it| it.as_str()).unwrap_or_default().to_owned()
        };
        let kind = kind::parse(&text("/kind")).map_err(Failure::new)?;
        let namespace = match text("/metadata/namespace") {
            none if none.is_empty() => kind::namespace(kind, &crate::names::Namespace::root()),
            some => some,
        };
        let namespace = namespace.parse()?;
        found.push(kind::reference(kind, &namespace, &text("/metadata/name"))?);
    }
    Ok(found)
}
