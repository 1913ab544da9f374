//! The pool: what is given out again, and what never is.

use std::task::Poll;

use tokio::io::AsyncWriteExt as _;
use tokio::task::coop;

use super::*;
use crate::proxy::serve::tests::rig::{pair, run, soon};
use crate::proxy::stream::Stream;

const NOW: Duration = Duration::from_secs(1);

fn upstream(stream: tokio::net::TcpStream) -> Upstream {
    let side = Side::new(Stream::Plain(stream));
    let (expires, idle_limit) = (MAX_AGE, MAX_AGE);
    Upstream { side, endpoint: 7, expires, idle_limit, carried: 1, permit: None }
}

/// Uses up what this task may do before others have their turn.
async fn tire() {
    std::future::poll_fn(|cx| {
        while coop::has_budget_remaining() {
            let _ = pin!(coop::consume_budget()).poll(cx);
        }
        Poll::Ready(())
    })
    .await;
}

#[test]
fn what_nobody_asked_for_is_never_given_out() {
    run(async {
        for unasked in [b"".as_slice(), b"HTTP/1.1 408 Request Timeout\r\n\r\n"] {
            let (mine, mut theirs) = pair().await;
            let mut pool = Pool::default();
            pool.give(upstream(mine), NOW);
            assert!(pool.take(8, NOW).is_none(), "another endpoint's");
            let kept = pool.take(7, NOW).expect("nothing has arrived");
            assert!(
                kept.is_reused() && kept.side.buffer.into_block().is_empty(),
                "no block is held"
            );
            let (mine, theirs_too) = pair().await;
            pool.give(upstream(mine), NOW);
            drop(std::mem::replace(&mut theirs, theirs_too));
            theirs.write_all(unasked).await.expect("sent");
            if unasked.is_empty() {
                theirs.shutdown().await.expect("closed");
            }
            soon(arrival(&pool)).await;
            tire().await;
            assert!(pool.take(7, NOW).is_none(), "{}", unasked.escape_ascii());
        }
    });
}

/// Waits until something has arrived at the connection that was given last.
async fn arrival(pool: &Pool) {
    let last = pool.idle.get(&7).and_then(|list| list.last()).expect("one is there");
    std::future::poll_fn(|cx| last.upstream.side.stream.poll_readable(cx)).await;
}

#[test]
fn age_and_idleness_end_a_connection() {
    run(async {
        for (expires, idle_limit) in [(NOW * 2, MAX_AGE), (MAX_AGE, NOW)] {
            let (mine, _theirs) = pair().await;
            let mut pool = Pool::default();
            pool.give(Upstream { expires, idle_limit, ..upstream(mine) }, NOW);
            pool.sweep(NOW);
            assert!(!pool.idle.is_empty());
            pool.sweep(NOW * 2);
            assert!(pool.idle.is_empty());
        }
    });
}
