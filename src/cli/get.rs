//! `get`: rules as they were applied, with their status.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use jiff::Timestamp;
use serde_json::Value;

use super::args::{Context, NamespaceArgs};
use super::client::Client;
use super::exit::{Failure, Outcome};
use super::output::{Cell, FormatArgs, Table, View, age};
use super::watch::{self, WatchArgs};
use super::{complete, kind};
use crate::control::api::shapes::ObjectList;
use crate::mesh::ObjectKind;

#[cfg(test)]
mod tests;

/// Show rules as they were applied, with their status.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl get httproutes                     all routes of the namespace
  meshctl get all -A                         every rule of the mesh
  meshctl get httproute reviews -o yaml      one route, as it was applied
  meshctl get httproute/reviews -o json
  meshctl get meshconfig default --resolved -o yaml   what holds, with all defaults")]
pub(crate) struct GetArgs {
    /// KIND, KIND NAME… or KIND/NAME…; `all` for every kind.
    #[arg(required = true, value_name = "KIND", add = ArgValueCandidates::new(complete::objects))]
    what: Vec<String>,
    #[command(flatten)]
    namespace: NamespaceArgs,
    /// In all namespaces.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Fill in every default, also of settings that nobody has written.
    #[arg(long)]
    resolved: bool,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    watch: WatchArgs,
}

/// What to ask for, resolved.
struct Wanted {
    kind: Option<ObjectKind>,
    name: Option<String>,
    namespace: Option<String>,
}

pub(crate) fn run(args: &GetArgs, context: &Context) -> Outcome {
    let wanted = resolve(args)?;
    let client = Client::of(context)?;
    watch::show(args.watch, args.format.output, context, || {
        let mut items = Vec::new();
        for one in &wanted {
            items.extend(fetch(&client, one, args.resolved)?);
        }
        let single = matches!(wanted.as_slice(), [one] if one.name.is_some());
        Ok(view(&items, single, args.all_namespaces, Timestamp::now()))
    })
}

fn resolve(args: &GetArgs) -> Result<Vec<Wanted>, Failure> {
    let within = &args.namespace.namespace;
    if args.what == ["all"] {
        let namespace = (!args.all_namespaces).then(|| within.to_string());
        return Ok(vec![Wanted { kind: None, name: None, namespace }]);
    }
    let mut wanted = Vec::new();
    for (kind, name) in kind::resolve(&args.what)? {
        if let Some(name) = &name {
            if args.all_namespaces {
                return Err(Failure::usage("`--all-namespaces` cannot be used with a name")
                    .help("leave one of the two out, or say the namespace with `--namespace`"));
            }
            kind::object(kind, within, name)?;
        }
        let namespace = (!args.all_namespaces).then(|| kind::namespace(kind, within));
        wanted.push(Wanted { kind: Some(kind), name, namespace });
    }
    Ok(wanted)
}

fn fetch(client: &Client, wanted: &Wanted, resolved: bool) -> Result<Vec<Value>, Failure> {
    let mut query = Vec::new();
    query.extend(wanted.kind.map(|kind| ("kind", kind.as_str())));
    query.extend(wanted.namespace.as_deref().map(|namespace| ("namespace", namespace)));
    query.extend(wanted.name.as_deref().map(|name| ("name", name)));
    query.extend(resolved.then_some(("resolved", "true")));
    let list: ObjectList = client.get("/v1/objects", &query)?;
    match (&wanted.kind, &wanted.name) {
        (Some(kind), Some(name)) if list.items.is_empty() => {
            let namespace = wanted.namespace.as_deref().unwrap_or_default();
            Err(missing(*kind, namespace, name))
        }
        _ => Ok(list.items),
    }
}

/// The rule is not there; says where it would be seen.
pub(crate) fn missing(kind: ObjectKind, namespace: &str, name: &str) -> Failure {
    let word = kind::word(kind.as_str());
    Failure::new(format!("there is no {} `{name}` in the namespace `{namespace}`", kind.as_str()))
        .help(format!("see what there is with `meshctl get {word} -A`"))
}

fn view(items: &[Value], single: bool, namespaces: bool, now: Timestamp) -> View {
    let mut table = Table::new(match namespaces {
        true => &[
            "NAMESPACE",
            "NAME",
            "ACCEPTED",
            "RESOLVED",
            "PROGRAMMED",
            ">AGE",
            "+GENERATION",
            "+MESSAGE",
        ],
        false => &[
            "+NAMESPACE",
            "NAME",
            "ACCEPTED",
            "RESOLVED",
            "PROGRAMMED",
            ">AGE",
            "+GENERATION",
            "+MESSAGE",
        ],
    });
    let mut names = Vec::new();
    for item in items {
        let meta = |field: &str| text(item, &format!("/metadata/{field}"));
        let name = format!("{}/{}", kind::word(&text(item, "/kind")), meta("name"));
        let created: Option<Timestamp> = meta("creationTimestamp").parse().ok();
        let programmed = condition(item, "Programmed");
        table.row([
            meta("namespace").into(),
            name.as_str().into(),
            verdict(condition(item, "Accepted")),
            verdict(condition(item, "ResolvedRefs")),
            verdict(programmed),
            created.map(|then| age(then, now)).unwrap_or_default().into(),
            item.pointer("/metadata/generation").map(Value::to_string).unwrap_or_default().into(),
            programmed.map(|it| text(it, "/message")).unwrap_or_default().into(),
        ]);
        names.push(name);
    }
    let value = match single.then(|| items.first().cloned()).flatten() {
        Some(item) => item,
        None => serde_json::json!({
            "apiVersion": crate::control::api::shapes::API_VERSION,
            "kind": "List",
            "items": items,
        }),
    };
    View { value, tables: vec![table], names, empty: "no rules found".into(), ..View::default() }
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A condition of the rule, its own or, as the Gateway API has it, that of its first parent.
fn condition<'a>(item: &'a Value, kind: &str) -> Option<&'a Value> {
    let places = ["/status/conditions", "/status/parents/0/conditions"];
    let lists = places.iter().filter_map(|place| item.pointer(place)?.as_array());
    lists.flatten().find(|it| it.get("type").and_then(Value::as_str) == Some(kind))
}

fn verdict(condition: Option<&Value>) -> Cell {
    match condition.map(|it| text(it, "/status")).as_deref() {
        Some("True") => Cell::good("True"),
        Some("False") => Cell::bad("False"),
        Some(other) => Cell::warn(other),
        None => "-".into(),
    }
}
