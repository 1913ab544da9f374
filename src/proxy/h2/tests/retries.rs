//! What is tried again, and what never is.

use std::time::{Duration, Instant};

use super::rig::{Answer, App, Does, Net, everything, get, grpc, post};
use crate::proxy::serve::tests::rig::{run, soon};
use crate::resource::{ClusterPolicy, Retry, RetryBackoff, RetryBudget, Timeouts};

fn net(apps: &[&App], retry: Retry) -> Net {
    Net::new(apps, (retry, Timeouts::default()), ClusterPolicy::default())
}

fn number(number: u32) -> Option<String> {
    Some(number.to_string())
}

#[test]
fn every_condition_goes_to_another_endpoint_and_the_client_never_knows() {
    run(async {
        for does in
            [Does::Answer(503), Does::TrailersOnly(14), Does::Refuse, Does::Reset, Does::Busy(0)]
        {
            let (bad, good) = (App::new(does).await, App::new(Does::Message(0)).await);
            let net = net(&[&bad, &good], Retry { any_method: true, ..everything() });
            let client = net.client().await;
            for _ in 0..4 {
                let answer = client.ask(grpc(), &[b"a", b"b"]).await;
                assert_eq!(answer.unwrap(), Answer::app(200, Some(0), "message"), "{does:?}");
            }
            assert!(bad.count() > 0, "it was tried: {does:?}");
            assert_eq!(good.count(), 4);
            let again = good.attempts().iter().filter(|it| **it == number(2)).count();
            assert_eq!(again, bad.count(), "the repetition says its number");
            assert!(good.seen.borrow().iter().all(|(_, body)| body == b"ab"), "all of the body");
            assert_eq!(net.counted(), [(200, Some(0), String::new(), 4)], "as one request");
        }
    });
}

#[test]
fn nobody_there_is_another_endpoint_by_default() {
    run(async {
        let (gone, good) = (App::new(Does::Hang).await, App::new(Does::Answer(200)).await);
        // Nobody listens there.
        let closed = App { address: "127.0.0.1:1".parse().unwrap(), ..gone };
        let net = net(&[&closed, &good], Retry::DEFAULT);
        let client = net.client().await;
        for _ in 0..4 {
            assert_eq!(client.ask(post(), &[b"once"]).await.unwrap().status, 200);
        }
        assert!(good.seen.borrow().iter().all(|(_, body)| body == b"once"));
    });
}

#[test]
fn a_post_is_repeated_only_where_nobody_can_have_seen_it() {
    run(async {
        for (does, tries) in [
            (Does::Refuse, 3),
            (Does::Answer(503), 1),
            (Does::Reset, 1),
            (Does::TrailersOnly(14), 1),
        ] {
            let (one, two) = (App::new(does).await, App::new(does).await);
            let net = net(&[&one, &two], everything());
            let _ = net.client().await.ask(post(), &[b"once"]).await;
            assert_eq!(one.count() + two.count(), tries, "{does:?}");
        }
    });
}

#[test]
fn no_rule_repeats_but_what_was_refused_untouched() {
    run(async {
        for (does, body, tries) in [
            (Does::Answer(503), &[][..], 1),
            (Does::Refuse, &[][..], 2),
            (Does::Reset, &[][..], 1),
            (Does::TrailersOnly(14), &[&b"x"[..]][..], 1),
        ] {
            let (one, two) = (App::new(does).await, App::new(does).await);
            let net = net(&[&one, &two], Retry::DEFAULT);
            let _ = net.client().await.ask(get(), body).await;
            assert_eq!(one.count() + two.count(), tries, "{does:?}");
        }
    });
}

#[test]
fn what_was_passed_on_is_never_taken_back() {
    run(async {
        let retry = Retry { any_method: true, ..everything() };
        for does in [Does::Message(14), Does::HalfMessage, Does::Interim] {
            let (one, two) = (App::new(does).await, App::new(does).await);
            let net = net(&[&one, &two], retry.clone());
            let answer = net.client().await.ask(grpc(), &[b"x"]).await;
            match does {
                Does::Message(_) => {
                    assert_eq!(answer.unwrap(), Answer::app(200, Some(14), "message"));
                }
                Does::Interim => assert_eq!(answer.unwrap().status, 503),
                _ => {
                    let reason = answer.unwrap_err().reason();
                    assert_eq!(reason, Some(h2::Reason::INTERNAL_ERROR));
                }
            }
            assert_eq!(one.count() + two.count(), 1, "{does:?}");
        }
    });
}

#[test]
fn a_body_is_kept_up_to_its_bound() {
    run(async {
        let retry = Retry { any_method: true, max_body: 100_000, ..everything() };
        let half: &[u8] = &[7; 50_000];
        for (parts, tries) in [(&[half, half][..], 3), (&[half, half, b"x"][..], 1)] {
            let (one, two) = (App::new(Does::Answer(503)).await, App::new(Does::Answer(503)).await);
            let net = net(&[&one, &two], retry.clone());
            let answer = net.client().await.ask(post(), parts).await.unwrap();
            assert_eq!((answer.status, answer.reason), (503, None), "the last answer stands");
            let seen = [one.seen.borrow().clone(), two.seen.borrow().clone()].concat();
            let length: usize = parts.iter().map(|part| part.len()).sum();
            assert_eq!(seen.len(), tries);
            assert!(seen.iter().all(|(_, body)| body.len() == length), "whole, each time");
        }
    });
}

#[test]
fn a_stream_that_runs_on_goes_on_where_it_was_refused() {
    run(async {
        let (bad, good) = (App::new(Does::Refuse).await, App::new(Does::Echo).await);
        let net = net(&[&bad, &good], everything());
        let client = net.client().await;
        for _ in 0..2 {
            let mut begun = client.begin(grpc(), false).await;
            begun.send(b"one ", false).await;
            let mut answer = soon(&mut begun.answer).await.unwrap().into_body();
            begun.send(b"two", true).await;
            let mut all = Vec::new();
            while let Some(data) = soon(answer.data()).await {
                all.extend_from_slice(&data.unwrap());
            }
            assert_eq!(all, b"one two");
        }
        assert!(bad.count() > 0, "it was tried");
    });
}

#[test]
fn a_repetition_inside_of_a_repetition_is_none() {
    run(async {
        let (one, two) = (App::new(Does::Answer(503)).await, App::new(Does::Answer(503)).await);
        let net = net(&[&one, &two], everything());
        let mut request = get();
        request.headers_mut().insert("x-meshctl-attempt", 2.into());
        assert_eq!(net.client().await.ask(request, &[]).await.unwrap().status, 503);
        assert_eq!([one.attempts(), two.attempts()].concat(), [number(2)]);
    });
}

#[test]
fn a_try_has_its_own_time() {
    run(async {
        let timeouts =
            Timeouts { request: None, backend_request: Some(Duration::from_millis(300)) };
        let (slow, good) = (App::new(Does::Hang).await, App::new(Does::Answer(200)).await);
        let net = Net::new(&[&slow, &good], (everything(), timeouts), ClusterPolicy::default());
        let client = net.client().await;
        for _ in 0..2 {
            assert_eq!(client.ask(get(), &[]).await.unwrap().status, 200);
        }
        assert!(slow.count() > 0, "it was tried");
        good.does.set(Does::Hang);
        let answer = client.ask(grpc(), &[b"x"]).await.unwrap();
        assert_eq!((answer.reason.as_deref(), answer.code), (Some("try_timeout"), Some(4)));
        let answer = client.ask(get(), &[]).await.unwrap();
        assert_eq!((answer.status, answer.reason.as_deref()), (504, Some("try_timeout")));
    });
}

#[test]
fn all_tries_together_have_the_requests_time() {
    run(async {
        let timeouts = Timeouts {
            request: Some(Duration::from_millis(700)),
            backend_request: Some(Duration::from_millis(300)),
        };
        let (one, two) = (App::new(Does::Hang).await, App::new(Does::Hang).await);
        let retry = Retry { attempts: 100, ..everything() };
        let net = Net::new(&[&one, &two], (retry, timeouts), ClusterPolicy::default());
        let answer = net.client().await.ask(get(), &[]).await.unwrap();
        assert_eq!(answer.status, 504);
        assert!(one.count() + two.count() < 5, "no more than there is time for");
    });
}

#[test]
fn a_hedge_answers_for_who_is_slow_and_the_slow_one_is_told() {
    run(async {
        let hedge_after = Some(Duration::from_millis(30));
        for (request, body, any_method, hedged) in [
            (get(), &[][..], false, true),
            (grpc(), &[&b"small"[..]][..], true, true),
            (grpc(), &[&b"small"[..]][..], false, false),
        ] {
            let (slow, good) = (App::new(Does::Hang).await, App::new(Does::Message(0)).await);
            let retry = Retry { hedge_after, any_method, ..everything() };
            // Who is answered has all the time that a busy machine takes.
            let limit = Duration::from_millis(if hedged { 20_000 } else { 1_000 });
            let timeouts = Timeouts { request: Some(limit), ..Timeouts::default() };
            let net = Net::new(&[&slow, &good], (retry, timeouts), ClusterPolicy::default());
            let client = net.client().await;
            let mut answers = Vec::new();
            for _ in 0..2 {
                answers.push(client.ask(request.clone(), body).await.unwrap().reason);
            }
            assert!(slow.count() > 0, "it was tried");
            let late = answers.iter().filter(|reason| reason.is_some()).count();
            assert_eq!(late, usize::from(!hedged), "{request:?} {answers:?}");
            soon(async {
                while slow.lost.get() == 0 {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
    });
}

#[test]
fn no_hedge_joins_a_repetition() {
    run(async {
        let bad = App::new(Does::Answer(503)).await;
        let (slow, slower) = (App::new(Does::Hang).await, App::new(Does::Hang).await);
        let hedge_after = Some(Duration::from_millis(30));
        let retry = Retry { attempts: 1, hedge_after, ..everything() };
        let timeouts =
            Timeouts { request: Some(Duration::from_millis(200)), ..Timeouts::default() };
        let net = Net::new(&[&bad, &slow, &slower], (retry, timeouts), ClusterPolicy::default());
        let client = net.client().await;
        let mut requests = 0;
        while bad.count() < 2 {
            client.ask(get(), &[]).await.unwrap();
            requests += 1;
            let tries = bad.count() + slow.count() + slower.count();
            assert_eq!(tries, 2 * requests, "one repetition or one hedge");
        }
    });
}

#[test]
fn there_is_a_budget() {
    run(async {
        let (one, two) = (App::new(Does::Answer(503)).await, App::new(Does::Answer(503)).await);
        let budget = Some(RetryBudget { ppm: 0, min_per_second: 0 });
        let net = net(&[&one, &two], Retry { budget, ..everything() });
        let client = net.client().await;
        for _ in 0..10 {
            assert_eq!(client.ask(get(), &[]).await.unwrap().status, 503);
        }
        assert_eq!(one.count() + two.count(), 10);
    });
}

#[test]
fn who_asks_to_be_left_alone_for_long_is() {
    run(async {
        let (one, two) = (App::new(Does::Busy(60)).await, App::new(Does::Busy(60)).await);
        let net = net(&[&one, &two], everything());
        assert_eq!(net.client().await.ask(get(), &[]).await.unwrap().status, 503);
        assert_eq!(one.count() + two.count(), 1);
    });
}

#[test]
fn a_server_of_grpc_says_when_to_come_back_or_not_to() {
    run(async {
        let long = Duration::from_secs(3_600);
        let backoff = RetryBackoff { base: long, max: long };
        // With this back-off alone there would be no time for a repetition.
        let limit = Some(Duration::from_secs(20));
        let timeouts = Timeouts { request: limit, ..Timeouts::default() };
        for (says, tries) in [("0", 3), ("30", 3), ("5001", 1), ("-1", 1), ("soon", 1)] {
            let does = Does::PushBack(says);
            let (one, two) = (App::new(does).await, App::new(does).await);
            let retry = Retry { backoff, any_method: true, ..everything() };
            let net = Net::new(&[&one, &two], (retry, timeouts), ClusterPolicy::default());
            let began = Instant::now();
            let answer = net.client().await.ask(grpc(), &[b"x"]).await.unwrap();
            assert_eq!((answer.code, answer.reason), (Some(14), None), "{says}");
            assert_eq!(one.count() + two.count(), tries, "{says}");
            assert!(says != "30" || began.elapsed() >= Duration::from_millis(60), "it is waited");
        }
        // What is no call of gRPC has no such field.
        let (one, two) = (App::new(Does::PushBack("-1")).await, App::new(Does::Answer(200)).await);
        let retry = Retry { status_codes: vec![200], ..everything() };
        let net = net(&[&one, &two], retry);
        net.client().await.ask(get(), &[]).await.unwrap();
        assert_eq!(one.count() + two.count(), 3);
    });
}
