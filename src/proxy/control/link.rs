//! One connection to the control plane: TCP, mutual TLS, both streams over it.
//!
//! Accepts nobody but the control plane's identity. A peer that is frozen is found out by HTTP/2
//! PINGs within 30 s. Goes in: where and as whom; comes out: an open [`Link`] or why there is none,
//! with the time that the server asked to be left alone for.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::certs::{Tls, failure_of};
use crate::names::Identity;
use crate::xds::agent::{Down, Up, up};
use crate::xds::discovery::{DeltaRequest, DeltaResponse};
use crate::xds::grpc::{Client, client_over};

/// TCP, TLS and both streams together.
const OPENING: Duration = Duration::from_secs(10);

/// Messages on their way out, per stream. Acknowledgements are few; when the control plane does
/// not read, the link is given up rather than that memory grows.
pub(super) const OUTGOING: usize = 1024;

/// How long a server may ask to be left alone.
const LONGEST_PUSHBACK: Duration = Duration::from_secs(60);

/// The metadata key of gRPC's retry pushback (gRFC A6), milliseconds.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// Both streams, open.
pub(super) struct Link {
    /// Where it leads, `host:port`.
    pub(super) address: String,
    /// For unary calls over the same connection.
    pub(super) client: Client,
    pub(super) requests: mpsc::Sender<DeltaRequest>,
    pub(super) responses: Streaming<DeltaResponse>,
    pub(super) ups: mpsc::Sender<Up>,
    pub(super) downs: Streaming<Down>,
    /// The first of `downs`, where it was waited for.
    welcome: Option<Down>,
}

/// What comes over a link.
pub(super) enum Message {
    Response(DeltaResponse),
    Down(Down),
    /// One of the streams has ended, with the reason where one was given.
    Closed(Option<Status>),
}

impl Link {
    /// The next message of either stream; cancel safe. Pends for ever without a link.
    pub(super) async fn message(link: &mut Option<Box<Self>>) -> Message {
        let Some(link) = link else { return std::future::pending().await };
        if let Some(welcome) = link.welcome.take() {
            return Message::Down(welcome);
        }
        let closed = |outcome: Result<(), Status>| Message::Closed(outcome.err());
        tokio::select! {
            response = link.responses.message() => match response {
                Ok(Some(response)) => Message::Response(response),
                Ok(None) => closed(Ok(())),
                Err(status) => closed(Err(status)),
            },
            down = link.downs.message() => match down {
                Ok(Some(down)) => Message::Down(down),
                Ok(None) => closed(Ok(())),
                Err(status) => closed(Err(status)),
            },
        }
    }
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error("{}", .0.message())]
    Refused(Box<Status>),
    #[error("no answer within {} s", OPENING.as_secs())]
    Timeout,
}

impl LinkError {
    /// How long the server asked to be left alone for.
    pub(super) fn pushback(&self) -> Option<Duration> {
        let Self::Refused(status) = self else { return None };
        pushback(status)
    }
}

/// How long a refusal asks to be left alone for, within bounds.
pub(super) fn pushback(status: &Status) -> Option<Duration> {
    let millis = status.metadata().get(PUSHBACK)?.to_str().ok()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(millis).min(LONGEST_PUSHBACK))
}

impl From<Status> for LinkError {
    fn from(status: Status) -> Self {
        Self::Refused(Box::new(status))
    }
}

/// Opens both streams; `hello` and `requests` are the first messages on them.
pub(super) async fn open(
    address: &str,
    tls: &Arc<Tls>,
    hello: Up,
    requests: Vec<DeltaRequest>,
) -> Result<Link, LinkError> {
    let opening = open_streams(address, tls, hello, requests);
    tokio::time::timeout(OPENING, opening).await.map_err(|_| LinkError::Timeout)?
}

async fn open_streams(
    address: &str,
    tls: &Arc<Tls>,
    hello: Up,
    first: Vec<DeltaRequest>,
) -> Result<Link, LinkError> {
    let mut client = call(address, tls).await?;
    let (ups, outgoing) = mpsc::channel(OUTGOING);
    let succeeds =
        matches!(&hello.message, Some(up::Message::Hello(hello)) if hello.succeeds.is_some());
    // A fresh queue has room for the few first messages.
    let _ = ups.try_send(hello);
    let mut downs = client.connect(ReceiverStream::new(outgoing)).await?;
    // Until it is registered, discovery under its name is that of the process before it.
    let welcome = if succeeds { downs.message().await? } else { None };
    let (requests, outgoing) = mpsc::channel(OUTGOING);
    for request in first {
        let _ = requests.try_send(request);
    }
    let responses = client.delta(ReceiverStream::new(outgoing)).await?;
    Ok(Link { address: address.to_owned(), client, requests, responses, ups, downs, welcome })
}

/// A connection for calls, by the certificate in use.
pub(super) async fn call(address: &str, tls: &Arc<Tls>) -> Result<Client, Status> {
    // Connected here and not by the channel, so that what TLS refused is said in its own words; and
    // within a time of its own, because who accepts and stays silent is found out by nobody else.
    let connecting = tokio::time::timeout(OPENING, connect(address, tls)).await;
    let connected = connecting.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let stream = connected.map_err(|error| {
        let why = failure_of(&error).map(|failure| format!(" ({})", failure.as_str()));
        Status::unavailable(format!("{error}{}", why.unwrap_or_default()))
    })?;
    Ok(client_over(stream))
}

/// Connects to `host:port`, looked up anew.
async fn connect(address: &str, tls: &Arc<Tls>) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let expected = Identity::of_control_plane(tls.credentials().identity().trust_domain.clone());
    let config = tls.client_config(&expected, &[b"h2"]);
    // For reading only: who answers is decided by the certificate's URI.
    let name =
        ServerName::try_from("control-plane.meshctl-system").expect("the name is a DNS name");
    TlsConnector::from(config).connect(name, stream).await
}
