//! What is said with a token.

use super::*;

fn made(control_plane: &str, namespace: &str, account: &str) -> JoinToken {
    let now = Timestamp::UNIX_EPOCH;
    JoinToken {
        api_version: String::new(),
        kind: "JoinToken".to_owned(),
        token: "secret".to_owned(),
        control_plane: control_plane.to_owned(),
        status: TokenStatus {
            id: "4f0c2a9d5be81763".to_owned(),
            namespace: namespace.to_owned(),
            service: "reviews".to_owned(),
            service_account: account.to_owned(),
            state: TokenState::Unused,
            created: now,
            expires: now + jiff::SignedDuration::from_hours(1),
            used: None,
            used_by: String::new(),
            used_from: String::new(),
        },
    }
}

fn said(made: &JoinToken) -> String {
    what_now(made, Timestamp::UNIX_EPOCH)
}

#[test]
fn the_command_for_the_other_machine_is_complete() {
    let text = said(&made("192.0.2.7:15012", "shop", "backend"));
    assert_eq!(
        text,
        "token 4f0c2a9d5be81763 is good once, for shop/reviews, for 60m\n\
         on the other machine: meshctl proxy run --control-plane https://192.0.2.7:15012 \
         --token-file FILE --service reviews --namespace shop --service-account backend\n"
    );
    assert!(said(&made("0.0.0.0:15012", "default", "reviews")).contains("https://HOST:15012 "));
}

#[test]
fn who_makes_a_token_that_nobody_can_use_is_told() {
    for (address, alone) in [("127.0.0.1:15012", true), ("[::1]:1", true), ("[::]:15012", false)] {
        let text = said(&made(address, "default", "reviews"));
        assert_eq!(text.contains("warning: "), alone, "{text}");
    }
}

#[test]
fn a_token_is_not_shown_by_accident() {
    let made = made("192.0.2.7:15012", "default", "reviews");
    assert!(!format!("{made:?}").contains("secret"));
}
