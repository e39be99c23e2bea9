//! A task for the reader's browser, while somebody tries stolen cards: a second of work, so that ten thousand tries cost
//! hours.
//!
//! The protocol is ALTCHA's (altcha.org, "Proof-of-Work Captcha Protocol", version 1), so that a newsroom's own page may
//! use its widget: find the number whose SHA-256 with the salt is the challenge. Nothing is asked of a third party and
//! nothing of the reader. It is set only under attack, because old phones pay for it too; and who has no scripts may still
//! give, as one of a few.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use crate::app::{App, Shared};
use crate::clock::Moment;
use crate::db;
use crate::keys;
use crate::newsroom::Challenge as When;
use crate::support::alarms::Alarm;
use crate::support::store::{self, alarms};
use crate::web::{Problem, Rule};

/// How far back is looked for an attack.
const LOOK_BACK: Duration = Duration::from_secs(600);
/// So many payments that began here were refused in that time. Renewals do not count: at the start of a month many fail.
const MANY_REFUSED: i64 = 20;
/// So many presses are no newsroom's best hour: half of what is let through at all.
const MANY_PRESSES: i64 = 300;
/// How long what was found is believed.
const FRESH: Duration = Duration::from_secs(15);
/// The largest number to be found: some 25,000 hashes on average, about a second on an old phone.
const HARDEST: u32 = 50_000;
/// How long a solution may take.
const LIFE: Duration = Duration::from_secs(20 * 60);
/// A solution is good for one press.
const ONCE: Rule = Rule { name: "support.challenge", burst: 1, per: LIFE };
/// Who cannot solve anything: from one network, and all of them together.
const UNSOLVED: Rule = Rule { name: "support.unsolved", burst: 3, per: LOOK_BACK };
const ALL_UNSOLVED: Rule = Rule { name: "support.unsolved.all", burst: 30, per: LOOK_BACK };

/// What this process knows of an attack: whether there is one, and when that was found.
#[derive(Debug, Default)]
pub struct Watch {
    is_on: AtomicBool,
    seen_at: AtomicI64,
}

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/support/challenge", get(show))
}

/// A task, with the names of ALTCHA's protocol.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub struct Challenge {
    algorithm: &'static str,
    challenge: String,
    maxnumber: u32,
    salt: String,
    signature: String,
}

/// What comes back: the task and the number that solves it.
#[derive(Debug, Deserialize)]
struct Solution {
    algorithm: String,
    challenge: String,
    number: u64,
    salt: String,
    signature: String,
}

/// Whether a task must be solved now. Looks into the database a few times a minute at most.
///
/// # Errors
/// When the database fails.
pub async fn is_on(app: &App) -> db::Result<bool> {
    match app.newsroom().support.challenge {
        When::Always => return Ok(true),
        When::Never => return Ok(false),
        When::Auto => {}
    }
    let seen = Moment::from_millis(app.watch.seen_at.load(Ordering::Relaxed));
    if seen + FRESH < app.clock.now() { look(app).await } else { Ok(app.watch.is_on.load(Ordering::Relaxed)) }
}

/// Looks whether somebody tries cards.
async fn look(app: &App) -> db::Result<bool> {
    let now = app.clock.now();
    let (presses, refused) = store::tried(&app.db, now - LOOK_BACK).await?;
    let is_attack = refused >= MANY_REFUSED || presses >= MANY_PRESSES;
    app.watch.is_on.store(is_attack, Ordering::Relaxed);
    app.watch.seen_at.store(now.millis(), Ordering::Relaxed);
    Ok(is_attack)
}

/// Looks, and tells staff once a day, whether or not a task is set.
///
/// # Errors
/// When the database fails.
pub async fn watch(app: &Shared) -> db::Result<bool> {
    if app.stripe.is_none() || !look(app).await? {
        return Ok(false);
    }
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let day = now.to_jiff().strftime("%Y-%m-%d").to_string();
    let is_new = alarms::raise(&mut tx, Alarm::CardTesting, &day, now).await?;
    tx.commit().await?;
    if is_new {
        tracing::warn!("somebody tries cards");
    }
    Ok(is_new)
}

async fn show(State(app): State<Shared>) -> Result<Response, Problem> {
    let challenge = Challenge::new(&app, app.clock.now());
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(challenge)).into_response())
}

impl Challenge {
    fn new(app: &App, now: Moment) -> Challenge {
        let expires = (now + LIFE).seconds();
        // The end of the salt must be seen: else digits could wander from the number into the date of expiry.
        let salt = format!("{}?expires={expires}&", HEXLOWER.encode(&keys::random::<12>()));
        let number = u32::from_le_bytes(keys::random()) % HARDEST;
        let challenge = hash(&salt, u64::from(number));
        let signature = sign(app, &challenge);
        Challenge { algorithm: "SHA-256", challenge, maxnumber: HARDEST, salt, signature }
    }
}

fn hash(salt: &str, number: u64) -> String {
    HEXLOWER.encode(&Sha256::digest(format!("{salt}{number}")))
}

fn sign(app: &App, challenge: &str) -> String {
    HEXLOWER.encode(&app.keys.mark("support.challenge", challenge.as_bytes()))
}

/// Whether a press may go on while tasks are set: with a solution that was not used before, or as one of the few who have
/// none.
pub fn may_pass(app: &App, altcha: Option<&str>, network: Option<&str>) -> bool {
    if altcha.is_some_and(|altcha| is_solved(app, altcha)) {
        return true;
    }
    app.limits.check(&UNSOLVED, network.unwrap_or_default()).is_ok() && app.limits.check(&ALL_UNSOLVED, "").is_ok()
}

fn is_solved(app: &App, altcha: &str) -> bool {
    let Some(solution) = BASE64.decode(altcha.as_bytes()).ok() else { return false };
    let Ok(solution) = serde_json::from_slice::<Solution>(&solution) else { return false };
    let expires = solution.salt.split_once("?expires=").and_then(|(_, at)| at.strip_suffix('&')?.parse::<i64>().ok());
    let now = app.clock.now();
    solution.algorithm == "SHA-256"
        && expires.is_some_and(|at| at > now.seconds() && at <= (now + LIFE).seconds())
        && hash(&solution.salt, solution.number) == solution.challenge
        && keys::same(sign(app, &solution.challenge).as_bytes(), solution.signature.as_bytes())
        && app.limits.check(&ONCE, &solution.challenge).is_ok()
}
