//! Streams that misbehave: what they may not ask for, and that they hold up nobody else.

use meshctl::resource::{Key, Kind};
use meshctl::xds::discovery::{DeltaRequest, Node};
use tokio_stream::StreamExt as _;
use tonic::Code;

use super::rig::{DEADLINE, Joined, Mesh, eventually};
use super::{TEN_TO_TWO, reviews, weights};

/// Opens a discovery stream alone as this node, asks for services; what it ends with.
async fn discover(joined: &Joined, node: &str, services: &[String]) -> Code {
    let id = Node { id: node.to_owned(), ..Node::default() };
    let request = move |names: &[String]| DeltaRequest {
        node: Some(id.clone()),
        type_url: Kind::Service.type_url().into(),
        subscribe: names.to_vec(),
        ..DeltaRequest::default()
    };
    // What is too long for one message comes in many.
    let requests: Vec<_> = services.chunks(4_000).map(request).collect();
    let outbound = tokio_stream::iter(requests).chain(tokio_stream::pending());
    let ending = async {
        let mut responses = joined.client().delta(outbound).await?;
        while responses.message().await?.is_some() {}
        Err::<(), _>(tonic::Status::ok("it ended"))
    };
    let ended = tokio::time::timeout(DEADLINE, ending).await.expect("it ends in time");
    ended.err().map_or(Code::Ok, |status| status.code())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_another_proxys_or_too_much_ends_the_stream() {
    let mesh = Mesh::start().await;
    let web = mesh.join("web").await;
    let reviews = mesh.join("reviews").await;
    let mut own = reviews.connect(reviews.hello("reviews", "", "reviews-0")).await.expect("taken");
    own.ready().await;
    let node = discover(&web, "default/reviews-0", &["mesh".to_owned()]).await;
    assert_eq!(node, Code::PermissionDenied, "its node id is another's");
    let _web = web.connect(web.hello("web", "", "web-0")).await.expect("taken");
    let million: Vec<_> = (0..1_000_000).map(|name| format!("default/s{name}")).collect();
    let refused = discover(&web, "default/web-0", &million).await;
    assert_eq!(refused, Code::ResourceExhausted);
    let metrics = mesh.text("/metrics").await;
    for reason in ["permission_denied", "resource_exhausted"] {
        let line = format!("{{what=\"discovery\",reason=\"{reason}\"}}");
        assert!(metrics.contains(&line), "{reason}: {metrics}");
    }
    mesh.stop().await;
}

/// A consumer that stops reading: it is seen to be behind, and nobody else is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stops_reading_holds_up_nobody_else() {
    let mesh = Mesh::start().await;
    let mut stuck = mesh.proxy("stuck", "").await;
    let mut web = mesh.proxy("web", "").await;
    let mut v1 = mesh.proxy("reviews", "v1").await;
    let mut v2 = mesh.proxy("reviews", "v2").await;
    for proxy in [&mut stuck, &mut web, &mut v1, &mut v2] {
        proxy.ready().await;
    }
    let key = Key::service(&reviews());
    for proxy in [&mut stuck, &mut web] {
        proxy.want(&key).await;
        proxy.until(&key, |resource| resource.is_some()).await;
    }
    // From here on nobody looks at what comes for it.
    for weight in 11..41 {
        let rules = TEN_TO_TWO.replace("weight: 10", &format!("weight: {weight}"));
        mesh.apply(&rules, false).await.expect("applied");
        let wanted = [("reviews-v1".to_owned(), weight), ("reviews-v2".to_owned(), 2)];
        web.until(&key, |resource| weights(resource) == wanted).await;
    }
    eventually(async || {
        let status = mesh.get("/v1/status").await;
        let proxies = status["proxies"].as_array()?.clone();
        let state = |name: &str| proxies.iter().find(|it| it["name"] == name)?["state"].as_str();
        (state("stuck-0") == Some("Pending") && state("web-0") == Some("Synced")).then_some(())
    })
    .await;
    let last = [("reviews-v1".to_owned(), 40), ("reviews-v2".to_owned(), 2)];
    stuck.until(&key, |resource| weights(resource) == last).await;
    mesh.stop().await;
}
