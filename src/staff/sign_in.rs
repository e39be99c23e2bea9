//! Signing in: an address, a password, and how guessing is made slow.
//!
//! Two counts stand in the way of guessing: one for an address from one network, which is short and starts anew when
//! the right person comes in; one for an address from anywhere, which is long, for guessing spread over many networks.
//! Somebody who guesses can so make a colleague wait only on a network they share, or with great effort, and never
//! for good. Both count any address, with an account or without, and both are taken before the password is looked
//! at. What is slow, the hash, is done for every try alike.

use std::time::Duration;

use secrecy::SecretString;

use super::{Actor, StaffError, factor, password, store};
use crate::address::Address;
use crate::clock::Moment;
use crate::db::{Db, Tx};
use crate::keys::{Drawer, Keys};

/// Failures for one address from one network that cost no waiting.
pub const FREE_HERE: i64 = 5;
/// Failures for one address from all networks that cost no waiting.
pub const FREE_ALL: i64 = 50;

/// What came of it.
pub enum Outcome {
    /// Come in: the token of a new session.
    In(String),
    /// The password is right; now the code. A token that says so, for [`enter_code`].
    Code(String),
    /// Address or password is not right; so many tries are left before there is a wait.
    Wrong(i64),
    /// Too many failures; nothing was looked at.
    Wait(Duration),
}

/// Tries an address and a password that came from `network`.
pub async fn sign_in(
    db: &Db,
    keys: &Keys,
    now: Moment,
    network: &str,
    email: &str,
    password: &SecretString,
) -> Result<Outcome, StaffError> {
    // What is no address has no account, and is answered as any other that has none.
    let address = Address::parse(email).ok();
    let who = match &address {
        Some(address) => keys.index(Drawer::Staff, address),
        None => email.trim().to_lowercase().into_bytes(),
    };
    let here = keys.mark("staff-attempt-here", &[who.as_slice(), b"\0", network.as_bytes()].concat());
    let all = keys.mark("staff-attempt", &who);
    let mut tx = db.begin().await?;
    let failures = match store::try_once(&mut tx, now, here, FREE_HERE).await? {
        Ok(failures) => failures,
        Err(until) => return Ok(Outcome::Wait(until.since(now))),
    };
    if let Err(until) = store::try_once(&mut tx, now, all, FREE_ALL).await? {
        return Ok(Outcome::Wait(until.since(now)));
    }
    tx.commit().await?;

    let account = match &address {
        Some(address) => store::account(db, keys, address).await?,
        None => None,
    };
    let (id, hash) = account.unzip();
    let right = password::verify(password, hash.flatten()).await?;
    let Some(id) = id.filter(|_| right) else {
        // Of addresses without an account nothing is logged: they may be a reader's.
        if let Some(id) = id {
            tracing::warn!(person = id, failures, "a sign-in failed");
        }
        return Ok(Outcome::Wrong((FREE_HERE - failures).max(0)));
    };
    let has_factor = store::factor(db, keys, id).await?.is_some();
    let mut tx = db.begin().await?;
    store::succeeded(&mut tx, here, all).await?;
    if has_factor {
        tx.commit().await?;
        return Ok(Outcome::Code(keys.link(HALF_WAY, Some(now + HALF_WAY_LIFE), &id)));
    }
    let token = enter(&mut tx, keys, now, id).await?;
    tx.commit().await?;
    Ok(Outcome::In(token))
}

/// What the token between password and code is for, and how long there is for the code.
const HALF_WAY: &str = "staff-half-way";
const HALF_WAY_LIFE: Duration = Duration::from_secs(10 * 60);

/// The second step: the code of somebody whose password was right. `None`: that was too long ago.
pub async fn enter_code(
    db: &Db,
    keys: &Keys,
    now: Moment,
    half_way: &str,
    typed: &str,
) -> Result<Option<Outcome>, StaffError> {
    let Ok(id) = keys.read_link::<i64>(HALF_WAY, half_way, now) else { return Ok(None) };
    let Some((secret, used)) = store::factor(db, keys, id).await? else { return Ok(None) };
    let mark = keys.mark("staff-code", &id.to_be_bytes());
    let mut tx = db.begin().await?;
    let failures = match store::try_once(&mut tx, now, mark, FREE_HERE).await? {
        Ok(failures) => failures,
        Err(until) => return Ok(Some(Outcome::Wait(until.since(now)))),
    };
    tx.commit().await?;
    let mut tx = db.begin().await?;
    let right = match factor::accepted(&secret, typed, now, used) {
        Some(step) => store::use_code(&mut tx, id, step).await?,
        None => false,
    };
    if !right {
        tracing::warn!(person = id, failures, "a code was wrong");
        return Ok(Some(Outcome::Wrong((FREE_HERE - failures).max(0))));
    }
    store::forget_tries(&mut tx, mark).await?;
    let token = enter(&mut tx, keys, now, id).await?;
    tx.commit().await?;
    Ok(Some(Outcome::In(token)))
}

async fn enter(tx: &mut Tx, keys: &Keys, now: Moment, id: i64) -> Result<String, StaffError> {
    let token = store::begin_session(tx, keys, now, id).await?;
    store::record(tx, Actor::Person(id), now, "staff.sign-in", "").await?;
    Ok(token)
}
