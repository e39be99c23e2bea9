//! Who gives, for staff: recurring gifts without a name or an address, and the whole history of each.
//!
//! What is not here is at Stripe, and a link leads there: Friday does not know it.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::app::Shared;
use crate::clock::Moment;
use crate::staff::{Desk, DeskPage, Role};
use crate::support::GiftState;
use crate::support::desk::{short, time, what};
use crate::support::store::figures;
use crate::support::store::gifts::{self, GiftRow};
use crate::support::store::turns;
use crate::web::{Problem, render};
use crate::words::Language;

/// Gifts on one page.
const PAGE: i64 = 50;

#[derive(Template)]
#[template(path = "support/pages/supporters.html")]
struct Supporters {
    desk: DeskPage,
    gifts: Vec<GiftView>,
    from: i64,
    to: i64,
    all: i64,
    newer: Option<i64>,
    older: Option<i64>,
}

struct GiftView {
    id: i64,
    short: String,
    subscription: String,
    customer: Option<String>,
    since: String,
    next: String,
    state: &'static str,
    tone: &'static str,
    amount: String,
    often: &'static str,
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    page: Option<i64>,
}

pub(super) async fn list(
    State(app): State<Shared>,
    desk: Desk,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Problem> {
    desk.require(Role::Finance)?;
    let zone = app.newsroom().zone();
    let all = gifts::count(&app.db).await?;
    let page = wanted.page.unwrap_or(1).clamp(1, (all / PAGE) + 1);
    let some = gifts::list(&app.db, PAGE, (page - 1) * PAGE).await?;
    render(&Supporters {
        desk: DeskPage::new(&desk, "giving"),
        gifts: some.iter().map(|gift| view(gift, &zone)).collect(),
        from: if all == 0 { 0 } else { (page - 1) * PAGE + 1 },
        to: ((page - 1) * PAGE + PAGE).min(all),
        newer: (page > 1).then_some(page - 1),
        older: (page * PAGE < all).then_some(page + 1),
        all,
    })
}

fn view(gift: &GiftRow, zone: &TimeZone) -> GiftView {
    let day = |at: Moment| at.to_jiff().to_zoned_datetime(zone.clone()).strftime("%-d %b %Y").to_string();
    let next = match gift.state {
        GiftState::Ended => gift.ended_at.map(|at| format!("ended {}", day(at))),
        _ => gift.ends_at.map(|at| format!("ends {}", day(at))).or_else(|| gift.next_at().map(day)),
    };
    GiftView {
        id: gift.id,
        short: short(&gift.subscription_id),
        subscription: gift.subscription_id.clone(),
        customer: gift.customer_id.clone(),
        since: day(gift.started_at),
        next: next.unwrap_or_default(),
        state: gift.state.as_str(),
        tone: gift.state.tone(),
        amount: gift.money().map(|money| money.display(Language::En)).unwrap_or_default(),
        often: gift.frequency.as_str(),
    }
}

#[derive(Template)]
#[template(path = "support/pages/history.html")]
struct History {
    desk: DeskPage,
    gift: GiftView,
    steps: Vec<Step>,
}

/// One thing that happened: a turn, a movement of money, or an event that told of it.
struct Step {
    at: Moment,
    time: String,
    what: String,
    detail: String,
    /// Its place in Stripe's dashboard.
    link: Option<String>,
}

/// A gift's history, event by event, the newest last.
pub(super) async fn show(State(app): State<Shared>, desk: Desk, Path(id): Path<i64>) -> Result<Response, Problem> {
    desk.require(Role::Finance)?;
    let zone = app.newsroom().zone();
    let gift = gifts::by_id(&app.db, id).await?.ok_or(Problem::NotFound)?;
    let mut steps = Vec::new();
    let step = |at: Moment, what: String, detail: String, link: Option<String>| Step {
        at,
        time: time(at, &zone),
        what,
        detail,
        link,
    };
    for turn in turns::of_gift(&app.db, id).await? {
        steps.push(step(turn.at, turn.what.title().to_owned(), turn.detail.unwrap_or_default(), None));
    }
    for line in figures::of_gift(&app.db, id).await? {
        let amount = line.money().map(|money| money.display(Language::En)).unwrap_or_default();
        let link = format!("https://dashboard.stripe.com/search?query={}", line.object_id);
        steps.push(step(line.at, what(line.kind).to_owned(), amount, Some(link)));
    }
    for event in figures::events_of(&app.db, id).await? {
        let link = event.id.starts_with("evt_").then(|| format!("https://dashboard.stripe.com/events/{}", event.id));
        steps.push(step(event.created_at, "Event".to_owned(), event.kind, link));
    }
    steps.sort_by_key(|step| step.at);
    render(&History { desk: DeskPage::new(&desk, "giving"), gift: view(&gift, &zone), steps })
}
