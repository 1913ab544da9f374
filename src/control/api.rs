//! The admin API on the Unix socket of the home directory.

use std::sync::Arc;

use crate::control::plane::Plane;

pub mod shapes;

pub(super) fn router(plane: &Arc<Plane>) -> axum::Router {
    axum::Router::new().with_state(Arc::clone(plane))
}
