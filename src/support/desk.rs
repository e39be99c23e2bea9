//! The staff's page on giving: sums, gifts that fail, the ledger, and what could not be applied.

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use jiff::Span;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;
use std::time::Duration;

use crate::app::{App, Shared};
use crate::clock::{DAY, Moment};
use crate::money::{Currency, Money};
use crate::staff::{self, Desk, DeskPage, Role};
use crate::support::reconcile::{self, DEFAULT_DAYS, Difference, shown};
use crate::support::store::figures::{self, Entry};
use crate::support::store::turns::{self, Count};
use crate::support::store::{alarms, reconciliations};
use crate::support::turns::Turn;
use crate::support::{Frequency, GiftState, LineKind, accounts, supporters};
use crate::web::{Form, Problem, render};
use crate::words::Language;

/// Lines of the ledger on one page.
const PAGE: i64 = 50;
/// A comparison that is older than this has not been made when it should have been.
const STALE: Duration = Duration::from_secs(36 * 3_600);
/// Months in the chart.
const MONTHS: i64 = 12;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/staff/giving", get(show))
        .route("/staff/giving/alarms/{id}", post(close_alarm))
        .route("/staff/giving/compare", post(compare))
        .route("/staff/giving/ledger.csv", post(accounts::download))
        .route("/staff/giving/gifts", get(supporters::list))
        .route("/staff/giving/gifts/{id}", get(supporters::show))
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
    today: String,
    months: Vec<(String, String)>,
    compared: Option<Compared>,
    alarms: Vec<AlarmView>,
    closed: Vec<ClosedView>,
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

/// How the last comparison with Stripe went.
struct Compared {
    is_equal: bool,
    /// Whether it is more than a day and a half ago.
    is_old: bool,
    /// "Stripe says $10, we say $10", for each currency.
    sums: Vec<String>,
    /// The movements that differ: Stripe's id, what each side says.
    differences: Vec<(String, String, String)>,
    /// "Compared on 24 Nov 2026, 03:00; 1,412 events of 30 days".
    when: String,
}

struct AlarmView {
    id: i64,
    title: &'static str,
    steps: &'static str,
    time: String,
    link: Option<String>,
}

struct ClosedView {
    title: &'static str,
    time: String,
    note: String,
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
    let zone = newsroom.zone();
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
        today: today.to_string(),
        months: (0..MONTHS)
            .filter_map(|back| today.first_of_month().checked_sub(Span::new().months(back)).ok())
            .map(named)
            .collect(),
        compared: compared(&app, &zone).await?,
        alarms: alarm_views(&app, &zone).await?,
        closed: closed_views(&app, &zone).await?,
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

pub(super) fn count(n: i64, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}

async fn figures_of(app: &App, currency: Currency, month: Date, zone: &TimeZone) -> Result<Vec<Figure>, Problem> {
    let (from, to) = span(month, zone);
    let received = figures::received(&app.db, currency.code(), from, to).await?;
    let left = figures::after_fees(&app.db, currency.code(), from, to).await?;
    let standing = figures::standing(&app.db, currency.code()).await?;
    let turned = turns::between(&app.db, currency.code(), from, to).await?;
    let parts: Vec<String> = received.iter().map(|(often, sum)| format!("{} {often}", money(*sum, currency))).collect();
    let of = |states: &[GiftState]| -> (i64, i64) {
        let some = standing.iter().filter(|gift| states.contains(&gift.state));
        some.fold((0, 0), |(count, sum), gift| (count + gift.count, sum + gift.monthly))
    };
    let turn = |what: Turn| -> Count {
        turned.iter().find(|turn| turn.what == what).copied().unwrap_or(Count { what, count: 0, worth: 0 })
    };
    let (living, recurring) = of(&[GiftState::Active, GiftState::Failing]);
    let (failing, at_risk) = of(&[GiftState::Failing]);
    let (paused, _) = of(&[GiftState::Paused]);
    let average =
        if living > 0 { format!(", {} on average", money(recurring / living, currency)) } else { String::new() };
    let resting = if paused > 0 { format!(", {paused} paused") } else { String::new() };
    let (begun, ended, recovered) = (turn(Turn::Begun), turn(Turn::Ended), turn(Turn::Recovered));
    let others = turned.iter().filter(|turn| !matches!(turn.what, Turn::Begun | Turn::Ended));
    let changed = others.map(|turn| turn.worth).sum();
    Ok(vec![
        Figure {
            label: "This month",
            value: money(received.iter().map(|(_, sum)| sum).sum(), currency),
            note: match parts.is_empty() {
                true => "nothing yet".to_owned(),
                false => format!("{}; {} after fees", parts.join(", "), money(left, currency)),
            },
        },
        Figure {
            label: "Monthly recurring",
            value: money(recurring, currency),
            note: format!("{}{average}{resting}", count(living, "gift", "gifts")),
        },
        Figure { label: "New", value: begun.count.to_string(), note: a_month(begun.worth, currency) },
        Figure { label: "Ended", value: ended.count.to_string(), note: a_month(ended.worth, currency) },
        Figure {
            label: "Changed",
            value: turn(Turn::Changed).count.to_string(),
            note: format!("{}, pauses included", a_month(changed, currency)),
        },
        Figure {
            label: "Failing",
            value: failing.to_string(),
            note: format!("{} a month at risk; {} recovered this month", money(at_risk, currency), recovered.count),
        },
    ])
}

/// "+$402 a month".
fn a_month(worth: i64, currency: Currency) -> String {
    let plus = if worth > 0 { "+" } else { "" };
    format!("{plus}{} a month", money(worth, currency))
}

async fn compared(app: &App, zone: &TimeZone) -> Result<Option<Compared>, Problem> {
    let Some(run) = reconciliations::last(&app.db, 0).await? else { return Ok(None) };
    // Green must not outlive the comparison that it was.
    let is_old = run.at + STALE < app.clock.now();
    let sums: std::collections::BTreeMap<String, (i64, i64)> = serde_json::from_str(&run.sums).unwrap_or_default();
    let differences: Vec<Difference> = serde_json::from_str(&run.differences).unwrap_or_default();
    let of = |currency: &str, minor: i64| shown(currency, Some(minor));
    Ok(Some(Compared {
        is_equal: differences.is_empty() && !is_old,
        is_old,
        sums: sums
            .iter()
            .map(|(code, (theirs, ours))| format!("Stripe says {}, we say {}", of(code, *theirs), of(code, *ours)))
            .collect(),
        differences: differences
            .into_iter()
            .map(|one| {
                let (theirs, ours) = (shown(&one.currency, one.stripe), shown(&one.currency, one.ours));
                (one.object, theirs, ours)
            })
            .collect(),
        when: format!(
            "Compared on {}: {} of {}, {} had never come",
            time(run.at, zone),
            count(run.events, "event", "events"),
            count(run.days, "day", "days"),
            run.taken_in
        ),
    }))
}

async fn alarm_views(app: &App, zone: &TimeZone) -> Result<Vec<AlarmView>, Problem> {
    let open = alarms::open(&app.db).await?;
    let view = |alarm: alarms::Open| AlarmView {
        id: alarm.id,
        title: alarm.kind.title(),
        steps: alarm.kind.steps(),
        time: time(alarm.raised_at, zone),
        link: alarm.kind.link(&alarm.object_id),
    };
    Ok(open.into_iter().map(view).collect())
}

async fn closed_views(app: &App, zone: &TimeZone) -> Result<Vec<ClosedView>, Problem> {
    let closed = alarms::closed(&app.db).await?;
    let view = |alarm: alarms::Closed| ClosedView {
        title: alarm.kind.title(),
        time: time(alarm.closed_at, zone),
        note: alarm.note.unwrap_or_default(),
    };
    Ok(closed.into_iter().map(view).collect())
}

#[derive(Deserialize)]
struct Closing {
    #[serde(default)]
    note: String,
}

/// Notes what was done about an alarm and takes it off the page.
async fn close_alarm(
    State(app): State<Shared>,
    desk: Desk,
    Path(id): Path<i64>,
    Form(closing): Form<Closing>,
) -> Result<Response, Problem> {
    desk.require(Role::Finance)?;
    let note = Some(closing.note.trim().chars().take(2_000).collect::<String>()).filter(|note| !note.is_empty());
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    if alarms::close(&mut tx, id, note, now).await? {
        staff::log::record(&mut tx, &desk, now, "support.alarm", &format!("alarm {id}")).await?;
    }
    tx.commit().await?;
    Ok(Redirect::to("/staff/giving").into_response())
}

/// Compares with Stripe now, as it is done each night.
async fn compare(State(app): State<Shared>, desk: Desk) -> Result<Response, Problem> {
    desk.require(Role::Finance)?;
    let stripe = app.stripe.as_ref().ok_or(Problem::Closed)?;
    let now = app.clock.now();
    let time = reconcile::Span { since: now - DEFAULT_DAYS * DAY, until: now + Duration::from_secs(1) };
    let report = reconcile::reconcile(&app, stripe, time).await.map_err(|error| {
        tracing::error!(error = error.code(), "the comparison with Stripe could not be made");
        Problem::Internal
    })?;
    let mut tx = app.db.begin().await?;
    let said = if report.is_equal() { "equal".to_owned() } else { format!("{} differ", report.differences.len()) };
    staff::log::record(&mut tx, &desk, now, "support.compare", &said).await?;
    tx.commit().await?;
    Ok(Redirect::to("/staff/giving").into_response())
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
pub(super) fn short(id: &str) -> String {
    match (id.get(..8), id.get(id.len().saturating_sub(4)..)) {
        (Some(head), Some(tail)) if id.len() > 14 => format!("{head}…{tail}"),
        _ => id.to_owned(),
    }
}

pub(super) fn time(at: Moment, zone: &TimeZone) -> String {
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

/// What staff call a movement.
pub(super) fn what(kind: LineKind) -> &'static str {
    match kind {
        LineKind::Payment => "Payment",
        LineKind::Refund => "Refund",
        LineKind::Dispute => "Dispute",
        LineKind::Reversal => "Came back",
        LineKind::Fee => "Fee",
    }
}

fn line_view(entry: &Entry, zone: &TimeZone) -> LineView {
    LineView {
        time: time(entry.at, zone),
        what: what(entry.kind),
        often: entry.frequency.map_or("", Frequency::as_str),
        short: short(&entry.object_id),
        object: entry.object_id.clone(),
        amount: entry.money().map(|money| money.display(Language::En)).unwrap_or_default(),
    }
}
