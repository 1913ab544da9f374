//! What a shell is told at TAB: words of the command line, and names that the mesh has now.
//!
//! Only when the completion script asks, by [`VARIABLE`]. Silent on every failure and quick: a
//! control plane that does not answer at once is done without.

use std::path::PathBuf;
use std::time::Duration;

use clap::CommandFactory as _;
use clap_complete::CompleteEnv;
use clap_complete::engine::CompletionCandidate;

use super::args::{Cli, home};
use super::client::Client;
use super::installation::Installation;
use super::kind;
use crate::control::api::shapes::{
    EndpointList, EndpointStatus, MeshStatus, ObjectList, RevisionList, TraceList,
};
use crate::mesh::ObjectKind;
use crate::names::DEFAULT_NAMESPACE;

/// The environment variable by which a completion script asks.
pub(super) const VARIABLE: &str = "MESHCTL_COMPLETE";

/// The longest that TAB may take.
const TIMEOUT: Duration = Duration::from_millis(200);

/// Whether this process was asked to complete; then it has answered.
pub(super) fn answered() -> bool {
    if std::env::var_os(VARIABLE).is_none() {
        return false;
    }
    let here = std::env::current_dir().ok();
    let asked = CompleteEnv::with_factory(Cli::command).var(VARIABLE).bin("meshctl");
    let answer = asked.completer("meshctl").try_complete(std::env::args_os(), here.as_deref());
    answer.unwrap_or(true)
}

/// The command line that is being typed: what follows the first `--` of this process's own.
fn typed() -> Vec<String> {
    let words = std::env::args_os().skip_while(|word| word != "--").skip(1);
    words.map(|word| word.to_string_lossy().into_owned()).collect()
}

/// The value of a flag that was typed before.
fn value(words: &[String], flags: &[&str]) -> Option<String> {
    words.windows(2).find_map(|pair| match pair {
        [flag, value] if flags.contains(&flag.as_str()) => Some(value.clone()),
        _ => None,
    })
}

/// A client for the local mesh of the command line that is being typed. A cluster takes too long.
fn client() -> Option<Client> {
    let typed = typed();
    if ["--context", "--kubeconfig"].iter().any(|flag| value(&typed, &[flag]).is_some()) {
        return None;
    }
    let given = value(&typed, &["--home"]).map(PathBuf::from);
    let set = || std::env::var_os("MESHCTL_HOME").map(PathBuf::from);
    let home = home(given.or_else(set).as_deref())?;
    match Installation::read(&home).ok()? {
        None | Some(Installation::Local) => Some(Client::new(&home).ok()?.within(TIMEOUT)),
        Some(Installation::Kubernetes(_)) => None,
    }
}

fn candidates(names: Option<Vec<String>>) -> Vec<CompletionCandidate> {
    let mut names = names.unwrap_or_default();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(CompletionCandidate::new).collect()
}

fn status() -> Option<MeshStatus> {
    client()?.ask("/v1/status", &[]).ok()
}

/// Behind a kind its names; else kinds, and rules as `kind/name`.
pub(super) fn objects() -> Vec<CompletionCandidate> {
    let words = typed();
    let before = words.split_last().map_or(&[][..], |(_, before)| before);
    match before.iter().find_map(|word| kind::parse(word).ok()) {
        Some(kind) => candidates(names(kind, &words)),
        None => {
            let kinds = ObjectKind::ALL.map(|kind| kind::word(kind.as_str()));
            candidates(Some(rules(&[]).unwrap_or_default().into_iter().chain(kinds).collect()))
        }
    }
}

/// Kinds of rules.
pub(super) fn kinds() -> Vec<CompletionCandidate> {
    candidates(Some(ObjectKind::ALL.map(|kind| kind::word(kind.as_str())).to_vec()))
}

/// Names of one kind in the namespace that was typed; of services also those that nobody declared.
fn names(kind: ObjectKind, words: &[String]) -> Option<Vec<String>> {
    let within = value(words, &["-n", "--namespace"]);
    let within = within.as_deref().unwrap_or(DEFAULT_NAMESPACE).parse().ok()?;
    let namespace = kind::namespace(kind, &within);
    if kind == ObjectKind::Service {
        let services = status()?.services.into_iter().filter(|it| it.namespace == namespace);
        return Some(services.map(|it| it.name).collect());
    }
    let rules = rules(&[("kind", kind.as_str()), ("namespace", &namespace)])?;
    Some(rules.iter().filter_map(|it| Some(it.split_once('/')?.1.to_owned())).collect())
}

fn rules(query: &[(&str, &str)]) -> Option<Vec<String>> {
    let name = |item: &serde_json::Value| {
        let kind = item.get("kind")?.as_str()?;
        Some(format!("{}/{}", kind::word(kind), item.pointer("/metadata/name")?.as_str()?))
    };
    let list: ObjectList = client()?.ask("/v1/objects", query).ok()?;
    Some(list.items.iter().filter_map(name).collect())
}

/// `name`, or `namespace/name` outside of the default namespace, as `status` shows it.
fn short(namespace: &str, name: &str) -> String {
    match namespace {
        DEFAULT_NAMESPACE => name.to_owned(),
        _ => format!("{namespace}/{name}"),
    }
}

/// Services, those of the default namespace without it.
pub(super) fn services() -> Vec<CompletionCandidate> {
    let all = status().map(|it| it.services);
    candidates(all.map(|all| all.iter().map(|it| short(&it.namespace, &it.name)).collect()))
}

/// Proxies, those of the default namespace without it.
pub(super) fn proxies() -> Vec<CompletionCandidate> {
    let all = status().map(|it| it.proxies);
    candidates(all.map(|all| all.iter().map(|it| short(&it.namespace, &it.name)).collect()))
}

/// Proxies and services.
pub(super) fn workloads() -> Vec<CompletionCandidate> {
    proxies().into_iter().chain(services()).collect()
}

/// Endpoints as `service/endpoint`, outside of the default namespace with that before it.
pub(super) fn endpoints() -> Vec<CompletionCandidate> {
    let list: Option<EndpointList> = client().and_then(|it| it.ask("/v1/endpoints", &[]).ok());
    let name = |it: &EndpointStatus| format!("{}/{}", short(&it.namespace, &it.service), it.name);
    candidates(list.map(|list| list.endpoints.iter().map(name).collect()))
}

/// Ids of recent traces.
pub(super) fn traces() -> Vec<CompletionCandidate> {
    let list: Option<TraceList> = client().and_then(|it| it.ask("/v1/traces", &[]).ok());
    candidates(list.map(|list| list.traces.into_iter().map(|it| it.id).collect()))
}

/// Revisions of the rules, the last first.
pub(super) fn revisions() -> Vec<CompletionCandidate> {
    let list = || client()?.ask::<RevisionList>("/v1/history", &[]).ok();
    let all = list().map(|it| it.revisions).unwrap_or_default();
    all.iter().map(|it| CompletionCandidate::new(it.revision.to_string())).collect()
}
