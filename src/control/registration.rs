//! What a proxy said about its workload when it connected, checked, in the form that is kept.
//!
//! In goes a [`Hello`], out comes a [`Registration`] whose every name is valid, and from it the
//! mesh's [`Workload`]. Who may register as whom is decided in `agent`, not here.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::mesh::{Workload, WorkloadPort, endpoint_weight};
use crate::names::sidecar::WEIGHT_LABEL;
use crate::names::{
    Identity, Namespace, ObjectName, Protocol, ProxyId, ServiceAccount, ServiceLabel, ServiceName,
    TrustDomain,
};
use crate::xds::agent::{Hello, HelloPort};

#[cfg(test)]
pub(crate) mod tests;

/// Most labels, ports or addresses that one workload may bring.
const PARTS_MAX: usize = 64;

/// One workload, as it is kept across restarts of the control plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    /// The proxy's namespace, and the workload's.
    pub namespace: Namespace,
    /// The proxy's name inside it.
    pub name: ObjectName,
    /// The service that it registers under.
    pub service: ServiceLabel,
    /// The `version` label; empty for none.
    pub version: String,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// Who it is.
    pub service_account: ServiceAccount,
    /// Where callers reach it.
    pub addresses: Vec<IpAddr>,
    /// What it listens on; empty when it only calls.
    pub ports: Vec<RegisteredPort>,
    /// Whether it takes requests.
    pub ready: bool,
}

/// One port of a [`Registration`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegisteredPort {
    /// The application's.
    pub app: u16,
    /// The one to dial.
    pub dial: u16,
    /// The service's; `None` where nobody said.
    pub service: Option<u16>,
    /// `detect`, `http`, `http2`, `grpc` or `tcp`.
    pub protocol: String,
}

impl Registration {
    /// Checks what a proxy said.
    ///
    /// # Errors
    /// What is wrong, naming the field.
    pub fn from_hello(hello: &Hello) -> Result<Self, String> {
        let wrong = |field: &str, error: &dyn std::fmt::Display| format!("{field}: {error}");
        let counts = [hello.labels.len(), hello.addresses.len(), hello.ports.len()];
        if counts.iter().any(|&count| count > PARTS_MAX) {
            return Err(format!("more than {PARTS_MAX} labels, addresses or ports"));
        }
        let mut labels: BTreeMap<String, String> =
            hello.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        labels.entry("app".to_owned()).or_insert_with(|| hello.service.clone());
        if !hello.version.is_empty() {
            labels.insert("version".to_owned(), hello.version.clone());
        }
        for (key, value) in &labels {
            check_label(key, value).map_err(|error| wrong("labels", &error))?;
        }
        let addresses = hello.addresses.iter().map(|text| {
            text.parse()
                .map_err(|_| format!("addresses: `{}` is no IP address", text.escape_debug()))
        });
        let registration = Self {
            namespace: hello.namespace.parse().map_err(|e| wrong("namespace", &e))?,
            name: hello.name.parse().map_err(|e| wrong("name", &e))?,
            service: hello.service.parse().map_err(|e| wrong("service", &e))?,
            version: hello.version.clone(),
            labels,
            service_account: hello
                .service_account
                .parse()
                .map_err(|e| wrong("service account", &e))?,
            addresses: addresses.collect::<Result<_, _>>()?,
            ports: hello.ports.iter().map(port).collect::<Result<_, _>>()?,
            ready: false,
        };
        if !registration.ports.is_empty() && registration.addresses.is_empty() {
            return Err("addresses: a workload with ports needs one".to_owned());
        }
        Ok(registration)
    }

    /// Whether another machine can reach it, where it serves.
    ///
    /// # Errors
    /// The address that says otherwise.
    pub fn is_reachable(&self) -> Result<(), String> {
        let nowhere = |ip: &&IpAddr| ip.is_loopback() || ip.is_unspecified() || ip.is_multicast();
        match self.addresses.iter().find(nowhere) {
            Some(ip) if !self.ports.is_empty() => Err(format!(
                "addresses: other machines cannot reach `{ip}`; say with `--advertise` which address they are to use"
            )),
            _ => Ok(()),
        }
    }

    /// The proxy.
    pub fn proxy(&self) -> ProxyId {
        ProxyId::new(self.namespace.clone(), self.name.clone())
    }

    /// The service.
    pub fn service_name(&self) -> ServiceName {
        ServiceName::new(self.namespace.clone(), self.service.clone())
    }

    /// Who it is in the mesh of `trust_domain`.
    pub fn identity(&self, trust_domain: &TrustDomain) -> Identity {
        Identity {
            trust_domain: trust_domain.clone(),
            namespace: self.namespace.clone(),
            service_account: self.service_account.clone(),
        }
    }

    /// What the mesh knows of it; `bound` are the services that its identity has joined for, where it has.
    pub fn workload(
        &self,
        trust_domain: &TrustDomain,
        bound: Option<Vec<ServiceLabel>>,
    ) -> Workload {
        let labels = self.labels.iter();
        let ports = self.ports.iter().map(|port| WorkloadPort {
            name: String::new(),
            app_port: port.app,
            dial_port: port.dial,
            service_port: port.service,
            protocol: protocol(&port.protocol).unwrap_or_default(),
        });
        Workload {
            proxy: self.proxy(),
            service: Some(self.service.clone()),
            canonical: self.service.clone(),
            version: self.version.clone(),
            labels: labels
                .map(|(key, value)| (key.as_str().into(), value.as_str().into()))
                .collect(),
            identity: self.identity(trust_domain),
            addresses: self.addresses.clone(),
            own_address: false,
            ports: ports.collect(),
            sidecar: true,
            ready: self.ready,
            node: None,
            bound: bound.map(Into::into),
        }
    }
}

fn port(port: &HelloPort) -> Result<RegisteredPort, String> {
    let number = |field: &str, value: u32| match u16::try_from(value) {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("ports: {field} {value} is not a port (1 to 65535)")),
    };
    let service = match port.service_port {
        0 => None,
        said => Some(number("service port", said)?),
    };
    if protocol(&port.protocol).is_none() {
        let found = port.protocol.escape_debug();
        return Err(format!("ports: `{found}` is no protocol (detect, http, http2, grpc, tcp)"));
    }
    Ok(RegisteredPort {
        app: number("app port", port.app_port)?,
        dial: number("dial port", port.dial_port)?,
        service,
        protocol: port.protocol.clone(),
    })
}

fn protocol(word: &str) -> Option<Protocol> {
    Protocol::ALL.into_iter().find(|protocol| protocol.as_str() == word)
}

/// As Kubernetes has it: values of at most 63, keys of at most 317 characters, no control characters.
///
/// # Errors
/// What is wrong with the label.
pub fn check_label(key: &str, value: &str) -> Result<(), String> {
    let plain = |text: &str| {
        text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/'))
    };
    let good =
        !key.is_empty() && key.len() <= 317 && value.len() <= 63 && plain(key) && plain(value);
    match good && !value.contains('/') {
        true if key == WEIGHT_LABEL && endpoint_weight(value).is_none() => {
            Err(format!("`{key}={value}` is no weight: it is a whole number from 1 to 100000"))
        }
        true => Ok(()),
        false => Err(format!(
            "`{}={}` is not a label (letters, digits, `-`, `_`, `.`; values of at most 63)",
            key.escape_debug(),
            value.escape_debug()
        )),
    }
}
