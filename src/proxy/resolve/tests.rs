//! What is asked and when, on a clock of our own; who waits for whom, with a resolver of our own.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use proptest::prelude::*;

use super::*;

fn ip(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

/// A name that has been asked for, with these answers at these seconds.
fn entry(start: Instant, answers: &[(u64, Answer)]) -> Entry {
    let mut entry = Entry::default();
    for (second, answer) in answers {
        entry.take(answer.clone(), start + Duration::from_secs(*second));
    }
    entry
}

#[test]
fn an_answer_is_used_asked_for_again_and_waited_for_as_it_grows_old() {
    let start = Instant::now();
    let (one, absent, silent) =
        (Ok(vec![ip(1)]), Err(Unresolved::Absent), Err(Unresolved::Unanswered));
    let known = |ask| Found::Known([ip(1)].into(), ask);
    let nothing = Found::Nothing;
    for (answers, millis, found) in [
        (vec![], 0, Found::Wait),
        (vec![(0, one.clone())], 4_999, known(false)),
        (vec![(0, one.clone())], 5_000, known(true)),
        (vec![(0, one.clone())], 60_000, Found::Wait),
        // Who does not answer leaves what was good in use, and is asked once per second.
        (vec![(0, one.clone()), (10, silent.clone())], 10_999, known(false)),
        (vec![(0, one.clone()), (10, silent.clone())], 11_000, known(true)),
        (vec![(0, one.clone()), (3_500, silent.clone())], 3_599_000, Found::Wait),
        (vec![(0, one.clone()), (3_599, silent.clone())], 3_599_500, known(false)),
        (vec![(0, one.clone()), (3_599, silent.clone())], 3_600_500, Found::Wait),
        (
            vec![(0, one.clone()), (3_600, silent.clone())],
            3_600_500,
            nothing(Unresolved::Unanswered),
        ),
        (vec![(0, silent.clone())], 999, nothing(Unresolved::Unanswered)),
        (vec![(0, silent)], 1_000, Found::Wait),
        // Who says that there is no such name ends it.
        (vec![(0, one.clone()), (5, absent.clone())], 5_000, nothing(Unresolved::Absent)),
        (vec![(0, one), (5, absent)], 10_000, Found::Wait),
        (vec![(0, Ok(vec![]))], 0, nothing(Unresolved::Absent)),
    ] {
        let now = start + Duration::from_millis(millis);
        assert_eq!(entry(start, &answers).found(now), found, "{answers:?} {millis}");
    }
}

#[test]
fn of_a_thousand_addresses_a_few_are_kept() {
    let mut entry = Entry::default();
    let now = Instant::now();
    entry.take(Ok((0..1_000_u32).map(|n| IpAddr::from(n.to_be_bytes())).collect()), now);
    let Found::Known(addresses, false) = entry.found(now) else { panic!("known") };
    assert_eq!(addresses.len(), ADDRESSES);
}

#[test]
fn words_of_the_resolver() {
    let why = |text: &str| {
        super::why(&io::Error::other(format!("failed to lookup address information: {text}")))
    };
    assert_eq!(why("Name or service not known"), Unresolved::Absent);
    assert_eq!(why("Name does not resolve"), Unresolved::Absent);
    assert_eq!(why("Temporary failure in name resolution"), Unresolved::Unanswered);
    assert_eq!(why("Try again"), Unresolved::Unanswered);
}

/// Answers in turn, the last one again and again; how often it was asked.
fn resolver(answers: Vec<Answer>) -> (Arc<Resolver>, Arc<AtomicUsize>, Arc<LimitCounts>) {
    let (asked, limits) = (Arc::<AtomicUsize>::default(), Arc::<LimitCounts>::default());
    let counter = Arc::clone(&asked);
    let answers = Mutex::new(VecDeque::from(answers));
    let lookup: Lookup = Box::new(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        let mut answers = answers.lock();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        Box::pin(async move {
            tokio::task::yield_now().await;
            answer.expect("an answer")
        })
    });
    (Resolver::new(lookup, Arc::clone(&limits)), asked, limits)
}

#[tokio::test]
async fn who_asks_at_the_same_time_waits_for_the_same_answer() {
    let (resolver, asked, _) = resolver(vec![Ok(vec![ip(1), ip(2)])]);
    let (a, b, c) = tokio::join!(
        resolver.resolve("db.example"),
        resolver.resolve("DB.example"),
        resolver.resolve("db.example")
    );
    for found in [a, b, c] {
        assert_eq!(*found.expect("resolved"), [ip(1), ip(2)]);
    }
    assert!(resolver.resolve("db.example").await.is_ok());
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn who_gives_up_keeps_nobody_from_the_answer() {
    let (resolver, asked, _) = resolver(vec![Ok(vec![ip(1)])]);
    {
        let mut first = Box::pin(resolver.resolve("db.example"));
        let pending = std::future::poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx).is_pending()));
        assert!(pending.await);
    }
    assert!(resolver.resolve("db.example").await.is_ok());
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn names_are_bounded_and_so_are_questions() {
    let (resolver, asked, limits) = resolver(vec![Err(Unresolved::Unanswered)]);
    for number in 0..NAMES + 10 {
        assert!(resolver.resolve(&format!("{number}.example")).await.is_err());
    }
    assert_eq!(resolver.entries.lock().len(), NAMES);
    assert_eq!(limits.of(Limit::Lookups), 0);
    let before = asked.load(Ordering::SeqCst);
    let at_once = (0..AT_ONCE + 5).map(|number| {
        let resolver = Arc::clone(&resolver);
        tokio::spawn(async move { resolver.resolve(&format!("new-{number}.example")).await })
    });
    for waiting in at_once.collect::<Vec<_>>() {
        assert_eq!(waiting.await.expect("no panic"), Err(Unresolved::Unanswered));
    }
    let asked = asked.load(Ordering::SeqCst) - before;
    assert_eq!(asked as u64 + limits.of(Limit::Lookups), AT_ONCE as u64 + 5);
}

/// Each took a thread of its own for as long as DNS was dead, however many had been given up.
#[tokio::test]
async fn a_question_counts_until_it_has_ended_not_until_it_is_given_up() {
    let (asked, limits) = (Arc::<AtomicUsize>::default(), Arc::<LimitCounts>::default());
    let (end, ended) = watch::channel(());
    let counter = Arc::clone(&asked);
    let lookup: Lookup = Box::new(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        let mut ended = ended.clone();
        Box::pin(async move {
            let _ = ended.changed().await;
            Ok(vec![ip(1)])
        })
    });
    let resolver = Resolver::new(lookup, Arc::clone(&limits));
    let resolver = Arc::into_inner(resolver).expect("nobody has it yet");
    let resolver = Arc::new(Resolver { patience: Duration::ZERO, ..resolver });
    let all = (0..AT_ONCE).map(|number| {
        let resolver = Arc::clone(&resolver);
        async move { resolver.resolve(&format!("{number}.example")).await }
    });
    for given_up in futures_util::future::join_all(all).await {
        assert_eq!(given_up, Err(Unresolved::Unanswered));
    }
    assert_eq!(resolver.resolve("one-more.example").await, Err(Unresolved::Unanswered));
    assert_eq!((asked.load(Ordering::SeqCst), limits.of(Limit::Lookups)), (AT_ONCE, 1));
    drop(end);
    // Others may ask then.
    let _all = resolver.at_once.acquire_many(AT_ONCE as u32).await.expect("never closed");
}

proptest! {
    #[test]
    fn no_answer_makes_it_stumble(answers in prop::collection::vec(
        prop::result::maybe_err(prop::collection::vec(any::<[u8; 4]>(), 0..20), any::<bool>()), 0..40)
    ) {
        let start = Instant::now();
        let mut entry = Entry::default();
        for (second, answer) in (0..).zip(answers) {
            let now = start + Duration::from_secs(second);
            let last = answer.clone();
            entry.take(
                answer.map(|all| all.into_iter().map(IpAddr::from).collect()).map_err(|absent| {
                    if absent { Unresolved::Absent } else { Unresolved::Unanswered }
                }),
                now,
            );
            match entry.found(now) {
                Found::Known(addresses, _) => prop_assert!((1..=ADDRESSES).contains(&addresses.len())),
                Found::Nothing(_) => prop_assert!(last.is_err() || last == Ok(vec![])),
                Found::Wait => prop_assert!(false, "an answer has just come"),
            }
        }
    }
}
