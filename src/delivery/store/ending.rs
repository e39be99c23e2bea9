//! The end of a run: nobody is waiting any more, and its counts are those of its rows.
//!
//! A million rows are counted before the transaction, since SQLite's one writer would be busy with it for half a second, and
//! in stretches, so that no statement takes long. The count holds only if it has everybody in it; somebody who confirmed in
//! between may have been added.

use super::batches;
use crate::clock::Moment;
use crate::db::{self, Db, Tx};

/// How many batches are counted in one statement: some twenty thousand readers, and a few milliseconds.
const STRETCH: i64 = 40;

/// A run's rows, by what became of them.
#[derive(Clone, Copy, Debug, Default, sqlx::FromRow)]
pub struct Counted {
    everybody: i64,
    sent: i64,
    failed: i64,
    skipped: i64,
    waiting: i64,
    uncertain: i64,
}

/// Counts a run's rows, a stretch of batches after the other.
pub async fn count(db: &Db, issue: i64) -> db::Result<Counted> {
    let mut all = Counted::default();
    let mut above = 0;
    while let Some(up_to) = end_of_stretch(db, issue, above).await? {
        let some = count_between(db, issue, above, up_to).await?;
        all.everybody += some.everybody;
        all.sent += some.sent;
        all.failed += some.failed;
        all.skipped += some.skipped;
        all.waiting += some.waiting;
        all.uncertain += some.uncertain;
        above = up_to;
    }
    Ok(all)
}

async fn end_of_stretch(db: &Db, issue: i64, above: i64) -> db::Result<Option<i64>> {
    let end: (Option<i64>,) = db
        .read(
            "SELECT MAX(up_to) FROM (SELECT up_to FROM delivery_batches WHERE issue_id = $1 AND up_to > $2
                ORDER BY up_to LIMIT $3) AS stretch",
        )
        .bind(issue)
        .bind(above)
        .bind(STRETCH)
        .one()
        .await?;
    Ok(end.0)
}

async fn count_between(db: &Db, issue: i64, above: i64, up_to: i64) -> db::Result<Counted> {
    db.read(
        "SELECT COUNT(*) AS everybody, COUNT(*) FILTER (WHERE state = 'sent') AS sent,
                COUNT(*) FILTER (WHERE state = 'failed') AS failed, COUNT(*) FILTER (WHERE state = 'skipped') AS skipped,
                COUNT(*) FILTER (WHERE state = 'waiting') AS waiting,
                COUNT(*) FILTER (WHERE state = 'failed' AND uncertain) AS uncertain
         FROM deliveries WHERE issue_id = $1 AND subscriber_id > $2 AND subscriber_id <= $3",
    )
    .bind(issue)
    .bind(above)
    .bind(up_to)
    .one()
    .await
}

/// Ends a run when nobody is waiting, with these counts. False while there is somebody.
pub async fn finish(tx: &mut Tx, issue: i64, counted: Counted, now: Moment) -> db::Result<bool> {
    // Held before it is looked at: on PostgreSQL somebody may be adding a newcomer at this very moment.
    tx.query("UPDATE delivery_runs SET readers = readers WHERE issue_id = $1").bind(issue).execute().await?;
    if batches::anybody_waits(tx, issue).await? {
        return Ok(false);
    }
    if counted.waiting > 0 {
        // Their batches say that nobody waits, their rows say that somebody does. The rows are what holds.
        batches::reopen(tx, issue, now).await?;
        return Ok(false);
    }
    let counts = tx
        .query(
            "UPDATE delivery_runs SET sent = $3, failed = $4, skipped = $5, uncertain = $6
             WHERE issue_id = $1 AND readers = $2 AND finished_at IS NULL",
        )
        .bind(issue)
        .bind(counted.everybody)
        .bind(counted.sent)
        .bind(counted.failed)
        .bind(counted.skipped)
        .bind(counted.uncertain)
        .execute()
        .await?;
    if counts == 0 {
        // Somebody was added since they were counted.
        return Ok(false);
    }
    let ended = tx
        .query(
            "UPDATE delivery_runs SET finished_at = $2, tried_at = COALESCE(tried_at, $2), deferred = 0
             WHERE issue_id = $1 AND finished_at IS NULL AND gathered_at IS NOT NULL",
        )
        .bind(issue)
        .bind(now)
        .execute()
        .await?;
    Ok(ended == 1)
}
