//! What a giver changes on their own page: amount and rhythm, a pause, going on, and why they ended it.
//!
//! As everything there it is done at Stripe first, and our row follows Stripe's answer. Changes hold from the next payment
//! on: nothing is taken, given back or worked out by days in between. A pause is for monthly gifts, since it leaves out
//! the payments that fall into it, and an annual one would leave out a year.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use jiff::Span;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::app::{App, Shared};
use crate::clock::Moment;
use crate::db;
use crate::support::answers::Subscription;
use crate::support::apply::{Trouble, keep_answer};
use crate::support::ask::{Asked, Faults};
use crate::support::calls::{self, Feedback};
use crate::support::manage::{Said, Which, act, own, show_gifts};
use crate::support::store;
use crate::support::store::gifts::GiftRow;
use crate::support::stripe::StripeError;
use crate::support::{Frequency, GiftState};
use crate::web::{Form, Page, Problem};

/// How many months a pause may last.
pub const PAUSES: [i64; 3] = [1, 2, 3];
/// The reasons that are asked for after the end, in Stripe's words.
pub const REASONS: [&str; 5] = ["too_expensive", "unused", "switched_service", "low_quality", "other"];

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/support/manage/{token}/change", post(change))
        .route("/support/manage/{token}/pause", post(pause))
        .route("/support/manage/{token}/resume", post(resume))
        .route("/support/manage/{token}/why", post(why))
}

#[derive(Deserialize)]
struct Changed {
    #[serde(default)]
    gift: String,
    #[serde(flatten)]
    asked: Asked,
}

async fn change(
    State(app): State<Shared>,
    page: Page,
    Path(token): Path<String>,
    Form(changed): Form<Changed>,
) -> Result<Response, Problem> {
    let (donor, stripe) = act(&app, &token)?;
    let gift = own(&app, &donor, &changed.gift).await?;
    let now = gift.choice().ok_or(Problem::NotFound)?;
    let page = page.speaking(gift.language);
    let currencies = &page.newsroom.support.currencies;
    let currency = currencies.iter().find(|currency| currency.currency() == now.money.currency);
    let (true, Some(currency)) = (can_change(&gift), currency) else { return Err(Problem::NotFound) };
    let currency = &currency.clone();
    let to = match changed.asked.new_choice(currency) {
        Ok(choice) if rhythms(&gift).contains(&choice.frequency) => choice,
        refused => {
            let faults = refused.err().unwrap_or(Faults { frequency: true, ..Faults::default() });
            let said = Said { wrong: Some((gift.subscription_id, changed.asked, faults)), ..Said::default() };
            return show_gifts(&app, page, token, &donor, said).await;
        }
    };
    if to == now {
        let said = Said { done: Some(page.say("support-manage-same")), ..Said::default() };
        return show_gifts(&app, page, token, &donor, said).await;
    }
    let id = gift.subscription_id.clone();
    let done = at_stripe(&app, &gift, async {
        let at_stripe = calls::subscription(stripe, &id).await?;
        calls::change(stripe, &at_stripe, to, db::new_id()).await
    })
    .await;
    answer(&app, page, token, &donor, done, "support-manage-changed").await
}

#[derive(Deserialize)]
struct Paused {
    #[serde(default)]
    gift: String,
    #[serde(default)]
    months: String,
}

async fn pause(
    State(app): State<Shared>,
    page: Page,
    Path(token): Path<String>,
    Form(paused): Form<Paused>,
) -> Result<Response, Problem> {
    let (donor, stripe) = act(&app, &token)?;
    let gift = own(&app, &donor, &paused.gift).await?;
    let page = page.speaking(gift.language);
    let months = paused.months.parse().ok().filter(|months| PAUSES.contains(months));
    let Some(months) = months.filter(|_| can_pause(&gift)) else {
        return Err(Problem::Bad(page.say("support-manage-pause-bad")));
    };
    let until = in_months(app.clock.now(), months);
    let id = gift.subscription_id.clone();
    let done = at_stripe(&app, &gift, async { calls::pause(stripe, &id, until, db::new_id()).await }).await;
    answer(&app, page, token, &donor, done, "support-manage-paused").await
}

/// Whether a gift can be paused now, or paused for longer.
pub fn can_pause(gift: &GiftRow) -> bool {
    let runs = matches!(gift.state, GiftState::Active | GiftState::Paused);
    runs && gift.frequency == Frequency::Monthly && gift.ends_at.is_none()
}

/// Whether a gift can be changed now. While a bill is unpaid it cannot: a new rhythm would make it look paid.
pub fn can_change(gift: &GiftRow) -> bool {
    matches!(gift.state, GiftState::Active | GiftState::Paused) && gift.ends_at.is_none()
}

/// The rhythms to which a gift can change. While it is paused only its own: an annual bill that falls into the pause would
/// be left out, and with it the year.
pub fn rhythms(gift: &GiftRow) -> &'static [Frequency] {
    match gift.state {
        GiftState::Paused if gift.frequency == Frequency::Monthly => &[Frequency::Monthly],
        GiftState::Paused => &[Frequency::Annual],
        _ => &[Frequency::Monthly, Frequency::Annual],
    }
}

fn in_months(now: Moment, months: i64) -> Moment {
    let today = now.to_jiff().to_zoned_datetime(TimeZone::UTC);
    // OK because three months from a present day is a day.
    today.checked_add(Span::new().months(months)).expect("a day").timestamp().into()
}

async fn resume(
    State(app): State<Shared>,
    page: Page,
    Path(token): Path<String>,
    Form(which): Form<Which>,
) -> Result<Response, Problem> {
    let (donor, stripe) = act(&app, &token)?;
    let gift = own(&app, &donor, &which.gift).await?;
    let (id, page) = (gift.subscription_id.clone(), page.speaking(gift.language));
    let done = match gift.state {
        GiftState::Paused => at_stripe(&app, &gift, async { calls::resume(stripe, &id, db::new_id()).await }).await,
        _ => Ok(()),
    };
    answer(&app, page, token, &donor, done, "support-manage-resumed").await
}

#[derive(Deserialize)]
struct Why {
    #[serde(default)]
    gift: String,
    #[serde(default)]
    why: String,
}

/// Hands the reason on to Stripe, where staff read it beside the gift. It is not kept here.
async fn why(
    State(app): State<Shared>,
    page: Page,
    Path(token): Path<String>,
    Form(said): Form<Why>,
) -> Result<Response, Problem> {
    let (donor, stripe) = act(&app, &token)?;
    let gift = own(&app, &donor, &said.gift).await?;
    let page = page.speaking(gift.language);
    let is_ours = REASONS.contains(&said.why.as_str()) && gift.state == GiftState::Ended;
    let Some(why) = is_ours.then(|| said.why.parse::<Feedback>().ok()).flatten() else {
        return Err(Problem::Bad(page.say("support-manage-why-bad")));
    };
    if let Err(error) = calls::say_why(stripe, &gift.subscription_id, why).await {
        // Nobody is asked a second time for what they need not have said at all.
        tracing::warn!(%error, gift = gift.id, "why a gift was ended is not known at Stripe");
    }
    answer(&app, page, token, &donor, Ok(()), "support-manage-why-thanks").await
}

/// Does something to a gift at Stripe and takes Stripe's word for it. The read's number is taken before Stripe is asked.
pub(super) async fn at_stripe(
    app: &App,
    gift: &GiftRow,
    deed: impl Future<Output = Result<Subscription, StripeError>>,
) -> Result<(), Trouble> {
    let number = store::begin_read(&app.db, &gift.subscription_id).await?;
    let subscription = deed.await?;
    keep_answer(app, &subscription, number).await
}

/// The giver's page again, with what was done or what was not.
pub(super) async fn answer(
    app: &App,
    page: Page,
    token: String,
    donor: &[u8],
    done: Result<(), Trouble>,
    key: &str,
) -> Result<Response, Problem> {
    let said = match done {
        Ok(()) => Said { done: Some(page.say(key)), ..Said::default() },
        Err(error) => {
            tracing::error!(%error, "a gift could not be changed");
            let status = StatusCode::SERVICE_UNAVAILABLE;
            Said { trouble: Some(page.say("support-manage-down")), status, ..Said::default() }
        }
    };
    show_gifts(app, page, token, donor, said).await
}
