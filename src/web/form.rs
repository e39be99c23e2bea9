//! What readers send: forms of a limited size, and how old the form was.

use super::Problem;
use crate::app::Shared;
use crate::clock::Moment;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// A form, or the same fields as JSON. Repeated fields become a list. What does not fit is a [`Problem::Bad`].
#[derive(Debug)]
pub struct Form<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Shared> for Form<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Shared) -> Result<Form<T>, Problem> {
        if is_json(request.headers()) {
            let json = axum::Json::<T>::from_request(request, app).await;
            return json.map(|axum::Json(fields)| Form(fields)).map_err(|e| Problem::unreadable(e.status(), "JSON"));
        }
        let form = axum_extra::extract::Form::<T>::from_request(request, app).await;
        form.map(|axum_extra::extract::Form(fields)| Form(fields)).map_err(|rejection| {
            use axum::response::IntoResponse;
            Problem::unreadable(rejection.into_response().status(), "a form")
        })
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    kind.starts_with("application/json")
}

/// Whether a program asks that would rather have JSON than a page.
pub fn wants_json(headers: &HeaderMap) -> bool {
    let accepts = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    is_json(headers) || (accepts.contains("application/json") && !accepts.contains("text/html"))
}

/// How long ago a form's page was made, which tells people from programs that fill forms in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormAge {
    /// No token came: a program that never saw the page, as a newsroom's own site may be.
    Unknown,
    /// As old as this.
    Known(Duration),
}

impl FormAge {
    /// The purpose of such tokens.
    pub const PURPOSE: &'static str = "form";

    /// The token for a form on a page that is made now.
    pub fn token(app: &Shared) -> String {
        app.keys.link(FormAge::PURPOSE, None, &app.clock.now())
    }

    /// What a form's token says. One that is not ours counts as none.
    pub fn of(app: &Shared, token: Option<&str>) -> FormAge {
        let now = app.clock.now();
        match token.and_then(|t| app.keys.read_link::<Moment>(FormAge::PURPOSE, t, now).ok()) {
            Some(made) => FormAge::Known(now.since(made)),
            None => FormAge::Unknown,
        }
    }

    /// Whether no person could have filled the form in: in less than a second.
    pub fn is_inhuman(self) -> bool {
        matches!(self, FormAge::Known(age) if age < Duration::from_secs(1))
    }
}
