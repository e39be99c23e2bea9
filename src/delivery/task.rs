//! The background steps: what is due begins, audiences are gathered, mails go out, runs end and are forgotten.

use super::acts::{self, ActError};
use super::notice::{self, News};
use super::store::{self, batches, ending, gather, progress, rounds};
use super::{KEPT, newcomers, schedule, send};
use crate::app::Shared;
use crate::clock::Moment;
use crate::db;
use crate::digest::{self, State};
use crate::mail::outbox;
use crate::staff::{self, Actor};
use crate::worker::Task;
use std::time::Duration;

/// The task that begins and ends runs.
pub const CLOCK: &str = "delivery-clock";
/// The task that sends.
pub const SEND: &str = "delivery";
/// The task that sees to newcomers.
pub const NEWCOMERS: &str = "delivery-newcomers";

/// This room's tasks.
pub fn tasks() -> Vec<Task<Shared>> {
    vec![
        Task::new(CLOCK, Duration::from_secs(1), |app: Shared| async move { clock(&app).await }),
        Task::new(NEWCOMERS, Duration::from_secs(1), |app: Shared| async move { newcomers::step(&app).await }),
        Task::new(SEND, Duration::from_secs(1), |app: Shared| async move { send::run(&app).await }),
    ]
}

/// Everything but the sending itself, which may take hours: so an issue of another newsletter begins on time.
pub async fn clock(app: &Shared) -> Result<bool, ActError> {
    let now = app.clock.now();
    let mut found = store::free_lapsed(&app.db, now).await? > 0;
    for (issue, at) in store::due(&app.db, now).await? {
        begin(app, issue, at).await?;
        found = true;
    }
    for (issue,) in gather::ungathered(&app.db).await? {
        while !app.stop.is_cancelled() && gather::gather(&app.db, issue, now).await? {}
        found = true;
        app.wake(SEND);
    }
    for (issue, _) in store::sending(&app.db).await? {
        match batches::next_due(&app.db, issue).await? {
            None => found |= finish(app, issue).await?,
            Some(_) => first_round(app, issue).await?,
        }
    }
    Ok(found | store::forget(&app.db, now - KEPT, now).await?)
}

/// Begins an issue whose time has come, or holds it when that was too long ago, or when it cannot be frozen.
async fn begin(app: &Shared, id: i64, at: Moment) -> Result<(), ActError> {
    if app.clock.now().since(at) > schedule::LATE {
        return hold(app, id, "Its time passed while Friday was not running; it is held").await;
    }
    match acts::start(app, Actor::Friday, id, Some(at)).await {
        // Another process was faster.
        Err(ActError::Freeze(digest::store::FreezeError::State { .. })) => Ok(()),
        Err(error) if error.is_plain() => {
            tracing::error!(issue = id, %error, "a scheduled issue cannot go out");
            hold(app, id, &format!("It could not go out: {error}")).await
        }
        other => other,
    }
}

async fn hold(app: &Shared, id: i64, why: &str) -> Result<(), ActError> {
    let now = app.clock.now();
    let people = notice::people(app).await?;
    let mut tx = app.db.begin().await?;
    if digest::store::move_state(&mut tx, now, id, State::Scheduled, State::Held).await? {
        progress::note(&mut tx, id, now, why).await?;
        staff::store::record(&mut tx, Actor::Friday, now, "issue.hold", &format!("issue {id}")).await?;
        notice::tell(app, &mut tx, &people, id, News::Held(why)).await?;
    }
    tx.commit().await?;
    app.wake(outbox::TASK);
    Ok(())
}

/// Everybody was tried once: from now on it is out, and only who was put off is tried again.
async fn first_round(app: &Shared, id: i64) -> db::Result<()> {
    let before = store::run(&app.db, id).await?;
    if !before.is_some_and(|run| run.tried_at.is_none() && run.untried() == 0) {
        return Ok(());
    }
    let now = app.clock.now();
    let people = notice::people(app).await?;
    let mut tx = app.db.begin().await?;
    if rounds::everybody_tried(&mut tx, id, now).await? {
        progress::note(&mut tx, id, now, "Everybody was tried once; who was put off is tried again").await?;
        notice::tell(app, &mut tx, &people, id, News::Out).await?;
    }
    tx.commit().await?;
    app.wake(outbox::TASK);
    Ok(())
}

async fn finish(app: &Shared, id: i64) -> db::Result<bool> {
    let now = app.clock.now();
    let people = notice::people(app).await?;
    let counted = ending::count(&app.db, id).await?;
    let was_out = store::run(&app.db, id).await?.is_some_and(|run| run.tried_at.is_some());
    let mut tx = app.db.begin().await?;
    if !ending::finish(&mut tx, id, counted, now).await? {
        tx.commit().await?;
        return Ok(false);
    }
    digest::store::move_state(&mut tx, now, id, State::Sending, State::Sent).await?;
    progress::note(&mut tx, id, now, "Done").await?;
    notice::tell(app, &mut tx, &people, id, if was_out { News::Ended } else { News::Out }).await?;
    tx.commit().await?;
    app.wake(outbox::TASK);
    Ok(true)
}
