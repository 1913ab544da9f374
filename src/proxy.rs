//! The data plane: one file per stage of a request, named after it.
//!
//! Accept (`listener`) → detect → `inbound` or `outbound` → route (`service`) → choose an endpoint
//! (`cluster`, `balance`) → take or open a connection (`pool`, `connect`) → forward → record.
//! Nothing on the way of an HTTP/1.1 request takes a lock, sends through a channel, spawns a task
//! or allocates.

pub mod balance;
pub mod cluster;
pub mod h1;
pub mod head;
pub mod path;
pub mod service;
