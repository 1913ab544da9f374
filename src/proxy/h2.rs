//! HTTP/2: one task per connection, one per stream, on the `h2` crate.
//!
//! A client's connection comes in by [`serve`]; its requests are read (`head`), decided about as
//! in HTTP/1.1, and sent (`exchange`, `race`, `attempt`) over connections that all streams to one
//! endpoint share (`pool`, `upstream`). Protocols are never converted: HTTP/2 goes out as HTTP/2.

use std::time::Duration;

use crate::telemetry::limits::Limit;

mod answer;
mod attempt;
mod body;
mod exchange;
mod grpc;
mod head;
mod intake;
mod io;
mod keepalive;
mod meter;
mod pool;
mod race;
mod seat;
mod serve;
mod stream;
mod tally;
mod upstream;

#[cfg(test)]
mod tests;

pub use grpc::code_of as grpc_code_of;
pub use pool::Http2Pool;
pub use serve::serve;

/// Streams of one connection at a time.
const MAX_STREAMS: u32 = Limit::Http2Streams.most() as u32;

/// The header list of a request or an answer, as RFC 9113 §6.5.2 counts it.
const MAX_HEADER_LIST: u32 = Limit::Http2Head.most() as u32;

/// What a stream may send before its reader has taken it: four times the protocol's default, which
/// is too little for a peer whose kernel waits for acknowledgements (Nagle, 40 ms), and little
/// enough for a stalled stream to cost a third of a MiB at most.
const STREAM_WINDOW: u32 = Limit::Http2StreamWindow.most() as u32;

/// What all streams of a connection may send before their readers have taken it.
const CONNECTION_WINDOW: u32 = Limit::Http2Window.most() as u32;

/// What is taken from one side before the other has written it.
const SEND_BUFFER: usize = Limit::Http2SendBuffer.most();

/// The overhead of small DATA frames that may wait in one connection. A stalled stream of the
/// smallest gRPC messages fills its window with 44,000 frames, which count 250 each; this is room
/// for that one and more, so that it does not end the connection (the crate's default would).
const DATA_FRAME_BUDGET: usize = 16 * 1024 * 1024;

/// Interim answers to one request, as in HTTP/1.1.
const MAX_INTERIM: usize = Limit::InterimAnswers.most();

/// How long a stream that was reset here is remembered for what is still on its way.
const RESET_MEMORY: Duration = Duration::from_secs(5);
