//! Clients that call without a pause, each over one kind of connection, and count what went wrong.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::{DEADLINE, eventually};

/// What the clients of one kind have seen.
#[derive(Default)]
struct Count {
    done: AtomicU64,
    stop: AtomicBool,
    failed: Mutex<Vec<String>>,
}

/// Clients of one kind.
pub(super) struct Load {
    kind: &'static str,
    count: Arc<Count>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Requests over HTTP/1.1 connections that are kept for as long as the proxy wants to.
    pub(super) fn keep_alive(outbound: SocketAddr) -> Self {
        Self::of("keep-alive", 4, move |count| {
            while !count.stop.load(Ordering::Relaxed) {
                let mut connection = BufReader::new(TcpStream::connect(outbound)?);
                while !count.stop.load(Ordering::Relaxed) {
                    let closes = request(&mut connection, "")?;
                    count.done.fetch_add(1, Ordering::Relaxed);
                    if closes {
                        break;
                    }
                }
            }
            Ok(())
        })
    }

    /// A connection for each request.
    pub(super) fn new_connections(outbound: SocketAddr) -> Self {
        Self::of("new connections", 2, move |count| {
            while !count.stop.load(Ordering::Relaxed) {
                let mut connection = BufReader::new(TcpStream::connect(outbound)?);
                request(&mut connection, "connection: close\r\n")?;
                count.done.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        })
    }

    /// Streams of HTTP/2, on a connection for as long as the proxy takes further ones.
    pub(super) fn http2(outbound: SocketAddr) -> Self {
        Self::of("HTTP/2", 1, move |count| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let streams = async {
                while !count.stop.load(Ordering::Relaxed) {
                    let stream = tokio::net::TcpStream::connect(outbound).await?;
                    let (mut client, connection) =
                        h2::client::handshake(stream).await.map_err(std::io::Error::other)?;
                    tokio::spawn(connection);
                    while !count.stop.load(Ordering::Relaxed) {
                        // Told to go elsewhere, before anything was sent.
                        let Ok(ready) = client.ready().await else { break };
                        client = ready;
                        let request = http::Request::get("http://two/x").body(()).expect("valid");
                        let sent = client.send_request(request, true);
                        let (answer, _) = sent.map_err(std::io::Error::other)?;
                        let answer = answer.await.map_err(std::io::Error::other)?;
                        if answer.status() != 200 {
                            return Err(std::io::Error::other(format!("{}", answer.status())));
                        }
                        count.done.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Ok(())
            };
            runtime.block_on(streams)
        })
    }

    fn of(
        kind: &'static str,
        clients: usize,
        run: impl Fn(&Count) -> std::io::Result<()> + Clone + Send + 'static,
    ) -> Self {
        let count = Arc::new(Count::default());
        let client = |_| {
            let (count, run) = (Arc::clone(&count), run.clone());
            std::thread::spawn(move || {
                if let Err(error) = run(&count) {
                    count.failed.lock().expect("no panic").push(error.to_string());
                }
            })
        };
        let clients = (0..clients).map(client).collect();
        Self { kind, count, clients }
    }

    /// Waits until so many more requests are answered.
    #[track_caller]
    pub(super) fn goes_on(&self) {
        let before = self.count.done.load(Ordering::Relaxed);
        eventually(self.kind, || {
            let failed = self.count.failed.lock().expect("no panic");
            assert!(failed.is_empty(), "{}: {failed:?}", self.kind);
            self.count.done.load(Ordering::Relaxed) >= before + 50
        });
    }

    /// Ends; not one request has failed.
    #[track_caller]
    pub(super) fn end(self) {
        self.count.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("no panic");
        }
        let failed = self.count.failed.lock().expect("no panic");
        assert!(failed.is_empty(), "{}: {failed:?}", self.kind);
    }
}

/// One request; whether the answer is the last of its connection.
pub(super) fn request(connection: &mut BufReader<TcpStream>, more: &str) -> std::io::Result<bool> {
    connection.get_ref().set_read_timeout(Some(DEADLINE))?;
    let head = format!("GET /x HTTP/1.1\r\nhost: reviews\r\n{more}\r\n");
    connection.get_mut().write_all(head.as_bytes())?;
    let (mut status, mut closes, mut length) = (String::new(), false, 0);
    connection.read_line(&mut status)?;
    loop {
        let mut line = String::new();
        connection.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        closes |= line == "connection: close";
        if let Some(said) = line.strip_prefix("content-length:") {
            length = said.trim().parse().map_err(std::io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body)?;
    match status.starts_with("HTTP/1.1 200 ") {
        true => Ok(closes),
        false => {
            Err(std::io::Error::other(format!("{:?} {:?}", status, String::from_utf8_lossy(&body))))
        }
    }
}
