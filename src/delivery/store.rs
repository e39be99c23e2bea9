//! What is written down while an issue goes out: runs and leases here, and in files of their own the freeze of an audience
//! ([`gather`]), the batches it is cut into ([`batches`]), the outcomes ([`record`]), and what can be seen of it all.

mod audience;
pub mod batches;
pub mod ending;
pub mod gather;
pub mod newcomers;
pub mod progress;
pub mod record;
pub mod rounds;

pub use audience::audience;

use crate::clock::Moment;
use crate::db::{self, Db, Tx};

/// How many rows of an old run are removed at a time.
const FORGET: i64 = 2_000;

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

/// Scheduled issues whose time has come, and when that was.
pub async fn due(db: &Db, now: Moment) -> db::Result<Vec<(i64, Moment)>> {
    db.read("SELECT id, scheduled_at FROM issues WHERE state = 'scheduled' AND scheduled_at <= $1 ORDER BY scheduled_at, id")
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
    live_leases(db, now).await.map(Some)
}

/// How many processes send now: at least the one that asks.
pub async fn live_leases(db: &Db, now: Moment) -> db::Result<i64> {
    let (live,): (i64,) = db.read("SELECT COUNT(*) FROM delivery_leases WHERE until > $1").bind(now).one().await?;
    Ok(live.max(1))
}

/// Gives a lease up, and with it every batch that is still leased by it.
pub async fn drop_lease(db: &Db, id: i64) -> db::Result<()> {
    db.write("DELETE FROM delivery_leases WHERE id = $1").bind(id).execute().await?;
    Ok(())
}

/// Frees what processes held that are gone. How many there were.
pub async fn free_lapsed(db: &Db, now: Moment) -> db::Result<u64> {
    db.write("DELETE FROM delivery_leases WHERE until <= $1").bind(now).execute().await
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
    // The run first, as whoever adds a newcomer: two that lock in different orders wait for each other.
    tx.query("UPDATE delivery_runs SET readers = readers WHERE issue_id = $1").bind(issue).execute().await?;
    let again = tx
        .query(
            "UPDATE deliveries SET state = 'waiting', attempts = 0, drops = 0, next_at = $2, code = NULL,
                    trouble = NULL, uncertain = FALSE
             WHERE issue_id = $1 AND state = 'failed' AND trouble IS NOT NULL",
        )
        .bind(issue)
        .bind(now)
        .execute()
        .await?;
    let again = i64::try_from(again).unwrap_or(i64::MAX);
    if again > 0 {
        batches::reopen(tx, issue, now).await?;
        tx.query(
            "UPDATE delivery_runs SET finished_at = NULL, failed = failed - $2, uncertain =
                (SELECT COUNT(*) FROM deliveries WHERE issue_id = $1 AND state = 'waiting' AND trouble IS NOT NULL AND uncertain)
             WHERE issue_id = $1",
        )
        .bind(issue)
        .bind(again)
        .execute()
        .await?;
        // All who failed are tried again, so none has failed in any domain.
        tx.query("UPDATE delivery_domains SET failed = 0, trouble = NULL WHERE issue_id = $1 AND failed > 0")
            .bind(issue)
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
        .bind(FORGET)
        .execute()
        .await?;
    if removed > 0 {
        return Ok(true);
    }
    let mut tx = db.begin().await?;
    tx.query("DELETE FROM delivery_domains WHERE issue_id = $1").bind(issue).execute().await?;
    tx.query("DELETE FROM delivery_batches WHERE issue_id = $1").bind(issue).execute().await?;
    tx.query("DELETE FROM delivery_events WHERE issue_id = $1").bind(issue).execute().await?;
    tx.query("UPDATE delivery_runs SET forgotten_at = $2 WHERE issue_id = $1").bind(issue).bind(now).execute().await?;
    tx.commit().await?;
    Ok(true)
}
