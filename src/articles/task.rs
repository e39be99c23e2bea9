//! Reading the feeds, again and again, and single pages when staff ask for one.

use std::time::Duration;

use futures_util::future::try_join_all;
use reqwest::Url;
use sha2::{Digest, Sha256};

use super::feed::{self, Document, FeedError};
use super::fetch::{Answer, FEEDS, FetchError, Fetcher, Fresh, PAGES, Validators};
use super::page::{self, PageError};
use super::store::{self, Claim, Reading, Taken};
use super::{Article, pause};
use crate::app::{App, Shared};
use crate::db;
use crate::staff::Actor;
use crate::staff::store::record;
use crate::worker::{StepError, Task};

/// The name to wake the reading by.
pub const TASK: &str = "feeds";

/// How many feeds are read at once.
const AT_ONCE: usize = 4;

/// Longer than one reading can take: fetch, parse and write all end before. After it another process may try.
const LEASE: Duration = Duration::from_secs(180);

/// The room's background work.
pub fn tasks() -> Vec<Task<Shared>> {
    vec![Task::new(TASK, Duration::from_secs(60), |app: Shared| async move { step(&app).await })]
}

/// Reads every feed that is due. Whether there was one. An error is of the database and tried again: a feed that was held
/// at that moment becomes free when its lease ends, and reading it twice changes nothing.
pub async fn step(app: &Shared) -> Result<bool, StepError> {
    store::add_missing(&app.db, app.clock.now(), &app.newsroom().feeds).await?;
    let outcomes = read_due(app, &|_| {}).await?;
    Ok(!outcomes.is_empty())
}

/// Why a feed brought nothing, in one sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// It was not reached
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It is not a feed
    #[error(transparent)]
    Feed(#[from] FeedError),
}

/// How the reading of one feed went.
#[derive(Debug)]
pub struct Outcome {
    /// The feed's address
    pub url: String,
    /// What it brought; `None`: it had not changed
    pub result: Result<Option<Taken>, Trouble>,
}

/// Reads every feed that is due, several at once, and tells `each` as it ends.
pub async fn read_due(app: &App, each: &(dyn Fn(&Outcome) + Sync)) -> Result<Vec<Outcome>, StepError> {
    let Some(first) = claim(app).await? else { return Ok(Vec::new()) };
    let fetcher = Fetcher::new(app.config.fetch_private)?;
    let held = std::iter::once(Some(first)).chain(std::iter::repeat_with(|| None)).take(AT_ONCE);
    let outcomes = try_join_all(held.map(|held| read_in_turn(app, &fetcher, held, each))).await?;
    Ok(outcomes.into_iter().flatten().collect())
}

/// Reads one feed after another until none is due.
async fn read_in_turn(
    app: &App,
    fetcher: &Fetcher,
    held: Option<Claim>,
    each: &(dyn Fn(&Outcome) + Sync),
) -> db::Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    let mut held = match held {
        Some(claim) => Some(claim),
        None => claim(app).await?,
    };
    while let Some(feed) = held {
        let outcome = read(app, fetcher, feed).await?;
        each(&outcome);
        outcomes.push(outcome);
        held = claim(app).await?;
    }
    Ok(outcomes)
}

async fn claim(app: &App) -> db::Result<Option<Claim>> {
    let now = app.clock.now();
    store::claim(&app.db, now, now + LEASE).await
}

/// Reads one feed that is held, and lets it go.
async fn read(app: &App, fetcher: &Fetcher, claim: Claim) -> db::Result<Outcome> {
    let asked = match fetch(app, fetcher, &claim.url, &claim.validators()).await {
        Ok(Answer::Fresh(fresh)) => take(app, &claim, fresh).await?,
        Ok(Answer::NotModified) => {
            let now = app.clock.now();
            store::finish_same(&app.db, &claim, now, now + pause(0, None, db::new_id())).await?;
            Ok(None)
        }
        Err(error) => Err(error.into()),
    };
    if let Err(trouble) = &asked {
        give_up(app, &claim, trouble).await?;
    }
    Ok(Outcome { url: claim.url, result: asked })
}

async fn fetch(app: &App, fetcher: &Fetcher, url: &str, known: &Validators) -> Result<Answer, FetchError> {
    let url = Url::parse(url).map_err(|_| FetchError::Address("This is not an address."))?;
    fetcher.get(&url, FEEDS, known, app.clock.now()).await
}

/// Keeps what came. Nothing is written unless all of it can be read: a broken answer leaves feed and articles as they are.
async fn take(app: &App, claim: &Claim, fresh: Fresh) -> db::Result<Result<Option<Taken>, Trouble>> {
    let hash = Sha256::digest(&fresh.bytes).to_vec();
    let mut reading = Reading { title: None, validators: fresh.validators, hash: Some(hash) };
    let mut entries = None;
    if reading.hash != claim.hash {
        match feed::parse(fresh.bytes, fresh.charset, fresh.url).await {
            Ok(document) => {
                reading.title = document.title;
                entries = Some(document.entries);
            }
            Err(error) => return Ok(Err(error.into())),
        }
    }
    let now = app.clock.now();
    let next = now + pause(0, None, db::new_id());
    let mut tx = app.db.begin().await?;
    if !store::finish(&mut tx, claim, now, next, &reading).await? {
        return Ok(Ok(None));
    }
    let taken = match &entries {
        Some(entries) => Some(store::take_in(&mut tx, now, Some(claim.id), entries).await?),
        None => None,
    };
    tx.commit().await?;
    Ok(Ok(taken))
}

async fn give_up(app: &App, claim: &Claim, trouble: &Trouble) -> db::Result<()> {
    let (again, gone) = match trouble {
        Trouble::Fetch(error) => (error.again(), *error == FetchError::Gone),
        Trouble::Feed(_) => (None, false),
    };
    let now = app.clock.now();
    let failures = u32::try_from(claim.failures + 1).unwrap_or(u32::MAX);
    let next = now + pause(failures, again, db::new_id());
    tracing::warn!(feed = claim.id, failures, %trouble, "a feed could not be read");
    store::finish_badly(&app.db, claim, now, next, &trouble.to_string(), gone).await
}

/// Reads a feed without keeping anything: what staff see before they add it.
pub async fn try_feed(app: &App, url: &str) -> Result<Document, Trouble> {
    let fetcher = fetcher(app)?;
    match fetch(app, &fetcher, url, &Validators::default()).await? {
        Answer::Fresh(fresh) => Ok(feed::parse(fresh.bytes, fresh.charset, fresh.url).await?),
        Answer::NotModified => Err(FetchError::Broken.into()),
    }
}

fn fetcher(app: &App) -> Result<Fetcher, FetchError> {
    Fetcher::new(app.config.fetch_private)
        .map_err(|_| FetchError::Address("This machine cannot ask other hosts: it has no certificates to trust."))
}

/// Why an article could not be added by its address, in one sentence.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// Not an address
    #[error("This is not the address of an article: it has to begin with https:// or http://.")]
    Address,
    /// Its page was not reached
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Its page is no article
    #[error(transparent)]
    Page(#[from] PageError),
    /// The database failed
    #[error("the database failed: {0}")]
    Db(#[from] db::Error),
}

/// The article at an address: the one that is here, else what its page says.
pub async fn add_by_url(app: &App, by: impl Into<Actor>, url: &str) -> Result<Article, AddError> {
    if let Some(article) = store::by_url(&app.db, url).await? {
        return Ok(article);
    }
    // Asked as it was given: a parameter that looks like tracking may still be what the page needs.
    let asked = super::feed_address(url).and_then(|u| Url::parse(&u).ok()).ok_or(AddError::Address)?;
    let now = app.clock.now();
    let fresh = match fetcher(app)?.get(&asked, PAGES, &Validators::default(), now).await? {
        Answer::Fresh(fresh) => fresh,
        Answer::NotModified => return Err(FetchError::Broken.into()),
    };
    let entry = page::parse(fresh.bytes, fresh.charset, fresh.url).await?;
    if let Some(article) = store::by_url(&app.db, &entry.url).await? {
        return Ok(article);
    }
    let mut tx = app.db.begin().await?;
    let taken = store::take_in(&mut tx, now, None, std::slice::from_ref(&entry)).await?;
    if taken.new > 0 {
        record(&mut tx, by, now, "article.add", &format!("the article {}", named(&entry.url))).await?;
    }
    tx.commit().await?;
    store::by_url(&app.db, &entry.url).await?.ok_or(AddError::Address)
}

/// A page in the log: host and path. A query may hold a key.
pub(super) fn named(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('?').next().unwrap_or(rest)
}
