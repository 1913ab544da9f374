//! Single fields: what a protobuf type says less precisely than ours, checked on the way in.
//!
//! Every function takes the field's name as its error is to show it.

use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use bytes::Buf;

use super::DecodeError;
use crate::names::Protocol;
use crate::resource::MtlsMode;

/// The revision in which redirects and rewriting came.
pub(super) const CHANGES_TARGETS: u32 = 1;

/// The revision in which breakers, ejection, health checks, retries, balancing and faults came.
pub(super) const RESILIENCE: u32 = 2;

/// The highest `requires` that this version honours.
const REVISION: u32 = RESILIENCE;

/// The longest list; far beyond what a resource of the largest size on the wire needs.
const ITEMS: usize = 65_536;

/// The longest text: paths, patterns and header values end far below.
const TEXT_BYTES: usize = 16 * 1024;

/// Gives an enum its numbers on the wire. They start at 1, so that a field left out is refused
/// and can never mean the first variant.
macro_rules! numbered {
    ($name:ident: $type:ty { $($number:literal => $variant:path),+ $(,)? }) => {
        pub(super) mod $name {
            use super::*;

            pub(in crate::xds::codec) fn encode(value: $type) -> u32 {
                match value { $($variant => $number),+ }
            }

            pub(in crate::xds::codec) fn decode(
                field: &str,
                number: u32,
            ) -> Result<$type, $crate::xds::codec::DecodeError> {
                match number {
                    $($number => Ok($variant),)+
                    _ => Err($crate::xds::codec::field::unknown(field, number)),
                }
            }
        }
    };
}
pub(super) use numbered;

pub(super) fn unknown(field: &str, number: u32) -> DecodeError {
    DecodeError::new(field, format!("{number} is not a value that this version knows"))
}

/// A whole message.
pub(super) fn message<M: prost::Message + Default>(body: impl Buf) -> Result<M, DecodeError> {
    M::decode(body).map_err(|error| DecodeError::new("", error.to_string()))
}

/// Refuses what only a newer version honours.
pub(super) fn understood(requires: u32) -> Result<(), DecodeError> {
    if requires > REVISION {
        let reason = format!("revision {requires} is required, and this version has {REVISION}");
        return Err(DecodeError::new("requires", reason));
    }
    Ok(())
}

/// A name, an identity or whatever else knows how to read itself.
pub(super) fn parse<T: FromStr<Err: Display>>(field: &str, text: &str) -> Result<T, DecodeError> {
    text.parse().map_err(|error: T::Err| DecodeError::new(field, error.to_string()))
}

/// The same, where the empty text stands for none.
pub(super) fn optional<T: FromStr<Err: Display>>(
    field: &str,
    text: &str,
) -> Result<Option<T>, DecodeError> {
    if text.is_empty() { Ok(None) } else { parse(field, text).map(Some) }
}

pub(super) fn required<T>(field: &str, value: Option<T>) -> Result<T, DecodeError> {
    value.ok_or_else(|| DecodeError::new(field, "is missing"))
}

pub(super) fn text(field: &str, text: String) -> Result<String, DecodeError> {
    if text.len() > TEXT_BYTES {
        return Err(DecodeError::new(field, format!("has more than {TEXT_BYTES} bytes")));
    }
    Ok(text)
}

pub(super) fn port(field: &str, number: u32) -> Result<u16, DecodeError> {
    let port = u16::try_from(number).ok().filter(|&port| port != 0);
    port.ok_or_else(|| DecodeError::new(field, format!("{number} is not a port (1 to 65535)")))
}

/// A number from `least` to `most`.
pub(super) fn within(field: &str, number: u32, least: u32, most: u32) -> Result<u32, DecodeError> {
    if (least..=most).contains(&number) {
        return Ok(number);
    }
    Err(DecodeError::new(field, format!("{number} is not within {least} to {most}")))
}

/// Microseconds that somebody waits again and again, so at least one.
pub(super) fn period(field: &str, micros: u64) -> Result<Duration, DecodeError> {
    match micros {
        0 => Err(DecodeError::new(field, "is no time at all")),
        micros => Ok(Duration::from_micros(micros)),
    }
}

/// Each item, with its index in the error.
pub(super) fn each<W, T>(
    field: &str,
    items: Vec<W>,
    mut decode: impl FnMut(W) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    if items.len() > ITEMS {
        return Err(DecodeError::new(field, format!("has more than {ITEMS} items")));
    }
    let numbered = items.into_iter().enumerate();
    let decoded = numbered.map(|(index, item)| {
        decode(item).map_err(|error| error.inside(&format!("{field}[{index}]")))
    });
    decoded.collect()
}

/// Refuses a list that is not strictly ascending by `key`: out of order or with duplicates.
pub(super) fn ascending<T, K: Ord>(
    field: &str,
    items: &[T],
    key: impl Fn(&T) -> K,
) -> Result<(), DecodeError> {
    ordered(field, items, |one, next| key(one) < key(next))
}

/// Refuses a list in which not every item is `before` the next.
pub(super) fn ordered<T>(
    field: &str,
    items: &[T],
    before: impl Fn(&T, &T) -> bool,
) -> Result<(), DecodeError> {
    if items.is_sorted_by(before) {
        return Ok(());
    }
    Err(out_of_order(field))
}

/// Refuses a list that does not ascend.
pub(super) fn out_of_order(field: &str) -> DecodeError {
    DecodeError::new(field, "is out of order or has duplicates")
}

/// Limits on time are whole microseconds.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Four or sixteen bytes, in network order.
pub(super) fn address_bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().into(),
        IpAddr::V6(v6) => v6.octets().into(),
    }
}

pub(super) fn address(field: &str, bytes: &[u8]) -> Result<IpAddr, DecodeError> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let either = v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
    either.map_err(|_| DecodeError::new(field, "is neither 4 nor 16 bytes"))
}

numbered!(protocol: Protocol {
    1 => Protocol::Detect,
    2 => Protocol::Http,
    3 => Protocol::Http2,
    4 => Protocol::Grpc,
    5 => Protocol::Tcp,
});

numbered!(mtls: MtlsMode { 1 => MtlsMode::Strict, 2 => MtlsMode::Permissive });
