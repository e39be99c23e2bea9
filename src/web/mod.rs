//! The kit that every page is made with: forms, problems, limits, language, headers. It knows no room.
//!
//! What holds for every route is done here once, so that no handler can forget it: each body has a size and a time
//! limit, each answer has its security headers, each POST must come from our own page, and each failure becomes a page
//! (or JSON) in the reader's language that says what to do and quotes nothing.

mod assets;
mod csrf;
mod form;
mod headers;
mod limits;
mod page;
mod peer;
mod problem;

pub use assets::href as asset;
pub use form::{Form, FormAge, wants_json};
pub use headers::{FRAMEABLE, PREVIEW};
pub use limits::{Limits, Rule};
pub use page::{Page, render};
pub use peer::Peer;
pub use problem::Problem;

use crate::app::Shared;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use std::time::Duration;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::timeout::TimeoutLayer;

/// The largest body of a form, in octets. Routes that need more say so themselves.
pub const FORM_LIMIT: usize = 64 * 1024;
/// How long a request may take. Streams answer at once and go on; this does not end them.
pub const REQUEST_TIME: Duration = Duration::from_secs(30);

/// When a form that takes an address is answered. Begun before the address is looked at and awaited after, it ends well
/// after the work for any address, so that the clock tells nothing of it.
pub fn answer_time() -> tokio::time::Sleep {
    tokio::time::sleep(Duration::from_millis(25))
}

/// Puts what holds for every route around `routes`.
pub fn around(routes: Router<Shared>, app: &Shared) -> Router {
    routes
        .merge(assets::routes())
        .fallback(async || Problem::NotFound)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .layer(DefaultBodyLimit::max(FORM_LIMIT))
        .layer(from_fn(csrf::refuse_foreign_posts))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIME))
        .layer(CatchPanicLayer::custom(problem::from_panic))
        .layer(from_fn_with_state(app.clone(), problem::show))
        .layer(from_fn_with_state(app.clone(), headers::set))
        .layer(CompressionLayer::new())
        .with_state(app.clone())
}
