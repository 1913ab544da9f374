//! What proxies say of pools is shown while they are there, and orders go to those that it concerns.

use std::time::Duration;

use meshctl::resource::Key;
use meshctl::xds::agent::command::Action;
use meshctl::xds::agent::{Breaker, EndpointOrder, Pool, PoolEndpoint, Pools, state, up};
use serde_json::{Value, json};

use super::reviews;
use super::rig::{Mesh, Proxy, eventually};

fn saying(state: &str) -> Pools {
    let out = PoolEndpoint {
        workload: "reviews-0".to_owned(),
        address: "127.0.0.1:40000".to_owned(),
        state: state.to_owned(),
        why: "5 errors in a row, the last was 503".to_owned(),
        since_ms: 1_700_000_000_000,
        until_ms: 1_700_000_030_000,
        ejections: 1,
        spared: false,
    };
    let refused = [("max_requests".to_owned(), 12)].into();
    let breaker = Breaker { open: true, refused, last_ms: 1_700_000_000_000, ..Breaker::default() };
    let pool = Pool {
        service: "default/reviews".to_owned(),
        breaker: Some(breaker),
        endpoints: vec![out],
        total: 1,
        over_budget: 4,
        ejections: 3,
        ..Pool::default()
    };
    Pools { pools: vec![pool] }
}

async fn service(mesh: &Mesh) -> Option<Value> {
    let status = mesh.get("/v1/status").await;
    let services = status["services"].as_array()?.clone();
    services.into_iter().find(|it| it["name"] == "reviews")
}

/// One that calls `reviews`.
async fn caller(mesh: &Mesh, name: &str) -> Proxy {
    let mut proxy = mesh.named_proxy("web", "", name).await;
    proxy.ready().await;
    let key = Key::cluster(&reviews());
    proxy.want(&key).await;
    proxy.until(&key, |resource| resource.is_some()).await;
    proxy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_is_shown_as_its_caller_has_it_and_only_while_that_is_there() {
    let mesh = Mesh::start().await;
    let mut reviews = mesh.proxy("reviews", "").await;
    reviews.ready().await;
    let web = caller(&mesh, "web-0").await;
    let quiet = service(&mesh).await.expect("it is there");
    assert_eq!((&quiet["endpoints"]["ejected"], &quiet["breaker"]), (&json!(0), &json!("Closed")));
    assert_eq!((&quiet["pool"], &quiet["breakerDetail"]["callers"]), (&json!([]), &json!([])));

    web.say(up::Message::Pools(saying(state::EJECTED))).await;
    let shown = eventually(async || {
        let service = service(&mesh).await?;
        (service["endpoints"]["ejected"] == 1).then_some(service)
    })
    .await;
    assert_eq!(shown["breaker"], "Open");
    assert_eq!(shown["breakerDetail"]["refused"], json!({"max_requests": 12}));
    let entry = &shown["pool"][0];
    assert_eq!(
        (&entry["endpoint"], &entry["caller"]),
        (&json!("reviews-0"), &json!("default/web-0"))
    );
    assert_eq!(
        (&entry["state"], &entry["until"]),
        (&json!("Ejected"), &json!("2023-11-14T22:13:50Z"))
    );
    let list = mesh.get("/v1/endpoints?namespace=default&service=reviews").await;
    let [one] = &list["endpoints"].as_array().expect("a list")[..] else { panic!("{list:#}") };
    assert_eq!((&one["name"], &one["ready"]), (&json!("reviews-0"), &json!(true)));
    assert_eq!(one["addresses"], json!(["127.0.0.1:40000"]));
    assert_eq!(&one["pool"][0], entry);
    let described = mesh.get("/v1/describe?kind=Service&name=reviews").await.to_string();
    assert!(described.contains("breaker open; refused 12 max_requests"), "{described}");
    assert!(
        described.contains("Ejected at default/web-0 since 2023-11-14T22:13:20Z"),
        "{described}"
    );
    let metrics = mesh.text("/metrics").await;
    let ours = "{source_proxy=\"web-0\",source_workload=\"web\"";
    for (family, value) in [
        ("meshctl_breaker_open", "1"),
        ("meshctl_breaker_refused_total", "12"),
        ("meshctl_pool_endpoints_ejected", "1"),
        ("meshctl_pool_ejections_total", "3"),
        ("meshctl_retries_over_budget_total", "4"),
    ] {
        let line = metrics.lines().find(|line| line.starts_with(&format!("{family}{ours}")));
        let line = line.unwrap_or_else(|| panic!("{family}: {metrics}"));
        assert_eq!(line.rsplit(' ').next(), Some(value), "{line}");
    }

    drop(web);
    eventually(async || {
        let service = service(&mesh).await?;
        (service["pool"] == json!([]) && service["breaker"] == "Closed").then_some(())
    })
    .await;
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_goes_to_those_that_call_the_service() {
    let mesh = Mesh::start().await;
    let mut reviews = mesh.proxy("reviews", "").await;
    reviews.ready().await;
    let mut one = caller(&mesh, "web-0").await;
    let mut two = caller(&mesh, "web-1").await;
    let body = json!({"service": "default/reviews", "endpoint": "reviews-0", "seconds": 300});
    let eject = mesh.post("/v1/endpoints/eject", &body);
    let patience = Duration::from_secs(10);
    let (done, (), ()) = tokio::join!(eject, one.pump_for(patience), two.pump_for(patience));
    let done = done.expect("done");
    let (first, second) = (&done["callers"][0], &done["callers"][1]);
    assert_eq!((&first["proxy"], &first["error"]), (&json!("default/web-0"), &json!("")));
    assert_eq!(second["proxy"], "default/web-1");
    assert_eq!(done["callers"].as_array().map(Vec::len), Some(2), "reviews does not call itself");
    let order = |seconds| EndpointOrder {
        service: "default/reviews".to_owned(),
        workload: "reviews-0".to_owned(),
        seconds,
    };
    assert_eq!(one.commands, [Action::Eject(order(300))]);

    let body =
        json!({"service": "default/reviews", "endpoint": "reviews-0", "from": ["default/web-1"]});
    let restore = mesh.post("/v1/endpoints/restore", &body);
    let (done, ()) = tokio::join!(restore, two.pump_for(patience));
    assert_eq!(done.expect("done")["callers"], json!([{"proxy": "default/web-1", "error": ""}]));
    assert_eq!(two.commands.last(), Some(&Action::Restore(order(0))));
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_concerns_nobody_says_why() {
    let mesh = Mesh::start().await;
    let mut reviews = mesh.proxy("reviews", "v1").await;
    reviews.ready().await;
    let mut web = mesh.proxy("web", "").await;
    web.ready().await;
    let refused = async |service: &str, endpoint: &str, from: Value| {
        let body = json!({"service": service, "endpoint": endpoint, "from": from});
        let (status, failure) = mesh.post("/v1/endpoints/eject", &body).await.expect_err("refused");
        let text = |field: &str| failure[field].as_str().unwrap_or_default().to_owned();
        (status, text("error"), text("help"))
    };
    let endpoint = "reviews-v1-0";
    let (status, error, help) = refused("default/reviews", "other", json!([])).await;
    assert_eq!((status, help.as_str()), (404, "it has `reviews-v1-0`"), "{error}");
    assert_eq!(refused("default/nothing", endpoint, json!([])).await.0, 404);
    assert_eq!(refused("reviews", endpoint, json!([])).await.0, 400);
    assert_eq!(refused("default/reviews", endpoint, json!(["default/nobody"])).await.0, 404);
    let (status, error, _) = refused("default/reviews", endpoint, json!([])).await;
    assert_eq!(status, 409);
    assert_eq!(error, "no connected proxy calls the endpoints of `default/reviews`");
    // Where a route leads to the version, that is what is called.
    let version = Key::cluster(&"default/reviews-v1".parse().expect("valid"));
    web.want(&version).await;
    web.until(&version, |resource| resource.is_some()).await;
    let (_, error, help) = refused("default/reviews", endpoint, json!(["default/web"])).await;
    assert_eq!(error, "`default/web` does not call the endpoints of `default/reviews`");
    assert!(help.contains("name it as `default/reviews-v1/reviews-v1-0`"), "{help}");
    mesh.stop().await;
}
