//! "Remind me later": asked for on a page, confirmed and cancelled by a button behind a link in a mail.
//!
//! Nothing is kept before the confirmation: the link in the mail carries address, month and language, sealed.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use std::time::Duration;

use crate::address::Address;
use crate::app::Shared;
use crate::db;
use crate::keys::{Drawer, LinkError};
use crate::mail::outbox::{self, Note};
use crate::support::mail::{day, house, month_name};
use crate::support::store::reminders::{self, Wish};
use crate::support::{CANCEL, LINK_LIFE, REMIND, months, reminder_at};
use crate::web::{self, Form, Page, Peer, Problem, Rule, render, wants_json};
use crate::words::Language;

/// Mails asked for from one network, of this and of the link to a gift.
pub(super) const MAILS: Rule = Rule { name: "support.mail", burst: 10, per: Duration::from_secs(600) };

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/support/remind", get(show).post(ask))
        .route("/support/remind/confirm/{token}", get(show_confirm).post(confirm))
        .route("/support/remind/cancel/{token}", get(show_cancel).post(cancel))
}

/// What the link in the mail carries.
#[derive(Serialize, Deserialize)]
struct Carried {
    address: String,
    month: String,
    language: Language,
}

#[derive(Template)]
#[template(path = "support/pages/remind.html")]
struct RemindPage {
    page: Page,
    /// Month, name, whether chosen.
    months: Vec<(String, String, bool)>,
    email: String,
    email_error: Option<String>,
    month_error: Option<String>,
}

/// A page that says one thing, with one thing to press at most.
#[derive(Template)]
#[template(path = "support/pages/one.html")]
pub(super) struct OnePage {
    pub page: Page,
    pub title: String,
    pub lede: String,
    pub more: Option<String>,
    /// The button's words; it posts to this page's own address.
    pub button: Option<String>,
    /// A link: address and words.
    pub link: Option<(String, String)>,
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    email: String,
    #[serde(default)]
    month: String,
}

async fn show(State(app): State<Shared>, page: Page) -> Result<Response, Problem> {
    form(&app, page, &Wanted { email: String::new(), month: String::new() }, StatusCode::OK, false, false)
}

fn form(
    app: &Shared,
    page: Page,
    wanted: &Wanted,
    status: StatusCode,
    email_bad: bool,
    month_bad: bool,
) -> Result<Response, Problem> {
    let months = months(app.clock.now());
    let chosen = months.iter().position(|month| *month == wanted.month).unwrap_or(0);
    let named = |(index, month): (usize, String)| {
        let name = month_name(&page.words, &month);
        (month, name, index == chosen)
    };
    let shown = render(&RemindPage {
        months: months.into_iter().enumerate().map(named).collect(),
        email: wanted.email.clone(),
        email_error: email_bad.then(|| page.say("support-email-bad")),
        month_error: month_bad.then(|| page.say("support-remind-month-bad")),
        page,
    })?;
    Ok((status, shown).into_response())
}

async fn ask(
    State(app): State<Shared>,
    page: Page,
    peer: Peer,
    headers: HeaderMap,
    Form(wanted): Form<Wanted>,
) -> Result<Response, Problem> {
    let json = wants_json(&headers);
    if let Some(network) = peer.network() {
        app.limits.check(&MAILS, &network)?;
    }
    let now = app.clock.now();
    let address = Address::parse(&wanted.email);
    let month_ok = reminder_at(&wanted.month, now).is_some();
    let (Ok(to), true) = (address.as_ref(), month_ok) else {
        let (email_bad, month_bad) = (address.is_err(), !month_ok);
        if json {
            let key = if email_bad { "support-email-bad" } else { "support-remind-month-bad" };
            return Err(Problem::Bad(page.say(key)));
        }
        return form(&app, page, &wanted, StatusCode::UNPROCESSABLE_ENTITY, email_bad, month_bad);
    };
    let answer_time = web::answer_time();
    let language = page.words.language();
    let carried = Carried { address: to.as_str().to_owned(), month: wanted.month.clone(), language };
    let token = app.keys.link(REMIND, Some(now + LINK_LIFE), &carried);
    let link = app.config.link(&format!("/support/remind/confirm/{token}"));
    let message = house(&app, language).confirm(to.clone(), &wanted.month, link);
    // One such mail to an address a day, whoever asks.
    let mark =
        app.keys.mark("support.remind.day", &[app.keys.index(Drawer::Donors, to), day_of(now).into_bytes()].concat());
    let mut tx = app.db.begin().await?;
    let until = now + crate::clock::DAY;
    outbox::put(&mut tx, &app.keys, now, Note { kind: "reminder-confirm", once: Some((mark, until)), message }).await?;
    tx.commit().await?;
    app.wake(outbox::TASK);
    answer_time.await;
    let lede = page.say("support-sent-remind");
    answer_sent(page, lede, json)
}

/// The same answer to every address.
pub(super) fn answer_sent(page: Page, lede: String, json: bool) -> Result<Response, Problem> {
    if json {
        return Ok((StatusCode::ACCEPTED, Json(serde_json::json!({ "message": lede }))).into_response());
    }
    let more = Some(page.say("support-sent-nothing"));
    let link = Some((page.href("/support"), page.say("support-back")));
    render(&OnePage { title: page.say("support-sent-title"), lede, more, button: None, link, page })
}

/// The day as a mark needs it.
pub(super) fn day_of(now: crate::clock::Moment) -> String {
    (now.seconds().div_euclid(86_400)).to_string()
}

fn read(app: &Shared, token: &str) -> Result<(Carried, Address), Problem> {
    let carried: Carried = app.keys.read_link(REMIND, token, app.clock.now()).map_err(expired)?;
    let address = Address::parse(&carried.address).map_err(|_| Problem::Expired)?;
    Ok((carried, address))
}

pub(super) fn expired(_: LinkError) -> Problem {
    Problem::Expired
}

async fn show_confirm(State(app): State<Shared>, page: Page, Path(token): Path<String>) -> Result<Response, Problem> {
    let (carried, _) = read(&app, &token)?;
    let page = page.speaking(carried.language);
    if reminder_at(&carried.month, app.clock.now()).is_none() {
        return over(page);
    }
    let lede = page.words.say1("support-remind-confirm", "month", &month_name(&page.words, &carried.month));
    let button = Some(page.say("support-remind-confirm-button"));
    render(&OnePage { title: page.say("support-remind-confirm-title"), lede, more: None, button, link: None, page })
}

fn over(page: Page) -> Result<Response, Problem> {
    let link = Some((page.href("/support/remind"), page.say("support-remind-title")));
    let (title, lede) = (page.say("support-remind-over-title"), page.say("support-remind-over"));
    render(&OnePage { title, lede, more: None, button: None, link, page })
}

async fn confirm(State(app): State<Shared>, page: Page, Path(token): Path<String>) -> Result<Response, Problem> {
    let (carried, address) = read(&app, &token)?;
    let page = page.speaking(carried.language);
    let now = app.clock.now();
    let Some(next_at) = reminder_at(&carried.month, now) else { return over(page) };
    let id = db::new_id();
    let wish = Wish {
        id,
        address_sealed: app.keys.seal(Drawer::Donors, &id.to_be_bytes(), address.as_str().as_bytes()),
        address_index: app.keys.index(Drawer::Donors, &address),
        month: carried.month,
        language: carried.language,
        asked_at: now,
        next_at,
    };
    let mut tx = app.db.begin().await?;
    reminders::keep(&mut tx, &wish).await?;
    tx.commit().await?;
    let lede = page.words.say1("support-remind-set", "date", &day(&page.words, next_at));
    let title = page.say("support-remind-set-title");
    render(&OnePage { title, lede, more: None, button: None, link: None, page })
}

async fn show_cancel(State(app): State<Shared>, page: Page, Path(token): Path<String>) -> Result<Response, Problem> {
    app.keys.read_link::<i64>(CANCEL, &token, app.clock.now()).map_err(expired)?;
    let (title, lede) = (page.say("support-remind-cancel-title"), page.say("support-remind-cancel"));
    let button = Some(page.say("support-remind-cancel-button"));
    render(&OnePage { title, lede, more: None, button, link: None, page })
}

async fn cancel(State(app): State<Shared>, page: Page, Path(token): Path<String>) -> Result<Response, Problem> {
    let id: i64 = app.keys.read_link(CANCEL, &token, app.clock.now()).map_err(expired)?;
    let mut tx = app.db.begin().await?;
    reminders::drop_one(&mut tx, id).await?;
    tx.commit().await?;
    let (title, lede) = (page.say("support-remind-cancelled-title"), page.say("support-remind-cancelled"));
    render(&OnePage { title, lede, more: None, button: None, link: None, page })
}
