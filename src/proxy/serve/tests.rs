//! What an idle connection costs.

use std::future::Future;

use crate::proxy::{inbound, outbound};

/// What a function's future takes, without making one.
fn size_of_future<A, B, F: Future>(_: impl Fn(A, B) -> F) -> usize {
    size_of::<F>()
}

/// DESIGN.md promises 2 to 4 KiB for an idle connection, its task included.
#[test]
fn the_task_of_a_connection_is_small() {
    assert!(size_of_future(inbound::serve) <= 3 * 1024, "{}", size_of_future(inbound::serve));
    assert!(size_of_future(outbound::serve) <= 3 * 1024, "{}", size_of_future(outbound::serve));
}
