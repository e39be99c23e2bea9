//! Who keeps Friday running: a look at every setting before the first Friday, a copy for the worst day, signs of life.
//!
//! A setting is not right because it parses. `friday check` therefore tries each one for real, the way Friday itself
//! will: it opens the database, fits the key, signs in at the mail server, reads every feed, asks Stripe and the domain
//! name system. Each finding says in one line how it is, and in a second what to do about it, because whoever reads it
//! at two in the morning wants to act, not to look things up.
//!
//! A copy ([`backup`]) is made while Friday runs and never holds the key: a copy that is stolen names no reader, and one
//! whose key is lost cannot be read by anybody, so both are kept, apart.

pub mod backup;
pub mod check;
pub mod cli;
mod dns;
pub mod metrics;
pub mod store;
pub mod web;

use serde::Serialize;

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, and somebody should think about it.
    Warn,
    /// It does not work.
    Bad,
}

/// What a check found.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// What was looked at, in a word.
    pub about: &'static str,
    /// How it is.
    pub state: State,
    /// That, in one sentence.
    pub says: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Finding {
    fn ok(about: &'static str, says: impl Into<String>) -> Finding {
        Finding { about, state: State::Ok, says: says.into(), mend: None }
    }

    fn warn(about: &'static str, says: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding { about, state: State::Warn, says: says.into(), mend: Some(mend.into()) }
    }

    /// For what does not work.
    pub fn bad(about: &'static str, says: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding { about, state: State::Bad, says: says.into(), mend: Some(mend.into()) }
    }
}
