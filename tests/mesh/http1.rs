//! HTTP/1.1 through both sidecars: `web` calls `app`, whose application is a script.

use crate::support::{Mesh, Origin};

mod bodies;
mod connections;
mod interim;
pub(super) mod large;
mod upgrades;

/// `web`, which only calls, and `app`.
fn with(app: &Origin) -> Mesh {
    Mesh::new().caller("web").service("app", app).start()
}
