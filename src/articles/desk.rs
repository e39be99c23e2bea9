//! The staff pages of feeds and articles.

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::feed::Document;
use super::store::{self, Search};
use super::task::{self, AddError, TASK, Trouble};
use super::{Article, Feed, FeedError, SECTIONS, feed_address, section_named};
use crate::app::{App, Shared};
use crate::clock::Moment;
use crate::staff::{Desk, DeskPage, Role, store::record};
use crate::web::{self, Form, Problem};

/// The routes.
pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/staff/feeds", get(show_feeds).post(add_feed))
        .route("/staff/feeds/read", post(read_all))
        .route("/staff/feeds/{id}", post(change_feed))
        .route("/staff/articles", get(show_articles).post(add_article))
        .route("/staff/articles/{id}", get(show_article))
}

/// How many headlines a trial shows.
const TRIAL: usize = 5;

#[derive(Template)]
#[template(path = "articles/pages/feeds.html")]
struct Feeds {
    desk: DeskPage,
    feeds: Vec<FeedRow>,
    sections: &'static [&'static str],
    url: String,
    section: String,
    problem: Option<String>,
    /// The feed that a page names, offered in its place
    instead: Option<String>,
    trial: Option<Trial>,
}

struct FeedRow {
    feed: Feed,
    sections: Vec<String>,
    read: Option<Time>,
    next: Time,
    since: Option<Time>,
    articles: String,
}

struct Trial {
    title: String,
    headlines: Vec<Headline>,
    count: usize,
}

struct Headline {
    title: String,
    url: String,
    time: Option<Time>,
}

/// A moment for a page: for programs, and for people at the newsroom.
struct Time {
    iso: String,
    text: String,
}

/// How this page writes moments: in the newsroom's zone, with the year only where it is another one.
struct Times {
    zone: TimeZone,
    now: Moment,
}

impl Times {
    fn of(app: &App) -> Times {
        let zone = app.newsroom().newsletters.first().map_or(TimeZone::UTC, |newsletter| newsletter.zone());
        Times { zone, now: app.clock.now() }
    }

    fn time(&self, at: Moment) -> Time {
        let local = |moment: Moment| moment.to_jiff().to_zoned_datetime(self.zone.clone());
        let (then, now) = (local(at), local(self.now));
        let form = match then.date() {
            date if date == now.date() => "%H:%M",
            date if date.year() == now.year() => "%-d %b, %H:%M",
            _ => "%-d %b %Y",
        };
        Time { iso: at.to_string(), text: then.strftime(form).to_string() }
    }
}

impl Feeds {
    async fn new(app: &App, desk: &Desk) -> Result<Feeds, Problem> {
        let times = Times::of(app);
        let row = |feed: Feed| FeedRow {
            sections: sections_with(&feed.section),
            read: feed.read_at.map(|at| times.time(at)),
            next: times.time(feed.next_at),
            since: feed.failing_since.map(|at| times.time(at)),
            articles: grouped(feed.articles),
            feed,
        };
        Ok(Feeds {
            desk: DeskPage::new(desk, "feeds"),
            feeds: store::feeds(&app.db).await?.into_iter().map(row).collect(),
            sections: &SECTIONS,
            url: String::new(),
            section: SECTIONS[0].to_owned(),
            problem: None,
            instead: None,
            trial: None,
        })
    }
}

/// The five sections, and the one that is set where it is the newsroom's own.
fn sections_with(section: &str) -> Vec<String> {
    let mut all: Vec<String> = SECTIONS.iter().map(|s| (*s).to_owned()).collect();
    if !section.is_empty() && !SECTIONS.contains(&section) {
        all.push(section.to_owned());
    }
    all
}

/// `12,408`.
fn grouped(n: i64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[derive(Deserialize)]
struct Done {
    #[serde(default)]
    done: String,
}

async fn show_feeds(State(app): State<Shared>, desk: Desk, Query(done): Query<Done>) -> Result<Response, Problem> {
    desk.require(Role::Editor)?;
    let mut page = Feeds::new(&app, &desk).await?;
    page.desk = match done.done.as_str() {
        "added" => page.desk.good("The feed is added. Its articles arrive within a minute."),
        "here" => page.desk.good("That feed is here already."),
        "paused" => page.desk.good("The feed is paused. Its articles stay."),
        "resumed" => page.desk.good("The feed is read again from now on."),
        "removed" => page.desk.good("The feed is removed. Its articles stay. Adding it again brings it back."),
        "section" => page.desk.good("The section is set for the articles to come."),
        "reading" => page.desk.good("All feeds are being read. Look again in a moment."),
        _ => page.desk,
    };
    web::render(&page)
}

#[derive(Deserialize)]
struct NewFeed {
    #[serde(default)]
    url: String,
    #[serde(default)]
    section: String,
    #[serde(default)]
    act: String,
}

/// Reads the feed in any case: with "Try" to show what it brings, with "Add" to be sure that it is one. Nothing that was
/// typed is lost when it is not.
async fn add_feed(State(app): State<Shared>, desk: Desk, Form(new): Form<NewFeed>) -> Result<Response, Problem> {
    desk.require(Role::Editor)?;
    let section = section_named(&new.section);
    let typed = new.url.trim();
    // People paste addresses as they read them.
    let url =
        feed_address(typed).or_else(|| feed_address(&format!("https://{typed}")).filter(|_| !typed.contains("://")));
    let tried = match &url {
        Some(url) => task::try_feed(&app, url).await,
        None => {
            return trial_failed(&app, &desk, new, "An address begins with https:// or http://.".to_owned(), None)
                .await;
        }
    };
    match tried {
        Err(trouble) => {
            let instead = match &trouble {
                Trouble::Feed(FeedError::Page { feed: Some(feed) }) => Some(feed.to_string()),
                _ => None,
            };
            trial_failed(&app, &desk, new, trouble.to_string(), instead).await
        }
        Ok(document) if new.act == "try" => {
            let mut page = Feeds::new(&app, &desk).await?;
            page.trial = Some(trial(document, &Times::of(&app)));
            (page.url, page.section) = (url.unwrap_or_default(), section);
            web::render(&page)
        }
        Ok(_) => {
            let (url, now) = (url.unwrap_or_default(), app.clock.now());
            let mut tx = app.db.begin().await?;
            let added = store::add_feed(&mut tx, now, &url, &section).await?;
            if added {
                record(&mut tx, &desk, now, "feed.add", &format!("the feed {}", task::named(&url))).await?;
            }
            tx.commit().await?;
            app.wake(TASK);
            Ok(back(if added { "added" } else { "here" }))
        }
    }
}

async fn trial_failed(
    app: &App,
    desk: &Desk,
    new: NewFeed,
    problem: String,
    instead: Option<String>,
) -> Result<Response, Problem> {
    let mut page = Feeds::new(app, desk).await?;
    page.section = section_named(&new.section);
    page.url = new.url;
    page.problem = Some(problem);
    page.instead = instead;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, web::render(&page)?).into_response())
}

fn trial(document: Document, times: &Times) -> Trial {
    let count = document.entries.len();
    let headline = |entry: super::Entry| Headline {
        time: entry.published_at.map(|at| times.time(at)),
        title: entry.title,
        url: entry.url,
    };
    let mut entries = document.entries;
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.published_at));
    Trial {
        title: document.title.unwrap_or_else(|| "A feed without a name".to_owned()),
        headlines: entries.into_iter().take(TRIAL).map(headline).collect(),
        count,
    }
}

fn back(done: &str) -> Response {
    Redirect::to(&format!("/staff/feeds?done={done}")).into_response()
}

async fn read_all(State(app): State<Shared>, desk: Desk) -> Result<Response, Problem> {
    desk.require(Role::Editor)?;
    let mut tx = app.db.begin().await?;
    store::make_due(&mut tx, app.clock.now()).await?;
    tx.commit().await?;
    app.wake(TASK);
    Ok(back("reading"))
}

#[derive(Deserialize)]
struct Change {
    act: String,
    #[serde(default)]
    section: String,
}

async fn change_feed(
    State(app): State<Shared>,
    desk: Desk,
    Path(id): Path<i64>,
    Form(change): Form<Change>,
) -> Result<Response, Problem> {
    desk.require(Role::Editor)?;
    let feed = store::feed(&app.db, id).await?.ok_or(Problem::NotFound)?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let (changed, action, done) = match change.act.as_str() {
        "pause" => (store::pause_feed(&mut tx, now, id, true).await?, "feed.pause", "paused"),
        "resume" => (store::pause_feed(&mut tx, now, id, false).await?, "feed.resume", "resumed"),
        "remove" => (store::remove_feed(&mut tx, id).await?, "feed.remove", "removed"),
        "section" => (store::set_section(&mut tx, id, &change.section).await?, "feed.section", "section"),
        _ => return Err(Problem::Bad("There is nothing of that name to do with a feed.".to_owned())),
    };
    if changed {
        record(&mut tx, &desk, now, action, &format!("the feed {}", task::named(&feed.url))).await?;
    }
    tx.commit().await?;
    app.wake(TASK);
    Ok(back(done))
}

#[derive(Template)]
#[template(path = "articles/pages/articles.html")]
struct Articles {
    desk: DeskPage,
    search: Search,
    sections: Vec<String>,
    articles: Vec<ArticleRow>,
    newer: Option<String>,
    older: Option<String>,
    url: String,
    problem: Option<String>,
}

struct ArticleRow {
    article: Article,
    time: Time,
}

#[derive(Deserialize, Default)]
struct Paging {
    #[serde(default)]
    page: Option<i64>,
}

async fn show_articles(
    State(app): State<Shared>,
    desk: Desk,
    Query(search): Query<Search>,
    Query(paging): Query<Paging>,
) -> Result<Response, Problem> {
    desk.require(Role::Editor)?;
    web::render(&list(&app, &desk, search, paging.page.unwrap_or(1)).await?)
}

async fn list(app: &App, desk: &Desk, search: Search, page: i64) -> Result<Articles, Problem> {
    let page = page.clamp(1, 10_000);
    let found = store::search(&app.db, &search, page).await?;
    let mut sections = sections_with("");
    sections.extend(store::other_sections(&app.db).await?);
    let times = Times::of(app);
    let at = |page: i64| format!("?{}&page={page}", search.query());
    Ok(Articles {
        desk: DeskPage::new(desk, "feeds"),
        newer: (page > 1).then(|| at(page - 1)),
        older: found.more.then(|| at(page + 1)),
        articles: found
            .articles
            .into_iter()
            .map(|article| ArticleRow { time: times.time(article.published_at), article })
            .collect(),
        sections,
        search,
        url: String::new(),
        problem: None,
    })
}

#[derive(Deserialize)]
struct NewArticle {
    #[serde(default)]
    url: String,
}

async fn add_article(State(app): State<Shared>, desk: Desk, Form(new): Form<NewArticle>) -> Result<Response, Problem> {
    desk.require(Role::Editor)?;
    match task::add_by_url(&app, &desk, &new.url).await {
        Ok(article) => Ok(Redirect::to(&format!("/staff/articles/{}", article.id)).into_response()),
        Err(AddError::Db(error)) => Err(error.into()),
        Err(problem) => {
            let mut page = list(&app, &desk, Search::default(), 1).await?;
            page.problem = Some(problem.to_string());
            page.url = new.url;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, web::render(&page)?).into_response())
        }
    }
}

#[derive(Template)]
#[template(path = "articles/pages/article.html")]
struct OneArticle {
    desk: DeskPage,
    article: Article,
    time: Time,
    feed: Option<Feed>,
}

/// The article as it is kept: what the full-text edition would carry.
async fn show_article(State(app): State<Shared>, desk: Desk, Path(id): Path<i64>) -> Result<Response, Problem> {
    desk.require(Role::Editor)?;
    let article = store::get(&app.db, id).await?.ok_or(Problem::NotFound)?;
    let feed = match article.feed_id {
        Some(feed) => store::feed(&app.db, feed).await?,
        None => None,
    };
    web::render(&OneArticle {
        desk: DeskPage::new(&desk, "feeds"),
        time: Times::of(&app).time(article.published_at),
        feed,
        article,
    })
}
