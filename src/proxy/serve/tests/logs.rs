//! What a client says does not reach a log line as it came: one line stays one, and short.

use std::io::Write;
use std::sync::{Arc, Mutex};

use super::rig::{Rig, read_until, run};
use super::*;
use crate::telemetry::LONGEST_VALUE;

/// Lines, kept.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic while held").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn words_of_a_client_are_escaped_and_cut() {
    let kept = Kept::default();
    let writer = kept.clone();
    // While a process has one dispatcher alone, a thread without it that comes first to a place which
    // logs turns that place off for all (tracing-core, `Rebuilder::JustOne`).
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let lines = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone());
    tracing::subscriber::with_default(lines.finish(), || {
        run(async {
            let rig = Rig::without_app().await;
            let long = "y".repeat(8 * 1024);
            for (request, status) in [
                (format!("GET /{long} HTTP/1.1\r\nHost: web\r\nUser-Agent: {long}\r\n\r\n"), "503"),
                (format!("GET /%0a%1b[31m\"{long} HTTP/1.1\r\nHost: web\r\n\r\n"), "503"),
                ("GET /\x1b[31m HTTP/1.1\r\nHost: web\r\n\r\n".to_owned(), "400"),
                ("GET / HTTP/1.1\r\nHost: web\r\nX: \x1b[31m\r\n\r\n".to_owned(), "400"),
                ("GET / HTTP/1.1\r\nHost: web\nfake: line\r\n\r\n".to_owned(), "400"),
            ] {
                let mut client = rig.client(LIFE).await;
                client.write_all(request.as_bytes()).await.unwrap();
                let answer = read_until(&mut client, "\n").await;
                assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            }
        });
    });
    let text = String::from_utf8(kept.0.lock().expect("no panic while held").clone()).unwrap();
    let refused: Vec<_> = text.lines().filter(|line| line.contains("refused")).collect();
    assert_eq!(refused.len(), 5, "{text}");
    for line in text.lines() {
        assert!(line.len() < LONGEST_VALUE + 256, "{} bytes: {line}", line.len());
        assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line:?}");
        assert!(!line.starts_with("fake"), "{line}");
    }
}
