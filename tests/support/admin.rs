//! The admin API of the control plane, over its Unix socket: JSON in, JSON out.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::conn::Socket;
use super::{Conn, Mesh, eventually};

impl Socket for UnixStream {
    fn finish(&mut self) {
        // The other side may have gone already.
        let _ = self.shutdown(std::net::Shutdown::Write);
    }

    fn patience(&mut self, limit: Duration) {
        self.set_read_timeout(Some(limit)).expect("a limit above zero");
    }
}

impl Mesh {
    fn admin(&self, line: &str, body: &str) -> (u16, Value) {
        let stream = UnixStream::connect(self.home().admin_socket()).expect("it serves");
        let length = body.len();
        let answer = Conn::new(stream).ask(format!(
            "{line} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        ));
        (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    /// `GET`; what is wrong is a failure.
    #[track_caller]
    pub(crate) fn read(&self, path: &str) -> Value {
        let (status, body) = self.admin(&format!("GET {path}"), "");
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// `POST`.
    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.admin(&format!("POST {path}"), &body.to_string())
    }

    /// Applies rules, and gives the revision.
    #[track_caller]
    pub(crate) fn apply(&self, rules: &str) -> u64 {
        let body = json!({
            "sources": [{"name": "rules.yaml", "text": rules}],
            "namespace": "default",
            "actor": "test",
        });
        let (status, answer) = self.post("/v1/apply", &body);
        assert_eq!(status, 200, "{answer:#}");
        answer["revision"].as_u64().expect("a revision")
    }

    /// Applies rules and waits, as `apply --wait` does, until every proxy that is concerned has
    /// acknowledged them.
    #[track_caller]
    pub(crate) fn change(&self, rules: &str) {
        let revision = self.apply(rules);
        eventually("the change has arrived", || self.is_settled(revision).then_some(()));
    }

    /// Whether all who are concerned have acknowledged a revision; a refusal is a failure.
    #[track_caller]
    pub(crate) fn is_settled(&self, revision: u64) -> bool {
        let said = self.read(&format!("/v1/propagation?revision={revision}"));
        let empty = |field: &str| said[field].as_array().is_some_and(Vec::is_empty);
        assert!(empty("rejected"), "refused: {said:#}");
        said["compiled"] == true && empty("pending")
    }

    /// The status of one service.
    pub(crate) fn service(&self, name: &str) -> Option<Value> {
        let status = self.read("/v1/status");
        let services = status["services"].as_array()?;
        services.iter().find(|one| one["name"] == name).cloned()
    }
}
