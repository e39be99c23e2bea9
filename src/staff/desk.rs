//! The staff pages of this room: the desk itself, readers in numbers, people, the log.

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use super::home::{home, number};
use super::phrase::{self, Day};
use super::store::{self, Person};
use super::web::tidy_name;
use super::{Desk, DeskPage, LINK_LIFE, Role, StaffError, log, overview, week};
use crate::address::Address;
use crate::app::{App, Shared};
use crate::clock::Moment;
use crate::web::{self, Form, Problem};
use crate::words::Language;

/// The routes.
pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/staff", get(show_home))
        .route("/staff/readers", get(show_readers))
        .route("/staff/log", get(show_log))
        .route("/staff/people", get(show_people).post(let_in))
        .route("/staff/people/{id}/role", post(change_role))
        .route("/staff/people/{id}/reset", post(reset))
        .route("/staff/people/{id}/remove", post(remove))
}

async fn show_home(State(app): State<Shared>, desk: Desk) -> Result<Response, Problem> {
    web::render(&home(&app, &desk).await?)
}

#[derive(Template)]
#[template(path = "staff/pages/readers.html")]
struct Readers {
    desk: DeskPage,
    count: Counts,
    newsletters: Vec<Row>,
    languages: Vec<(String, String)>,
}

struct Counts {
    all: String,
    joined: String,
    paused: String,
    discreet: String,
    suppressed: String,
    reasons: String,
}

struct Row {
    name: String,
    lang: &'static str,
    full: String,
    links: String,
    plain: String,
    paused: String,
    joined: String,
    all: String,
}

async fn show_readers(State(app): State<Shared>, desk: Desk) -> Result<Response, Problem> {
    let now = app.clock.now();
    let readers = overview::readers(&app.db, now).await?;
    let suppressed = overview::suppressed(&app.db).await?;
    let reasons =
        suppressed.iter().map(|(reason, n)| format!("{} {reason}", number(*n))).collect::<Vec<_>>().join(", ");
    let count = Counts {
        all: number(readers.everybody),
        joined: number(overview::joined(&app.db, now.week()).await?),
        paused: number(readers.paused),
        discreet: number(readers.discreet),
        suppressed: number(suppressed.iter().map(|(_, n)| *n).sum()),
        reasons: if reasons.is_empty() { "nobody yet".to_owned() } else { reasons },
    };
    let languages =
        overview::languages(&app.db).await?.into_iter().map(|(language, n)| (language_name(language), number(n)));
    web::render(&Readers {
        desk: DeskPage::new(&desk, "readers"),
        count,
        newsletters: rows(&app, now).await?,
        languages: languages.collect(),
    })
}

fn language_name(language: Option<String>) -> String {
    match language.as_deref().and_then(Language::parse) {
        Some(Language::En) => "English".to_owned(),
        Some(Language::Ru) => "Russian".to_owned(),
        None => "The newsletter’s own".to_owned(),
    }
}

/// The newsroom's newsletters in its order, then those that it has no more but somebody still reads.
async fn rows(app: &App, now: Moment) -> Result<Vec<Row>, StaffError> {
    let newsroom = app.newsroom();
    let circles = overview::circles(&app.db, now).await?;
    let row = |name: String, lang: &'static str, circle: Option<&overview::Circle>| {
        let of = |field: fn(&overview::Circle) -> i64| number(circle.map_or(0, field));
        Row {
            name,
            lang,
            full: of(|c| c.full_text),
            links: of(|c| c.links),
            plain: of(|c| c.plain),
            paused: of(|c| c.paused),
            joined: of(|c| c.joined),
            all: of(|c| c.everybody),
        }
    };
    let circle = |slug: &str| circles.iter().find(|circle| circle.newsletter == slug);
    let current = newsroom.newsletters.iter().map(|n| row(n.name.clone(), n.language.as_str(), circle(&n.slug)));
    let gone = circles
        .iter()
        .filter(|c| newsroom.newsletter(&c.newsletter).is_none())
        .map(|c| row(c.newsletter.clone(), "en", Some(c)));
    Ok(current.chain(gone).collect())
}

/// How many lines a page of the log has.
const LOG_PAGE: i64 = 100;

#[derive(Template)]
#[template(path = "staff/pages/log.html")]
struct Log {
    desk: DeskPage,
    scope: &'static str,
    zone: String,
    days: Vec<Day>,
    page: i64,
    more: bool,
}

#[derive(Deserialize)]
struct Paging {
    #[serde(default)]
    page: Option<i64>,
}

async fn show_log(State(app): State<Shared>, desk: Desk, Query(paging): Query<Paging>) -> Result<Response, Problem> {
    let page = paging.page.unwrap_or(1).clamp(1, 10_000);
    let mut entries = log::entries(&app.db, &app.keys, desk.id, desk.role, (page - 1) * LOG_PAGE, LOG_PAGE + 1).await?;
    let more = entries.len() as i64 > LOG_PAGE;
    entries.truncate(LOG_PAGE as usize);
    let zone = newsroom_zone(&app);
    let scope = match desk.role {
        Role::Admin => "By everybody.",
        Role::Finance => "Without what admins did to accounts.",
        Role::Editor | Role::Publisher => "Without giving, and what admins did to accounts.",
    };
    web::render(&Log {
        desk: DeskPage::new(&desk, "log"),
        scope,
        zone: week::place(&zone),
        days: phrase::days(entries, &zone),
        page,
        more,
    })
}

/// The time zone staff think in: that of the first newsletter.
fn newsroom_zone(app: &App) -> jiff::tz::TimeZone {
    app.newsroom().newsletters.first().map_or(jiff::tz::TimeZone::UTC, |newsletter| newsletter.zone())
}

#[derive(Template)]
#[template(path = "staff/pages/people.html")]
struct People {
    desk: DeskPage,
    people: Vec<Colleague>,
    roles: [Role; 4],
    link: Option<OneTimeLink>,
    email: String,
    name: String,
    chosen: Role,
    problem: Option<String>,
}

struct Colleague {
    id: i64,
    name: String,
    address: String,
    role: Role,
    own: bool,
    has_password: bool,
    has_factor: bool,
    last_here: String,
}

struct OneTimeLink {
    name: String,
    url: String,
    until: String,
}

#[derive(Deserialize)]
struct Done {
    #[serde(default)]
    done: Option<String>,
}

async fn show_people(State(app): State<Shared>, desk: Desk, Query(done): Query<Done>) -> Result<Response, Problem> {
    desk.require(Role::Admin)?;
    let mut page = people_page(&app, &desk).await?;
    page.desk = match done.done.as_deref() {
        Some("role") => page.desk.good("The role is changed. It holds from their next click on."),
        Some("removed") => page.desk.good("Removed, from every session as well."),
        Some("last") => page.desk.bad("This is the last admin. Make somebody else an admin first."),
        _ => page.desk,
    };
    web::render(&page)
}

async fn people_page(app: &App, desk: &Desk) -> Result<People, StaffError> {
    let now = app.clock.now();
    let zone = newsroom_zone(app);
    let colleague = |person: Person| Colleague {
        id: person.id,
        address: person.address.as_str().to_owned(),
        role: person.role,
        own: person.id == desk.id,
        has_password: person.has_password,
        has_factor: person.has_factor,
        last_here: person.last_here.map_or("not yet".to_owned(), |at| ago(at, now, &zone)),
        name: person.name,
    };
    let people = store::people(&app.db, &app.keys).await?.into_iter().map(colleague).collect();
    Ok(People {
        desk: DeskPage::new(desk, "people"),
        people,
        roles: Role::ALL,
        link: None,
        email: String::new(),
        name: String::new(),
        chosen: Role::Editor,
        problem: None,
    })
}

fn ago(at: Moment, now: Moment, zone: &jiff::tz::TimeZone) -> String {
    let minutes = now.since(at).as_secs() / 60;
    let day = |at: Moment| at.to_jiff().to_zoned_datetime(zone.clone());
    match minutes {
        0..10 => "now".to_owned(),
        _ if day(at).date() == day(now).date() => day(at).strftime("%H:%M").to_string(),
        _ => day(at).strftime("%-d %B %Y").to_string(),
    }
}

#[derive(Deserialize)]
struct NewPerson {
    email: String,
    #[serde(default)]
    name: String,
    role: String,
}

async fn let_in(State(app): State<Shared>, desk: Desk, Form(form): Form<NewPerson>) -> Result<Response, Problem> {
    desk.require(Role::Admin)?;
    let role = Role::parse(&form.role).ok_or_else(|| Problem::Bad("There is no such role.".to_owned()))?;
    let refuse = async |problem: String| {
        let page = People {
            email: form.email.clone(),
            name: form.name.clone(),
            chosen: role,
            problem: Some(problem),
            ..people_page(&app, &desk).await?
        };
        let mut response = web::render(&page)?;
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        Ok(response)
    };
    let address = match Address::parse(&form.email) {
        Ok(address) => address,
        Err(error) => return refuse(format!("This is not an address: {error}.")).await,
    };
    let name = tidy_name(&form.name).unwrap_or_else(|| address.local().to_owned());
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let id = match store::add(&mut tx, &app.keys, &desk, now, &address, role, &name).await {
        Ok(id) => id,
        Err(StaffError::Known) => {
            drop(tx);
            return refuse(
                "This address has an account already. A new one-time link is under Change, above.".to_owned(),
            )
            .await;
        }
        Err(error) => return Err(error.into()),
    };
    let path = store::invite(&mut tx, &app.keys, now, id).await?;
    tx.commit().await?;
    with_link(&app, &desk, name, &path).await
}

/// The page with a link that is shown once and stored nowhere.
async fn with_link(app: &App, desk: &Desk, name: String, path: &str) -> Result<Response, Problem> {
    let until = app.clock.now() + LINK_LIFE;
    let until = until.to_jiff().to_zoned_datetime(newsroom_zone(app)).strftime("%A %H:%M").to_string();
    let link = Some(OneTimeLink { name, url: app.config.link(path), until });
    web::render(&People { link, ..people_page(app, desk).await? })
}

#[derive(Deserialize)]
struct NewRole {
    role: String,
}

async fn change_role(
    State(app): State<Shared>,
    desk: Desk,
    Path(id): Path<i64>,
    Form(form): Form<NewRole>,
) -> Result<Response, Problem> {
    desk.require(Role::Admin)?;
    let role = Role::parse(&form.role).ok_or_else(|| Problem::Bad("There is no such role.".to_owned()))?;
    let mut tx = app.db.begin().await?;
    match store::set_role(&mut tx, &desk, app.clock.now(), id, role).await {
        Ok(()) => {
            tx.commit().await?;
            Ok(back("role"))
        }
        Err(error) => refused(error),
    }
}

async fn reset(State(app): State<Shared>, desk: Desk, Path(id): Path<i64>) -> Result<Response, Problem> {
    desk.require(Role::Admin)?;
    let people = store::people(&app.db, &app.keys).await?;
    let person = people.into_iter().find(|person| person.id == id).ok_or(Problem::NotFound)?;
    let mut tx = app.db.begin().await?;
    let path = store::reset(&mut tx, &app.keys, &desk, app.clock.now(), id).await?;
    tx.commit().await?;
    with_link(&app, &desk, person.name, &path).await
}

async fn remove(State(app): State<Shared>, desk: Desk, Path(id): Path<i64>) -> Result<Response, Problem> {
    desk.require(Role::Admin)?;
    let mut tx = app.db.begin().await?;
    match store::remove(&mut tx, &desk, app.clock.now(), id).await {
        Ok(()) => {
            tx.commit().await?;
            Ok(back("removed"))
        }
        Err(error) => refused(error),
    }
}

fn back(done: &str) -> Response {
    Redirect::to(&format!("/staff/people?done={done}")).into_response()
}

fn refused(error: StaffError) -> Result<Response, Problem> {
    match error {
        StaffError::LastAdmin => Ok(back("last")),
        StaffError::Unknown => Err(Problem::NotFound),
        error => Err(error.into()),
    }
}
