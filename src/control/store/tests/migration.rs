//! A store as the first version wrote it, brought to the tables of this one.

use super::history::Changes;
use super::*;

/// A copy of what a control plane of schema 1 left: three revisions, two routes, one registration.
fn first() -> Bed {
    let bed = Bed::new();
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/store/schema-1.db");
    std::fs::copy(kept, bed.path()).expect("it is in the repository");
    bed
}

#[tokio::test]
async fn nothing_is_lost_and_the_store_from_before_is_kept() {
    let bed = first();
    let opened = bed.open().expect("it is whole");
    assert_eq!(opened.recovered, None);
    assert_eq!((opened.contents.revision, opened.contents.objects.len()), (3, 2));
    let a = &opened.contents.objects[&route("a")];
    assert_eq!((a.generation, a.revision), (2, 2));
    assert_eq!(opened.contents.registrations.len(), 1);
    let lines = opened.store.history(10).await.expect("they are there");
    let told: Vec<_> = lines.iter().map(|it| (it.revision, it.note.as_str())).collect();
    assert_eq!(told, [(3, "1 deleted"), (2, "1 configured"), (1, "3 created")]);
    assert!(lines.iter().all(|it| it.changes == Changes::Forgotten));

    apply(&opened, puts(&["a"], 9)).await.expect("it goes on");
    let past = opened.store.past(3).await.expect("it was not changed by an earlier version");
    assert_eq!(past.objects.len(), 2);
    let error = opened.store.past(2).await.expect_err("nobody wrote down what it was").to_string();
    assert!(error.contains("the oldest that is known is 3"), "{error}");
    drop(opened);
    let again = bed.open().expect("it is whole");
    assert_eq!((again.contents.revision, again.recovered), (4, None));

    let version = |path: &Path| -> i64 {
        let connection = Connection::open(path).expect("it is a store");
        connection.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("readable")
    };
    let copy = bed.dir.path().join("store.v1.db");
    assert_eq!((version(&copy), version(&bed.path())), (1, 2));
    assert_eq!(open_to_others(bed.dir.path()), [""; 0]);
}

#[tokio::test]
async fn a_damaged_store_of_the_first_version_is_not_brought_forward() {
    let bed = first();
    sql(&bed, "DELETE FROM objects WHERE name = 'a'");
    let error = bed.open().expect_err("a row is lost").to_string();
    assert!(error.contains("is damaged"), "{error}");
    assert!(!bed.dir.path().join("store.v1.db").exists());
    sql(&bed, "SELECT summary FROM revisions");
}
