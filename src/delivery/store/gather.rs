//! The freeze of an audience: its subscriptions become rows, in steps, and the rows batches.

use super::batches::{self, Batch};
use crate::clock::Moment;
use crate::db::{self, Db, Tx};

/// How many subscriptions one step looks at: short enough that a sign-up waiting for SQLite's one writer does not notice.
const GATHER: i64 = 2_000;
/// The largest batch. Small enough for several processes to share an audience of thousands.
const BATCH: i64 = 500;

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
    let ends: Vec<(i64,)> = tx
        .query(
            "SELECT subscriber_id FROM
                (SELECT subscriber_id, ROW_NUMBER() OVER (ORDER BY subscriber_id) AS place, COUNT(*) OVER () AS places
                 FROM (SELECT subscriber_id FROM subscriptions
                       WHERE newsletter = $1 AND subscriber_id > $2 ORDER BY subscriber_id LIMIT $3) AS next) AS placed
             WHERE place % $4 = 0 OR place = places ORDER BY subscriber_id",
        )
        .bind(newsletter.clone())
        .bind(from)
        .bind(GATHER)
        .bind(BATCH)
        .all()
        .await?;
    let Some(&(to,)) = ends.last() else {
        close(&mut tx, issue, from, now).await?;
        tx.commit().await?;
        db.analyze("ANALYZE deliveries").await?;
        return Ok(false);
    };
    let mut above = from;
    for (up_to,) in ends {
        batches::add(&mut tx, issue, Batch { above, up_to }).await?;
        above = up_to;
    }
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

/// The audience is whole. The last batch has nobody yet: who confirms later may be in it.
async fn close(tx: &mut Tx, issue: i64, from: i64, now: Moment) -> db::Result<()> {
    batches::add(tx, issue, Batch { above: from, up_to: i64::MAX }).await?;
    tx.query("UPDATE delivery_runs SET gathered_at = $2 WHERE issue_id = $1").bind(issue).bind(now).execute().await?;
    Ok(())
}
