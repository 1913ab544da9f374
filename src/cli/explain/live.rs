//! From the mesh that runs: what the control plane sends to the caller's proxy, and how that proxy
//! has its pools now.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::cli::client::Client;
use crate::cli::exit::Failure;
use crate::control::api::shapes::{
    MeshStatus, ObjectList, ProxyState, ProxyStatus, ResourceAnswer, ServiceStatus,
};
use crate::explain::{BreakerView, Call, Known, Live, LiveEndpoint, LivePool, Model, Policy};
use crate::mesh::{Object, ObjectKind};
use crate::names::{Namespace, ProxyId, ServiceName};
use crate::resource::{Key, Resource};
use crate::xds::codec;
use crate::{compile, rules};

/// What the proxy of `from` has when it makes `call`.
pub(super) fn load(
    client: &Client,
    (from, namespace): (&str, &Namespace),
    call: &Call,
) -> Result<(Model, Live), Failure> {
    let status: MeshStatus = client.get("/v1/status", &[])?;
    let (proxy, others) = caller(&status, from, namespace)?;
    let id: ProxyId =
        format!("{}/{}", proxy.namespace, proxy.name).parse().map_err(Failure::from)?;
    let Some(Resource::Workload(workload)) = resource(client, &Key::workload(&id))?.resource else {
        return Err(Failure::new(format!("the control plane does not know the workload `{id}`")));
    };
    let mut origins = BTreeSet::new();
    let model = Model::load(workload, call.authority(), |key| {
        let known = resource(client, key)?;
        origins.extend(known.origins.iter().cloned());
        Ok::<_, Failure>(known)
    })?;
    let mut live = Live { running: true, ..Live::default() };
    for origin in origins.iter().filter(|it| it.starts_with("TrafficPolicy/")) {
        policy(client, origin, &mut live.policies)?;
    }
    let pools = status.services.iter().filter_map(|service| pool(service, &id.to_string()));
    live.pools = pools.collect();
    if proxy.state == ProxyState::Disconnected {
        let text = format!("the proxy {id} is away: what it does is what it had then");
        live.notes.push(text);
    }
    if others > 0 {
        live.notes.push(format!(
            "as {id} sees it; {others} more proxies of {from} see pools of their own"
        ));
    }
    Ok((model, live))
}

/// The proxy that is meant, a connected one where there is one, and how many others there are.
fn caller<'s>(
    status: &'s MeshStatus,
    from: &str,
    namespace: &Namespace,
) -> Result<(&'s ProxyStatus, usize), Failure> {
    let (namespace, name) = from.split_once('/').unwrap_or((namespace.as_str(), from));
    let there = || status.proxies.iter().filter(|proxy| proxy.namespace == namespace);
    let mut found: Vec<_> = there().filter(|proxy| proxy.service == name).collect();
    if found.is_empty() {
        found = there().filter(|proxy| proxy.name == name).collect();
    }
    found.sort_by_key(|proxy| proxy.state == ProxyState::Disconnected);
    let first = found.first().copied().ok_or_else(|| {
        Failure::new(format!("no proxy of `{name}` in the namespace `{namespace}` has joined"))
            .help("see who is there with `meshctl status`, or explain from files with `-f`")
    })?;
    Ok((first, found.len() - 1))
}

/// The answer to a subscription.
pub(super) fn resource(client: &Client, key: &Key) -> Result<Known, Failure> {
    let kind = format!("{:?}", key.kind);
    let query = [("kind", kind.as_str()), ("name", &*key.name)];
    let answer: ResourceAnswer = client.get("/v1/resources", &query)?;
    let Some(body) = answer.resource else { return Ok(Known::default()) };
    let bytes = STANDARD.decode(&body.body).map_err(Failure::from)?;
    let resource = codec::decode(key.kind, &key.name, &bytes).map_err(|error| {
        Failure::from(error)
            .context(format!("this version cannot read {key} of the control plane"))
            .help("use the version of the control plane, see `meshctl version`")
    })?;
    Ok(Known { resource: Some(resource), origins: body.origins })
}

/// What a policy says, under each service that it is about.
fn policy(
    client: &Client,
    origin: &str,
    policies: &mut BTreeMap<ServiceName, Policy>,
) -> Result<(), Failure> {
    let mut parts = origin.split('/').skip(1);
    let (namespace, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let kind = ObjectKind::TrafficPolicy.as_str();
    let query = [("kind", kind), ("namespace", namespace), ("name", name)];
    let list: ObjectList = client.get("/v1/objects", &query)?;
    for item in &list.items {
        // One that this version cannot read has no words here; what holds stands in the resources.
        let Ok(Object::TrafficPolicy(policy)) = rules::from_value(item, 1, 0) else { continue };
        let settings = compile::settings(Some(&policy));
        for target in &policy.targets {
            let said = Policy { name: origin.to_owned(), settings: settings.clone() };
            policies.insert(target.service.clone(), said);
        }
    }
    Ok(())
}

/// A pool as `proxy` has it.
fn pool(service: &ServiceStatus, proxy: &str) -> Option<(ServiceName, LivePool)> {
    let name = format!("{}/{}", service.namespace, service.name).parse().ok()?;
    let own = service.breaker_detail.callers.iter().find(|caller| caller.proxy == proxy);
    let breaker = own.filter(|own| !own.refused.is_empty()).map(|own| BreakerView {
        state: own.breaker.clone(),
        shadow: own.shadow,
        refused: own.refused.clone(),
        last_refused: own.last_refused,
    });
    let entries = service.pool.iter().filter(|entry| entry.caller == proxy);
    let endpoints = entries.map(|entry| LiveEndpoint {
        workload: entry.endpoint.clone(),
        address: entry.address.clone(),
        state: entry.state.as_str().to_owned(),
        why: entry.why.clone(),
        since: entry.since,
        until: entry.until,
        spared: entry.spared,
    });
    Some((name, LivePool { breaker, endpoints: endpoints.collect() }))
}

/// Where a rule's id is looked for: the resource of a service.
pub(super) fn service(
    client: &Client,
    service: &ServiceName,
    consumer: Option<&Namespace>,
) -> Result<Option<Resource>, Failure> {
    let key = match consumer {
        Some(namespace) => Key::service_for(service, namespace),
        None => Key::service(service),
    };
    Ok(resource(client, &key)?.resource)
}
