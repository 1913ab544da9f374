//! The annotations under `meshctl.dev/` that a pod's author may write, read strictly.
//!
//! A name that does not exist and a value that cannot be are refusals with a suggestion, so that a
//! typing mistake never means that something is silently not done. The table of them is in
//! `docs/reference/injection.md`.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde_json::{Map, Value as Json};

use super::edit::escaped;
use super::{Refusal, Resources, Settings};
use crate::names::{Protocol, sidecar};
use crate::rules::{alternatives, nearest, quoted};

/// What authors may write, behind [`sidecar::PREFIX`].
pub const KNOWN: &[&str] = &[
    "exclude-inbound-ports",
    "exclude-outbound-ports",
    "exclude-outbound-cidrs",
    "proxy-cpu",
    "proxy-memory",
    "proxy-cpu-limit",
    "proxy-memory-limit",
    "log-level",
    "protocol",
];

/// What injection itself writes.
const OURS: &[&str] =
    &[sidecar::INJECTED_ANNOTATION, sidecar::PROBES_ANNOTATION, sidecar::SOURCE_ANNOTATION];

const LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace"];
const PROTOCOLS: &[Protocol] = &[Protocol::Http, Protocol::Http2, Protocol::Grpc, Protocol::Tcp];

/// What a pod's author wants of its sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    /// Ports of the pod that callers reach directly.
    pub exclude_inbound_ports: Vec<u16>,
    /// Ports that the application calls directly.
    pub exclude_outbound_ports: Vec<u16>,
    /// Addresses that the application calls directly.
    pub exclude_outbound_cidrs: Vec<IpNet>,
    /// Requests and limits.
    pub resources: Resources,
    /// The level of the log.
    pub log: String,
    /// What the application speaks, by its port.
    pub protocols: BTreeMap<u16, Protocol>,
}

impl Wishes {
    /// Those of a pod with these annotations.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn read(
        annotations: &Map<String, Json>,
        settings: &Settings,
    ) -> Result<Self, Vec<Refusal>> {
        let mut reader = Reader { annotations, refusals: Vec::new() };
        reader.names();
        let resources = reader.resources(&settings.resources);
        let wishes = Self {
            exclude_inbound_ports: reader.list("exclude-inbound-ports", port),
            exclude_outbound_ports: reader.list("exclude-outbound-ports", port),
            exclude_outbound_cidrs: reader.list("exclude-outbound-cidrs", cidr),
            resources,
            log: reader.one("log-level", level).unwrap_or_else(|| settings.log.clone()),
            protocols: reader.list("protocol", protocol).into_iter().collect(),
        };
        match reader.refusals.is_empty() {
            true => Ok(wishes),
            false => Err(reader.refusals),
        }
    }
}

/// What the application of a pod speaks by port, as its annotation says; what cannot be read is left
/// out, since the webhook refuses it.
pub fn protocols<'a>(
    annotations: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> BTreeMap<u16, Protocol> {
    let name = format!("{}protocol", sidecar::PREFIX);
    let found = annotations.into_iter().find(|(key, _)| **key == name);
    let items = found.into_iter().flat_map(|(_, text)| text.split(','));
    items.filter_map(|item| protocol(item.trim()).ok()).collect()
}

struct Reader<'a> {
    annotations: &'a Map<String, Json>,
    refusals: Vec<Refusal>,
}

impl Reader<'_> {
    fn refuse(&mut self, key: &str, message: String, help: String) {
        let at = format!("/metadata/annotations/{}", escaped(key));
        self.refusals.push(Refusal { at, mark: true, message, help });
    }

    /// Every name of ours must be a known one.
    fn names(&mut self) {
        let annotations = self.annotations;
        for key in annotations.keys() {
            let Some(name) = key.strip_prefix(sidecar::PREFIX) else { continue };
            if [sidecar::INJECT_LABEL, sidecar::WEIGHT_LABEL].contains(&key.as_str()) {
                let message = format!("`{key}` is a label, not an annotation");
                self.refuse(key, message, "move it to `metadata.labels`".to_owned());
            } else if !KNOWN.contains(&name) && !OURS.contains(&key.as_str()) {
                let help = match nearest(name, KNOWN.iter().copied()) {
                    Some(near) => format!("did you mean `{}{near}`?", sidecar::PREFIX),
                    None => format!("the annotations are {}", alternatives(KNOWN.iter().copied())),
                };
                self.refuse(key, format!("there is no annotation {}", quoted(key)), help);
            }
        }
    }

    /// The text of an annotation.
    fn text(&mut self, name: &str) -> Option<String> {
        let key = format!("{}{name}", sidecar::PREFIX);
        match self.annotations.get(&key)? {
            Json::String(text) => Some(text.trim().to_owned()),
            other => {
                let message = format!("`{key}` is no text but `{other}`");
                self.refuse(&key, message, "put the value in quotes".to_owned());
                None
            }
        }
    }

    fn one<T>(&mut self, name: &str, read: fn(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(name)?;
        read(&text).map_err(|why| self.bad(name, &text, &why)).ok()
    }

    /// What stands between commas; an empty text is an empty list.
    fn list<T>(&mut self, name: &str, read: fn(&str) -> Result<T, String>) -> Vec<T> {
        let text = self.text(name).unwrap_or_default();
        let mut items = Vec::new();
        for item in text.split(',').map(str::trim).filter(|_| !text.is_empty()) {
            match read(item) {
                Ok(item) => items.push(item),
                Err(why) => self.bad(name, item, &why),
            }
        }
        items
    }

    fn bad(&mut self, name: &str, value: &str, why: &str) {
        let key = format!("{}{name}", sidecar::PREFIX);
        self.refuse(&key, format!("`{key}` cannot be {}", quoted(value)), why.to_owned());
    }

    fn resources(&mut self, defaults: &Resources) -> Resources {
        let limit = |own: Option<String>, default: &Option<String>| own.or_else(|| default.clone());
        let cpu_limit = limit(self.one("proxy-cpu-limit", cpu), &defaults.cpu_limit);
        let memory_limit = limit(self.one("proxy-memory-limit", memory), &defaults.memory_limit);
        Resources {
            cpu: self.request("proxy-cpu", cpu, &defaults.cpu, cpu_limit.as_deref()),
            memory: self.request("proxy-memory", memory, &defaults.memory, memory_limit.as_deref()),
            cpu_limit,
            memory_limit,
        }
    }

    /// A request, at most its limit: a default gives way, what an author wrote is refused.
    fn request(
        &mut self,
        name: &str,
        read: fn(&str) -> Result<String, String>,
        default: &str,
        limit: Option<&str>,
    ) -> String {
        let above = |request: &str| limit.is_some_and(|limit| amount(request) > amount(limit));
        match (self.one(name, read), limit) {
            (Some(own), _) if above(&own) => {
                self.bad(name, &own, "a request is at most the limit");
                own
            }
            (Some(own), _) => own,
            (None, Some(limit)) if above(default) => limit.to_owned(),
            (None, _) => default.to_owned(),
        }
    }
}

fn port(text: &str) -> Result<u16, String> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(port) if port > 0 && digits => Ok(port),
        _ => Err("write ports from 1 to 65535 with commas between, such as `9042,7000`".into()),
    }
}

fn cidr(text: &str) -> Result<IpNet, String> {
    text.parse()
        .map_err(|_| "write networks with commas between, such as `10.0.0.0/8,fd00::/8`".into())
}

/// The level of a sidecar's log.
///
/// # Errors
/// What can be written.
pub fn level(text: &str) -> Result<String, String> {
    match LEVELS.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(format!("one of {}", alternatives(LEVELS.iter().copied()))),
    }
}

fn protocol(text: &str) -> Result<(u16, Protocol), String> {
    let named = |word: &str| PROTOCOLS.iter().copied().find(|known| known.as_str() == word);
    let read =
        |(number, word): (&str, &str)| Some((port(number.trim()).ok()?, named(word.trim())?));
    text.split_once('=').and_then(read).ok_or_else(|| {
        let words = alternatives(PROTOCOLS.iter().map(|known| known.as_str()));
        format!("write `PORT=PROTOCOL` with commas between, such as `9080=http`; {words}")
    })
}

/// An amount of CPU, such as `100m`.
///
/// # Errors
/// What can be written.
pub fn cpu(text: &str) -> Result<String, String> {
    quantity(text, &["", "m"], "write cores such as `0.5` or `100m`")
}

/// An amount of memory, such as `64Mi`.
///
/// # Errors
/// What can be written.
pub fn memory(text: &str) -> Result<String, String> {
    quantity(text, &["", "k", "M", "G", "Ki", "Mi", "Gi"], "write bytes such as `64Mi` or `1Gi`")
}

/// A quantity above zero with one of these suffixes.
fn quantity(text: &str, suffixes: &[&str], help: &str) -> Result<String, String> {
    let (_, suffix) = parts(text);
    match suffixes.contains(&suffix) && amount(text).is_some_and(|amount| amount > 0.0) {
        true => Ok(text.to_owned()),
        false => Err(help.to_owned()),
    }
}

fn parts(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text.split_at(end)
}

/// How much a quantity is.
fn amount(text: &str) -> Option<f64> {
    let (number, suffix) = parts(text);
    let number: f64 = number.parse().ok()?;
    let factor = match suffix {
        "" => 1.0,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some(number * factor)
}
