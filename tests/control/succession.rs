//! Two processes of one proxy, one in the place of the other: the mesh has one proxy and never misses its
//! endpoint, whatever the older one says and whenever the newer one dies.

use meshctl::resource::{Key, Resource};
use meshctl::xds::agent::{Goodbye, Hello, Metrics, ProcessId, State, up};
use serde_json::Value;
use tonic::Code;

use super::rig::{DEADLINE, Joined, Mesh, Proxy, eventually};
use super::{TEN_TO_TWO, reviews, weights};

fn hello(joined: &Joined, pid: u32, succeeds: Option<u32>) -> Hello {
    let process = |pid| ProcessId { pid, started_ms: u64::from(pid) };
    Hello {
        pid,
        started_ms: u64::from(pid),
        succeeds: succeeds.map(process),
        ..joined.hello("reviews", "", "reviews-0")
    }
}

/// The state of the proxy, of which there is one, and how many endpoints are ready.
async fn seen(mesh: &Mesh) -> (String, u64) {
    let status = mesh.get("/v1/status").await;
    let proxies = status["proxies"].as_array().expect("a list");
    let ours: Vec<_> = proxies.iter().filter(|it| it["name"] == "reviews-0").collect();
    assert_eq!(ours.len(), 1, "{status}");
    let state = ours[0]["state"].as_str().expect("a word").to_owned();
    let services = status["services"].as_array().expect("a list");
    let service = services.iter().find(|it| it["name"] == "reviews").unwrap_or(&Value::Null);
    (state, service["endpoints"]["ready"].as_u64().unwrap_or_default())
}

/// One that serves, and is seen to.
async fn serving(mesh: &Mesh, joined: &Joined) -> Proxy {
    let mut older = joined.connect(hello(joined, 1, None)).await.expect("taken");
    older.ready().await;
    older.pump_until(async || (seen(mesh).await == ("Synced".to_owned(), 1)).then_some(())).await;
    older
}

/// Its agent stream ends, and not with an error.
async fn agent_ends(proxy: &mut Proxy) {
    let ending = async { while proxy.downs.message().await.expect("no error").is_some() {} };
    tokio::time::timeout(DEADLINE, ending).await.expect("it ends in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_is_the_proxy_and_its_predecessor_only_finishes() {
    let mesh = Mesh::start().await;
    let joined = mesh.join("reviews").await;
    let mut older = serving(&mesh, &joined).await;
    let stranger = joined.connect(hello(&joined, 2, None)).await;
    assert_eq!(stranger.err(), Some(Code::AlreadyExists), "it takes nobody's place");
    let wrong = joined.connect(hello(&joined, 2, Some(3))).await;
    assert_eq!(wrong.err(), Some(Code::AlreadyExists), "nor that of whoever is there");

    let mut newer = joined.connect(hello(&joined, 2, Some(1))).await.expect("taken");
    assert_eq!(seen(&mesh).await.1, 1, "as ready as it was");
    newer.ready().await;

    // The older one still learns what is new, and does not count.
    let key = Key::service(&reviews());
    older.want(&key).await;
    older.until(&key, |resource| resource.is_some()).await;
    newer.want(&key).await;
    newer.until(&key, |resource| resource.is_some()).await;
    let applied = mesh.apply(TEN_TO_TWO, false).await.expect("applied");
    let split = |resource: Option<&Resource>| weights(resource).len() == 2;
    newer.until(&key, split).await;
    let query = format!("/v1/propagation?revision={}", applied["revision"]);
    newer
        .pump_until(async || {
            let settled = mesh.get(&query).await;
            (settled["acknowledged"] == serde_json::json!(["default/reviews-0"])).then_some(())
        })
        .await;
    older.until(&key, split).await;

    // What it says of itself is of no weight any more.
    older.say(up::Message::State(State { draining: true, ..State::default() })).await;
    older.say(up::Message::Metrics(Metrics::default())).await;
    older.say(up::Message::Goodbye(Goodbye {})).await;
    agent_ends(&mut older).await;
    drop(older);
    assert_eq!(seen(&mesh).await, ("Synced".to_owned(), 1));

    newer.goodbye().await;
    eventually(async || {
        let status = mesh.get("/v1/status").await;
        let gone = status["proxies"].as_array().is_some_and(Vec::is_empty);
        gone.then_some(())
    })
    .await;
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_that_dies_gives_the_place_back() {
    let mesh = Mesh::start().await;
    let joined = mesh.join("reviews").await;
    let older = serving(&mesh, &joined).await;
    let newer = joined.connect(hello(&joined, 2, Some(1))).await.expect("taken");
    // Whether or not the control plane has heard of its death.
    for dead in [Some(newer), None] {
        let mut again = joined.connect(hello(&joined, 1, Some(2))).await.expect("taken back");
        assert_eq!(seen(&mesh).await.1, 1, "as ready as it was");
        again.ready().await;
        again
            .pump_until(async || (seen(&mesh).await == ("Synced".to_owned(), 1)).then_some(()))
            .await;
        drop(dead);
    }
    drop(older);
    mesh.stop().await;
}
