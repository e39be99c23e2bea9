//! Batches: neighbouring readers of an audience that one process has in hand together.
//!
//! Leasing a batch is one row, where leasing its readers would be hundreds. What must hold is that no reader waits in a batch
//! that is not due: whoever makes a reader wait makes the batch due in the same transaction, and whoever gives a batch back
//! looks at its readers with the batch held, so that nobody can be overlooked who came in between.

use crate::clock::Moment;
use crate::db::{self, Db, Tx};

/// The readers with an id above `above` and up to `up_to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Batch {
    /// The largest id before it.
    pub above: i64,
    /// The largest id in it: its name within its issue.
    pub up_to: i64,
}

/// Adds a batch to a run, due since ever.
pub async fn add(tx: &mut Tx, issue: i64, batch: Batch) -> db::Result<()> {
    tx.query("INSERT INTO delivery_batches (issue_id, above, up_to, due_at) VALUES ($1, $2, $3, 0)")
        .bind(issue)
        .bind(batch.above)
        .bind(batch.up_to)
        .execute()
        .await?;
    Ok(())
}

macro_rules! lease {
    ($lock:literal) => {
        concat!(
            "UPDATE delivery_batches SET lease = $1 WHERE issue_id = $2 AND up_to =
                (SELECT up_to FROM delivery_batches WHERE issue_id = $2 AND lease IS NULL AND due_at <= $3
                 ORDER BY due_at, up_to LIMIT 1",
            $lock,
            ") RETURNING above, up_to"
        )
    };
}

/// Leases a batch of an issue that is due.
pub async fn lease(db: &Db, lease: i64, issue: i64, now: Moment) -> db::Result<Option<Batch>> {
    let sql = if db.is_postgres() { lease!(" FOR UPDATE SKIP LOCKED") } else { lease!("") };
    db.write(sql).bind(lease).bind(issue).bind(now).optional().await
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

/// The next `most` readers of a batch who are due, with their addresses as they are now; nobody where the lease is not ours
/// any more.
pub async fn readers(
    db: &Db,
    (issue, newsletter): (i64, &str),
    (lease, batch): (i64, Batch),
    now: Moment,
    most: usize,
) -> db::Result<Vec<Claimed>> {
    db.read(
        "SELECT c.subscriber_id, c.addressee, c.edition, c.language, c.with_ask, c.discreet, c.attempts, c.drops,
                c.trouble IS NOT NULL AS troubled, c.uncertain,
                (SELECT s.address_sealed FROM subscribers s
                 JOIN subscriptions x ON x.subscriber_id = s.id AND x.newsletter = $6
                 WHERE s.id = c.addressee AND (s.paused_until IS NULL OR s.paused_until <= $4)
                   AND (s.id = c.subscriber_id OR NOT EXISTS
                        (SELECT 1 FROM deliveries o WHERE o.issue_id = $1 AND o.subscriber_id = s.id))
                   AND NOT EXISTS (SELECT 1 FROM suppressions p
                                   WHERE p.address_index = s.address_index AND p.until > $4)) AS address_sealed
         FROM (SELECT d.*, COALESCE(m.subscriber_id, d.subscriber_id) AS addressee
               FROM deliveries d LEFT JOIN moves m ON m.left_id = d.subscriber_id
               WHERE d.issue_id = $1 AND d.subscriber_id > $2 AND d.subscriber_id <= $3
                 AND d.state = 'waiting' AND d.next_at <= $4
                 AND EXISTS (SELECT 1 FROM delivery_batches b WHERE b.issue_id = $1 AND b.up_to = $3 AND b.lease = $7)
               ORDER BY d.subscriber_id LIMIT $5) AS c
         ORDER BY c.subscriber_id",
    )
    .bind(issue)
    .bind(batch.above)
    .bind(batch.up_to)
    .bind(now)
    .bind(i64::try_from(most).unwrap_or(i64::MAX))
    .bind(newsletter.to_owned())
    .bind(lease)
    .all()
    .await
}

/// Gives a batch back: whoever of its readers waits now is free for others, when they are due.
pub async fn give_back(db: &Db, lease: i64, issue: i64, up_to: i64) -> db::Result<()> {
    let mut tx = db.begin().await?;
    // Held before its readers are looked at: on PostgreSQL somebody may be adding one at this very moment, who has written
    // the batch as well. Either they are waited for here, or they wait for the commit and make the batch due after it.
    let held = tx
        .query("UPDATE delivery_batches SET lease = lease WHERE issue_id = $1 AND up_to = $2 AND lease = $3")
        .bind(issue)
        .bind(up_to)
        .bind(lease)
        .execute()
        .await?;
    if held == 0 {
        // This process stood still for too long, and others have it.
        return Ok(());
    }
    tx.query(
        "UPDATE delivery_batches SET lease = NULL, due_at =
            (SELECT MIN(d.next_at) FROM deliveries d WHERE d.issue_id = delivery_batches.issue_id AND d.state = 'waiting'
                AND d.subscriber_id > delivery_batches.above AND d.subscriber_id <= delivery_batches.up_to)
         WHERE issue_id = $1 AND up_to = $2",
    )
    .bind(issue)
    .bind(up_to)
    .execute()
    .await?;
    tx.commit().await
}

/// Makes all batches of an issue due at a time, if they are not before: some of their readers wait anew. Each is written, also
/// where that changes nothing: so whoever is about to give one back waits, and sees its readers as they are then.
pub async fn reopen(tx: &mut Tx, issue: i64, at: Moment) -> db::Result<()> {
    tx.query("UPDATE delivery_batches SET due_at = CASE WHEN due_at <= $2 THEN due_at ELSE $2 END WHERE issue_id = $1")
        .bind(issue)
        .bind(at)
        .execute()
        .await?;
    Ok(())
}

/// When the next reader of an issue is due, or has been; none when nobody waits. Batches that are leased count: their
/// process may give readers back.
pub async fn next_due(db: &Db, issue: i64) -> db::Result<Option<Moment>> {
    let next: (Option<Moment>,) =
        db.read("SELECT MIN(due_at) FROM delivery_batches WHERE issue_id = $1").bind(issue).one().await?;
    Ok(next.0)
}

/// Whether anybody of an issue waits.
pub async fn anybody_waits(tx: &mut Tx, issue: i64) -> db::Result<bool> {
    let waiting: Option<(i64,)> = tx
        .query("SELECT up_to FROM delivery_batches WHERE issue_id = $1 AND due_at IS NOT NULL LIMIT 1")
        .bind(issue)
        .optional()
        .await?;
    Ok(waiting.is_some())
}
