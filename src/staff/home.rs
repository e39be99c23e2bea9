//! The desk's first page: this Friday, what is missing, what needs somebody, how the last one went.
//!
//! A person who opens it should know within a few seconds whether this Friday is safe. So it is put together here, in
//! plain words, from totals that [`super::overview`] reads; the template only sets it.

use askama::Template;

use super::week::{self, Week};
use super::{Desk, DeskPage, Role, StaffError, log, overview, phrase};
use crate::app::App;
use crate::clock::Moment;
use crate::money::{Currency, Money};
use crate::newsroom::{Newsletter, Newsroom};
use crate::words::{Language, grouped};

/// The page.
#[derive(Template)]
#[template(path = "staff/pages/desk.html")]
pub struct Home {
    desk: DeskPage,
    head: Head,
    week: Week,
    beginning: Option<Vec<Line>>,
    checks: Vec<Line>,
    good: usize,
    alarms: Vec<Line>,
    coming: Vec<Coming>,
    figures: Vec<Figure>,
    last: Option<Last>,
    log: Vec<phrase::Line>,
}

struct Head {
    newsletter: String,
    lang: &'static str,
    number: i64,
    state: &'static str,
    tone: &'static str,
    subject: Option<String>,
    about: String,
    issue: Option<i64>,
    going_out: bool,
    audience: Option<String>,
}

/// A state in a word, a sentence, and where to go for it.
struct Line {
    tone: &'static str,
    word: &'static str,
    text: String,
    link: Option<(String, &'static str)>,
}

struct Coming {
    name: String,
    lang: &'static str,
    tone: &'static str,
    text: String,
}

struct Figure {
    label: &'static str,
    value: String,
    note: String,
}

struct Last {
    id: i64,
    title: String,
    lang: &'static str,
    when: String,
    all: i64,
    sent: i64,
    lines: Vec<Line>,
}

/// What is known of a newsletter's next issue.
struct Next<'a> {
    newsletter: &'a Newsletter,
    issue: Option<overview::Issue>,
    at: Moment,
}

/// Puts the page together for the person at the desk.
pub async fn home(app: &App, desk: &Desk) -> Result<Home, StaffError> {
    let now = app.clock.now();
    let newsroom = app.newsroom();
    let circles = overview::circles(&app.db, now).await?;
    let mut nexts = nexts(app, &newsroom, now).await?;
    // OK because a newsroom without a newsletter is refused at the start.
    let first = nexts.remove(0);
    let readers_of = |slug: &str| circles.iter().find(|c| c.newsletter == slug).map_or(0, |c| c.everybody);
    let last = last(app, &newsroom).await?;
    let readers = overview::readers(&app.db, now).await?;
    let begun = last.is_some() || (readers.everybody > 0 && first.issue.is_some());
    let checks = first.issue.as_ref().map(|issue| checks(app, &newsroom, issue)).unwrap_or_default();
    Ok(Home {
        head: head(app, &first, readers_of(&first.newsletter.slug)).await?,
        week: week::week(now, first.at, &first.newsletter.zone()),
        beginning: if begun { None } else { Some(beginning(app, &newsroom, &first, readers.everybody).await?) },
        good: checks.iter().filter(|check| check.tone == "is-good").count(),
        checks,
        alarms: alarms(app, desk, &first, &nexts).await?,
        coming: nexts.iter().map(coming).collect(),
        figures: figures(app, desk, &readers, now, &first.newsletter.zone()).await?,
        last,
        log: phrase::lines(
            log::entries(&app.db, &app.keys, desk.id, desk.role, 0, 6).await?,
            &first.newsletter.zone(),
            now,
        ),
        desk: DeskPage::new(desk, "desk"),
    })
}

/// The next issue of each newsletter; the one that needs looking at first comes first.
async fn nexts<'a>(app: &App, newsroom: &'a Newsroom, now: Moment) -> Result<Vec<Next<'a>>, StaffError> {
    let open = overview::open_issues(&app.db).await?;
    let next = |newsletter: &'a Newsletter| {
        let issue = open.iter().find(|issue| issue.newsletter == newsletter.slug).cloned();
        let slot = newsletter.goes_out().map(|goes_out| week::next(now, &newsletter.zone(), goes_out));
        let at = issue.as_ref().and_then(|issue| issue.scheduled_at).or(slot).unwrap_or(now);
        Next { newsletter, issue, at }
    };
    let mut nexts: Vec<Next> = newsroom.newsletters.iter().map(next).collect();
    // Begun before not begun, then the soonest. Stable: otherwise in the newsroom's own order.
    nexts.sort_by_key(|next| (next.issue.is_none(), next.at));
    Ok(nexts)
}

async fn head(app: &App, next: &Next<'_>, readers: i64) -> Result<Head, StaffError> {
    let number = match next.issue.as_ref().and_then(|issue| issue.number) {
        Some(number) => number,
        None => overview::next_number(&app.db, &next.newsletter.slug).await?,
    };
    let (tone, state) = next.issue.as_ref().map_or(("", "Not begun"), |issue| state(&issue.state));
    Ok(Head {
        newsletter: next.newsletter.name.clone(),
        lang: next.newsletter.language.as_str(),
        number,
        state,
        tone,
        subject: next.issue.as_ref().map(|issue| issue.subject.clone()).filter(|subject| !subject.trim().is_empty()),
        about: about(next),
        issue: next.issue.as_ref().map(|issue| issue.id),
        going_out: next
            .issue
            .as_ref()
            .is_some_and(|issue| ["sending", "paused", "held"].contains(&issue.state.as_str())),
        audience: (readers > 0).then(|| count(readers, "reader", "readers")),
    })
}

fn about(next: &Next<'_>) -> String {
    let Some(issue) = &next.issue else { return "Nobody has begun it yet.".to_owned() };
    let zone = next.newsletter.zone();
    let saved = issue.changed_at.to_jiff().to_zoned_datetime(zone).strftime("%A %H:%M").to_string();
    let articles = match issue.articles {
        0 => "No articles yet".to_owned(),
        n => format!("{} in {}", count(n, "article", "articles"), count(issue.sections, "section", "sections")),
    };
    format!("{articles}. Last saved {saved}.")
}

/// The tone and the word of an issue's state.
fn state(state: &str) -> (&'static str, &'static str) {
    match state {
        "draft" => ("is-warn", "Draft"),
        "scheduled" => ("is-good", "Scheduled"),
        "held" => ("is-bad", "Held"),
        "sending" => ("is-good", "Going out"),
        "paused" => ("is-warn", "Paused"),
        "sent" => ("is-good", "Sent"),
        _ => ("", "Cancelled"),
    }
}

fn line(tone: &'static str, word: &'static str, text: impl Into<String>) -> Line {
    Line { tone, word, text: text.into(), link: None }
}

impl Line {
    fn to(mut self, href: impl Into<String>, link: &'static str) -> Line {
        self.link = Some((href.into(), link));
        self
    }
}

/// What an issue needs before it can go, the worst first.
fn checks(app: &App, newsroom: &Newsroom, issue: &overview::Issue) -> Vec<Line> {
    let page = format!("/staff/issues/{}", issue.id);
    let must = |ok: bool, good: &str, bad: &str| {
        if ok { line("is-good", "Good", good) } else { line("is-bad", "Not yet", bad).to(page.clone(), "To the issue") }
    };
    let should = |ok: bool, good: &str, warn: &str| {
        if ok { line("is-good", "Good", good) } else { line("is-warn", "Look", warn).to(page.clone(), "To the issue") }
    };
    let repeated = format!("{} in an earlier issue", count(issue.repeated, "article was", "articles were"));
    let tested = match issue.tested_at {
        Some(at) if at >= issue.changed_at => should(true, "Test sent", ""),
        Some(_) => should(false, "", "Changed since the last test"),
        None => should(false, "", "No test sent yet"),
    };
    let mut checks = vec![
        must(issue.articles > 0, &count(issue.articles, "article", "articles"), "No articles yet"),
        must(!issue.subject.trim().is_empty(), "Subject", "No subject yet"),
        must(issue.state != "draft", "Scheduled", "Not scheduled"),
        should(
            !issue.preheader.trim().is_empty(),
            "Preheader",
            "No preheader: mail programs show the first lines instead",
        ),
        should(issue.repeated == 0, "No article was in an earlier issue", &repeated),
        tested,
        match newsroom.postal_address.trim() {
            "" => line(
                "is-bad",
                "Not yet",
                "No postal address, which the law wants in every mail: set it in newsroom.toml",
            ),
            _ => line("is-good", "Good", "Postal address, unsubscribe link"),
        },
        match app.config.smtp {
            Some(_) => line("is-good", "Good", "A mail server is set"),
            None => {
                line("is-warn", "Look", "No mail server: mails stay on this machine, in its").to("/mailbox", "mailbox")
            }
        },
    ];
    let rank = |check: &Line| ["is-bad", "is-warn", "is-good"].iter().position(|tone| *tone == check.tone);
    checks.sort_by_key(rank);
    checks
}

/// The way to a first Friday.
async fn beginning(app: &App, newsroom: &Newsroom, first: &Next<'_>, readers: i64) -> Result<Vec<Line>, StaffError> {
    let (feeds, _) = overview::feeds(&app.db).await?;
    let steps = [
        (!newsroom.postal_address.trim().is_empty(), line("", "", "Name and postal address, in newsroom.toml")),
        (feeds > 0, line("", "", "A feed, so that articles arrive by themselves:").to("/staff/feeds", "Feeds")),
        (
            app.config.smtp.is_some(),
            line("", "", "A mail server (FRIDAY_SMTP_URL); until then every mail lands in the")
                .to("/mailbox", "mailbox of this machine"),
        ),
        (
            readers > 0,
            line("", "", "A first reader: put the sign-up box on your site, or try the").to("/", "sign-up page"),
        ),
        (first.issue.is_some(), line("", "", "The first issue:").to("/staff/issues", "Issues")),
    ];
    let mut waiting = ["Next"].into_iter();
    let step = |(done, step): (bool, Line)| match done {
        true => Line { tone: "is-good", word: "Done", ..step },
        false => Line { word: waiting.next().unwrap_or("Then"), ..step },
    };
    Ok(steps.into_iter().map(step).collect())
}

/// What needs somebody.
async fn alarms(app: &App, desk: &Desk, first: &Next<'_>, others: &[Next<'_>]) -> Result<Vec<Line>, StaffError> {
    let mut alarms = Vec::new();
    let held = std::iter::once(first)
        .chain(others)
        .filter_map(|next| next.issue.as_ref())
        .filter(|issue| issue.state == "held");
    for issue in held {
        let text = "An issue missed its time and is held: it goes out only when somebody says so.";
        alarms.push(line("is-bad", "Held", text).to(format!("/staff/delivery/{}", issue.id), "Decide"));
    }
    let (_, failing) = overview::feeds(&app.db).await?;
    if failing > 0 {
        let text = format!("{}. Friday goes on trying.", count(failing, "feed does not answer", "feeds do not answer"));
        alarms.push(line("is-warn", "Feeds", text).to("/staff/feeds", "Feeds"));
    }
    if desk.role.covers(Role::Finance) {
        let open = overview::giving_alarms(&app.db).await?;
        if open > 0 {
            let text = format!("{} to be looked at.", count(open, "alarm has", "alarms have"));
            alarms.push(line("is-bad", "Giving", text).to("/staff/giving", "Giving"));
        }
        let failed = overview::failed_events(&app.db).await?;
        if failed > 0 {
            let text = format!("{} could not be counted.", count(failed, "event of Stripe’s", "events of Stripe’s"));
            alarms.push(line("is-bad", "Giving", text).to("/staff/giving", "Giving"));
        }
    }
    Ok(alarms)
}

fn coming(next: &Next<'_>) -> Coming {
    let at = next.at.to_jiff().to_zoned_datetime(next.newsletter.zone()).strftime("%a %H:%M").to_string();
    let (tone, word) = next.issue.as_ref().map_or(("", "Not begun"), |issue| state(&issue.state));
    Coming {
        name: next.newsletter.name.clone(),
        lang: next.newsletter.language.as_str(),
        tone,
        text: format!("{word}, {at}"),
    }
}

async fn figures(
    app: &App,
    desk: &Desk,
    readers: &overview::Readers,
    now: Moment,
    zone: &jiff::tz::TimeZone,
) -> Result<Vec<Figure>, StaffError> {
    let joined = overview::joined(&app.db, now.week()).await?;
    let mut figures = vec![
        Figure {
            label: "Readers",
            value: number(readers.everybody),
            note: if readers.everybody == 0 { "nobody yet".into() } else { "all newsletters, each once".into() },
        },
        Figure { label: "Joined this week", value: number(joined), note: "since Monday, and still here".into() },
    ];
    if desk.role.covers(Role::Finance) {
        figures.extend(giving(app, now, zone).await?);
    } else {
        let note = "come back by themselves".into();
        figures.push(Figure { label: "Paused", value: number(readers.paused), note });
    }
    Ok(figures)
}

async fn giving(app: &App, now: Moment, zone: &jiff::tz::TimeZone) -> Result<Vec<Figure>, StaffError> {
    if app.config.stripe.is_none() {
        return Ok(vec![Figure { label: "Monthly gifts", value: "–".into(), note: "Stripe is not set".into() }]);
    }
    let gifts = overview::gifts(&app.db).await?;
    let of = |wanted: &str| {
        let some: Vec<_> = gifts.iter().filter(|(frequency, ..)| frequency == wanted).collect();
        let sums = some.iter().map(|(_, currency, sum, ..)| money(*sum, currency)).collect::<Vec<_>>().join(" + ");
        let supporters = some.iter().map(|(.., supporters, _)| *supporters).sum::<i64>();
        (if sums.is_empty() { "0".to_owned() } else { sums }, supporters)
    };
    let failing: i64 = gifts.iter().map(|(.., failing)| *failing).sum();
    let month = now.to_jiff().to_zoned_datetime(zone.clone()).date().first_of_month();
    let since = month.to_zoned_datetime(zone.clone()).map(|at| Moment::from(at.timestamp())).unwrap_or(now);
    let received = overview::received(&app.db, since).await?;
    let payments = received.iter().map(|(.., payments)| *payments).sum::<i64>();
    let sums = received.iter().map(|(currency, sum, _)| money(*sum, currency)).collect::<Vec<_>>().join(" + ");
    let (monthly, monthly_supporters) = of("monthly");
    let (annual, annual_supporters) = of("annual");
    Ok(vec![
        Figure { label: "Monthly gifts", value: monthly, note: count(monthly_supporters, "supporter", "supporters") },
        Figure { label: "Annual gifts", value: annual, note: count(annual_supporters, "supporter", "supporters") },
        Figure {
            label: "This month",
            value: if sums.is_empty() { "0".into() } else { sums },
            note: count(payments, "payment", "payments"),
        },
        Figure { label: "Failing", value: number(failing), note: "a renewal was refused".into() },
    ])
}

async fn last(app: &App, newsroom: &Newsroom) -> Result<Option<Last>, StaffError> {
    let Some(issue) = overview::last_sent(&app.db).await? else { return Ok(None) };
    let overview::Run { readers, sent, failed, skipped } = overview::run(&app.db, issue.id).await?;
    let newsletter = newsroom.newsletter(&issue.newsletter);
    let zone = newsletter.map_or(jiff::tz::TimeZone::UTC, Newsletter::zone);
    let at = issue.finished_at.or(issue.frozen_at);
    let mut lines =
        vec![line("is-good", "Sent", format!("{} accepted by the readers’ servers", count(sent, "mail", "mails")))];
    if failed > 0 {
        lines.push(line("is-bad", "Failed", format!("{} refused", count(failed, "mail", "mails"))));
    }
    if skipped > 0 {
        lines.push(line("", "Gone", count(skipped, "reader who had gone meanwhile", "readers who had gone meanwhile")));
    }
    Ok(Some(Last {
        id: issue.id,
        title: match issue.number {
            Some(number) => format!("No. {number}: {}", issue.subject),
            None => issue.subject,
        },
        lang: newsletter.map_or("en", |newsletter| newsletter.language.as_str()),
        when: at
            .map(|at| at.to_jiff().to_zoned_datetime(zone).strftime("%A, %-d %B %Y, %H:%M").to_string())
            .unwrap_or_default(),
        all: readers.max(1),
        sent,
        lines,
    }))
}

/// An amount of minor units, as staff read it.
fn money(minor: i64, code: &str) -> String {
    match Currency::from_code(code) {
        Ok(currency) => Money::new(minor, currency).display(Language::En),
        Err(_) => format!("{minor} {code}"),
    }
}

/// `12,408`.
pub fn number(n: i64) -> String {
    grouped(n.unsigned_abs(), ",")
}

/// `1 reader`, `12,408 readers`.
pub fn count(n: i64, one: &str, many: &str) -> String {
    format!("{} {}", number(n), if n == 1 { one } else { many })
}
