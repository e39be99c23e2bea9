//! The door: signing in and out, the one-time link. And [`Desk`], which every staff page asks for.

use askama::Template;
use axum::Router;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::header::{COOKIE, RETRY_AFTER, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use std::time::Duration;

use super::password::{self, HashingError};
use super::sign_in::{Outcome, enter_code, sign_in};
use super::{Role, StaffError, safe_next, store};
use crate::app::{App, Shared};
use crate::web::{self, Form, Peer, Problem, Rule};

/// Somebody who is signed in. A handler that takes it is for staff only: others are sent to sign in.
#[derive(Clone, Debug)]
pub struct Desk {
    /// Their id.
    pub id: i64,
    /// Their name.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

impl Desk {
    /// Goes on only where this person may do what `role` may.
    pub fn require(&self, role: Role) -> Result<(), Problem> {
        if self.role.covers(role) { Ok(()) } else { Err(Problem::Forbidden) }
    }
}

impl FromRequestParts<Shared> for Desk {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Desk, Response> {
        match at_desk(app, &parts.headers).await {
            Ok(Some(desk)) => Ok(desk),
            Ok(None) if parts.method == Method::GET || parts.method == Method::HEAD => {
                let wanted = parts.uri.path_and_query().map_or("/staff", |path| path.as_str());
                Err(Problem::SignIn(safe_next(wanted).to_owned()).into_response())
            }
            Ok(None) => Err(signed_out(app).unwrap_or_else(Problem::into_response)),
            Err(error) => Err(Problem::from(error).into_response()),
        }
    }
}

/// The door's pages.
pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/staff/sign-in", get(show_sign_in).post(do_sign_in))
        .route("/staff/sign-out", post(sign_out))
        .route("/staff/set-password/{token}", get(show_set_password).post(do_set_password))
        .route("/staff/sign-in/code", get(show_code).post(do_code))
        .merge(super::you::routes())
        .merge(super::desk::routes())
}

/// The frame of the pages that are seen before signing in.
pub struct Door {
    newsroom: String,
}

impl Door {
    fn new(app: &App) -> Door {
        Door { newsroom: app.newsroom().name.clone() }
    }

    fn asset(&self, name: &str) -> String {
        web::asset(name)
    }
}

/// Somebody pressed a button on a page whose session has ended meanwhile. What they typed is still in their browser.
#[derive(Template)]
#[template(path = "staff/pages/signed_out.html")]
struct SignedOut {
    door: Door,
}

fn signed_out(app: &App) -> Result<Response, Problem> {
    let mut response = web::render(&SignedOut { door: Door::new(app) })?;
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    Ok(response)
}

#[derive(Template)]
#[template(path = "staff/pages/sign_in.html")]
struct SignIn {
    door: Door,
    nobody_yet: bool,
    next: String,
    email: String,
    problem: Option<String>,
    news: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "staff/pages/set_password.html")]
struct SetPassword {
    door: Door,
    /// None: the link does not work any more.
    email: Option<String>,
    name: String,
    problem: Option<String>,
}

#[derive(Template)]
#[template(path = "staff/pages/code.html")]
struct Code {
    door: Door,
    half_way: String,
    next: String,
    problem: Option<String>,
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    next: String,
    #[serde(default)]
    left: Option<String>,
}

async fn show_sign_in(
    State(app): State<Shared>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let next = safe_next(&wanted.next);
    if at_desk(&app, &headers).await?.is_some() {
        return Ok(Redirect::to(next).into_response());
    }
    let news = wanted.left.map(|_| "You are signed out.");
    let page = SignIn {
        door: Door::new(&app),
        nobody_yet: store::nobody_yet(&app.db).await?,
        next: next.to_owned(),
        email: String::new(),
        problem: None,
        news,
    };
    web::render(&page)
}

#[derive(Deserialize)]
struct Credentials {
    email: String,
    password: String,
    #[serde(default)]
    next: String,
}

async fn do_sign_in(
    State(app): State<Shared>,
    peer: Peer,
    headers: HeaderMap,
    Form(form): Form<Credentials>,
) -> Result<Response, Problem> {
    check_limit(&app, &peer)?;
    let now = app.clock.now();
    let next = safe_next(&form.next).to_owned();
    let (status, problem, wait) =
        match sign_in(&app.db, &app.keys, now, &peer.network().unwrap_or_default(), &form.email, &form.password.into())
            .await
        {
            Ok(Outcome::In(token)) => {
                end_this_session(&app, &headers).await?;
                return Ok(signed_in(&app, &token, &next));
            }
            Ok(Outcome::Code(half_way)) => {
                return web::render(&Code { door: Door::new(&app), half_way, next, problem: None });
            }
            Ok(Outcome::Wrong(left)) => {
                (StatusCode::UNPROCESSABLE_ENTITY, wrong("Address or password is not right.", left), None)
            }
            Ok(Outcome::Wait(wait)) => (StatusCode::TOO_MANY_REQUESTS, waiting(wait), Some(wait)),
            Err(StaffError::Hashing(HashingError::Busy)) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Many people are signing in at this moment. Try again in a minute.".to_owned(),
                Some(Duration::from_secs(60)),
            ),
            Err(error) => return Err(error.into()),
        };
    let page = SignIn {
        door: Door::new(&app),
        nobody_yet: false,
        next,
        email: form.email,
        problem: Some(problem),
        news: None,
    };
    refused(web::render(&page)?, status, wait)
}

fn refused(mut response: Response, status: StatusCode, wait: Option<Duration>) -> Result<Response, Problem> {
    *response.status_mut() = status;
    if let Some(wait) = wait {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
    }
    Ok(response)
}

/// Somebody who reloads the page of the code begins anew.
async fn show_code() -> Redirect {
    Redirect::to("/staff/sign-in")
}

#[derive(Deserialize)]
struct SecondStep {
    half_way: String,
    code: String,
    #[serde(default)]
    next: String,
}

async fn do_code(
    State(app): State<Shared>,
    peer: Peer,
    headers: HeaderMap,
    Form(form): Form<SecondStep>,
) -> Result<Response, Problem> {
    check_limit(&app, &peer)?;
    let next = safe_next(&form.next).to_owned();
    let (status, problem, wait) =
        match enter_code(&app.db, &app.keys, app.clock.now(), &form.half_way, &form.code).await? {
            Some(Outcome::In(token)) => {
                end_this_session(&app, &headers).await?;
                return Ok(signed_in(&app, &token, &next));
            }
            Some(Outcome::Wait(wait)) => (StatusCode::TOO_MANY_REQUESTS, waiting(wait), Some(wait)),
            Some(Outcome::Wrong(left)) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                wrong("This code is not right, or it was used already. Take the next one.", left),
                None,
            ),
            // Too long ago: from the beginning.
            Some(Outcome::Code(_)) | None => return Err(Problem::SignIn(next)),
        };
    let page = Code { door: Door::new(&app), half_way: form.half_way, next, problem: Some(problem) };
    refused(web::render(&page)?, status, wait)
}

/// Passwords from one network, whatever the account: a hundred in a quarter of an hour is a newsroom on a Monday.
const LIMIT: Rule = Rule { name: "staff-password", burst: 100, per: Duration::from_secs(15 * 60) };

pub(super) fn check_limit(app: &App, peer: &Peer) -> Result<(), Problem> {
    peer.network().map_or(Ok(()), |network| app.limits.check(&LIMIT, &network))
}

fn wrong(what: &str, left: i64) -> String {
    let after = match left {
        0 => "Before the next try there is a short wait.",
        1 => "One try is left, then there is a short wait.",
        2 => "Two tries are left, then there is a short wait.",
        _ => "",
    };
    format!("{what} {after}").trim_end().to_owned()
}

fn waiting(wait: Duration) -> String {
    match wait.as_secs().div_ceil(60) {
        0 | 1 => "There were too many tries. Wait a minute, then try again.".to_owned(),
        minutes => format!("There were too many tries. Wait {minutes} minutes, then try again."),
    }
}

async fn show_set_password(State(app): State<Shared>, Path(token): Path<String>) -> Result<Response, Problem> {
    match store::invited(&app.db, &app.keys, app.clock.now(), &token).await {
        Ok(person) => set_password_page(&app, person.address.as_str(), &person.name, None),
        Err(StaffError::LinkGone) => link_gone(&app),
        Err(error) => Err(error.into()),
    }
}

#[derive(Deserialize)]
struct Chosen {
    #[serde(default)]
    name: String,
    password: String,
}

async fn do_set_password(
    State(app): State<Shared>,
    Path(token): Path<String>,
    peer: Peer,
    headers: HeaderMap,
    Form(form): Form<Chosen>,
) -> Result<Response, Problem> {
    check_limit(&app, &peer)?;
    let now = app.clock.now();
    let person = match store::invited(&app.db, &app.keys, now, &token).await {
        Ok(person) => person,
        Err(StaffError::LinkGone) => return link_gone(&app),
        Err(error) => return Err(error.into()),
    };
    let name = tidy_name(&form.name).unwrap_or_else(|| person.name.clone());
    let password = form.password.into();
    if let Err(weak) = password::check(&password, &[person.address.local(), person.address.as_str()]) {
        let mut response = set_password_page(&app, person.address.as_str(), &name, Some(weak.to_string()))?;
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        return Ok(response);
    }
    let hash = password::hash(&password).await.map_err(StaffError::from)?;
    let mut tx = app.db.begin().await?;
    let id = match store::accept(&mut tx, &app.keys, now, &token, &name, &hash).await {
        Ok(id) => id,
        Err(StaffError::LinkGone) => return link_gone(&app),
        Err(error) => return Err(error.into()),
    };
    let session = store::begin_session(&mut tx, &app.keys, now, id).await?;
    tx.commit().await?;
    end_this_session(&app, &headers).await?;
    Ok(signed_in(&app, &session, "/staff"))
}

/// A name as it may stand in the log: one line, not endless.
pub(super) fn tidy_name(typed: &str) -> Option<String> {
    let name: String =
        typed.split_whitespace().collect::<Vec<_>>().join(" ").chars().filter(|c| !c.is_control()).take(80).collect();
    (!name.is_empty()).then_some(name)
}

fn set_password_page(app: &App, email: &str, name: &str, problem: Option<String>) -> Result<Response, Problem> {
    web::render(&SetPassword { door: Door::new(app), email: Some(email.to_owned()), name: name.to_owned(), problem })
}

fn link_gone(app: &App) -> Result<Response, Problem> {
    let mut response =
        web::render(&SetPassword { door: Door::new(app), email: None, name: String::new(), problem: None })?;
    *response.status_mut() = StatusCode::GONE;
    Ok(response)
}

#[derive(Deserialize)]
struct Leaving {
    everywhere: Option<String>,
}

async fn sign_out(
    State(app): State<Shared>,
    headers: HeaderMap,
    Form(form): Form<Leaving>,
) -> Result<Response, Problem> {
    if let Some(desk) = at_desk(&app, &headers).await? {
        let everywhere = form.everywhere.is_some();
        let mut tx = app.db.begin().await?;
        if everywhere {
            store::end_sessions(&mut tx, desk.id).await?;
        } else if let Some(token) = token(&app, &headers) {
            store::end_session(&mut tx, &app.keys, &token).await?;
        }
        let action = if everywhere { "staff.sign-out-everywhere" } else { "staff.sign-out" };
        store::record(&mut tx, &desk, app.clock.now(), action, "").await?;
        tx.commit().await?;
    }
    let mut response = Redirect::to("/staff/sign-in?left=yes").into_response();
    response.headers_mut().insert(SET_COOKIE, cookie(&app, "", "; Max-Age=0"));
    Ok(response)
}

/// Who is at the desk: the person of the cookie's session.
pub async fn at_desk(app: &App, headers: &HeaderMap) -> Result<Option<Desk>, StaffError> {
    let Some(token) = token(app, headers) else { return Ok(None) };
    let session = store::session(&app.db, &app.keys, app.clock.now(), &token).await?;
    Ok(session.map(|(id, name, role)| Desk { id, name, role }))
}

/// The cookie's name. With `__Host-` a browser takes it only over TLS, for this host alone and for every path of it.
fn cookie_name(app: &App) -> &'static str {
    if app.config.is_https() { "__Host-friday" } else { "friday_session" }
}

fn token(app: &App, headers: &HeaderMap) -> Option<String> {
    let name = cookie_name(app);
    let cookies =
        headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    let mut pairs = cookies.filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

fn cookie(app: &App, value: &str, more: &str) -> HeaderValue {
    let secure = if app.config.is_https() { "; Secure" } else { "" };
    let text = format!("{}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{more}", cookie_name(app));
    // OK because the value is base64url and the rest is written here.
    HeaderValue::from_str(&text).expect("a header value")
}

/// A new session begins: the browser gets its token, and goes where it wanted to go.
pub(super) fn signed_in(app: &App, token: &str, next: &str) -> Response {
    let mut response = Redirect::to(next).into_response();
    response.headers_mut().insert(SET_COOKIE, cookie(app, token, ""));
    response
}

/// Ends the session that the browser had until now: a new sign-in is a new session.
async fn end_this_session(app: &App, headers: &HeaderMap) -> Result<(), StaffError> {
    if let Some(token) = token(app, headers) {
        let mut tx = app.db.begin().await?;
        store::end_session(&mut tx, &app.keys, &token).await?;
        tx.commit().await?;
    }
    Ok(())
}
