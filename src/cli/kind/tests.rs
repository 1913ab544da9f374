//! Kinds are found under all of their words, and near misses are suggested.

use super::*;

fn typed(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn every_word_of_a_kind_names_it_whatever_its_case() {
    for kind in ObjectKind::ALL {
        assert_eq!(parse(kind.as_str()), Ok(kind));
        for word in words(kind) {
            assert_eq!(parse(word), Ok(kind));
        }
    }
    let why = parse("htproute").expect_err("misspelt");
    assert_eq!(why, "`htproute` is not a kind of rule, did you mean `httproute`?");
    assert!(parse("pod").expect_err("unknown").contains("there are `MeshConfig`"));
}

#[test]
fn names_follow_a_kind_or_carry_it() {
    let route = ObjectKind::HttpRoute;
    let pair = |name: &str| (route, Some(name.to_owned()));
    assert_eq!(resolve(&typed(&["httproutes"])).expect("kind"), [(route, None)]);
    assert_eq!(resolve(&typed(&["httproute", "a", "b"])).expect("names"), [pair("a"), pair("b")]);
    assert_eq!(
        resolve(&typed(&["httproute/a", "HTTPRoute/b"])).expect("pairs"),
        [pair("a"), pair("b")]
    );
    assert!(resolve(&typed(&["httproute/a", "b"])).is_err());
    assert!(object(route, &Namespace::default_namespace(), "../x").is_err());
}
