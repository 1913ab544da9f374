//! The application's environment, signals and exit code, with real processes.

use super::*;

fn told(before: &[(&str, &str)], name: &str) -> String {
    let before = |wanted: &str| {
        before.iter().find(|(name, _)| *name == wanted).map(|(_, value)| OsString::from(value))
    };
    let outbound = "127.0.0.1:4000".parse().unwrap();
    let environment = environment(outbound, before);
    let (_, value) = environment.into_iter().find(|(one, _)| *one == name).unwrap();
    value.into_string().unwrap()
}

#[test]
fn the_environment_leads_to_the_outbound_side() {
    assert_eq!(told(&[], "http_proxy"), "http://127.0.0.1:4000");
    assert_eq!(told(&[], "no_proxy"), NO_PROXY);
    assert_eq!(told(&[], "NODE_USE_ENV_PROXY"), "1");
    let java = told(&[], "JAVA_TOOL_OPTIONS");
    assert!(java.starts_with("-Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=4000 "), "{java}");
}

#[test]
fn what_was_set_before_is_kept_in_front() {
    let before = [("no_proxy", "db"), ("JAVA_TOOL_OPTIONS", "-Xmx1g"), ("NO_PROXY", "")];
    assert_eq!(told(&before, "no_proxy"), format!("db,{NO_PROXY}"));
    assert_eq!(told(&before, "NO_PROXY"), NO_PROXY);
    assert!(told(&before, "JAVA_TOOL_OPTIONS").starts_with("-Xmx1g -Dhttp.proxyHost="));
}

#[tokio::test]
async fn the_exit_code_is_its_own_or_that_of_the_signal() {
    let start = |script: &str| {
        let command = ["sh", "-c", script].map(OsString::from);
        Application::start(&command, "127.0.0.1:1".parse().unwrap(), None).unwrap()
    };
    assert_eq!(start("exit 3").ended().await.unwrap(), 3);
    assert_eq!(start("kill -KILL $$").ended().await.unwrap(), 137);
    let mut sleeper = start("exec sleep 60");
    sleeper.signal(Signal::TERM);
    assert_eq!(sleeper.ended().await.unwrap(), 143);
    let mut sleeper = start("exec sleep 60");
    sleeper.kill().await;
    assert_eq!(sleeper.ended().await.unwrap(), 137, "also after it was ended here");
}

#[tokio::test]
async fn a_command_that_is_not_there_is_an_error() {
    let command = [OsString::from("/nowhere/at-all")];
    let outbound = "127.0.0.1:1".parse().unwrap();
    let error = Application::start(&command, outbound, None).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

/// It was set when the application ran already, which may have looked by then.
#[tokio::test]
async fn it_begins_with_the_limit_of_descriptors_that_the_proxy_found() {
    for (raised, said) in [(Some(Raised { before: 77, now: 1_024 }), "= 77"), (None, "!= 77")] {
        let script = format!("test $(ulimit -n) {said}");
        let command = ["sh", "-c", &script].map(OsString::from);
        let outbound = "127.0.0.1:1".parse().unwrap();
        let mut application = Application::start(&command, outbound, raised).unwrap();
        assert_eq!(application.ended().await.unwrap(), 0, "{raised:?}");
    }
}
