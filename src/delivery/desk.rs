//! The delivery page: test, schedule, send; pause, go on, cancel, try again; and how it goes, live.

use super::acts::{self, ActError, WINDOW};
use super::probe;
use super::store::progress;
use super::view::{Seen, Stage, View, view};
use super::wording::{capital, number, wall};
use crate::address::Address;
use crate::app::Shared;
use crate::digest;
use crate::digest::proof::{Proof, ProofError};
use crate::staff::{self, Actor, Desk, DeskPage, Role};
use crate::web::{Form, Problem, render};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use std::convert::Infallible;
use std::time::Duration;

/// How often the live page hears something.
const TICK: Duration = Duration::from_secs(1);
/// How many addresses a test goes to at most.
const TESTERS: usize = 10;
/// How many of those who failed are on one page.
const FAILURES: i64 = 200;

/// The pages of this room.
pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/staff/delivery", get(list))
        .route("/staff/delivery/{id}", get(moved))
        .route("/staff/issues/{id}/delivery", get(show))
        .route("/staff/issues/{id}/progress", get(live))
        .route("/staff/issues/{id}/test", post(test))
        .route("/staff/issues/{id}/check", post(check))
        .route("/staff/issues/{id}/schedule", post(schedule))
        .route("/staff/issues/{id}/send", post(send))
        .route("/staff/issues/{id}/now", post(now))
        .route("/staff/issues/{id}/stop", post(cancel))
        .route("/staff/issues/{id}/pause", post(pause))
        .route("/staff/issues/{id}/resume", post(resume))
        .route("/staff/issues/{id}/cancel", post(cancel))
        .route("/staff/issues/{id}/retry", post(retry))
        .route("/staff/issues/{id}/failed", get(failed))
}

#[derive(Template)]
#[template(path = "delivery/pages/list.html")]
struct List {
    desk: DeskPage,
    lines: Vec<Line>,
}

struct Line {
    id: i64,
    name: String,
    subject: String,
    state: digest::State,
    at: String,
    readers: String,
    sent: String,
    failed: String,
}

#[derive(Template)]
#[template(path = "delivery/pages/delivery.html")]
struct Delivery {
    desk: DeskPage,
    view: View,
    /// Whether it changes by itself.
    live: bool,
    /// What was typed into a field that is shown again.
    typed: Typed,
}

#[derive(Default)]
struct Typed {
    to: String,
    readers: String,
}

macro_rules! fragment {
    ($name:ident, $path:literal) => {
        #[derive(Template)]
        #[template(path = $path)]
        struct $name<'a> {
            view: &'a View,
        }
    };
}
fragment!(ChecklistPart, "delivery/pages/checklist.html");
fragment!(OpenLines, "delivery/pages/open_lines.html");
fragment!(Progress, "delivery/pages/progress.html");
fragment!(Figures, "delivery/pages/figures.html");
fragment!(ByDomain, "delivery/pages/by_domain.html");
fragment!(Failed, "delivery/pages/failed.html");
fragment!(Log, "delivery/pages/log.html");

async fn list(desk: Desk, State(app): State<Shared>) -> Result<Response, Problem> {
    desk.require(Role::Editor)?;
    let newsroom = app.newsroom();
    let lines = progress::overview(&app.db).await?.into_iter().map(|row| {
        let newsletter = newsroom.newsletter(&row.newsletter);
        let zone = newsletter.map_or(jiff::tz::TimeZone::UTC, |n| n.zone());
        let name = newsletter.map_or(row.newsletter.as_str(), |n| &n.name);
        Line {
            id: row.id,
            name: row.number.map_or_else(|| name.to_owned(), |n| format!("{name}, No. {n}")),
            subject: if row.subject.is_empty() { "Without a subject".to_owned() } else { row.subject },
            state: digest::State::parse(&row.state).unwrap_or(digest::State::Draft),
            at: row.started_at.or(row.scheduled_at).map_or_else(String::new, |at| wall(at, &zone)),
            readers: row.readers.map_or_else(String::new, number),
            sent: row.sent.map_or_else(String::new, number),
            failed: row.failed.map_or_else(String::new, number),
        }
    });
    render(&List { lines: lines.collect(), desk: DeskPage::new(&desk, "delivery") })
}

async fn moved(Path(id): Path<i64>) -> Redirect {
    Redirect::permanent(&page_of(id))
}

fn page_of(id: i64) -> String {
    format!("/staff/issues/{id}/delivery")
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    said: String,
    #[serde(default)]
    n: i64,
}

async fn show(
    desk: Desk,
    State(app): State<Shared>,
    Path(id): Path<i64>,
    Query(said): Query<Said>,
) -> Result<Response, Problem> {
    desk.require(Role::Editor)?;
    let frame = DeskPage::new(&desk, "delivery");
    let frame = match said.said.as_str() {
        "tested" => frame.good(format!("{} test mails are on their way.", number(said.n))),
        "scheduled" => frame.good("The time is set."),
        "draft" => frame.good("Taken back: it is a draft again, and nobody got it."),
        "retried" => frame.good(format!("{} are tried again.", number(said.n))),
        _ => frame,
    };
    page(&app, &desk, frame, id, Typed::default()).await
}

async fn page(app: &Shared, desk: &Desk, frame: DeskPage, id: i64, typed: Typed) -> Result<Response, Problem> {
    let view = seen(view(app, id, desk.role.covers(Role::Publisher), &mut Seen::default()).await)?;
    let live = !rests(&view);
    render(&Delivery { live, view, typed, desk: frame })
}

/// Back to the page when it was done; the page with the reason when not.
async fn answer(
    app: &Shared,
    desk: &Desk,
    id: i64,
    done: Result<String, ActError>,
    typed: Typed,
) -> Result<Response, Problem> {
    match done {
        Ok(said) => Ok(Redirect::to(&format!("{}{said}", page_of(id))).into_response()),
        Err(ActError::NoIssue(_)) => Err(Problem::NotFound),
        Err(error) if error.is_plain() => {
            let text = capital(error.to_string());
            let mut response =
                page(app, desk, DeskPage::new(desk, "delivery").bad(format!("{text}.")), id, typed).await?;
            *response.status_mut() = match error {
                ActError::State { .. } | ActError::Freeze(_) => StatusCode::CONFLICT,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            };
            Ok(response)
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Template)]
#[template(path = "delivery/pages/who_failed.html")]
struct WhoFailed {
    desk: DeskPage,
    id: i64,
    name: String,
    title: String,
    lines: Vec<progress::Failure>,
    after: bool,
    next: Option<i64>,
    forgotten: bool,
}

#[derive(Deserialize)]
struct After {
    after: Option<i64>,
}

/// Who failed, by id, some at a time.
async fn failed(
    desk: Desk,
    State(app): State<Shared>,
    Path(id): Path<i64>,
    Query(from): Query<After>,
) -> Result<Response, Problem> {
    desk.require(Role::Publisher)?;
    let view = seen(view(&app, id, true, &mut Seen::default()).await)?;
    let lines = progress::failures(&app.db, id, from.after.unwrap_or(i64::MIN), FAILURES).await?;
    let whole = i64::try_from(lines.len()) == Ok(FAILURES);
    render(&WhoFailed {
        id,
        name: view.name,
        title: view.title,
        after: from.after.is_some(),
        next: lines.last().filter(|_| whole).map(|last| last.subscriber_id),
        forgotten: view.run.is_some_and(|run| run.forgotten),
        lines,
        desk: DeskPage::new(&desk, "delivery"),
    })
}

/// An issue that does not exist is a page that does not.
fn seen(view: Result<View, ActError>) -> Result<View, Problem> {
    match view {
        Err(ActError::NoIssue(_)) => Err(Problem::NotFound),
        other => Ok(other?),
    }
}

#[derive(Deserialize)]
struct TestForm {
    #[serde(default)]
    to: String,
}

async fn test(
    desk: Desk,
    State(app): State<Shared>,
    Path(id): Path<i64>,
    Form(form): Form<TestForm>,
) -> Result<Response, Problem> {
    desk.require(Role::Editor)?;
    let mut to = Vec::new();
    let mut wrong = None;
    for (at, line) in (1..).zip(form.to.split([',', ';', '\n']).map(str::trim).filter(|line| !line.is_empty())) {
        match Address::parse(line) {
            Ok(address) => to.push(address),
            Err(error) => wrong = wrong.or(Some(format!("Address {at}: {error}."))),
        }
    }
    if to.is_empty() && wrong.is_none() {
        wrong = Some("Write at least one address to send the test to.".to_owned());
    }
    if to.len() > TESTERS {
        wrong = Some(format!("A test goes to {TESTERS} addresses at most."));
    }
    if let Some(wrong) = wrong {
        let typed = Typed { to: form.to, ..Typed::default() };
        let mut response = page(&app, &desk, DeskPage::new(&desk, "delivery").bad(wrong), id, typed).await?;
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        return Ok(response);
    }
    let done = send_test(&app, &desk, id, &to).await.map(|n| format!("?said=tested&n={n}"));
    answer(&app, &desk, id, done, Typed { to: form.to, ..Typed::default() }).await
}

async fn send_test(app: &Shared, desk: &Desk, id: i64, to: &[Address]) -> Result<usize, ActError> {
    let proof = Proof::of(app, id).await.map_err(|error| match error {
        ProofError::NotFound(id) => ActError::NoIssue(id),
        other => ActError::Proof(other),
    })?;
    let versions = proof.versions(app).await?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let sent = proof.send_test(app, &mut tx, to, &versions).await?;
    staff::store::record(&mut tx, desk, now, "issue.test", &format!("issue {id}, to {} addresses", to.len())).await?;
    tx.commit().await?;
    app.wake(crate::mail::outbox::TASK);
    Ok(sent)
}

/// Looks at what takes long, beside the page that shows it as it comes.
async fn check(desk: Desk, State(app): State<Shared>, Path(id): Path<i64>) -> Result<Response, Problem> {
    desk.require(Role::Editor)?;
    let done = match acts::issue(&app, id).await {
        Ok(issue) if issue.state.is_open() => {
            probe::look_beside(&app, id);
            Ok("#checklist".to_owned())
        }
        Ok(issue) => Err(ActError::State { id, state: issue.state, why: "the checklist is for what has not gone out" }),
        Err(error) => Err(error),
    };
    answer(&app, &desk, id, done, Typed::default()).await
}

#[derive(Deserialize)]
struct ScheduleForm {
    #[serde(default)]
    when: String,
    #[serde(default)]
    date: String,
    #[serde(default)]
    time: String,
}

async fn schedule(
    desk: Desk,
    State(app): State<Shared>,
    Path(id): Path<i64>,
    Form(form): Form<ScheduleForm>,
) -> Result<Response, Problem> {
    desk.require(Role::Publisher)?;
    let when = if form.when.is_empty() { format!("{}T{}", form.date, form.time) } else { form.when };
    let done = acts::schedule(&app, Actor::from(&desk), id, &when).await.map(|_| "?said=scheduled".to_owned());
    answer(&app, &desk, id, done, Typed::default()).await
}

#[derive(Deserialize)]
struct SendForm {
    #[serde(default)]
    readers: String,
}

async fn send(
    desk: Desk,
    State(app): State<Shared>,
    Path(id): Path<i64>,
    Form(form): Form<SendForm>,
) -> Result<Response, Problem> {
    desk.require(Role::Publisher)?;
    // "12,408", "12 408" and "12408" are the same number.
    let digits: String =
        form.readers.chars().filter(|c| !matches!(c, ',' | '.' | ' ' | '\u{a0}' | '\u{202f}')).collect();
    let done = match digits.parse() {
        Ok(typed) => acts::send(&app, Actor::from(&desk), id, Some(typed), WINDOW).await.map(|_| String::new()),
        Err(_) => {
            let frame =
                DeskPage::new(&desk, "delivery").bad("Type the number of readers to send the issue: nothing was sent.");
            let mut response =
                page(&app, &desk, frame, id, Typed { readers: form.readers, ..Typed::default() }).await?;
            *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            return Ok(response);
        }
    };
    answer(&app, &desk, id, done, Typed { readers: form.readers, ..Typed::default() }).await
}

/// Ends the window early. Only within it: anything else is sent by typing the number of readers.
async fn now(desk: Desk, State(app): State<Shared>, Path(id): Path<i64>) -> Result<Response, Problem> {
    desk.require(Role::Publisher)?;
    let done = acts::send_now(&app, Actor::from(&desk), id).await.map(|()| String::new());
    answer(&app, &desk, id, done, Typed::default()).await
}

async fn pause(desk: Desk, State(app): State<Shared>, Path(id): Path<i64>) -> Result<Response, Problem> {
    desk.require(Role::Publisher)?;
    let done = acts::pause(&app, Actor::from(&desk), id).await.map(|()| String::new());
    answer(&app, &desk, id, done, Typed::default()).await
}

async fn resume(desk: Desk, State(app): State<Shared>, Path(id): Path<i64>) -> Result<Response, Problem> {
    desk.require(Role::Publisher)?;
    let done = acts::resume(&app, Actor::from(&desk), id).await.map(|()| String::new());
    answer(&app, &desk, id, done, Typed::default()).await
}

async fn cancel(desk: Desk, State(app): State<Shared>, Path(id): Path<i64>) -> Result<Response, Problem> {
    desk.require(Role::Publisher)?;
    let done = acts::cancel(&app, Actor::from(&desk), id).await;
    let done = done.map(|to| if to == digest::State::Draft { "?said=draft".to_owned() } else { String::new() });
    answer(&app, &desk, id, done, Typed::default()).await
}

async fn retry(desk: Desk, State(app): State<Shared>, Path(id): Path<i64>) -> Result<Response, Problem> {
    desk.require(Role::Publisher)?;
    let done = acts::retry(&app, Actor::from(&desk), id).await.map(|n| format!("?said=retried&n={n}"));
    answer(&app, &desk, id, done, Typed::default()).await
}

/// The page's live parts, as they change: server-sent events named `fragment`, and `end` when the page needs another form.
async fn live(desk: Desk, State(app): State<Shared>, Path(id): Path<i64>) -> Result<Response, Problem> {
    desk.require(Role::Editor)?;
    let may_send = desk.role.covers(Role::Publisher);
    let first = seen(view(&app, id, may_send, &mut Seen::default()).await)?;
    let (say, hear) = tokio::sync::mpsc::channel::<Result<Event, Infallible>>(16);
    let form = (first.stage, first.state);
    tokio::spawn(async move {
        let mut seen = Seen::default();
        let mut shown: Vec<String> = Vec::new();
        while !app.stop.is_cancelled() && !say.is_closed() {
            // A database that is away for a moment ends nothing: the page stays as it is.
            if let Ok(view) = view(&app, id, may_send, &mut seen).await {
                if (view.stage, view.state) != form {
                    let _ = say.send(Ok(Event::default().event("end").data("the page has changed"))).await;
                    return;
                }
                for (at, html) in fragments(&view).into_iter().enumerate() {
                    if shown.get(at) == Some(&html) {
                        continue;
                    }
                    if say.send(Ok(Event::default().event("fragment").data(&html))).await.is_err() {
                        return;
                    }
                    shown.resize(shown.len().max(at + 1), String::new());
                    shown[at] = html;
                }
                if rests(&view) {
                    // Without this the browser would connect anew, again and again.
                    let _ = say.send(Ok(Event::default().event("done").data("nothing changes any more"))).await;
                    return;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(TICK) => {}
                () = app.stop.cancelled() => {}
                () = say.closed() => {}
            }
        }
    });
    let events = tokio_stream::wrappers::ReceiverStream::new(hear);
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

/// Whether the page is not going to change by itself.
fn rests(view: &View) -> bool {
    let looking = view.checklist.as_ref().is_some_and(|checklist| checklist.list.running.is_some());
    matches!(view.state, digest::State::Sent | digest::State::Cancelled) || (view.stage == Stage::Ready && !looking)
}

fn fragments(view: &View) -> Vec<String> {
    let mut parts = vec![Progress { view }.render()];
    if view.stage == Stage::Ready {
        parts.push(ChecklistPart { view }.render());
        parts.push(OpenLines { view }.render());
    }
    if view.stage == Stage::Out {
        parts.push(Figures { view }.render());
        parts.push(ByDomain { view }.render());
        parts.push(Failed { view }.render());
        parts.push(Log { view }.render());
    }
    parts.into_iter().map(|part| part.unwrap_or_default()).collect()
}
