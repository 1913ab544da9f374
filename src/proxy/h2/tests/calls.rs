//! Calls of gRPC whose server breaks the rules: the caller is told in gRPC's words, and nothing but
//! that stream ends.

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::rig::{Answer, App, Does, Net, get, grpc};
use crate::proxy::serve::tests::rig::run;
use crate::resource::{ClusterPolicy, Retry, Timeouts};

async fn net(does: Does) -> (App, Net) {
    let app = App::new(does).await;
    let net = Net::new(&[&app], (Retry::DEFAULT, Timeouts::default()), ClusterPolicy::default());
    (app, net)
}

fn broken(code: u32, body: &str) -> Answer {
    Answer { reason: Some("upstream_protocol".to_owned()), ..Answer::app(200, Some(code), body) }
}

#[test]
fn an_answer_that_ends_without_a_status_is_not_taken_for_whole() {
    run(async {
        for (does, body) in [(Does::Codeless, "message"), (Does::Answer(200), "")] {
            let (app, net) = net(does).await;
            let client = net.client().await;
            assert_eq!(client.ask(grpc(), &[b"x"]).await.unwrap(), broken(2, body), "{does:?}");
            // The same connection goes on, and what is no call is left as it is.
            app.does.set(Does::Message(0));
            let fine = Answer::app(200, Some(0), "message");
            assert_eq!(client.ask(grpc(), &[b"x"]).await.unwrap(), fine);
            app.does.set(Does::Codeless);
            let page = Answer::app(200, None, "message");
            assert_eq!(client.ask(get(), &[]).await.unwrap(), page);
            let counted = net.counted();
            let found =
                counted.iter().find(|it| it.2 == "upstream_protocol").map(|it| (it.0, it.1));
            assert_eq!(found, Some((200, Some(2))), "{counted:?}");
        }
    });
}

#[test]
fn a_page_is_no_answer_to_a_call() {
    run(async {
        let (app, net) = net(Does::Page(200)).await;
        let client = net.client().await;
        assert_eq!(client.ask(grpc(), &[b"x"]).await.unwrap(), broken(13, ""));
        assert_eq!(client.ask(get(), &[]).await.unwrap(), Answer::app(200, None, "message"));
        // Libraries know what another status means, with a page or without.
        app.does.set(Does::Page(404));
        let found = client.ask(grpc(), &[b"x"]).await.unwrap();
        assert_eq!(found, Answer::app(404, None, "message"));
    });
}

#[test]
fn a_refusal_while_the_message_is_still_being_sent_reaches_the_caller() {
    run(async {
        let (app, net) = net(Does::TooMuch).await;
        let client = net.client().await;
        let mut begun = client.begin(grpc(), false).await;
        begun.send(&[0; 1_000], false).await;
        assert_eq!(begun.end().await.unwrap(), Answer::app(200, Some(8), ""));
        app.does.set(Does::Message(0));
        let fine = Answer::app(200, Some(0), "message");
        assert_eq!(client.ask(grpc(), &[b"x"]).await.unwrap(), fine, "the connection goes on");
    });
}

#[test]
fn a_frame_over_the_limit_ends_the_connection_to_the_server_alone() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (unused, _) = net(Does::Hang).await;
        let app = App { address: listener.local_addr().unwrap(), ..unused };
        let net =
            Net::new(&[&app], (Retry::DEFAULT, Timeouts::default()), ClusterPolicy::default());
        tokio::task::spawn_local(async move {
            let (mut first, _) = listener.accept().await.unwrap();
            let settings = [0_u8, 0, 0, 4, 0, 0, 0, 0, 0];
            // DATA of 16 MiB less one, as its head says; 16 KiB are allowed.
            let data = [0xff_u8, 0xff, 0xff, 0, 0, 0, 0, 0, 1];
            first.write_all(&[settings, data].concat()).await.unwrap();
            let (second, _) = listener.accept().await.unwrap();
            let mut second = h2::server::handshake(second).await.unwrap();
            while let Some(Ok((_, mut respond))) = second.accept().await {
                let mut head = http::Response::new(());
                head.headers_mut().insert("grpc-status", http::HeaderValue::from(0));
                respond.send_response(head, true).unwrap();
            }
        });
        let client = net.client().await;
        let found = client.ask(grpc(), &[b"x"]).await.unwrap();
        assert_eq!(found, broken(13, ""));
        let found = client.ask(grpc(), &[b"x"]).await.unwrap();
        assert_eq!(found, Answer::app(200, Some(0), ""), "the caller's connection goes on");
    });
}
