//! Names as types: each is parsed once, at the border, and trusted afterwards.
//!
//! Everything that identifies something in the mesh is a newtype of its own, so that a namespace
//! cannot be passed where a service account is wanted. Parsing enforces DNS-1123; after it no name
//! can contain a slash, a dot-dot or a NUL, so names may be joined into paths and SPIFFE IDs.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

mod identity;
mod protocol;
pub mod sidecar;
pub mod skew;
#[cfg(test)]
mod tests;

pub use identity::{Identity, IdentityError, TrustDomain};
pub use protocol::Protocol;

/// The namespace of mesh-wide rules and of the control plane itself, locally too.
pub const ROOT_NAMESPACE: &str = "meshctl-system";

/// The label of rules that belong to a set which is applied, and pruned, together.
pub const APPLY_SET_LABEL: &str = "meshctl.dev/apply-set";

/// The namespace of everything that does not name one.
pub const DEFAULT_NAMESPACE: &str = "default";

/// Why a text is not a name. `Display` says what was found and what is expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{shown}` is not a valid {what}: {why}")]
pub struct NameError {
    what: &'static str,
    shown: String,
    why: &'static str,
}

impl NameError {
    pub(crate) fn new(what: &'static str, found: &str, why: &'static str) -> Self {
        let shown = found.chars().take(80).flat_map(char::escape_debug).collect();
        Self { what, shown, why }
    }
}

/// Checks a DNS-1123 label: 1 to 63 of `a-z 0-9 -`, alphanumeric at both ends (RFC 1123 §2.1).
///
/// # Errors
/// [`NameError`] with `what` as the noun.
pub fn check_label(what: &'static str, text: &str) -> Result<(), NameError> {
    check(
        what,
        text,
        63,
        "at most 63 lower case letters, digits and `-`, with a letter or digit at both ends (DNS-1123 label)",
        |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-',
    )
}

/// Checks a DNS-1123 subdomain: labels joined by dots, at most 253 characters.
///
/// # Errors
/// [`NameError`] with `what` as the noun.
pub fn check_subdomain(what: &'static str, text: &str) -> Result<(), NameError> {
    const WHY: &str = "at most 253 lower case letters, digits, `-` and `.`, with a letter or digit at both ends of each part (DNS-1123 subdomain)";
    check(what, text, 253, WHY, |b| {
        b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.'
    })?;
    match text.split('.').all(|label| check_label(what, label).is_ok()) {
        true => Ok(()),
        false => Err(NameError::new(what, text, WHY)),
    }
}

fn check(
    what: &'static str,
    text: &str,
    longest: usize,
    why: &'static str,
    allowed: fn(u8) -> bool,
) -> Result<(), NameError> {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    let good = bytes.len() <= longest
        && bytes.iter().all(|&b| allowed(b))
        && ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric));
    if good { Ok(()) } else { Err(NameError::new(what, text, why)) }
}

/// A newtype over a shared string whose `FromStr` is one of the checks above.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                $check($what, text)?;
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
use name;

name!(
    /// A namespace: a DNS-1123 label.
    Namespace, "namespace", check_label
);
name!(
    /// A service account: a DNS-1123 subdomain.
    ServiceAccount, "service account", check_subdomain
);
name!(
    /// The name of a rule, a proxy or any other object inside its namespace: a DNS-1123 subdomain.
    ObjectName, "name", check_subdomain
);
name!(
    /// The name of a service inside its namespace: a DNS-1123 label, because it becomes a host name.
    ServiceLabel, "service name", check_label
);

impl Namespace {
    /// The namespace `default`.
    pub fn default_namespace() -> Self {
        Self(DEFAULT_NAMESPACE.into())
    }

    /// The namespace of mesh-wide rules, `meshctl-system`.
    pub fn root() -> Self {
        Self(ROOT_NAMESPACE.into())
    }
}

/// `namespace/name`: the shape of every two-part name of the mesh.
macro_rules! qualified {
    ($(#[$doc:meta])* $name:ident, $what:literal, $part:ty) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            /// The namespace.
            pub namespace: Namespace,
            /// The name inside the namespace.
            pub name: $part,
        }

        impl $name {
            /// Joins the two parts.
            pub fn new(namespace: Namespace, name: $part) -> Self {
                Self { namespace, name }
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                let (namespace, name) = text
                    .split_once('/')
                    .ok_or_else(|| NameError::new($what, text, "`namespace/name`"))?;
                Ok(Self { namespace: namespace.parse()?, name: name.parse()? })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}/{}", self.namespace, self.name)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

qualified!(
    /// A service, `namespace/service`.
    ServiceName, "service", ServiceLabel
);
qualified!(
    /// A proxy, `namespace/name`; unique in the mesh.
    ProxyId, "proxy", ObjectName
);
qualified!(
    /// An EndpointSlice of Kubernetes, `namespace/name`.
    SliceName, "endpoint slice", ObjectName
);

/// The id of the rule that decided a request: `Kind/namespace/name/rule`, where `rule` is the
/// rule's own name or its index; `default/namespace/service` where no rule was written.
/// The same text stands in responses, logs, metrics and `describe`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub Arc<str>);

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
