//! `GET /v1/certificates` and `POST /v1/rotate`: certificates in use, and their renewal.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The certificates of the mesh.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateList {
    /// `meshctl.dev/v1alpha1`.
    pub api_version: String,
    /// `CertificateList`.
    pub kind: String,
    /// By workload; only what proxies have in use.
    pub certificates: Vec<CertificateStatus>,
}

/// One certificate in use.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateStatus {
    /// `namespace/proxy`.
    pub workload: String,
    /// SPIFFE identity.
    pub identity: String,
    /// Hexadecimal.
    pub serial: String,
    /// Not valid before.
    pub not_before: Timestamp,
    /// Not valid after.
    pub not_after: Timestamp,
    /// SHA-256 of the root, hexadecimal.
    pub root: String,
}

/// Which workloads to renew.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RotateRequest {
    /// `namespace/proxy`, or `namespace/service` for all of a service's; empty for all connected.
    pub workloads: Vec<String>,
}

/// What was renewed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RotateResult {
    /// By workload.
    pub workloads: Vec<Rotated>,
}

/// One workload of a [`RotateResult`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rotated {
    /// `namespace/proxy`.
    pub workload: String,
    /// The serial number in use now.
    pub serial: String,
    /// Empty when it worked.
    pub error: String,
}
