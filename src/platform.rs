//! Where the mesh runs: local (a background process) or Kubernetes; and what both share, capture.

pub mod capture;
pub mod kubernetes;
pub mod local;
