//! What is planned, and what is refused.

use super::*;

fn plan(running: Option<&str>, schema: Option<i64>) -> Plan {
    let proxies = [("a/x", "0.1.0"), ("a/y", "0.1.0"), ("a/z", "")];
    let proxies = proxies.map(|(name, version)| (name.to_owned(), version.to_owned())).into();
    Plan { home: "/srv/mesh".into(), running: running.map(str::to_owned), schema, proxies }
}

fn own(minor: i64, patch: u64) -> String {
    let mut parts = CLIENT.split('.').map(|part| part.parse::<i64>().expect("a number"));
    let (major, own) = (parts.next().expect("major"), parts.next().expect("minor"));
    format!("{major}.{}.{patch}", own + minor)
}

#[test]
fn this_very_version_leaves_nothing_to_do() {
    let same = plan(Some(CLIENT), Some(store::SCHEMA));
    assert!(same.nothing_to_do() && same.check().is_ok());
    assert_eq!(same.view().value["due"], false);
    let older_store = plan(Some(CLIENT), Some(store::SCHEMA - 1));
    assert!(!older_store.nothing_to_do());
    assert!(!plan(None, Some(store::SCHEMA)).nothing_to_do(), "it is started");
}

#[test]
fn a_plan_says_what_changes_and_what_goes_on() {
    let view = plan(Some("0.0.9"), Some(1)).view();
    assert_eq!(view.lead[0], format!("control plane   0.0.9 → {CLIENT}"));
    assert_eq!(view.lead[1], format!("store           schema 1 → {}", store::SCHEMA));
    assert_eq!(view.lead[2], "copied before   /srv/mesh/before-upgrade.db");
    let again =
        "starts again    the control plane; version 0.0.9 where this one does not get ready";
    assert_eq!(view.lead[3], again);
    let proxies = "3 proxies, with the version that they have: 1 that did not tell, 2 of 0.1.0";
    assert_eq!(view.lead[4], format!("goes on         {proxies}"));
    assert_eq!(view.value["proxyVersions"]["0.1.0"], 2);
    let none = Plan { proxies: Vec::new(), running: None, ..plan(None, Some(1)) }.view();
    assert_eq!(
        none.lead[3..],
        ["starts again    the control plane", "goes on         no proxy is connected"]
    );
    assert_eq!(view.value["schema"]["from"], 1);
}

#[test]
fn there_is_no_way_back_and_no_way_over_two_versions() {
    let later = plan(Some(&own(0, 99)), Some(1)).check().expect_err("it is later");
    assert!(later.what().contains("is later than"), "{}", later.what());
    let far = plan(Some("0.0.0"), Some(1));
    if own(0, 0) != "0.1.0" {
        assert!(far.check().expect_err("too far").what().contains("more than one minor"));
    }
    let mut old = plan(Some(CLIENT), Some(1));
    old.proxies.push(("shop/old-0".to_owned(), own(7, 0)));
    let refused = old.check().expect_err("it would lose a proxy");
    assert!(refused.what().starts_with("proxy `shop/old-0` is of version"), "{}", refused.what());
    assert_eq!(refused.remedy(), format!("start it again by version {CLIENT} first"));
    let store = plan(None, Some(store::SCHEMA + 1)).check().expect_err("a later store");
    assert!(store.what().contains("knows"), "{}", store.what());
    let nothing = plan(None, None).check().expect_err("there is nothing");
    assert!(nothing.what().contains("there is no mesh"), "{}", nothing.what());
}

#[test]
fn the_way_back_takes_the_journal_of_the_version_that_failed_away() {
    let said = back(Path::new("/h/before-upgrade.db"), Path::new("/h/store.db"));
    let typed = "`rm -f /h/store.db-wal /h/store.db-shm && cp /h/before-upgrade.db /h/store.db`";
    assert!(said.contains(typed), "{said}");
}

#[test]
fn an_upgrade_after_which_another_version_answers_has_failed() {
    assert!(replaced(CLIENT).is_ok());
    let said = replaced("0.0.9").expect_err("it is another").render();
    assert!(said.contains("version 0.0.9 was started again"), "{said}");
}
