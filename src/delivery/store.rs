//! What is written down while an issue goes out: runs, leases, the next batch, outcomes.
//!
//! Two statements matter for speed: the one that claims a batch and brings its sealed addresses along, and the one that
//! marks up to thirty-two readers as sent. A commit holds the outcomes of all connections that finished meanwhile, so the
//! cost of one is shared among many.

pub mod ending;
pub mod newcomers;
pub mod progress;
pub mod rounds;

use super::outcome::{Outcome, trouble};
use crate::clock::Moment;
use crate::db::{self, Db, Tx};
use std::collections::HashMap;

/// How many subscriptions one step of gathering looks at: short enough that a sign-up waiting for SQLite's one writer
/// does not notice.
const GATHER: i64 = 2_000;

/// Where a run stands.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Run {
    /// The issue.
    pub issue_id: i64,
    /// Its newsletter's slug.
    pub newsletter: String,
    /// When it was frozen and began.
    pub started_at: Moment,
    /// When its audience was whole.
    pub gathered_at: Option<Moment>,
    /// When everybody had been tried once; some may be tried again after that.
    pub tried_at: Option<Moment>,
    /// When nobody was waiting any more.
    pub finished_at: Option<Moment>,
    /// When its rows were removed.
    pub forgotten_at: Option<Moment>,
    /// Everybody.
    pub readers: i64,
    /// Accepted by the mail server.
    pub sent: i64,
    /// Given up, with a reason.
    pub failed: i64,
    /// Left or paused before their turn.
    pub skipped: i64,
    /// Of those waiting: put off by a server.
    pub deferred: i64,
    /// Of those waiting or failed: the answer was lost.
    pub uncertain: i64,
}

impl Run {
    /// Not done: to be sent, or to be tried again.
    pub fn waiting(&self) -> i64 {
        self.readers - self.sent - self.failed - self.skipped
    }

    /// Had at least one try, or are done without one.
    pub fn tried(&self) -> i64 {
        self.sent + self.failed + self.skipped + self.deferred
    }

    /// Not yet tried at all.
    pub fn untried(&self) -> i64 {
        (self.readers - self.tried()).max(0)
    }
}

/// Begins a run, within the transaction that freezes the issue.
pub async fn begin(tx: &mut Tx, issue: i64, newsletter: &str, language: &str, now: Moment) -> db::Result<()> {
    tx.query(
        "INSERT INTO delivery_runs (issue_id, newsletter, language, started_at, gathered_to,
                                    readers, sent, failed, skipped, deferred, uncertain)
         VALUES ($1, $2, $3, $4, 0, 0, 0, 0, 0, 0, 0)",
    )
    .bind(issue)
    .bind(newsletter)
    .bind(language)
    .bind(now)
    .execute()
    .await?;
    Ok(())
}

const RUN: &str = "SELECT issue_id, newsletter, started_at, gathered_at, tried_at, finished_at, forgotten_at,
        readers, sent, failed, skipped, deferred, uncertain
 FROM delivery_runs WHERE issue_id = $1";

/// The run of an issue.
pub async fn run(db: &Db, issue: i64) -> db::Result<Option<Run>> {
    db.read(RUN).bind(issue).optional().await
}

/// The same, as a transaction that has changed it sees it.
pub async fn run_now(tx: &mut Tx, issue: i64) -> db::Result<Option<Run>> {
    tx.query(RUN).bind(issue).optional().await
}

/// Runs whose audience is not yet whole.
pub async fn ungathered(db: &Db) -> db::Result<Vec<(i64,)>> {
    db.read("SELECT issue_id FROM delivery_runs WHERE gathered_at IS NULL ORDER BY issue_id").all().await
}

/// Turns the next few thousand subscriptions into rows. True while there are more. A crash between two steps loses
/// nothing: the rows and how far they go are committed together.
pub async fn gather(db: &Db, issue: i64, now: Moment) -> db::Result<bool> {
    let mut tx = db.begin().await?;
    // On PostgreSQL a second process waits here for the first and then goes on behind it.
    let run: Option<(String, String, i64)> = tx
        .query(
            "UPDATE delivery_runs SET gathered_to = gathered_to WHERE issue_id = $1 AND gathered_at IS NULL
             RETURNING newsletter, language, gathered_to",
        )
        .bind(issue)
        .optional()
        .await?;
    let Some((newsletter, language, from)) = run else { return Ok(false) };
    let (to,): (Option<i64>,) = tx
        .query(
            "SELECT MAX(subscriber_id) FROM (SELECT subscriber_id FROM subscriptions
                WHERE newsletter = $1 AND subscriber_id > $2 ORDER BY subscriber_id LIMIT $3) AS next",
        )
        .bind(newsletter.clone())
        .bind(from)
        .bind(GATHER)
        .one()
        .await?;
    let Some(to) = to else {
        tx.query("UPDATE delivery_runs SET gathered_at = $2 WHERE issue_id = $1")
            .bind(issue)
            .bind(now)
            .execute()
            .await?;
        tx.commit().await?;
        return Ok(false);
    };
    // Due since ever, and not since now: were the clock set back, nobody would be due until it is here again.
    let added = tx
        .query(
            "INSERT INTO deliveries (issue_id, subscriber_id, edition, language, with_ask, discreet,
                                     state, attempts, drops, next_at, uncertain)
             SELECT $1, s.id, s.edition, COALESCE(s.language, $2), NOT s.no_asks, s.discreet,
                    'waiting', 0, 0, 0, FALSE
             FROM subscriptions x JOIN subscribers s ON s.id = x.subscriber_id
             WHERE x.newsletter = $4 AND x.subscriber_id > $5 AND x.subscriber_id <= $6
               AND (s.paused_until IS NULL OR s.paused_until <= $3)
               AND NOT EXISTS (SELECT 1 FROM suppressions p
                               WHERE p.address_index = s.address_index AND p.until > $3)
             ORDER BY x.subscriber_id
             ON CONFLICT (issue_id, subscriber_id) DO NOTHING",
        )
        .bind(issue)
        .bind(language)
        .bind(now)
        .bind(newsletter)
        .bind(from)
        .bind(to)
        .execute()
        .await?;
    tx.query("UPDATE delivery_runs SET gathered_to = $2, readers = readers + $3 WHERE issue_id = $1")
        .bind(issue)
        .bind(to)
        .bind(i64::try_from(added).unwrap_or(i64::MAX))
        .execute()
        .await?;
    tx.commit().await?;
    Ok(true)
}

/// Scheduled issues whose time has come, and when that was.
pub async fn due(db: &Db, now: Moment) -> db::Result<Vec<(i64, Moment)>> {
    db.read("SELECT id, scheduled_at FROM issues WHERE state = 'scheduled' AND scheduled_at <= $1 ORDER BY scheduled_at, id")
        .bind(now)
        .all()
        .await
}

/// How many would get an issue of a newsletter now, by edition.
pub async fn audience(db: &Db, newsletter: &str, now: Moment) -> db::Result<Vec<(String, i64)>> {
    db.read(
        "SELECT s.edition, COUNT(*) FROM subscriptions x JOIN subscribers s ON s.id = x.subscriber_id
         WHERE x.newsletter = $1 AND (s.paused_until IS NULL OR s.paused_until <= $2)
           AND NOT EXISTS (SELECT 1 FROM suppressions p WHERE p.address_index = s.address_index AND p.until > $2)
         GROUP BY s.edition ORDER BY COUNT(*) DESC, s.edition",
    )
    .bind(newsletter.to_owned())
    .bind(now)
    .all()
    .await
}

/// Takes a lease for a process that begins to send.
pub async fn take_lease(db: &Db, id: i64, until: Moment, connections: usize) -> db::Result<()> {
    db.write("INSERT INTO delivery_leases (id, until, connections) VALUES ($1, $2, $3)")
        .bind(id)
        .bind(until)
        .bind(i64::try_from(connections).unwrap_or(i64::MAX))
        .execute()
        .await?;
    Ok(())
}

/// Renews a lease; how many processes send now, or `None` where this one's was lost. One that has run out is not revived,
/// even if nobody has taken it over yet: whoever looks at it next may.
pub async fn renew_lease(db: &Db, id: i64, now: Moment, until: Moment) -> db::Result<Option<i64>> {
    let renewed = db
        .write("UPDATE delivery_leases SET until = $3 WHERE id = $1 AND until > $2")
        .bind(id)
        .bind(now)
        .bind(until)
        .execute()
        .await?;
    if renewed == 0 {
        return Ok(None);
    }
    let (live,): (i64,) = db.read("SELECT COUNT(*) FROM delivery_leases WHERE until > $1").bind(now).one().await?;
    Ok(Some(live.max(1)))
}

/// Gives a lease up, and with it every row that is still leased by it.
pub async fn drop_lease(db: &Db, id: i64) -> db::Result<()> {
    db.write("DELETE FROM delivery_leases WHERE id = $1").bind(id).execute().await?;
    Ok(())
}

/// Frees what processes held that are gone. How many there were.
pub async fn free_lapsed(db: &Db, now: Moment) -> db::Result<u64> {
    db.write("DELETE FROM delivery_leases WHERE until <= $1").bind(now).execute().await
}

/// Frees what a lease holds of one issue, because that is not being sent any more.
pub async fn free_issue(db: &Db, lease: i64, issue: i64) -> db::Result<()> {
    db.write("UPDATE deliveries SET lease = NULL WHERE lease = $1 AND issue_id = $2")
        .bind(lease)
        .bind(issue)
        .execute()
        .await?;
    Ok(())
}

/// How many connections are open for mails now, in all processes.
pub async fn connections(db: &Db, now: Moment) -> db::Result<i64> {
    let (connections,): (i64,) = db
        .read("SELECT CAST(COALESCE(SUM(connections), 0) AS BIGINT) FROM delivery_leases WHERE until > $1")
        .bind(now)
        .one()
        .await?;
    Ok(connections)
}

/// Issues that are being sent, their audience whole: the one with the oldest run first.
pub async fn sending(db: &Db) -> db::Result<Vec<(i64, String)>> {
    db.read(
        "SELECT r.issue_id, r.newsletter FROM delivery_runs r JOIN issues i ON i.id = r.issue_id
         WHERE r.finished_at IS NULL AND r.gathered_at IS NOT NULL AND i.state = 'sending'
         ORDER BY r.started_at, r.issue_id",
    )
    .all()
    .await
}

/// When the next reader of an issue is due. Those that are leased count: their process may give them back.
pub async fn next_due(db: &Db, issue: i64) -> db::Result<Option<Moment>> {
    let next: (Option<Moment>,) = db
        .read("SELECT MIN(next_at) FROM deliveries WHERE issue_id = $1 AND state = 'waiting'")
        .bind(issue)
        .one()
        .await?;
    Ok(next.0)
}

/// A reader whose turn it is.
#[derive(Debug, sqlx::FromRow)]
pub struct Claimed {
    /// The reader, as the audience has them.
    pub subscriber_id: i64,
    /// The reader to write to: another one where they have moved since the freeze.
    pub addressee: i64,
    /// What they chose at the freeze.
    pub edition: String,
    /// Their language.
    pub language: String,
    /// Whether the ask for support is theirs to see.
    pub with_ask: bool,
    /// Whether sender and subject are to say little.
    pub discreet: bool,
    /// How often a server said "later".
    pub attempts: i64,
    /// How often a connection broke over them.
    pub drops: i64,
    /// Something went wrong before.
    pub troubled: bool,
    /// An answer was lost before.
    pub uncertain: bool,
    /// Their address; `None` when they have left, paused or been suppressed since the freeze.
    pub address_sealed: Option<Vec<u8>>,
}

macro_rules! claim {
    ($lock:literal) => {
        concat!(
            "UPDATE deliveries SET lease = $1 WHERE issue_id = $2 AND subscriber_id IN (
                SELECT subscriber_id FROM deliveries
                WHERE issue_id = $2 AND state = 'waiting' AND lease IS NULL AND next_at <= $3
                ORDER BY next_at LIMIT $4",
            $lock,
            ")
             RETURNING subscriber_id,
                COALESCE((SELECT subscriber_id FROM moves WHERE left_id = deliveries.subscriber_id), subscriber_id) AS addressee,
                edition, language, with_ask, discreet, attempts, drops,
                trouble IS NOT NULL AS troubled, uncertain,
                (SELECT s.address_sealed FROM subscribers s
                 JOIN subscriptions x ON x.subscriber_id = s.id AND x.newsletter = $5
                 WHERE s.id = COALESCE((SELECT m.subscriber_id FROM moves m WHERE m.left_id = deliveries.subscriber_id),
                                       deliveries.subscriber_id)
                   AND (s.id = deliveries.subscriber_id OR NOT EXISTS
                        (SELECT 1 FROM deliveries d WHERE d.issue_id = $2 AND d.subscriber_id = s.id))
                   AND (s.paused_until IS NULL OR s.paused_until <= $3)
                   AND NOT EXISTS (SELECT 1 FROM suppressions p
                                   WHERE p.address_index = s.address_index AND p.until > $3)) AS address_sealed"
        )
    };
}

/// Leases the next readers of an issue, with their addresses as they are now.
pub async fn claim(
    db: &Db,
    lease: i64,
    issue: i64,
    newsletter: &str,
    now: Moment,
    most: usize,
) -> db::Result<Vec<Claimed>> {
    let sql = if db.is_postgres() { claim!(" FOR UPDATE SKIP LOCKED") } else { claim!("") };
    db.write(sql)
        .bind(lease)
        .bind(issue)
        .bind(now)
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .bind(newsletter.to_owned())
        .all()
        .await
}

/// An outcome to be written down.
#[derive(Clone, Debug)]
pub struct Record {
    /// The issue.
    pub issue: i64,
    /// The reader, as the audience has them.
    pub reader: i64,
    /// The reader to whom it was sent.
    pub addressee: i64,
    /// Whether the row counts as deferred until now.
    pub was_deferred: bool,
    /// Whether the row counts as uncertain until now.
    pub was_uncertain: bool,
    /// What became of it.
    pub outcome: Outcome,
}

/// By how much a run's counts change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Change {
    sent: i64,
    failed: i64,
    skipped: i64,
    deferred: i64,
    uncertain: i64,
}

/// Writes outcomes down, all of them or none, and says which of the issues are still to be sent.
pub async fn record(tx: &mut Tx, lease: i64, records: &[Record]) -> db::Result<HashMap<i64, bool>> {
    let mut changes: HashMap<i64, Change> = HashMap::new();
    for record in records {
        changes.entry(record.issue).or_default();
    }
    for (issue, change) in &mut changes {
        let sent: Vec<&Record> = records.iter().filter(|r| r.issue == *issue && r.outcome == Outcome::Sent).collect();
        for some in sent.chunks(AT_ONCE) {
            mark_sent(tx, *issue, some, change).await?;
        }
        for other in records.iter().filter(|r| r.issue == *issue && r.outcome != Outcome::Sent) {
            if mark(tx, lease, other).await? == 1 {
                count(change, other);
            }
        }
    }
    let mut still = HashMap::new();
    for (issue, change) in changes {
        still.insert(issue, apply(tx, issue, change).await?);
    }
    Ok(still)
}

const AT_ONCE: usize = 32;

/// A mail that was accepted is sent, whoever holds the lease by now: not to write it down would send it again.
async fn mark_sent(tx: &mut Tx, issue: i64, records: &[&Record], change: &mut Change) -> db::Result<()> {
    let mut query = tx
        .query(
            "UPDATE deliveries SET state = 'sent', lease = NULL, code = NULL, trouble = NULL, uncertain = FALSE
             WHERE issue_id = $1 AND state = 'waiting' AND subscriber_id IN
                ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
                 $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33)
             RETURNING subscriber_id",
        )
        .bind(issue);
    for at in 0..AT_ONCE {
        // Fewer than there are places for: the last one stands in the rest.
        query = query.bind(records[at.min(records.len() - 1)].reader);
    }
    let marked: Vec<(i64,)> = query.all().await?;
    for record in records.iter().filter(|r| marked.iter().any(|(id,)| *id == r.reader)) {
        count(change, record);
    }
    Ok(())
}

/// Writes one other outcome down, unless another process has taken the row over in the meantime.
async fn mark(tx: &mut Tx, lease: i64, record: &Record) -> db::Result<u64> {
    let (sql, state, code, trouble, next_at): (&'static str, _, Option<i64>, Option<String>, Option<Moment>) =
        match &record.outcome {
            Outcome::Later { code, trouble, next_at } => {
                (LATER, "waiting", Some((*code).into()), Some(trouble.clone()), Some(*next_at))
            }
            Outcome::Dropped { next_at } => {
                (DROPPED, "waiting", None, Some(trouble::DROPPED.to_owned()), Some(*next_at))
            }
            Outcome::Uncertain { next_at } => {
                let state = if next_at.is_some() { "waiting" } else { "failed" };
                (UNCERTAIN, state, None, Some(trouble::UNCERTAIN.to_owned()), *next_at)
            }
            Outcome::Failed { code, trouble, .. } => (DONE, "failed", code.map(i64::from), Some(trouble.clone()), None),
            Outcome::Skipped => (DONE, "skipped", None, None, None),
            Outcome::Returned { next_at } => (RETURNED, "waiting", None, None, *next_at),
            Outcome::Sent => return Ok(0),
        };
    tx.query(sql)
        .bind(record.issue)
        .bind(record.reader)
        .bind(lease)
        .bind(state)
        .bind(code)
        .bind(trouble)
        .bind(next_at)
        .execute()
        .await
}

// A row without a lease that is due at exactly the time to be written has it written already: the commit was done, but its
// answer was lost, and the outcome is handed in again. It must not count twice.
macro_rules! outcome {
    ($also:literal) => {
        concat!(
            "UPDATE deliveries SET lease = NULL, state = $4, ",
            $also,
            " WHERE issue_id = $1 AND subscriber_id = $2 AND state = 'waiting'
                AND (lease = $3 OR lease IS NULL AND next_at <> COALESCE($7, next_at + 1))"
        )
    };
}
const LATER: &str = outcome!("code = $5, trouble = $6, next_at = $7, attempts = attempts + 1");
const DROPPED: &str = outcome!("code = $5, trouble = $6, next_at = $7, drops = drops + 1");
const UNCERTAIN: &str = outcome!("code = $5, trouble = $6, next_at = COALESCE($7, next_at), uncertain = TRUE");
// Whoever may have it from an earlier try may still have it when a later one is refused.
const DONE: &str =
    outcome!("code = $5, trouble = $6, next_at = COALESCE($7, next_at), uncertain = (uncertain AND $4 = 'failed')");
const RETURNED: &str =
    outcome!("code = COALESCE($5, code), trouble = COALESCE($6, trouble), next_at = COALESCE($7, next_at)");

fn count(change: &mut Change, record: &Record) {
    let (deferred, uncertain) = match &record.outcome {
        Outcome::Sent => {
            change.sent += 1;
            (false, false)
        }
        Outcome::Failed { .. } => {
            change.failed += 1;
            (false, record.was_uncertain)
        }
        Outcome::Skipped => {
            change.skipped += 1;
            (false, false)
        }
        Outcome::Uncertain { next_at: None } => {
            change.failed += 1;
            (false, true)
        }
        Outcome::Uncertain { next_at: Some(_) } => (true, true),
        Outcome::Later { .. } | Outcome::Dropped { .. } => (true, record.was_uncertain),
        Outcome::Returned { .. } => (record.was_deferred, record.was_uncertain),
    };
    change.deferred += i64::from(deferred) - i64::from(record.was_deferred);
    change.uncertain += i64::from(uncertain) - i64::from(record.was_uncertain);
}

/// Changes a run's counts; whether its issue is still to be sent.
async fn apply(tx: &mut Tx, issue: i64, change: Change) -> db::Result<bool> {
    let state: Option<(String,)> = tx
        .query(
            "UPDATE delivery_runs SET sent = sent + $2, failed = failed + $3, skipped = skipped + $4,
                    deferred = deferred + $5, uncertain = uncertain + $6 WHERE issue_id = $1
             RETURNING (SELECT state FROM issues WHERE id = $1)",
        )
        .bind(issue)
        .bind(change.sent)
        .bind(change.failed)
        .bind(change.skipped)
        .bind(change.deferred)
        .bind(change.uncertain)
        .optional()
        .await?;
    Ok(state.is_some_and(|(state,)| state == "sending"))
}

/// Ends a run that was cancelled. Who was waiting stays so, and is never claimed.
pub async fn end(tx: &mut Tx, issue: i64, now: Moment) -> db::Result<()> {
    tx.query(
        "UPDATE delivery_runs SET finished_at = $2, gathered_at = COALESCE(gathered_at, $2)
         WHERE issue_id = $1 AND finished_at IS NULL",
    )
    .bind(issue)
    .bind(now)
    .execute()
    .await?;
    Ok(())
}

/// Puts everybody who failed back to waiting. How many.
pub async fn retry(tx: &mut Tx, issue: i64, now: Moment) -> db::Result<i64> {
    let again = tx
        .query(
            "UPDATE deliveries SET state = 'waiting', attempts = 0, drops = 0, next_at = $2, code = NULL,
                    trouble = NULL, uncertain = FALSE, lease = NULL
             WHERE issue_id = $1 AND state = 'failed' AND trouble IS NOT NULL",
        )
        .bind(issue)
        .bind(now)
        .execute()
        .await?;
    let again = i64::try_from(again).unwrap_or(i64::MAX);
    if again > 0 {
        tx.query(
            "UPDATE delivery_runs SET finished_at = NULL, failed = failed - $2, uncertain =
                (SELECT COUNT(*) FROM deliveries WHERE issue_id = $1 AND state = 'waiting' AND uncertain)
             WHERE issue_id = $1",
        )
        .bind(issue)
        .bind(again)
        .execute()
        .await?;
    }
    Ok(again)
}

/// Removes some rows of a run that was done before `before`. True when there were any.
pub async fn forget(db: &Db, before: Moment, now: Moment) -> db::Result<bool> {
    let old: Option<(i64,)> = db
        .read(
            "SELECT issue_id FROM delivery_runs WHERE finished_at < $1 AND forgotten_at IS NULL
             ORDER BY finished_at LIMIT 1",
        )
        .bind(before)
        .optional()
        .await?;
    let Some((issue,)) = old else { return Ok(false) };
    let removed = db
        .write(
            "DELETE FROM deliveries WHERE issue_id = $1 AND subscriber_id IN
                (SELECT subscriber_id FROM deliveries WHERE issue_id = $1 LIMIT $2)",
        )
        .bind(issue)
        .bind(GATHER)
        .execute()
        .await?;
    if removed > 0 {
        return Ok(true);
    }
    let mut tx = db.begin().await?;
    tx.query("DELETE FROM delivery_domains WHERE issue_id = $1").bind(issue).execute().await?;
    tx.query("DELETE FROM delivery_events WHERE issue_id = $1").bind(issue).execute().await?;
    tx.query("UPDATE delivery_runs SET forgotten_at = $2 WHERE issue_id = $1").bind(issue).bind(now).execute().await?;
    tx.commit().await?;
    Ok(true)
}
