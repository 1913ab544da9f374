//! Chunked bodies: the same body, the same trailers and the same end, however the bytes arrive; a body
//! that is refused is refused however it arrives.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meshctl::proxy::h1::{BodyDecoder, Decoded, Framing};

/// Body, trailers, and how much is left behind them.
type Whole = (Vec<u8>, Vec<u8>, usize);

/// `None` where it is refused or incomplete.
fn decode(mut input: &[u8], step: usize) -> Option<Whole> {
    let mut decoder = BodyDecoder::new(Framing::Chunked);
    let (mut body, mut pending) = (Vec::new(), Vec::new());
    loop {
        match decoder.decode(&pending).ok()? {
            Decoded::NeedMore if input.is_empty() => return None,
            Decoded::NeedMore => {
                let (now, later) = input.split_at(step.min(input.len()));
                pending.extend_from_slice(now);
                input = later;
            }
            Decoded::Data { skip, len } => {
                body.extend_from_slice(&pending[skip..skip + len]);
                pending.drain(..skip + len);
            }
            Decoded::Done { skip } => {
                let left = pending.len() - skip + input.len();
                return Some((body, decoder.trailers().to_vec(), left));
            }
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let whole = decode(bytes, bytes.len().max(1));
    assert_eq!(whole, decode(bytes, 1));
    assert_eq!(whole, decode(bytes, 7));
});
