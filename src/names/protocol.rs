//! What an application speaks on a port.

use std::fmt;

/// The application protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Protocol {
    /// Not declared: found out from the first bytes.
    #[default]
    Detect,
    /// HTTP/1.1.
    Http,
    /// HTTP/2 by prior knowledge.
    Http2,
    /// gRPC, which is HTTP/2 with its own status.
    Grpc,
    /// Opaque bytes.
    Tcp,
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Self; 5] = [Self::Detect, Self::Http, Self::Http2, Self::Grpc, Self::Tcp];

    /// The word users write and read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Detect => "detect",
            Self::Http => "http",
            Self::Http2 => "http2",
            Self::Grpc => "grpc",
            Self::Tcp => "tcp",
        }
    }

    /// Whether requests are read on this port (rather than bytes passed on).
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Http2 | Self::Grpc)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
