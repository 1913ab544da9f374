//! `/v1/tokens`: join tokens for workloads of other machines.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a token is to be good for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenRequest {
    /// The namespace of the workload.
    pub namespace: String,
    /// The service that it registers for.
    pub service: String,
    /// Its service account.
    pub service_account: String,
    /// How long it can be used.
    pub seconds: u64,
}

/// A token that was made; the only time that it is told.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinToken {
    /// `meshctl.dev/v1alpha1`.
    pub api_version: String,
    /// `JoinToken`.
    pub kind: String,
    /// Whoever has it joins: a secret.
    pub token: String,
    /// Where the control plane listens, `address:port`.
    pub control_plane: String,
    /// What is known of it beside.
    #[serde(flatten)]
    pub status: TokenStatus,
}

/// Without the token.
impl std::fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinToken").field("status", &self.status).finish_non_exhaustive()
    }
}

/// The tokens that are remembered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenList {
    /// `meshctl.dev/v1alpha1`.
    pub api_version: String,
    /// `TokenList`.
    pub kind: String,
    /// The newest first.
    pub tokens: Vec<TokenStatus>,
}

/// Whether a token can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenState {
    /// It can.
    Unused,
    /// It was.
    Used,
    /// It was not, and cannot be any more.
    Expired,
}

/// A token without its secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenStatus {
    /// Names it.
    pub id: String,
    /// The namespace of the workload.
    pub namespace: String,
    /// The service that it registers for.
    pub service: String,
    /// Its service account.
    pub service_account: String,
    /// Whether it can be used.
    pub state: TokenState,
    /// When it was made.
    pub created: Timestamp,
    /// Until when it can be used.
    pub expires: Timestamp,
    /// When it was used; `null`: it was not.
    pub used: Option<Timestamp>,
    /// The proxy that used it, `namespace/name`; empty for none.
    pub used_by: String,
    /// From where; empty for none.
    pub used_from: String,
}

/// Which token is to be taken back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RevokeRequest {
    /// Its id.
    pub id: String,
}
