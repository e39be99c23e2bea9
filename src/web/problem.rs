//! What went wrong, for the person who asked: one clear sentence, and nothing of anybody's data.

use super::{Page, wants_json};
use crate::app::Shared;
use askama::Template;
use axum::Json;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use std::any::Any;

/// A failure that a handler answers with.
#[derive(Debug, Clone)]
pub enum Problem {
    /// No such page.
    NotFound,
    /// No such way to ask for it.
    MethodNotAllowed,
    /// A link whose time is over, or that is not ours: the two are answered alike.
    Expired,
    /// What was sent cannot be used; a sentence for the person who sent it, in their language or plain English.
    Bad(String),
    /// More was sent than is taken.
    TooLarge,
    /// Too often.
    TooMany,
    /// Not from our own page, or not with this role.
    Forbidden,
    /// Staff must sign in first; then they are taken to this path.
    SignIn(String),
    /// Not open, as giving without Stripe is.
    Closed,
    /// Our fault. It is in the log.
    Internal,
}

impl Problem {
    /// A body that cannot be read as `form` ("JSON", "a form").
    pub(super) fn unreadable(status: StatusCode, form: &str) -> Problem {
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::TooLarge,
            _ => Problem::Bad(format!("This could not be read as {form} with the fields that belong here.")),
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Problem::NotFound => StatusCode::NOT_FOUND,
            Problem::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Problem::Expired => StatusCode::GONE,
            Problem::Bad(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Problem::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Problem::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Problem::Forbidden => StatusCode::FORBIDDEN,
            Problem::SignIn(_) => StatusCode::SEE_OTHER,
            Problem::Closed => StatusCode::SERVICE_UNAVAILABLE,
            Problem::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The keys of title and text in the catalogue.
    fn words(&self) -> (&'static str, &'static str) {
        match self {
            Problem::NotFound | Problem::MethodNotAllowed => ("error-404-title", "error-404-lede"),
            Problem::Expired => ("error-expired-title", "error-expired-lede"),
            Problem::Bad(_) => ("error-400-title", ""),
            Problem::TooLarge => ("error-413-title", "error-413-lede"),
            Problem::TooMany => ("error-429-title", "error-429-lede"),
            Problem::Forbidden | Problem::SignIn(_) => ("error-403-title", "error-403-lede"),
            Problem::Closed => ("error-503-title", "error-503-lede"),
            Problem::Internal => ("error-500-title", "error-500-lede"),
        }
    }
}

/// Any error of ours that reaches a handler is logged here, and shown as "something broke". Errors hold no personal
/// data; their types see to that.
impl<E: std::error::Error> From<E> for Problem {
    fn from(error: E) -> Problem {
        let mut chain = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            chain.push_str(": ");
            chain.push_str(&cause.to_string());
            source = cause.source();
        }
        tracing::error!(error = chain, "a request failed");
        Problem::Internal
    }
}

/// The status alone; `show` makes the page, where language and newsroom are known.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if let Problem::SignIn(path) = &self {
            let next: String = reqwest::Url::parse_with_params("http://x/staff/sign-in", [("next", path)]).map_or_else(
                |_| "/staff/sign-in".to_owned(),
                |u| format!("{}?{}", u.path(), u.query().unwrap_or_default()),
            );
            return Redirect::to(&next).into_response();
        }
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// A handler that panics has a fault; its reader gets the same page as for any other.
pub(super) fn from_panic(panic: Box<dyn Any + Send + 'static>) -> Response {
    let words =
        panic.downcast_ref::<&str>().map(|s| (*s).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    tracing::error!(panic = words.unwrap_or_default(), "a request panicked");
    Problem::Internal.into_response()
}

#[derive(Template)]
#[template(path = "web/pages/problem.html")]
struct ProblemPage {
    page: Page,
    title: String,
    lede: String,
    expired: bool,
}

/// Turns a [`Problem`] in an answer into a page or JSON for whoever asked.
pub(super) async fn show(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let json = wants_json(&parts.headers);
    // OK because a Page is made from any request: its rejection is Infallible.
    let page = Page::from_request_parts(&mut parts, &app).await.expect("a page");
    let mut response = next.run(Request::from_parts(parts, body)).await;
    // A timeout and an unreadable path come from below us without a Problem.
    let problem = response.extensions_mut().remove::<Problem>().or_else(|| plain_problem(&response));
    let Some(problem) = problem else { return response };
    let (title, lede) = problem.words();
    let lede = match &problem {
        Problem::Bad(sentence) => sentence.clone(),
        _ => page.words.say(lede),
    };
    let mut shown = if json {
        Json(serde_json::json!({ "error": lede })).into_response()
    } else {
        let expired = matches!(problem, Problem::Expired);
        let template = ProblemPage { title: page.words.say(title), lede, expired, page };
        super::render(&template).unwrap_or_else(|_| response.status().into_response())
    };
    *shown.status_mut() = response.status();
    if let Some(retry) = response.headers_mut().remove(header::RETRY_AFTER) {
        shown.headers_mut().insert(header::RETRY_AFTER, retry);
    }
    shown
}

/// What comes from the layers below without a [`Problem`]: a time limit, a body over its limit, a path that does not fit.
fn plain_problem(response: &Response) -> Option<Problem> {
    let kind = response.headers().get(header::CONTENT_TYPE).map(|v| v.as_bytes());
    if kind.is_some_and(|k| !k.starts_with(b"text/plain")) {
        return None;
    }
    match response.status() {
        StatusCode::SERVICE_UNAVAILABLE => Some(Problem::Closed),
        StatusCode::PAYLOAD_TOO_LARGE => Some(Problem::TooLarge),
        StatusCode::BAD_REQUEST => Some(Problem::NotFound),
        _ => None,
    }
}
