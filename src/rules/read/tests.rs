//! Tests of reading: what is taken in which order, what is refused, and that all of it is reported.

use std::fs;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

use super::{MAX_DEPTH, MAX_FILE_BYTES, ReadError, Reader, read};

fn codes(result: Result<Vec<crate::rules::Document>, ReadError>) -> Vec<String> {
    result.err().map(|e| e.diagnostics.into_iter().map(|d| d.code).collect()).unwrap_or_default()
}

fn write(directory: &Path, name: &str, content: &[u8]) -> PathBuf {
    let path = directory.join(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    fs::write(&path, content).expect("written");
    path
}

#[test]
fn directories_are_read_sorted_and_only_rules_of_them() {
    let home = tempfile::tempdir().expect("a directory");
    for name in ["b.yml", "a.yaml", "c.json", "d.txt", "sub/e.yaml"] {
        write(home.path(), name, b"a: 1");
    }
    let names = |recursive| -> Vec<String> {
        let read = read(&[home.path().to_owned()], recursive, &mut io::empty()).expect("readable");
        let prefix = format!("{}/", home.path().display());
        read.iter().map(|d| d.source.strip_prefix(&prefix).expect("inside").to_owned()).collect()
    };
    assert_eq!(names(false), ["a.yaml", "b.yml", "c.json"]);
    assert_eq!(names(true), ["a.yaml", "b.yml", "c.json", "sub/e.yaml"]);
}

#[test]
fn standard_input_is_read_and_bounded() {
    let paths = [PathBuf::from("-")];
    let documents = read(&paths, false, &mut Cursor::new("a: 1")).expect("readable");
    assert_eq!((documents[0].source.as_str(), documents[0].text.as_str()), ("-", "a: 1"));
    // It never ends: the bound does.
    assert_eq!(codes(read(&paths, false, &mut io::repeat(b'a'))), ["MC0003"]);
}

#[test]
fn sizes_are_bounded_in_one_file_and_in_all() {
    let home = tempfile::tempdir().expect("a directory");
    let sparse = |name: &str, size| {
        let path = home.path().join(name);
        fs::File::create(&path).and_then(|file| file.set_len(size)).expect("made");
        path
    };
    assert_eq!(
        codes(read(&[sparse("large", MAX_FILE_BYTES + 1)], false, &mut io::empty())),
        ["MC0003"]
    );
    let stream = || io::repeat(b' ').take(MAX_FILE_BYTES);
    let mut all = stream().chain(stream());
    assert_eq!(codes(read(&[PathBuf::from("-")], false, &mut all)), ["MC0003"]);
    let file = write(home.path(), "full.yaml", &vec![b' '; 16 << 20]);
    let five = vec![file; 5];
    assert_eq!(codes(read(&five, false, &mut io::empty())), ["MC0003"]);
}

#[test]
fn devices_and_pipes_are_refused_without_blocking() {
    let home = tempfile::tempdir().expect("a directory");
    let fifo = home.path().join("fifo.yaml");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).expect("made");
    let paths = [PathBuf::from("/dev/zero"), fifo, home.path().to_owned()];
    assert_eq!(codes(read(&paths, false, &mut io::empty())), ["MC0002"; 3]);
}

#[test]
fn what_cannot_be_read_does_not_hide_the_rest() {
    let home = tempfile::tempdir().expect("a directory");
    let good = write(home.path(), "good.yaml", b"\xef\xbb\xbfa: 1\r\n");
    let utf16 = write(home.path(), "utf16.yaml", b"\xff\xfea\0:\0");
    let latin = write(home.path(), "latin.yaml", b"a: \xe9");
    let missing = home.path().join("missing.yaml");
    let empty = home.path().join("empty");
    fs::create_dir(&empty).expect("made");
    let error =
        read(&[utf16, good, latin, missing, empty], false, &mut io::empty()).expect_err("problems");
    let found: Vec<&str> = error.diagnostics.iter().map(|d| d.code.as_str()).collect();
    assert_eq!(found, ["MC0004", "MC0004", "MC0001", "MC0005"]);
    assert!(error.diagnostics[0].message.contains("UTF-16"));
    assert_eq!(error.documents.len(), 1);
}

/// They were left out in silence, and `apply --prune` deleted what was in them.
#[test]
fn what_is_left_out_of_a_directory_is_reported() {
    let home = tempfile::tempdir().expect("a directory");
    let deep = |depth: usize| vec!["d"; depth].join("/");
    write(home.path(), &format!("{}/a.yaml", deep(MAX_DEPTH - 1)), b"a: 1");
    let paths = [home.path().to_owned()];
    assert_eq!(read(&paths, true, &mut io::empty()).expect("all of it").len(), 1);
    write(home.path(), &format!("{}/b.yaml", deep(MAX_DEPTH)), b"b: 1");
    assert_eq!(codes(read(&paths, true, &mut io::empty())), ["MC0003"]);
    let many = tempfile::tempdir().expect("a directory");
    for name in ["a.yaml", "b.yaml", "sub/c.yaml"] {
        write(many.path(), name, b"a: 1");
    }
    let mut reader = Reader::new(3);
    reader.directory(many.path(), true);
    assert_eq!((reader.documents.len(), reader.found.len(), reader.files), (3, 0, 0));
    let mut reader = Reader::new(2);
    reader.directory(many.path(), true);
    assert_eq!((reader.documents.len(), reader.files), (2, 0));
    let found: Vec<&str> = reader.found.iter().map(|it| it.code.as_str()).collect();
    assert_eq!(found, ["MC0003"]);
}
