//! Behaviour of a whole mesh on real sockets: what applications at both ends see, byte by byte.

mod attacks;
mod explain;
mod faults;
mod http1;
mod neighbours;
mod pools;
mod resilience;
mod routing;
mod security;
mod slow;
mod tcp;
mod telemetry;
mod wire;
