//! Hashes that are the same in every proxy and every version, so that all of them send one key to
//! one endpoint. Not for keys that an attacker must not steer: whoever chooses the key chooses.

/// Hashes bytes: eight at a time, each followed by the finalizer, the length first.
pub fn of(bytes: &[u8]) -> u64 {
    let begin = mix(bytes.len() as u64);
    bytes.chunks(8).fold(begin, |hash, chunk| {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(chunk) {
            *to = *from;
        }
        mix(hash ^ u64::from_le_bytes(word))
    })
}

/// The `number`th value of the sequence that begins with `seed` (SplitMix64: Steele, Lea and Flood,
/// "Fast Splittable Pseudorandom Number Generators", 2014).
pub(super) fn nth(seed: u64, number: u64) -> u64 {
    mix(seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

/// A bijection in which every bit of the input moves every bit of the output (the finalizer of
/// SplitMix64).
pub(super) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
