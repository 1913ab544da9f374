//! Property tests of the splices: pods written in any style come out injected, mean what the pure
//! function says, and go back to the byte.

use proptest::prelude::*;
use serde_json::Value as Json;

use super::tree::{self, Node};
use super::{Direction, Filtered, filter};
use crate::names::sidecar;
use crate::platform::kubernetes::inject::Settings;
use crate::rules::Document;

fn settings() -> Settings {
    Settings::new("meshctl:test", "meshctl-system".parse().expect("a name"))
}

fn run(text: &str, direction: Direction<'_>) -> Filtered {
    let document = Document { source: "x.yaml".to_owned(), text: text.to_owned() };
    filter(&[document], "default", direction)
}

fn meaning(text: &str) -> Vec<Json> {
    let roots = tree::parse(text).expect("it parses");
    roots.iter().map(Node::to_json).collect()
}

/// Injects, and checks everything that holds of any pod.
fn round(text: &str) {
    let there = run(text, Direction::Inject(&settings()));
    assert!(!there.has_errors(), "{:?}\n{text}", there.diagnostics);
    let injected = there.texts.concat();
    assert!(there.workloads.iter().all(|workload| workload.changed), "{text}");
    let json = &meaning(&injected)[0];
    let init = json.pointer("/spec/initContainers/0/name").and_then(Json::as_str);
    assert_eq!(init, Some(sidecar::CAPTURE_CONTAINER), "{injected}");
    assert_eq!(run(&injected, Direction::Uninject).texts.concat(), text);
}

/// Something that may stand between two lines.
fn filler() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just(""), Just("# a comment - with: dash\n"), Just("\n"), Just("  # deep\n\n")]
}

/// A field of a pod's `spec` or `metadata` in one of the styles that people write, `IND` being the
/// indentation of its line.
fn field(choices: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(choices).prop_map(str::to_owned)
}

const METADATA: &[&str] = &[
    "",
    "metadata:\n",
    "metadata: {}\n",
    "metadata: {name: web}\n",
    "metadata:\n  name: web # web\n",
    "metadata:\n  name: web\n  annotations:\n",
    "metadata:\n  annotations: { }\n  name: web\n",
    "metadata:\n  annotations: {a: b}\n",
    "metadata:\n    annotations:\n        # two\n        a: \"b\"\n        c: |\n            text\n\n    name: web\n",
];
const LISTS: &[&str] = &[
    "",
    "  KEY:\n",
    "  KEY: # none\n",
    "  KEY: []\n",
    "  KEY: null # none\n",
    "  KEY: [ { name: a } ] # one\n",
    "  KEY: &list # anchored\n  - name: a\n",
    "  KEY: &list [ # commented\n    {name: a}, # first\n    {name: b} ]\n",
    "  KEY: [\n    {name: a},\n    {name: b},\n  ]\n",
    "  KEY:\n  - name: a\n",
    "  KEY:\n  # the first\n  -   name: a\n      x: >-\n          folded\n          text\n\n  - {name: b}\n",
    "  KEY:\n    -\n      # below\n      name: a\n    - name: b # last\n",
];
const PROBES: &[&str] = &[
    "",
    "    livenessProbe: {httpGet: {port: 80}}\n",
    "    livenessProbe:\n      tcpSocket:\n        port: 80\n      periodSeconds: 1\n",
    "    readinessProbe:\n      httpGet:\n        # way\n        path: /\n\n        port: 80   # eighty\n",
    "    lifecycle:\n      preStop:\n        httpGet: { \"port\": 80 }\n    startupProbe: {\n      grpc: {port: 1},\n    }\n",
];

proptest! {
    #[test]
    fn any_style_goes_there_and_back(
        metadata in field(METADATA),
        init in field(LISTS),
        volumes in field(LISTS),
        probes in field(PROBES),
        gaps in prop::array::uniform4(filler()),
        dos in any::<bool>(),
        last in any::<bool>(),
    ) {
        let [one, two, three, four] = gaps;
        let init = init.replace("KEY", "initContainers");
        let volumes = volumes.replace("KEY", "volumes");
        let mut text = format!(
            "{one}apiVersion: v1\nkind: Pod\n{metadata}{two}spec:\n{three}{init}  containers:\n  - name: app\n{probes}    image: app:1\n{volumes}{four}  restartPolicy: Always"
        );
        if last {
            text.push('\n');
        }
        if dos {
            text = text.replace('\n', "\r\n");
        }
        round(&text);
    }
}

#[test]
fn a_byte_order_mark_stays() {
    round_with_mark("apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: ü\n");
}

fn round_with_mark(text: &str) {
    let text = format!("\u{feff}{text}");
    let injected = run(&text, Direction::Inject(&settings())).texts.concat();
    assert!(injected.starts_with("\u{feff}metadata") && injected.contains("meshctl-proxy"));
    assert_eq!(run(&injected, Direction::Uninject).texts.concat(), text);
}

#[test]
fn what_is_written_once_and_used_twice_is_not_changed_behind_anybodys_back() {
    let text = "\
apiVersion: v1
kind: Pod
spec:
  containers:
  - name: one
    env: &env [{name: A, value: b}]
  - name: two
    env: *env
";
    round(text);
    let shared = text
        .replace("env:", "livenessProbe:")
        .replace("[{name: A, value: b}]", "{httpGet: {port: 80}}");
    let filtered = run(&shared, Direction::Inject(&settings()));
    assert!(filtered.has_errors(), "{:?}", filtered.texts);
    assert_eq!(filtered.diagnostics[0].code, "MC0504");
}

#[test]
fn aliases_cannot_repeat_without_end() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for depth in 1..12 {
        let before = depth - 1;
        let ten = vec![format!("*a{before}"); 10].join(", ");
        bomb += &format!("a{depth}: &a{depth} [{ten}]\n");
    }
    let filtered = run(&bomb, Direction::Inject(&settings()));
    assert_eq!(filtered.diagnostics[0].code, "MC0105");
    let deep = "[".repeat(5000);
    assert!(run(&deep, Direction::Inject(&settings())).has_errors());
}
