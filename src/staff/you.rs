//! One's own page: another password, a second factor, signing out everywhere.

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use secrecy::SecretString;
use serde::Deserialize;
use std::time::Duration;

use super::web::{check_limit, signed_in};
use super::{Desk, DeskPage, StaffError, factor, password, store};
use crate::app::{App, Shared};
use crate::keys;
use crate::web::{self, Form, Peer, Problem};

/// The routes.
pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/staff/you", get(show))
        .route("/staff/you/password", post(change_password))
        .route("/staff/you/factor", post(begin_factor))
        .route("/staff/you/factor/on", post(factor_on))
        .route("/staff/you/factor/off", post(factor_off))
}

#[derive(Template)]
#[template(path = "staff/pages/you.html")]
struct You {
    desk: DeskPage,
    sessions: i64,
    has_factor: bool,
    refused: Refused,
}

/// What was wrong with what was typed, beside the field it was typed in.
#[derive(Default)]
struct Refused {
    current: Option<String>,
    new: Option<String>,
    off: Option<String>,
}

#[derive(Template)]
#[template(path = "staff/pages/factor.html")]
struct Factor {
    desk: DeskPage,
    token: String,
    link: String,
    typeable: String,
    size: i32,
    squares: String,
    problem: Option<&'static str>,
}

#[derive(Deserialize)]
struct Done {
    done: Option<String>,
}

async fn show(State(app): State<Shared>, desk: Desk, Query(done): Query<Done>) -> Result<Response, Problem> {
    let mut page = page(&app, &desk, Refused::default()).await?;
    page.desk = match done.done.as_deref() {
        Some("password") => page.desk.good("The password is changed. Everywhere else you are signed out."),
        Some("factor-on") => {
            page.desk.good("From now on signing in takes a code as well. Everywhere else you are signed out.")
        }
        Some("factor-off") => page.desk.warn("The second factor is off: the password is enough again."),
        _ => page.desk,
    };
    web::render(&page)
}

async fn page(app: &App, desk: &Desk, refused: Refused) -> Result<You, StaffError> {
    Ok(You {
        desk: DeskPage::new(desk, "you"),
        sessions: store::open_sessions(&app.db, desk.id, app.clock.now()).await?,
        has_factor: store::factor(&app.db, &app.keys, desk.id).await?.is_some(),
        refused,
    })
}

async fn refuse(app: &App, desk: &Desk, refused: Refused) -> Result<Response, Problem> {
    let mut response = web::render(&page(app, desk, refused).await?)?;
    *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    Ok(response)
}

/// Whether this is the person's password: asked again before what an unwatched screen must not be enough for.
async fn is_password(app: &App, desk: &Desk, typed: &SecretString) -> Result<bool, StaffError> {
    let stored = store::password_hash(&app.db, desk.id).await?;
    Ok(password::verify(typed, stored).await?)
}

const NOT_YOURS: &str = "This is not your password. Nothing was changed.";

#[derive(Deserialize)]
struct NewPassword {
    current: String,
    password: String,
}

async fn change_password(
    State(app): State<Shared>,
    desk: Desk,
    peer: Peer,
    Form(form): Form<NewPassword>,
) -> Result<Response, Problem> {
    check_limit(&app, &peer)?;
    let new = form.password.into();
    if !is_password(&app, &desk, &form.current.into()).await? {
        return refuse(&app, &desk, Refused { current: Some(NOT_YOURS.to_owned()), ..Refused::default() }).await;
    }
    if let Err(weak) = password::check(&new, &[&desk.name]) {
        return refuse(&app, &desk, Refused { new: Some(weak.to_string()), ..Refused::default() }).await;
    }
    let hash = password::hash(&new).await.map_err(StaffError::from)?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    store::set_password(&mut tx, now, desk.id, &hash).await?;
    let session = store::begin_session(&mut tx, &app.keys, now, desk.id).await?;
    tx.commit().await?;
    Ok(signed_in(&app, &session, "/staff/you?done=password"))
}

/// What the token in the form of a new second factor is for. The secret is in it, sealed, and nowhere else until its
/// first code has come: a half-finished attempt leaves nothing and locks nobody out.
const NEW_FACTOR: &str = "staff-new-factor";
const NEW_FACTOR_LIFE: Duration = Duration::from_secs(3600);

async fn begin_factor(State(app): State<Shared>, desk: Desk) -> Result<Response, Problem> {
    factor_page(&app, &desk, keys::random(), None)
}

fn factor_page(
    app: &App,
    desk: &Desk,
    secret: factor::Secret,
    problem: Option<&'static str>,
) -> Result<Response, Problem> {
    let link = factor::link(&secret, &app.newsroom().name);
    let (size, squares) = factor::squares(&link);
    let token = app.keys.link(NEW_FACTOR, Some(app.clock.now() + NEW_FACTOR_LIFE), &(desk.id, secret));
    let page = Factor {
        desk: DeskPage::new(desk, "you"),
        token,
        link,
        typeable: factor::typeable(&secret),
        size,
        squares,
        problem,
    };
    let mut response = web::render(&page)?;
    if problem.is_some() {
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    Ok(response)
}

#[derive(Deserialize)]
struct FirstCode {
    token: String,
    code: String,
}

async fn factor_on(State(app): State<Shared>, desk: Desk, Form(form): Form<FirstCode>) -> Result<Response, Problem> {
    let now = app.clock.now();
    let (id, secret): (i64, factor::Secret) =
        app.keys.read_link(NEW_FACTOR, &form.token, now).map_err(|_| Problem::Expired)?;
    if id != desk.id {
        return Err(Problem::Forbidden);
    }
    let Some(step) = factor::accepted(&secret, &form.code, now, 0) else {
        return factor_page(
            &app,
            &desk,
            secret,
            Some("This code is not right. Take the one that the app shows now; its clock must be right."),
        );
    };
    let mut tx = app.db.begin().await?;
    store::set_factor(&mut tx, &app.keys, now, desk.id, &secret, step).await?;
    let session = store::begin_session(&mut tx, &app.keys, now, desk.id).await?;
    tx.commit().await?;
    Ok(signed_in(&app, &session, "/staff/you?done=factor-on"))
}

#[derive(Deserialize)]
struct Off {
    current: String,
}

async fn factor_off(
    State(app): State<Shared>,
    desk: Desk,
    peer: Peer,
    Form(form): Form<Off>,
) -> Result<Response, Problem> {
    check_limit(&app, &peer)?;
    if !is_password(&app, &desk, &form.current.into()).await? {
        return refuse(&app, &desk, Refused { off: Some(NOT_YOURS.to_owned()), ..Refused::default() }).await;
    }
    let mut tx = app.db.begin().await?;
    store::drop_factor(&mut tx, app.clock.now(), desk.id).await?;
    tx.commit().await?;
    Ok(Redirect::to("/staff/you?done=factor-off").into_response())
}
