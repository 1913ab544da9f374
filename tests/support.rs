//! A whole mesh in the test's own process: a control plane, proxies on threads of their own,
//! applications that are scripts on raw sockets, and clients that write and read exact bytes.
//!
//! Everything listens on loopback, on ports that the system chose, and lives in a temporary home.
//! Nothing here sleeps to wait for something: [`eventually`] asks again until a deadline. A panic
//! in an application's script fails the test that started it.

use std::time::{Duration, Instant};

mod admin;
mod conn;
mod control_plane;
mod mesh;
mod message;
mod namespace;
mod origin;
mod proxy;
mod secrets;

pub(crate) use conn::Conn;
pub(crate) use mesh::{Builder, Mesh};
pub(crate) use message::Answer;
pub(crate) use namespace::{Namespace, Who};
pub(crate) use origin::{Origin, chunked, ok};
pub(crate) use proxy::{Proxy, Starting};
pub(crate) use secrets::{Forger, Tunnel};

/// Nothing that is waited for takes longer, on a busy machine either.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Asks again until there is an answer; `what` is what did not happen.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < DEADLINE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
