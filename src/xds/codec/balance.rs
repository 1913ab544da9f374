//! How an endpoint is chosen, inside of a `meshctl.v1.Cluster`, to bytes and back.
//!
//! The algorithm is a field of the policy's own, as it always was; the message here holds the rest
//! and is left out where nothing of it is set.

use std::time::Duration;

use http::{HeaderName, Method};
use prost::Message;

use super::DecodeError;
use super::field::{self, numbered};
use crate::resource::{Algorithm, HashCookie, HashOn, LoadBalancer, Locality};

#[derive(Clone, PartialEq, Message)]
pub(super) struct WireBalancing {
    #[prost(message, optional, tag = "1")]
    hash_on: Option<WireHashOn>,
    #[prost(uint64, optional, tag = "2")]
    slow_start_us: Option<u64>,
    #[prost(uint32, tag = "3")]
    locality: u32,
}

/// `how`: 1 header, 2 cookie, 3 the calling workload.
#[derive(Clone, PartialEq, Message)]
struct WireHashOn {
    #[prost(uint32, tag = "1")]
    how: u32,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    path: String,
    #[prost(uint64, optional, tag = "4")]
    ttl_us: Option<u64>,
}

numbered!(algorithm: Algorithm {
    1 => Algorithm::LeastRequest,
    2 => Algorithm::RoundRobin,
    3 => Algorithm::Random,
    4 => Algorithm::Ewma,
    5 => Algorithm::RingHash,
    6 => Algorithm::Maglev,
});

/// `None` where only the algorithm is set, so that there is one encoding of it.
pub(super) fn encode(balancer: &LoadBalancer) -> Option<WireBalancing> {
    let wire = WireBalancing {
        hash_on: balancer.hash_on.as_ref().map(encode_hash_on),
        slow_start_us: balancer.slow_start.map(field::micros),
        locality: match balancer.locality {
            Locality::Off => 0,
            Locality::Prefer => 1,
        },
    };
    (wire != WireBalancing::default()).then_some(wire)
}

fn encode_hash_on(hash_on: &HashOn) -> WireHashOn {
    let none = WireHashOn::default();
    match hash_on {
        HashOn::Header(name) => WireHashOn { how: 1, name: name.clone(), ..none },
        HashOn::Cookie(HashCookie { name, path, ttl }) => WireHashOn {
            how: 2,
            name: name.clone(),
            path: path.clone(),
            ttl_us: ttl.map(field::micros),
        },
        HashOn::SourceIp => WireHashOn { how: 3, ..none },
    }
}

pub(super) fn decode(
    number: u32,
    wire: Option<WireBalancing>,
) -> Result<LoadBalancer, DecodeError> {
    let algorithm = algorithm::decode("load_balancer", number)?;
    let wire = wire.unwrap_or_default();
    let rest = || {
        Ok(LoadBalancer {
            algorithm,
            hash_on: wire.hash_on.map(decode_hash_on).transpose()?,
            slow_start: wire.slow_start_us.map(|us| field::period("slow_start", us)).transpose()?,
            locality: match wire.locality {
                0 => Locality::Off,
                1 => Locality::Prefer,
                other => return Err(field::unknown("locality", other)),
            },
        })
    };
    rest().map_err(|error: DecodeError| error.inside("balancing"))
}

fn decode_hash_on(wire: WireHashOn) -> Result<HashOn, DecodeError> {
    let WireHashOn { how, name, path, ttl_us } = wire;
    match how {
        1 if HeaderName::from_lowercase(name.as_bytes()).is_ok() => Ok(HashOn::Header(name)),
        1 => Err(DecodeError::new("hash_on", "is not a header name in lower case")),
        2 => {
            let cookie = HashCookie { name, path, ttl: ttl_us.map(Duration::from_micros) };
            check_cookie(&cookie)?;
            Ok(HashOn::Cookie(cookie))
        }
        3 => Ok(HashOn::SourceIp),
        other => Err(field::unknown("hash_on", other)),
    }
}

/// The cookie is written into `Set-Cookie` as it is (RFC 6265, section 4.1.1). A method is a token,
/// as a cookie's name is.
fn check_cookie(cookie: &HashCookie) -> Result<(), DecodeError> {
    if cookie.name.parse::<Method>().is_err() {
        return Err(DecodeError::new("hash_on", "is not a cookie name"));
    }
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b';';
    let rooted = cookie.path.starts_with('/') && cookie.path.bytes().all(plain);
    if !(cookie.path.is_empty() || rooted) {
        return Err(DecodeError::new("hash_on", "is not a cookie path"));
    }
    Ok(())
}
