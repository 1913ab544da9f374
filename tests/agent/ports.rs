//! Which port a service has: as declared, as the workload said, else 80.

use meshctl::proxy::run::Config;

use super::addresses::application;
use super::{ControlPlane, Proxy, admin, config, eventually, get, home, serving};

const DECLARED: &str = "\
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec:
  selector: {app: reviews}
  ports: [{port: 9080}]
";

fn status(proxy: &Proxy, authority: &str) -> u16 {
    get(proxy.ready().outbound, &format!("http://{authority}/"), authority).0
}

#[test]
fn a_workload_that_names_no_port_is_reached_where_its_service_is_declared() {
    let home = home();
    let _control_plane = ControlPlane::start(home.path());
    let serving = |service: &str| Config {
        app: Some(application()),
        version: Some("v1".into()),
        ..serving(home.path(), service)
    };
    let reviews = Proxy::start(serving("reviews"));
    let ratings = Proxy::start(serving("ratings"));
    let web = Proxy::start(config(home.path(), "web"));
    let reached = |authority: &'static str| {
        eventually(authority, || (status(&web, authority) == 200).then_some(()));
    };
    for authority in ["reviews", "reviews-v1", "ratings"] {
        reached(authority);
    }
    let source = serde_json::json!({"name": "rules.yaml", "text": DECLARED});
    let request = serde_json::json!({"namespace": "default", "sources": [source]});
    let result = admin(home.path(), "POST", "/v1/apply", &request.to_string());
    assert_eq!(result["objects"][0]["action"], "created", "{result}");
    for authority in ["reviews:9080", "reviews-v1:9080"] {
        reached(authority);
    }
    eventually("what is declared is not reached on port 80", || {
        let all = ["reviews", "reviews-v1"].map(|authority| status(&web, authority));
        (all == [404, 404]).then_some(())
    });
    assert_eq!(status(&web, "ratings"), 200, "nobody declared it");
    for proxy in [web, reviews, ratings] {
        proxy.end().expect("it ends well");
    }
}

#[test]
fn who_is_ready_is_called_at_once() {
    let home = home();
    let _control_plane = ControlPlane::start(home.path());
    let web = Proxy::start(config(home.path(), "web"));
    for service in ["a", "b", "c", "d", "e", "f"] {
        // The caller exists already: only the mesh's knowledge of the new workload can be late.
        let config = Config { app: Some(application()), ..serving(home.path(), service) };
        let proxy = Proxy::start(config);
        assert_eq!(status(&web, service), 200, "{service} said that it is ready");
        proxy.end().expect("it ends well");
    }
    web.end().expect("it ends well");
}
