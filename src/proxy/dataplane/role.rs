//! What a listener is for, which says who serves its connections; and what two processes of one proxy call
//! it when one passes it to the other.

use crate::names::ServiceName;

/// What a listener is for.
#[derive(Debug, Clone)]
pub enum Role {
    /// Calls from the mesh.
    Inbound,
    /// Calls of our application.
    Outbound,
    /// Calls of our application to one port of a service.
    Upstream(ServiceName, u16),
    /// Calls to our applications, redirected.
    CapturedInbound,
    /// Calls of our application, redirected.
    CapturedOutbound,
}

/// As two processes name it to each other.
impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inbound => f.write_str("inbound"),
            Self::Outbound => f.write_str("outbound"),
            Self::Upstream(service, port) => write!(f, "upstream {service}:{port}"),
            Self::CapturedInbound => f.write_str("captured inbound"),
            Self::CapturedOutbound => f.write_str("captured outbound"),
        }
    }
}
