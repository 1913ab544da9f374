//! One connection of HTTP/2 by hand, frame by frame, and an application that keeps one answer open.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use tokio::sync::Semaphore;

use super::DEADLINE;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;

/// An application that speaks HTTP/2. At `/` it answers with one byte, and with the rest when it is told
/// to; anywhere else at once.
pub(super) fn application() -> (SocketAddr, Arc<Semaphore>) {
    let finish = Arc::new(Semaphore::new(0));
    let told = Arc::clone(&finish);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let serving = async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(serve(tcp, Arc::clone(&told)));
            }
        };
        runtime.enable_all().build().expect("a runtime").block_on(serving);
    });
    (address, finish)
}

async fn serve(tcp: tokio::net::TcpStream, told: Arc<Semaphore>) {
    let mut connection = h2::server::handshake(tcp).await.expect("a client");
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let told = Arc::clone(&told);
        tokio::spawn(async move {
            let waits = request.uri().path() == "/";
            // The client may have gone.
            let Ok(mut body) = respond.send_response(Response::new(()), !waits) else { return };
            if waits {
                let _ = body.send_data(Bytes::from_static(b"."), false);
                let _permit = told.acquire().await.expect("never closed");
                let _ = body.send_data(Bytes::from_static(b"the end"), true);
            }
        });
    }
}

/// A connection with one request.
pub(super) struct Connection {
    stream: TcpStream,
    goaways: Vec<u32>,
    data: Vec<u8>,
}

impl Connection {
    /// Asks `service` for `/` on stream 1.
    pub(super) fn open(outbound: SocketAddr, service: &str) -> Self {
        let mut stream = TcpStream::connect(outbound).expect("connects");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("sent");
        // RFC 7541, appendix A: GET, http and `/` by their index, the authority written out.
        let mut block = vec![0x82, 0x86, 0x84, 0x01, u8::try_from(service.len()).expect("short")];
        block.extend(service.as_bytes());
        let mut connection = Self { stream, goaways: Vec::new(), data: Vec::new() };
        connection.send(SETTINGS, 0, 0, &[]);
        connection.send(HEADERS, 0x5, 1, &block);
        connection
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        // It may have been closed just now; what was said before is still to be read.
        let _ = self.stream.write_all(&frame);
    }

    /// Takes one frame, and answers as a client must; `false` at the end.
    fn take(&mut self) -> bool {
        let mut head = [0; 9];
        if self.stream.read_exact(&mut head).is_err() {
            return false;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).expect("fits")];
        self.stream.read_exact(&mut payload).expect("a whole frame");
        match (head[3], head[4] & ACK) {
            (SETTINGS, 0) => self.send(SETTINGS, ACK, 0, &[]),
            (PING, 0) => self.send(PING, ACK, 0, &payload),
            (DATA, _) => self.data.extend(payload),
            (GOAWAY, _) => {
                let last = payload[..4].try_into().expect("four bytes");
                self.goaways.push(u32::from_be_bytes(last));
            }
            _ => {}
        }
        true
    }

    /// Goes on until the answer has begun.
    #[track_caller]
    pub(super) fn until_data(&mut self) {
        while self.data.is_empty() {
            assert!(self.take(), "the connection ended");
        }
    }

    /// Goes on until GOAWAY was said so often; the last streams that it named.
    #[track_caller]
    pub(super) fn until_goaways(&mut self, count: usize) -> Vec<u32> {
        while self.goaways.len() < count {
            assert!(self.take(), "the connection ended after {:?}", self.goaways);
        }
        self.goaways.clone()
    }

    /// What else comes, to the end of the connection.
    pub(super) fn rest(mut self) -> Vec<u8> {
        self.data.clear();
        while self.take() {}
        self.data
    }
}
