//! The page behind the link at the foot of each issue: how somebody reads us, from which address, and what we hold.
//!
//! It shows no address, because mails get forwarded. Who moves to another address types it here and presses a button in
//! the mail that comes there; the old one is told, so that nobody is moved away by somebody who found their mail.

use super::store::{self, Subscriber, Subscription};
use super::web::{consent, readable, said};
use super::{CONFIRM_LIFE, Edition, MOVE, Move, PAUSES, PREFERENCES, mail, open_address};
use crate::address::Address;
use crate::app::Shared;
use crate::clock::{DAY, WEEK};
use crate::keys::Drawer;
use crate::mail::{Message, outbox};
use crate::web::{Form, Page, Problem, Rule, render};
use crate::words::{Language, Words};
use askama::Template;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;

/// Moves from one reader's page: each writes to an address that somebody typed.
const MOVES: Rule = Rule { name: "subscribers.move", burst: 5, per: DAY };

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/preferences/{token}", get(show_preferences).post(save_preferences))
        .route("/preferences/{token}/address", post(ask_to_move))
        .route("/preferences/{token}/held", post(send_held))
        .route("/preferences/{token}/forget", post(forget))
        .route("/move/{token}", get(show_move).post(move_here))
}

#[derive(Template)]
#[template(path = "subscribers/pages/preferences.html")]
struct PreferencesPage {
    page: Page,
    path: String,
    reader: Subscriber,
    subscriptions: Vec<(String, String)>,
    newsletters: Vec<(String, String, &'static str, bool)>,
    paused: bool,
    saved: bool,
    error: Option<String>,
}

impl PreferencesPage {
    fn languages(&self) -> Vec<(&'static str, &'static str)> {
        Language::ALL.iter().map(|l| (l.as_str(), l.own_name())).collect()
    }

    fn speaks(&self, tag: &str) -> bool {
        self.reader.language.as_deref() == Some(tag)
    }

    fn weeks(&self) -> Vec<i64> {
        PAUSES.to_vec()
    }
}

/// The reader of a preferences link; nobody when they have left.
async fn reader_of(app: &Shared, token: &str) -> Result<Option<Subscriber>, Problem> {
    let (id, _): (i64, i64) = app.keys.read_link(PREFERENCES, token, app.clock.now()).map_err(|_| Problem::Expired)?;
    Ok(store::find(&app.db, id).await?)
}

fn gone(page: Page) -> Result<Response, Problem> {
    let lede = page.say("subscribers-gone-lede");
    said(page, "subscribers-gone-title", lede, "")
}

async fn show_preferences(
    State(app): State<Shared>,
    Path(token): Path<String>,
    page: Page,
) -> Result<Response, Problem> {
    match reader_of(&app, &token).await? {
        Some(reader) => preferences(&app, page, &token, reader, false, None).await,
        None => gone(page),
    }
}

async fn preferences(
    app: &Shared,
    page: Page,
    token: &str,
    reader: Subscriber,
    saved: bool,
    error: Option<&str>,
) -> Result<Response, Problem> {
    let held = store::subscriptions(&app.db, reader.id).await?;
    let newsroom = app.newsroom();
    let page = language_of(app, &reader, &held).map_or(page.clone(), |l| page.speaking(l));
    let name = |slug: &str| newsroom.newsletter(slug).map_or(slug.to_owned(), |n| n.name.clone());
    let when = |s: &Subscription| page.words.date(s.consent_week, &jiff::tz::TimeZone::UTC);
    let subscriptions = held.iter().map(|s| (name(&s.newsletter), when(s))).collect();
    let reads = |slug: &str| held.iter().any(|s| s.newsletter == slug);
    let newsletters = newsroom
        .newsletters
        .iter()
        .map(|n| (n.slug.clone(), n.name.clone(), n.language.as_str(), reads(&n.slug)))
        .collect();
    let paused = reader.paused_until.is_some_and(|until| until > app.clock.now());
    let error = error.map(|key| page.say(key));
    let path = format!("/preferences/{token}");
    render(&PreferencesPage { page, path, reader, subscriptions, newsletters, paused, saved, error })
}

#[derive(Deserialize)]
struct Preferences {
    edition: Option<Edition>,
    language: Option<String>,
    /// Weeks; 0 ends a pause.
    pause: Option<String>,
    /// Set by the whole page, whose unticked boxes mean something; the small pause form leaves the rest as it is.
    all: Option<String>,
    discreet: Option<String>,
    no_asks: Option<String>,
    #[serde(default)]
    newsletter: Vec<String>,
}

async fn save_preferences(
    State(app): State<Shared>,
    Path(token): Path<String>,
    page: Page,
    Form(wanted): Form<Preferences>,
) -> Result<Response, Problem> {
    let Some(mut reader) = reader_of(&app, &token).await? else { return gone(page) };
    let now = app.clock.now();
    wanted.apply(&mut reader, now);
    let mut tx = app.db.begin().await?;
    if !store::change(&mut tx, &reader).await? {
        return gone(page);
    }
    if wanted.all.is_some() {
        let held = store::subscriptions(&app.db, reader.id).await?;
        let newsroom = app.newsroom();
        let reads = |slug: &str| held.iter().any(|s| s.newsletter == slug);
        let wants = |slug: &String| wanted.newsletter.contains(slug);
        // Joined before any is left: with the last one left, the reader would be gone.
        for new in newsroom.newsletters.iter().filter(|n| wants(&n.slug) && !reads(&n.slug)) {
            store::join(&mut tx, reader.id, &new.slug, &consent(&page, new), now).await?;
        }
        for old in newsroom.newsletters.iter().filter(|n| reads(&n.slug) && !wants(&n.slug)) {
            store::leave(&mut tx, reader.id, &old.slug, now).await?;
        }
    }
    tx.commit().await?;
    match store::find(&app.db, reader.id).await? {
        Some(reader) => preferences(&app, page, &token, reader, true, None).await,
        None => gone(page),
    }
}

impl Preferences {
    fn apply(&self, reader: &mut Subscriber, now: crate::clock::Moment) {
        if let Some(edition) = self.edition {
            reader.edition = edition.as_str().to_owned();
        }
        if let Some(language) = &self.language {
            reader.language = Language::parse(language).map(|l| l.as_str().to_owned());
        }
        // "keep", or anything else, leaves a pause as it is.
        match self.pause.as_deref().and_then(|weeks| weeks.parse::<i64>().ok()) {
            Some(0) => reader.paused_until = None,
            Some(weeks) if PAUSES.contains(&weeks) => {
                reader.paused_until = Some(now + WEEK * u32::try_from(weeks).unwrap_or(0))
            }
            _ => {}
        }
        if self.all.is_some() {
            reader.discreet = self.discreet.is_some();
            reader.no_asks = self.no_asks.is_some();
        }
    }
}

/// All that is held, as a file (GDPR, article 15 and 20). The address itself is left out: the link may be in a forwarded mail.
async fn send_held(State(app): State<Shared>, Path(token): Path<String>, page: Page) -> Result<Response, Problem> {
    let Some(reader) = reader_of(&app, &token).await? else { return gone(page) };
    let subscriptions: Vec<serde_json::Value> = store::subscriptions(&app.db, reader.id)
        .await?
        .iter()
        .map(|s| serde_json::json!({ "newsletter": s.newsletter, "agreed_in_week_of": s.consent_week.to_string(), "agreed_to": s.consent }))
        .collect();
    let held = serde_json::json!({
        "address": "held, sealed; not shown here, because mails get forwarded",
        "language": reader.language, "edition": reader.edition, "discreet": reader.discreet, "no_asks": reader.no_asks,
        "paused_until": reader.paused_until.map(|m| m.to_string()), "subscriptions": subscriptions,
    });
    let name = [(header::CONTENT_DISPOSITION, "attachment; filename=\"held.json\"")];
    Ok((name, Json(held)).into_response())
}

#[derive(Deserialize)]
struct Sure {
    sure: Option<String>,
}

async fn forget(
    State(app): State<Shared>,
    Path(token): Path<String>,
    page: Page,
    Form(form): Form<Sure>,
) -> Result<Response, Problem> {
    let Some(reader) = reader_of(&app, &token).await? else { return gone(page) };
    if form.sure.is_none() {
        let mut answer = preferences(&app, page, &token, reader, false, Some("subscribers-forget-not-sure")).await?;
        *answer.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        return Ok(answer);
    }
    let mut tx = app.db.begin().await?;
    store::remove(&mut tx, reader.id).await?;
    tx.commit().await?;
    let lede = page.say("subscribers-forgotten-lede");
    said(page, "subscribers-forgotten-title", lede, "")
}

#[derive(Deserialize)]
struct NewAddress {
    #[serde(default)]
    email: String,
}

/// Writes to the address that somebody wants to read us at. The same answer whatever we know of it.
async fn ask_to_move(
    State(app): State<Shared>,
    Path(token): Path<String>,
    page: Page,
    Form(typed): Form<NewAddress>,
) -> Result<Response, Problem> {
    let Some(reader) = reader_of(&app, &token).await? else { return gone(page) };
    let Some(address) = readable(&typed.email) else {
        let mut answer = preferences(&app, page, &token, reader, false, Some("subscribers-wrong-address")).await?;
        *answer.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        return Ok(answer);
    };
    app.limits.check(&MOVES, &reader.id.to_string())?;
    let now = app.clock.now();
    let wanted = Move { reader: reader.id, to: address.as_str().to_owned() };
    let link = app.config.link(&format!("/move/{}", app.keys.link(MOVE, Some(now + CONFIRM_LIFE), &wanted)));
    let words = words_of(&app, &reader).await?;
    let mut message = mail::move_here(words, &address, &link)?;
    message.from = Some(app.newsroom().discreet_sender(None, app.config.host()));
    let day = now.millis().div_euclid(DAY.as_millis() as i64).to_be_bytes();
    let index = app.keys.index(Drawer::Subscribers, &address);
    let mark = app.keys.mark("move", &[&index[..], &reader.id.to_be_bytes(), &day].concat());
    let mut tx = app.db.begin().await?;
    outbox::put(&mut tx, &app.keys, now, outbox::Note { kind: "move", once: Some((mark, now + DAY)), message }).await?;
    tx.commit().await?;
    app.wake(outbox::TASK);
    let page = page.speaking(words.language());
    let lede = page.say("subscribers-move-asked-lede");
    said(page, "subscribers-done-title", lede, "")
}

/// The catalogue of what is written to a reader: their choice, or their newsletter's language.
async fn words_of(app: &Shared, reader: &Subscriber) -> Result<Words, Problem> {
    let held = store::subscriptions(&app.db, reader.id).await?;
    Ok(Words::of(language_of(app, reader, &held).unwrap_or_default()))
}

fn language_of(app: &Shared, reader: &Subscriber, held: &[Subscription]) -> Option<Language> {
    let newsroom = app.newsroom();
    let first = held.iter().find_map(|s| newsroom.newsletter(&s.newsletter)).map(|n| n.language);
    reader.language.as_deref().and_then(Language::parse).or(first)
}

fn read_move(app: &Shared, token: &str) -> Result<(Move, Address), Problem> {
    let wanted: Move = app.keys.read_link(MOVE, token, app.clock.now()).map_err(|_| Problem::Expired)?;
    let address = Address::parse(&wanted.to).map_err(|_| Problem::Expired)?;
    Ok((wanted, address))
}

#[derive(Template)]
#[template(path = "subscribers/pages/move.html")]
struct MovePage {
    page: Page,
}

async fn show_move(State(app): State<Shared>, Path(token): Path<String>, page: Page) -> Result<Response, Problem> {
    let (wanted, _) = read_move(&app, &token)?;
    let Some(reader) = store::find(&app.db, wanted.reader).await? else { return gone(page) };
    let page = page.speaking(words_of(&app, &reader).await?.language());
    render(&MovePage { page })
}

/// Moves a reader to the address whose button was pressed, and tells the old one. Pressing twice is pressing once.
async fn move_here(State(app): State<Shared>, Path(token): Path<String>, page: Page) -> Result<Response, Problem> {
    let (wanted, address) = read_move(&app, &token)?;
    let reader = store::find(&app.db, wanted.reader).await?;
    if let Some(reader) = &reader {
        let words = words_of(&app, reader).await?;
        let mut tx = app.db.begin().await?;
        if let Some(sealed) = store::move_to(&mut tx, &app.keys, app.clock.now(), reader.id, &address).await? {
            let message = moved(&app, words, &open_address(&app.keys, reader.id, &sealed)?)?;
            let note = outbox::Note { kind: "moved", once: None, message };
            outbox::put(&mut tx, &app.keys, app.clock.now(), note).await?;
        }
        tx.commit().await?;
        app.wake(outbox::TASK);
    }
    let Some(here) = store::find_by_address(&app.db, &app.keys, &address).await? else { return gone(page) };
    let page = page.speaking(words_of(&app, &here).await?.language());
    let lede = page.say("subscribers-moved-lede");
    said(page, "subscribers-moved-title", lede, "")
}

fn moved(app: &Shared, words: Words, old: &Address) -> Result<Message, Problem> {
    let mut message = mail::moved(words, old)?;
    message.from = Some(app.newsroom().discreet_sender(None, app.config.host()));
    Ok(message)
}
