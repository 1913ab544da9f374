//! Requests of HTTP/1.1 that are tried again, or not: what the endpoints see, what the client gets.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::proxy::serve::tests::rig::run;
use crate::resource::{Retry, RetryBackoff, RetryBudget, RetryOn, Timeouts};
use rig::{Reply, Rig, Rules, answer, get, ok};

mod circuit;
mod ends;
mod events;
mod hedges;
mod latency;
mod rig;

/// Twice more, on everything, with hardly any wait.
fn eager() -> Retry {
    let moment = Duration::from_micros(100);
    Retry {
        attempts: 2,
        on: RetryOn {
            connect_failure: true,
            refused_stream: true,
            gateway_error: true,
            server_error: true,
            reset: true,
        },
        backoff: RetryBackoff { base: moment, max: moment },
        budget: Some(RetryBudget { ppm: 1_000_000, min_per_second: 1_000 }),
        ..Retry::DEFAULT
    }
}

fn with(retry: Retry) -> Rules {
    Rules { retry, ..Rules::default() }
}

fn post(body: &str) -> String {
    format!("POST / HTTP/1.1\r\nhost: app\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn put(body: &str) -> String {
    post(body).replace("POST", "PUT")
}

/// The first `count` requests get the status, all others 200.
fn failing(count: usize, status: u16) -> impl Fn(usize, &rig::Seen) -> Reply {
    move |before, _| if before < count { answer(status, "", "no") } else { ok() }
}

#[test]
fn an_answer_that_the_rule_names_is_tried_again_elsewhere_and_says_its_number() {
    run(async {
        let rig = Rig::new(3, with(eager()), failing(2, 503)).await;
        let (status, text) = rig.ask(&get("/")).await;
        assert_eq!(status, 200, "{text}");
        let seen = rig.seen();
        let attempts: Vec<_> = seen.iter().map(|it| it.attempt().map(str::to_owned)).collect();
        assert_eq!(attempts, [None, Some("2".to_owned()), Some("3".to_owned())]);
        let mut apps: Vec<_> = seen.iter().map(|it| it.app).collect();
        apps.sort_unstable();
        assert_eq!(apps, [0, 1, 2], "each somewhere else");
        assert!(
            seen[2].head.starts_with("GET / HTTP/1.1\r\nx-meshctl-attempt: 3\r\nhost: app\r\n")
        );
    });
}

#[test]
fn what_the_rule_does_not_name_stands_and_so_does_the_last_answer() {
    run(async {
        let retry = Retry { on: RetryOn::default(), status_codes: vec![409], ..eager() };
        for (retry, status, tries) in [
            (retry.clone(), 503, 1),
            (retry, 409, 3),
            (eager(), 404, 1),
            (eager(), 500, 3),
            (Retry::DEFAULT, 503, 1),
            (Retry { attempts: 0, ..eager() }, 503, 1),
        ] {
            let rig = Rig::new(2, with(retry), failing(9, status)).await;
            let (seen, text) = rig.ask(&get("/")).await;
            assert_eq!((seen, rig.seen().len()), (status, tries));
            assert!(text.ends_with("\r\n\r\nno") && !text.contains("meshctl-reason"), "{text}");
        }
    });
}

#[test]
fn what_may_have_been_done_is_never_done_twice() {
    run(async {
        let resets = |before: usize, _: &rig::Seen| if before == 0 { Reply::Close } else { ok() };
        let rig = Rig::new(2, with(eager()), resets).await;
        let (status, text) = rig.ask(&post("once")).await;
        assert_eq!((status, rig.seen().len()), (502, 1), "{text}");
        let rig = Rig::new(2, with(eager()), failing(1, 503)).await;
        assert_eq!((rig.ask(&post("once")).await.0, rig.seen().len()), (503, 1));
        // The rule may say otherwise; and what is idempotent may be repeated.
        let rig = Rig::new(2, with(Retry { any_method: true, ..eager() }), resets).await;
        assert_eq!((rig.ask(&post("twice")).await.0, rig.seen().len()), (200, 2));
        let rig = Rig::new(2, with(eager()), resets).await;
        assert_eq!((rig.ask(&get("/")).await.0, rig.seen().len()), (200, 2));
    });
}

#[test]
fn a_connection_that_cannot_be_made_is_made_elsewhere_whatever_the_method() {
    run(async {
        for retry in [Retry::DEFAULT, eager()] {
            let rules = Rules { dead: 1, ..with(retry) };
            let rig = Rig::new(1, rules, |_, _| ok()).await;
            for turn in 0..6 {
                let (status, text) = rig.ask(&post("hi")).await;
                assert_eq!(status, 200, "turn {turn}: {text}");
            }
            assert!(rig.seen().iter().all(|seen| seen.body == "hi"));
        }
        let rules = Rules { dead: 2, ..with(Retry::DEFAULT) };
        let rig = Rig::new(0, rules, |_, _| ok()).await;
        let (status, text) = rig.ask(&get("/")).await;
        assert!(status == 503 && text.contains("meshctl-reason: connect_failure"), "{text}");
    });
}

#[test]
fn a_body_is_sent_again_as_long_as_it_is_small_enough_to_be_kept() {
    run(async {
        let chunked = |size: usize| {
            let body = "x".repeat(size);
            format!(
                "PUT / HTTP/1.1\r\nhost: app\r\ntransfer-encoding: chunked\r\n\r\n\
                 {size:x}\r\n{body}\r\n0\r\n\r\n"
            )
        };
        let retry = Retry { max_body: 30_000, ..eager() };
        for (request, tries) in [
            (put(&"x".repeat(30_000)), 2),
            (put(&"x".repeat(30_001)), 1),
            (chunked(30_000), 2),
            (chunked(30_001), 1),
            (put(""), 2),
        ] {
            let rig = Rig::new(2, with(retry.clone()), failing(1, 503)).await;
            let (status, _) = rig.ask(&request).await;
            let seen = rig.seen();
            assert_eq!((status, seen.len()), (if tries == 2 { 200 } else { 503 }, tries));
            let length = |it: &rig::Seen| it.body.matches('x').count();
            let wanted =
                request.split_once("\r\n\r\n").map_or(0, |(_, body)| body.matches('x').count());
            assert!(seen.iter().all(|it| length(it) == wanted), "all of it, each time");
        }
    });
}

#[test]
fn an_answer_in_the_middle_of_the_body_is_tried_again_with_all_of_it() {
    run(async {
        // The first answers as soon as it has the head, before the client has sent the body.
        let early = |before: usize, _: &rig::Seen| if before == 0 { Reply::Close } else { ok() };
        let rig = Rig::new(2, with(eager()), early).await;
        let mut client = rig.client().await;
        client.send("PUT / HTTP/1.1\r\nhost: app\r\ncontent-length: 6\r\n\r\nab").await;
        tokio::task::yield_now().await;
        client.send("cdef").await;
        assert_eq!(client.answer().await.0, 200);
        assert!(rig.seen().iter().all(|seen| seen.body == "abcdef"), "{:?}", rig.seen());
    });
}

#[test]
fn who_asks_for_time_gets_it_or_is_not_asked_again() {
    run(async {
        for (retry_after, tries) in [("0", 2), ("60", 1), ("nonsense", 2)] {
            let field = format!("retry-after: {retry_after}\r\n");
            let rig = Rig::new(2, with(eager()), move |before, _| match before {
                0 => answer(503, &field, ""),
                _ => ok(),
            });
            let rig = rig.await;
            rig.ask(&get("/")).await;
            assert_eq!(rig.seen().len(), tries, "{retry_after}");
        }
    });
}

#[test]
fn a_storm_does_not_go_over_the_budget() {
    run(async {
        let budget = Some(RetryBudget { ppm: 200_000, min_per_second: 1 });
        let rig = Rig::new(2, with(Retry { budget, ..eager() }), failing(999, 503)).await;
        let began = Instant::now();
        assert_eq!(rig.gets(200).await, [503; 200]);
        // One a second is free, and 20 % of 200 are 40 at most.
        let free = 10 + began.elapsed().as_secs() as usize;
        let repeated = rig.seen().len() - 200;
        assert!((5..=40 + free).contains(&repeated), "{repeated}");
    });
}

#[test]
fn what_is_repeated_by_somebody_else_is_not_multiplied() {
    run(async {
        let rig = Rig::new(2, with(eager()), failing(9, 503)).await;
        let request = get("/").replace("\r\n\r\n", "\r\nX-Meshctl-Attempt: 2\r\n\r\n");
        assert_eq!((rig.ask(&request).await.0, rig.seen().len()), (503, 1));
        assert!(rig.seen()[0].head.contains("X-Meshctl-Attempt: 2\r\n"), "it goes on");
        // What says nothing is not passed on, and changes nothing.
        let request = get("/").replace("\r\n\r\n", "\r\nX-Meshctl-Attempt: 1\r\n\r\n");
        assert_eq!((rig.ask(&request).await.0, rig.seen().len()), (503, 4));
        assert!(!rig.seen()[1].head.to_lowercase().contains("x-meshctl-attempt"));
    });
}

#[test]
fn a_try_that_takes_too_long_is_followed_by_another_inside_of_the_whole_time() {
    run(async {
        let each = Some(Duration::from_millis(250));
        let slow = |count| {
            move |before, _: &rig::Seen| match before < count {
                true => Reply::Silence,
                false => ok(),
            }
        };
        let timeouts = Timeouts { request: None, backend_request: each };
        let rules = || Rules { timeouts, ..with(eager()) };
        let rig = Rig::new(3, rules(), slow(2)).await;
        assert_eq!((rig.ask(&get("/")).await.0, rig.seen().len()), (200, 3));
        let rig = Rig::new(3, rules(), slow(9)).await;
        let (status, text) = rig.ask(&get("/")).await;
        assert_eq!((status, rig.seen().len()), (504, 3));
        assert!(text.contains("meshctl-reason: try_timeout"), "{text}");
        let timeouts =
            Timeouts { request: Some(Duration::from_millis(400)), backend_request: each };
        let rig = Rig::new(3, Rules { timeouts, ..with(eager()) }, slow(9)).await;
        let (status, text) = rig.ask(&get("/")).await;
        // On a busy machine there may be no time left for the second.
        assert!(status == 504 && (1..=2).contains(&rig.seen().len()), "{text}");
        assert!(text.contains("meshctl-reason: request_timeout"), "{text}");
    });
}

#[test]
fn nothing_is_repeated_once_the_answer_has_begun() {
    run(async {
        let cut = |_: usize, _: &rig::Seen| {
            Reply::Text("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n".into())
        };
        let timeouts =
            Timeouts { request: None, backend_request: Some(Duration::from_millis(400)) };
        let rig = Rig::new(2, Rules { timeouts, ..with(eager()) }, cut).await;
        let mut client = rig.client().await;
        client.send(&get("/")).await;
        let text = client.rest().await;
        assert!(text.starts_with("HTTP/1.1 200") && !text.ends_with("0\r\n\r\n"), "{text}");
        assert_eq!(rig.seen().len(), 1);
    });
}

#[test]
fn the_connection_of_an_answer_that_was_dropped_is_used_again() {
    run(async {
        let rig = Rig::new(1, with(eager()), failing(2, 503)).await;
        assert_eq!((rig.ask(&get("/")).await.0, rig.seen().len()), (200, 3));
        assert_eq!(rig.connections(0), 1);
        // Not if too much of it is still to come.
        let large = |before: usize, _: &rig::Seen| match before {
            0 => Reply::Text("HTTP/1.1 503 X\r\ncontent-length: 100000\r\n\r\nbegin".to_owned()),
            _ => ok(),
        };
        let rig = Rig::new(1, with(eager()), large).await;
        assert_eq!((rig.ask(&get("/")).await.0, rig.connections(0)), (200, 2));
    });
}

#[test]
fn a_hedge_answers_where_the_first_try_is_slow() {
    run(async {
        let hedge_after = Some(Duration::from_millis(20));
        let retry = Retry { hedge_after, ..eager() };
        let slow = |before: usize, _: &rig::Seen| if before == 0 { Reply::Silence } else { ok() };
        let rig = Rig::new(2, with(retry.clone()), slow).await;
        let began = Instant::now();
        assert_eq!(rig.ask(&get("/")).await.0, 200);
        assert!(began.elapsed() >= Duration::from_millis(20));
        let seen = rig.seen();
        assert_ne!(seen[0].app, seen[1].app);
        assert_eq!((seen[0].attempt(), seen[1].attempt(), seen.len()), (None, Some("2"), 2));
        rig.has_closed(1).await;
        // Who is quick enough is alone; so is what has a body, and what may not be done twice.
        let patient = Retry { hedge_after: Some(Duration::from_secs(60)), ..eager() };
        let rig = Rig::new(2, with(patient), |_, _| ok()).await;
        assert_eq!((rig.gets(5).await, rig.seen().len()), (vec![200; 5], 5));
        let told = Rc::new(Notify::new());
        for request in [put("hi"), post("")] {
            let later = Rc::clone(&told);
            let rig = Rig::new(2, with(retry.clone()), move |_, _| {
                Reply::Later(Rc::clone(&later), "HTTP/1.1 204 X\r\n\r\n".to_owned())
            });
            let rig = rig.await;
            let mut client = rig.client().await;
            client.send(&request).await;
            tokio::time::sleep(Duration::from_millis(60)).await;
            assert_eq!(rig.seen().len(), 1);
            told.notify_one();
            assert_eq!(client.answer().await.0, 204);
        }
    });
}

#[test]
fn a_hedge_that_fails_leaves_the_answer_to_the_other() {
    run(async {
        let told = Rc::new(Notify::new());
        let retry = Retry { hedge_after: Some(Duration::from_millis(10)), ..eager() };
        for failing in [Reply::Close, answer(503, "", "")] {
            let failing = Rc::new(std::cell::Cell::new(Some(failing)));
            let later = Rc::clone(&told);
            let rig = Rig::new(2, with(retry.clone()), move |before, _| match before {
                0 => Reply::Later(Rc::clone(&later), "HTTP/1.1 204 X\r\n\r\n".to_owned()),
                _ => failing.take().unwrap_or(Reply::Silence),
            });
            let rig = rig.await;
            let mut client = rig.client().await;
            client.send(&get("/")).await;
            rig.has_seen(2).await;
            told.notify_one();
            assert_eq!((client.answer().await.0, rig.seen().len()), (204, 2));
        }
    });
}

#[test]
fn a_client_that_goes_is_not_repeated_for() {
    run(async {
        let long = Duration::from_secs(60);
        let backoff = RetryBackoff { base: long, max: long };
        let retry = Retry { backoff, ..eager() };
        let rig = Rig::new(2, with(retry), failing(9, 503)).await;
        let mut client = rig.client().await;
        client.send(&get("/")).await;
        rig.has_seen(1).await;
        drop(client);
        while rig.worker.slots.in_use() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(rig.seen().len(), 1);
    });
}
