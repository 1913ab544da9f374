//! Connections that end before an answer: who has read nothing, and who may have.

use super::post;
use super::rig::{Reply, Rig, Rules, ok};
use crate::proxy::serve::tests::rig::run;
use crate::resource::Retry;

fn sidecars(retry: Retry) -> Rules {
    Rules { sidecars: true, retry, ..Rules::default() }
}

/// A sidecar that ended an idle connection crossed with a request on it: who posted got 502.
#[test]
fn what_a_leaving_sidecar_has_not_read_is_sent_again_whatever_the_method() {
    run(async {
        for count in [1, 2] {
            let leaves = |before: usize, _: &_| if before == 1 { Reply::Leave } else { ok() };
            let rig = Rig::new(count, sidecars(Retry::DEFAULT), leaves).await;
            let mut client = rig.client().await;
            for turn in 0..4 {
                let (status, text) = client.ask(&post("once")).await;
                assert_eq!(status, 200, "{turn}: {text}");
            }
            let seen = rig.seen();
            assert!(seen.len() == 5 && seen.iter().all(|it| it.body == "once"), "{seen:?}");
        }
    });
}

#[test]
fn who_leaves_every_time_is_no_endpoint() {
    run(async {
        let rig = Rig::new(1, sidecars(Retry::DEFAULT), |_, _| Reply::Leave).await;
        let (status, text) = rig.ask(&post("once")).await;
        assert!(status == 503 && text.contains("meshctl-reason: refused_stream"), "{text}");
        assert_eq!(rig.seen().len(), 2);
    });
}

#[test]
fn an_end_without_a_word_or_in_an_answer_or_of_an_application_is_no_such_end() {
    run(async {
        type Does = fn(usize) -> Reply;
        let apps: [(bool, Does); 2] = [(true, |_| Reply::Close), (false, |_| Reply::Leave)];
        for (sidecars, does) in apps {
            let rules = Rules { sidecars, ..Rules::default() };
            let rig = Rig::new(2, rules, move |before, _| does(before)).await;
            let (status, text) = rig.ask(&post("once")).await;
            assert!(status == 502 && text.contains("meshctl-reason: upstream_reset"), "{text}");
            assert_eq!(rig.seen().len(), 1, "sidecars: {sidecars}");
        }
        // An answer that has begun was an answer.
        for begun in ["HTTP/1.1 103 Early Hints\r\n\r\n", "HTTP/1.1 20"] {
            let does = move |_: usize, _: &_| Reply::Parting(begun);
            let rig = Rig::new(2, sidecars(Retry::DEFAULT), does).await;
            let mut client = rig.client().await;
            client.send(&post("once")).await;
            client.reads("meshctl-reason: upstream_reset").await;
            assert_eq!(rig.seen().len(), 1, "{begun}");
        }
    });
}
