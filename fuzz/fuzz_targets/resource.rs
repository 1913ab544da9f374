//! Resources as the control plane sends them: what is decoded encodes to bytes that mean the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meshctl::resource::Kind;
use meshctl::xds::codec::{decode, encode};

/// The longest name.
const MAX_NAME: usize = 64;

fuzz_target!(|bytes: &[u8]| {
    // The kind, the length of the name, the name, the body.
    let [kind, length, rest @ ..] = bytes else { return };
    let Some(kind) = Kind::ALL.into_iter().nth(usize::from(*kind)) else { return };
    let Some((name, body)) = rest.split_at_checked(usize::from(*length) % MAX_NAME) else { return };
    let name = String::from_utf8_lossy(name);
    let Ok(resource) = decode(kind, &name, body) else { return };
    let encoded = encode(&resource);
    assert_eq!(decode(kind, &encoded.key.name, &encoded.body), Ok(resource));
});
