//! What readers see of the digest: the home page, a newsletter's page with its latest issue, the archive, the feed.

use crate::app::Shared;
use crate::clock::Moment;
use crate::digest::render::{self, Press};
use crate::digest::{Archived, Kept, body, calendar, feed, markup, store};
use crate::newsroom::Newsletter;
use crate::subscribers::web::SignUpForm;
use crate::web::{Page, Problem};
use crate::words::Language;
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// The room's routes for readers and for staff.
pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/", get(home))
        .route("/newsletters/{slug}", get(newsletter))
        .route("/newsletters/{slug}/preview", get(preview))
        .route("/newsletters/{slug}/issues", get(archive))
        .route("/newsletters/{slug}/issues/{number}", get(issue))
        .route("/newsletters/{slug}/feed.xml", get(atom))
        .merge(super::desk::routes())
}

/// A newsletter as pages present it.
struct Card {
    path: String,
    archive: String,
    name: String,
    headline: String,
    description: String,
    lang_attr: String,
    /// The day it comes, Monday being 0; 7 when its schedule says none.
    day: i32,
    /// "Every Friday".
    every: String,
    /// "every Friday".
    every_small: String,
    /// "Every Friday, in English".
    every_in: String,
    /// "At 08:00 in Amsterdam. …".
    at: String,
}

impl Card {
    fn new(page: &Page, newsletter: &Newsletter) -> Card {
        let words = page.words;
        let every = calendar::every(&words, newsletter);
        let language = words.say(match newsletter.language {
            Language::En => "digest-in-en",
            Language::Ru => "digest-in-ru",
        });
        Card {
            path: format!("/newsletters/{}", newsletter.slug),
            archive: format!("/newsletters/{}/issues", newsletter.slug),
            name: newsletter.name.clone(),
            headline: newsletter.headline.clone().unwrap_or_else(|| newsletter.name.clone()),
            description: newsletter.description.clone().unwrap_or_default(),
            lang_attr: render::lang_attr(newsletter.language.as_str(), page.lang()),
            day: calendar::day(newsletter),
            every_in: words
                .say_with("digest-every-in", &[("every", every.as_str().into()), ("language", language.into())]),
            every_small: every.to_lowercase(),
            every,
            at: calendar::at(&words, newsletter, ("digest-at-utc", "digest-at-place")),
        }
    }
}

/// An issue as pages present it.
struct Sheet {
    number_text: String,
    label: String,
    went_out: String,
    path: String,
    subject: String,
    date: String,
    iso: String,
    introduction: String,
    sections: Vec<Part>,
    ask_first: bool,
    /// For text in the newsletter's language on a page in another.
    lang_attr: String,
}

struct Part {
    id: String,
    name: String,
    entries: Vec<Item>,
    /// Whether the support ask follows.
    ask: bool,
}

struct Item {
    headline: String,
    url: String,
    byline: String,
    blurb: String,
    lead: bool,
    lang_attr: String,
}

impl Sheet {
    fn new(app: &Shared, page: &Page, newsletter: &Newsletter, issue: &Archived) -> Sheet {
        let (words, zone) = (page.words, newsletter.zone());
        let sections = issue.sections();
        let ask_after = issue.ask_after.map(|after| after.clamp(0, sections.len() as i64));
        let mut nth = 0;
        let mut item = |entry: &Kept| {
            nth += 1;
            let language = if entry.language.is_empty() { newsletter.language.as_str() } else { &entry.language };
            Item {
                headline: entry.headline.clone(),
                url: entry.url.clone(),
                byline: render::byline(&words, &entry.author, entry.published_at, &zone),
                blurb: entry.blurb.clone(),
                lead: nth == 1,
                lang_attr: render::lang_attr(language, page.lang()),
            }
        };
        let parts = sections.iter().enumerate().map(|(at, (name, entries))| Part {
            id: format!("s{}", at + 1),
            name: render::section_words(&words, name),
            entries: entries.iter().map(|entry| item(entry)).collect(),
            ask: ask_after == Some(at as i64 + 1),
        });
        Sheet {
            sections: parts.collect(),
            number_text: issue.number.to_string(),
            went_out: render::went_out(&words, issue, &zone),
            label: words.say1("digest-number", "number", &issue.number.to_string()),
            path: format!("/newsletters/{}/issues/{}", newsletter.slug, issue.number),
            subject: issue.subject.clone(),
            date: render::begun(&words.date(issue.at, &zone)),
            iso: iso_day(issue.at, &zone),
            introduction: markup::page(&body::from_markdown(&issue.introduction, &format!("{}/", app.config.base_url))),
            ask_first: ask_after == Some(0),
            lang_attr: render::lang_attr(newsletter.language.as_str(), page.lang()),
        }
    }

    /// The first `n` entries, each with its section's name.
    fn first(&self, n: usize) -> Vec<(&str, &Item)> {
        self.sections
            .iter()
            .flat_map(|part| part.entries.iter().map(|entry| (part.name.as_str(), entry)))
            .take(n)
            .collect()
    }

    /// The first `n` sections, for the preview, which is cut off below anyway.
    fn opening(&self, n: usize) -> &[Part] {
        &self.sections[..self.sections.len().min(n)]
    }
}

fn iso_day(at: Moment, zone: &jiff::tz::TimeZone) -> String {
    at.to_jiff().to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d").to_string()
}

/// The support ask on a page.
struct Appeal {
    title: String,
    html: String,
    warning: String,
    button: String,
    lang_attr: String,
}

impl Appeal {
    fn new(app: &Shared, page: &Page, newsletter: &Newsletter) -> Appeal {
        let newsroom = app.newsroom();
        let press = Press { newsroom: &newsroom, newsletter, base_url: &app.config.base_url, at: app.clock.now() };
        let (markdown, own) = render::appeal(press, &page.words);
        Appeal {
            title: page.words.say1("digest-ask-message", "newsroom", &newsroom.name),
            html: markup::page(&body::from_markdown(&markdown, &format!("{}/", app.config.base_url))),
            warning: render::unsafe_countries(&page.words, &newsroom.unsafe_countries),
            button: page.words.say(render::ask_button(&newsroom)),
            lang_attr: if own { render::lang_attr(newsletter.language.as_str(), page.lang()) } else { String::new() },
        }
    }
}

#[derive(Template)]
#[template(path = "digest/pages/home.html")]
struct HomePage {
    page: Page,
    today: String,
    today_iso: String,
    hero: Card,
    cards: Vec<Card>,
    latest: Option<Sheet>,
    appeal: Appeal,
    form: SignUpForm,
}

async fn home(State(app): State<Shared>, page: Page) -> Result<Response, Problem> {
    let newsroom = app.newsroom();
    let first = newsroom.newsletters.first().ok_or(Problem::NotFound)?;
    let latest = store::latest(&app.db, &first.slug).await?;
    let now = app.clock.now();
    crate::web::render(&HomePage {
        today: render::begun(&page.words.date(now, &first.zone())),
        today_iso: iso_day(now, &first.zone()),
        hero: Card::new(&page, first),
        cards: newsroom.newsletters.iter().map(|newsletter| Card::new(&page, newsletter)).collect(),
        latest: latest.map(|issue| Sheet::new(&app, &page, first, &issue)),
        appeal: Appeal::new(&app, &page, first),
        form: SignUpForm::new(&first.slug),
        page,
    })
}

#[derive(Template)]
#[template(path = "digest/pages/newsletter.html")]
struct NewsletterPage {
    page: Page,
    card: Card,
    latest: Option<Sheet>,
    none_yet: String,
    /// Whether to advise on mailboxes: where keeping them can be demanded by those whom readers fear.
    advise: bool,
    form: SignUpForm,
}

/// A newsletter's page, in its language unless the address asks for another.
pub async fn newsletter_page(app: &Shared, page: Page, slug: &str, form: SignUpForm) -> Result<Response, Problem> {
    let newsroom = app.newsroom();
    let newsletter = newsroom.newsletter(slug).ok_or(Problem::NotFound)?;
    let page = page.speaking(newsletter.language);
    let latest = store::latest(&app.db, slug).await?;
    crate::web::render(&NewsletterPage {
        card: Card::new(&page, newsletter),
        latest: latest.map(|issue| Sheet::new(app, &page, newsletter, &issue)),
        none_yet: calendar::none_yet(&page.words, newsletter, app.clock.now()),
        advise: newsroom.unsafe_countries.iter().any(|code| matches!(code.as_str(), "RU" | "BY")),
        form,
        page,
    })
}

async fn newsletter(State(app): State<Shared>, Path(slug): Path<String>, page: Page) -> Result<Response, Problem> {
    let form = SignUpForm::new(&slug);
    newsletter_page(&app, page, &slug, form).await
}

#[derive(Template)]
#[template(path = "digest/pages/issue.html")]
struct IssuePage {
    page: Page,
    card: Card,
    title: String,
    sheet: Sheet,
    appeal: Appeal,
    previous: Option<(String, String)>,
    next: Option<(String, String)>,
    form: SignUpForm,
}

async fn issue_page(app: &Shared, page: Page, newsletter: &Newsletter, issue: &Archived) -> Result<Response, Problem> {
    let lines = store::archive(&app.db, &newsletter.slug).await?;
    let at = lines.iter().position(|line| line.number == issue.number);
    let neighbour = |at: Option<usize>| {
        let line = at.and_then(|at| lines.get(at))?;
        let label = page.words.say1("digest-number", "number", &line.number.to_string());
        Some((format!("/newsletters/{}/issues/{}", newsletter.slug, line.number), label))
    };
    let sheet = Sheet::new(app, &page, newsletter, issue);
    crate::web::render(&IssuePage {
        title: page.words.say_with(
            "digest-issue-title",
            &[
                ("subject", sheet.subject.as_str().into()),
                ("number", sheet.number_text.as_str().into()),
                ("newsletter", newsletter.name.as_str().into()),
            ],
        ),
        previous: neighbour(at.map(|at| at + 1)),
        next: neighbour(at.and_then(|at| at.checked_sub(1))),
        card: Card::new(&page, newsletter),
        appeal: Appeal::new(app, &page, newsletter),
        form: SignUpForm::new(&newsletter.slug),
        sheet,
        page,
    })
}

async fn issue(
    State(app): State<Shared>,
    Path((slug, number)): Path<(String, i64)>,
    page: Page,
) -> Result<Response, Problem> {
    let newsroom = app.newsroom();
    let newsletter = newsroom.newsletter(&slug).ok_or(Problem::NotFound)?;
    let issue = store::archived(&app.db, &slug, number).await?.ok_or(Problem::NotFound)?;
    issue_page(&app, page.speaking(newsletter.language), newsletter, &issue).await
}

/// The latest issue; before there is one, the newsletter's page says when it comes.
async fn preview(State(app): State<Shared>, Path(slug): Path<String>, page: Page) -> Result<Response, Problem> {
    let newsroom = app.newsroom();
    let newsletter = newsroom.newsletter(&slug).ok_or(Problem::NotFound)?;
    match store::latest(&app.db, &slug).await? {
        Some(issue) => issue_page(&app, page.speaking(newsletter.language), newsletter, &issue).await,
        None => {
            let form = SignUpForm::new(&slug);
            newsletter_page(&app, page, &slug, form).await
        }
    }
}

struct Month {
    title: String,
    lines: Vec<Line>,
}

struct Line {
    label: String,
    day: String,
    iso: String,
    path: String,
    subject: String,
    preheader: String,
}

struct Other {
    card: Card,
    none: Option<String>,
}

#[derive(Template)]
#[template(path = "digest/pages/archive.html")]
struct ArchivePage {
    page: Page,
    card: Card,
    title: String,
    count: String,
    months: Vec<Month>,
    /// Each with its page; the one that is shown with none.
    years: Vec<(i16, String)>,
    none_yet: String,
    others: Vec<Other>,
    form: SignUpForm,
}

#[derive(Deserialize)]
struct WhichYear {
    year: Option<i16>,
}

async fn archive(
    State(app): State<Shared>,
    Path(slug): Path<String>,
    Query(which): Query<WhichYear>,
    page: Page,
) -> Result<Response, Problem> {
    let newsroom = app.newsroom();
    let newsletter = newsroom.newsletter(&slug).ok_or(Problem::NotFound)?;
    let page = page.speaking(newsletter.language);
    let now = app.clock.now();
    let zone = newsletter.zone();
    let date = |at: Moment| at.to_jiff().to_zoned_datetime(zone.clone()).date();
    let lines = store::archive(&app.db, &slug).await?;
    let mut years: Vec<i16> = lines.iter().map(|line| date(line.frozen_at).year()).collect();
    years.dedup();
    let year = which.year.filter(|year| years.contains(year)).or(years.first().copied());
    let mut months: Vec<Month> = Vec::new();
    for line in lines.iter().filter(|line| Some(date(line.frozen_at).year()) == year) {
        let date = date(line.frozen_at);
        let title = page.words.say_with(
            "digest-month-year",
            &[("month", i64::from(date.month()).into()), ("year", date.year().to_string().into())],
        );
        let shown = Line {
            label: page.words.say1("digest-number", "number", &line.number.to_string()),
            day: page.words.say_with(
                "digest-day-short",
                &[("day", date.day().to_string().into()), ("month", i64::from(date.month()).into())],
            ),
            iso: iso_day(line.frozen_at, &zone),
            path: format!("/newsletters/{slug}/issues/{}", line.number),
            subject: line.subject.clone(),
            preheader: line.preheader.clone(),
        };
        match months.last_mut() {
            Some(month) if month.title == title => month.lines.push(shown),
            _ => months.push(Month { title, lines: vec![shown] }),
        }
    }
    let mut others = Vec::new();
    for other in newsroom.newsletters.iter().filter(|other| other.slug != slug) {
        let none =
            store::latest(&app.db, &other.slug).await?.is_none().then(|| calendar::none_yet(&page.words, other, now));
        others.push(Other { card: Card::new(&page, other), none });
    }
    let in_year: usize = months.iter().map(|month| month.lines.len()).sum();
    crate::web::render(&ArchivePage {
        title: page.words.say1("digest-archive-of", "newsletter", &newsletter.name),
        count: year
            .map(|year| {
                let arguments = [("n", (in_year as i64).into()), ("year", year.to_string().into())];
                page.words.say_with("digest-archive-count", &arguments)
            })
            .unwrap_or_default(),
        years: years
            .into_iter()
            .map(|other| {
                (
                    other,
                    if Some(other) == year {
                        String::new()
                    } else {
                        format!("/newsletters/{slug}/issues?year={other}")
                    },
                )
            })
            .collect(),
        none_yet: calendar::none_yet(&page.words, newsletter, now),
        card: Card::new(&page, newsletter),
        form: SignUpForm::new(&slug),
        months,
        others,
        page,
    })
}

async fn atom(State(app): State<Shared>, Path(slug): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let newsroom = app.newsroom();
    let newsletter = newsroom.newsletter(&slug).ok_or(Problem::NotFound)?;
    let issues = store::newest(&app.db, &slug, 20).await?;
    let xml = feed::atom(&newsroom, newsletter, &app.config.base_url, &issues);
    let tag = format!("\"{}\"", data_encoding::HEXLOWER.encode(&Sha256::digest(&xml)[..12]));
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let head = [
        (header::CONTENT_TYPE, "application/atom+xml; charset=utf-8".to_owned()),
        (header::CACHE_CONTROL, "public, max-age=300".to_owned()),
        (header::ETAG, tag.clone()),
    ];
    // A cache on the way may have marked the tag as weak.
    if known.split(',').any(|other| other.trim().trim_start_matches("W/") == tag) {
        return Ok((StatusCode::NOT_MODIFIED, head).into_response());
    }
    Ok((head, xml).into_response())
}
