//! The reader's pages: signing up, confirming, leaving.

use super::store::{self, Confirmed};
use super::{
    CONFIRM, CONFIRM_LIFE, Edition, PAUSES, Request, Standing, mail, preferences, preferences_link, read_unsubscribe,
    slip,
};
use crate::address::Address;
use crate::app::Shared;
use crate::clock::DAY;
use crate::keys::Drawer;
use crate::mail::outbox;
use crate::newsroom::Newsletter;
use crate::web::{self, FRAMEABLE, Form, FormAge, Page, Peer, Problem, Rule, render, wants_json};
use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use std::time::Duration;
use validator::ValidateEmail;

/// Sign-ups from one network: a household or a newsroom's event, not a program.
const SIGN_UPS: Rule = Rule { name: "sign-up", burst: 30, per: Duration::from_secs(3600) };

/// The room's routes.
pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/newsletters/{slug}/subscribe", post(subscribe))
        .route("/confirm/{token}", get(ask_to_confirm).post(confirm))
        .route("/unsubscribe/{token}", get(ask_to_leave).post(leave))
        .route("/preferences", get(find_preferences))
        .route("/safety", get(safety))
        .route("/privacy", get(privacy))
        .route("/embed/signup", get(frame))
        .merge(preferences::routes())
}

/// The sign-up form, wherever it stands: `{% include "subscribers/pages/sign_up_form.html" %}` with `form` and `page`.
#[derive(Debug, Clone, Default)]
pub struct SignUpForm {
    /// The newsletter's slug.
    pub newsletter: String,
    /// What was typed.
    pub email: String,
    /// What is wrong with it.
    pub error: Option<String>,
    /// A likely correction.
    pub suggestion: Option<String>,
    /// The token of the page on which it was first filled in: who answers our question at once is no program.
    pub token: Option<String>,
}

impl SignUpForm {
    /// An empty one.
    pub fn new(newsletter: &str) -> SignUpForm {
        SignUpForm { newsletter: newsletter.to_owned(), ..SignUpForm::default() }
    }

    /// Whether it was sent before, and something about it is to be asked.
    pub fn asks_again(&self) -> bool {
        self.error.is_some() || self.suggestion.is_some()
    }
}

#[derive(Deserialize)]
struct SignUp {
    #[serde(default)]
    email: String,
    /// A trap: people do not see it.
    #[serde(default)]
    website: String,
    form_token: Option<String>,
    /// The address that we have asked about already: typed once more, it is meant.
    asked: Option<String>,
    /// The button of our guess, which it names.
    meant: Option<String>,
}

impl SignUp {
    /// What was typed, or our guess where its button was pressed and nothing was typed since.
    fn typed(&self) -> &str {
        let guess = self.meant.as_ref().filter(|_| self.asked.as_ref() == Some(&self.email));
        guess.unwrap_or(&self.email)
    }
}

#[derive(Template)]
#[template(path = "subscribers/pages/sign_up.html")]
struct SignUpPage {
    page: Page,
    form: SignUpForm,
    name: String,
}

#[derive(Template)]
#[template(path = "subscribers/pages/done.html")]
struct DonePage {
    page: Page,
    newsletter: String,
}

/// A page that says one thing.
#[derive(Template)]
#[template(path = "subscribers/pages/said.html")]
struct SaidPage {
    page: Page,
    title: &'static str,
    lede: String,
    more: &'static str,
}

pub(super) fn said(page: Page, title: &'static str, lede: String, more: &'static str) -> Result<Response, Problem> {
    render(&SaidPage { page, title, lede, more })
}

#[derive(Template)]
#[template(path = "subscribers/pages/embed.html")]
struct FramePage {
    page: Page,
    name: String,
    headline: String,
    preview: String,
    form: SignUpForm,
}

#[derive(Deserialize)]
struct Framed {
    newsletter: Option<String>,
}

/// The sign-up form in a frame on the newsroom's own site; without a name, for the first newsletter.
async fn frame(State(app): State<Shared>, page: Page, Query(framed): Query<Framed>) -> Result<Response, Problem> {
    let newsroom = app.newsroom();
    let newsletter = match &framed.newsletter {
        Some(slug) => newsroom.newsletter(slug),
        None => newsroom.newsletters.first(),
    };
    let newsletter = newsletter.ok_or(Problem::NotFound)?;
    let shown = render(&FramePage {
        page: page.speaking(newsletter.language),
        name: newsletter.name.clone(),
        headline: newsletter.headline.clone().unwrap_or_default(),
        preview: format!("/newsletters/{}/preview", newsletter.slug),
        form: SignUpForm::new(&newsletter.slug),
    })?;
    Ok(([(header::CONTENT_SECURITY_POLICY, FRAMEABLE)], shown).into_response())
}

async fn subscribe(
    State(app): State<Shared>,
    Path(slug): Path<String>,
    page: Page,
    peer: Peer,
    headers: HeaderMap,
    Form(fields): Form<SignUp>,
) -> Result<Response, Problem> {
    let newsroom = app.newsroom();
    let newsletter = newsroom.newsletter(&slug).ok_or(Problem::NotFound)?;
    let page = page.speaking(newsletter.language);
    let typed = fields.typed();
    let Some(address) = readable(typed) else {
        let error = page.say("subscribers-wrong-address");
        return ask_again(
            page,
            newsletter,
            &headers,
            SignUpForm { error: Some(error), ..typed_in(newsletter, &fields) },
        );
    };
    let suggestion = slip::meant(&address).filter(|_| fields.asked.as_deref() != Some(typed) && !wants_json(&headers));
    if suggestion.is_some() {
        return ask_again(page, newsletter, &headers, SignUpForm { suggestion, ..typed_in(newsletter, &fields) });
    }
    if let Some(network) = peer.network() {
        app.limits.check(&SIGN_UPS, &network)?;
    }
    let answer_time = web::answer_time();
    let is_program = !fields.website.is_empty() || FormAge::of(&app, fields.form_token.as_deref()).is_inhuman();
    metrics::counter!("friday_sign_ups_total", "step" => if is_program { "ignored" } else { "asked" }).increment(1);
    if !is_program {
        write_to(&app, &page, newsletter, &address).await?;
    }
    answer_time.await;
    if wants_json(&headers) {
        let body =
            serde_json::json!({ "status": "accepted", "next": "Open the mail we have sent and press its button." });
        return Ok((StatusCode::ACCEPTED, Json(body)).into_response());
    }
    let mut done = render(&DonePage { newsletter: newsletter.name.clone(), page })?;
    *done.status_mut() = StatusCode::ACCEPTED;
    Ok(done)
}

/// The validator crate's rule for forms, and our stricter one.
pub(super) fn readable(typed: &str) -> Option<Address> {
    let address = Address::parse(typed).ok()?;
    // Its rule is for ASCII local parts; ours knows which others there are.
    (address.as_str().validate_email() || !address.local().is_ascii()).then_some(address)
}

/// The form with what was typed in it.
fn typed_in(newsletter: &Newsletter, fields: &SignUp) -> SignUpForm {
    let email = fields.typed().chars().take(crate::address::MAX_LENGTH).collect();
    SignUpForm { email, token: fields.form_token.clone(), ..SignUpForm::new(&newsletter.slug) }
}

/// The form once more, with what is wrong or with our guess; nothing that was typed is lost.
fn ask_again(page: Page, newsletter: &Newsletter, headers: &HeaderMap, form: SignUpForm) -> Result<Response, Problem> {
    if let (true, Some(error)) = (wants_json(headers), &form.error) {
        return Err(Problem::Bad(error.clone()));
    }
    let mut answer = render(&SignUpPage { name: newsletter.name.clone(), page, form })?;
    *answer.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    Ok(answer)
}

/// Puts the mail that fits into the outbox, at most one an address, newsletter and day. The same work whatever we know.
async fn write_to(app: &Shared, page: &Page, newsletter: &Newsletter, address: &Address) -> Result<(), Problem> {
    let now = app.clock.now();
    let index = app.keys.index(Drawer::Subscribers, address);
    let standing = store::standing(&app.db, &index, &newsletter.slug, now).await?;
    let reader = store::find_by_address(&app.db, &app.keys, address).await?;
    let request = Request {
        address: address.as_str().to_owned(),
        newsletter: newsletter.slug.clone(),
        language: page.words.language(),
    };
    let token = app.keys.link(CONFIRM, Some(now + CONFIRM_LIFE), &request);
    let link = match (standing, reader) {
        (Standing::Reading | Standing::Paused, Some(reader)) => {
            preferences_link(&app.keys, &app.config.base_url, reader.id, 0)
        }
        _ => app.config.link(&format!("/confirm/{token}")),
    };
    let mut message = mail::answer(page.words, address, newsletter, standing, &link)?;
    message.from = Some(app.newsroom().discreet_sender(Some(newsletter), app.config.host()));
    let day = now.millis().div_euclid(DAY.as_millis() as i64);
    let mark = app.keys.mark("sign-up", &[&index[..], newsletter.slug.as_bytes(), &day.to_be_bytes()].concat());
    let mut tx = app.db.begin().await?;
    outbox::put(&mut tx, &app.keys, now, outbox::Note { kind: "sign-up", once: Some((mark, now + DAY)), message })
        .await?;
    tx.commit().await?;
    app.wake(outbox::TASK);
    Ok(())
}

fn read_request(app: &Shared, token: &str) -> Result<(Request, Address), Problem> {
    let request: Request = app.keys.read_link(CONFIRM, token, app.clock.now()).map_err(|_| Problem::Expired)?;
    let address = Address::parse(&request.address).map_err(|_| Problem::Expired)?;
    Ok((request, address))
}

#[derive(Template)]
#[template(path = "subscribers/pages/confirm.html")]
struct ConfirmPage {
    page: Page,
    newsletter: String,
}

async fn ask_to_confirm(State(app): State<Shared>, Path(token): Path<String>, page: Page) -> Result<Response, Problem> {
    let (request, _) = read_request(&app, &token)?;
    let newsroom = app.newsroom();
    let newsletter = newsroom.newsletter(&request.newsletter).ok_or(Problem::Expired)?;
    render(&ConfirmPage { page: page.speaking(request.language), newsletter: newsletter.name.clone() })
}

#[derive(Deserialize)]
struct Confirmation {
    edition: Option<Edition>,
}

async fn confirm(
    State(app): State<Shared>,
    Path(token): Path<String>,
    page: Page,
    Form(chosen): Form<Confirmation>,
) -> Result<Response, Problem> {
    let (request, address) = read_request(&app, &token)?;
    let newsroom = app.newsroom();
    let newsletter = newsroom.newsletter(&request.newsletter).ok_or(Problem::Expired)?;
    let page = page.speaking(request.language);
    let consent = consent(&page, newsletter);
    let who = Confirmed {
        address: &address,
        newsletter: &newsletter.slug,
        edition: chosen.edition,
        language: (request.language != newsletter.language).then_some(request.language),
        consent: &consent,
    };
    let mut tx = app.db.begin().await?;
    store::subscribe(&mut tx, &app.keys, app.clock.now(), &who).await?;
    tx.commit().await?;
    metrics::counter!("friday_sign_ups_total", "step" => "confirmed").increment(1);
    let lede = page.words.say1("subscribers-welcome-lede", "name", &newsletter.name);
    said(page, "subscribers-welcome-title", lede, "")
}

/// The words beside the button that was pressed, kept as proof.
pub(super) fn consent(page: &Page, newsletter: &Newsletter) -> String {
    let policy = page.newsroom.privacy_policy.clone().unwrap_or_else(|| page.absolute("/privacy"));
    let words = [("policy", policy.into()), ("name", newsletter.name.clone().into())];
    page.words.say_with("subscribers-consent", &words)
}

#[derive(Template)]
#[template(path = "subscribers/pages/unsubscribe.html")]
struct UnsubscribePage {
    page: Page,
    newsletter: String,
    preferences: String,
}

impl UnsubscribePage {
    fn weeks(&self) -> Vec<i64> {
        PAUSES.to_vec()
    }
}

fn read_leaving(app: &Shared, token: &str) -> Result<(i64, String, i64), Problem> {
    read_unsubscribe(&app.keys, token, app.clock.now()).map_err(|_| Problem::Expired)
}

async fn ask_to_leave(State(app): State<Shared>, Path(token): Path<String>, page: Page) -> Result<Response, Problem> {
    let (reader, slug, issue) = read_leaving(&app, &token)?;
    let newsroom = app.newsroom();
    let newsletter = newsroom.newsletter(&slug);
    let page = newsletter.map_or(page.clone(), |n| page.speaking(n.language));
    let preferences = preferences_link(&app.keys, "", reader, issue);
    let newsletter = newsletter.map_or(slug, |n| n.name.clone());
    render(&UnsubscribePage { page, newsletter, preferences })
}

/// RFC 8058: no cookie, no form token, no redirect; whatever the body says, in whatever form; a repeat is answered alike.
async fn leave(State(app): State<Shared>, Path(token): Path<String>, page: Page) -> Result<Response, Problem> {
    let (reader, slug, _) = read_leaving(&app, &token)?;
    let mut tx = app.db.begin().await?;
    store::leave(&mut tx, reader, &slug, app.clock.now()).await?;
    tx.commit().await?;
    let page = app.newsroom().newsletter(&slug).map_or(page.clone(), |n| page.speaking(n.language));
    let lede = page.say("subscribers-left-lede");
    said(page, "subscribers-left-title", lede, "")
}

async fn find_preferences(page: Page) -> Result<Response, Problem> {
    let lede = page.say("subscribers-find-lede");
    said(page, "subscribers-find-title", lede, "")
}

async fn safety(page: Page) -> Result<Response, Problem> {
    let lede = page.say("subscribers-safety-lede");
    said(page, "subscribers-safety-title", lede, "subscribers-safety-more")
}

async fn privacy(page: Page) -> Result<Response, Problem> {
    let lede = page.say("subscribers-privacy-lede");
    said(page, "subscribers-privacy-title", lede, "subscribers-privacy-more")
}
