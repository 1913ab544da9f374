//! The data plane: one file per stage of a request, named after it.
//!
//! Beside the request path lies what feeds it: `directory` (the configuration, one cell per
//! service), `control` (discovery and agent streams), `join`, `last_good`, `admin`, `command`,
//! `ready`; `run` ties all of it into one process.

pub mod cluster;
pub mod directory;
pub mod last_good;
pub mod run;
pub mod service;
