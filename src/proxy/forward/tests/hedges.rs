//! Two tries at once, and what is learned from them when neither answers.

use std::time::Duration;

use super::eager;
use super::rig::{Reply, Rig, Rules, get};
use crate::proxy::serve::tests::rig::run;
use crate::resource::{ClusterPolicy, OutlierDetection, PARTS_PER_MILLION, Retry, Timeouts};

/// Who is out with the first error.
fn strict() -> ClusterPolicy {
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
    ClusterPolicy { outlier_detection: Some(outliers), ..ClusterPolicy::default() }
}

/// Both tries were forgotten when the time was over: where there was hedging, who hung was never
/// ejected.
#[test]
fn tries_that_are_out_when_the_time_is_over_have_failed() {
    run(async {
        let moment = Some(Duration::from_millis(250));
        let whole = Timeouts { request: moment, backend_request: None };
        // The second one has not had the time of a try yet.
        let each = Timeouts { request: None, backend_request: moment };
        for (timeouts, reason, ejected) in [(whole, "request_timeout", 2), (each, "try_timeout", 1)]
        {
            let hedge_after = Some(Duration::from_millis(10));
            let retry = Retry { attempts: 1, hedge_after, ..eager() };
            let rules = Rules { retry, timeouts, policy: strict(), ..Rules::default() };
            let rig = Rig::new(2, rules, |_, _| Reply::Silence).await;
            let (status, text) = rig.ask(&get("/")).await;
            assert!(status == 504 && text.contains(reason), "{text}");
            assert_eq!(rig.ejected(), ejected, "{reason}");
        }
    });
}

#[test]
fn a_client_that_goes_says_nothing_of_the_tries_that_are_out() {
    run(async {
        let hedge_after = Some(Duration::from_millis(10));
        let retry = Retry { hedge_after, ..eager() };
        let rules = Rules { retry, policy: strict(), ..Rules::default() };
        let rig = Rig::new(2, rules, |_, _| Reply::Silence).await;
        let mut client = rig.client().await;
        client.send(&get("/")).await;
        rig.has_seen(2).await;
        drop(client);
        rig.has_closed(2).await;
        assert_eq!(rig.ejected(), 0);
    });
}
