//! Files with rules: any text gives objects or diagnostics that can be shown.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meshctl::rules::{Document, Options, UnknownKinds, parse, render, resolved};

fuzz_target!(|text: &str| {
    let document = Document { source: "rules.yaml".to_owned(), text: text.to_owned() };
    let default_namespace = "default".parse().expect("a name");
    let options = Options { default_namespace, unknown_kinds: UnknownKinds::Skip };
    let documents = [document];
    let parsed = parse(&documents, &options);
    render(&parsed.diagnostics, &documents, false);
    for object in parsed.objects {
        resolved(&object.source, &object.object);
    }
});
