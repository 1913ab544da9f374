//! What an upgrade would do on a cluster, and what it is refused for.

use serde_json::{Value, json};

use super::sidecars::Sidecars;
use crate::cli::diagnostics::plural;
use crate::cli::exit::Failure;
use crate::cli::installation::Target;
use crate::cli::output::{Table, View};
use crate::cli::version::CLIENT;
use crate::control::api::shapes::API_VERSION;
use crate::names::skew;
use crate::platform::kubernetes::manifests::VERSION_LABEL;
use crate::platform::kubernetes::objects::Place;

/// How many fields of an object are named in a table.
const SHOWN: usize = 2;

/// What there is, and what it becomes.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) target: Target,
    /// The target in words.
    pub(super) place: String,
    /// The version that is installed.
    pub(super) from: String,
    /// The image before and after.
    pub(super) image: (String, String),
    /// What would be done, in order; nothing of what stays as it is.
    pub(super) objects: Vec<Planned>,
    /// Those of another version than this one.
    pub(super) sidecars: Vec<Sidecars>,
}

/// What would be done to an object.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    pub(super) action: Action,
    pub(super) place: Place,
    /// Of one that is changed, where.
    pub(super) fields: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Create,
    Change,
    Remove,
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Change => "change",
            Self::Remove => "remove",
        }
    }
}

impl Planned {
    /// The fields for people: the version stands on everything, and is told only where it is all.
    fn shown(&self) -> String {
        let more = self.fields.iter().filter(|field| !field.ends_with(VERSION_LABEL));
        let more: Vec<&str> = more.map(String::as_str).collect();
        match (more.is_empty(), self.fields.is_empty()) {
            (true, true) => String::new(),
            (true, false) => "version".to_owned(),
            _ if more.len() <= SHOWN => more.join(", "),
            _ => format!("{} and {} more", more[..SHOWN].join(", "), more.len() - SHOWN),
        }
    }
}

impl Plan {
    /// Refuses what would leave a sidecar without a control plane.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let far = |it: &&Sidecars| skew::check(CLIENT, &it.version).is_err();
        match self.sidecars.iter().find(far) {
            None => Ok(()),
            Some(far) => {
                let Sidecars { namespace, workload, version, .. } = far;
                Err(Failure::new(format!(
                    "{workload} in the namespace `{namespace}` has sidecars of version {}, and {CLIENT} would refuse them: more than one minor version lies between",
                    skew::shown(version)
                ))
                .help(format!("first {}", far.remedy(&self.target))))
            }
        }
    }

    /// Whether there is anything to do.
    pub(super) fn is_due(&self) -> bool {
        !self.objects.is_empty()
    }

    /// Which sidecars are to be restarted when it suits, and how; nothing where there are none.
    pub(super) fn restarts(&self) -> Vec<String> {
        if self.sidecars.is_empty() {
            return Vec::new();
        }
        let count = plural(self.sidecars.len(), "workload");
        let mut lines =
            vec![format!("{count} with sidecars of another version; restart them when it suits:")];
        lines.extend(self.sidecars.iter().map(|it| it.remedy(&self.target)));
        lines
    }

    pub(super) fn view(&self) -> View {
        let Self { from, place, image: (was, is), .. } = self;
        let due = self.is_due();
        let mut lead = vec![
            format!("mesh            {place}"),
            format!("control plane   {from} → {CLIENT}"),
            match was == is {
                true => format!("image           {is}, stays"),
                false => format!("image           {was} → {is}"),
            },
        ];
        lead.push(match due {
            true => format!(
                "starts again    the control plane; version {from} is put back where this one does not get ready"
            ),
            false => "starts again    nothing".to_owned(),
        });
        lead.push(match self.sidecars.is_empty() {
            true => "goes on         no sidecar of another version".to_owned(),
            false => format!("goes on         {}", self.restarts().join("\n                ")),
        });
        View {
            value: self.value(),
            lead,
            tables: self.tables(),
            names: vec![CLIENT.to_owned()],
            ..View::default()
        }
    }

    fn tables(&self) -> Vec<Table> {
        let mut objects = Table::new(&["ACTION", "OBJECT", "WHERE"]);
        for it in &self.objects {
            let row = [it.action.as_str().to_owned(), it.place.to_string(), it.shown()];
            objects.row(row.map(Into::into));
        }
        let mut sidecars = Table::new(&["NAMESPACE", "WORKLOAD", ">PODS", "VERSION"]);
        for it in &self.sidecars {
            let Sidecars { namespace, workload, version, pods } = it;
            let version = skew::shown(version);
            let row = [namespace.clone(), workload.clone(), pods.to_string(), version];
            sidecars.row(row.map(Into::into));
        }
        vec![objects, sidecars]
    }

    fn value(&self) -> Value {
        let object = |it: &Planned| {
            json!({
                "action": it.action.as_str(),
                "kind": it.place.resource.kind,
                "namespace": it.place.namespace,
                "name": it.place.name,
                "fields": it.fields,
            })
        };
        let sidecars = |it: &Sidecars| {
            let mut value = json!(it);
            value["restart"] = json!(it.restart(&self.target));
            value
        };
        json!({
            "apiVersion": API_VERSION,
            "kind": "UpgradePlan",
            "from": self.from,
            "to": CLIENT,
            "due": self.is_due(),
            "context": self.target.context,
            "namespace": self.target.namespace,
            "image": {"from": self.image.0, "to": self.image.1},
            "objects": self.objects.iter().map(object).collect::<Vec<_>>(),
            "sidecars": self.sidecars.iter().map(sidecars).collect::<Vec<_>>(),
        })
    }
}
