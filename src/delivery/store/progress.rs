//! What can be seen of a run: counts by domain and by reason, who failed, what happened.

use super::super::NAMED_FROM;
use super::super::outcome::{Outcome, reason};
use super::record::Record;
use crate::clock::Moment;
use crate::db::{self, Db, Tx};
use crate::keys::{Drawer, Keys};
use std::sync::LazyLock;

/// How many domains a page shows by name.
const SHOWN: i64 = 12;

/// By how much a domain's counts change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainChange {
    sent: i64,
    deferred: i64,
    failed: i64,
    trouble: Option<String>,
}

impl DomainChange {
    /// What an outcome adds.
    pub fn of(record: &Record) -> DomainChange {
        let mut change = DomainChange::default();
        let deferred = match &record.outcome {
            Outcome::Sent => {
                change.sent = 1;
                false
            }
            Outcome::Failed { trouble, .. } => {
                change.failed = 1;
                change.trouble = Some(trouble.clone());
                false
            }
            Outcome::Uncertain { next_at: None } => {
                change.failed = 1;
                false
            }
            Outcome::Later { trouble, .. } => {
                change.trouble = Some(trouble.clone());
                true
            }
            Outcome::Uncertain { .. } | Outcome::Dropped { .. } => true,
            Outcome::Returned { .. } => record.was_deferred,
            Outcome::Skipped => false,
        };
        change.deferred = i64::from(deferred) - i64::from(record.was_deferred);
        change
    }

    /// Whether it changes nothing.
    pub fn is_nothing(&self) -> bool {
        *self == DomainChange::default()
    }

    /// Adds another.
    pub fn add(&mut self, other: DomainChange) {
        self.sent += other.sent;
        self.deferred += other.deferred;
        self.failed += other.failed;
        self.trouble = other.trouble.or(self.trouble.take());
    }
}

fn row(issue: i64, mark: i64) -> Vec<u8> {
    [b"domain:".as_slice(), &issue.to_be_bytes(), &mark.to_be_bytes()].concat()
}

/// The mark of a domain in one issue. With the key gone it says nothing, and two issues' marks cannot be joined.
pub fn domain_mark(keys: &Keys, issue: i64, domain: &str) -> i64 {
    let mark = keys.mark("delivery-domain", &[&issue.to_be_bytes(), domain.as_bytes()].concat());
    // OK because 8 is less than 32.
    i64::from_be_bytes(*mark.first_chunk().expect("eight octets"))
}

/// Notes that the sums of this number are being written by the process that holds a lease. False when they were before, by a
/// commit whose answer was lost.
pub async fn is_new_sum(tx: &mut Tx, lease: i64, nth: i64) -> db::Result<bool> {
    let noted = tx
        .query("UPDATE delivery_leases SET sums = $2 WHERE id = $1 AND sums < $2")
        .bind(lease)
        .bind(nth)
        .execute()
        .await?;
    if noted == 1 {
        return Ok(true);
    }
    // Where the lease is gone nothing tells, and counts that are too low are the worse answer.
    let held: Option<(i64,)> = tx.query("SELECT id FROM delivery_leases WHERE id = $1").bind(lease).optional().await?;
    Ok(held.is_none())
}

/// What a domain's counts of an issue grow by.
pub struct DomainSum<'s> {
    /// The issue.
    pub issue: i64,
    /// The domain's mark in it.
    pub mark: i64,
    /// Its name.
    pub name: &'s str,
    /// By how much.
    pub change: &'s DomainChange,
}

/// As many as one statement adds: a large audience has hundreds of domains in every second.
const AT_ONCE: usize = 16;

/// The statement that adds to the counts of so many domains.
fn adding(many: usize) -> String {
    let row = |nth: usize| {
        let places: Vec<String> = (1..=7).map(|place| format!("${}", 7 * nth + place)).collect();
        format!("({})", places.join(", "))
    };
    let rows: Vec<String> = (0..many).map(row).collect();
    format!(
        "INSERT INTO delivery_domains (issue_id, mark, name_sealed, sent, deferred, failed, trouble)
         VALUES {}
         ON CONFLICT (issue_id, mark) DO UPDATE SET
            sent = delivery_domains.sent + excluded.sent,
            deferred = delivery_domains.deferred + excluded.deferred,
            failed = delivery_domains.failed + excluded.failed,
            trouble = COALESCE(excluded.trouble, delivery_domains.trouble)",
        rows.join(", ")
    )
}

static ADD_MANY: LazyLock<String> = LazyLock::new(|| adding(AT_ONCE));
static ADD_ONE: LazyLock<String> = LazyLock::new(|| adding(1));

/// Adds to the counts of domains, each of which may be there once.
pub async fn add_domains(tx: &mut Tx, keys: &Keys, sums: &[DomainSum<'_>]) -> db::Result<()> {
    let (many, rest) = sums.as_chunks::<AT_ONCE>();
    for some in many {
        add(tx, keys, &ADD_MANY, some).await?;
    }
    for one in rest.chunks(1) {
        add(tx, keys, &ADD_ONE, one).await?;
    }
    Ok(())
}

async fn add(tx: &mut Tx, keys: &Keys, sql: &'static str, sums: &[DomainSum<'_>]) -> db::Result<()> {
    let mut query = tx.query(sql);
    for DomainSum { issue, mark, name, change } in sums {
        query = query
            .bind(*issue)
            .bind(*mark)
            .bind(keys.seal(Drawer::Subscribers, &row(*issue, *mark), name.as_bytes()))
            .bind(change.sent)
            .bind(change.deferred)
            .bind(change.failed)
            .bind(change.trouble.clone());
    }
    query.execute().await.map(drop)
}

/// A receiving domain and how it takes the issue.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct DomainCounts {
    /// Its name; empty for all the smaller ones together.
    pub name: String,
    /// Accepted.
    pub sent: i64,
    /// Put off.
    pub deferred: i64,
    /// Given up.
    pub failed: i64,
    /// The last refusal's enhanced code.
    pub trouble: Option<String>,
}

impl DomainCounts {
    /// Tried so far.
    pub fn tried(&self) -> i64 {
        self.sent + self.deferred + self.failed
    }
}

#[derive(sqlx::FromRow)]
struct DomainRow {
    mark: i64,
    name_sealed: Vec<u8>,
    sent: i64,
    deferred: i64,
    failed: i64,
    trouble: Option<String>,
}

/// The largest domains. A name is shown from ten readers on; who has fewer is in nobody's line.
pub async fn domains(db: &Db, keys: &Keys, issue: i64) -> db::Result<Vec<DomainCounts>> {
    let rows: Vec<DomainRow> = db
        .read(
            "SELECT mark, name_sealed, sent, deferred, failed, trouble FROM delivery_domains
             WHERE issue_id = $1 AND sent + deferred + failed >= $2
             ORDER BY sent + deferred + failed DESC, mark LIMIT $3",
        )
        .bind(issue)
        .bind(NAMED_FROM)
        .bind(SHOWN)
        .all()
        .await?;
    let open = |r: DomainRow| DomainCounts {
        name: keys
            .open(Drawer::Subscribers, &row(issue, r.mark), &r.name_sealed)
            .map_or_else(|_| "(unreadable)".to_owned(), |name| String::from_utf8_lossy(&name).into_owned()),
        sent: r.sent,
        // A process that was killed took the last second's sums with it.
        deferred: r.deferred.max(0),
        failed: r.failed,
        trouble: r.trouble,
    };
    Ok(rows.into_iter().map(open).collect())
}

/// How many had one reason.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow, serde::Serialize)]
pub struct ReasonCount {
    /// `failed`, or `waiting` for those who are tried again.
    pub state: String,
    /// An enhanced code, a bare one, or a word of ours.
    pub trouble: String,
    /// How many.
    pub readers: i64,
}

/// Why readers failed or wait again, the most frequent reason first.
pub async fn reasons(db: &Db, issue: i64) -> db::Result<Vec<ReasonCount>> {
    db.read(
        "SELECT state, trouble, COUNT(*) AS readers FROM deliveries
         WHERE issue_id = $1 AND trouble IS NOT NULL AND state IN ('waiting', 'failed')
         GROUP BY state, trouble ORDER BY COUNT(*) DESC, trouble, state LIMIT 50",
    )
    .bind(issue)
    .all()
    .await
}

/// Somebody who did not get it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow, serde::Serialize)]
pub struct Failure {
    /// The reader's id. `friday subscribers show` knows more, one reader at a time.
    pub subscriber_id: i64,
    /// The server's code, where it spoke.
    pub code: Option<i64>,
    /// Its enhanced code, the code again, or a word of ours.
    pub trouble: String,
}

impl Failure {
    /// What that means, in words.
    pub fn means(&self) -> &'static str {
        reason(&self.trouble)
    }
}

/// Those who failed, a page of them at a time, by id.
pub async fn failures(db: &Db, issue: i64, after: i64, most: i64) -> db::Result<Vec<Failure>> {
    db.read(
        "SELECT subscriber_id, code, trouble FROM deliveries
         WHERE issue_id = $1 AND state = 'failed' AND trouble IS NOT NULL AND subscriber_id > $2
         ORDER BY subscriber_id LIMIT $3",
    )
    .bind(issue)
    .bind(after)
    .bind(most)
    .all()
    .await
}

/// When the next of those put off is tried again.
pub async fn next_try(db: &Db, issue: i64) -> db::Result<Option<Moment>> {
    let next: (Option<Moment>,) = db
        .read("SELECT MIN(next_at) FROM deliveries WHERE issue_id = $1 AND state = 'waiting' AND trouble IS NOT NULL")
        .bind(issue)
        .one()
        .await?;
    Ok(next.0)
}

/// An issue in the list of deliveries.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Overview {
    /// The issue.
    pub id: i64,
    /// Its newsletter's slug.
    pub newsletter: String,
    /// Its number, once frozen.
    pub number: Option<i64>,
    /// Where it stands.
    pub state: String,
    /// As typed.
    pub subject: String,
    /// When it is to go out.
    pub scheduled_at: Option<Moment>,
    /// When it began.
    pub started_at: Option<Moment>,
    /// Everybody.
    pub readers: Option<i64>,
    /// Accepted.
    pub sent: Option<i64>,
    /// Given up.
    pub failed: Option<i64>,
}

/// What goes out, will, or did, the latest first.
pub async fn overview(db: &Db) -> db::Result<Vec<Overview>> {
    db.read(
        "SELECT i.id, i.newsletter, i.number, i.state, i.subject, i.scheduled_at, r.started_at, r.readers, r.sent, r.failed
         FROM issues i LEFT JOIN delivery_runs r ON r.issue_id = i.id
         WHERE i.state <> 'draft' ORDER BY COALESCE(r.started_at, i.scheduled_at, 0) DESC, i.id DESC LIMIT 50",
    )
    .all()
    .await
}

/// Something that happened in a run.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Event {
    /// When.
    pub at: Moment,
    /// In words.
    pub what: String,
}

/// Notes an event within a transaction.
pub async fn note(tx: &mut Tx, issue: i64, now: Moment, what: &str) -> db::Result<()> {
    tx.query("INSERT INTO delivery_events (id, issue_id, at, what) VALUES ($1, $2, $3, $4)")
        .bind(db::new_id())
        .bind(issue)
        .bind(now)
        .bind(what.to_owned())
        .execute()
        .await?;
    Ok(())
}

/// Said when a mail server is there again.
const BACK: &str = "The mail server takes mails again";

/// Notes an event, unless it was noted since the mail server was last back: a server that is away is away once.
pub async fn note_news(db: &Db, issue: i64, now: Moment, what: &str) -> db::Result<()> {
    let mut tx = db.begin().await?;
    let (before,): (i64,) = tx
        .query(
            "SELECT COUNT(*) FROM delivery_events WHERE issue_id = $1 AND what = $2 AND at >
                (SELECT COALESCE(MAX(at), 0) FROM delivery_events WHERE issue_id = $1 AND what = $3)",
        )
        .bind(issue)
        .bind(what.to_owned())
        .bind(BACK)
        .one()
        .await?;
    if before == 0 {
        note(&mut tx, issue, now, what).await?;
    }
    tx.commit().await
}

/// Notes why nothing goes out.
pub async fn note_away(db: &Db, issue: i64, now: Moment, why: &str) -> db::Result<()> {
    note_news(db, issue, now, &format!("{why}; nobody is skipped")).await
}

/// Notes that a mail server is there, if the last that was noted of it is that it was not.
pub async fn note_back(db: &Db, issue: i64, now: Moment) -> db::Result<()> {
    let (away,): (i64,) = db
        .read(
            "SELECT COUNT(*) FROM delivery_events WHERE issue_id = $1 AND what LIKE '%; nobody is skipped' AND at >
                (SELECT COALESCE(MAX(at), 0) FROM delivery_events WHERE issue_id = $1 AND what = $2)",
        )
        .bind(issue)
        .bind(BACK)
        .one()
        .await?;
    if away > 0 { note_news(db, issue, now, BACK).await } else { Ok(()) }
}

/// What happened, the latest first.
pub async fn events(db: &Db, issue: i64) -> db::Result<Vec<Event>> {
    db.read("SELECT at, what FROM delivery_events WHERE issue_id = $1 ORDER BY at DESC, id LIMIT 30")
        .bind(issue)
        .all()
        .await
}
