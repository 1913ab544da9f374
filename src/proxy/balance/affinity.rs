//! What keeps a client at its endpoint: the hash of something in the request, or the cookie that is
//! made for the next one.

use std::fmt::Write as _;

use crate::names::ProxyId;
use crate::proxy::balance::hash;
use crate::proxy::head::Head;
use crate::resource::{Algorithm, Field, HashCookie, HashOn, HeaderEdit, LoadBalancer};

#[cfg(test)]
mod tests;

/// See the head of this file.
#[derive(Debug, Clone)]
pub struct Affinity {
    /// The hash that leads to the endpoint.
    pub hash: u64,
    /// The `set-cookie` that the answer carries, where the request had no such cookie.
    pub cookie: Option<HeaderEdit>,
}

/// What a decision carries of it: nothing but where the algorithm is a consistent one and there is
/// something to hash.
pub type Bond = Option<Box<Affinity>>;

impl Affinity {
    /// What `balancer` hashes of a request that `source` sends.
    pub fn of(balancer: &LoadBalancer, head: &impl Head, source: &ProxyId) -> Bond {
        match balancer.algorithm {
            Algorithm::RingHash | Algorithm::Maglev => match &balancer.hash_on {
                None | Some(HashOn::SourceIp) => Self::unread(balancer, source),
                Some(HashOn::Header(name)) => {
                    head.header_joined(name).map(|value| Self::by(hash::of(&value)))
                }
                Some(HashOn::Cookie(cookie)) => {
                    let sent = head.header_joined("cookie");
                    let own = sent.as_deref().and_then(|sent| value(sent, &cookie.name));
                    Some(own.map_or_else(|| Self::made(cookie), |own| Self::by(hash::of(own))))
                }
            },
            _ => None,
        }
    }

    /// What it hashes of bytes that are not read.
    pub fn unread(balancer: &LoadBalancer, source: &ProxyId) -> Bond {
        match (balancer.algorithm, &balancer.hash_on) {
            (Algorithm::RingHash | Algorithm::Maglev, None | Some(HashOn::SourceIp)) => {
                let (namespace, name) = (source.namespace.as_str(), source.name.as_str());
                let namespace = hash::of(namespace.as_bytes());
                Some(Self::by(hash::nth(namespace, hash::of(name.as_bytes()))))
            }
            _ => None,
        }
    }

    fn by(hash: u64) -> Box<Self> {
        Box::new(Self { hash, cookie: None })
    }

    /// A new cookie, and the hash that it will have when it comes back.
    fn made(cookie: &HashCookie) -> Box<Self> {
        let value = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        let hash = hash::of(value.as_bytes());
        let mut value = format!("{}={value}", cookie.name);
        if !cookie.path.is_empty() {
            value.push_str("; Path=");
            value.push_str(&cookie.path);
        }
        if let Some(ttl) = cookie.ttl {
            // Writing to a string cannot fail.
            let _ = write!(value, "; Max-Age={}", ttl.as_secs());
        }
        value.push_str("; HttpOnly");
        let add = vec![Field { name: "set-cookie".into(), value }];
        Box::new(Self { hash, cookie: Some(HeaderEdit { add, ..HeaderEdit::default() }) })
    }
}

/// The value of the cookie `name` in a `Cookie` field (RFC 6265 §5.4); an empty one is none.
fn value<'a>(field: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut pairs = field.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let value = pairs.find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    (!value.is_empty()).then_some(value)
}
