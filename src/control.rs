//! The control plane: store, discovery, sessions with proxies, admin API, telemetry intake.
//!
//! `run` puts it together. A rule goes `api` → `store` → `hub` → `board` → `ads`; a workload comes in
//! by `agent` and goes when `departures` says so. Decisions (`session`, `propagation`, `convergence`, `proxies`,
//! `departures`, `intake`) are plain structs without I/O; tasks own them or lock them shortly.

mod ads;
mod agent;
pub mod api;
pub mod backup;
pub mod board;
mod callers;
pub mod conditions;
pub mod convergence;
pub mod departures;
pub mod describe;
pub mod exposition;
pub mod faults;
mod ground;
pub mod home;
pub mod hub;
pub mod identity;
pub mod intake;
pub mod joins;
mod plane;
pub mod pools;
pub mod propagation;
pub mod proxies;
mod refusals;
pub mod registration;
mod run;
mod scrape;
pub mod session;
pub mod status;
mod status_writer;
pub mod store;
mod stream;
mod throttle;

pub use run::{
    Addresses, CertificateError, ControlPlaneConfig, DEFAULT_TRUST_DOMAIN, KubernetesConfig,
    RunError, run, run_on_kubernetes,
};
