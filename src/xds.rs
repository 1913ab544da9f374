//! What goes over the wire between control plane and proxies: protobuf messages, the encoding of
//! each resource, the gRPC services, and both ends of a delta subscription as machines without I/O.
//!
//! `discovery` is the public delta-xDS subset (same field numbers as `envoy.service.discovery.v3`),
//! `agent` and `identity` are our own services, `codec` turns resources into bytes and back,
//! `grpc` binds services and clients to tonic.

pub mod agent;
pub mod codec;
pub mod discovery;
pub mod grpc;
pub mod identity;
pub mod subscription;
