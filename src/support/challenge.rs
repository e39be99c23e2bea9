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
/// So many presses in that time are no newsroom's best hour.
const MANY_PRESSES: i64 = 100;
/// So many refused payments, while at least [`FEW_PRESSES`] came: renewals that fail at the start of a month come without
/// presses.
const MANY_REFUSED: i64 = 20;
const FEW_PRESSES: i64 = 10;
/// The largest number to be found: some 25,000 hashes on average, about a second on an old phone.
const HARDEST: u32 = 50_000;
/// How long a solution may take.
const LIFE: Duration = Duration::from_secs(20 * 60);
/// A solution is good for one press.
const ONCE: Rule = Rule { name: "support.challenge", burst: 1, per: LIFE };
/// Who cannot solve anything, all of them together.
const UNSOLVED: Rule = Rule { name: "support.unsolved", burst: 10, per: LOOK_BACK };

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

/// Whether a task must be solved now. The first time in a day, staff are told.
///
/// # Errors
/// When the database fails.
pub async fn is_on(app: &App) -> db::Result<bool> {
    match app.newsroom().support.challenge {
        When::Always => return Ok(true),
        When::Never => return Ok(false),
        When::Auto => {}
    }
    let now = app.clock.now();
    let (presses, refused) = store::tried(&app.db, now - LOOK_BACK).await?;
    let is_attack = presses >= MANY_PRESSES || (refused >= MANY_REFUSED && presses >= FEW_PRESSES);
    if is_attack {
        let mut tx = app.db.begin().await?;
        let day = now.to_jiff().strftime("%Y-%m-%d").to_string();
        if alarms::raise(&mut tx, Alarm::CardTesting, &day, now).await? {
            tracing::warn!(presses, refused, "somebody tries cards; browsers must solve a task now");
        }
        tx.commit().await?;
    }
    Ok(is_attack)
}

async fn show(State(app): State<Shared>) -> Result<Response, Problem> {
    let challenge = Challenge::new(&app, app.clock.now());
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(challenge)).into_response())
}

impl Challenge {
    fn new(app: &App, now: Moment) -> Challenge {
        let expires = (now + LIFE).seconds();
        let salt = format!("{}?expires={expires}", HEXLOWER.encode(&keys::random::<12>()));
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
pub fn may_pass(app: &App, altcha: Option<&str>) -> bool {
    if altcha.is_some_and(|altcha| is_solved(app, altcha)) {
        return true;
    }
    app.limits.check(&UNSOLVED, "").is_ok()
}

fn is_solved(app: &App, altcha: &str) -> bool {
    let Some(solution) = BASE64.decode(altcha.as_bytes()).ok() else { return false };
    let Ok(solution) = serde_json::from_slice::<Solution>(&solution) else { return false };
    let expires = solution.salt.split_once("?expires=").and_then(|(_, at)| at.parse::<i64>().ok());
    solution.algorithm == "SHA-256"
        && expires.is_some_and(|at| at > app.clock.now().seconds())
        && hash(&solution.salt, solution.number) == solution.challenge
        && keys::same(sign(app, &solution.challenge).as_bytes(), solution.signature.as_bytes())
        && app.limits.check(&ONCE, &solution.challenge).is_ok()
}
