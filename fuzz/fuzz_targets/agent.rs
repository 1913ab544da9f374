//! Messages of discovery and of the agent stream, in both directions.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meshctl::xds::agent::{Down, Up};
use meshctl::xds::discovery::{DeltaRequest, DeltaResponse};
use prost::Message;

fn again<M: Message + Default + PartialEq>(bytes: &[u8]) {
    if let Ok(message) = M::decode(bytes) {
        // Compared as bytes: numbers that are none are not equal to themselves.
        let encoded = message.encode_to_vec();
        let decoded = M::decode(encoded.as_slice()).expect("what is encoded is decoded");
        assert_eq!(decoded.encode_to_vec().len(), encoded.len());
    }
}

fuzz_target!(|bytes: &[u8]| {
    again::<Up>(bytes);
    again::<Down>(bytes);
    again::<DeltaRequest>(bytes);
    again::<DeltaResponse>(bytes);
});
