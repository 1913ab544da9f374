//! The control plane: store, discovery, sessions with proxies, admin API, telemetry intake.

pub mod api;
pub mod departures;
pub mod home;
pub mod propagation;
pub mod proxies;
pub mod registration;
pub mod session;
pub mod store;
