//! The staff pages of issues: the list and the composer.

use crate::address::Address;
use crate::app::Shared;
use crate::articles;
use crate::clock::Moment;
use crate::digest::composer::{self, Check, Edit, Looking, Pick, SectionView, Size};
use crate::digest::proof::{Proof, ProofError};
use crate::digest::render::RenderedEdition;
use crate::digest::store::{self, Saved};
use crate::digest::{Draft, Issue, Kept, State, body, markup, preheader, subject};
use crate::staff::{self, Desk, DeskPage, Role};
use crate::subscribers::Edition;
use crate::web::{Form, PREVIEW, Problem, render, wants_json};
use crate::words::Language;
use askama::Template;
use axum::extract::{DefaultBodyLimit, Path, Query, State as FromApp};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;

/// An issue with a long introduction and many blurbs in Cyrillic, three octets written as nine.
const ISSUE_LIMIT: usize = 1024 * 1024;
/// To how many a test goes at once.
const TEST_LIMIT: usize = 10;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/staff/issues", get(list).post(new))
        .route("/staff/issues/{id}", get(show).post(edit).layer(DefaultBodyLimit::max(ISSUE_LIMIT)))
        .route("/staff/issues/{id}/preview", get(preview).post(preview_draft).layer(DefaultBodyLimit::max(ISSUE_LIMIT)))
        .route("/staff/issues/{id}/discard", post(discard))
}

impl From<ProofError> for Response {
    fn from(error: ProofError) -> Response {
        match error {
            ProofError::NotFound(_) => Problem::NotFound.into_response(),
            ProofError::Newsletter(_) | ProofError::Render(_) => Problem::Bad(error.to_string()).into_response(),
            ProofError::Db(error) => Problem::from(error).into_response(),
        }
    }
}

struct Line {
    id: i64,
    newsletter: String,
    number: String,
    subject: String,
    tone: &'static str,
    state: &'static str,
    entries: i64,
    when: String,
    iso: String,
}

#[derive(Template)]
#[template(path = "digest/pages/desk_issues.html")]
struct ListPage {
    desk: DeskPage,
    lines: Vec<Line>,
    newsletters: Vec<(String, String)>,
    chosen: String,
    subject: String,
    top: i64,
}

async fn list_page(app: &Shared, desk: DeskPage, typed: New) -> Result<Response, Problem> {
    let newsroom = app.newsroom();
    let lines = store::list(&app.db, 200).await?.into_iter().map(|line| {
        let newsletter = newsroom.newsletter(&line.newsletter);
        let zone = newsletter.map_or(jiff::tz::TimeZone::UTC, |newsletter| newsletter.zone());
        let state = State::parse(&line.state).unwrap_or(State::Draft);
        let (what, at) = match (state, line.frozen_at, line.scheduled_at) {
            (_, Some(at), _) => ("Frozen", at),
            (State::Scheduled | State::Held, _, Some(at)) => ("For", at),
            _ => ("Changed", line.changed_at),
        };
        let at = at.to_jiff().to_zoned_datetime(zone);
        let (tone, word) = state_words(state);
        Line {
            id: line.id,
            newsletter: newsletter.map_or(line.newsletter.clone(), |newsletter| newsletter.name.clone()),
            number: line.number.map_or("–".to_owned(), |number| number.to_string()),
            subject: if line.subject.is_empty() { "Nothing in it yet".to_owned() } else { line.subject },
            tone,
            state: word,
            entries: line.entries,
            when: format!("{what} {}", at.strftime("%-d %b %Y, %H:%M")),
            iso: at.strftime("%Y-%m-%dT%H:%M").to_string(),
        }
    });
    render(&ListPage {
        lines: lines.collect(),
        newsletters: newsroom.newsletters.iter().map(|n| (n.slug.clone(), n.name.clone())).collect(),
        chosen: typed.newsletter,
        subject: typed.subject,
        top: typed.top,
        desk,
    })
}

async fn list(FromApp(app): FromApp<Shared>, desk: Desk, Query(looking): Query<Looking>) -> Result<Response, Problem> {
    desk.require(Role::Editor)?;
    let page = DeskPage::new(&desk, "issue");
    let page = if looking.done == "discarded" { page.good("The draft is discarded.") } else { page };
    list_page(&app, page, New { top: 0, ..New::default() }).await
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct New {
    newsletter: String,
    subject: String,
    top: i64,
}

async fn new(FromApp(app): FromApp<Shared>, desk: Desk, Form(typed): Form<New>) -> Result<Response, Problem> {
    desk.require(Role::Editor)?;
    let newsroom = app.newsroom();
    let Some(newsletter) = newsroom.newsletter(&typed.newsletter) else {
        let page = DeskPage::new(&desk, "issue").bad("Choose a newsletter for the issue.");
        let mut response = list_page(&app, page, typed).await?;
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        return Ok(response);
    };
    let newest = articles::store::newest(&app.db, typed.top.clamp(0, 100)).await?;
    let newest: Vec<i64> = newest.iter().map(|article| article.id).collect();
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let id = store::create(&mut tx, now, &newsletter.slug, &typed.subject).await?;
    store::add(&mut tx, now, id, &newest, None).await?;
    staff::store::record(&mut tx, &desk, now, "issue.new", &format!("issue {id}")).await?;
    tx.commit().await?;
    Ok(Redirect::to(&format!("/staff/issues/{id}")).into_response())
}

async fn discard(FromApp(app): FromApp<Shared>, desk: Desk, Path(id): Path<i64>) -> Result<Response, Problem> {
    desk.require(Role::Editor)?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    if !store::discard(&mut tx, now, id).await? {
        return Err(Problem::Bad("Only a draft can be discarded.".to_owned()));
    }
    staff::store::record(&mut tx, &desk, now, "issue.discard", &format!("issue {id}")).await?;
    tx.commit().await?;
    Ok(Redirect::to("/staff/issues?done=discarded").into_response())
}

/// The tone and the word of a state.
fn state_words(state: State) -> (&'static str, &'static str) {
    match state {
        State::Draft => ("is-warn", "Draft"),
        State::Scheduled => ("is-good", "Scheduled"),
        State::Held => ("is-bad", "Held"),
        State::Sending => ("is-good", "Sending"),
        State::Paused => ("is-warn", "Paused"),
        State::Sent => ("is-good", "Sent"),
        State::Cancelled => ("", "Cancelled"),
    }
}

#[derive(Template)]
#[template(path = "digest/pages/desk_issue.html")]
struct ComposerPage {
    desk: DeskPage,
    id: i64,
    seen: i64,
    unsaved: bool,
    may_send: bool,
    newsletter: String,
    number: String,
    title: String,
    tone: &'static str,
    state: &'static str,
    saved: String,
    draft: Draft,
    subject_else: String,
    subject_length: usize,
    preheader_else: String,
    ask_after: String,
    ask_first: bool,
    ask_title: String,
    sections: Vec<SectionView>,
    other_sections: Vec<String>,
    picks: Vec<Pick>,
    more: Option<i64>,
    looking: Looking,
    which: String,
    url: String,
    url_error: Option<String>,
    to: String,
    to_error: Option<String>,
    sizes: Vec<Size>,
    checks: Vec<Check>,
    good: usize,
    full: bool,
    russian: bool,
    without_ask: bool,
    differences: Vec<String>,
}

/// What a page shows beside the issue as it is stored: what somebody typed, and what was wrong with it.
#[derive(Default)]
struct Typed {
    draft: Option<Draft>,
    url: String,
    url_error: Option<String>,
    to: String,
    to_error: Option<String>,
    differences: Vec<String>,
}

async fn composer_page(
    app: &Shared,
    desk: DeskPage,
    id: i64,
    looking: Looking,
    typed: Typed,
) -> Result<Response, Response> {
    let stored = Proof::of(app, id).await?;
    if !stored.issue.state.is_open() && typed.draft.is_none() {
        return frozen_page(app, desk, &stored).await;
    }
    let seen = stored.issue.changed_at.millis();
    let proof = match &typed.draft {
        Some(draft) => Proof::of_draft(app, stored.issue.clone(), draft).await?,
        None => stored,
    };
    let (issue, newsletter) = (&proof.issue, &proof.newsletter);
    let db = |error: crate::db::Error| Problem::from(error).into_response();
    let sent = store::sent_in(&app.db, &issue.newsletter, id).await.map_err(db)?;
    let found = articles::store::search(&app.db, &looking.search(), looking.page()).await.map_err(db)?;
    let others = articles::store::other_sections(&app.db).await.map_err(db)?;
    let draft = typed.draft.unwrap_or_else(|| Draft::of(issue, &proof.entries));
    let sections = composer::section_views(&proof.entries, draft.ask_after, &sent);
    let newsroom = app.newsroom();
    let (desk, sizes) = match composer::sizes(&proof) {
        Ok(sizes) => (desk, sizes),
        Err(error) => (desk.bad(error.to_string()), Vec::new()),
    };
    let checks = composer::checks(&proof, &sections, &sizes, &newsroom.postal_address);
    let (tone, state) = state_words(issue.state);
    let at = issue.changed_at.to_jiff().to_zoned_datetime(newsletter.zone());
    let page = ComposerPage {
        id,
        seen,
        unsaved: !typed.differences.is_empty(),
        may_send: desk.role.covers(Role::Publisher),
        newsletter: newsletter.name.clone(),
        number: issue.number.map(|number| number.to_string()).unwrap_or_default(),
        title: subject(issue, &proof.entries, &newsletter.name),
        tone,
        state,
        saved: format!("Saved {}", at.strftime("%a %-d %b, %H:%M")),
        subject_else: subject(&Issue { subject: String::new(), ..issue.clone() }, &proof.entries, &newsletter.name),
        subject_length: draft.subject.chars().count(),
        preheader_else: preheader(&Issue { preheader: String::new(), ..issue.clone() }, &proof.entries),
        ask_after: draft.ask_after.map(|after| after.to_string()).unwrap_or_default(),
        ask_first: draft.ask_after.is_some_and(|after| after == 0 || proof.entries.is_empty()),
        ask_title: newsroom.support.appeal.as_deref().map_or("the newsroom’s usual words".to_owned(), first_words),
        picks: composer::picks(&found, &proof.entries, &sent, &newsletter.zone()),
        more: found.more.then(|| looking.page() + 1),
        full: looking.edition() == Edition::Full,
        russian: looking.language(newsletter.language) == Language::Ru,
        without_ask: looking.asks == "no",
        good: checks.iter().filter(|check| check.tone == "is-good").count(),
        other_sections: others,
        which: Looking {
            edition: looking.edition().as_str().to_owned(),
            lang: looking.language(newsletter.language).as_str().to_owned(),
            asks: looking.asks.clone(),
            ..Looking::default()
        }
        .query(),
        url: typed.url,
        url_error: typed.url_error,
        to: typed.to,
        to_error: typed.to_error,
        differences: typed.differences,
        desk,
        draft,
        sections,
        looking,
        sizes,
        checks,
    };
    render(&page).map_err(IntoResponse::into_response)
}

#[derive(Template)]
#[template(path = "digest/pages/desk_frozen.html")]
struct FrozenPage {
    desk: DeskPage,
    id: i64,
    newsletter: String,
    number: String,
    title: String,
    tone: &'static str,
    state: &'static str,
    saved: String,
    public: bool,
    archive: String,
    preheader: String,
    introduction: String,
    sections: Vec<(String, Vec<Kept>)>,
    /// Query, name and size of each.
    editions: Vec<(String, String, usize)>,
    lang: &'static str,
}

/// An issue whose content no longer changes, or a draft that was given up.
async fn frozen_page(app: &Shared, desk: DeskPage, proof: &Proof) -> Result<Response, Response> {
    let (issue, newsletter) = (&proof.issue, &proof.newsletter);
    let kept = store::kept_entries(&app.db, issue.id).await.map_err(|error| Problem::from(error).into_response())?;
    let mut sections: Vec<(String, Vec<Kept>)> = Vec::new();
    for entry in kept {
        match sections.last_mut() {
            Some((name, inside)) if *name == entry.section => inside.push(entry),
            _ => sections.push((entry.section.clone(), vec![entry])),
        }
    }
    let edition = |rendered: &RenderedEdition| {
        let name = match rendered.edition {
            Edition::Full => "Full text",
            Edition::Links => "Headlines and links",
            Edition::Plain => "Plain text",
        };
        let query = Looking {
            edition: rendered.edition.as_str().to_owned(),
            lang: rendered.language.as_str().to_owned(),
            asks: if rendered.with_ask { String::new() } else { "no".to_owned() },
            ..Looking::default()
        };
        let ask = if rendered.with_ask { "with" } else { "without" };
        (
            query.query(),
            format!("{name}, {}, {ask} the ask", rendered.language.own_name()),
            rendered.size().div_ceil(1000),
        )
    };
    let (tone, state) = state_words(issue.state);
    let at = issue.frozen_at.unwrap_or(issue.changed_at).to_jiff().to_zoned_datetime(newsletter.zone());
    // A draft that was given up never got the number that its proof would carry.
    let number =
        issue.number.filter(|_| issue.frozen_at.is_some()).map(|number| number.to_string()).unwrap_or_default();
    let page = FrozenPage {
        id: issue.id,
        newsletter: newsletter.name.clone(),
        title: subject(issue, &proof.entries, &newsletter.name),
        tone,
        state,
        saved: at
            .strftime(if issue.frozen_at.is_some() {
                "Frozen %a %-d %b %Y, %H:%M"
            } else {
                "Changed %a %-d %b %Y, %H:%M"
            })
            .to_string(),
        public: issue.state.is_public(),
        archive: format!("/newsletters/{}/issues/{number}", newsletter.slug),
        preheader: preheader(issue, &proof.entries),
        introduction: markup::page(&body::from_markdown(&issue.introduction, &format!("{}/", app.config.base_url))),
        sections,
        editions: proof.frozen().iter().map(edition).collect(),
        lang: newsletter.language.as_str(),
        number,
        desk,
    };
    render(&page).map_err(IntoResponse::into_response)
}

fn first_words(text: &str) -> String {
    let plain = text.replace(['*', '#', '_'], "");
    let words: Vec<&str> = plain.split_whitespace().take(6).collect();
    format!("“{}…”", words.join(" "))
}

async fn show(
    FromApp(app): FromApp<Shared>,
    desk: Desk,
    Path(id): Path<i64>,
    Query(mut looking): Query<Looking>,
) -> Result<Response, Response> {
    desk.require(Role::Editor).map_err(IntoResponse::into_response)?;
    let page = DeskPage::new(&desk, "issue");
    let page = match std::mem::take(&mut looking.done).as_str() {
        "tested" => page.good("The test is on its way."),
        _ => page,
    };
    composer_page(&app, page, id, looking, Typed::default()).await
}

/// Every button of the composer comes here: what was typed is saved first, then the button does what it says.
async fn edit(
    FromApp(app): FromApp<Shared>,
    desk: Desk,
    Path(id): Path<i64>,
    headers: HeaderMap,
    Form(edit): Form<Edit>,
) -> Result<Response, Response> {
    desk.require(Role::Editor).map_err(IntoResponse::into_response)?;
    let typed = edit.draft().ok_or_else(|| unreadable().into_response())?.tidied();
    let (draft, spot) = match edit.act() {
        Some((act, spot)) => (typed.clone().after(&act), spot),
        None => (typed.clone(), String::new()),
    };
    let (testers, to_error) = match edit.test.as_str() {
        "" => (Vec::new(), None),
        _ => match testers(&edit.to) {
            Ok(testers) => (testers, None),
            Err(problem) => (Vec::new(), Some(problem)),
        },
    };
    let saved = save(&app, &desk, id, &edit, &draft).await.map_err(IntoResponse::into_response)?;
    let at = match saved {
        Saved::Yes(at) => at,
        Saved::NotFound => return Err(Problem::NotFound.into_response()),
        Saved::Conflict(_) | Saved::Frozen(_) if wants_json(&headers) => {
            return Err(StatusCode::CONFLICT.into_response());
        }
        Saved::Conflict(_) | Saved::Frozen(_) => return conflict(&app, &desk, id, &edit, draft, saved).await,
    };
    if wants_json(&headers) {
        return Ok(Json(serde_json::json!({ "seen": at.millis().to_string(), "ask_after": draft.ask_after, "saved": said_saved(&app, id, at).await })).into_response());
    }
    let url_error = match edit.url.trim() {
        "" => None,
        url => add_address(&app, &desk, id, url).await?,
    };
    if url_error.is_some() || to_error.is_some() {
        let page = DeskPage::new(&desk, "issue");
        let typed = Typed { url: edit.url.clone(), to: edit.to.clone(), url_error, to_error, ..Typed::default() };
        let mut response = composer_page(&app, page, id, edit.looking(), typed).await?;
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        return Ok(response);
    }
    let mut looking = edit.looking();
    if !testers.is_empty() {
        send_test(&app, &desk, id, &testers).await?;
        looking.done = "tested".to_owned();
    }
    let query = looking.query();
    let spot = if spot.is_empty() { String::new() } else { format!("#{spot}") };
    Ok(Redirect::to(&format!("/staff/issues/{id}{}{query}{spot}", if query.is_empty() { "" } else { "?" }))
        .into_response())
}

fn unreadable() -> Problem {
    Problem::Bad("The form came in pieces that do not fit together. Go back: what you typed is still there.".to_owned())
}

/// Saves, and adds an article where its button was pressed, in one transaction.
async fn save(app: &Shared, desk: &Desk, id: i64, edit: &Edit, draft: &Draft) -> Result<Saved, Problem> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let saved = store::save(&mut tx, now, id, Moment::from_millis(edit.seen), draft).await?;
    if !matches!(saved, Saved::Yes(_)) {
        return Ok(saved);
    }
    staff::store::record(&mut tx, desk, now, "issue.save", &format!("issue {id}")).await?;
    if let Ok(article) = edit.add.parse::<i64>() {
        store::add(&mut tx, now, id, &[article], None).await?;
        staff::store::record(&mut tx, desk, now, "issue.add", &format!("issue {id}, article {article}")).await?;
    }
    tx.commit().await?;
    Ok(saved)
}

async fn said_saved(app: &Shared, id: i64, at: Moment) -> String {
    let issue = store::issue(&app.db, id).await.ok().flatten();
    let newsroom = app.newsroom();
    let newsletter = issue.and_then(|issue| newsroom.newsletter(&issue.newsletter).cloned());
    let zone = newsletter.map_or(jiff::tz::TimeZone::UTC, |newsletter| newsletter.zone());
    format!("Saved {}", at.to_jiff().to_zoned_datetime(zone).strftime("%a %-d %b, %H:%M"))
}

/// Adds the article at an address, which may have to be fetched. Answers what was wrong with it.
async fn add_address(app: &Shared, desk: &Desk, id: i64, url: &str) -> Result<Option<String>, Response> {
    let article = match articles::add_by_url(app, desk, url).await {
        Ok(article) => article,
        Err(error) => return Ok(Some(error.to_string())),
    };
    let add = async {
        let now = app.clock.now();
        let mut tx = app.db.begin().await?;
        store::add(&mut tx, now, id, &[article.id], None).await?;
        staff::store::record(&mut tx, desk, now, "issue.add", &format!("issue {id}, article {}", article.id)).await?;
        tx.commit().await?;
        Ok::<(), Problem>(())
    };
    add.await.map_err(IntoResponse::into_response)?;
    Ok(None)
}

/// Two editors at once: this one's text stays in the form, with what the other has; saving again is a decision.
async fn conflict(
    app: &Shared,
    desk: &Desk,
    id: i64,
    edit: &Edit,
    draft: Draft,
    why: Saved,
) -> Result<Response, Response> {
    let stored = Proof::of(app, id).await?;
    let mine = Proof::of_draft(app, stored.issue.clone(), &draft).await?;
    let title = |id: i64| {
        let entries = stored.entries.iter().chain(&mine.entries);
        entries
            .into_iter()
            .find(|entry| entry.article_id == id)
            .map(|entry| entry.piece.title.clone())
            .unwrap_or_default()
    };
    let differences = composer::differences(&draft, &Draft::of(&stored.issue, &stored.entries), title);
    let page = DeskPage::new(desk, "issue");
    let page = match why {
        Saved::Conflict(at) => {
            let at = at.to_jiff().to_zoned_datetime(stored.newsletter.zone());
            page.bad(format!(
                "Not saved: somebody else saved this issue at {}, after you had opened it. Nothing is lost: the form below has your version, and the list says how theirs differs. Save once more to put yours in place of theirs.",
                at.strftime("%H:%M")
            ))
        }
        _ => page.bad("Not saved: this issue has been frozen since you opened it, and can no longer be changed. The form below still has what you typed."),
    };
    let typed =
        Typed { draft: Some(draft), url: edit.url.clone(), to: edit.to.clone(), differences, ..Typed::default() };
    let mut response = composer_page(app, page, id, edit.looking(), typed).await?;
    *response.status_mut() = StatusCode::CONFLICT;
    Ok(response)
}

/// The addresses of a test, one a line, or what is wrong with them.
fn testers(typed: &str) -> Result<Vec<Address>, String> {
    let lines: Vec<&str> = typed.split(['\n', ',', ';']).map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return Err("Give at least one address for the test.".to_owned());
    }
    if lines.len() > TEST_LIMIT {
        return Err(format!("A test goes to {TEST_LIMIT} addresses at most."));
    }
    lines.into_iter().map(|line| Address::parse(line).map_err(|error| format!("{line}: {error}"))).collect()
}

async fn send_test(app: &Shared, desk: &Desk, id: i64, to: &[Address]) -> Result<(), Response> {
    let proof = Proof::of(app, id).await?;
    let versions = proof.versions(app).await?;
    let database = |error: crate::db::Error| Problem::from(error).into_response();
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(database)?;
    proof.send_test(app, &mut tx, to, &versions).await?;
    staff::store::record(&mut tx, desk, now, "issue.test", &format!("issue {id}, {} addresses", to.len()))
        .await
        .map_err(database)?;
    tx.commit().await.map_err(database)?;
    app.wake(crate::mail::outbox::TASK);
    Ok(())
}

/// Which mail to show.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Which {
    edition: String,
    lang: String,
    asks: String,
    part: String,
}

async fn preview(
    FromApp(app): FromApp<Shared>,
    desk: Desk,
    Path(id): Path<i64>,
    Query(which): Query<Which>,
) -> Result<Response, Response> {
    desk.require(Role::Editor).map_err(IntoResponse::into_response)?;
    Ok(mail_shown(&Proof::of(&app, id).await?, &which)?)
}

/// The preview of what is being typed. It saves nothing.
async fn preview_draft(
    FromApp(app): FromApp<Shared>,
    desk: Desk,
    Path(id): Path<i64>,
    Query(which): Query<Which>,
    headers: HeaderMap,
    Form(edit): Form<Edit>,
) -> Result<Response, Response> {
    desk.require(Role::Editor).map_err(IntoResponse::into_response)?;
    let draft = edit.draft().ok_or_else(|| unreadable().into_response())?;
    let issue = store::issue(&app.db, id).await.map_err(|error| Problem::from(error).into_response())?;
    let proof = Proof::of_draft(&app, issue.ok_or_else(|| Problem::NotFound.into_response())?, &draft).await?;
    if wants_json(&headers) {
        let sizes = composer::sizes(&proof).map_err(|error| Response::from(ProofError::from(error)))?;
        let sizes: Vec<_> =
            sizes.iter().map(|size| serde_json::json!({ "id": size.id, "label": size.label, "kb": size.kb })).collect();
        return Ok(Json(serde_json::json!({ "sizes": sizes })).into_response());
    }
    Ok(mail_shown(&proof, &which)?)
}

fn mail_shown(proof: &Proof, which: &Which) -> Result<Response, ProofError> {
    let edition = Edition::parse(&which.edition).unwrap_or(Edition::Links);
    let language = Language::parse(&which.lang).unwrap_or(proof.newsletter.language);
    let rendered = proof.shown(edition, language, which.asks != "no")?;
    let policy = (header::CONTENT_SECURITY_POLICY, PREVIEW);
    Ok(match rendered.html.filter(|_| which.part != "text") {
        // Links open beside the page: what they lead to may not be shown in our frame.
        Some(html) => {
            let html = html.replacen("<head>", "<head><base target=\"_blank\">", 1);
            ([policy, (header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response()
        }
        None => ([policy, (header::CONTENT_TYPE, "text/plain; charset=utf-8")], rendered.text).into_response(),
    })
}
