//! The codec beside hyper's: of thousands of messages, made well and then spoilt, what we accept hyper
//! must read in the same way, down to the byte where the next message begins; what we write onward
//! too. Which messages they are is the same in every run.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseResult, TestRng, TestRunner};

use super::*;
use crate::resource::path;
use hyper_reads::{Reading, answer, requests};
use messages::{spoilt_answer, spoilt_requests};

mod hyper_reads;
mod messages;

/// Messages, each of up to three requests or one answer.
const CASES: u32 = 4_000;

fn runner() -> TestRunner {
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// A request as we read it, how we write it onward, and whether more may follow.
fn our_request(bytes: &[u8]) -> Option<(Reading, Vec<u8>, usize, bool)> {
    let start = bytes.chunks(2).take_while(|two| two == b"\r\n").count() * 2;
    let bytes = bytes.get(start..)?;
    head_end(bytes, &mut 0).ok()??;
    let mut head = RequestHead::default();
    head.parse(bytes, Headroom::NONE).ok()?;
    let (body, trailers, end) = our_body(head.framing, bytes.get(head.length..)?)?;
    let view = head.view(bytes);
    let fields = fields_of(&head.fields, view.bytes);
    let reading = Reading {
        start: view.method().to_owned(),
        path: view.path().to_owned(),
        query: view.query().map(str::to_owned),
        authority: view.authority().to_owned(),
        fields,
        body,
        trailers,
    };
    let mut out = Vec::new();
    write::request(&mut out, &view, &write::RequestPlan::default());
    match head.framing {
        Framing::Chunked => {
            write::chunk(&mut out, &reading.body);
            let line = |(name, value): &(String, Vec<u8>)| {
                [name.as_bytes(), b": ", value.as_slice(), b"\r\n"].concat()
            };
            let trailers: Vec<u8> = reading.trailers.iter().flat_map(line).collect();
            write::last_chunk(&mut out, &trailers);
        }
        _ => out.extend_from_slice(&reading.body),
    }
    let goes_on = head.keep_alive && head.target != Target::Authority && head.upgrade.is_none();
    Some((reading, out, start + head.length + end, goes_on))
}

type Fields = Vec<(String, Vec<u8>)>;

/// Body, trailers, and where they end.
fn our_body(framing: Framing, bytes: &[u8]) -> Option<(Vec<u8>, Fields, usize)> {
    let mut decoder = BodyDecoder::new(framing);
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        match decoder.decode(bytes.get(at..)?).ok()? {
            Decoded::NeedMore if decoder.ends_with_connection() => break,
            Decoded::NeedMore => return None,
            Decoded::Data { skip, len } => {
                body.extend_from_slice(bytes.get(at + skip..at + skip + len)?);
                at += skip + len;
            }
            Decoded::Done { skip } => {
                at += skip;
                break;
            }
        }
    }
    let mut trailers: Vec<_> = decoder
        .trailers()
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let line = line.strip_suffix(b"\r")?;
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase();
            Some((name, line[colon + 2..].to_vec()))
        })
        .collect();
    trailers.sort_by(|one, other| one.0.cmp(&other.0));
    Some((body, trailers, at))
}

/// Names in lower case and values, sorted by name as hyper groups them.
fn fields_of(fields: &[FieldRange], bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let text = |range: &Range| String::from_utf8_lossy(range.bytes(bytes)).to_ascii_lowercase();
    let both = |field: &FieldRange| (text(&field.name), field.value.bytes(bytes).to_vec());
    let mut all: Vec<_> = fields.iter().map(both).collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

/// What hyper's parser of targets refuses, and we pass on as it is.
fn is_beyond_hyper(bytes: &[u8]) -> bool {
    let line = bytes.split(|byte| *byte == b'\r').find(|line| !line.is_empty() && *line != b"\n");
    line.is_some_and(|line| line.iter().any(|byte| b"<>\"`^{|}".contains(byte)))
}

fn same(ours: &Reading, theirs: Option<&Reading>, bytes: &[u8]) -> TestCaseResult {
    let text = bytes.escape_ascii();
    let Some(theirs) = theirs else {
        prop_assert!(is_beyond_hyper(bytes), "hyper refuses {text}");
        return Ok(());
    };
    let normal = Reading {
        path: path::normalize(&theirs.path).map_or_else(|_| theirs.path.clone(), Into::into),
        ..theirs.clone()
    };
    prop_assert_eq!(ours, &normal, "{}", text);
    Ok(())
}

#[test]
fn requests_are_read_as_hyper_reads_them() {
    let accepted = Cell::new(0);
    let result = runner().run(&spoilt_requests(), |bytes| {
        let theirs = requests(&bytes);
        let mut at = 0;
        for index in 0.. {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some((ours, onward, length, goes_on)) = our_request(rest) else { break };
            accepted.set(accepted.get() + 1);
            same(&ours, theirs.get(index), rest)?;
            written_as_read(&ours, &onward)?;
            if !goes_on || theirs.len() <= index {
                break;
            }
            at += length;
        }
        Ok(())
    });
    assert!(result.is_ok(), "{result:?}");
    assert!(accepted.get() > CASES / 4, "only {accepted:?} requests were accepted");
}

/// What goes onward is one request, which hyper reads as we do.
fn written_as_read(ours: &Reading, onward: &[u8]) -> TestCaseResult {
    if ours.start == "CONNECT" {
        return Ok(());
    }
    let theirs = requests(onward);
    let text = onward.escape_ascii();
    let Some(first) = theirs.first() else {
        prop_assert!(is_beyond_hyper(onward), "hyper refuses what we write: {text}");
        return Ok(());
    };
    prop_assert_eq!(theirs.len(), 1, "more than one request: {}", text);
    prop_assert_eq!((&first.start, &first.path), (&ours.start, &ours.path), "{}", text);
    prop_assert_eq!(&first.query, &ours.query, "{}", text);
    prop_assert_eq!(&first.authority, &ours.authority, "{}", text);
    prop_assert_eq!(&first.body, &ours.body, "{}", text);
    Ok(())
}

#[test]
fn answers_are_read_as_hyper_reads_them() {
    let accepted = Cell::new(0);
    let result = runner().run(&spoilt_answer(), |(method, bytes)| {
        let mut head = ResponseHead::default();
        let whole = matches!(head_end(&bytes, &mut 0), Ok(Some(_)));
        if !whole || head.parse(&bytes, method, Headroom::NONE).is_err() || head.status < 200 {
            return Ok(());
        }
        let behind = bytes.get(head.length..).unwrap_or_default();
        let Some((body, trailers, end)) = our_body(head.framing, behind) else { return Ok(()) };
        accepted.set(accepted.get() + 1);
        let (whole, text) = (head.length + end, bytes.escape_ascii());
        let ours = Reading {
            start: head.status.to_string(),
            fields: fields_of(&head.fields, &bytes),
            body,
            trailers,
            ..Reading::default()
        };
        let theirs = answer(method, bytes.get(..whole).unwrap_or_default());
        prop_assert_eq!(Some(ours), theirs, "{}", text);
        if head.framing != Framing::UntilClose {
            let short = answer(method, bytes.get(..whole - 1).unwrap_or_default());
            prop_assert_eq!(short, None, "it ends before {}: {}", whole, bytes.escape_ascii());
        }
        Ok(())
    });
    assert!(result.is_ok(), "{result:?}");
    assert!(accepted.get() > CASES / 4, "only {accepted:?} answers were accepted");
}
