//! Proof that each check can fail: a bad sample that it must refuse beside a good one it must not.

use super::{Check, code, imports, layout, network, source};

/// Asserts that `check` complains about `bad` and not about `good`, both read as `path`.
#[track_caller]
fn tells_apart(check: Check, path: &str, bad: &str, good: &str) {
    assert!(!check(path, bad).is_empty(), "not refused: {bad}");
    assert_eq!(check(path, good), Vec::<String>::new(), "refused: {good}");
}

#[test]
fn long_files_and_functions_are_refused() {
    let line = "let x = 1;\n";
    tells_apart(source::size, "src/a.rs", &line.repeat(401), &line.repeat(400));
    let function = |lines: usize| format!("fn a() {{\n{}}}\n", "    x();\n".repeat(lines));
    tells_apart(source::functions, "src/a.rs", &function(69), &function(68));
    let script = |lines: usize| format!("#!/bin/sh\n{}", "true\n".repeat(lines));
    tells_apart(source::script_size, "install.sh", &script(400), &script(399));
}

#[test]
fn a_file_without_a_purpose_is_refused() {
    let good = "//! What was read, as lines: text in, lines out.\n";
    for bad in ["use std::fmt;\n", "//! Lines.\n", "//!\n//!\n", "// What was read, as lines.\n"] {
        tells_apart(source::header, "src/a.rs", bad, good);
    }
}

#[test]
fn names_that_say_nothing_are_refused() {
    for bad in ["src/utils.rs", "src/proxy/helpers.rs", "src/common/a.rs", "src/proxy/mod.rs"] {
        assert!(!source::file_name(bad, "").is_empty(), "{bad}");
    }
    assert!(source::file_name("src/proxy/model.rs", "").is_empty());
}

#[test]
fn inline_tests_and_allow_are_refused() {
    let bad = "#[cfg(test)]\nmod tests {\n}\n";
    tells_apart(source::inline_tests, "src/a.rs", bad, "#[cfg(test)]\nmod tests;\n");
    let good = "#[expect(dead_code, reason = \"sample\")]\n// #[allow(dead_code)]\n";
    tells_apart(source::allow, "src/a.rs", "#[allow(dead_code)]\n", good);
    tells_apart(source::allow, "src/a.rs", "#![allow(dead_code)]\n", good);
}

#[test]
fn left_over_marks_are_refused() {
    let mark = ["// TO", "DO: later\n"].concat();
    tells_apart(source::marks, "src/a.rs", &mark, "// nothing is left to do\n");
    for name in ["todo", "dbg", "unimplemented"] {
        tells_apart(source::marks, "src/a.rs", &format!("{name}!()\n"), "done!()\n");
    }
}

#[test]
fn imports_against_the_direction_are_refused() {
    let cases = [
        ("src/proxy/h1.rs", "use crate::mesh::Service;", "use crate::resource::Service;"),
        ("src/proxy.rs", "use crate::{names, rules::parse};", "use crate::{names, net::drain};"),
        ("src/names.rs", "let x = crate::net::y();", "/// See [`crate::net`].\nstruct X;"),
        ("src/control/api.rs", "use crate::cli;", "use crate::compile::compile;"),
        ("src/net/drain.rs", "use super::super::names::X;", "use super::super::net::X;"),
        ("src/gadget.rs", "struct X;", ""),
        ("src/main.rs", "meshctl::proxy::run()", "meshctl::cli::run()"),
    ];
    for (path, bad, good) in cases {
        assert!(!imports::directions(path, bad).is_empty(), "not refused in {path}: {bad}");
        if !good.is_empty() {
            assert_eq!(imports::directions(path, good), Vec::<String>::new(), "{path}");
        }
    }
}

#[test]
fn panics_on_what_the_network_said_are_refused() {
    let path = "src/xds/codec.rs";
    tells_apart(network::panics, path, "read(b).unwrap();", "read(b).unwrap_or(0);");
    tells_apart(network::panics, path, "panic!(\"no\");", "// panic! is never right here");
    tells_apart(network::panics, path, "x.expect(\"fine\")", "x.expect(\"set by new above\")");
    let good = "#[derive(Debug)]\nlet a = [0; 4]; // in bounds: four were read\nlet b = a[3];";
    tells_apart(network::panics, path, "let b = bytes[0];", good);
    assert!(network::panics("src/rules/parse.rs", "x.unwrap()").is_empty(), "not network-facing");
}

#[test]
fn what_does_not_belong_at_the_top_is_refused() {
    assert!(!layout::top_level("notes.txt").is_empty());
    assert!(layout::top_level("src").is_empty());
    let bad = ["see /ro", "ot/.cargo/config\n"].concat();
    tells_apart(layout::machine_paths, "docs/a.md", &bad, "see ~/.cargo/config and /tmp/x\n");
}

#[test]
fn comments_and_literals_are_not_code() {
    let text = "a /* b /* c */ d */ e // f\n\"g\\\"h\" 'i' '\\'' 'l r#\"j\"k\"# m";
    let words: Vec<String> = code::only(text).split_whitespace().map(str::to_owned).collect();
    assert_eq!(words, ["a", "e", "'l", "m"]);
}
