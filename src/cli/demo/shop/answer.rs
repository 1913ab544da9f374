//! What the applications of the shop answer: a page for people, JSON for each other.

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};

/// Who wrote what about the one article that the shop sells.
const REVIEWS: &[(&str, &str)] = &[
    ("Ada", "Reads like a book, and holds like a knot."),
    ("Grace", "Did what it said. I had nothing to debug."),
];

/// Stars by reviewer.
const STARS: &[(&str, u64)] = &[("Ada", 5), ("Grace", 4)];

fn answer(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    answer
}

pub(super) fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    answer(status, "text/plain; charset=utf-8", text.to_owned())
}

pub(super) fn not_found() -> Response<Full<Bytes>> {
    plain(StatusCode::NOT_FOUND, "there is nothing here\n")
}

fn json_of(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    answer(status, "application/json", format!("{value}\n"))
}

/// Stars of an article, by reviewer.
pub(super) fn ratings(id: u32) -> Response<Full<Bytes>> {
    let stars: serde_json::Map<String, Value> =
        STARS.iter().map(|&(reviewer, stars)| (reviewer.to_owned(), stars.into())).collect();
    json_of(StatusCode::OK, &json!({"id": id, "ratings": stars}))
}

/// Reviews of an article; with stars where `ratings` were asked for. That these could not be had is
/// an error of the whole, so that nobody mistakes it for version 1.
pub(super) fn reviews(
    id: u32,
    version: &str,
    ratings: Option<Result<Value, String>>,
) -> Response<Full<Bytes>> {
    let stars = match ratings {
        Some(Err(error)) => return plain(StatusCode::BAD_GATEWAY, &format!("{error}\n")),
        Some(Ok(value)) => value.get("ratings").cloned(),
        None => None,
    };
    let reviews: Vec<Value> = REVIEWS
        .iter()
        .map(|&(reviewer, text)| {
            let stars =
                stars.as_ref().and_then(|stars| stars.get(reviewer)).and_then(Value::as_u64);
            match stars {
                Some(stars) => json!({"reviewer": reviewer, "text": text, "stars": stars}),
                None => json!({"reviewer": reviewer, "text": text}),
            }
        })
        .collect();
    json_of(StatusCode::OK, &json!({"id": id, "version": version, "reviews": reviews}))
}

/// The page; its paragraph of class `version` says which reviews answered.
pub(super) fn page(reviews: &Result<Value, String>) -> Response<Full<Bytes>> {
    const KIND: &str = "text/html; charset=utf-8";
    let reviews = match reviews {
        Ok(reviews) => reviews,
        Err(error) => {
            let body = format!("<h1>The shop</h1>\n<p class=\"error\">{}</p>\n", escape(error));
            return answer(StatusCode::BAD_GATEWAY, KIND, body);
        }
    };
    let text = |value: Option<&Value>| escape(value.and_then(Value::as_str).unwrap_or_default());
    let mut body = String::from("<!doctype html>\n<title>The shop</title>\n<h1>The shop</h1>\n");
    body += &format!("<p class=\"version\">{}</p>\n", text(reviews.get("version")));
    for review in reviews.get("reviews").and_then(Value::as_array).into_iter().flatten() {
        let stars = review.get("stars").and_then(Value::as_u64).unwrap_or(0).min(5);
        let stars: String = (0..stars).map(|_| '★').collect();
        let (who, what) = (text(review.get("reviewer")), text(review.get("text")));
        body += &format!("<blockquote>{what} <b>{who}</b> {stars}</blockquote>\n");
    }
    answer(StatusCode::OK, KIND, body)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
