//! The three gRPC methods bound to tonic: discovery, the agent stream and signing.
//!
//! `service` serves them on streams that the caller accepted and authenticated itself, `client`
//! calls them over a stream that the caller opened itself: TLS, Unix sockets and identities are not
//! known in here. Who is at the other end travels with the stream as a [`Peer`]. Messages are
//! written by hand and encoded by prost, so there is neither a build script nor `protoc`.

use super::{agent, discovery, identity};

mod client;
mod messages;
mod outbound;
mod peer;
mod service;
#[cfg(test)]
mod tests;

pub use client::{Client, Keepalive, channel_over, client_over};
pub use peer::{Peer, PeerStream};
pub use service::{Outbound, StreamService, UnaryService, serve_stream, serve_unary};

/// The longest message in either direction; larger ones end the stream with RESOURCE_EXHAUSTED or
/// OUT_OF_RANGE before they are buffered.
pub const MESSAGE_BYTES: usize = 10 * 1024 * 1024;

/// A gRPC method: its path and what goes over it.
pub trait Method: Send + Sync + 'static {
    /// From client to server.
    type Request: prost::Message + Default + 'static;
    /// From server to client.
    type Response: prost::Message + Default + 'static;
    /// The part of the path between the slashes.
    const SERVICE: &'static str;
    /// The whole path.
    const PATH: &'static str;
}

/// Delta discovery, both directions streaming.
#[derive(Debug, Clone, Copy)]
pub struct Delta;

impl Method for Delta {
    type Request = discovery::DeltaRequest;
    type Response = discovery::DeltaResponse;
    const SERVICE: &'static str = "envoy.service.discovery.v3.AggregatedDiscoveryService";
    const PATH: &'static str = discovery::DELTA;
}

/// The agent stream, both directions streaming.
#[derive(Debug, Clone, Copy)]
pub struct Connect;

impl Method for Connect {
    type Request = agent::Up;
    type Response = agent::Down;
    const SERVICE: &'static str = "meshctl.v1.Agent";
    const PATH: &'static str = agent::CONNECT;
}

/// Signing, one message each way.
#[derive(Debug, Clone, Copy)]
pub struct Sign;

impl Method for Sign {
    type Request = identity::SignRequest;
    type Response = identity::SignResponse;
    const SERVICE: &'static str = "meshctl.v1.Identity";
    const PATH: &'static str = identity::SIGN;
}
