//! Who confirms while an issue goes out gets that issue too.
//!
//! The confirmation has left a row among the newcomers (`subscribers`). Here each is seen to once: added to the runs that are
//! open, then taken away. Every step can be repeated: a reader has one row in a run, and a row that is gone was seen to.

use super::store::{newcomers, progress};
use super::task;
use crate::app::Shared;
use crate::clock::{DAY, Moment};
use crate::db;
use crate::subscribers;

/// As many as are seen to in one commit.
const BATCH: usize = 50;

/// Sees to the newcomers, a batch at a time. True when there were any. Nearly always there is nobody, and finding that out
/// reads one empty table, once a second.
pub async fn step(app: &Shared) -> db::Result<bool> {
    let waiting = newcomers::waiting(&app.db, BATCH).await?;
    if waiting.is_empty() {
        return Ok(false);
    }
    let now = app.clock.now();
    for (issue, newsletter) in newcomers::open_runs(&app.db, now - DAY).await? {
        if app.newsroom().newsletter(&newsletter).is_some_and(|settings| settings.send_to_newcomers) {
            take(app, issue, now).await?;
        }
    }
    let mut tx = app.db.begin_behind().await?;
    for newcomer in &waiting {
        subscribers::store::newcomers::take_away(&mut tx, newcomer.subscriber_id, &newcomer.newsletter).await?;
    }
    tx.commit().await?;
    Ok(true)
}

/// Adds them to one run.
async fn take(app: &Shared, issue: i64, now: Moment) -> db::Result<()> {
    let mut tx = app.db.begin_behind().await?;
    let added = newcomers::take(&mut tx, issue, now).await?;
    tx.commit().await?;
    if added > 0 {
        progress::note_news(&app.db, issue, now, "Who signs up meanwhile gets it too").await?;
        app.wake(task::SEND);
    }
    Ok(())
}
