//! The rounds of a run: when everybody was tried, and whether its end is news.

use crate::clock::Moment;
use crate::db::{self, Tx};

/// Notes that everybody has been tried once. False while somebody has not, and when it was noted before.
pub async fn everybody_tried(tx: &mut Tx, issue: i64, now: Moment) -> db::Result<bool> {
    let noted = tx
        .query(
            "UPDATE delivery_runs SET tried_at = $2
             WHERE issue_id = $1 AND tried_at IS NULL AND gathered_at IS NOT NULL
               AND readers <= sent + failed + skipped + deferred",
        )
        .bind(issue)
        .bind(now)
        .execute()
        .await?;
    Ok(noted == 1)
}

/// Whether staff were not told yet, or of another number of failures. Notes the number that they are told now.
pub async fn is_news(tx: &mut Tx, issue: i64) -> db::Result<bool> {
    let told = tx
        .query(
            "UPDATE delivery_runs SET told_failed = failed
             WHERE issue_id = $1 AND (told_failed IS NULL OR told_failed <> failed)",
        )
        .bind(issue)
        .execute()
        .await?;
    Ok(told == 1)
}
