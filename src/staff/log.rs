//! The log of what staff did.
//!
//! An action is a room and a word (`issue.send`), an object says to what (`issue 42`). Neither may hold an address or
//! a name: the log is kept for long and read by many. People are named by id and opened when somebody reads.

use std::collections::HashMap;

use super::store::open_name;
use super::{Actor, Role, StaffError};
use crate::clock::Moment;
use crate::db::{self, Db, Tx};
use crate::keys::Keys;

/// Notes what somebody did, in the transaction that does it: what is done is in the log, and nothing else is.
pub async fn record(tx: &mut Tx, by: impl Into<Actor>, now: Moment, action: &str, object: &str) -> db::Result<()> {
    let (actor, id) = match by.into() {
        Actor::Person(id) => ("staff", Some(id)),
        Actor::Cli => ("cli", None),
        Actor::Friday => ("friday", None),
    };
    tx.query("INSERT INTO staff_log (id, at, actor, staff_id, action, object) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(db::new_id())
        .bind(now)
        .bind(actor)
        .bind(id)
        .bind(action)
        .bind(object)
        .execute()
        .await?;
    Ok(())
}

/// How an object names somebody who works here; [`entries`] puts the name in its place.
pub fn person(id: i64) -> String {
    format!("person:{id}")
}

/// One line of the log, for reading.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: Moment,
    /// Who, by name.
    pub who: String,
    /// What they did, such as `issue.send`.
    pub action: String,
    /// To what.
    pub object: String,
}

/// A part of the log, from the newest back. Who may not see giving or staff does not see what was done there,
/// other than by themselves.
pub async fn entries(
    db: &Db,
    keys: &Keys,
    reader: i64,
    role: Role,
    skip: i64,
    limit: i64,
) -> Result<Vec<Entry>, StaffError> {
    let rows: Vec<(Moment, String, Option<i64>, String, String)> = db
        .read(
            "SELECT at, actor, staff_id, action, object FROM staff_log
             WHERE staff_id = $1 OR (($2 OR action NOT LIKE 'staff.%') AND ($3 OR action NOT LIKE 'support.%'))
             ORDER BY at DESC, id DESC LIMIT $4 OFFSET $5",
        )
        .bind(reader)
        .bind(role.covers(Role::Admin))
        .bind(role.covers(Role::Finance))
        .bind(limit)
        .bind(skip)
        .all()
        .await?;
    let names = names(db, keys).await?;
    let entries = rows.into_iter().map(|(at, actor, id, action, object)| Entry {
        at,
        who: match (actor.as_str(), id) {
            ("cli", _) => "The command line".to_owned(),
            ("friday", _) => "Friday".to_owned(),
            (_, id) => id.and_then(|id| names.get(&id).cloned()).unwrap_or_else(|| "Somebody".to_owned()),
        },
        action,
        object: with_names(&object, &names),
    });
    Ok(entries.collect())
}

async fn names(db: &Db, keys: &Keys) -> Result<HashMap<i64, String>, StaffError> {
    let rows: Vec<(i64, Vec<u8>)> = db.read("SELECT id, name_sealed FROM staff").all().await?;
    rows.into_iter().map(|(id, sealed)| Ok((id, open_name(keys, id, &sealed)?))).collect()
}

fn with_names(object: &str, names: &HashMap<i64, String>) -> String {
    let word = |word: &str| {
        let id = word.strip_prefix("person:").and_then(|id| id.parse().ok());
        id.and_then(|id: i64| names.get(&id).cloned()).unwrap_or_else(|| word.to_owned())
    };
    object.split(' ').map(word).collect::<Vec<_>>().join(" ")
}
