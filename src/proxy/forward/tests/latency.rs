//! How fast endpoints are, as choices and limits see it.

use std::rc::Rc;

use tokio::sync::Notify;

use super::rig::{Reply, Rig, Rules, get};
use crate::proxy::serve::tests::rig::run;
use crate::resource::{Algorithm, ClusterPolicy};

/// Over HTTP/1.1 the time ran to the end of the answer: who sent long ones counted as slow.
#[test]
fn a_long_download_does_not_make_an_endpoint_slow() {
    run(async {
        let mut policy = ClusterPolicy::default();
        policy.load_balancer.algorithm = Algorithm::Ewma;
        let told = Rc::new(Notify::new());
        let later = Rc::clone(&told);
        let head = "HTTP/1.1 200 X\r\ncontent-length: 4\r\n\r\nab";
        let begun = move |_: usize, _: &_| Reply::Begun(Rc::clone(&later), head, "cd");
        let rig = Rig::new(1, Rules { policy, ..Rules::default() }, begun).await;
        let mut client = rig.client().await;
        client.send(&get("/")).await;
        client.reads("ab").await;
        let latency = rig.latency();
        assert!(latency > 0.0, "it has answered");
        told.notify_one();
        let (status, text) = client.answer().await;
        assert!(status == 200 && text.ends_with("abcd"), "{text}");
        // The next request comes after everything about this one was told.
        client.send(&get("/")).await;
        rig.has_seen(2).await;
        assert_eq!(rig.latency(), latency, "what it sent then does not count");
    });
}
