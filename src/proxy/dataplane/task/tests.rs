//! What a connection costs as a task, whatever it is.

use super::*;

/// What a function's future takes, without making one.
fn size_of_future<A, B, C, F: Future>(_: impl Fn(A, B, C) -> F) -> usize {
    size_of::<F>()
}

/// It lives as long as a tunnel does.
#[test]
fn how_a_connection_arrives_is_small_whatever_it_is() {
    let size = size_of_future(arrive);
    assert!(size <= 640, "{size}");
}

#[test]
fn a_task_is_small_whatever_the_connection_is() {
    let size = size_of_future(task);
    assert!(size <= 128, "{size}");
}
