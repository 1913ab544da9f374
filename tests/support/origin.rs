//! Applications that are scripts: a listener, a thread per connection, what was asked of them kept.

use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::Conn;
use super::message::Request;

/// An answer to be written as it stands.
pub(crate) type Reply = String;

/// An application; it ends with the value.
pub(crate) struct Origin {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    gone: AtomicBool,
    connections: AtomicUsize,
    requests: Mutex<Vec<Request>>,
    failures: Mutex<Vec<String>>,
}

impl Origin {
    /// One whose connections each run `script`, which gets the number of the connection.
    pub(crate) fn scripted(script: impl Fn(&mut Conn, usize) + Send + Sync + 'static) -> Self {
        Self::start(move |conn, number, _| script(conn, number))
    }

    /// One that reads requests and answers each with what `answer` makes of it.
    pub(crate) fn http(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(move |conn, _, state| {
            while let Some(request) = conn.request() {
                let reply = answer(&request);
                state.requests.lock().expect("no panic while held").push(request);
                if conn.try_send(reply).is_err() {
                    return;
                }
            }
        })
    }

    /// As [`Origin::saying`], for so many requests that they cannot be kept.
    pub(crate) fn forgetful(text: &'static str) -> Self {
        Self::start(
            move |conn, _, _| while conn.request().is_some() && conn.try_send(ok(text)).is_ok() {},
        )
    }

    /// One that answers everything with 200 and `text`.
    pub(crate) fn saying(text: &'static str) -> Self {
        Self::http(move |_| ok(text))
    }

    fn start(script: impl Fn(&mut Conn, usize, &State) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(State::default());
        let (shared, script) = (Arc::clone(&state), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.gone.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let number = shared.connections.fetch_add(1, Ordering::SeqCst);
                let (state, script) = (Arc::clone(&shared), Arc::clone(&script));
                std::thread::spawn(move || {
                    stream.set_nodelay(true).expect("a TCP socket");
                    let mut conn = Conn::new(stream);
                    let run = AssertUnwindSafe(|| script(&mut conn, number, &state));
                    if let Err(panic) = catch_unwind(run) {
                        let text = panic.downcast_ref::<String>().cloned();
                        let text = text.unwrap_or_else(|| "a script panicked".to_owned());
                        state.failures.lock().expect("no panic while held").push(text);
                    }
                });
            }
        });
        Self { address, state }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has accepted.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// What it was asked so far (not by scripts, which look for themselves).
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.state.requests.lock().expect("no panic while held").clone()
    }

    /// The last of [`Self::requests`].
    #[track_caller]
    pub(crate) fn last(&self) -> Request {
        self.requests().pop().expect("it was asked something")
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.state.gone.store(true, Ordering::SeqCst);
        // The listener waits; one more connection lets it see that it is over.
        let _ = std::net::TcpStream::connect(self.address);
        let failures = self.state.failures.lock().expect("no panic while held").clone();
        if !std::thread::panicking() {
            assert!(failures.is_empty(), "the application's script failed: {failures:?}");
        }
    }
}

/// 200 with a length.
pub(crate) fn ok(body: &str) -> Reply {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// One chunk.
pub(crate) fn chunked(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}
