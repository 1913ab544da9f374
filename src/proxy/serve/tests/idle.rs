//! A connection that has been idle for a while: it has let go of what it needs for requests, and is
//! none the worse for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::rig::{self, Rig, read_until, run};
use crate::proxy::serve::idle::Asleep;
use crate::proxy::serve::serve;

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: web\r\n\r\n";

/// Longer than the moment in which a connection is ready for the next request.
const PAUSE: Duration = Duration::from_secs(2);

/// A connection that has carried one request, and the application's end of the other one.
async fn after_a_request(rig: &Rig) -> (TcpStream, TcpStream) {
    let (mut client, mut app) = rig.call(REQUEST).await;
    answer(&mut client, &mut app).await;
    (client, app)
}

async fn answer(client: &mut TcpStream, app: &mut TcpStream) {
    read_until(app, "\r\n\r\n").await;
    app.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await.unwrap();
    read_until(client, "hi").await;
}

/// How many hold the application's endpoint, which a request that has gone there does.
fn held(rig: &Rig) -> usize {
    rig.worker.app.as_ref().map_or(0, Arc::strong_count)
}

/// Lets time pass until the connection sleeps.
async fn asleep(rig: &Rig) {
    let awake = held(rig);
    let now = rig.worker.slots.now();
    rig.worker.slots.advance(now + PAUSE);
    let let_go = async {
        while held(rig) == awake {
            tokio::task::yield_now().await;
        }
    };
    rig::soon(let_go).await;
}

#[test]
fn one_that_sleeps_lets_go_of_the_last_request_and_answers_the_next() {
    run(async {
        let rig = Rig::new().await;
        let (mut client, mut app) = after_a_request(&rig).await;
        for _ in 0..3 {
            asleep(&rig).await;
            client.write_all(REQUEST.as_bytes()).await.unwrap();
            answer(&mut client, &mut app).await;
        }
        assert_eq!(rig.worker.slots.in_use(), 1);
    });
}

#[test]
fn one_whose_next_request_comes_soon_does_not_sleep() {
    run(async {
        let rig = Rig::new().await;
        let (mut client, mut app) = after_a_request(&rig).await;
        for _ in 0..10 {
            let awake = held(&rig);
            let now = rig.worker.slots.now();
            rig.worker.slots.advance(now + Duration::from_millis(500));
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            assert_eq!(held(&rig), awake);
            client.write_all(REQUEST.as_bytes()).await.unwrap();
            answer(&mut client, &mut app).await;
        }
    });
}

#[test]
fn one_that_sleeps_ends_in_its_time_and_when_the_proxy_does() {
    run(async {
        for drains in [false, true] {
            let rig = Rig::new().await;
            let (mut client, _app) = after_a_request(&rig).await;
            asleep(&rig).await;
            match drains {
                true => rig.worker.slots.close(),
                false => rig.worker.slots.advance(Duration::from_secs(290)),
            }
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            assert_eq!(rig.worker.slots.in_use(), usize::from(!drains), "not before its time");
            if !drains {
                rig.worker.slots.advance(Duration::from_secs(302));
            }
            assert_eq!(rig.to_the_end(&mut client).await.0, b"");
        }
    });
}

/// An idle connection of HTTP/1.1 is its task, what is left of it asleep, and the socket.
#[test]
fn one_that_sleeps_takes_little() {
    fn size_of_future<A, F: Future>(_: impl Fn(A) -> F) -> usize {
        size_of::<F>()
    }
    assert!(size_of_future(serve) <= 64, "{}", size_of_future(serve));
    assert!(size_of::<Asleep>() <= 224, "{}", size_of::<Asleep>());
}
