//! What readers reach: the ask, Checkout, the thanks.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use std::time::Duration;

use crate::app::{App, Shared};
use crate::clock::Moment;
use crate::db;
use crate::support::answers::{Ref, Session};
use crate::support::ask::{self, Ask, Asked, Faults};
use crate::support::calls::{self, Checkout};
use crate::support::mail::day;
use crate::support::store::{self, Attempt};
use crate::support::stripe::{Stripe, StripeError};
use crate::support::{
    AttemptState, Choice, Frequency, apply, challenge, change, covering, held, manage, remind, webhook,
};
use crate::web::{FRAMEABLE, Form, FormAge, Page, Peer, Problem, Rule, render, wants_json};

/// Presses of the button from one network: enough for a family, too few to try cards.
const CHECKOUTS: Rule = Rule { name: "support.checkout", burst: 10, per: Duration::from_secs(600) };
/// Presses from one address.
const FROM_ADDRESS: Rule = Rule { name: "support.checkout.address", burst: 6, per: Duration::from_secs(600) };
/// Presses in all: a newsroom's best hour, and an attack's first minute.
const ALL_CHECKOUTS: Rule = Rule { name: "support.checkout.all", burst: 600, per: Duration::from_secs(600) };
/// Looks at the page of thanks, each of which asks Stripe.
const THANKS: Rule = Rule { name: "support.thanks", burst: 60, per: Duration::from_secs(600) };

/// The routes of this room.
pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/support", get(show))
        .route("/support/checkout", post(check_out))
        .route("/support/safety", get(safety))
        .route("/support/thanks", get(thanks))
        .route("/embed/support", get(frame))
        .merge(webhook::routes())
        .merge(remind::routes())
        .merge(manage::routes())
        .merge(change::routes())
        .merge(held::routes())
        .merge(challenge::routes())
        .merge(crate::support::desk::routes())
}

#[derive(Template)]
#[template(path = "support/pages/support.html")]
struct SupportPage {
    page: Page,
    title: String,
    lede: String,
    appeal: Option<String>,
    ask: Ask,
    /// A sentence above the form where Stripe did not answer.
    trouble: Option<String>,
}

#[derive(Template)]
#[template(path = "support/pages/frame.html")]
struct FramePage {
    page: Page,
    title: String,
    lede: String,
    ask: Ask,
}

#[derive(Template)]
#[template(path = "support/pages/closed.html")]
struct ClosedPage {
    page: Page,
    title: String,
}

#[derive(Template)]
#[template(path = "support/pages/safety.html")]
struct SafetyPage {
    page: Page,
    title: String,
}

/// The page's title: "Support The Example Times".
pub fn title(page: &Page) -> String {
    let newsroom = &page.newsroom;
    let arguments = [("word", newsroom.support.word.as_str().into()), ("name", newsroom.name.as_str().into())];
    page.words.say_with("support-title", &arguments)
}

fn lede(page: &Page) -> String {
    let first = page.newsroom.support.currencies.first();
    let least = first.map(|currency| Frequency::Monthly.minimum(currency).display(page.words.language()));
    page.words.say1("support-lede", "amount", &least.unwrap_or_default())
}

async fn show(State(app): State<Shared>, page: Page, Query(asked): Query<Asked>) -> Result<Response, Problem> {
    if app.stripe.is_none() {
        return closed(page, StatusCode::OK);
    }
    // An answer in an address would be in logs and histories, and would answer for whoever the link is sent to.
    let asked = asked.of_a_link();
    let task = challenge::is_on(&app).await?;
    show_ask(page, &asked, Faults::default(), None, task, StatusCode::OK)
}

fn show_ask(
    page: Page,
    asked: &Asked,
    faults: Faults,
    trouble: Option<String>,
    task: bool,
    status: StatusCode,
) -> Result<Response, Problem> {
    let Some(ask) = Ask::new(&page.newsroom, page.words, asked, faults) else {
        return closed(page, StatusCode::OK);
    };
    let (ask, page) = (Ask { task, ..ask }, page.shown_at("/support"));
    let appeal = page.newsroom.support.appeal.as_deref().map(markdown);
    let shown = render(&SupportPage { title: title(&page), lede: lede(&page), appeal, ask, trouble, page })?;
    Ok((status, shown).into_response())
}

/// The newsroom's own Markdown, without any HTML it might hold.
fn markdown(text: &str) -> String {
    use pulldown_cmark::{Event, Parser, html::push_html};
    let mut html = String::new();
    push_html(&mut html, Parser::new(text).filter(|part| !matches!(part, Event::Html(_) | Event::InlineHtml(_))));
    html
}

fn closed(page: Page, status: StatusCode) -> Result<Response, Problem> {
    let shown = render(&ClosedPage { title: title(&page), page })?;
    Ok((status, shown).into_response())
}

/// The ask in a frame on the newsroom's own site.
async fn frame(State(app): State<Shared>, page: Page, Query(asked): Query<Asked>) -> Result<Response, Problem> {
    let asked = asked.of_a_link();
    let ask = Ask::new(&page.newsroom, page.words, &asked, Faults::default()).filter(|_| app.stripe.is_some());
    let task = challenge::is_on(&app).await?;
    let ask = ask.map(|ask| Ask { task, ..ask });
    let shown = match ask {
        Some(ask) => render(&FramePage { title: title(&page), lede: lede(&page), ask, page })?,
        None => render(&ClosedFrame { title: title(&page), page })?,
    };
    let stand_in = app.stripe.as_ref().filter(|stripe| !stripe.is_real()).map(|stripe| stripe.base().to_owned());
    let policy =
        FRAMEABLE.replace("https://checkout.stripe.com", &stand_in.unwrap_or("https://checkout.stripe.com".to_owned()));
    Ok(([("content-security-policy", policy)], shown).into_response())
}

#[derive(Template)]
#[template(path = "support/pages/frame_closed.html")]
struct ClosedFrame {
    page: Page,
    title: String,
}

async fn safety(page: Page) -> Result<Response, Problem> {
    let title = match page.newsroom.unsafe_countries.is_empty() {
        true => page.say("support-safety-title-bare"),
        false => {
            let from = ask::countries(&page.newsroom, page.words, "support-from");
            page.words.say1("support-safety-title", "from", &from)
        }
    };
    render(&SafetyPage { title, page })
}

async fn check_out(
    State(app): State<Shared>,
    page: Page,
    peer: Peer,
    headers: HeaderMap,
    Form(asked): Form<Asked>,
) -> Result<Response, Problem> {
    let json = wants_json(&headers);
    let Some(stripe) = &app.stripe else {
        return if json { Err(Problem::Closed) } else { closed(page, StatusCode::SERVICE_UNAVAILABLE) };
    };
    // Before anything else, and nothing of it is kept: not in a row, not in a log, not in a limit.
    if asked.is_at_risk() {
        return Ok(Redirect::to(&page.href("/support/safety")).into_response());
    }
    if let Some(network) = peer.network() {
        app.limits.check(&CHECKOUTS, &network)?;
    }
    if let Some(address) = peer.address() {
        app.limits.check(&FROM_ADDRESS, &address)?;
    }
    app.limits.check(&ALL_CHECKOUTS, "")?;
    let task = challenge::is_on(&app).await?;
    let choice = match asked.choice(&page.newsroom, page.words.language()) {
        Ok(choice) => choice,
        Err(faults) if json => return Err(Problem::Bad(ask::sentences(&page.newsroom, page.words, &asked, faults))),
        Err(faults) => return show_ask(page, &asked, faults, None, task, StatusCode::UNPROCESSABLE_ENTITY),
    };
    if task && !challenge::may_pass(&app, asked.altcha.as_deref(), peer.network().as_deref()) {
        if json {
            return Err(Problem::TooMany);
        }
        let trouble = Some(page.say("support-task-again"));
        return show_ask(page, &asked, Faults::default(), trouble, task, StatusCode::TOO_MANY_REQUESTS);
    }
    match lead_to_checkout(&app, stripe, &page, &asked, choice).await {
        Ok(url) if json => Ok(Json(serde_json::json!({ "url": url })).into_response()),
        Ok(url) => Ok(Redirect::to(&url).into_response()),
        Err(Lost::Db(error)) => Err(error.into()),
        Err(Lost::Stripe(error)) => {
            tracing::error!(%error, "Checkout could not be opened");
            if json {
                return Err(Problem::Closed);
            }
            let trouble = Some(page.say("support-stripe-down"));
            show_ask(page, &asked, Faults::default(), trouble, task, StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}

/// Why a press of the button led nowhere.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Db(#[from] db::Error),
    #[error(transparent)]
    Stripe(#[from] StripeError),
}

/// The page to go to. The same press, sent twice or at once, comes to the same page; a press after the first has ended
/// begins anew.
async fn lead_to_checkout(
    app: &App,
    stripe: &Stripe,
    page: &Page,
    asked: &Asked,
    choice: Choice,
) -> Result<String, Lost> {
    let asked_for = choice;
    let choice = match asked.fee(&page.newsroom, page.words.language()) {
        Some(fee) => Choice { money: covering(choice.money, fee), ..choice },
        None => choice,
    };
    let back = back(app, page, asked, asked_for);
    let mut press = press(app, asked, choice, &back);
    loop {
        let now = app.clock.now();
        let attempt = store::press(&app.db, db::new_id(), press.as_deref(), choice, page.words.language(), now).await?;
        let session = match (&attempt.session_id, attempt.state) {
            (Some(session), AttemptState::Paid | AttemptState::Pending) => return Ok(thanks_link(page, session)),
            (_, state) if state.is_over() => None,
            (Some(session), _) => Some(calls::session(stripe, session).await?),
            (None, _) => Some(open(app, stripe, page, &attempt, choice, back.clone()).await?),
        };
        if let Some(session) = session {
            match (apply::state_of(&session), session.url) {
                (AttemptState::Open, Some(url)) => return Ok(url),
                (AttemptState::Paid | AttemptState::Pending, _) => return Ok(thanks_link(page, &session.id)),
                (state, _) => {
                    let mut tx = app.db.begin().await?;
                    // An open page without an address is of no use to anybody.
                    let state = if state == AttemptState::Open { AttemptState::Expired } else { state };
                    store::move_attempt(&mut tx, attempt.id, None, state, now).await?;
                    tx.commit().await?;
                }
            }
        }
        // Only a press has an attempt that may have ended before.
        press = press.map(|before| {
            app.keys.mark("support.press.again", &[before.as_slice(), &attempt.id.to_be_bytes()].concat()).to_vec()
        });
    }
}

/// Where whoever leaves Checkout comes back to: the ask, as it was, in the language that they read.
fn back(app: &App, page: &Page, asked: &Asked, choice: Choice) -> String {
    let Choice { frequency, money } = choice;
    let (amount, currency) = (money.plain(), money.currency.lower());
    let cover = if asked.cover_fee.is_some() { "&cover_fee=1" } else { "" };
    let path = format!("/support?frequency={frequency}&amount={amount}&currency={currency}{cover}");
    app.config.link(&page.href(&path))
}

/// What makes a press itself: the form's own token and what was chosen. A form without a token of ours is always new.
fn press(app: &App, asked: &Asked, choice: Choice, back: &str) -> Option<Vec<u8>> {
    let token = asked.form.as_deref()?;
    app.keys.read_link::<Moment>(FormAge::PURPOSE, token, app.clock.now()).ok()?;
    let Choice { frequency, money } = choice;
    let pressed = format!("{token}\n{frequency}\n{}\n{}\n{back}", money.minor, money.currency);
    Some(app.keys.mark("support.press", pressed.as_bytes()).to_vec())
}

/// Asks Stripe for the attempt's page and notes it. Refused, the attempt is over: its key would bring the refusal again.
async fn open(
    app: &App,
    stripe: &Stripe,
    page: &Page,
    attempt: &Attempt,
    choice: Choice,
    back: String,
) -> Result<Session, Lost> {
    let made = calls::check_out(
        stripe,
        &Checkout {
            attempt: attempt.id,
            choice,
            title: title(page),
            language: attempt.language,
            donation: page.newsroom.support.word == "donate",
            base_url: &app.config.base_url,
            back,
        },
    )
    .await;
    let (id, state) = match &made {
        Ok(session) => (Some(session.id.as_str()), AttemptState::Open),
        Err(StripeError::Refused { .. }) => (None, AttemptState::Refused),
        Err(_) => return Ok(made?),
    };
    let mut tx = app.db.begin().await?;
    store::move_attempt(&mut tx, attempt.id, id, state, app.clock.now()).await?;
    tx.commit().await?;
    Ok(made?)
}

fn thanks_link(page: &Page, session: &str) -> String {
    page.href(&format!("/support/thanks?session={session}"))
}

#[derive(Deserialize)]
struct Back {
    session: Option<String>,
}

#[derive(Template)]
#[template(path = "support/pages/thanks.html")]
struct ThanksPage {
    page: Page,
    title: String,
    lede: String,
    pending: bool,
    amount: String,
    often: String,
    recurring: bool,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "support/pages/unfinished.html")]
struct UnfinishedPage {
    page: Page,
    title: String,
    lede: String,
    /// Where to begin again.
    again: String,
}

/// Shows what Stripe says now, whether or not its event has come. Changes nothing.
async fn thanks(
    State(app): State<Shared>,
    page: Page,
    peer: Peer,
    Query(back): Query<Back>,
) -> Result<Response, Problem> {
    let stripe = app.stripe.as_ref().ok_or(Problem::NotFound)?;
    if let Some(network) = peer.network() {
        app.limits.check(&THANKS, &network)?;
    }
    let id = back.session.filter(|id| id.starts_with("cs_") && webhook::is_name(id)).ok_or(Problem::NotFound)?;
    let known = store::attempt_of(&app.db, &id).await?;
    let session = match calls::session(stripe, &id).await {
        Ok(session) => Some(session),
        // Whoever comes back from paying is thanked all the same, as far as we know.
        Err(error) => {
            tracing::warn!(%error, "the page of thanks was shown without Stripe");
            None
        }
    };
    // A page that ran out and was begun anew has another id, and the same attempt.
    let attempt = match (known, session.as_ref().and_then(Session::attempt)) {
        (Some(attempt), _) => attempt,
        (None, Some(attempt)) => store::attempt(&app.db, attempt).await?.ok_or(Problem::NotFound)?,
        (None, None) => return Err(Problem::NotFound),
    };
    let page = page.speaking(attempt.language);
    let choice = attempt.choice().ok_or(Problem::NotFound)?;
    let (state, next) = standing(stripe, attempt.state, session.as_ref()).await;
    let amount = choice.money.display(page.words.language());
    if matches!(state, AttemptState::Failed | AttemptState::Expired | AttemptState::Refused)
        || (state == AttemptState::Open && session.is_some())
    {
        let lede = page.say(if state == AttemptState::Failed { "support-failed" } else { "support-unfinished" });
        let presets = format!(
            "/support?frequency={}&amount={}&currency={}",
            choice.frequency,
            choice.money.plain(),
            choice.money.currency.lower()
        );
        let recovery = session.as_ref().and_then(Session::recovery).map(str::to_owned);
        let again = recovery.unwrap_or_else(|| page.href(&presets));
        return render(&UnfinishedPage { title: page.say("support-unfinished-title"), lede, again, page });
    }
    let pending = state != AttemptState::Paid;
    let key = match (pending, choice.frequency) {
        (true, _) => "support-thanks-pending",
        (false, Frequency::Once) => "support-thanks-once",
        (false, Frequency::Monthly) => "support-thanks-monthly",
        (false, Frequency::Annual) => "support-thanks-annual",
    };
    render(&ThanksPage {
        title: page.say("support-thanks"),
        lede: page.words.say1(key, "amount", &amount),
        pending,
        often: page.say(&format!("support-frequency-{}", choice.frequency)),
        recurring: choice.frequency != Frequency::Once,
        next: next.map(|at| day(&page.words, Moment::from_millis(at * 1_000))),
        amount,
        page,
    })
}

/// How a gift stands, and when its next payment is due: by its page at Checkout, or as far as we know without. Of a debit
/// for a recurring gift that came back only the subscription tells.
async fn standing(stripe: &Stripe, known: AttemptState, session: Option<&Session>) -> (AttemptState, Option<i64>) {
    let Some(session) = session else { return (known, None) };
    let state = apply::state_of(session);
    let Some(subscription) = session.subscription.as_ref().map(Ref::id) else { return (state, None) };
    match (state, calls::subscription(stripe, subscription).await.ok()) {
        (AttemptState::Pending, Some(gift)) if gift.is_unpaid() => (AttemptState::Failed, None),
        (AttemptState::Paid, Some(gift)) => (state, gift.renews_at()),
        _ => (state, None),
    }
}
