//! What is held about a giver: as a file to download, and one payment as a receipt to print.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::app::Shared;
use crate::clock::Moment;
use crate::money::Money;
use crate::support::LineKind;
use crate::support::mail::day;
use crate::support::manage::donor;
use crate::support::store::figures::{self, Entry};
use crate::support::store::gifts::{self, GiftRow};
use crate::support::store::{reminders, turns};
use crate::web::{Page, Problem, render};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/support/manage/{token}/held", post(download))
        .route("/support/manage/{token}/receipt/{payment}", get(receipt))
}

/// Everything that can be found by a giver's link, as JSON. It is all that there is: what is not found by it does not lead
/// to them.
async fn download(State(app): State<Shared>, Path(token): Path<String>) -> Result<Response, Problem> {
    let donor = donor(&app, &token)?;
    let mut held = Vec::new();
    for gift in gifts::of_donor(&app.db, &donor).await? {
        let turns = turns::of_gift(&app.db, gift.id).await?;
        let events = figures::events_of(&app.db, gift.id).await?;
        let told: Vec<Value> =
            events.iter().map(|event| json!({ "kind": event.kind, "at": time(event.created_at) })).collect();
        let mut of_gift = of_gift(&gift, &turns);
        of_gift["events_of_stripe"] = told.into();
        held.push(of_gift);
    }
    let payments: Vec<Value> = figures::given_by(&app.db, &donor).await?.iter().map(of_line).collect();
    let reminder = reminders::of(&app.db, &donor).await?;
    let held = json!({
        "gifts": held,
        "payments": payments,
        "reminder": reminder.map(|(month, next_at)| json!({ "month": month, "next_mail": time(next_at) })),
        "mark_of_address": data_encoding::HEXLOWER.encode(&donor),
        "with_stripe_alone": ["name", "address", "card"],
    });
    let file = serde_json::to_vec_pretty(&held).map_err(|_| Problem::Internal)?;
    let headers = [
        (header::CONTENT_TYPE, "application/json; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"held.json\""),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, file).into_response())
}

fn time(at: Moment) -> String {
    at.to_jiff().to_string()
}

fn of_gift(gift: &GiftRow, turns: &[turns::Entry]) -> Value {
    let money = gift.money();
    let turn = |turn: &turns::Entry| json!({ "what": turn.what.title(), "at": time(turn.at), "detail": turn.detail });
    json!({
        "stripe_subscription": gift.subscription_id, "stripe_customer": gift.customer_id,
        "frequency": gift.frequency, "amount": money.map(|money| money.plain()),
        "currency": money.map(|money| money.currency.to_string()), "state": gift.state,
        "language_of_mails": gift.language.as_str(), "started": time(gift.started_at),
        "next": gift.next_at().map(time), "paused_until": gift.paused_until.map(time),
        "card_good_until": gift.card_until, "ends": gift.ends_at.map(time), "ended": gift.ended_at.map(time),
        "ended_why": gift.ended_why, "history": turns.iter().map(turn).collect::<Vec<_>>(),
    })
}

fn of_line(entry: &Entry) -> Value {
    json!({
        "stripe": entry.object_id, "what": entry.kind, "frequency": entry.frequency, "at": time(entry.at),
        "amount": entry.money().map(|money| money.plain()),
        "currency": entry.money().map(|money| money.currency.to_string()),
    })
}

#[derive(Template)]
#[template(path = "support/pages/receipt.html")]
struct ReceiptPage {
    page: Page,
    amount: String,
    date: String,
    often: String,
    number: String,
    /// What was given back or taken back of it since.
    given_back: Option<String>,
    back: String,
}

async fn receipt(
    State(app): State<Shared>,
    page: Page,
    Path((token, payment)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let donor = donor(&app, &token)?;
    let given = figures::given_by(&app.db, &donor).await?;
    let paid = given.iter().find(|entry| entry.kind == LineKind::Payment && entry.object_id == payment);
    let (entry, money) = paid.and_then(|entry| Some((entry, entry.money()?))).ok_or(Problem::NotFound)?;
    let frequency = entry.frequency.ok_or(Problem::NotFound)?;
    let later =
        given.iter().filter(|other| other.kind != LineKind::Payment && other.payment_intent == entry.payment_intent);
    let returned: i64 = later.filter_map(Entry::money).map(|other| other.minor).sum();
    let given_back = Money::new(-returned, money.currency);
    render(&ReceiptPage {
        amount: money.display(page.words.language()),
        date: day(&page.words, entry.at),
        often: page.say(&format!("support-frequency-{frequency}")),
        number: entry.object_id.clone(),
        given_back: (returned != 0).then(|| given_back.display(page.words.language())),
        back: page.href(&format!("/support/manage/{token}")),
        page,
    })
}
