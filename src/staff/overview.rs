//! What the desk and the readers page show of other rooms' tables. Reading only, totals only: no address is opened
//! here, and no number is kept that a table does not hold anyway.

use crate::clock::Moment;
use crate::db::{self, Db, Row};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// How many readers, over all newsletters, each once.
#[derive(Debug, Default, sqlx::FromRow)]
pub struct Readers {
    /// All.
    pub everybody: i64,
    /// Paused at the moment.
    pub paused: i64,
    /// With the discreet sender.
    pub discreet: i64,
}

/// Readers in a stretch: one statement over a million of them takes most of a second, each of these a few milliseconds.
const STRETCH: i64 = 10_000;

/// Asks about all readers stretch by stretch: `sql` about those whose ids are above $1 and up to $2, its further values in
/// `more`. The answers of all stretches, not put together yet.
async fn of_all<R: Row>(db: &Db, sql: &'static str, more: &[Moment]) -> db::Result<Vec<R>> {
    let mut answers = Vec::new();
    let mut from = 0;
    loop {
        let (to,): (Option<i64>,) = db
            .read("SELECT MAX(id) FROM (SELECT id FROM subscribers WHERE id > $1 ORDER BY id LIMIT $2) AS next")
            .bind(from)
            .bind(STRETCH)
            .one()
            .await?;
        let Some(to) = to else { return Ok(answers) };
        let query = more.iter().fold(db.read(sql).bind(from).bind(to), |query, value| query.bind(*value));
        answers.extend(query.all::<R>().await?);
        from = to;
    }
}

/// Counts all readers.
pub async fn readers(db: &Db, now: Moment) -> db::Result<Readers> {
    let parts: Vec<Readers> = of_all(
        db,
        "SELECT COUNT(*) AS everybody, COUNT(*) FILTER (WHERE paused_until > $3) AS paused,
                COUNT(*) FILTER (WHERE discreet) AS discreet
         FROM subscribers WHERE id > $1 AND id <= $2",
        &[now],
    )
    .await?;
    Ok(parts.iter().fold(Readers::default(), |sum, part| Readers {
        everybody: sum.everybody + part.everybody,
        paused: sum.paused + part.paused,
        discreet: sum.discreet + part.discreet,
    }))
}

/// How many readers joined in the week that began at `week`, each once. Who left again is not among them: nothing is
/// kept of them that could be counted.
pub async fn joined(db: &Db, week: Moment) -> db::Result<i64> {
    let parts: Vec<(i64,)> = of_all(
        db,
        "SELECT COUNT(DISTINCT subscriber_id) FROM subscriptions
         WHERE subscriber_id > $1 AND subscriber_id <= $2 AND consent_week >= $3",
        &[week],
    )
    .await?;
    Ok(parts.iter().map(|(readers,)| readers).sum())
}

/// The readers of one newsletter.
#[derive(Debug, sqlx::FromRow)]
pub struct Circle {
    /// Its slug.
    pub newsletter: String,
    /// All its readers.
    pub everybody: i64,
    /// In the edition with the full text.
    pub full_text: i64,
    /// In the edition with links.
    pub links: i64,
    /// In plain text.
    pub plain: i64,
    /// Paused at the moment.
    pub paused: i64,
    /// Joined since Monday.
    pub joined: i64,
}

/// The readers of every newsletter that has any.
pub async fn circles(db: &Db, now: Moment) -> db::Result<Vec<Circle>> {
    let mut parts: Vec<Circle> = of_all(
        db,
        "SELECT subscriptions.newsletter, COUNT(*) AS everybody,
                COUNT(*) FILTER (WHERE subscribers.edition = 'full') AS full_text,
                COUNT(*) FILTER (WHERE subscribers.edition = 'links') AS links,
                COUNT(*) FILTER (WHERE subscribers.edition = 'plain') AS plain,
                COUNT(*) FILTER (WHERE subscribers.paused_until > $3) AS paused,
                COUNT(*) FILTER (WHERE subscriptions.consent_week >= $4) AS joined
         FROM subscriptions JOIN subscribers ON subscribers.id = subscriptions.subscriber_id
         WHERE subscriptions.subscriber_id > $1 AND subscriptions.subscriber_id <= $2
         GROUP BY subscriptions.newsletter",
        &[now, now.week()],
    )
    .await?;
    parts.sort_by(|one, other| one.newsletter.cmp(&other.newsletter));
    parts.dedup_by(|part, whole| {
        let same = part.newsletter == whole.newsletter;
        if same {
            whole.everybody += part.everybody;
            whole.full_text += part.full_text;
            whole.links += part.links;
            whole.plain += part.plain;
            whole.paused += part.paused;
            whole.joined += part.joined;
        }
        same
    });
    Ok(parts)
}

/// How many readers chose which language; none: the newsletter's own.
pub async fn languages(db: &Db) -> db::Result<Vec<(Option<String>, i64)>> {
    let parts: Vec<(Option<String>, i64)> =
        of_all(db, "SELECT language, COUNT(*) FROM subscribers WHERE id > $1 AND id <= $2 GROUP BY language", &[])
            .await?;
    let mut languages = BTreeMap::new();
    for (language, readers) in parts {
        *languages.entry(language).or_default() += readers;
    }
    let mut languages: Vec<(Option<String>, i64)> = languages.into_iter().collect();
    languages.sort_by_key(|(_, readers)| Reverse(*readers));
    Ok(languages)
}

/// How many addresses will not be written to, by reason.
pub async fn suppressed(db: &Db) -> db::Result<Vec<(String, i64)>> {
    db.read("SELECT reason, COUNT(*) FROM suppressions GROUP BY reason ORDER BY COUNT(*) DESC, reason").all().await
}

/// An issue as the desk shows it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Issue {
    /// Id.
    pub id: i64,
    /// The newsletter's slug.
    pub newsletter: String,
    /// Its number, once it is frozen.
    pub number: Option<i64>,
    /// `draft`, `scheduled`, …
    pub state: String,
    /// Subject.
    pub subject: String,
    /// Preheader.
    pub preheader: String,
    /// When it is to go out.
    pub scheduled_at: Option<Moment>,
    /// When a test was last asked for.
    pub tested_at: Option<Moment>,
    /// When it was last saved.
    pub changed_at: Moment,
    /// How many articles it has.
    pub articles: i64,
    /// In how many sections.
    pub sections: i64,
    /// How many of them an earlier issue of the newsletter has sent.
    pub repeated: i64,
}

/// Issues on their way, of all newsletters: what is going out first, then what is scheduled soonest, then the draft
/// that was last worked on.
pub async fn open_issues(db: &Db) -> db::Result<Vec<Issue>> {
    db.read(
        "SELECT issues.id, issues.newsletter, issues.number, issues.state, issues.subject, issues.preheader,
                issues.scheduled_at, issues.tested_at, issues.changed_at,
                COUNT(entries.article_id) AS articles, COUNT(DISTINCT entries.section) AS sections,
                COUNT(entries.article_id) FILTER (WHERE EXISTS (
                    SELECT 1 FROM issue_entries AS earlier JOIN issues AS sent ON sent.id = earlier.issue_id
                    WHERE earlier.article_id = entries.article_id AND sent.newsletter = issues.newsletter AND sent.state = 'sent'
                )) AS repeated
         FROM issues LEFT JOIN issue_entries AS entries ON entries.issue_id = issues.id
         WHERE issues.state IN ('draft', 'scheduled', 'held', 'sending', 'paused')
         GROUP BY issues.id
         ORDER BY CASE issues.state WHEN 'draft' THEN 2 WHEN 'scheduled' THEN 1 ELSE 0 END,
                  issues.scheduled_at NULLS LAST, issues.changed_at DESC",
    )
    .all()
    .await
}

/// An issue that went out, and how its mails fared.
#[derive(Debug, sqlx::FromRow)]
pub struct Sent {
    /// Id.
    pub id: i64,
    /// The newsletter's slug.
    pub newsletter: String,
    /// Its number.
    pub number: Option<i64>,
    /// Subject.
    pub subject: String,
    /// When the first mail could go.
    pub frozen_at: Option<Moment>,
    /// When the last was done.
    pub finished_at: Option<Moment>,
}

/// The issue that was sent last.
pub async fn last_sent(db: &Db) -> db::Result<Option<Sent>> {
    db.read(
        "SELECT id, newsletter, number, subject, frozen_at, finished_at FROM issues WHERE state = 'sent'
         ORDER BY finished_at DESC NULLS LAST, id DESC LIMIT 1",
    )
    .optional()
    .await
}

/// How the mails of an issue fared.
#[derive(Debug, Default, sqlx::FromRow)]
pub struct Run {
    /// For so many readers.
    pub readers: i64,
    /// Accepted by their servers.
    pub sent: i64,
    /// Refused for good.
    pub failed: i64,
    /// Left out: the reader had gone between the freeze and their turn.
    pub skipped: i64,
}

/// How the mails of an issue fared. The counts stay when the rows are forgotten.
pub async fn run(db: &Db, issue: i64) -> db::Result<Run> {
    let run = db
        .read("SELECT readers, sent, failed, skipped FROM delivery_runs WHERE issue_id = $1")
        .bind(issue)
        .optional()
        .await?;
    Ok(run.unwrap_or_default())
}

/// The number the next issue of a newsletter will have.
pub async fn next_number(db: &Db, newsletter: &str) -> db::Result<i64> {
    let (number,): (i64,) = db
        .read("SELECT COALESCE(MAX(number), 0) + 1 FROM issues WHERE newsletter = $1")
        .bind(newsletter.to_owned())
        .one()
        .await?;
    Ok(number)
}

/// Feeds, and those of them that did not answer when last asked.
pub async fn feeds(db: &Db) -> db::Result<(i64, i64)> {
    db.read("SELECT COUNT(*), COUNT(*) FILTER (WHERE failures > 0 AND NOT paused) FROM feeds WHERE NOT removed")
        .one()
        .await
}

/// Living recurring gifts: frequency, currency, sum of one payment of each, how many, how many of them failing.
pub async fn gifts(db: &Db) -> db::Result<Vec<(String, String, i64, i64, i64)>> {
    db.read(
        "SELECT frequency, currency, CAST(SUM(amount) AS BIGINT), COUNT(*), COUNT(*) FILTER (WHERE state = 'failing')
         FROM support_gifts WHERE state IN ('active', 'failing')
         GROUP BY frequency, currency ORDER BY frequency DESC, COUNT(*) DESC, currency",
    )
    .all()
    .await
}

/// What came in since a moment, less what went back, by currency: sum, and how many payments.
pub async fn received(db: &Db, since: Moment) -> db::Result<Vec<(String, i64, i64)>> {
    db.read(
        "SELECT currency, CAST(SUM(amount) AS BIGINT), COUNT(*) FILTER (WHERE kind = 'payment')
         FROM support_ledger WHERE at >= $1 AND kind <> 'fee'
         GROUP BY currency ORDER BY COUNT(*) DESC, currency",
    )
    .bind(since)
    .all()
    .await
}

/// Events of Stripe's that were given up.
pub async fn failed_events(db: &Db) -> db::Result<i64> {
    let (count,): (i64,) = db.read("SELECT COUNT(*) FROM support_events WHERE state = 'failed'").one().await?;
    Ok(count)
}

/// Alarms about giving that nobody has closed.
pub async fn giving_alarms(db: &Db) -> db::Result<i64> {
    let (count,): (i64,) = db.read("SELECT COUNT(*) FROM support_alarms WHERE closed_at IS NULL").one().await?;
    Ok(count)
}
