//! What is tried again, inside of a `meshctl.v1.Service`, to bytes and back.
//!
//! A rule without the message has the repetitions that hold without any policy, so those have one
//! encoding: none.

use std::time::Duration;

use prost::Message;

use super::{DecodeError, field};
use crate::resource::{PARTS_PER_MILLION, Retry, RetryBackoff, RetryBudget, RetryOn};

/// The most tries after the first.
const ATTEMPTS: u32 = 100;

/// The largest body that a proxy is asked to keep.
const BODY_BYTES: u32 = 1 << 20;

/// `on` is a set of bits: 1 connect failure, 2 refused stream, 4 gateway error, 8 server error,
/// 16 reset.
#[derive(Clone, PartialEq, Message)]
pub(super) struct WireRetry {
    #[prost(uint32, tag = "1")]
    attempts: u32,
    #[prost(uint32, tag = "2")]
    on: u32,
    #[prost(uint32, repeated, tag = "3")]
    status_codes: Vec<u32>,
    #[prost(uint32, repeated, tag = "4")]
    grpc_codes: Vec<u32>,
    #[prost(bool, tag = "5")]
    any_method: bool,
    #[prost(uint64, tag = "6")]
    backoff_base_us: u64,
    #[prost(uint64, tag = "7")]
    backoff_max_us: u64,
    #[prost(message, optional, tag = "8")]
    budget: Option<WireBudget>,
    #[prost(uint32, tag = "9")]
    max_body: u32,
    #[prost(uint64, optional, tag = "10")]
    hedge_after_us: Option<u64>,
    #[prost(uint64, tag = "11")]
    backoff_floor_us: u64,
}

#[derive(Clone, PartialEq, Message)]
struct WireBudget {
    #[prost(uint32, tag = "1")]
    ppm: u32,
    #[prost(uint32, tag = "2")]
    min_per_second: u32,
}

/// `None` for what holds without any policy.
pub(super) fn encode(retry: &Retry) -> Option<WireRetry> {
    let budget = retry
        .budget
        .map(|budget| WireBudget { ppm: budget.ppm, min_per_second: budget.min_per_second });
    (*retry != Retry::default()).then(|| WireRetry {
        attempts: retry.attempts,
        on: encode_on(retry.on),
        status_codes: retry.status_codes.iter().copied().map(u32::from).collect(),
        grpc_codes: retry.grpc_codes.clone(),
        any_method: retry.any_method,
        backoff_base_us: field::micros(retry.backoff.base),
        backoff_max_us: field::micros(retry.backoff.max),
        budget,
        max_body: retry.max_body,
        hedge_after_us: retry.hedge_after.map(field::micros),
        backoff_floor_us: field::micros(retry.backoff_floor),
    })
}

fn encode_on(on: RetryOn) -> u32 {
    let RetryOn { connect_failure, refused_stream, gateway_error, server_error, reset } = on;
    let bits = [connect_failure, refused_stream, gateway_error, server_error, reset];
    bits.into_iter().enumerate().map(|(index, bit)| u32::from(bit) << index).sum()
}

pub(super) fn decode(wire: Option<WireRetry>) -> Result<Retry, DecodeError> {
    let Some(wire) = wire else { return Ok(Retry::default()) };
    decode_fields(wire).map_err(|error| error.inside("retry"))
}

fn decode_fields(wire: WireRetry) -> Result<Retry, DecodeError> {
    let status_codes = field::each("status_codes", wire.status_codes, |code| {
        let code = field::within("", code, 200, 599)?;
        u16::try_from(code).map_err(|_| field::unknown("", code))
    })?;
    field::ascending("status_codes", &status_codes, |code| *code)?;
    let grpc_codes =
        field::each("grpc_codes", wire.grpc_codes, |code| field::within("", code, 1, 16))?;
    field::ascending("grpc_codes", &grpc_codes, |code| *code)?;
    let budget = wire.budget.map(|budget| {
        Ok(RetryBudget {
            ppm: field::within("budget.ppm", budget.ppm, 0, PARTS_PER_MILLION)?,
            min_per_second: budget.min_per_second,
        })
    });
    let hedge_after = wire.hedge_after_us.map(|time| field::period("hedge_after", time));
    Ok(Retry {
        attempts: field::within("attempts", wire.attempts, 0, ATTEMPTS)?,
        on: decode_on(wire.on)?,
        status_codes,
        grpc_codes,
        any_method: wire.any_method,
        backoff: RetryBackoff {
            base: Duration::from_micros(wire.backoff_base_us),
            max: Duration::from_micros(wire.backoff_max_us),
        },
        backoff_floor: Duration::from_micros(wire.backoff_floor_us),
        budget: budget.transpose()?,
        max_body: field::within("max_body", wire.max_body, 0, BODY_BYTES)?,
        hedge_after: hedge_after.transpose()?,
    })
}

fn decode_on(bits: u32) -> Result<RetryOn, DecodeError> {
    if bits >= 1 << 5 {
        return Err(field::unknown("on", bits));
    }
    let bit = |index: u32| bits & (1 << index) != 0;
    Ok(RetryOn {
        connect_failure: bit(0),
        refused_stream: bit(1),
        gateway_error: bit(2),
        server_error: bit(3),
        reset: bit(4),
    })
}
