//! Calls by address: into the mesh over mTLS, to the outside as they are, refused in doubt.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};

use super::{ControlPlane, Proxy, config, eventually, get, home, serving};
use meshctl::proxy::run::Config;

/// An application that answers every request with the head that it got.
pub(crate) fn application() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    serve(listener);
    address
}

/// The same, where it listens already.
pub(crate) fn serve(listener: TcpListener) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let lines = BufReader::new(stream.try_clone().expect("a clone")).lines();
            let head: Vec<_> =
                lines.map_while(Result::ok).take_while(|it| !it.is_empty()).collect();
            let body = head.join("\n");
            let length = body.len();
            // A caller that has gone is no matter of the application.
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
            );
        }
    });
}

/// A request of the proxy's application to `called`, as to an HTTP proxy.
fn call(proxy: &Proxy, called: SocketAddr) -> (u16, String) {
    let outbound = proxy.ready().outbound;
    get(outbound, &format!("http://{called}/"), &called.to_string())
}

#[test]
fn an_address_of_the_mesh_is_called_by_its_service_and_all_else_as_it_is() {
    let home = home();
    let control_plane = ControlPlane::start(home.path());
    let app = application();
    let reviews = Proxy::start(Config { app: Some(app), ..serving(home.path(), "reviews") });
    let web = Proxy::start(config(home.path(), "web"));
    let inbound = reviews.ready().inbound;
    // Plaintext would not get in, and the receiver names the caller by its certificate.
    let (status, head) = eventually("reviews is an endpoint", || {
        let answer = call(&web, inbound);
        (answer.0 == 200).then_some(answer)
    });
    assert_eq!(status, 200);
    assert!(head.contains("spiffe://cluster.local/ns/default/sa/web"), "{head}");
    let (status, head) = call(&web, app);
    assert_eq!(status, 200, "{head}");
    assert!(!head.contains("spiffe://"), "what is outside is called as it is: {head}");
    let (status, body) = call(&web, web.ready().inbound);
    assert!(status >= 500 && body.contains("loop"), "{status} {body}");

    drop(control_plane);
    eventually("the loss is noticed", || {
        (web.config()["status"]["connected"] == false).then_some(())
    });
    web.end().expect("it ends well");
    let web = Proxy::start(config(home.path(), "web"));
    assert_eq!(call(&web, inbound).0, 200, "known from before");
    assert_eq!(call(&web, app).0, 200, "outside, as the control plane said before");
    let (status, body) = call(&web, application());
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("config_pending"), "{body}");
    web.end().expect("it ends well");
    reviews.end().expect("it ends well");
}
