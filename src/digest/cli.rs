//! `friday issue list`, `new`, `add`, `show` and `test`: what the composer does, for scripts. With `--json` each prints one
//! object that begins as [`brief`].

use crate::address::Address;
use crate::app::Shared;
use crate::articles;
use crate::digest::proof::Proof;
use crate::digest::{Entry, Issue, sections, store, subject};
use crate::staff::{self, Actor};
use crate::subscribers::Edition;
use crate::words::Language;
use clap::Subcommand;
use serde_json::Value;

/// Putting an issue together.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists issues, what still needs work first.
    List {
        /// Only this newsletter's.
        #[arg(long, value_name = "SLUG")]
        newsletter: Option<String>,
        /// At most so many.
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        limit: i64,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Begins a draft and prints its id.
    New {
        /// The newsletter's slug.
        newsletter: String,
        /// Its subject; without one, the first headline is taken.
        #[arg(long, default_value = "")]
        subject: String,
        /// Fills it with the newest N articles.
        #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..=100))]
        top: i64,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Adds articles by their addresses. Those that no feed has brought are fetched.
    Add {
        /// The issue.
        id: i64,
        /// The articles' addresses.
        #[arg(required = true, value_name = "URL")]
        urls: Vec<String>,
        /// The section they stand in; else each article's own.
        #[arg(long)]
        section: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows what is in an issue.
    Show {
        /// The issue.
        id: i64,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Sends an issue as it is now to a few addresses, marked as a test.
    Test {
        /// The issue.
        id: i64,
        /// To whom.
        #[arg(required = true, value_name = "ADDRESS")]
        addresses: Vec<String>,
        /// Only this edition (`full`, `links`, `plain`); may be given several times. Without it, all that readers have chosen.
        #[arg(long = "edition", value_name = "EDITION", value_parser = edition)]
        editions: Vec<Edition>,
        /// Only this language of the mail's frame. Without it, all that readers have chosen.
        #[arg(long, value_parser = language)]
        language: Option<Language>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

fn edition(name: &str) -> Result<Edition, String> {
    Edition::parse(name).ok_or_else(|| "an edition is full, links or plain".to_owned())
}

fn language(name: &str) -> Result<Language, String> {
    Language::parse(name).ok_or_else(|| "a language is en or ru".to_owned())
}

type Failure = Box<dyn std::error::Error>;

/// Runs a subcommand.
pub async fn run(app: &Shared, command: Command) -> Result<(), Failure> {
    match command {
        Command::List { newsletter, limit, json } => list(app, newsletter.as_deref(), limit, json).await,
        Command::New { newsletter, subject, top, json } => new(app, &newsletter, &subject, top, json).await,
        Command::Add { id, urls, section, json } => add(app, id, &urls, section.as_deref(), json).await,
        Command::Show { id, json } => show(app, id, json).await,
        Command::Test { id, addresses, editions, language, json } => {
            let (sent, issue) = test(app, id, &addresses, editions, language).await?;
            answer(
                json,
                brief(&issue),
                &[("mails", sent.into())],
                &format!("{sent} test mails of issue {id} written."),
            );
            Ok(())
        }
    }
}

/// What every answer about an issue begins with.
pub fn brief(issue: &Issue) -> Value {
    serde_json::json!({
        "id": issue.id,
        "newsletter": issue.newsletter,
        "number": issue.number,
        "state": issue.state.as_str(),
        "scheduled_at": issue.scheduled_at.map(|at| at.to_string()),
    })
}

/// Says what was done: an object with `more` in it, or a sentence.
pub fn answer(json: bool, mut object: Value, more: &[(&str, Value)], sentence: &str) {
    if !json {
        return println!("{sentence}");
    }
    for (name, value) in more {
        object[*name] = value.clone();
    }
    println!("{object:#}");
}

async fn stored(app: &Shared, id: i64) -> Result<Issue, Failure> {
    Ok(store::issue(&app.db, id).await?.ok_or_else(|| format!("there is no issue {id}"))?)
}

async fn list(app: &Shared, newsletter: Option<&str>, limit: i64, json: bool) -> Result<(), Failure> {
    if let Some(slug) = newsletter {
        known(app, slug)?;
    }
    let mut lines = store::list(&app.db, i64::MAX).await?;
    lines.retain(|line| newsletter.is_none_or(|slug| line.newsletter == slug));
    lines.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    if json {
        let line = |line: &store::Line| {
            serde_json::json!({
                "id": line.id,
                "newsletter": line.newsletter,
                "number": line.number,
                "state": line.state,
                "scheduled_at": line.scheduled_at.map(|at| at.to_string()),
                "subject": line.subject,
                "entries": line.entries,
            })
        };
        println!("{:#}", serde_json::json!({ "issues": lines.iter().map(line).collect::<Vec<_>>() }));
        return Ok(());
    }
    for line in &lines {
        let number = line.number.map(|number| format!("No. {number}")).unwrap_or_default();
        println!("{:>5} {:<10} {:<12} {number:<8} {}", line.id, line.state, line.newsletter, line.subject);
    }
    if lines.is_empty() {
        println!("There is no issue yet; friday issue new NEWSLETTER begins one.");
    }
    Ok(())
}

/// Refuses a newsletter that is in no settings.
fn known(app: &Shared, newsletter: &str) -> Result<(), Failure> {
    let newsroom = app.newsroom();
    if newsroom.newsletter(newsletter).is_some() {
        return Ok(());
    }
    let known: Vec<&str> = newsroom.newsletters.iter().map(|n| n.slug.as_str()).collect();
    Err(format!("there is no newsletter \"{newsletter}\"; there is {}", known.join(", ")).into())
}

async fn new(app: &Shared, newsletter: &str, subject: &str, top: i64, json: bool) -> Result<(), Failure> {
    known(app, newsletter)?;
    let newest: Vec<i64> = articles::store::newest(&app.db, top).await?.iter().map(|article| article.id).collect();
    if top > 0 && newest.is_empty() {
        return Err("there are no articles yet; `friday feeds fetch` reads the feeds".into());
    }
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let id = store::create(&mut tx, now, newsletter, subject).await?;
    store::add(&mut tx, now, id, &newest, None).await?;
    staff::store::record(&mut tx, &Actor::Cli, now, "issue.new", &format!("issue {id}")).await?;
    tx.commit().await?;
    answer(json, brief(&stored(app, id).await?), &[("entries", newest.len().into())], &id.to_string());
    Ok(())
}

async fn add(app: &Shared, id: i64, urls: &[String], section: Option<&str>, json: bool) -> Result<(), Failure> {
    stored(app, id).await?;
    let mut found = Vec::new();
    for url in urls {
        let article = articles::add_by_url(app, Actor::Cli, url).await.map_err(|error| format!("{url}: {error}"))?;
        found.push(article.id);
    }
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let added = store::add(&mut tx, now, id, &found, section).await?;
    let added = added.ok_or_else(|| format!("issue {id} is frozen: nothing can be added"))?;
    staff::store::record(&mut tx, &Actor::Cli, now, "issue.add", &format!("issue {id}, {added} articles")).await?;
    tx.commit().await?;
    let already = found.len() - added;
    let more = [("added", added.into()), ("already", already.into())];
    answer(json, brief(&stored(app, id).await?), &more, &format!("{added} added, {already} already in issue {id}."));
    Ok(())
}

async fn show(app: &Shared, id: i64, json: bool) -> Result<(), Failure> {
    let issue = stored(app, id).await?;
    let entries = store::entries(&app.db, id).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&as_json(&issue, &entries))?);
        return Ok(());
    }
    println!("Issue {id} of {}: {}", issue.newsletter, issue.state);
    if let Some(number) = issue.number {
        println!("No. {number}");
    }
    println!("Subject: {}", subject(&issue, &entries, &issue.newsletter));
    if !issue.preheader.is_empty() {
        println!("Preheader: {}", issue.preheader);
    }
    if let Some(at) = issue.scheduled_at {
        println!("Scheduled: {at}");
    }
    if !issue.introduction.is_empty() {
        println!("\n{}", issue.introduction);
    }
    for (section, inside) in sections(&entries) {
        println!("\n{section}");
        for entry in inside {
            println!("- {}\n  {}", entry.headline(), entry.piece.url);
        }
    }
    Ok(())
}

fn as_json(issue: &Issue, entries: &[Entry]) -> serde_json::Value {
    let entry = |entry: &Entry| {
        serde_json::json!({
            "article": entry.article_id,
            "section": entry.section,
            "headline": entry.headline(),
            "blurb": entry.blurb(),
            "url": entry.piece.url,
            "author": entry.piece.author,
            "published_at": entry.piece.published_at.to_string(),
        })
    };
    let time = |at: Option<crate::clock::Moment>| at.map(|at| at.to_string());
    serde_json::json!({
        "id": issue.id,
        "newsletter": issue.newsletter,
        "number": issue.number,
        "state": issue.state.as_str(),
        "subject": subject(issue, entries, &issue.newsletter),
        "preheader": issue.preheader,
        "introduction": issue.introduction,
        "scheduled_at": time(issue.scheduled_at),
        "frozen_at": time(issue.frozen_at),
        "finished_at": time(issue.finished_at),
        "entries": entries.iter().map(entry).collect::<Vec<_>>(),
    })
}

async fn test(
    app: &Shared,
    id: i64,
    addresses: &[String],
    editions: Vec<Edition>,
    language: Option<Language>,
) -> Result<(usize, Issue), Failure> {
    let mut to = Vec::new();
    for (at, address) in (1..).zip(addresses) {
        // Standard error often ends in a log, so the address is not quoted.
        to.push(Address::parse(address).map_err(|error| format!("address {at} of {}: {error}", addresses.len()))?);
    }
    let proof = Proof::of(app, id).await?;
    let versions = wanted(proof.versions(app).await?, &editions, language, proof.newsletter.language);
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let sent = proof.send_test(app, &mut tx, &to, &versions).await?;
    staff::store::record(&mut tx, &Actor::Cli, now, "issue.test", &format!("issue {id}")).await?;
    tx.commit().await?;
    // Handed over at once, so that the command has an answer; what the mail server does not take now is tried again later.
    while crate::mail::outbox::step(&app.outbox_hand()).await? {}
    Ok((sent, stored(app, id).await?))
}

/// What readers have chosen, as far as it was asked for; what was asked for and nobody chose, too.
fn wanted(
    chosen: Vec<(Edition, Language)>,
    editions: &[Edition],
    language: Option<Language>,
    own: Language,
) -> Vec<(Edition, Language)> {
    match (editions, language) {
        ([], None) => chosen,
        ([], Some(language)) => Edition::ALL.map(|edition| (edition, language)).to_vec(),
        (editions, language) => editions.iter().map(|edition| (*edition, language.unwrap_or(own))).collect(),
    }
}
