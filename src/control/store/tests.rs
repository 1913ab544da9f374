//! All or nothing, generations, damage found, and what is done about it.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::*;

mod damage;
mod migration;
mod revisions;

struct Bed {
    dir: tempfile::TempDir,
}

impl Bed {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary directory") }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("store.db")
    }

    fn open(&self) -> Result<Opened, StoreError> {
        Store::open_sqlite(&self.path(), &"cluster.local".parse().expect("valid"))
    }
}

fn route(name: &str) -> ObjectRef {
    ObjectRef {
        kind: ObjectKind::HttpRoute,
        namespace: "default".parse().expect("valid"),
        name: name.parse().expect("valid"),
    }
}

fn document(name: &str, weight: u32) -> Value {
    json!({"kind": "HTTPRoute", "metadata": {"name": name}, "spec": {"weight": weight}})
}

fn puts(names: &[&str], weight: u32) -> Batch {
    let write = |name: &&str| Write::Put(route(name), document(name, weight));
    Batch {
        actor: "tester".to_owned(),
        at_ms: 1_000,
        note: String::new(),
        expected: None,
        writes: names.iter().map(write).collect(),
        dry_run: false,
    }
}

/// The files of the store that others than its owner may touch.
fn open_to_others(dir: &Path) -> Vec<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let files = std::fs::read_dir(dir).expect("readable").map(|entry| entry.expect("an entry"));
    let open = files
        .filter(|file| file.metadata().expect("metadata").permissions().mode() & 0o777 != 0o600);
    open.map(|file| file.file_name().to_string_lossy().into_owned()).collect()
}

async fn apply(opened: &Opened, batch: Batch) -> Result<Applied, StoreError> {
    opened.store.apply(batch).await
}

fn actions(applied: &Applied) -> Vec<(Action, u64)> {
    applied.outcomes.iter().map(|outcome| (outcome.action, outcome.generation)).collect()
}

#[tokio::test]
async fn a_generation_goes_up_only_when_the_spec_changes() {
    let bed = Bed::new();
    let opened = bed.open().expect("created");
    let first = apply(&opened, puts(&["a"], 1)).await.expect("applied");
    assert_eq!((first.revision, actions(&first)), (1, vec![(Action::Created, 1)]));
    let same = apply(&opened, puts(&["a"], 1)).await.expect("applied");
    assert_eq!((same.revision, actions(&same)), (1, vec![(Action::Unchanged, 1)]));
    let mut relabelled = puts(&["a"], 1);
    let mut labelled = document("a", 1);
    labelled["metadata"]["labels"] = json!({"team": "x"});
    relabelled.writes = vec![Write::Put(route("a"), labelled)];
    let relabelled = apply(&opened, relabelled).await.expect("applied");
    assert_eq!((relabelled.revision, actions(&relabelled)), (2, vec![(Action::Configured, 1)]));
    let changed = apply(&opened, puts(&["a"], 2)).await.expect("applied");
    assert_eq!((changed.revision, actions(&changed)), (3, vec![(Action::Configured, 2)]));
}

#[tokio::test]
async fn what_was_applied_is_there_after_a_restart_and_was_watched() {
    let bed = Bed::new();
    let mut opened = bed.open().expect("created");
    apply(&opened, puts(&["a", "b"], 1)).await.expect("applied");
    let commit = opened.commits.recv().await.expect("watched");
    assert_eq!((commit.revision, commit.changes.len()), (1, 2));
    drop(opened);
    let again = bed.open().expect("opened");
    assert_eq!(again.contents.revision, 1);
    assert_eq!(again.contents.objects.len(), 2);
    assert_eq!(again.recovered, None);
}

#[tokio::test]
async fn an_error_in_the_middle_of_a_batch_leaves_what_was_before() {
    let bed = Bed::new();
    let opened = bed.open().expect("created");
    apply(&opened, puts(&["a"], 1)).await.expect("applied");
    let saboteur = Connection::open(bed.path()).expect("opened");
    saboteur
        .execute_batch(
            "CREATE TRIGGER t BEFORE INSERT ON objects WHEN NEW.name = 'c'
             BEGIN SELECT RAISE(ABORT, 'injected'); END",
        )
        .expect("armed");
    let error = apply(&opened, puts(&["a", "b", "c"], 2)).await.expect_err("refused");
    assert!(error.to_string().contains("injected"), "{error}");
    saboteur.execute_batch("DROP TRIGGER t").expect("disarmed");
    let names: Vec<_> = bed.open().expect("opened").contents.objects.into_values().collect();
    assert_eq!(names.len(), 1);
    assert_eq!(names[0].document, document("a", 1));
    let after = apply(&opened, puts(&["a"], 2)).await.expect("it goes on");
    assert_eq!(after.revision, 2);
}

#[tokio::test]
async fn a_process_that_dies_inside_a_transaction_leaves_what_was_before() {
    let bed = Bed::new();
    let opened = bed.open().expect("created");
    apply(&opened, puts(&["a"], 1)).await.expect("applied");
    drop(opened);
    // What a killed process leaves is the files as they are: copy them with a transaction open,
    // half of it already spilled to the journal.
    let writer = Connection::open(bed.path()).expect("opened");
    writer
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA cache_size = 1; BEGIN IMMEDIATE;
             DELETE FROM objects;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
             INSERT INTO objects SELECT 'HTTPRoute', 'default', 'x' || i, hex(zeroblob(200)), 1, 1, 1, x'' FROM n;",
        )
        .expect("half done");
    let grave = Bed::new();
    for suffix in ["", "-wal"] {
        let name = format!("store.db{suffix}");
        let from = bed.dir.path().join(&name);
        if from.exists() {
            std::fs::copy(from, grave.dir.path().join(name)).expect("copied");
        }
    }
    let found = grave.open().expect("opened");
    assert_eq!(found.recovered, None);
    assert_eq!(found.contents.objects.keys().collect::<Vec<_>>(), [&route("a")]);
}

#[tokio::test]
async fn deleting_what_is_not_there_changes_nothing() {
    let bed = Bed::new();
    let opened = bed.open().expect("created");
    apply(&opened, puts(&["a"], 1)).await.expect("applied");
    let delete = |ignore_missing| {
        let gone = |name| Write::Delete { reference: route(name), ignore_missing };
        Batch { writes: vec![gone("a"), gone("b")], ..puts(&[], 0) }
    };
    let error = apply(&opened, delete(false)).await.expect_err("refused");
    assert!(matches!(error, StoreError::NotFound(reference) if reference == route("b")));
    let dry = Batch { dry_run: true, ..delete(true) };
    assert_eq!(actions(&apply(&opened, dry).await.expect("tried")), [(Action::Deleted, 1)]);
    assert_eq!(bed.open().expect("opened").contents.objects.len(), 1);
    apply(&opened, delete(true)).await.expect("deleted");
    assert!(bed.open().expect("opened").contents.objects.is_empty());
}

/// Runs `harm` on a store with revisions 1 (`a`) and 2 (`a`, `b`), then opens it.
async fn after(harm: impl Fn(&Bed)) -> (Bed, Result<Opened, StoreError>) {
    let bed = Bed::new();
    let opened = bed.open().expect("created");
    apply(&opened, puts(&["a"], 1)).await.expect("applied");
    apply(&opened, puts(&["b"], 1)).await.expect("applied");
    drop(opened);
    let connection = Connection::open(bed.path()).expect("opened");
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("checkpointed");
    drop(connection);
    harm(&bed);
    let opened = bed.open();
    (bed, opened)
}

fn sql(bed: &Bed, statement: &str) {
    Connection::open(bed.path()).expect("opened").execute_batch(statement).expect("done");
}

#[tokio::test]
async fn damage_is_found_and_the_kept_generation_used() {
    type Harm = (&'static str, fn(&Bed));
    let harms: [Harm; 6] = [
        ("a changed row", |bed| sql(bed, "UPDATE objects SET generation = 7 WHERE name = 'b'")),
        ("a lost row", |bed| sql(bed, "DELETE FROM objects WHERE name = 'b'")),
        ("another version in the header", |bed| sql(bed, "PRAGMA user_version = 99")),
        ("a lost table", |bed| sql(bed, "DROP TABLE objects")),
        ("an empty file", |bed| std::fs::write(bed.path(), b"").expect("written")),
        ("garbage", |bed| std::fs::write(bed.path(), [7; 9000]).expect("written")),
    ];
    for (what, harm) in harms {
        let (bed, opened) = after(harm).await;
        let opened = opened.expect(what);
        let recovered = opened.recovered.expect(what);
        assert_eq!(recovered.revision, 1, "{what}");
        assert!(recovered.damaged.exists(), "{what}");
        assert_eq!(opened.contents.objects.keys().collect::<Vec<_>>(), [&route("a")], "{what}");
        drop(bed);
    }
}

#[tokio::test]
async fn damage_without_a_kept_generation_names_file_and_remedy() {
    let (_bed, opened) = after(|bed| {
        std::fs::write(bed.path(), b"").expect("written");
        std::fs::remove_file(kept::path(&bed.path())).expect("removed");
    })
    .await;
    let text = opened.expect_err("refused").to_string();
    assert!(text.contains("store.db") && text.contains("backup"), "{text}");
}

const NEWER: &str = "PRAGMA user_version = 99;
    UPDATE meta SET value = '99' WHERE key = 'schema_version'";

#[tokio::test]
async fn a_newer_store_and_another_trust_domain_are_refused_untouched() {
    let (bed, opened) = after(|bed| sql(bed, NEWER)).await;
    let bytes = std::fs::read(bed.path()).expect("read");
    assert!(matches!(opened, Err(StoreError::Newer { found: 99, .. })));
    assert!(matches!(bed.open(), Err(StoreError::Newer { .. })));
    assert_eq!(std::fs::read(bed.path()).expect("read"), bytes);
    let (bed, _) = after(|_| ()).await;
    let other = Store::open_sqlite(&bed.path(), &"other.example".parse().expect("valid"));
    assert!(matches!(other, Err(StoreError::TrustDomain { .. })));
}

#[tokio::test]
async fn registrations_are_kept_until_they_leave() {
    let bed = Bed::new();
    let opened = bed.open().expect("created");
    let hello = crate::control::registration::tests::hello("reviews-v1-0", "reviews");
    let registration = Registration::from_hello(&hello).expect("valid");
    let proxy = registration.proxy();
    let turn = opened.store.turn().await.expect("a turn");
    turn.register(proxy.clone(), Some(registration.clone())).await.expect("kept");
    let there = bed.open().expect("opened").contents.registrations;
    assert_eq!(there.get(&proxy), Some(&registration));
    let turn = opened.store.turn().await.expect("a turn");
    turn.register(proxy, None).await.expect("forgotten");
    assert!(bed.open().expect("opened").contents.registrations.is_empty());
}

#[tokio::test]
async fn every_file_is_its_owners_alone_also_those_of_an_earlier_version() {
    use std::os::unix::fs::PermissionsExt as _;
    let bed = Bed::new();
    let opened = bed.open().expect("a new store");
    apply(&opened, puts(&["a"], 1)).await.expect("applied");
    let kept = bed.dir.path().join("store.prev.db");
    assert!(kept.exists() && bed.dir.path().join("store.db-wal").exists());
    assert_eq!(open_to_others(bed.dir.path()), [""; 0]);
    drop(opened);
    for path in [&bed.path(), &kept] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).expect("changed");
    }
    let opened = bed.open().expect("it opens");
    apply(&opened, puts(&["b"], 1)).await.expect("applied");
    assert_eq!(open_to_others(bed.dir.path()), [""; 0]);
}
