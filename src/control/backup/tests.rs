//! What comes out of a backup is what went in, whole or not at all.

use std::time::SystemTime;

use serde_json::json;

use super::*;
use crate::control::store::{Batch, Opened, Store, Write};
use crate::mesh::{ObjectKind, ObjectRef};

const PASSPHRASE: &str = "correct horse battery";

/// A home directory with an authority.
struct Bed {
    dir: tempfile::TempDir,
}

impl Bed {
    fn new() -> Self {
        let bed = Self { dir: tempfile::tempdir().expect("a directory") };
        let home = bed.home();
        home.prepare().expect("it is ours");
        let authority = Authority::create(&domain(), SystemTime::now()).expect("created");
        authority.save(&home.ca()).expect("saved");
        home.remember_address(([127, 0, 0, 1], 15012).into()).expect("remembered");
        bed
    }

    /// One in which rules of these names were applied, one revision each; its store is closed.
    async fn with(names: &[&str]) -> Self {
        let bed = Self::new();
        let opened = bed.open();
        for name in names {
            apply(&opened, name).await;
        }
        bed
    }

    fn home(&self) -> Home {
        Home::new(self.dir.path().join("home"))
    }

    fn open(&self) -> Opened {
        Store::open_sqlite(&self.home().store(), &domain()).expect("it opens")
    }

    fn names(&self) -> Vec<String> {
        self.open().contents.objects.keys().map(|it| it.name.to_string()).collect()
    }

    fn backup(&self) -> Vec<u8> {
        make(&self.home(), PASSPHRASE, Timestamp::UNIX_EPOCH).expect("it is whole").0
    }

    fn key(&self) -> Vec<u8> {
        std::fs::read(self.home().ca().join("root.key")).expect("there is a key")
    }

    /// What lies in it, but the journal of a store that is being closed.
    fn listed(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.home().dir()).expect("it is ours");
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.expect("an entry").file_name().to_string_lossy().into_owned()
        };
        let mut names: Vec<_> = entries
            .map(name)
            .filter(|name| name != "lock" && !name.starts_with("store.db-"))
            .collect();
        names.sort();
        names
    }
}

fn domain() -> TrustDomain {
    "cluster.local".parse().expect("valid")
}

async fn apply(opened: &Opened, name: &str) {
    let reference = ObjectRef {
        kind: ObjectKind::HttpRoute,
        namespace: "default".parse().expect("valid"),
        name: name.parse().expect("valid"),
    };
    let writes = vec![Write::Put(reference, json!({"spec": {}}))];
    let (actor, note) = (String::new(), String::new());
    let batch = Batch { actor, at_ms: 1, note, expected: None, writes, dry_run: false };
    opened.store.apply(batch).await.expect("applied");
}

#[tokio::test]
async fn a_backup_of_an_open_store_brings_rules_history_and_authority_back() {
    let bed = Bed::with(&["a", "b"]).await;
    let opened = bed.open();
    apply(&opened, "c").await;
    let (bytes, manifest) =
        make(&bed.home(), PASSPHRASE, Timestamp::UNIX_EPOCH).expect("the store is open");
    assert_eq!((manifest.revision, manifest.rules), (3, 3));
    assert!(!bytes.windows(4).any(|bytes| bytes == b"spec"), "nothing is in the clear");
    apply(&opened, "d").await;
    drop(opened);

    let other = Bed::with(&["x"]).await;
    let old_key = other.key();
    let backup = super::open(bytes, PASSPHRASE).expect("it is whole");
    assert!(would_replace(&other.home()));
    let aside = restore(&other.home(), &backup).expect("nobody is at work").expect("it was there");
    assert_eq!(other.names(), ["a", "b", "c"]);
    assert_eq!(other.key(), bed.key());
    let history = other.open().store.history(10).await.expect("it is there");
    assert_eq!(history.len(), 3);
    assert_eq!(std::fs::read(aside.join("ca/root.key")).expect("put aside"), old_key);
    assert!(aside.join("store.db").exists());
}

#[tokio::test]
async fn a_home_that_is_empty_takes_a_backup() {
    let bed = Bed::with(&["a"]).await;
    let empty = Bed { dir: tempfile::tempdir().expect("a directory") };
    assert!(!would_replace(&empty.home()));
    let backup = super::open(bed.backup(), PASSPHRASE).expect("it is whole");
    assert_eq!(restore(&empty.home(), &backup).expect("nobody is at work"), None);
    assert_eq!(empty.names(), ["a"]);
    assert_eq!(empty.home().remembered_address(), Some(([127, 0, 0, 1], 15012).into()));
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_told_apart() {
    let bytes = Bed::with(&["a"]).await.backup();
    let seal = |bytes: &[u8], passphrase| match super::open(bytes.to_vec(), passphrase) {
        Err(BackupError::Seal(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(seal(&bytes, "wrong horse battery"), SealError::Passphrase);
    assert_eq!(seal(b"SQLite format 3\0", PASSPHRASE), SealError::Foreign);
    assert_eq!(seal(b"", PASSPHRASE), SealError::Foreign);
    assert_eq!(seal(b"meshctl backup 2\n", PASSPHRASE), SealError::Newer);
    for at in (0..bytes.len()).step_by(bytes.len() / 7).skip(1) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        assert_eq!(seal(&flipped, PASSPHRASE), SealError::Damaged, "at {at}");
        assert_eq!(seal(&bytes[..at], PASSPHRASE), SealError::Damaged, "up to {at}");
    }
    for at in 17..141 {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x80;
        assert_eq!(seal(&flipped, PASSPHRASE), SealError::Damaged, "in the header, at {at}");
    }
}

#[tokio::test]
async fn a_backup_whose_parts_do_not_fit_changes_nothing() {
    let bed = Bed::with(&["a"]).await;
    let mut backup = super::open(bed.backup(), PASSPHRASE).expect("it is whole");
    backup.files.insert(STORE.to_owned(), vec![7; 8192]);
    let other = Bed::with(&["x"]).await;
    let before = (other.listed(), other.key());
    assert!(matches!(restore(&other.home(), &backup), Err(BackupError::Store(_))));
    assert_eq!((other.listed(), other.key()), before);
    assert_eq!(other.names(), ["x"]);
}

#[tokio::test]
async fn a_running_control_plane_is_not_restored_over() {
    let bed = Bed::with(&["a"]).await;
    let backup = super::open(bed.backup(), PASSPHRASE).expect("it is whole");
    let _lock = bed.home().lock().expect("nobody is at work");
    let refused = restore(&bed.home(), &backup);
    assert!(matches!(refused, Err(BackupError::Home(HomeError::Locked { .. }))));
}

#[tokio::test]
async fn one_that_was_cut_off_anywhere_is_finished() {
    let bed = Bed::with(&["a"]).await;
    let backup = super::open(bed.backup(), PASSPHRASE).expect("it is whole");
    // Cut off before each of the steps: what is already in place has lost its staged file.
    for done in 0..=4 {
        let other = Bed::with(&["x"]).await;
        let home = other.home();
        let dir = tempfile::tempdir_in(home.dir()).expect("it is ours");
        lay_out(dir.path(), &backup.files).expect("it is ours");
        staged::commit(&home, dir).expect("it is ours");
        let (staged, aside) = (home.dir().join("restored"), home.dir().join("before-restore"));
        for name in [KEY, ROOT, ADDRESS, STORE].iter().take(done) {
            for dir in [&aside, &aside.join("ca")] {
                std::fs::create_dir_all(dir).expect("it is ours");
            }
            let old = if *name == STORE { &staged::OF_STORE[..] } else { &[*name] };
            for old in old.iter().filter(|old| home.dir().join(old).exists()) {
                std::fs::rename(home.dir().join(old), aside.join(old)).expect("it is there");
            }
            std::fs::rename(staged.join(name), home.dir().join(name)).expect("it is there");
        }
        finish(&home).expect("it is ours");
        assert_eq!(other.names(), ["a"], "after {done} files");
        assert_eq!(other.key(), bed.key(), "after {done} files");
        assert!(!staged.exists());
        assert_eq!(finish(&home).expect("nothing to do"), None);
    }
}

#[tokio::test]
async fn a_copy_of_the_store_takes_its_place_whole_and_the_store_is_put_aside() {
    let bed = Bed::with(&["a", "b"]).await;
    let home = bed.home();
    let copy = store::before(&home.store(), 1);
    let first = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/store/schema-1.db");
    let content = std::fs::read(first).expect("it is in the repository");
    write_atomic(&copy, &content[..content.len() / 2], 0o600).expect("ours");
    put_back(&home, &copy).expect_err("half of a store");
    assert_eq!(bed.names(), ["a", "b"], "nothing was touched");
    write_atomic(&copy, &content, 0o600).expect("ours");
    let aside = put_back(&home, &copy).expect("it is whole").expect("there was a store");
    assert_eq!(store::schema(&home.store()).expect("it is whole").0, 1);
    assert_eq!(store::schema(&aside.join(STORE)).expect("it is whole").0, store::SCHEMA);
    let _working = home.lock().expect("nobody is at work");
    assert!(matches!(put_back(&home, &copy), Err(BackupError::Home(HomeError::Locked { .. }))));
}
