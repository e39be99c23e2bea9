//! The staff's page on giving: sums, gifts that fail, the ledger, and what could not be applied.

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use jiff::Span;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::app::{App, Shared};
use crate::clock::{DAY, Moment};
use crate::money::{Currency, Money};
use crate::staff::{Desk, DeskPage, Role};
use crate::support::store::figures::{self, Entry, Standing};
use crate::support::{Frequency, GiftState, LineKind};
use crate::web::{Problem, render};
use crate::words::Language;

/// Lines of the ledger on one page.
const PAGE: i64 = 50;
/// Months in the chart.
const MONTHS: i64 = 12;

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/staff/giving", get(show))
}

#[derive(Deserialize)]
struct Wanted {
    currency: Option<String>,
    month: Option<String>,
    page: Option<i64>,
}

#[derive(Template)]
#[template(path = "support/pages/giving.html")]
struct Giving {
    desk: DeskPage,
    open: bool,
    currency: String,
    currencies: Vec<String>,
    month: String,
    months: Vec<(String, String)>,
    figures: Vec<Figure>,
    chart: Option<Chart>,
    failing: Vec<FailingView>,
    given_up: Vec<(String, String, String, String)>,
    ledger: Vec<LineView>,
    from: i64,
    to: i64,
    all: i64,
    newer: Option<i64>,
    older: Option<i64>,
}

struct Figure {
    label: &'static str,
    value: String,
    note: String,
}

/// The chart as its template draws it: one unit of width a month, forty of height.
struct Chart {
    label: String,
    top: String,
    middle: String,
    bars: Vec<Bar>,
    names: Vec<String>,
}

struct Bar {
    class: &'static str,
    x: i64,
    y: String,
    height: String,
}

struct FailingView {
    subscription: String,
    short: String,
    due: String,
    amount: String,
    often: &'static str,
}

struct LineView {
    time: String,
    what: &'static str,
    often: &'static str,
    object: String,
    short: String,
    amount: String,
}

async fn show(State(app): State<Shared>, desk: Desk, Query(wanted): Query<Wanted>) -> Result<Response, Problem> {
    desk.require(Role::Finance)?;
    let newsroom = app.newsroom();
    let zone = newsroom.newsletters.first().map_or(TimeZone::UTC, |newsletter| newsletter.zone());
    let currency = currency_of(&app, wanted.currency.as_deref()).await?;
    let today = app.clock.now().to_jiff().to_zoned_datetime(zone.clone()).date();
    let month = wanted.month.as_deref().and_then(month_of).unwrap_or(today).first_of_month();
    let mut frame = DeskPage::new(&desk, "giving");
    let (late, given_up) = figures::late_events(&app.db, app.clock.now() - DAY).await?;
    if late > 0 {
        frame = frame
            .warn(format!("{late} of Stripe’s events wait for more than a day. They are tried again by themselves."));
    }
    if given_up > 0 {
        frame = frame.bad(format!(
            "{given_up} of Stripe’s events could not be applied and were given up. “friday stripe reconcile” shows what is missing."
        ));
    }
    let all = figures::lines(&app.db, currency.code()).await?;
    let page = wanted.page.unwrap_or(1).clamp(1, (all / PAGE) + 1);
    let ledger = figures::ledger(&app.db, currency.code(), PAGE, (page - 1) * PAGE).await?;
    let mut currencies = figures::currencies(&app.db).await?;
    for setting in &newsroom.support.currencies {
        let code = setting.currency().code().to_owned();
        if !currencies.contains(&code) {
            currencies.push(code);
        }
    }
    render(&Giving {
        open: app.stripe.is_some(),
        currency: currency.code().to_owned(),
        currencies,
        month: month.strftime("%Y-%m").to_string(),
        months: (0..MONTHS)
            .filter_map(|back| today.first_of_month().checked_sub(Span::new().months(back)).ok())
            .map(named)
            .collect(),
        figures: figures_of(&app, currency, month, &zone).await?,
        chart: chart(&app, currency, month, &zone).await?,
        failing: figures::failing(&app.db).await?.iter().map(|gift| failing_view(gift, &zone)).collect(),
        given_up: given_up_views(&app, &zone).await?,
        from: if all == 0 { 0 } else { (page - 1) * PAGE + 1 },
        to: ((page - 1) * PAGE + PAGE).min(all),
        newer: (page > 1).then_some(page - 1),
        older: (page * PAGE < all).then_some(page + 1),
        ledger: ledger.iter().map(|entry| line_view(entry, &zone)).collect(),
        all,
        desk: frame,
    })
}

async fn currency_of(app: &App, wanted: Option<&str>) -> Result<Currency, Problem> {
    let asked = wanted.and_then(|code| Currency::from_code(code).ok());
    let used = figures::currencies(&app.db).await?.first().and_then(|code| Currency::from_code(code).ok());
    let set = app.newsroom().support.currencies.first().map(|setting| setting.currency());
    asked.or(used).or(set).ok_or(Problem::NotFound)
}

fn month_of(text: &str) -> Option<Date> {
    format!("{text}-01").parse().ok()
}

fn named(month: Date) -> (String, String) {
    (month.strftime("%Y-%m").to_string(), month.strftime("%B %Y").to_string())
}

/// A month's first and last moment, in the newsroom's own time.
fn span(month: Date, zone: &TimeZone) -> (Moment, Moment) {
    let at = |day: Date| {
        day.to_zoned_datetime(zone.clone()).map_or(Moment::from_millis(0), |at| Moment::from(at.timestamp()))
    };
    (at(month), at(month.checked_add(Span::new().months(1)).unwrap_or(month)))
}

fn money(minor: i64, currency: Currency) -> String {
    Money::new(minor, currency).display(Language::En)
}

fn count(n: i64, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}

async fn figures_of(app: &App, currency: Currency, month: Date, zone: &TimeZone) -> Result<Vec<Figure>, Problem> {
    let (from, to) = span(month, zone);
    let received = figures::received(&app.db, currency.code(), from, to).await?;
    let standing = figures::standing(&app.db, currency.code()).await?;
    let (came, went) = figures::came_and_went(&app.db, currency.code(), from, to).await?;
    let parts: Vec<String> = received.iter().map(|(often, sum)| format!("{} {often}", money(*sum, currency))).collect();
    let of = |states: &[GiftState]| -> (i64, i64) {
        let some = standing.iter().filter(|gift| states.contains(&gift.state));
        some.fold((0, 0), |(count, sum), gift| (count + gift.count, sum + monthly(gift)))
    };
    let (living, recurring) = of(&[GiftState::Active, GiftState::Failing]);
    let (failing, at_risk) = of(&[GiftState::Failing]);
    let average =
        if living > 0 { format!(", {} on average", money(recurring / living, currency)) } else { String::new() };
    Ok(vec![
        Figure {
            label: "This month",
            value: money(received.iter().map(|(_, sum)| sum).sum(), currency),
            note: if parts.is_empty() { "before Stripe’s fees".to_owned() } else { parts.join(", ") },
        },
        Figure {
            label: "Monthly recurring",
            value: money(recurring, currency),
            note: format!("{}{average}", count(living, "gift", "gifts")),
        },
        Figure { label: "New", value: came.to_string(), note: "recurring gifts begun this month".to_owned() },
        Figure { label: "Ended", value: went.to_string(), note: "this month, for whatever reason".to_owned() },
        Figure {
            label: "Failing",
            value: failing.to_string(),
            note: format!("{} a month at risk", money(at_risk, currency)),
        },
    ])
}

/// What gifts of one kind come to in a month; a twelfth for annual ones, rounded down.
fn monthly(gift: &Standing) -> i64 {
    if gift.frequency == Frequency::Annual { gift.sum / 12 } else { gift.sum }
}

async fn chart(app: &App, currency: Currency, last: Date, zone: &TimeZone) -> Result<Option<Chart>, Problem> {
    let months: Vec<Date> =
        (0..MONTHS).rev().filter_map(|back| last.checked_sub(Span::new().months(back)).ok()).collect();
    let mut sums = Vec::new();
    for month in &months {
        let (from, to) = span(*month, zone);
        let received = figures::received(&app.db, currency.code(), from, to).await?;
        let of = |often| received.iter().find(|(frequency, _)| *frequency == often).map_or(0, |(_, sum)| (*sum).max(0));
        sums.push([of(Frequency::Monthly), of(Frequency::Once), of(Frequency::Annual)]);
    }
    let highest = sums.iter().map(|month| month.iter().sum::<i64>()).max().unwrap_or(0);
    if highest == 0 {
        return Ok(None);
    }
    let mut bars = Vec::new();
    for (index, month) in (0_i64..).zip(&sums) {
        let mut y = 4_000;
        for (class, sum) in ["a", "b", "c"].into_iter().zip(month) {
            let height = sum * 4_000 / highest;
            y -= height;
            if height > 0 {
                bars.push(Bar { class, x: index * 10 + 1, y: hundredths(y), height: hundredths(height) });
            }
        }
    }
    let total = |month: &[i64; 3]| money(month.iter().sum(), currency);
    let (first, final_sum) = (sums.first().map(total).unwrap_or_default(), sums.last().map(total).unwrap_or_default());
    let label = format!(
        "Giving by month, from {first} in {} to {final_sum} in {}. The ledger below has the payments.",
        months.first().map(|month| month.strftime("%B %Y").to_string()).unwrap_or_default(),
        last.strftime("%B %Y")
    );
    let names = months.iter().map(|month| month.strftime("%b").to_string().chars().take(1).collect()).collect();
    Ok(Some(Chart { label, top: money(highest, currency), middle: money(highest / 2, currency), bars, names }))
}

fn hundredths(n: i64) -> String {
    format!("{}.{:02}", n / 100, n % 100)
}

/// Stripe's ids are long: the head and the last four say enough, the whole is in the link.
fn short(id: &str) -> String {
    match (id.get(..8), id.get(id.len().saturating_sub(4)..)) {
        (Some(head), Some(tail)) if id.len() > 14 => format!("{head}…{tail}"),
        _ => id.to_owned(),
    }
}

fn time(at: Moment, zone: &TimeZone) -> String {
    at.to_jiff().to_zoned_datetime(zone.clone()).strftime("%-d %b %Y, %H:%M").to_string()
}

fn failing_view(gift: &figures::Failing, zone: &TimeZone) -> FailingView {
    FailingView {
        short: short(&gift.subscription_id),
        subscription: gift.subscription_id.clone(),
        due: gift.due_at.map(|at| time(at, zone)).unwrap_or_default(),
        amount: gift.money().map(|money| money.display(Language::En)).unwrap_or_default(),
        often: gift.frequency.as_str(),
    }
}

async fn given_up_views(app: &App, zone: &TimeZone) -> Result<Vec<(String, String, String, String)>, Problem> {
    let given_up = figures::given_up(&app.db).await?;
    let view = |event: figures::GivenUp| {
        (event.id, event.kind, time(event.received_at, zone), event.problem.unwrap_or_default())
    };
    Ok(given_up.into_iter().map(view).collect())
}

fn line_view(entry: &Entry, zone: &TimeZone) -> LineView {
    LineView {
        time: time(entry.at, zone),
        what: match entry.kind {
            LineKind::Payment => "Payment",
            LineKind::Refund => "Refund",
            LineKind::Dispute => "Dispute",
            LineKind::Reversal => "Came back",
            LineKind::Fee => "Fee",
        },
        often: entry.frequency.map_or("", Frequency::as_str),
        short: short(&entry.object_id),
        object: entry.object_id.clone(),
        amount: entry.money().map(|money| money.display(Language::En)).unwrap_or_default(),
    }
}
