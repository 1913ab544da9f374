//! Requests without pause from inside a pod, so that whatever a test does meanwhile is done under load.
//!
//! The client is `load.py`, given to the pod's `python3`. It goes on until it has sent at least so
//! many requests and its standard input is closed.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::process::{Child, Command, Stdio};

use serde::Deserialize;

use super::Namespace;

const CLIENT: &str = include_str!("load.py");

/// A load that is running.
pub(crate) struct Load {
    client: Child,
}

/// What a load came to.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    pub(crate) requests: u64,
    /// Everything but a 200, with the time since the start.
    pub(crate) failures: Vec<String>,
    /// How often each body was the answer.
    pub(crate) bodies: BTreeMap<String, u64>,
}

impl Load {
    /// How many requests each test sends at least: few in every run, many in `.ci/soak`.
    pub(crate) fn requests() -> u64 {
        let given = std::env::var("MESHCTL_TEST_REQUESTS");
        given.map_or(1000, |text| text.parse().expect("MESHCTL_TEST_REQUESTS is a number"))
    }

    /// Calls a URL from a pod (or `deployment/NAME`), over this many connections at once.
    pub(crate) fn start(within: &Namespace<'_>, from: &str, url: &str, connections: u32) -> Self {
        let mut client = Command::new("kubectl");
        client.args(["--namespace", &within.name, "exec", "--stdin", from, "--", "python3", "-c"]);
        client.args([CLIENT, url, &Self::requests().to_string(), &connections.to_string()]);
        client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut client = client.spawn().expect("kubectl runs");
        // Its first word says that a request was answered: what follows happens under load.
        let mut begun = [0; 1];
        let stdout = client.stdout.as_mut().expect("piped");
        if stdout.read_exact(&mut begun).is_err() {
            let mut why = String::new();
            let _ = client.stderr.as_mut().expect("piped").read_to_string(&mut why);
            panic!("the load did not begin: {why}");
        }
        Self { client }
    }

    /// Lets it come to its number, ends it, and says what it saw.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Report {
        drop(self.client.stdin.take());
        let output = self.client.wait_with_output().expect("it ends");
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the load failed: {why}");
        serde_json::from_slice(&output.stdout).expect("the client reports in JSON")
    }
}

impl Report {
    /// Fails the test where any request failed, or where fewer were sent than were asked for.
    #[track_caller]
    pub(crate) fn is_without_failure(&self) {
        assert!(self.requests >= Load::requests(), "{self:?}");
        let shown: Vec<_> = self.failures.iter().take(10).collect();
        let (failed, of) = (self.failures.len(), self.requests);
        assert!(failed == 0, "{failed} of {of} requests failed: {shown:#?}");
    }
}
