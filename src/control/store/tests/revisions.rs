//! Revisions of a store: written with each change, and gone back to.

use super::history::Changes;
use super::*;

fn names(past: &Past) -> Vec<&str> {
    past.objects.keys().map(|reference| reference.name.as_str()).collect()
}

/// The rules as they were, as a batch.
fn back(past: Past, objects: &Objects) -> Batch {
    let gone = objects.keys().filter(|it| !past.objects.contains_key(it)).cloned();
    let delete = |reference| Write::Delete { reference, ignore_missing: false };
    let mut writes: Vec<Write> = gone.map(delete).collect();
    let put = |(reference, (document, created_ms))| Write::Back { reference, document, created_ms };
    let expected = Some(past.now);
    writes.extend(past.objects.into_iter().map(put));
    Batch { at_ms: 9_000, note: "rollback".to_owned(), expected, writes, ..puts(&[], 0) }
}

#[tokio::test]
async fn every_revision_can_be_gone_back_to_and_is_as_it_was() {
    let bed = Bed::new();
    let opened = bed.open().expect("created");
    apply(&opened, puts(&["a"], 1)).await.expect("applied");
    apply(&opened, Batch { at_ms: 2_000, ..puts(&["a", "b"], 2) }).await.expect("applied");
    let gone = Write::Delete { reference: route("a"), ignore_missing: false };
    apply(&opened, Batch { writes: vec![gone], ..puts(&[], 0) }).await.expect("applied");

    let at = async |revision| opened.store.past(revision).await.expect("it is kept");
    assert_eq!(names(&at(0).await), [""; 0]);
    assert_eq!(names(&at(1).await), ["a"]);
    assert_eq!(names(&at(2).await), ["a", "b"]);
    assert_eq!(names(&at(3).await), ["b"]);
    assert_eq!(at(1).await.objects[&route("a")], (document("a", 1), 1_000));
    let error = opened.store.past(4).await.expect_err("there is none");
    assert_eq!(error.to_string(), "there is no revision 4, the last is 3");

    let now = bed.open().expect("opened").contents.objects;
    let done = apply(&opened, back(at(1).await, &now)).await.expect("applied");
    assert_eq!(done.revision, 4);
    let objects = bed.open().expect("opened").contents.objects;
    assert_eq!(objects.keys().collect::<Vec<_>>(), [&route("a")]);
    let a = &objects[&route("a")];
    assert_eq!((a.created_ms, &a.document), (1_000, &document("a", 1)), "with the age it had");
    assert_eq!(names(&at(3).await), ["b"], "what was taken back can be had again");
    let history = opened.store.history(2).await.expect("it is kept");
    let told: Vec<_> = history.iter().map(|it| (it.revision, it.note.as_str())).collect();
    assert_eq!(told, [(4, "rollback"), (3, "")]);
}

#[tokio::test]
async fn what_was_worked_out_from_an_older_revision_is_refused() {
    let bed = Bed::new();
    let opened = bed.open().expect("created");
    apply(&opened, puts(&["a"], 1)).await.expect("applied");
    let late = Batch { expected: Some(0), ..puts(&["b"], 1) };
    let error = apply(&opened, late).await.expect_err("refused");
    assert!(matches!(error, StoreError::Moved { expected: 0, found: 1 }), "{error}");
    assert_eq!(bed.open().expect("opened").contents.objects.len(), 1);
}

#[tokio::test]
async fn a_damaged_revision_is_not_gone_back_past() {
    let bed = Bed::new();
    let opened = bed.open().expect("created");
    for weight in 1..=3 {
        apply(&opened, puts(&["a"], weight)).await.expect("applied");
    }
    sql(&bed, "UPDATE changes SET before = '{}' WHERE revision = 2");
    let error = opened.store.past(1).await.expect_err("2 is damaged").to_string();
    assert!(error.contains("store.db") && error.contains("at revision 2"), "{error}");
    assert_eq!(opened.store.past(2).await.expect("3 is whole").objects.len(), 1);
    let history = opened.store.history(5).await.expect("it is told");
    assert_eq!(history[1].changes, Changes::Damaged);
}

#[tokio::test]
async fn a_batch_that_makes_and_deletes_one_thing_has_done_nothing_to_it() {
    let bed = Bed::new();
    let opened = bed.open().expect("created");
    let gone = Write::Delete { reference: route("a"), ignore_missing: false };
    let mut batch = puts(&["a", "b"], 1);
    batch.writes.push(gone);
    apply(&opened, batch).await.expect("applied");
    let history = opened.store.history(1).await.expect("it is kept");
    let Changes::Kept(changes) = &history[0].changes else { panic!("{history:?}") };
    assert_eq!(changes.iter().map(|it| &it.reference).collect::<Vec<_>>(), [&route("b")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_a_store_that_is_written_is_all_of_one_moment() {
    let bed = Bed::new();
    let opened = bed.open().expect("created");
    let store = opened.store.clone();
    let mut commits = opened.commits;
    tokio::spawn(async move { while commits.recv().await.is_some() {} });
    let writer = tokio::spawn(async move {
        for weight in 1..=40 {
            store.apply(puts(&["a", "b"], weight)).await.expect("applied");
        }
    });
    let (path, target) = (bed.path(), bed.dir.path().join("copy.db"));
    let mut copies = 0;
    while !writer.is_finished() || copies == 0 {
        let (path, target) = (path.clone(), target.clone());
        let copied = tokio::task::spawn_blocking(move || {
            copy(&path, &"cluster.local".parse().expect("valid"), &target)
        });
        let (contents, version) = copied.await.expect("no panic").expect("it is whole");
        let documents: Vec<_> = contents.objects.values().map(|it| &it.document["spec"]).collect();
        assert!(documents.windows(2).all(|two| two[0] == two[1]), "{documents:?}");
        assert_eq!(version, SCHEMA);
        copies += 1;
    }
    writer.await.expect("no panic");
}
