//! The Kubernetes platform: the API server is the store, the scheduler and the source of endpoints.
//!
//! Nothing of it is built again. What lies in here knows the API's objects; what they mean for the
//! mesh is said in the words of `mesh`. The control plane that uses it is in `control`.

pub mod authority;
pub mod client;
pub mod crds;
pub mod discovery;
pub mod inject;
mod made;
pub mod manifests;
mod naming;
pub mod objects;
pub mod owned;
pub mod partial;
pub mod preview;
pub mod rights;
pub mod rollout;
pub mod roots;
pub mod rules;
pub mod survey;
pub mod tokens;
pub mod trial;
pub mod versions;
pub mod webhook;
