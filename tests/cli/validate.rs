//! `validate` for CI systems, against a mesh, over directories, and by its exit codes; and `schema`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::binary::{Run, meshctl, meshctl_in};
use super::installed::{Mesh, eventually};

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

/// A directory with the file that has something of everything, under names that need escaping.
fn shop() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let text = std::fs::read(testdata().join("cli/validate/shop.yaml")).expect("readable");
    std::fs::create_dir(dir.path().join("a, b")).expect("made");
    std::fs::write(dir.path().join("a, b/100%: <é>.yaml"), text).expect("written");
    std::fs::write(dir.path().join("a, b/latin.yaml"), b"caf\xe9").expect("written");
    std::fs::write(dir.path().join("a, b/none.yaml"), "# nothing\n").expect("written");
    dir
}

fn report(format: &str, more: &[&str]) -> Run {
    let words = [&["validate", "-f", "a, b", "-o", format][..], more].concat();
    let run = meshctl_in(shop().path(), &words, "");
    assert_eq!((run.code, run.stderr.as_str()), (3, ""), "{run:?}");
    run
}

#[track_caller]
fn golden(name: &str, found: &str) {
    let path = testdata().join("cli/validate").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, found).expect("written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "{name}: run with UPDATE_GOLDEN=1 and look at it");
}

#[test]
fn annotations_of_github_are_one_line_each_and_escaped() {
    let run = report("github", &[]);
    golden("report.github", &run.stdout);
    let commands: Vec<&str> = run.stdout.lines().filter(|line| line.starts_with("::")).collect();
    assert_eq!(run.stdout.lines().count(), commands.len() + 1, "a line is no command");
    for command in commands {
        let (properties, message) = command[2..].split_once("::").expect("a command");
        assert!(
            properties.starts_with("error ") || properties.starts_with("warning "),
            "{command}"
        );
        let values = properties.split_once(' ').expect("properties").1.split(',');
        let names: Vec<&str> = values.map(|it| it.split_once('=').expect("a value").0).collect();
        assert_eq!(names, ["file", "line", "col", "title"], "{command}");
        assert!(!message.is_empty());
    }
    let strict = report("github", &["--warnings-as-errors"]);
    assert!(run.stdout.contains("::warning ") && !strict.stdout.contains("::warning "));
    // Standard input is no file of a repository.
    let stdin = meshctl_in(shop().path(), &["validate", "-f", "-", "-o", "github"], "kind: a\n");
    assert!(stdin.stdout.starts_with("::error title=MC0202::missing field"), "{stdin:?}");
}

#[test]
fn sarif_is_valid_by_its_schema() {
    let schema = std::fs::read(testdata().join("sarif/sarif-schema-2.1.0.json")).expect("readable");
    let mut schema: Value = serde_json::from_slice(&schema).expect("JSON");
    // Two of its patterns are none: a bracket in them is never opened.
    for definition in ["run", "toolComponent"] {
        let language = format!("/definitions/{definition}/properties/language");
        let language = schema.pointer_mut(&language).and_then(Value::as_object_mut);
        language.and_then(|it| it.remove("pattern")).expect("there");
    }
    let options = jsonschema::draft7::options().should_validate_formats(true);
    let validator = options.build(&schema).expect("a schema");
    let good = meshctl_in(shop().path(), &["validate", "-f", "-", "-o", "sarif"], "");
    let run = report("sarif", &[]);
    golden("report.sarif", &run.stdout.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
    for text in [&run.stdout, &report("sarif", &["--warnings-as-errors"]).stdout, &good.stdout] {
        let log: Value = serde_json::from_str(text).expect("JSON");
        let problems: Vec<String> =
            validator.iter_errors(&log).map(|it| format!("{}: {it}", it.instance_path())).collect();
        assert_eq!(problems, [""; 0]);
        let rules = log["runs"][0]["tool"]["driver"]["rules"].as_array().expect("rules").clone();
        for result in log["runs"][0]["results"].as_array().expect("results") {
            let index = usize::try_from(result["ruleIndex"].as_u64().expect("a number"));
            assert_eq!(rules[index.expect("small")]["id"], result["ruleId"]);
        }
    }
    let mut wrong: Value = serde_json::from_str(&run.stdout).expect("JSON");
    wrong["runs"][0]["results"][0]["level"] = "fatal".into();
    assert!(!validator.is_valid(&wrong), "the schema refuses nothing");
}

#[test]
fn a_junit_report_has_a_suite_per_file_and_a_case_per_document() {
    let run = report("junit", &[]);
    golden("report.junit.xml", &run.stdout);
    let count = |text: &str, what: &str| text.matches(what).count();
    assert_eq!(count(&run.stdout, "<testsuite "), 3);
    assert_eq!(count(&run.stdout, "<skipped/>"), 1);
    assert!(run.stdout.contains("name=\"Service/shop/web\""), "{}", run.stdout);
    let strict = report("junit", &["--warnings-as-errors"]).stdout;
    assert_eq!(count(&strict, "<failure "), count(&run.stdout, "<failure ") + 1);
    assert_eq!((count(&run.stdout, "<system-out>"), count(&strict, "<system-out>")), (1, 0));
    // Well-formed: what opens closes, and nothing plain is left that could open something.
    let tag = regex::Regex::new(r"</?([a-z-]+)[^<>]*?(/?)>").expect("the pattern is constant");
    let mut open = Vec::new();
    for found in tag.captures_iter(run.stdout.split_once("?>").expect("a declaration").1) {
        match (found[0].starts_with("</"), found[2].is_empty()) {
            (true, _) => assert_eq!(open.pop(), Some(found[1].to_owned())),
            (false, true) => open.push(found[1].to_owned()),
            (false, false) => {}
        }
    }
    assert_eq!(open, [""; 0]);
    assert_eq!(count(&run.stdout, "<"), tag.find_iter(&run.stdout).count() + 1);
}

#[test]
fn directories_are_walked_when_asked_and_the_code_says_what_was_found() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::create_dir_all(dir.path().join("rules/deep")).expect("made");
    let write = |name: &str, text: &str| {
        std::fs::write(dir.path().join("rules").join(name), text).expect("written");
    };
    let service = |name: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: 80}}]}}\n"
        )
    };
    write("b.yml", &service("b"));
    write("a.yaml", &service("a"));
    write("c.json", "{\"apiVersion\": \"apps/v1\", \"kind\": \"Deployment\"}");
    write("notes.txt", "no: [rules");
    write("deep/d.yaml", &service("D"));
    let run = |words: &str| {
        let words: Vec<&str> = words.split(' ').collect();
        meshctl_in(dir.path(), &[&["validate", "-f"][..], &words].concat(), "")
    };
    let fine = "2 rules checked, no problem found, 1 document of other products skipped\n";
    run("rules").is(0, fine, "");
    let deep = run("rules -R");
    assert_eq!(deep.code, 3, "{deep:?}");
    assert!(deep.stdout.contains("rules/deep/d.yaml:3:18"), "{deep:?}");
    let strict = run("rules --strict-kinds");
    assert_eq!(strict.code, 3, "{strict:?}");
    assert!(strict.stdout.contains("error[MC0206]") && strict.stdout.contains("rules/c.json:1:35"));
    let nowhere = "error: there is no file `nowhere`\n\
                   help: name a file, a directory or a URL; `-` is standard input\n";
    run("nowhere").is(2, "", nowhere);
    write("b.yml", &(service("b") + "---\n" + &service("b")));
    assert_eq!(run("rules").code, 3);
    write("b.yml", "");
    write("a.yaml", include_str!("../../testdata/rules/warn/times.yaml"));
    assert_eq!((run("rules").code, run("rules --warnings-as-errors").code), (0, 3));
}

#[test]
fn what_the_rules_name_is_looked_for_in_the_mesh() {
    let mesh = Mesh::install();
    let policy = "apiVersion: meshctl.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {name: web}\n\
                  spec:\n  targetRefs: [{kind: Service, name: web}]\n";
    let offline = mesh.feed("validate -f -", policy);
    offline.is(0, "1 rule checked, no problem found\n", "");
    let against = mesh.feed("validate -f - --against --warnings-as-errors -o json", policy);
    assert_eq!((against.code, against.stderr.as_str()), (3, ""), "{against:?}");
    let report: Value = serde_json::from_str(&against.stdout).expect("JSON");
    let first = &report["diagnostics"][0];
    assert_eq!((&first["code"], &first["line"]), (&"MC0415".into(), &5.into()), "{first}");
    let service =
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n";
    assert_eq!(mesh.feed("apply -f -", service).code, 0);
    eventually("the service is known", || {
        mesh.feed("validate -f - --against --warnings-as-errors", policy).code == 0
    });
    // It was only looked at.
    mesh.run("get trafficpolicy -o name").is(0, "", "");
    // What is wrong with a document is told as offline, once.
    let wrong = mesh.feed("validate -f - --against -o json", "kind: Service\n");
    let report: Value = serde_json::from_str(&wrong.stdout).expect("JSON");
    assert_eq!((wrong.code, report["diagnostics"].as_array().map(Vec::len)), (3, Some(1)));
}

#[test]
fn without_a_mesh_nothing_is_held_against_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let run = meshctl_in(dir.path(), &["validate", "-f", "-", "--against"], "");
    run.is(
        1,
        "",
        "error: no control plane is running in `DIR/home`\nhelp: start it with `meshctl install`\n",
    );
}

#[test]
fn schemas_are_printed_of_one_kind_and_of_all() {
    let all = meshctl(&["schema"]);
    assert_eq!((all.code, all.stderr.as_str()), (0, ""), "{all:?}");
    let all: Value = serde_json::from_str(&all.stdout).expect("JSON");
    assert_eq!(all["$schema"], "http://json-schema.org/draft-07/schema#");
    let one = meshctl(&["schema", "tpol"]);
    assert_eq!(one.code, 2, "{one:?}");
    let one: Value =
        serde_json::from_str(&meshctl(&["schema", "trafficpolicies"]).stdout).expect("JSON");
    assert_eq!(one["title"], "TrafficPolicy");
    assert_eq!(
        one["properties"]["spec"],
        all["definitions"]["TrafficPolicy"]["properties"]["spec"]
    );
}
