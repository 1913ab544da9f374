//! How long a stream may be silent: as long as its connections live, unless somebody does not take
//! what there is for them.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use super::rig::{App, Does, Net, get, grpc, post};
use super::verdicts;
use crate::names::{Identity, Protocol};
use crate::proxy::h2::serve;
use crate::proxy::record::Caller;
use crate::proxy::serve::Origin;
use crate::proxy::serve::tests::rig::{pair, run, soon, worker};
use crate::proxy::stream::{Side, Stream};
use crate::proxy::worker::Worker;
use crate::resource::{ClusterPolicy, Retry, Timeouts};

fn net(app: &App) -> Net {
    Net::new(&[app], (Retry::DEFAULT, Timeouts::default()), ClusterPolicy::default())
}

/// Lets so much time pass, and everybody see it.
async fn pass(worker: &Worker, seconds: u64) {
    worker.slots.advance(worker.slots.now() + Duration::from_secs(seconds));
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

/// Waits until all that is on its way has arrived, without time going by.
async fn settle(worker: &Worker) {
    for _ in 0..1_000 {
        pass(worker, 0).await;
    }
}

async fn until(holds: impl Fn() -> bool) {
    soon(async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Streams ended after five minutes without a byte, watches of gRPC among them.
#[test]
fn a_stream_on_which_nobody_has_anything_to_say_lives_on() {
    run(async {
        let app = App::new(Does::Echo).await;
        let net = net(&app);
        net.stop_clock();
        let client = net.client().await;
        let mut begun = client.begin(grpc(), false).await;
        begun.send(b"one ", false).await;
        let mut answer = soon(&mut begun.answer).await.unwrap().into_body();
        assert_eq!(&soon(answer.data()).await.unwrap().unwrap()[..], b"one ");
        // Another one is not answered at all yet.
        app.does.set(Does::Hang);
        let waiting = client.begin(grpc(), true).await;
        until(|| app.count() == 2).await;
        for _ in 0..10 {
            pass(&net.worker, 301).await;
        }
        assert_eq!((net.counted(), app.lost.get()), (vec![], 0));
        begun.send(b"two", true).await;
        assert_eq!(&soon(answer.data()).await.unwrap().unwrap()[..], b"two");
        drop(waiting);
    });
}

#[test]
fn a_client_that_reads_nothing_ends_its_stream_and_the_endpoint_is_not_blamed() {
    run(async {
        let app = App::new(Does::Flood).await;
        let net = verdicts::net(&app, None);
        net.stop_clock();
        let client = net.client().await;
        let mut begun = client.begin(get(), true).await;
        let mut answer = soon(&mut begun.answer).await.unwrap().into_body();
        // Whoever reads now and then goes on.
        for _ in 0..5 {
            let mut read = 0;
            // A whole window, so that there is room for more.
            while read < 65_535 {
                let data = soon(answer.data()).await.unwrap().unwrap();
                read += data.len();
                answer.flow_control().release_capacity(data.len()).unwrap();
            }
            settle(&net.worker).await;
            pass(&net.worker, 250).await;
        }
        assert_eq!((net.counted(), app.lost.get()), (vec![], 0));
        pass(&net.worker, 49).await;
        assert_eq!(net.counted(), [], "it may still read");
        pass(&net.worker, 2).await;
        until(|| app.lost.get() == 1).await;
        assert_eq!(net.counted(), [(200, None, "request_timeout".to_owned(), 1)]);
        assert!(net.is_in());
    });
}

#[test]
fn an_endpoint_that_reads_nothing_ends_the_stream_and_is_blamed() {
    run(async {
        let app = App::new(Does::Hang).await;
        let net = verdicts::net(&app, None);
        net.stop_clock();
        let client = net.client().await;
        let mut begun = client.begin(post(), false).await;
        until(|| app.count() == 1).await;
        pass(&net.worker, 1_000).await;
        assert_eq!(net.counted(), [], "there is nothing to read yet");
        // More than the window of the application.
        begun.send(&[7; 100_000], false).await;
        settle(&net.worker).await;
        pass(&net.worker, 299).await;
        assert_eq!(net.counted(), [], "it may still read");
        pass(&net.worker, 2).await;
        let answer = begun.end().await.unwrap();
        assert_eq!((answer.status, answer.reason.as_deref()), (504, Some("request_timeout")));
        assert!(!net.is_in());
    });
}

/// A caller's sidecar with a stream to the application beside `worker`; it hears and says nothing
/// any more when it is told so.
async fn caller(worker: &Rc<Worker>) -> (super::rig::Client, Rc<Notify>) {
    let (client, accepted) = pair().await;
    let identity: Identity = "spiffe://cluster.local/ns/shop/sa/web".parse().unwrap();
    let caller = Caller::new(worker, worker.app.clone(), (Some(identity), None), Protocol::Http2);
    let (side, origin) = (Side::new(Stream::Plain(accepted)), Origin::Inbound(caller));
    tokio::task::spawn_local(serve(Rc::clone(worker), side, origin, Duration::from_secs(100_000)));
    let (send, connection) = h2::client::handshake(client).await.unwrap();
    let deaf = Rc::new(Notify::new());
    let told = Rc::clone(&deaf);
    tokio::task::spawn_local(async move {
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            _ = connection.as_mut() => {}
            () = told.notified() => std::future::pending().await,
        }
    });
    (super::rig::Client(send), deaf)
}

#[test]
fn a_caller_that_is_not_there_any_more_is_found_by_pings_and_a_quiet_one_stays() {
    run(async {
        let app = App::new(Does::Echo).await;
        let worker = worker(Some(app.address), Vec::new());
        let (client, deaf) = caller(&worker).await;
        let mut quiet = client.begin(grpc(), false).await;
        let mut answer = soon(&mut quiet.answer).await.unwrap().into_body();
        app.does.set(Does::Answer(200));
        for _ in 0..50 {
            // One look finds it silent and asks; what follows the answer to that comes after it.
            pass(&worker, 5).await;
            pass(&worker, 5).await;
            assert_eq!(client.ask(get(), &[]).await.unwrap().status, 200);
        }
        quiet.send(b"still here", false).await;
        assert_eq!(&soon(answer.data()).await.unwrap().unwrap()[..], b"still here");
        deaf.notify_one();
        let mut looks = 0;
        soon(async {
            while app.lost.get() == 0 {
                pass(&worker, 5).await;
                looks += 1;
            }
        })
        .await;
        assert!(looks >= 2, "it is asked before it is given up");
    });
}
