//! Names that somebody waits for all the time: they stay asked for.

use futures_util::FutureExt as _;

use super::*;

#[tokio::test]
async fn what_is_waited_for_is_not_let_go() {
    let mut rig = Rig::new(Limits::STANDARD);
    let (directory, name) = (Arc::clone(&rig.directory), named("reviews"));
    rig.want("reviews");
    let mut request = Box::pin(directory.wait_service(&name));
    assert!(request.as_mut().now_or_never().is_none(), "there is no answer yet");
    assert_eq!(rig.tick(Duration::from_secs(61)), []);
    drop(request);
    let unsubscribed = Effect::Unsubscribe(Key::service(&name));
    assert_eq!(rig.tick(Duration::from_secs(123)), [unsubscribed]);
}

#[tokio::test]
async fn what_was_turned_away_is_asked_for_when_there_is_room() {
    let mut rig = Rig::new(QUICK);
    for name in ["a", "b", "c"] {
        rig.want(name);
    }
    let (directory, name) = (Arc::clone(&rig.directory), named("d"));
    let mut request = Box::pin(directory.wait_service(&name));
    assert!(request.as_mut().now_or_never().is_none());
    assert_eq!(rig.want("d"), [], "full of names without an answer");
    rig.gone(&Key::service(&named("b")));
    let effects = rig.tick(Duration::from_secs(1));
    let key = |name| Key::service(&named(name));
    assert_eq!(effects, [Effect::Unsubscribe(key("b")), Effect::Subscribe(key("d"))]);
}
