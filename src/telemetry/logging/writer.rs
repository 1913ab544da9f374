//! The thread that writes log lines, and the bounded queue before it.
//!
//! A line that finds the queue full is dropped and counted. A writer that fails (full disk, closed
//! pipe) loses its lines and nothing else.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use crate::telemetry::limits::Limit;

/// Lines that wait at most.
const MAX_LINES: usize = Limit::LogLines.most();

/// Longer lines are cut.
const MAX_LINE_BYTES: usize = 16 * 1024;

/// The way to the writer. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Lines {
    queue: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

/// What goes through the queue.
#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// One line in the making; sent when it is dropped.
#[derive(Debug)]
pub struct Line<'a> {
    lines: &'a Lines,
    bytes: Vec<u8>,
}

impl Lines {
    /// Starts the thread; it ends when the last clone is gone.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn start(output: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, incoming) = sync_channel(MAX_LINES);
        let writer = move || write_all(&incoming, output);
        thread::Builder::new().name("log".into()).spawn(writer)?;
        Ok(Self { queue, dropped: Arc::default() })
    }

    /// How many lines were dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until what waits now is written, or for `longest`.
    pub fn flush(&self, longest: Duration) {
        let (done, wait) = sync_channel(1);
        if self.queue.try_send(Message::Flush(done)).is_ok() {
            // Either it is written or time is up; both are an end.
            let _ = wait.recv_timeout(longest);
        }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { lines: self, bytes: Vec::new() }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = MAX_LINE_BYTES.saturating_sub(self.bytes.len());
        self.bytes.extend(bytes.iter().take(room));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        if bytes.is_empty() {
            return;
        }
        if bytes.last() != Some(&b'\n') {
            bytes.push(b'\n');
        }
        if self.lines.queue.try_send(Message::Line(bytes)).is_err() {
            self.lines.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn write_all(incoming: &Receiver<Message>, mut output: impl Write) {
    for message in incoming {
        // Nobody is left to tell about a failure to write.
        match message {
            Message::Line(line) => {
                let _ = output.write_all(&line);
            }
            Message::Flush(done) => {
                let _ = output.flush();
                let _ = done.try_send(());
            }
        }
    }
}
