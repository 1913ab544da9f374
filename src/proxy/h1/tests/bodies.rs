//! Bodies: where they end, and which framing is refused, however the bytes arrive.

use super::*;
use proptest::prelude::*;

/// A body, its trailers, and what came behind it.
type Decomposed = (Vec<u8>, Vec<u8>, Vec<u8>);

/// Feeds `input` in pieces of `step` bytes; the body, its trailers and what was left behind it.
fn decode(framing: Framing, input: &[u8], step: usize) -> Result<Decomposed, Malformed> {
    let mut decoder = BodyDecoder::new(framing);
    let (mut body, mut pending, mut input) = (Vec::new(), Vec::new(), input);
    loop {
        match decoder.decode(&pending)? {
            Decoded::NeedMore if input.is_empty() => {
                return Err(Malformed::bad("truncated"));
            }
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
                pending.drain(..skip);
                pending.extend_from_slice(input);
                return Ok((body, decoder.trailers().to_vec(), pending));
            }
        }
    }
}

#[test]
fn chunked_bodies_end_where_they_say() {
    let input =
        b"5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\nGET /";
    for step in [1, 2, 3, 7, 1000] {
        let (body, trailers, rest) = decode(Framing::Chunked, input, step).unwrap();
        assert_eq!(body, b"hello world");
        assert_eq!(trailers, b"X-Sum: 1\r\n", "framing fields are no trailers");
        assert_eq!(rest, b"GET /");
    }
}

#[test]
fn bad_chunks_are_refused_however_they_arrive() {
    for input in [
        "g\r\n",
        "\r\n",
        "-1\r\n",
        "+1\r\n",
        "0x1\r\n",
        "1 2\r\n",
        " 1\r\nx",
        "1\nx",
        "1\r\nxy\r\n",
        "1\r\nx\n",
        "1;\u{1}\r\nx\r\n",
        "1111111111111111\r\n",
        "0\r\nX : 1\r\n\r\n",
        "0\r\nX: 1\n\r\n",
    ] {
        for step in [1, 1000] {
            let result = decode(Framing::Chunked, input.as_bytes(), step);
            assert!(result.is_err(), "{input:?}");
            assert_ne!(result.unwrap_err().detail, "truncated", "{input:?}");
        }
    }
}

#[test]
fn endless_size_lines_and_trailers_are_refused() {
    for input in [
        format!("1;{}", "x".repeat(1000)),
        format!("0\r\n{}", "x: y\r\n".repeat(10_000)),
        // The end is there, where all of it comes at once.
        format!("1;{}\r\nx\r\n0\r\n\r\n", "x".repeat(300)),
        format!("0\r\nx: {}\r\n\r\n", "y".repeat(10_000)),
    ] {
        for step in [10, 100_000] {
            let refused = decode(Framing::Chunked, input.as_bytes(), step).unwrap_err();
            assert_ne!(refused.detail, "truncated", "{} bytes in {step}", input.len());
        }
    }
}

#[test]
fn lengths_count_exactly() {
    let (body, _, rest) = decode(Framing::Length(5), b"helloGET", 3).unwrap();
    assert_eq!((body.as_slice(), rest.as_slice()), (b"hello".as_slice(), b"GET".as_slice()));
    assert!(decode(Framing::Length(5), b"hell", 3).is_err());
}

proptest! {
    #[test]
    fn what_is_chunked_comes_back(
        chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..70), 0..6),
        step in 1usize..50,
    ) {
        let mut wire = Vec::new();
        for chunk in &chunks {
            write::chunk(&mut wire, chunk);
        }
        write::last_chunk(&mut wire, b"");
        let (body, _, rest) = decode(Framing::Chunked, &wire, step).unwrap();
        prop_assert_eq!(body, chunks.concat());
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn arbitrary_chunking_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = decode(Framing::Chunked, &bytes, 7);
    }
}
