//! What is refused and how it is said, with kubeconfigs made for it; when a credential plugin is run.

use std::path::PathBuf;
use std::time::Duration;

use kube::config::ExecConfig;

use super::exec::{ExecError, Plugin};
use super::*;

/// Writes a kubeconfig and returns its directory and path.
fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config");
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

/// A kubeconfig with one context `c`, whose cluster and user say what is given.
fn one(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{{name: k, cluster: {{server: 'https://127.0.0.1:1'{cluster}}}}}]\n\
         users: [{{name: u, user: {{{user}}}}}]\n\
         contexts: [{{name: c, context: {{cluster: k, user: u, namespace: shop}}}}]\n"
    )
}

async fn refused(text: &str, context: Option<&str>) -> (String, ClientError) {
    let (_dir, path) = written(text);
    let error = connect(Some(&path), context).await.unwrap_err();
    let mut lines = vec![error.to_string()];
    let mut cause = std::error::Error::source(&error);
    while let Some(it) = cause {
        lines.push(it.to_string());
        cause = it.source();
    }
    let text = lines.join(": ");
    if !matches!(error, ClientError::Missing(_)) {
        assert!(text.contains(&path.display().to_string()), "no file in: {text}");
    }
    assert!(!error.help().is_empty());
    (text, error)
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = connect(Some(&dir.path().join("none")), None).await.unwrap_err();
    assert!(matches!(&error, ClientError::Missing(file) if file.ends_with("none")), "{error}");
}

#[tokio::test]
async fn text_that_is_no_kubeconfig_is_refused_and_where_it_is_wrong_is_said() {
    let (text, _) = refused("clusters: {a: [", None).await;
    assert!(text.contains("cannot read kubeconfig"), "{text}");
    let (text, _) = refused("kind: Config\nclusters: [{name: [k]}]\n", None).await;
    assert!(text.contains("clusters[0].name") && text.contains("line 2 column 19"), "{text}");
    for empty in ["", "# nothing\n", "---\n"] {
        let (text, _) = refused(empty, None).await;
        assert!(text.contains("has no current context"), "{empty:?}: {text}");
    }
}

#[test]
fn files_are_found_from_where_the_kubeconfig_lies_and_documents_are_one() {
    let users = "token: t, client-certificate: /abs/c, client-key: sub/k, tokenFile: t, \
                 exec: {apiVersion: client.authentication.k8s.io/v1, command: ./get, args: [a]}";
    let text = one(", certificate-authority: ../ca", users)
        + "---\nusers: [{name: u, user: {token: late}}, {name: v, user: {exec: {command: aws}}}]\n";
    let (dir, path) = written(&text);
    let mut config = kubeconfig::choose(Some(&path), None).unwrap().config;
    let below = |name: &str| dir.path().join(name).display().to_string();
    let user = config.auth_infos.remove(0).auth_info.unwrap();
    assert_eq!(user.client_certificate.as_deref(), Some("/abs/c"));
    assert_eq!(user.client_key, Some(below("sub/k")));
    assert_eq!(user.token_file, Some(below("t")));
    assert_eq!(user.exec.unwrap().command, Some(below("./get")));
    let other = config.auth_infos.remove(0);
    assert_eq!(other.auth_info.unwrap().exec.unwrap().command.as_deref(), Some("aws"));
    let cluster = config.clusters.remove(0).cluster.unwrap();
    assert_eq!(cluster.certificate_authority, Some(below("../ca")));
}

#[tokio::test]
async fn a_context_must_be_chosen_and_there() {
    let none = one("", "").replace("current-context: c\n", "current-context: ''\n");
    let (text, _) = refused(&none, None).await;
    assert!(text.contains("has no current context"), "{text}");

    let (text, error) = refused(&one("", ""), Some("d")).await;
    assert!(text.contains("has no context `d`"), "{text}");
    assert!(error.help().contains("`c`"), "{}", error.help());
}

#[tokio::test]
async fn what_a_context_names_must_be_there() {
    let (text, _) = refused(&one("", "").replace("cluster: k,", "cluster: gone,"), None).await;
    assert!(text.contains("context `c`") && text.contains("cluster `gone`"), "{text}");
    let (text, _) = refused(&one("", "").replace("user: u,", "user: gone,"), None).await;
    assert!(text.contains("context `c`") && text.contains("user `gone`"), "{text}");
}

#[tokio::test]
async fn bad_authority_data_is_refused_with_the_context() {
    for data in [
        "'%%%'",
        "aGVsbG8K",
        "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCmFHVnNiRzhLCi0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K",
    ] {
        let (text, _) =
            refused(&one(&format!(", certificate-authority-data: {data}"), ""), None).await;
        assert!(text.contains("context `c`") && text.contains("certificate"), "{data}: {text}");
    }
}

#[tokio::test]
async fn insecure_is_said_and_needs_no_trust_store() {
    let (_dir, path) = written(&one(", insecure-skip-tls-verify: true", "token: t"));
    let connection = connect(Some(&path), None).await.unwrap();
    assert!(connection.insecure);
    assert_eq!(connection.namespace, "shop");
    assert_eq!(connection.context, "c");
    assert_eq!(connection.server, "https://127.0.0.1:1/");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_with_the_context() {
    let (_dir, path) = written(&one(", insecure-skip-tls-verify: true", "token: t"));
    let connection = connect(Some(&path), None).await.unwrap();
    let error = connection.client.apiserver_version().await.unwrap_err();
    let error = fault::RequestError::new(&connection, "ask for its version", &error);
    let text = error.to_string();
    assert!(text.contains("context `c`") && text.contains("cannot be reached"), "{text}");
    assert_eq!(error.status(), None);
}

fn plugin(command: &str, args: &[&str], limit: Duration) -> Plugin {
    let exec = ExecConfig {
        command: Some(command.to_owned()),
        args: Some(args.iter().map(|&it| it.to_owned()).collect()),
        install_hint: Some("fetch it from somewhere".to_owned()),
        ..Default::default()
    };
    Plugin::with_limit(exec, limit)
}

#[tokio::test]
async fn a_plugin_that_is_missing_fails_or_hangs_is_named() {
    let long = Duration::from_secs(30);
    let error = plugin("meshctl-no-such-plugin", &[], long).run().await.err().unwrap();
    assert!(error.to_string().contains("meshctl-no-such-plugin"), "{error}");
    assert_eq!(error.help(), "fetch it from somewhere");

    let error = plugin("false", &[], long).run().await.err().unwrap();
    assert!(matches!(error, ExecError::Failed { .. }), "{error}");

    let error = plugin("sleep", &["60"], Duration::from_millis(50)).run().await.err().unwrap();
    assert!(matches!(error, ExecError::Hangs { .. }), "{error}");

    let error = plugin("echo", &["hello"], long).run().await.err().unwrap();
    assert!(matches!(error, ExecError::Answer { .. }), "{error}");
}

/// The plugin counts how often it was run in a file.
#[tokio::test]
async fn a_token_is_used_until_it_ends() {
    use tower::filter::AsyncPredicate as _;
    let dir = tempfile::tempdir().unwrap();
    let count = dir.path().join("count");
    for (expiry, runs) in [("2999-01-01T00:00:00Z", 1), ("2001-01-01T00:00:00Z", 2)] {
        let _ = std::fs::remove_file(&count);
        let script = format!(
            "echo x >> {}; echo '{{\"status\": {{\"token\": \"t\", \"expirationTimestamp\": \"{expiry}\"}}}}'",
            count.display()
        );
        let mut plugin = plugin("sh", &["-c", &script], Duration::from_secs(30));
        plugin.run().await.unwrap();
        let request = plugin.check(http::Request::new(())).await.unwrap();
        assert_eq!(request.headers()["authorization"], "Bearer t");
        assert_eq!(std::fs::read_to_string(&count).unwrap().lines().count(), runs, "{expiry}");
    }
}
