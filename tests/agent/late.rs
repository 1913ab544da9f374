//! Applications that are late: no calls are sent to a workload before its application listens, and its
//! proxy serves meanwhile.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use super::addresses::serve;
use super::{ControlPlane, DEADLINE, Proxy, calling, eventually, get, home, serving};
use meshctl::proxy::run::Config;

/// An address at which nobody listens, for now.
fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

#[test]
fn calls_are_sent_to_a_workload_once_its_application_listens() {
    let home = home();
    let _control_plane = ControlPlane::start(home.path());
    let app = nobody();
    let reviews = serving(home.path(), "reviews");
    let reviews = Proxy::start(Config { app: Some(app), app_wait: DEADLINE * 10, ..reviews });
    let web = Proxy::start(calling(home.path(), "web", "reviews"));
    let called = web.ready().upstreams["reviews:80"];
    eventually("the service is known, and has no endpoint", || {
        let (status, body) = get(called, "/", "reviews");
        assert_eq!(status, 503, "{body}");
        body.contains("no_endpoints").then_some(())
    });
    assert_eq!(reviews.get("/ready"), (503, "not ready: starting\n".into()));
    serve(TcpListener::bind(app).expect("the port is still free"));
    eventually("its application is found", || (get(called, "/", "reviews").0 == 200).then_some(()));
    assert_eq!(reviews.get("/ready").0, 200);
    web.end().expect("it ends well");
    reviews.end().expect("it ends well");
}

#[test]
fn an_application_that_never_listens_is_not_waited_for_for_ever() {
    let home = home();
    let _control_plane = ControlPlane::start(home.path());
    let reviews = serving(home.path(), "reviews");
    let (app, app_wait) = (Some(nobody()), Duration::from_millis(20));
    let reviews = Proxy::start(Config { app, app_wait, ..reviews });
    eventually("it is counted on all the same", || (reviews.get("/ready").0 == 200).then_some(()));
    reviews.end().expect("it ends well");
}
