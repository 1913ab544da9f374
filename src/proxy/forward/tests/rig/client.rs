//! The application that calls: what it sends, what it gets.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::message;
use crate::proxy::serve::tests::rig::soon;

/// Its connection to the proxy.
pub(in crate::proxy::forward::tests) struct Client {
    stream: TcpStream,
    ahead: Vec<u8>,
}

impl Client {
    /// The client's end of a connection.
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, ahead: Vec::new() }
    }

    pub(in crate::proxy::forward::tests) async fn send(&mut self, bytes: &str) {
        self.stream.write_all(bytes.as_bytes()).await.expect("sent");
    }

    pub(in crate::proxy::forward::tests) async fn ask(&mut self, request: &str) -> (u16, String) {
        self.send(request).await;
        self.answer().await
    }

    /// Reads until `text` has come.
    pub(in crate::proxy::forward::tests) async fn reads(&mut self, text: &str) {
        while !String::from_utf8_lossy(&self.ahead).contains(text) {
            let count = soon(self.stream.read_buf(&mut self.ahead)).await.expect("read");
            assert!(count > 0, "it ended before `{text}`");
        }
    }

    /// Everything until the end.
    pub(in crate::proxy::forward::tests) async fn rest(&mut self) -> String {
        let mut read = std::mem::take(&mut self.ahead);
        soon(async { while self.stream.read_buf(&mut read).await.unwrap_or(0) > 0 {} }).await;
        String::from_utf8(read).expect("text")
    }

    /// Status, and head with body.
    pub(in crate::proxy::forward::tests) async fn answer(&mut self) -> (u16, String) {
        let answer = soon(message(&mut self.stream, &mut self.ahead)).await;
        let (head, body) = answer.expect("an answer before the end");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        (status.expect("a status"), head + &body)
    }
}
