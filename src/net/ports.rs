//! A port for a program that must be told its port before it starts.
//!
//! A port from the system (port 0) that is given back is soon given to somebody else. These lie
//! below the range from which systems give (RFC 6335 §6; 32768 and up on Linux), so that only
//! somebody who names the same number can come in between.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

/// Where to look: registered ports that few programs use, below every system's own range.
const QUIET: Range<u16> = 20_000..32_000;

/// How many are tried.
const TRIES: usize = 200;

/// A listener on loopback whose port stays free for a while after it is dropped.
///
/// # Errors
/// None of the ports tried could be bound: the last error.
pub fn listen_quietly() -> io::Result<TcpListener> {
    let mut failed = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..TRIES {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, fastrand::u16(QUIET))) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}
