//! What is kept of feeds and articles.

use super::fetch::Validators;
use super::{Article, Entry, Feed, Known, Verdict, address, dated, judge, search_text, section_named};
use crate::clock::Moment;
use crate::db::{Db, Result, Tx, new_id};
use crate::newsroom::FeedSetting;

/// How many articles a page of the picker shows.
pub const PAGE: i64 = 30;

macro_rules! feeds {
    ($which:literal) => {
        concat!(
            "SELECT id, url, title, section, paused, read_at, next_at, failures, failing_since, problem,
                (SELECT COUNT(*) FROM articles WHERE articles.feed_id = feeds.id) AS articles
            FROM feeds WHERE removed = FALSE ",
            $which
        )
    };
}

macro_rules! articles {
    ($which:expr) => {
        concat!(
            "SELECT id, feed_id, url, title, author, section, published_at, summary, body_html, image_url, image_caption,
                language, fetched_at
            FROM articles ",
            $which
        )
    };
}

/// All feeds, by name.
pub async fn feeds(db: &Db) -> Result<Vec<Feed>> {
    db.read(feeds!("ORDER BY url")).all().await
}

/// One feed.
pub async fn feed(db: &Db, id: i64) -> Result<Option<Feed>> {
    db.read(feeds!("AND id = $1")).bind(id).optional().await
}

/// Adds a feed, to be read at once. One that was removed before comes back. False: it is here already.
pub async fn add_feed(tx: &mut Tx, now: Moment, url: &str, section: &str) -> Result<bool> {
    let added = tx
        .query(
            "INSERT INTO feeds (id, url, section, next_at) VALUES ($1, $2, $3, $4)
            ON CONFLICT (url) DO UPDATE SET section = excluded.section, removed = FALSE, paused = FALSE,
                next_at = excluded.next_at, failures = 0, failing_since = NULL, problem = NULL,
                etag = NULL, last_modified = NULL, hash = NULL
            WHERE feeds.removed = TRUE",
        )
        .bind(new_id())
        .bind(url.to_owned())
        .bind(section_named(section))
        .bind(now)
        .execute()
        .await?;
    Ok(added > 0)
}

/// Adds the feeds that `newsroom.toml` names and nobody has ever seen. One that staff removed stays away.
pub async fn add_missing(db: &Db, now: Moment, settings: &[FeedSetting]) -> Result<()> {
    for setting in settings {
        let Some(url) = super::feed_address(&setting.url) else {
            tracing::warn!("a feed in newsroom.toml has no address that begins with https:// or http://");
            continue;
        };
        let known: Option<(i64,)> = db.read("SELECT id FROM feeds WHERE url = $1").bind(url.clone()).optional().await?;
        if known.is_none() {
            db.write(
                "INSERT INTO feeds (id, url, section, next_at) VALUES ($1, $2, $3, $4) ON CONFLICT (url) DO NOTHING",
            )
            .bind(new_id())
            .bind(url)
            .bind(section_named(setting.section.as_deref().unwrap_or_default()))
            .bind(now)
            .execute()
            .await?;
        }
    }
    Ok(())
}

/// Pauses a feed, or reads it again from now on.
pub async fn pause_feed(tx: &mut Tx, now: Moment, id: i64, paused: bool) -> Result<bool> {
    let changed = tx
        .query(
            "UPDATE feeds SET paused = $2, next_at = $3, failures = 0, failing_since = NULL, problem = NULL
            WHERE id = $1 AND removed = FALSE AND paused <> $2",
        )
        .bind(id)
        .bind(paused)
        .bind(now)
        .execute()
        .await?;
    Ok(changed > 0)
}

/// Sets the section of a feed's coming articles. Those that are here keep theirs until the feed changes them.
pub async fn set_section(tx: &mut Tx, id: i64, section: &str) -> Result<bool> {
    let changed = tx
        .query("UPDATE feeds SET section = $2 WHERE id = $1 AND removed = FALSE AND section <> $2")
        .bind(id)
        .bind(section_named(section))
        .execute()
        .await?;
    Ok(changed > 0)
}

/// Removes a feed. Its articles stay.
pub async fn remove_feed(tx: &mut Tx, id: i64) -> Result<bool> {
    let changed =
        tx.query("UPDATE feeds SET removed = TRUE WHERE id = $1 AND removed = FALSE").bind(id).execute().await?;
    Ok(changed > 0)
}

/// Makes every feed that is not paused due now.
pub async fn make_due(tx: &mut Tx, now: Moment) -> Result<u64> {
    tx.query("UPDATE feeds SET next_at = $1 WHERE paused = FALSE AND removed = FALSE AND next_at > $1")
        .bind(now)
        .execute()
        .await
}

/// A feed that is held for one reading.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Claim {
    /// The feed
    pub id: i64,
    /// Which reading this is
    pub lease: i64,
    /// Its address
    pub url: String,
    etag: Option<String>,
    last_modified: Option<String>,
    /// A hash of what came last time
    pub hash: Option<Vec<u8>>,
    /// How often in a row it failed
    pub failures: i64,
}

impl Claim {
    /// What the server gave last time.
    pub fn validators(&self) -> Validators {
        Validators { etag: self.etag.clone(), last_modified: self.last_modified.clone() }
    }
}

/// Holds the feed that has been due longest until `until`. The condition stands twice since PostgreSQL looks only at the
/// outer one again after it has waited for another process.
pub async fn claim(db: &Db, now: Moment, until: Moment) -> Result<Option<Claim>> {
    db.write(
        "UPDATE feeds SET lease = $1, leased_until = $2
        WHERE id = (
            SELECT id FROM feeds
            WHERE paused = FALSE AND removed = FALSE AND next_at <= $3 AND leased_until <= $3
            ORDER BY next_at, id LIMIT 1
        ) AND leased_until <= $3
        RETURNING id, lease, url, etag, last_modified, hash, failures",
    )
    .bind(new_id())
    .bind(until)
    .bind(now)
    .optional()
    .await
}

/// What a good reading leaves on its feed.
#[derive(Debug, Default)]
pub struct Reading {
    /// What it calls itself
    pub title: Option<String>,
    /// To ask with next time
    pub validators: Validators,
    /// Of the bytes
    pub hash: Option<Vec<u8>>,
}

/// Ends a reading that brought something. False: another process holds the feed by now, and what it says counts.
pub async fn finish(tx: &mut Tx, claim: &Claim, now: Moment, next: Moment, reading: &Reading) -> Result<bool> {
    let held = tx
        .query(
            "UPDATE feeds SET title = COALESCE($3, title), etag = $4, last_modified = $5, hash = $6, read_at = $7,
                next_at = $8, failures = 0, failing_since = NULL, problem = NULL, leased_until = 0
            WHERE id = $1 AND lease = $2",
        )
        .bind(claim.id)
        .bind(claim.lease)
        .bind(reading.title.clone())
        .bind(reading.validators.etag.clone())
        .bind(reading.validators.last_modified.clone())
        .bind(reading.hash.clone())
        .bind(now)
        .bind(next)
        .execute()
        .await?;
    Ok(held > 0)
}

/// Ends a reading of a feed that had not changed.
pub async fn finish_same(db: &Db, claim: &Claim, now: Moment, next: Moment) -> Result<()> {
    db.write(
        "UPDATE feeds SET read_at = $3, next_at = $4, failures = 0, failing_since = NULL, problem = NULL, leased_until = 0
        WHERE id = $1 AND lease = $2",
    )
    .bind(claim.id)
    .bind(claim.lease)
    .bind(now)
    .bind(next)
    .execute()
    .await?;
    Ok(())
}

/// Ends a reading that failed. What is here already stays, and `gone` pauses the feed: it will not come back.
pub async fn finish_badly(db: &Db, claim: &Claim, now: Moment, next: Moment, problem: &str, gone: bool) -> Result<()> {
    db.write(
        "UPDATE feeds SET failures = failures + 1, failing_since = COALESCE(failing_since, $3), next_at = $4,
            problem = $5, paused = (paused OR $6), leased_until = 0
        WHERE id = $1 AND lease = $2",
    )
    .bind(claim.id)
    .bind(claim.lease)
    .bind(now)
    .bind(next)
    .bind(problem.to_owned())
    .bind(gone)
    .execute()
    .await?;
    Ok(())
}

/// How many articles a reading brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// Never seen before
    pub new: usize,
    /// Seen before, and changed
    pub changed: usize,
}

/// Takes in what a feed says, or (with no feed) a page.
pub async fn take_in(tx: &mut Tx, now: Moment, feed: Option<i64>, entries: &[Entry]) -> Result<Taken> {
    let mut taken = Taken::default();
    let section = match feed {
        Some(id) => tx.query("SELECT section FROM feeds WHERE id = $1").bind(id).one::<(String,)>().await?.0,
        None => section_named(""),
    };
    for entry in entries {
        let known = known(tx, feed, entry).await?;
        match judge(entry, feed, known.as_ref()) {
            Verdict::Same => {}
            Verdict::New => {
                taken.new += 1;
                insert(tx, now, feed, &section, entry).await?;
            }
            Verdict::Changed(id) => {
                // An article that came by its address and is now in a feed has not changed for anybody.
                taken.changed += usize::from(known.is_some_and(|k| k.feed_id.is_some()));
                update(tx, now, id, feed, &section, entry).await?;
            }
        }
    }
    Ok(taken)
}

/// The article at the entry's address, else the one with the feed's own id for it.
async fn known(tx: &mut Tx, feed: Option<i64>, entry: &Entry) -> Result<Option<Known>> {
    let by_address = tx
        .query("SELECT id, feed_id, url, fingerprint FROM articles WHERE url = $1")
        .bind(entry.url.clone())
        .optional()
        .await?;
    if by_address.is_some() || entry.guid.is_none() || feed.is_none() {
        return Ok(by_address);
    }
    tx.query("SELECT id, feed_id, url, fingerprint FROM articles WHERE feed_id = $1 AND guid = $2")
        .bind(feed)
        .bind(entry.guid.clone())
        .optional()
        .await
}

async fn insert(tx: &mut Tx, now: Moment, feed: Option<i64>, section: &str, entry: &Entry) -> Result<()> {
    tx.query(
        "INSERT INTO articles (id, feed_id, guid, url, title, author, section, published_at, summary, body_html, image_url,
            image_caption, language, search, fingerprint, fetched_at, changed_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $16)
        ON CONFLICT DO NOTHING",
    )
    .bind(new_id())
    .bind(feed)
    .bind(entry.guid.clone())
    .bind(entry.url.clone())
    .bind(entry.title.clone())
    .bind(entry.author.clone())
    .bind(entry.section.clone().unwrap_or_else(|| section.to_owned()))
    .bind(dated(entry.published_at, now))
    .bind(entry.summary.clone())
    .bind(entry.body_html.clone())
    .bind(entry.picture.as_ref().map(|p| p.url.clone()))
    .bind(entry.picture.as_ref().map(|p| p.caption.clone()))
    .bind(entry.language.clone())
    .bind(search_text(&entry.title, entry.author.as_deref()))
    .bind(entry.fingerprint())
    .bind(now)
    .execute()
    .await?;
    Ok(())
}

/// Writes an entry over its article. A text that the feed no longer carries stays: many feeds shorten old entries.
async fn update(tx: &mut Tx, now: Moment, id: i64, feed: Option<i64>, section: &str, entry: &Entry) -> Result<()> {
    tx.query(
        "UPDATE articles SET feed_id = COALESCE($2, feed_id), url = $3, title = $4, author = COALESCE($5, author),
            section = $6, published_at = COALESCE($7, published_at), summary = $8, body_html = COALESCE($9, body_html),
            image_url = COALESCE($10, image_url), image_caption = CASE WHEN $10 IS NULL THEN image_caption ELSE $11 END,
            language = COALESCE($12, language), search = $13, fingerprint = $14, changed_at = $15
        WHERE id = $1",
    )
    .bind(id)
    .bind(feed)
    .bind(entry.url.clone())
    .bind(entry.title.clone())
    .bind(entry.author.clone())
    .bind(entry.section.clone().unwrap_or_else(|| section.to_owned()))
    .bind(entry.published_at.map(|said| dated(Some(said), now)))
    .bind(entry.summary.clone())
    .bind(entry.body_html.clone())
    .bind(entry.picture.as_ref().map(|p| p.url.clone()))
    .bind(entry.picture.as_ref().map(|p| p.caption.clone()))
    .bind(entry.language.clone())
    .bind(search_text(&entry.title, entry.author.as_deref()))
    .bind(entry.fingerprint())
    .bind(now)
    .execute()
    .await?;
    Ok(())
}

/// One article.
pub async fn get(db: &Db, id: i64) -> Result<Option<Article>> {
    db.read(articles!("WHERE id = $1")).bind(id).optional().await
}

/// The article at an address, however it is decorated with tracking.
pub async fn by_url(db: &Db, url: &str) -> Result<Option<Article>> {
    match address(url) {
        Some(url) => db.read(articles!("WHERE url = $1")).bind(url).optional().await,
        None => Ok(None),
    }
}

/// The newest `n` articles, the newest first.
pub async fn newest(db: &Db, n: i64) -> Result<Vec<Article>> {
    db.read(articles!("ORDER BY published_at DESC, id LIMIT $1")).bind(n).all().await
}

/// What is looked for in the picker. Everything is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default)]
pub struct Search {
    /// Words of headline and author; all must be there
    #[serde(rename = "q")]
    pub text: String,
    /// One section; empty or "All" for any
    pub section: String,
    /// Only what no sent issue had
    #[serde(deserialize_with = "ticked")]
    pub unsent: bool,
}

impl Search {
    /// As the query of an address, for links to other pages.
    pub fn query(&self) -> String {
        // The parser of addresses escapes as forms do.
        let mut url = reqwest::Url::parse("https://a/").expect("an address"); // OK because it is a constant
        url.query_pairs_mut().append_pair("q", &self.text).append_pair("section", &self.section);
        if self.unsent {
            url.query_pairs_mut().append_pair("unsent", "1");
        }
        url.query().unwrap_or_default().to_owned()
    }
}

/// A box that is ticked sends `1` or `on`.
fn ticked<'de, D: serde::Deserializer<'de>>(from: D) -> std::result::Result<bool, D::Error> {
    let value: String = serde::Deserialize::deserialize(from)?;
    Ok(matches!(value.as_str(), "1" | "on" | "true" | "yes"))
}

/// One page of what was found.
#[derive(Debug)]
pub struct Found {
    /// The newest first
    pub articles: Vec<Article>,
    /// Whether an older page exists
    pub more: bool,
}

const SEARCH: &str = articles!(
    "WHERE search LIKE $1 ESCAPE '!' AND search LIKE $2 ESCAPE '!' AND search LIKE $3 ESCAPE '!' AND search LIKE $4 ESCAPE '!'
        AND ($5 = '' OR section = $5)
    ORDER BY published_at DESC, id LIMIT $6 OFFSET $7"
);

const SEARCH_UNSENT: &str = articles!(
    "WHERE search LIKE $1 ESCAPE '!' AND search LIKE $2 ESCAPE '!' AND search LIKE $3 ESCAPE '!' AND search LIKE $4 ESCAPE '!'
        AND ($5 = '' OR section = $5)
        AND NOT EXISTS (
            SELECT 1 FROM issue_entries JOIN issues ON issues.id = issue_entries.issue_id
            WHERE issue_entries.article_id = articles.id AND issues.state IN ('sending', 'paused', 'sent')
        )
    ORDER BY published_at DESC, id LIMIT $6 OFFSET $7"
);

/// One page of articles, the newest first; `page` counts from 1.
pub async fn search(db: &Db, search: &Search, page: i64) -> Result<Found> {
    let patterns = patterns(&search.text);
    let section = if search.section == "All" { "" } else { &search.section };
    let mut query = db.read(if search.unsent { SEARCH_UNSENT } else { SEARCH });
    for pattern in patterns {
        query = query.bind(pattern);
    }
    let mut articles: Vec<Article> = query
        .bind(section.to_owned())
        .bind(PAGE + 1)
        .bind(page.clamp(1, 10_000).saturating_sub(1) * PAGE)
        .all()
        .await?;
    let more = articles.len() as i64 > PAGE;
    articles.truncate(PAGE as usize);
    Ok(Found { articles, more })
}

/// Up to four words as patterns of LIKE; a word too many goes with the one before it.
fn patterns(text: &str) -> [String; 4] {
    let text = text.to_lowercase().replace('!', "!!").replace('%', "!%").replace('_', "!_");
    let mut words = text.split_whitespace();
    let mut next = || words.next().map_or_else(|| "%".to_owned(), |w| format!("%{w}%"));
    let first = [next(), next(), next()];
    let rest = words.collect::<Vec<_>>().join(" ");
    let [a, b, c] = first;
    [a, b, c, format!("%{rest}%")]
}

/// The sections that articles have and the five do not, for the picker.
pub async fn other_sections(db: &Db) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = db
        .read(
            "SELECT DISTINCT section FROM articles
            WHERE section NOT IN ('News', 'Features', 'Analysis', 'Opinion', 'Photos') ORDER BY section",
        )
        .all()
        .await?;
    Ok(rows.into_iter().map(|(section,)| section).collect())
}
