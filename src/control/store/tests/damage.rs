//! Files that were cut, flipped, lost or are somebody else's: nothing is ever silently less or other
//! than what was acknowledged.

use super::*;

/// A store with revisions 1 (`a`) and 2 (`a`, `b`), as the files that a process which was killed
/// leaves, with what is kept of revision 1.
struct Left {
    files: Vec<(String, Vec<u8>)>,
}

impl Left {
    async fn behind() -> Self {
        let bed = Bed::new();
        let opened = bed.open().expect("created");
        apply(&opened, puts(&["a"], 1)).await.expect("applied");
        apply(&opened, puts(&["b"], 1)).await.expect("applied");
        let names = ["store.db", "store.db-wal", "store.prev.db", "store.mark"];
        let read = |name: &str| std::fs::read(bed.dir.path().join(name)).expect("it is there");
        Self { files: names.map(|name| (name.to_owned(), read(name))).into() }
    }

    /// The same after the journal was brought into the store.
    async fn in_order() -> Self {
        let bed = Self::behind().await.laid_out("", |_| ());
        sql(&bed, "PRAGMA wal_checkpoint(TRUNCATE)");
        let names = ["store.db", "store.prev.db", "store.mark"];
        let read = |name: &str| std::fs::read(bed.dir.path().join(name)).expect("it is there");
        Self { files: names.map(|name| (name.to_owned(), read(name))).into() }
    }

    fn length(&self, name: &str) -> usize {
        self.files.iter().find(|(it, _)| it == name).map_or(0, |(_, bytes)| bytes.len())
    }

    /// The files in a directory of their own, after `harm` to one of them.
    fn laid_out(&self, name: &str, harm: impl Fn(&mut Vec<u8>)) -> Bed {
        let bed = Bed::new();
        for (it, bytes) in &self.files {
            let mut bytes = bytes.clone();
            if it == name {
                harm(&mut bytes);
            }
            std::fs::write(bed.dir.path().join(it), bytes).expect("it is ours");
        }
        bed
    }
}

/// Opens and holds it against what may be: all of it; what was kept, and said so; or a refusal that
/// names the file and what to do.
#[track_caller]
fn told(bed: &Bed, harm: &str) -> &'static str {
    match bed.open() {
        Ok(opened) => {
            let names: Vec<_> = opened.contents.objects.keys().cloned().collect();
            let documents: Vec<_> =
                opened.contents.objects.values().map(|it| it.document.clone()).collect();
            match &opened.recovered {
                None => {
                    assert_eq!(names, [route("a"), route("b")], "{harm}");
                    assert_eq!(documents, [document("a", 1), document("b", 1)], "{harm}");
                    "whole"
                }
                Some(recovered) => {
                    assert_eq!(names, [route("a")], "{harm}");
                    assert_eq!(documents, [document("a", 1)], "{harm}");
                    assert!(recovered.revision == 1 && !recovered.reason.is_empty(), "{harm}");
                    "kept"
                }
            }
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains("store.db") && text.len() > 40, "{harm}: {text}");
            "refused"
        }
    }
}

#[tokio::test]
async fn a_store_cut_at_any_block_is_found_out() {
    let left = Left::in_order().await;
    for length in (0..left.length("store.db")).step_by(512) {
        let bed = left.laid_out("store.db", |bytes| bytes.truncate(length));
        assert_eq!(told(&bed, &format!("cut at {length}")), "kept");
    }
}

#[tokio::test]
async fn a_journal_cut_anywhere_is_found_out_where_it_was_acknowledged() {
    let left = Left::behind().await;
    let frames = (32..=left.length("store.db-wal")).step_by(24 + 4096);
    let around = frames.flat_map(|at| [at - 1, at, at + 1, at + 24, at + 2000]);
    for length in around.chain([0, 1]).filter(|at| *at < left.length("store.db-wal")) {
        let bed = left.laid_out("store.db-wal", |bytes| bytes.truncate(length));
        assert_eq!(told(&bed, &format!("cut at {length}")), "kept");
    }
}

#[tokio::test]
async fn the_end_of_a_journal_that_nobody_was_told_of_may_be_lost() {
    let mut left = Left::behind().await;
    // The mark of the moment before the second revision was acknowledged.
    let before = Bed::new();
    mark::write(&before.path(), 1).expect("it is ours");
    let bytes = std::fs::read(mark::path(&before.path())).expect("it is there");
    left.files.retain(|(name, _)| name != "store.mark");
    left.files.push(("store.mark".to_owned(), bytes));
    let whole = left.length("store.db-wal");
    let mut seen = std::collections::BTreeSet::new();
    for length in (32..=whole).step_by(24 + 4096).chain([whole - 1]) {
        let bed = left.laid_out("store.db-wal", |bytes| bytes.truncate(length));
        let opened = bed.open().expect("it is a store");
        let objects = opened.contents.objects.len() as u64;
        match &opened.recovered {
            // Less than the first revision cannot be: that was acknowledged.
            Some(recovered) => assert_eq!((recovered.revision, objects), (1, 1), "at {length}"),
            None => assert_eq!(opened.contents.revision, objects, "at {length}"),
        }
        seen.insert(opened.contents.revision);
    }
    assert_eq!(seen, [1, 2].into());
}

/// Flips one bit of the store, or of the files beside it, so many times.
fn flip(left: &Left, seed: u64, times: usize) -> std::collections::BTreeMap<&'static str, usize> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..times {
        let (name, bytes) = &left.files[random.usize(..left.files.len())];
        let (at, bit) = (random.usize(..bytes.len()), random.u8(..8));
        let bed = left.laid_out(name, |bytes| bytes[at] ^= 1 << bit);
        *seen.entry(told(&bed, &format!("bit {bit} of byte {at} of {name}"))).or_default() += 1;
    }
    seen
}

#[tokio::test]
async fn a_bit_that_falls_over_is_found_out_or_changes_nothing() {
    let (ordered, killed) = (Left::in_order().await, Left::behind().await);
    let seen = [flip(&ordered, 1, 500), flip(&killed, 2, 500)];
    // Were it always the same the test would prove nothing.
    assert!(seen.iter().all(|seen| seen.len() > 1), "{seen:?}");
}

#[tokio::test]
async fn a_store_that_is_gone_or_older_than_its_mark_is_found_out() {
    let left = Left::in_order().await;
    let bed = left.laid_out("", |_| ());
    std::fs::remove_file(bed.path()).expect("it is there");
    assert_eq!(told(&bed, "gone"), "kept");
    let bed = left.laid_out("", |_| ());
    std::fs::copy(kept::path(&bed.path()), bed.path()).expect("it is ours");
    let opened = bed.open().expect("what was kept is whole");
    let reason = opened.recovered.expect("it was found out").reason;
    assert_eq!(reason, "revision 2 was acknowledged, and it ends with 1");
}

#[tokio::test]
async fn files_of_somebody_else_and_links_are_refused_untouched() {
    let left = Left::in_order().await;
    let bed = left.laid_out("", |_| ());
    let elsewhere = bed.dir.path().join("elsewhere.db");
    std::fs::rename(bed.path(), &elsewhere).expect("it is ours");
    std::os::unix::fs::symlink(&elsewhere, bed.path()).expect("it is ours");
    let error = bed.open().expect_err("a link").to_string();
    assert!(error.contains("store.db` is a symbolic link"), "{error}");
    // Only root can give a file away.
    if rustix::process::geteuid().is_root() {
        let bed = left.laid_out("", |_| ());
        std::os::unix::fs::chown(bed.path(), Some(65_534), None).expect("root may");
        let error = bed.open().expect_err("somebody else's").to_string();
        assert!(error.contains("belongs to user 65534") && error.contains("chown 0"), "{error}");
    }
}
