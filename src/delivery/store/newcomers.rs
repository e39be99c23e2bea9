//! Newcomers and the issues that are going out: whoever confirms in that time is added to the run.
//!
//! A newcomer is looked at once, within a second or two of their confirmation. So nothing compares the time of a
//! confirmation with that of a run, which two machines may have read from two clocks: who confirmed before the run has a row
//! in it by then, because their subscription was there when the audience was gathered.

use crate::clock::Moment;
use crate::db::{self, Db, Tx};

/// Somebody who confirmed a moment ago.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Newcomer {
    /// The reader.
    pub subscriber_id: i64,
    /// What they confirmed: the newsletter's slug.
    pub newsletter: String,
    /// Their address.
    pub address_sealed: Vec<u8>,
    /// Their language, where they chose one.
    pub language: Option<String>,
    /// How they want it.
    pub edition: String,
    /// Whether sender and subject are to say little.
    pub discreet: bool,
    /// Nothing is sent before.
    pub paused_until: Option<Moment>,
}

/// Newcomers who can be seen to now. While the audience of their newsletter is being gathered they wait, since it is not
/// known yet whether they are in it.
pub async fn waiting(db: &Db, most: usize) -> db::Result<Vec<Newcomer>> {
    db.read(
        "SELECT n.subscriber_id, n.newsletter, s.address_sealed, s.language, s.edition, s.discreet, s.paused_until
         FROM newcomers n JOIN subscribers s ON s.id = n.subscriber_id
         WHERE NOT EXISTS (SELECT 1 FROM delivery_runs r WHERE r.newsletter = n.newsletter AND r.gathered_at IS NULL)
         ORDER BY n.subscriber_id, n.newsletter LIMIT $1",
    )
    .bind(i64::try_from(most).unwrap_or(i64::MAX))
    .all()
    .await
}

/// Issues on their way since `since` for which there are newcomers, with their newsletters. Paused ones are among them:
/// who confirms in a pause gets the issue when it goes on.
pub async fn open_runs(db: &Db, since: Moment) -> db::Result<Vec<(i64, String)>> {
    db.read(
        "SELECT r.issue_id, r.newsletter FROM delivery_runs r JOIN issues i ON i.id = r.issue_id
         WHERE r.finished_at IS NULL AND r.gathered_at IS NOT NULL AND r.started_at > $1
           AND i.state IN ('sending', 'paused')
           AND EXISTS (SELECT 1 FROM newcomers n WHERE n.newsletter = r.newsletter)
         ORDER BY r.started_at, r.issue_id",
    )
    .bind(since)
    .all()
    .await
}

/// Adds the newcomers of its newsletter to a run, on the conditions on which an audience is gathered. How many were new to
/// it. Left out is who may have the issue already: who left and came back within a day, and who moved since the freeze.
pub async fn take(tx: &mut Tx, issue: i64, now: Moment) -> db::Result<i64> {
    // Holds the run: it cannot end, and nobody else can add to it, before this is committed.
    let run: Option<(String, String)> = tx
        .query(
            "UPDATE delivery_runs SET readers = readers
             WHERE issue_id = $1 AND finished_at IS NULL AND gathered_at IS NOT NULL RETURNING newsletter, language",
        )
        .bind(issue)
        .optional()
        .await?;
    let Some((newsletter, language)) = run else { return Ok(0) };
    let added = tx
        .query(
            "INSERT INTO deliveries (issue_id, subscriber_id, edition, language, with_ask, discreet,
                                     state, attempts, drops, next_at, uncertain)
             SELECT $1, s.id, s.edition, COALESCE(s.language, $2), NOT s.no_asks, s.discreet,
                    'waiting', 0, 0, $3, FALSE
             FROM newcomers n JOIN subscribers s ON s.id = n.subscriber_id
             WHERE n.newsletter = $4 AND NOT n.returned
               AND (s.paused_until IS NULL OR s.paused_until <= $3)
               AND NOT EXISTS (SELECT 1 FROM suppressions p
                               WHERE p.address_index = s.address_index AND p.until > $3)
               AND NOT EXISTS (SELECT 1 FROM moves m JOIN deliveries d
                                   ON d.issue_id = $1 AND d.subscriber_id = m.left_id
                               WHERE m.subscriber_id = s.id)
             ON CONFLICT (issue_id, subscriber_id) DO NOTHING",
        )
        .bind(issue)
        .bind(language)
        .bind(now)
        .bind(newsletter.clone())
        .execute()
        .await?;
    let added = i64::try_from(added).unwrap_or(i64::MAX);
    if added > 0 {
        tx.query(
            "UPDATE delivery_batches SET due_at = CASE WHEN due_at <= $2 THEN due_at ELSE $2 END
             WHERE issue_id = $1 AND EXISTS
                (SELECT 1 FROM newcomers n WHERE n.newsletter = $3 AND n.subscriber_id > delivery_batches.above
                    AND n.subscriber_id <= delivery_batches.up_to)",
        )
        .bind(issue)
        .bind(now)
        .bind(newsletter)
        .execute()
        .await?;
        tx.query("UPDATE delivery_runs SET readers = readers + $2 WHERE issue_id = $1")
            .bind(issue)
            .bind(added)
            .execute()
            .await?;
    }
    Ok(added)
}

/// Whether an issue comes to a reader, or has come: to them, or to whom they were before a move. Where its audience is
/// still being gathered it began after they confirmed, and they will be in it.
pub async fn comes_to(db: &Db, newsletter: &str, number: i64, reader: i64) -> db::Result<bool> {
    let (coming,): (i64,) = db
        .read(
            "SELECT COUNT(*) FROM issues i JOIN delivery_runs r ON r.issue_id = i.id
             WHERE i.newsletter = $1 AND i.number = $2
               AND (r.gathered_at IS NULL OR EXISTS
                    (SELECT 1 FROM deliveries d WHERE d.issue_id = i.id AND d.state IN ('waiting', 'sent')
                     AND (d.subscriber_id = $3
                          OR d.subscriber_id IN (SELECT m.left_id FROM moves m WHERE m.subscriber_id = $3))))",
        )
        .bind(newsletter.to_owned())
        .bind(number)
        .bind(reader)
        .one()
        .await?;
    Ok(coming > 0)
}
