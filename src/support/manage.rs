//! The giver's own page: asked for by address, reached by a link in a mail, and there to see, change the card, end, or be
//! forgotten.
//!
//! The link carries the donors' index of the address and nothing else. Whatever happens to a gift happens at Stripe
//! first; our row follows Stripe's answer, by the same path as an event.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use data_encoding::BASE64;
use serde::Deserialize;

use crate::address::Address;
use crate::app::{App, Shared};
use crate::db;
use crate::keys::Drawer;
use crate::mail::outbox::{self, Note};
use crate::support::mail::{day, house};
use crate::support::remind::{MAILS, OnePage, answer_sent, day_of, expired};
use crate::support::store::figures::{self, Entry};
use crate::support::store::{self, GiftRow, reminders};
use crate::support::stripe::Stripe;
use crate::support::{Frequency, GiftState, LINK_LIFE, LineKind, MANAGE, apply, calls};
use crate::web::{self, Form, Page, Peer, Problem, Rule, render, wants_json};

/// What is done at Stripe by one giver's page.
const ACTS: Rule = Rule { name: "support.manage", burst: 20, per: std::time::Duration::from_secs(600) };

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/support/manage", get(show_form).post(send_link))
        .route("/support/manage/{token}", get(show))
        .route("/support/manage/{token}/end", post(end))
        .route("/support/manage/{token}/portal", post(portal))
        .route("/support/manage/{token}/forget", post(forget))
}

#[derive(Template)]
#[template(path = "support/pages/manage_link.html")]
struct LinkPage {
    page: Page,
    email: String,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "support/pages/manage.html")]
struct ManagePage {
    page: Page,
    token: String,
    gifts: Vec<GiftView>,
    past: Vec<PastView>,
    /// The words of the last button.
    forget: String,
    /// What was done just now.
    done: Option<String>,
    /// What could not be done.
    trouble: Option<String>,
}

struct GiftView {
    id: String,
    ended: bool,
    heading: String,
    each: String,
    state: String,
    tone: &'static str,
    date: Option<(String, String)>,
    end: String,
    card: bool,
}

struct PastView {
    date: String,
    machine_date: String,
    what: String,
    amount: String,
}

async fn show_form(page: Page) -> Result<Response, Problem> {
    render(&LinkPage { page, email: String::new(), error: None })
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    email: String,
}

async fn send_link(
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
    let Ok(to) = Address::parse(&wanted.email) else {
        let error = page.say("support-email-bad");
        if json {
            return Err(Problem::Bad(error));
        }
        let shown = render(&LinkPage { page, email: wanted.email, error: Some(error) })?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, shown).into_response());
    };
    let answer_time = web::answer_time();
    let now = app.clock.now();
    let donor = app.keys.index(Drawer::Donors, &to);
    let token = app.keys.link(MANAGE, Some(now + LINK_LIFE), &BASE64.encode(&donor));
    let link = app.config.link(&format!("/support/manage/{token}"));
    let message = house(app.newsroom(), &app.config.base_url, page.words.language()).manage(to, link);
    let mark = app.keys.mark("support.manage.day", &[donor.clone(), day_of(now).into_bytes()].concat());
    let known =
        !store::gifts_of(&app.db, &donor).await?.is_empty() || !figures::given_by(&app.db, &donor).await?.is_empty();
    // Known or not, a mail is written and something is committed: the clock tells nothing either.
    let mut tx = app.db.begin().await?;
    let once = Some((mark, now + crate::clock::DAY));
    outbox::put(&mut tx, &app.keys, now, Note { kind: "manage-link", once, message }).await?;
    if known {
        tx.commit().await?;
        app.wake(outbox::TASK);
    } else {
        drop(tx);
        store::begin_read(&app.db, "nobody").await?;
    }
    answer_time.await;
    let lede = page.say("support-sent-manage");
    answer_sent(page, lede, json)
}

fn donor(app: &App, token: &str) -> Result<Vec<u8>, Problem> {
    let donor: String = app.keys.read_link(MANAGE, token, app.clock.now()).map_err(expired)?;
    BASE64.decode(donor.as_bytes()).map_err(|_| Problem::Expired)
}

async fn show(State(app): State<Shared>, page: Page, Path(token): Path<String>) -> Result<Response, Problem> {
    let donor = donor(&app, &token)?;
    show_gifts(&app, page, token, &donor, None, None).await
}

async fn show_gifts(
    app: &App,
    page: Page,
    token: String,
    donor: &[u8],
    done: Option<String>,
    trouble: Option<String>,
) -> Result<Response, Problem> {
    let gifts = store::gifts_of(&app.db, donor).await?;
    let past = figures::given_by(&app.db, donor).await?;
    let status = if trouble.is_some() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let open = app.stripe.is_some();
    let shown = render(&ManagePage {
        forget: match gifts.iter().any(|gift| gift.state != GiftState::Ended) {
            true => page.say("support-manage-forget"),
            false => page.say("support-manage-forget-only"),
        },
        gifts: gifts.iter().map(|gift| view(&page, gift, open)).collect(),
        past: past.iter().map(|entry| past_view(&page, entry)).collect(),
        token,
        done,
        trouble,
        page,
    })?;
    Ok((status, shown).into_response())
}

fn view(page: &Page, gift: &GiftRow, open: bool) -> GiftView {
    let words = &page.words;
    let frequency = gift.frequency;
    let amount = gift.money().map(|money| money.display(words.language())).unwrap_or_default();
    let each = [("amount", amount.into()), ("date", day(words, gift.started_at).into())];
    let dated = |key: &str, at: Option<crate::clock::Moment>| at.map(|at| (words.say(key), day(words, at)));
    let date = match gift.state {
        GiftState::Ended => dated("support-manage-ended", gift.ended_at),
        _ => dated("support-manage-ends", gift.ends_at).or_else(|| dated("support-manage-next", gift.renews_at)),
    };
    GiftView {
        id: gift.subscription_id.clone(),
        ended: gift.state == GiftState::Ended,
        heading: words.say(if gift.state == GiftState::Ended { "support-manage-gave" } else { "support-manage-gift" }),
        each: words.say_with(&format!("support-manage-each-{frequency}"), &each),
        state: words.say(&format!("support-state-{}", gift.state.as_str())),
        tone: match gift.state {
            GiftState::Active => "is-good",
            GiftState::Failing => "is-bad",
            GiftState::Pending | GiftState::Paused => "is-warn",
            GiftState::Ended => "",
        },
        date,
        end: words.say(&format!("support-manage-end-{frequency}")),
        card: open && gift.customer_id.is_some(),
    }
}

fn past_view(page: &Page, entry: &Entry) -> PastView {
    let words = &page.words;
    let what = match (entry.kind, entry.frequency) {
        (LineKind::Payment, frequency) => format!("support-{}", frequency.unwrap_or(Frequency::Once)),
        (LineKind::Refund, _) => "support-line-refund".to_owned(),
        (LineKind::Dispute | LineKind::Fee, _) => "support-line-dispute".to_owned(),
        (LineKind::Reversal, _) => "support-line-reversal".to_owned(),
    };
    PastView {
        date: day(words, entry.at),
        machine_date: entry.at.to_jiff().strftime("%Y-%m-%d").to_string(),
        what: words.say(&what),
        amount: entry.money().map(|money| money.display(words.language())).unwrap_or_default(),
    }
}

#[derive(Deserialize)]
struct Which {
    #[serde(default)]
    gift: String,
}

/// The gift of that id, if it is this giver's.
async fn own(app: &App, donor: &[u8], id: &str) -> Result<GiftRow, Problem> {
    let gifts = store::gifts_of(&app.db, donor).await?;
    gifts.into_iter().find(|gift| gift.subscription_id == id).ok_or(Problem::NotFound)
}

fn act<'a>(app: &'a App, token: &str) -> Result<(Vec<u8>, &'a Stripe), Problem> {
    let donor = donor(app, token)?;
    app.limits.check(&ACTS, &data_encoding::HEXLOWER.encode(&donor))?;
    Ok((donor, app.stripe.as_ref().ok_or(Problem::Closed)?))
}

async fn end(
    State(app): State<Shared>,
    page: Page,
    Path(token): Path<String>,
    Form(which): Form<Which>,
) -> Result<Response, Problem> {
    let (donor, stripe) = act(&app, &token)?;
    let gift = own(&app, &donor, &which.gift).await?;
    match end_at_stripe(&app, stripe, &gift).await {
        Ok(()) => {
            let done = Some(page.say("support-manage-ended-now"));
            show_gifts(&app, page, token, &donor, done, None).await
        }
        Err(error) => {
            tracing::error!(%error, gift = gift.id, "a gift could not be ended");
            let trouble = Some(page.say("support-manage-down"));
            show_gifts(&app, page, token, &donor, None, trouble).await
        }
    }
}

/// Ends a gift at Stripe and takes Stripe's word for it.
async fn end_at_stripe(app: &App, stripe: &Stripe, gift: &GiftRow) -> Result<(), apply::Trouble> {
    if gift.state == GiftState::Ended {
        return Ok(());
    }
    let read = store::begin_read(&app.db, &gift.subscription_id).await?;
    let subscription = calls::end(stripe, &gift.subscription_id).await?;
    apply::keep_answer(app, &subscription, read).await
}

async fn portal(
    State(app): State<Shared>,
    page: Page,
    Path(token): Path<String>,
    Form(which): Form<Which>,
) -> Result<Response, Problem> {
    let (donor, stripe) = act(&app, &token)?;
    let gift = own(&app, &donor, &which.gift).await?;
    let customer = gift.customer_id.ok_or(Problem::NotFound)?;
    let back = app.config.link(&format!("/support/manage/{token}"));
    let url = match calls::portal(stripe, &customer, back, db::new_id()).await {
        Ok(portal) => portal.url,
        Err(error) => {
            tracing::error!(%error, "Stripe's portal could not be opened");
            None
        }
    };
    match url {
        Some(url) => Ok(Redirect::to(&url).into_response()),
        None => {
            let trouble = Some(page.say("support-manage-down"));
            show_gifts(&app, page, token, &donor, None, trouble).await
        }
    }
}

/// Ends what still runs, at Stripe first, and then cuts every tie to the address.
async fn forget(State(app): State<Shared>, page: Page, Path(token): Path<String>) -> Result<Response, Problem> {
    let donor = donor(&app, &token)?;
    for gift in store::gifts_of(&app.db, &donor).await?.iter().filter(|gift| gift.state != GiftState::Ended) {
        let stripe = app.stripe.as_ref().ok_or(Problem::Closed)?;
        if let Err(error) = end_at_stripe(&app, stripe, gift).await {
            tracing::error!(%error, gift = gift.id, "a gift could not be ended, so its giver is not forgotten");
            let trouble = Some(page.say("support-manage-down"));
            return show_gifts(&app, page, token, &donor, None, trouble).await;
        }
    }
    let mut tx = app.db.begin().await?;
    reminders::drop_for(&mut tx, &donor).await?;
    if !store::untie(&mut tx, &donor).await? {
        drop(tx);
        let trouble = Some(page.say("support-manage-down"));
        return show_gifts(&app, page, token, &donor, None, trouble).await;
    }
    tx.commit().await?;
    let (title, lede) = (page.say("support-manage-forgotten-title"), page.say("support-manage-forgotten"));
    render(&OnePage { title, lede, more: None, button: None, link: None, page })
}
