//! Styles and scripts, part of the program, cached for ever under an address that changes with them.

use crate::app::Shared;
use crate::web::Problem;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const FILES: [(&str, &str, &str); 7] = [
    ("friday.css", "text/css", include_str!("assets/friday.css")),
    ("mark.svg", "image/svg+xml", include_str!("assets/mark.svg")),
    ("clock.js", "text/javascript", include_str!("assets/clock.js")),
    ("composer.js", "text/javascript", include_str!("assets/composer.js")),
    ("frame.js", "text/javascript", include_str!("assets/frame.js")),
    ("give.js", "text/javascript", include_str!("assets/give.js")),
    ("live.js", "text/javascript", include_str!("assets/live.js")),
];

/// What the newsroom's own pages load, by a name that stays: a script that puts a frame of ours where it stands.
const WIDGET: &str = include_str!("assets/embed.js");

/// Of all files together: one new letter anywhere is a new address everywhere, which is soon enough.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    FILES.iter().for_each(|(_, _, text)| hash.update(text));
    data_encoding::HEXLOWER.encode(&hash.finalize()[..6])
});

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/assets/newsroom.css", get(newsroom))
        .route("/assets/{name}", get(file))
        .route("/embed/signup.js", get(widget))
        .route("/embed/support.js", get(widget))
}

/// The address of a file.
pub fn href(name: &str) -> String {
    format!("/assets/{name}?v={}", *VERSION)
}

async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(known, _, _)| *known == name) {
        Some((_, kind, text)) => answer(kind, (*text).to_owned(), "public, max-age=31536000, immutable"),
        None => Problem::NotFound.into_response(),
    }
}

/// One script for both: it takes from its own address which frame it is for.
async fn widget() -> Response {
    let readable_elsewhere = [("cross-origin-resource-policy", "cross-origin")];
    (readable_elsewhere, answer("text/javascript", WIDGET.to_owned(), "public, max-age=3600")).into_response()
}

/// The newsroom's one colour. The settings hold it to `#rrggbb`.
async fn newsroom(State(app): State<Shared>) -> Response {
    answer("text/css", format!(":root{{--accent:{}}}\n", app.newsroom().accent), "public, max-age=300")
}

fn answer(kind: &str, text: String, cache: &'static str) -> Response {
    ([(header::CONTENT_TYPE, format!("{kind}; charset=utf-8")), (header::CACHE_CONTROL, cache.to_owned())], text)
        .into_response()
}
