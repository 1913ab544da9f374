//! The data plane: one file per stage of a request, named after it.
//!
//! Accept (`listener`) → detect → `inbound` or `outbound` → route (`service`) → choose an endpoint
//! (`cluster`, `balance`) → take or open a connection (`pool`, `connect`) → forward → record.
//! Nothing on the way of an HTTP/1.1 request takes a lock, sends through a channel, spawns a task
//! or allocates.
//!
//! Beside that way lies what feeds it, on a thread of its own: `directory` (the configuration, a
//! cell per service), `control` (discovery and agent streams), `join`, `last_good`, `admin`,
//! `command`, `ready`; `run` ties all of it into one process.

pub mod balance;
pub mod cluster;
pub mod directory;
pub mod h1;
pub mod head;
pub mod join;
pub mod last_good;
pub mod path;
pub mod pool;
pub mod pump;
pub mod run;
pub mod service;
pub mod slots;
pub mod stream;
