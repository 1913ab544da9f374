//! The shop without any mesh: its applications on loopback, calling each other by address.

use super::*;

/// Starts an application; its address, and what ends it when dropped.
async fn start(
    role: Role,
    reviews: &str,
    ratings: &str,
) -> (String, tokio::sync::oneshot::Sender<()>) {
    start_sick(role, reviews, ratings, None).await
}

/// As [`start`], with the file that makes it fail.
async fn start_sick(
    role: Role,
    reviews: &str,
    ratings: &str,
    sick: Option<PathBuf>,
) -> (String, tokio::sync::oneshot::Sender<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback has ports");
    let listen = listener.local_addr().expect("it is bound");
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let (reviews, ratings) = (reviews.to_owned(), ratings.to_owned());
    let args = ShopArgs { role, listen, reviews, ratings, sick };
    tokio::spawn(async move {
        let ended = async {
            let _ = ended.await;
        };
        serve(listener, args, ended).await.expect("it can serve");
    });
    (format!("http://{listen}"), end)
}

async fn get(url: &str) -> (u16, String) {
    let client = reqwest::Client::builder().tls_certs_only([]).no_proxy().build();
    let answer = client.expect("a client can be made").get(url).send().await;
    let answer = answer.expect("the application answers");
    (answer.status().as_u16(), answer.text().await.expect("the answer is text"))
}

#[tokio::test]
async fn version_1_has_no_stars_and_version_2_gets_them_from_ratings() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (ratings, _ratings) = start(Role::Ratings, "", "").await;
    let (v1, _v1) = start(Role::ReviewsV1, "", &ratings).await;
    let (v2, _v2) = start(Role::ReviewsV2, "", &ratings).await;
    for (reviews, version, stars) in [(v1, "v1", false), (v2, "v2", true)] {
        let (web, _web) = start(Role::Web, &reviews, "").await;
        let (status, page) = get(&web).await;
        assert_eq!(status, 200, "{page}");
        assert!(page.contains(&format!("<p class=\"version\">{version}</p>")), "{page}");
        assert_eq!(page.contains('★'), stars, "{page}");
    }
}

#[tokio::test]
async fn version_2_fails_while_it_is_told_to() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let sick = directory.path().join("sick");
    let (ratings, _ratings) = start(Role::Ratings, "", "").await;
    let (v2, _v2) = start_sick(Role::ReviewsV2, "", &ratings, Some(sick.clone())).await;
    let url = format!("{v2}/reviews/1");
    assert_eq!(get(&url).await.0, 200);
    std::fs::write(&sick, "").expect("the directory is ours");
    assert_eq!(get(&url).await, (503, "version 2 is broken\n".to_owned()));
    std::fs::remove_file(&sick).expect("it is there");
    assert_eq!(get(&url).await.0, 200);
}

#[tokio::test]
async fn a_page_without_reviews_is_an_error_that_says_why() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (ratings, _ratings) = start(Role::Ratings, "", "").await;
    let (web, _web) = start(Role::Web, &format!("{ratings}/nowhere"), "").await;
    let (status, page) = get(&web).await;
    assert_eq!(status, 502);
    assert!(page.contains("404 Not Found"), "{page}");
    assert_eq!(get(&format!("{web}/reviews/1")).await.0, 404);
    assert_eq!(get(&format!("{web}/healthz")).await, (200, "ok\n".to_owned()));
}

#[tokio::test]
async fn trace_headers_are_passed_on_and_others_are_not() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback has ports");
    let here = format!("http://{}", listener.local_addr().expect("it is bound"));
    let caller = Caller::new(here, String::new()).expect("a client can be made");
    let mut headers = http::HeaderMap::new();
    let value = |text: &'static str| http::HeaderValue::from_static(text);
    headers.insert("traceparent", value("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    headers.insert("cookie", value("secret"));
    let call = tokio::spawn(async move { caller.reviews(7, &headers).await });
    let (mut stream, _) = listener.accept().await.expect("the caller connects");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let read = tokio::io::AsyncReadExt::read_buf(&mut stream, &mut head).await;
        assert_ne!(read.expect("the caller writes"), 0, "the head ended early");
    }
    drop(stream);
    assert!(call.await.expect("the call ends").is_err());
    let head = String::from_utf8(head).expect("the head is text").to_lowercase();
    assert!(head.starts_with("get /reviews/7 http/1.1\r\n"), "{head}");
    assert!(head.contains("traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    assert!(!head.contains("cookie"), "{head}");
}
