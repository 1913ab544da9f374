//! The control plane: store, discovery, sessions with proxies, admin API, telemetry intake.

pub mod api;
pub mod home;
pub mod registration;
pub mod store;
