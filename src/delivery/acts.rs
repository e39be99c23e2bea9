//! What people do with an issue that is ready: schedule it, send it, stop it, try again. The staff pages and the command
//! line call the same functions, and each act is in the staff log within the transaction that does it.

use super::notice::{self, News};
use super::schedule::{WhenError, when};
use super::store::{self, progress};
use super::task;
use super::wording::{lasting, wall};
use crate::app::Shared;
use crate::clock::Moment;
use crate::db;
use crate::digest::proof::{Proof, ProofError};
use crate::digest::store::FreezeError;
use crate::digest::{self, Issue, State};
use crate::mail::outbox;
use crate::newsroom::Newsletter;
use crate::staff::{self, Actor};
use crate::subscribers::Edition;
use std::time::Duration;

/// How long staff can stop an issue after they have pressed "Send to all".
pub const WINDOW: Duration = Duration::from_secs(60);

/// Why an act was not done. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// No such issue.
    #[error("there is no issue {0}")]
    NoIssue(i64),
    /// It is not where that could be done.
    #[error("issue {id} is {state}: {why}")]
    State {
        /// The issue.
        id: i64,
        /// Where it stands.
        state: State,
        /// What that means here.
        why: &'static str,
    },
    /// Its newsletter is no longer in the settings.
    #[error("the newsletter \"{0}\" of this issue is not in the newsroom's settings")]
    Newsletter(String),
    /// Nobody reads the newsletter.
    #[error("nobody reads \"{0}\" yet: there is nobody to send to")]
    Nobody(String),
    /// Another number was typed than there are readers.
    #[error("{really} readers would get it, not {typed}: nothing was sent")]
    Readers {
        /// The number that was typed.
        typed: i64,
        /// The number of readers.
        really: i64,
    },
    /// Nothing in it.
    #[error("issue {0} has no articles and no introduction")]
    Empty(i64),
    /// Nobody failed.
    #[error("nobody failed in issue {0}: there is nothing to try again")]
    NoFailures(i64),
    /// The sender's address.
    #[error(transparent)]
    Sender(#[from] crate::mail::SenderError),
    /// The time.
    #[error(transparent)]
    When(#[from] WhenError),
    /// It cannot be rendered.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// It cannot be frozen.
    #[error(transparent)]
    Freeze(#[from] FreezeError),
    /// The database.
    #[error(transparent)]
    Db(#[from] db::Error),
}

impl ActError {
    /// Whether it says something that the person at the desk can use, rather than that something broke.
    pub fn is_plain(&self) -> bool {
        !matches!(self, ActError::Db(_) | ActError::Freeze(FreezeError::Db(_)) | ActError::Proof(ProofError::Db(_)))
    }
}

/// The issue of that id.
pub async fn issue(app: &Shared, id: i64) -> Result<Issue, ActError> {
    digest::store::issue(&app.db, id).await?.ok_or(ActError::NoIssue(id))
}

/// The settings of an issue's newsletter.
pub fn newsletter(app: &Shared, issue: &Issue) -> Result<Newsletter, ActError> {
    app.newsroom().newsletter(&issue.newsletter).cloned().ok_or_else(|| ActError::Newsletter(issue.newsletter.clone()))
}

/// How many would get an issue now, by edition and in all.
pub async fn audience(app: &Shared, issue: &Issue) -> Result<(Vec<(String, i64)>, i64), ActError> {
    let by_edition = store::audience(&app.db, &issue.newsletter, app.clock.now()).await?;
    let all = by_edition.iter().map(|(_, n)| n).sum();
    Ok((by_edition, all))
}

/// Sets the time at which an issue goes out; the time.
pub async fn schedule(app: &Shared, by: Actor, id: i64, text: &str) -> Result<Moment, ActError> {
    let issue = ready(app, id).await?;
    let now = app.clock.now();
    let at = when(text, &newsletter(app, &issue)?, now)?;
    set(app, by, &issue, at, "issue.schedule").await?;
    Ok(at)
}

/// Sends an issue to everybody: at once, or after a window in which it can be stopped. How many readers that are.
pub async fn send(app: &Shared, by: Actor, id: i64, typed: Option<i64>, window: Duration) -> Result<i64, ActError> {
    let issue = ready(app, id).await?;
    let (_, really) = audience(app, &issue).await?;
    if let Some(typed) = typed.filter(|typed| *typed != really) {
        return Err(ActError::Readers { typed, really });
    }
    if really == 0 {
        return Err(ActError::Nobody(issue.newsletter));
    }
    if window.is_zero() {
        start(app, by, id, None).await?;
    } else {
        set(app, by, &issue, app.clock.now() + window, "issue.send").await?;
    }
    Ok(really)
}

/// Ends the window early. Only within it: anything else is sent by typing the number of readers.
pub async fn send_now(app: &Shared, by: Actor, id: i64) -> Result<(), ActError> {
    let issue = issue(app, id).await?;
    if issue.state != State::Scheduled || issue.scheduled_at.is_none_or(|at| at > app.clock.now() + WINDOW) {
        return Err(ActError::State { id, state: issue.state, why: "it is not about to go out" });
    }
    start(app, by, id, issue.scheduled_at).await
}

/// An issue that could go out: it is open, it has something in it, every edition of it can be rendered, and its sender is
/// an address. What can be found out now is not found out at eight on Friday morning.
async fn ready(app: &Shared, id: i64) -> Result<Issue, ActError> {
    let issue = issue(app, id).await?;
    if !issue.state.is_open() {
        return Err(ActError::State { id, state: issue.state, why: "an issue is sent once" });
    }
    super::letters::Hand::new(app, id, &issue.newsletter).map_err(|error| match error {
        super::letters::LetterError::Sender(error) => ActError::Sender(error),
        _ => ActError::Newsletter(issue.newsletter.clone()),
    })?;
    let proof = Proof::of(app, id).await?;
    if proof.entries.is_empty() && issue.introduction.trim().is_empty() {
        return Err(ActError::Empty(id));
    }
    for edition in [Edition::Full, Edition::Links, Edition::Plain] {
        proof.edition(edition, proof.newsletter.language, true).map_err(ProofError::from)?;
    }
    Ok(issue)
}

async fn set(app: &Shared, by: Actor, issue: &Issue, at: Moment, act: &'static str) -> Result<(), ActError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    if !digest::store::set_schedule(&mut tx, now, issue.id, Some(at)).await? {
        return Err(ActError::State { id: issue.id, state: issue.state, why: "somebody was faster" });
    }
    let zone = newsletter(app, issue)?.zone();
    let what = match act {
        "issue.send" => format!("Sent, with {} to stop it", lasting(at.since(now))),
        _ => format!("Set for {}", wall(at, &zone)),
    };
    progress::note(&mut tx, issue.id, now, &what).await?;
    staff::store::record(&mut tx, by, now, act, &format!("issue {}, for {at}", issue.id)).await?;
    tx.commit().await?;
    app.wake(task::CLOCK);
    Ok(())
}

/// Freezes an issue and begins to send it. With `scheduled`, only if that is still its time: whoever takes it back in the
/// last moment has taken it back.
pub async fn start(app: &Shared, by: Actor, id: i64, scheduled: Option<Moment>) -> Result<(), ActError> {
    let now = app.clock.now();
    let newsroom = app.newsroom();
    let issue = issue(app, id).await?;
    let newsletter = newsletter(app, &issue)?;
    let mut tx = app.db.begin().await?;
    if let Some(at) = scheduled
        && !digest::store::hold_schedule(&mut tx, id, at).await?
    {
        return Ok(());
    }
    let frozen = digest::store::freeze(&mut tx, now, id, &newsroom, &app.config.base_url).await?;
    store::begin(&mut tx, id, &newsletter.slug, newsletter.language.as_str(), now).await?;
    progress::note(&mut tx, id, now, &format!("No. {} frozen, {} editions", frozen.number, frozen.editions.len()))
        .await?;
    staff::store::record(&mut tx, by, now, "issue.start", &format!("issue {id}")).await?;
    tx.commit().await?;
    app.wake(task::CLOCK);
    Ok(())
}

/// Stops the sending. Each connection finishes the mail in hand and begins no other.
pub async fn pause(app: &Shared, by: Actor, id: i64) -> Result<(), ActError> {
    step(
        app,
        by,
        id,
        (State::Sending, State::Paused),
        ("issue.pause", "Paused"),
        "only what is going out can be paused",
    )
    .await
}

/// Goes on after a pause.
pub async fn resume(app: &Shared, by: Actor, id: i64) -> Result<(), ActError> {
    step(app, by, id, (State::Paused, State::Sending), ("issue.resume", "Going on"), "only what is paused can go on")
        .await
}

async fn step(
    app: &Shared,
    by: Actor,
    id: i64,
    (from, to): (State, State),
    (act, what): (&'static str, &'static str),
    why: &'static str,
) -> Result<(), ActError> {
    let issue = issue(app, id).await?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    if !digest::store::move_state(&mut tx, now, id, from, to).await? {
        return Err(ActError::State { id, state: issue.state, why });
    }
    progress::note(&mut tx, id, now, what).await?;
    staff::store::record(&mut tx, by, now, act, &format!("issue {id}")).await?;
    tx.commit().await?;
    app.wake(task::SEND);
    Ok(())
}

/// Ends an issue: one that has not begun becomes a draft again, one that is going out stops for good. Answers where it is now.
pub async fn cancel(app: &Shared, by: Actor, id: i64) -> Result<State, ActError> {
    let issue = issue(app, id).await?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let to = match issue.state {
        State::Scheduled | State::Held => {
            digest::store::set_schedule(&mut tx, now, id, None).await?.then_some(State::Draft)
        }
        from @ (State::Sending | State::Paused) => {
            store::end(&mut tx, id, now).await?;
            digest::store::move_state(&mut tx, now, id, from, State::Cancelled).await?.then_some(State::Cancelled)
        }
        _ => None,
    };
    let Some(to) = to else {
        return Err(ActError::State { id, state: issue.state, why: "there is nothing to cancel" });
    };
    let what = if to == State::Draft { "Taken back; nobody got it" } else { "Cancelled; nobody else gets it" };
    progress::note(&mut tx, id, now, what).await?;
    staff::store::record(&mut tx, by, now, "issue.cancel", &format!("issue {id}")).await?;
    tx.commit().await?;
    Ok(to)
}

/// Puts everybody who failed back in line. How many.
pub async fn retry(app: &Shared, by: Actor, id: i64) -> Result<i64, ActError> {
    let issue = issue(app, id).await?;
    if !issue.state.is_public() {
        return Err(ActError::State { id, state: issue.state, why: "only what went out can be tried again" });
    }
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let again = store::retry(&mut tx, id, now).await?;
    if again == 0 {
        return Err(ActError::NoFailures(id));
    }
    // Its run is held by now, and cannot end or be cancelled beside this. Where it stood before may be out of date.
    let state = digest::store::state(&mut tx, id).await?.ok_or(ActError::NoIssue(id))?;
    if !state.is_public() {
        return Err(ActError::State { id, state, why: "only what went out can be tried again" });
    }
    digest::store::move_state(&mut tx, now, id, State::Sent, State::Sending).await?;
    progress::note(&mut tx, id, now, &format!("{again} who failed are tried again")).await?;
    staff::store::record(&mut tx, by, now, "issue.retry", &format!("issue {id}")).await?;
    tx.commit().await?;
    app.wake(task::SEND);
    Ok(again)
}

/// Friday itself pauses an issue that cannot go on, and says why.
pub async fn hold_up(app: &Shared, id: i64, why: &str) -> db::Result<()> {
    let now = app.clock.now();
    let people = notice::people(app).await?;
    let mut tx = app.db.begin().await?;
    if digest::store::move_state(&mut tx, now, id, State::Sending, State::Paused).await? {
        tracing::warn!(issue = id, why, "an issue is paused");
        progress::note(&mut tx, id, now, &format!("{why}: paused")).await?;
        staff::store::record(&mut tx, Actor::Friday, now, "issue.pause", &format!("issue {id}")).await?;
        notice::tell(app, &mut tx, &people, id, News::Paused(why)).await?;
    }
    tx.commit().await?;
    app.wake(outbox::TASK);
    Ok(())
}
