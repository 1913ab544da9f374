//! `explain` from files: each directory of `testdata/cli/explain` holds the words of a command line,
//! the files that they name, and what comes of them; `UPDATE_GOLDEN=1` rewrites it.

use std::path::{Path, PathBuf};

use super::binary::{Run, command, meshctl};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/cli/explain")
}

fn run(case: &Path) -> Run {
    let words = std::fs::read_to_string(case.join("command")).expect("words");
    let home = tempfile::tempdir().expect("a directory");
    let mut command = command(home.path());
    let output = command.current_dir(case).args(words.split_whitespace()).output().expect("runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let code = output.status.code().expect("not killed");
    Run { stdout: text(output.stdout), stderr: text(output.stderr), code }
}

#[test]
fn files_are_explained_as_was_agreed_on() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    let mut cases = 0;
    for entry in std::fs::read_dir(golden()).expect("a directory") {
        let case = entry.expect("an entry").path();
        let run = run(&case);
        let said = format!("exit {}\n{}{}", run.code, run.stdout, run.stderr);
        let path = case.join("output");
        cases += 1;
        if update {
            std::fs::write(&path, &said).expect("written");
        } else if std::fs::read_to_string(&path).unwrap_or_default() != said {
            wrong.push(format!("{}:\n{said}", case.display()));
        }
    }
    assert!(cases > 8, "only {cases} cases");
    assert!(wrong.is_empty(), "changed, see with UPDATE_GOLDEN=1:\n{}", wrong.join("\n"));
}

#[test]
fn what_is_wrong_with_the_words_is_said() {
    let cases: [(&[&str], &str); 8] = [
        (&["explain", "http://a/"], "error: `--from` is missing\n"),
        (
            &["explain", "no_rout"],
            "error: `no_rout` is neither a reason nor a request\nhelp: did you mean `no_route`?\n",
        ),
        (&["explain", "--from", "web"], "error: which request?\n"),
        (
            &["explain", "--from", "web", "https://a/"],
            "error: `https://a/` is not a URL that a proxy can be asked for: write `http://HOST/PATH`\n",
        ),
        (
            &["explain", "--from", "web", "GET", "http://a/", "--method", "PUT"],
            "error: the method was given twice\n",
        ),
        (
            &["explain", "--from", "web", "http://a/", "--header", "x"],
            "error: `--header`: `x` is not `NAME:VALUE`\n",
        ),
        (
            &["explain", "--from", "web", "http://a/", "--grpc", "Nothing"],
            "error: `Nothing` is not a gRPC method, which is written `package.Service/Method`\n",
        ),
        (&["explain", "--rule", "no-id"], "error: `no-id` is not the id of a rule\n"),
    ];
    for (words, error) in cases {
        let words = [words, &["-f", "/dev/null"]].concat();
        let run = meshctl(&words);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run:?}");
        assert!(run.stderr.starts_with(error), "{run:?}");
    }
}
