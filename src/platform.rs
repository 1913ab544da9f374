//! Where the mesh runs: local (a background process) now, Kubernetes later.

pub mod local;
