//! What rules name: services, their ports, callers; and whether there is enough of it.

use std::collections::BTreeSet;

use crate::mesh::{
    FaultPolicy, HttpRoute, Object, ObjectRef, Parent, PolicyTarget, Service, TrafficPolicy,
};
use crate::names::{Protocol, ServiceName};
use crate::resource::FaultSource;
use crate::rules::check::{Check, warning};
use crate::rules::codes;
use crate::rules::problems::MAX_PROBLEMS;
use crate::rules::{Diagnostic, ParsedObject, Severity};

impl Check<'_> {
    /// A declared service: whether workloads make its name that it does not select.
    pub(super) fn taken(&mut self, object: &ParsedObject) {
        let Object::Service(service) = &object.object else { return };
        if self.found.len() < MAX_PROBLEMS
            && let Err(conflict) = self.after.check_declaration(service)
        {
            let field = "spec.selector".to_owned();
            let found = warning(object, codes::TAKEN_NAME, field, conflict.to_string());
            self.found.push(Diagnostic { severity: Severity::Error, ..found });
        }
    }

    /// The parents and the backends of a route.
    pub(super) fn references(&mut self, object: &ParsedObject, route: &HttpRoute) {
        for (index, parent) in route.parents.iter().enumerate() {
            let path = format!("spec.parentRefs[{index}]");
            match self.after.service(&parent.service) {
                Some(service) => self.parent(object, parent, &service, path),
                None => self.missing(object, &parent.service, path),
            }
        }
        for (rule_index, rule) in route.rules.iter().enumerate() {
            for (index, backend) in rule.backends.iter().enumerate() {
                let name = &backend.service;
                let (fault, missing) = match self.after.service(name) {
                    Some(service) if service.has_port(backend.port) => continue,
                    Some(service) => (no_port(&service, backend.port), String::new()),
                    None if !self.is_known => continue,
                    None => (self.absent(name), name.to_string()),
                };
                let message = format!("{fault}: its share of requests gets 500");
                let field = format!("spec.rules[{rule_index}].backendRefs[{index}]");
                let found = warning(object, codes::MISSING_BACKEND, field, message);
                self.found.push(Diagnostic { missing, ..found });
            }
        }
    }

    /// A parent that is there: whether the ports that are meant are, and speak HTTP.
    fn parent(&mut self, object: &ParsedObject, parent: &Parent, service: &Service, path: String) {
        let selected = || service.ports.iter().filter(|port| parent.selects(port));
        if selected().next().is_none() && !parent.is_whole() {
            let (field, what) = match (parent.port, &parent.section) {
                (Some(port), None) => ("port", format!("{port}")),
                (Some(port), Some(name)) => ("port", format!("{port} of the name `{name}`")),
                (None, name) => {
                    let name = name.as_deref().unwrap_or_default();
                    ("sectionName", format!("of the name `{name}`"))
                }
            };
            let message = format!("parent `{}` has no port {what}", parent.service);
            self.warn(object, codes::MISSING_PORT, format!("{path}.{field}"), message);
        } else if let Some(port) = selected().next()
            && selected().all(|port| port.protocol == Protocol::Tcp)
        {
            let message = format!(
                "port {} of `{}` is opaque TCP: no HTTPRoute has an effect there",
                port.port, parent.service
            );
            self.warn(object, codes::NO_EFFECT, path, message);
        }
    }

    /// The services of a traffic policy: there, free, and with enough endpoints.
    pub(super) fn policy(&mut self, object: &ParsedObject, policy: &TrafficPolicy) {
        self.targets(object, &policy.targets);
        let own = policy.reference();
        for (index, target) in policy.targets.iter().enumerate() {
            self.second(object, &own, &target.service, index);
            if self.is_known {
                self.pool(object, policy, &target.service);
            }
        }
    }

    /// Of several policies about one service only the oldest holds.
    fn second(
        &mut self,
        object: &ParsedObject,
        own: &ObjectRef,
        service: &ServiceName,
        index: usize,
    ) {
        let first = self.after.policy_of(service).map(|policy| policy.reference());
        if let Some(first) = first.filter(|first| first != own) {
            let message =
                format!("service `{service}` has a policy already: {}", self.named(&first));
            self.warn(object, codes::SAME_TARGET, format!("spec.targetRefs[{index}]"), message);
        }
    }

    /// Whether the service has the endpoints that ejection needs.
    fn pool(&mut self, object: &ParsedObject, policy: &TrafficPolicy, service: &ServiceName) {
        let Some(detection) = &policy.pool.outlier_detection else { return };
        let there = self.after.endpoint_counts(service).total;
        let field = "spec.outlierDetection";
        if there == 1 {
            let message =
                format!("`{service}` has one endpoint: while it is out there is no other to go to");
            return self.warn(object, codes::TOO_FEW_ENDPOINTS, field.to_owned(), message);
        }
        let rate = detection.success_rate.as_ref().map(|it| it.minimum_hosts);
        let failures = detection.failure_percent.as_ref().map(|it| it.minimum_hosts);
        for (key, wanted) in [("successRate", rate), ("failurePercent", failures)] {
            let Some(wanted) = wanted.and_then(|wanted| usize::try_from(wanted).ok()) else {
                continue;
            };
            if (1..wanted).contains(&there) {
                let message = format!(
                    "`{key}` judges from {wanted} endpoints on (`minimumHosts`), and `{service}` has {there}"
                );
                self.warn(object, codes::TOO_FEW_ENDPOINTS, format!("{field}.{key}"), message);
            }
        }
    }

    /// Who meets a fault, and whether it is over.
    pub(super) fn fault(&mut self, object: &ParsedObject, policy: &FaultPolicy) {
        self.targets(object, &policy.targets);
        if policy.has_expired(self.now) {
            let message = "the time of this fault is over: it does nothing".to_owned();
            self.warn(object, codes::EXPIRED, "spec.expires".to_owned(), message);
        }
        if !self.is_known || policy.from.is_empty() {
            return;
        }
        let callers = self.after.workloads.values().map(|workload| &workload.identity);
        let callers: BTreeSet<_> =
            callers.map(|it| (it.namespace.clone(), it.service_account.clone())).collect();
        let is_there = |source: &FaultSource| match source {
            FaultSource::Identity(namespace, account) => {
                callers.contains(&(namespace.clone(), account.clone()))
            }
            FaultSource::Namespace(namespace) => callers.iter().any(|(it, _)| it == namespace),
        };
        for source in policy.from.iter().filter(|source| !is_there(source)) {
            let text = match source {
                FaultSource::Identity(namespace, account) => format!("ns/{namespace}/sa/{account}"),
                FaultSource::Namespace(namespace) => namespace.to_string(),
            };
            let message = match source {
                FaultSource::Identity(..) => format!("no workload of the mesh is `{text}`"),
                FaultSource::Namespace(_) => format!("no workload of the mesh is in `{text}`"),
            };
            let field = object.positions.of_text("spec.from", &text).unwrap_or("spec.from");
            self.warn(object, codes::UNKNOWN_CALLER, field.to_owned(), message);
        }
    }

    fn targets(&mut self, object: &ParsedObject, targets: &[PolicyTarget]) {
        for (index, target) in targets.iter().enumerate() {
            if self.after.service(&target.service).is_none() {
                self.missing(object, &target.service, format!("spec.targetRefs[{index}]"));
            }
        }
    }

    /// A service that a rule is about and that is not there; offline that is not known.
    fn missing(&mut self, object: &ParsedObject, name: &ServiceName, field: String) {
        if self.is_known {
            let message = format!("{}: this holds for nothing", self.absent(name));
            let found = warning(object, codes::MISSING_SERVICE, field, message);
            self.found.push(Diagnostic { missing: name.to_string(), ..found });
        }
    }

    /// That a service is not there; and where nothing is in its namespace, that too.
    fn absent(&self, name: &ServiceName) -> String {
        let namespace = &name.namespace;
        let is_there = self.after.declared.keys().any(|other| other.namespace == *namespace)
            || self.after.workloads.keys().any(|proxy| proxy.namespace == *namespace);
        match is_there {
            true => format!("there is no service `{name}`"),
            false => format!("there is no service `{name}`, nor anything in that namespace"),
        }
    }
}

/// That a service has no such port, and which it has.
fn no_port(service: &Service, port: u16) -> String {
    let has: Vec<String> = service.ports.iter().take(4).map(|it| it.port.to_string()).collect();
    let more = if service.ports.len() > has.len() { ", …" } else { "" };
    format!("service `{}` has no port {port}, only {}{more}", service.name, has.join(", "))
}
