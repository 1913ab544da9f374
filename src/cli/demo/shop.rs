//! The demo's applications: plain HTTP/1.1 servers that know nothing of a mesh.
//!
//! `web` shows a page with what `reviews` says of an article; `reviews` of version 2 asks `ratings`
//! for stars. They call each other by name with an ordinary HTTP client, which heeds `http_proxy`
//! as such clients do, and pass on the headers of tracing, as instrumented applications do. Nothing
//! in here may use another module of this crate.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;

mod answer;
mod call;
#[cfg(test)]
mod tests;

use call::Caller;

/// How long requests in flight may take once the application was told to end.
const GRACE: Duration = Duration::from_secs(3);

/// Which of the applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Role {
    /// The page.
    Web,
    /// Reviews without stars.
    ReviewsV1,
    /// Reviews with stars.
    ReviewsV2,
    /// The stars.
    Ratings,
}

/// One application of the shop.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ShopArgs {
    /// Which application.
    pub(crate) role: Role,
    /// Where it listens.
    #[arg(long)]
    pub(crate) listen: SocketAddr,
    /// Where `reviews` is.
    #[arg(long, default_value = "http://reviews")]
    pub(crate) reviews: String,
    /// Where `ratings` is.
    #[arg(long, default_value = "http://ratings")]
    pub(crate) ratings: String,
    /// While this file is there, version 2 of reviews answers with 503.
    #[arg(long)]
    pub(crate) sick: Option<PathBuf>,
}

/// Serves until the process is told to end.
///
/// # Errors
/// Where it cannot listen.
pub(crate) fn run(args: ShopArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(args.listen).await?;
        serve(listener, args, told_to_end()).await
    })
}

/// Serves on a listener until `end` is there; then what is in flight is finished.
async fn serve(
    listener: tokio::net::TcpListener,
    args: ShopArgs,
    end: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let caller = Caller::new(args.reviews, args.ratings)?;
    let app = Arc::new(App { role: args.role, caller, sick: args.sick });
    let graceful = GracefulShutdown::new();
    let mut end = std::pin::pin!(end);
    loop {
        let stream = tokio::select! {
            () = &mut end => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => {
                    // Out of descriptors: they come back as connections end.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let app = Arc::clone(&app);
        let service = hyper::service::service_fn(move |request| {
            let app = Arc::clone(&app);
            async move { Ok::<_, Infallible>(app.answer(&request).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service);
        // That a client went away is its own affair.
        tokio::spawn(graceful.watch(connection));
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
    Ok(())
}

async fn told_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// An application with what it needs to call others.
struct App {
    role: Role,
    caller: Caller,
    sick: Option<PathBuf>,
}

impl App {
    fn is_sick(&self) -> bool {
        self.sick.as_ref().is_some_and(|file| file.exists())
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return answer::plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        }
        let path = request.uri().path();
        let headers = request.headers();
        match (self.role, path) {
            (_, "/healthz") => answer::plain(StatusCode::OK, "ok\n"),
            (Role::Web, "/") => answer::page(&self.caller.reviews(1, headers).await),
            (Role::ReviewsV1, path) => match article(path, "/reviews/") {
                Some(id) => answer::reviews(id, "v1", None),
                None => answer::not_found(),
            },
            (Role::ReviewsV2, _) if self.is_sick() => {
                answer::plain(StatusCode::SERVICE_UNAVAILABLE, "version 2 is broken\n")
            }
            (Role::ReviewsV2, path) => match article(path, "/reviews/") {
                Some(id) => answer::reviews(id, "v2", Some(self.caller.ratings(id, headers).await)),
                None => answer::not_found(),
            },
            (Role::Ratings, path) => match article(path, "/ratings/") {
                Some(id) => answer::ratings(id),
                None => answer::not_found(),
            },
            (Role::Web, _) => answer::not_found(),
        }
    }
}

/// The article's number at the end of a path.
fn article(path: &str, before: &str) -> Option<u32> {
    path.strip_prefix(before)?.parse().ok()
}
