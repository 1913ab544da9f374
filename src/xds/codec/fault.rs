//! Faults that are put in on purpose, the parts of `meshctl.v1.Service` that speak of them.

use std::time::Duration;

use prost::Message;

use super::route::{self, WireMatch};
use super::service::decode_id;
use super::{DecodeError, field};
use crate::resource::{
    AbortHow, Fault, FaultAbort, FaultDelay, FaultSource, MAX_FAULT_DELAY, PARTS_PER_MILLION,
};

#[derive(Clone, PartialEq, Message)]
pub(super) struct WireFault {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(message, repeated, tag = "2")]
    from: Vec<WireSource>,
    #[prost(message, repeated, tag = "3")]
    matches: Vec<WireMatch>,
    #[prost(message, optional, tag = "4")]
    delay: Option<WireDelay>,
    #[prost(message, optional, tag = "5")]
    abort: Option<WireAbort>,
    #[prost(uint64, optional, tag = "6")]
    expires: Option<u64>,
    #[prost(bool, tag = "7")]
    shadow: bool,
}

/// Without an account it is all of the namespace.
#[derive(Clone, PartialEq, Message)]
struct WireSource {
    #[prost(string, tag = "1")]
    namespace: String,
    #[prost(string, tag = "2")]
    account: String,
}

#[derive(Clone, PartialEq, Message)]
struct WireDelay {
    #[prost(uint64, tag = "1")]
    duration_us: u64,
    #[prost(uint32, tag = "2")]
    ppm: u32,
}

/// `how`: 1 HTTP status, 2 gRPC code, 3 reset.
#[derive(Clone, PartialEq, Message)]
struct WireAbort {
    #[prost(uint32, tag = "1")]
    how: u32,
    #[prost(uint32, tag = "2")]
    code: u32,
    #[prost(uint32, tag = "3")]
    ppm: u32,
}

pub(super) fn encode(fault: &Fault) -> WireFault {
    let source = |source: &FaultSource| match source {
        FaultSource::Identity(namespace, account) => {
            WireSource { namespace: namespace.to_string(), account: account.to_string() }
        }
        FaultSource::Namespace(namespace) => {
            WireSource { namespace: namespace.to_string(), account: String::new() }
        }
    };
    let abort = |abort: FaultAbort| {
        let (how, code) = match abort.how {
            AbortHow::Status(status) => (1, status.into()),
            AbortHow::Grpc(code) => (2, code),
            AbortHow::Reset => (3, 0),
        };
        WireAbort { how, code, ppm: abort.ppm }
    };
    WireFault {
        id: fault.id.to_string(),
        from: fault.from.iter().map(source).collect(),
        matches: fault.matches.iter().map(route::encode_match).collect(),
        delay: fault
            .delay
            .map(|delay| WireDelay { duration_us: field::micros(delay.duration), ppm: delay.ppm }),
        abort: fault.abort.map(abort),
        expires: fault.expires,
        shadow: fault.shadow,
    }
}

pub(super) fn decode(wire: WireFault) -> Result<Fault, DecodeError> {
    Ok(Fault {
        id: decode_id(&wire.id)?,
        from: field::each("from", wire.from, |source| decode_source(&source))?,
        matches: field::each("matches", wire.matches, |one| match route::decode_match(one)? {
            decoded if decoded.rule == 0 => Ok(decoded),
            _ => Err(DecodeError::new("rule", "a fault leads to no rule")),
        })?,
        delay: inside("delay", wire.delay.as_ref(), decode_delay)?,
        abort: inside("abort", wire.abort.as_ref(), decode_abort)?,
        expires: wire.expires,
        shadow: wire.shadow,
    })
}

fn inside<W, T>(
    name: &str,
    wire: Option<&W>,
    decode: impl Fn(&W) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    wire.map(decode).transpose().map_err(|error| error.inside(name))
}

fn decode_source(wire: &WireSource) -> Result<FaultSource, DecodeError> {
    let namespace = field::parse("namespace", &wire.namespace)?;
    Ok(match field::optional("account", &wire.account)? {
        Some(account) => FaultSource::Identity(namespace, account),
        None => FaultSource::Namespace(namespace),
    })
}

fn decode_delay(wire: &WireDelay) -> Result<FaultDelay, DecodeError> {
    let duration = Duration::from_micros(wire.duration_us);
    if duration > MAX_FAULT_DELAY {
        return Err(DecodeError::new("duration_us", "is longer than any delay may be"));
    }
    Ok(FaultDelay { duration, ppm: share(wire.ppm)? })
}

fn decode_abort(wire: &WireAbort) -> Result<FaultAbort, DecodeError> {
    let how = match (wire.how, wire.code) {
        (1, 400..=599) => u16::try_from(wire.code).map(AbortHow::Status).ok(),
        (2, code @ 1..=16) => Some(AbortHow::Grpc(code)),
        (3, 0) => Some(AbortHow::Reset),
        (1..=3, _) => None,
        (other, _) => return Err(field::unknown("how", other)),
    };
    let reason = || DecodeError::new("code", format!("{} is no way to fail", wire.code));
    Ok(FaultAbort { how: how.ok_or_else(reason)?, ppm: share(wire.ppm)? })
}

fn share(ppm: u32) -> Result<u32, DecodeError> {
    match ppm {
        0..=PARTS_PER_MILLION => Ok(ppm),
        _ => Err(DecodeError::new("ppm", format!("{ppm} is more than all"))),
    }
}
