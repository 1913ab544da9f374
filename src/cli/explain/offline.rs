//! From files alone: the mesh that their rules would make, with what they do not say assumed.
//!
//! A service that nothing declares is taken to be there where a rule names it, or the request. Each
//! service has one ready endpoint with a sidecar, whose service account is named after it. All that
//! is said beside the answer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::ExplainArgs;
use crate::cli::args::Context;
use crate::cli::diagnostics;
use crate::cli::exit::Failure;
use crate::cli::input::Input;
use crate::cli::validate;
use crate::compile;
use crate::explain::{Call, Known, Live, Model, Policy};
use crate::mesh::{Change, Labels, Object, Service, Snapshot, TargetPort, Workload, WorkloadPort};
use crate::names::{
    Identity, Namespace, Protocol, ProxyId, ServiceAccount, ServiceLabel, ServiceName,
};
use crate::proxy::outbound::naming::Named;
use crate::resource::{Key, Kind, Resource};
use crate::rules::{self, Options, Parsed, UnknownKinds};

/// The trust domain of a mesh where nobody chose another.
const TRUST_DOMAIN: &str = "cluster.local";

/// The port of a service of which nobody says one.
const PORT: u16 = 80;

/// What the proxy of `from` would have when it makes `call`.
pub(super) fn load(
    args: &ExplainArgs,
    (from, call): (&str, &Call),
    context: &Context,
) -> Result<(Model, Live), Failure> {
    let parsed = parse(args, context)?;
    let caller = caller(from, &args.namespace.namespace)?;
    let mut notes = vec![format!(
        "files know no workloads: the caller is {}, and each service has one ready endpoint with a sidecar",
        caller.identity
    )];
    let proxy = caller.proxy.clone();
    let snapshot = snapshot(&parsed, (caller, call), &mut notes)?;
    let source = |key: &Key| -> Result<Known, Failure> { Ok(known(&snapshot, key)) };
    let Some(Resource::Workload(workload)) = known(&snapshot, &Key::workload(&proxy)).resource
    else {
        return Err(Failure::new(format!("the caller `{proxy}` cannot be a workload")));
    };
    let model = Model::load(workload, call.authority(), source)?;
    let policies = policies(&snapshot, &model);
    Ok((model, Live { running: false, policies, notes, ..Live::default() }))
}

/// The rules of the files; problems of others than errors are told on stderr.
pub(super) fn parse(args: &ExplainArgs, context: &Context) -> Result<Parsed, Failure> {
    let input = Input::read(&args.filename, args.recursive)?;
    let default_namespace = args.namespace.namespace.clone();
    let options = Options { default_namespace, unknown_kinds: UnknownKinds::Skip };
    let parsed = rules::parse(&input.documents, &options);
    if parsed.has_errors() || !input.unread.is_empty() {
        let found = [input.unread.clone(), parsed.diagnostics].concat();
        return Err(validate::unusable(&found, &input));
    }
    context.printer.notes(&diagnostics::render(&parsed.diagnostics, &input.documents));
    Ok(parsed)
}

/// The same resource that the control plane would send.
pub(super) fn known(snapshot: &Snapshot, key: &Key) -> Known {
    match compile::compile(snapshot, key) {
        None => Known::default(),
        Some(compiled) => Known {
            origins: compiled.origins.iter().map(|(object, _)| object.to_string()).collect(),
            resource: Some(compiled.resource),
        },
    }
}

fn policies(snapshot: &Snapshot, model: &Model) -> BTreeMap<ServiceName, Policy> {
    let services = model.keys().filter(|key| matches!(key.kind, Kind::Service | Kind::Cluster));
    let names = services.filter_map(|key| key.name.parse::<ServiceName>().ok());
    let said = names.filter_map(|name| {
        let policy = snapshot.policy_of(&name)?;
        let settings = compile::settings(Some(&policy));
        Some((name, Policy { name: policy.reference().to_string(), settings }))
    });
    said.collect()
}

/// The mesh of the files, without a request.
pub(super) fn mesh(parsed: &Parsed) -> Result<Snapshot, Failure> {
    let trust_domain = TRUST_DOMAIN.parse().map_err(Failure::from)?;
    let objects = parsed.objects.iter();
    let changes: Vec<_> = objects
        .map(|it| Change::Object(it.reference.clone(), Some(it.object.clone())))
        .chain(assumed_services(parsed).into_iter().map(|(name, ports)| came(&name, &ports)))
        .collect();
    Ok(Snapshot::new(trust_domain, Arc::default()).apply(&changes))
}

fn snapshot(
    parsed: &Parsed,
    (caller, call): (Workload, &Call),
    notes: &mut Vec<String>,
) -> Result<Snapshot, Failure> {
    let mesh = mesh(parsed)?;
    let mut changes = vec![Change::Workload(caller.proxy.clone(), Some(Arc::new(caller.clone())))];
    for service in mesh.declared.values() {
        let workload = behind(service);
        changes.push(Change::Workload(workload.proxy.clone(), Some(Arc::new(workload))));
    }
    for (name, ports) in assumed_services(parsed) {
        notes.push(undeclared(&name, &ports));
    }
    if let Ok(Named::Service { name, host, port }) =
        Named::read(call.authority(), PORT, &caller.proxy.namespace)
        && mesh.service(&name).is_none()
        && may_be_meant(host, &name, parsed)
    {
        let ports = BTreeSet::from([port]);
        notes.push(undeclared(&name, &ports));
        changes.push(came(&name, &ports));
    }
    Ok(mesh.apply(&changes))
}

fn undeclared(name: &ServiceName, ports: &BTreeSet<u16>) -> String {
    let ports: Vec<_> = ports.iter().map(ToString::to_string).collect();
    format!("no file declares the service {name}: assumed with port {}", ports.join(", "))
}

/// Whether a host that no rule names can be a service: a single word, or one in a namespace that the
/// files know, or written as a service's full name.
fn may_be_meant(host: &str, name: &ServiceName, parsed: &Parsed) -> bool {
    let host = host.trim_end_matches('.');
    !host.contains('.')
        || host.ends_with(".svc")
        || host.ends_with(".svc.cluster.local")
        || parsed.objects.iter().any(|it| it.reference.namespace == name.namespace)
}

/// The services that rules name and nothing declares, with the ports that they name.
fn assumed_services(parsed: &Parsed) -> BTreeMap<ServiceName, BTreeSet<u16>> {
    let mut named: BTreeMap<ServiceName, BTreeSet<u16>> = BTreeMap::new();
    let mut declared = BTreeSet::new();
    for it in &parsed.objects {
        let name = |name: &ServiceName, port: Option<u16>| (name.clone(), port);
        let about: Vec<(ServiceName, Option<u16>)> = match &it.object {
            Object::Service(service) => {
                declared.insert(service.name.clone());
                Vec::new()
            }
            Object::HttpRoute(route) => {
                let parents = route.parents.iter().map(|it| name(&it.service, it.port));
                let backends = route.rules.iter().flat_map(|rule| &rule.backends);
                parents.chain(backends.map(|it| name(&it.service, Some(it.port)))).collect()
            }
            Object::TrafficPolicy(it) => {
                it.targets.iter().map(|it| name(&it.service, None)).collect()
            }
            Object::FaultPolicy(it) => {
                it.targets.iter().map(|it| name(&it.service, None)).collect()
            }
            Object::MeshConfig(_) => Vec::new(),
        };
        for (service, port) in about {
            named.entry(service).or_default().extend(port);
        }
    }
    named.retain(|name, _| !declared.contains(name));
    for ports in named.values_mut().filter(|ports| ports.is_empty()) {
        ports.insert(PORT);
    }
    named
}

/// A workload that makes a service by registering under its name.
fn came(name: &ServiceName, ports: &BTreeSet<u16>) -> Change {
    let port = |&port: &u16| WorkloadPort {
        name: String::new(),
        app_port: port,
        dial_port: port,
        service_port: Some(port),
        protocol: Protocol::Detect,
    };
    let workload =
        Workload { ports: ports.iter().map(port).collect(), ..workload(name, Labels::new()) };
    Change::Workload(workload.proxy.clone(), Some(Arc::new(workload)))
}

/// A workload that a declared service selects.
fn behind(service: &Service) -> Workload {
    let port = |port: &crate::mesh::ServicePort| {
        let (name, app_port) = match &port.target {
            TargetPort::Named(name) => (name.clone(), port.port),
            TargetPort::Number(number) => (String::new(), *number),
            TargetPort::Only | TargetPort::Unsaid => (String::new(), port.port),
        };
        WorkloadPort {
            name,
            app_port,
            dial_port: app_port,
            service_port: Some(port.port),
            protocol: port.protocol,
        }
    };
    let labels = service.selector.clone().unwrap_or_default();
    Workload { ports: service.ports.iter().map(port).collect(), ..workload(&service.name, labels) }
}

/// The workload that calls, and serves nothing.
fn caller(from: &str, namespace: &Namespace) -> Result<Workload, Failure> {
    let (namespace, name) = from.split_once('/').unwrap_or((namespace.as_str(), from));
    let name: ServiceName = format!("{namespace}/{name}").parse().map_err(Failure::misuse)?;
    let workload = workload(&name, Labels::new());
    let proxy = format!("{namespace}/{}-caller", name.name).parse().map_err(Failure::misuse)?;
    Ok(Workload { proxy, service: None, ..workload })
}

/// Ready, with a sidecar, and no ports.
fn workload(name: &ServiceName, labels: Labels) -> Workload {
    let own = name.name.as_str();
    let account: ServiceAccount = own.parse().expect("a service's name is a DNS label");
    let service: ServiceLabel = name.name.clone();
    Workload {
        proxy: ProxyId {
            namespace: name.namespace.clone(),
            name: own.parse().expect("a service's name is a DNS label"),
        },
        service: Some(service.clone()),
        canonical: service,
        version: String::new(),
        labels,
        identity: Identity {
            trust_domain: TRUST_DOMAIN.parse().expect("a constant"),
            namespace: name.namespace.clone(),
            service_account: account,
        },
        addresses: vec![Ipv4Addr::LOCALHOST.into()],
        own_address: false,
        ports: Vec::new(),
        sidecar: true,
        ready: true,
        node: None,
        bound: None,
    }
}
