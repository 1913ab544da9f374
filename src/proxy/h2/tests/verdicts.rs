//! What a try says of its endpoint, seen by what takes an endpoint out.

use std::time::Duration;

use super::rig::{App, Does, Net, get, grpc};
use crate::proxy::serve::tests::rig::{run, soon};
use crate::resource::{
    Algorithm, ClusterPolicy, OutlierDetection, PARTS_PER_MILLION, Retry, Timeouts,
};

/// In front of an application that is out with its first error.
pub(super) fn net(app: &App, request: Option<Duration>) -> Net {
    let outliers = OutlierDetection {
        consecutive_errors: Some(1),
        consecutive_gateway_errors: None,
        consecutive_local_errors: None,
        success_rate: None,
        failure_percent: None,
        interval: Duration::from_secs(1_000),
        base_ejection: Duration::from_secs(1_000),
        max_ejection: Duration::from_secs(1_000),
        max_ejection_ppm: PARTS_PER_MILLION,
    };
    let policy = ClusterPolicy { outlier_detection: Some(outliers), ..ClusterPolicy::default() };
    let timeouts = Timeouts { request, ..Timeouts::default() };
    Net::new(&[app], (Retry::DEFAULT, timeouts), policy)
}

#[test]
fn a_code_in_head_or_trailers_counts_as_a_status_does() {
    run(async {
        for (does, is_in) in [
            (Does::Message(0), true),
            (Does::Message(14), false),
            (Does::TrailersOnly(13), false),
            (Does::TrailersOnly(5), true),
            (Does::Answer(500), false),
            (Does::Answer(404), true),
            (Does::Reset, false),
            (Does::HalfMessage, false),
        ] {
            let app = App::new(does).await;
            let net = net(&app, None);
            // What it comes to is checked elsewhere.
            let _ = net.client().await.ask(grpc(), &[b"x"]).await;
            assert_eq!(net.is_in(), is_in, "{does:?}");
        }
    });
}

#[test]
fn a_client_that_gives_up_says_nothing_and_a_timeout_does() {
    run(async {
        for does in [Does::Hang, Does::Echo] {
            let app = App::new(does).await;
            let net = net(&app, None);
            let client = net.client().await;
            let mut begun = client.begin(get(), false).await;
            begun.send(b"x", false).await;
            soon(async {
                while app.count() == 0 {
                    tokio::task::yield_now().await;
                }
            })
            .await;
            begun.body.send_reset(h2::Reason::CANCEL);
            soon(async {
                while net.counted().is_empty() {
                    tokio::task::yield_now().await;
                }
            })
            .await;
            assert_eq!(net.counted()[0].2, "client_gone");
            assert!(net.is_in(), "{does:?}");
        }
        let app = App::new(Does::Hang).await;
        let net = net(&app, Some(Duration::from_millis(30)));
        let client = net.client().await;
        let mut begun = client.begin(get(), false).await;
        begun.send(b"x", false).await;
        assert_eq!(begun.end().await.unwrap().reason.as_deref(), Some("request_timeout"));
        assert!(net.is_in(), "it may have waited for the client");
        assert_eq!(client.ask(get(), &[]).await.unwrap().status, 504);
        assert!(!net.is_in());
    });
}

#[test]
fn how_fast_an_endpoint_is_is_known_when_it_answers_however_long_the_stream() {
    run(async {
        let mut policy = ClusterPolicy::default();
        policy.load_balancer.algorithm = Algorithm::Ewma;
        let app = App::new(Does::Echo).await;
        let net = Net::new(&[&app], (Retry::DEFAULT, Timeouts::default()), policy);
        // At a time before it was observed, so that it has not faded.
        let latency = || net.first().latency.cost(0.0, 0);
        let mut begun = net.client().await.begin(grpc(), false).await;
        soon(&mut begun.answer).await.unwrap();
        let answered = latency();
        assert!(answered > 0.0);
        begun.send(b"more", true).await;
        soon(async {
            while net.counted().is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(latency(), answered, "what it sent then does not count");
    });
}
