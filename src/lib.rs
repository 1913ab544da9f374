//! meshctl: a service mesh in one binary. This library holds all of it; `main.rs` is a thin shell.
//!
//! Reading order is data-flow order. A rule goes `rules` → `mesh` → `compile` → `resource` → `xds`
//! → `proxy`; a request never leaves `proxy`. Who may use whom is kept by `tests/tidy.rs`.

pub mod certs;
pub mod cli;
pub mod compile;
pub mod control;
pub mod explain;
pub mod mesh;
pub mod names;
pub mod net;
pub mod platform;
pub mod proxy;
pub mod resource;
pub mod rules;
pub mod telemetry;
pub mod xds;
