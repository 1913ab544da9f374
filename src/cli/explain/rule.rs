//! From the id of a rule, as it stands in `meshctl-rule`, to what was written and where it is in
//! force.

use serde_json::{Value, json};

use super::sections::{Sections, line};
use super::{ExplainArgs, live, offline, typed};
use crate::cli::args::Context;
use crate::cli::client::Client;
use crate::cli::exit::Failure;
use crate::cli::output::{View, yaml};
use crate::cli::{get, kind};
use crate::control::api::shapes::ObjectList;
use crate::mesh::{HttpRoute, Object, ObjectKind, Snapshot};
use crate::names::{Namespace, ServiceName};
use crate::resource::{Key, Resource, Service};
use crate::rules::{self, Parsed};

/// The first word of the id of a rule that nobody wrote.
const IMPLICIT: &str = "default";

type Line = (String, String);

/// Whether a word is the id of a rule and not a URL.
pub(super) fn is_id(word: &str) -> bool {
    let kinds = ObjectKind::ALL.map(ObjectKind::as_str);
    let mut parts = word.split('/');
    let first = parts.next().unwrap_or_default();
    let named = parts.clone().filter(|part| !part.is_empty()).count() >= 2;
    named && (first == IMPLICIT || kinds.contains(&first))
}

/// Where rules are looked for.
enum Place {
    Files(Box<Parsed>, Box<Snapshot>),
    Mesh(Box<Client>),
}

/// An object with the rule.
struct Found {
    object: Object,
    /// As it was written.
    document: Value,
    /// Where or when.
    written: String,
}

pub(super) fn view(id: &str, args: &ExplainArgs, context: &Context) -> Result<View, Failure> {
    let place = match args.filename.is_empty() {
        true => Place::Mesh(Box::new(Client::of(context)?)),
        false => {
            let parsed = offline::parse(args, context)?;
            let mesh = offline::mesh(&parsed)?;
            Place::Files(Box::new(parsed), Box::new(mesh))
        }
    };
    let parts: Vec<&str> = id.split('/').collect();
    let [first, namespace, name, ..] = parts.as_slice() else { return Err(no_id(id)) };
    let mut sections = Sections::default();
    if *first == IMPLICIT {
        let service: ServiceName =
            format!("{namespace}/{name}").parse().map_err(Failure::misuse)?;
        let lines = place.implicit(&service)?;
        sections.add("Rule", lines.clone());
        let content = json!({ "id": id, "service": service.to_string(), "implicit": true });
        return finish(id, sections, &content);
    }
    let kind = kind::parse(first).map_err(Failure::usage)?;
    let namespace: Namespace = namespace.parse().map_err(Failure::misuse)?;
    let found = place.object(kind, &namespace, name)?;
    let mut lines = vec![line("object", format!("{}/{namespace}/{name}", kind.as_str()))];
    lines.push(line("written", found.written.as_str()));
    let mut written = found.document.get("spec").cloned().unwrap_or_default();
    if let Object::HttpRoute(route) = &found.object {
        let at = position(route, id)?;
        lines.extend(place.in_force(route, id)?);
        written = written.pointer(&format!("/rules/{at}")).cloned().unwrap_or_default();
        lines.push(line("place", format!("spec.rules[{at}]")));
    }
    sections.add("Rule", lines);
    let text = yaml(&written).map_err(Failure::from)?;
    sections.add("As written", text.lines().map(|it| line("", it)).collect());
    let content = json!({
        "id": id,
        "object": kind::id(&kind::reference(kind, &namespace, name)?),
        "written": found.written,
        "rule": written,
    });
    finish(id, sections, &content)
}

fn finish(id: &str, sections: Sections, content: &Value) -> Result<View, Failure> {
    Ok(View {
        value: typed("Rule", content)?,
        lead: vec![sections.render(id.to_owned()).trim_end().to_owned()],
        names: vec![id.to_owned()],
        ..View::default()
    })
}

fn no_id(id: &str) -> Failure {
    Failure::usage(format!("`{id}` is not the id of a rule"))
        .help("write it as it stands in `meshctl-rule`, such as HTTPRoute/default/reviews/0")
}

/// Which rule of the route it is, from 0.
fn position(route: &HttpRoute, id: &str) -> Result<usize, Failure> {
    route.rules.iter().position(|rule| &*rule.id.0 == id).ok_or_else(|| {
        let ids: Vec<_> = route.rules.iter().map(|rule| rule.id.to_string()).collect();
        Failure::new(format!("{} has no rule `{id}` now", route.reference()))
            .help(format!("it has {}", ids.join(", ")))
    })
}

impl Place {
    fn object(
        &self,
        kind: ObjectKind,
        namespace: &Namespace,
        name: &str,
    ) -> Result<Found, Failure> {
        let reference = kind::reference(kind, namespace, name)?;
        match self {
            Self::Files(parsed, _) => {
                let found = parsed.objects.iter().find(|it| it.reference == reference);
                let found =
                    found.ok_or_else(|| Failure::new(format!("the files have no {reference}")))?;
                Ok(Found {
                    object: found.object.clone(),
                    document: found.source.clone(),
                    written: format!("{}:{}", found.file, found.line),
                })
            }
            Self::Mesh(client) => {
                let namespace = reference.namespace.as_str();
                let query = [("kind", kind.as_str()), ("namespace", namespace), ("name", name)];
                let list: ObjectList = client.get("/v1/objects", &query)?;
                let Some(item) = list.items.into_iter().next() else {
                    return Err(get::missing(kind, namespace, name));
                };
                let object = rules::from_value(&item, 1, 0).map_err(|found| {
                    let why = found.first().map(|it| it.message.clone()).unwrap_or_default();
                    Failure::new(format!("this version cannot read {reference}: {why}"))
                })?;
                let field = |name: &str| item.pointer(&format!("/metadata/{name}"));
                let generation = field("generation").map(Value::to_string).unwrap_or_default();
                let created = field("creationTimestamp").and_then(Value::as_str).unwrap_or("?");
                let written = format!("generation {generation}, created {created}");
                Ok(Found { object, document: item, written })
            }
        }
    }

    fn service(
        &self,
        name: &ServiceName,
        consumer: Option<&Namespace>,
    ) -> Result<Option<Service>, Failure> {
        let found = match self {
            Self::Files(_, mesh) => {
                let key = match consumer {
                    Some(namespace) => Key::service_for(name, namespace),
                    None => Key::service(name),
                };
                offline::known(mesh, &key).resource
            }
            Self::Mesh(client) => live::service(client, name, consumer)?,
        };
        Ok(found.and_then(|it| match it {
            Resource::Service(service) => Some(service),
            _ => None,
        }))
    }

    /// On which ports of which services a rule's matches are tried, and when.
    fn in_force(&self, route: &HttpRoute, id: &str) -> Result<Vec<Line>, Failure> {
        let mut lines = Vec::new();
        for parent in &route.parents {
            let name = &parent.service;
            let consumer = (name.namespace != route.namespace).then_some(&route.namespace);
            let Some(service) = self.service(name, consumer)? else {
                lines.push(line("no effect", format!("there is no service {name}")));
                continue;
            };
            let whose = consumer.map(|it| format!(" for callers of {it}")).unwrap_or_default();
            for port in &service.ports {
                let leads = |rule: u32| {
                    let rule = usize::try_from(rule).ok().and_then(|at| port.rules.get(at));
                    rule.is_some_and(|rule| &*rule.id.0 == id)
                };
                let own = port.matches.iter().enumerate().filter(|(_, it)| leads(it.rule));
                let places: Vec<_> = own.map(|(at, _)| (at + 1).to_string()).collect();
                if !places.is_empty() {
                    let of = port.matches.len();
                    let text = format!(
                        "{name} port {}{whose}: tried as {} of {of}",
                        port.port,
                        places.join(", ")
                    );
                    lines.push(line("in force", text));
                }
            }
        }
        Ok(lines)
    }

    /// What holds where nobody wrote a route.
    fn implicit(&self, name: &ServiceName) -> Result<Vec<Line>, Failure> {
        let text = "no route is about the service, so all requests go to it itself";
        let mut lines = vec![line("meaning", text)];
        let Some(service) = self.service(name, None)? else {
            lines.push(line("now", format!("there is no service {name}")));
            return Ok(lines);
        };
        let implicit = format!("{IMPLICIT}/{name}");
        for port in &service.ports {
            let holds = port.rules.iter().any(|rule| *rule.id.0 == implicit);
            let text = match holds {
                true => format!("it holds on port {}", port.port),
                false => format!("routes decide on port {} instead", port.port),
            };
            lines.push(line("now", text));
        }
        Ok(lines)
    }
}
