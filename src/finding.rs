//! What a look at something found: how it is, and what to do about it.
//!
//! `friday check` and the checklist before a send say the same kind of thing to the same kind of reader, who wants to act
//! and not to look things up: one sentence on how it is, and a second on what to mend.

use serde::Serialize;

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, and somebody should think about it.
    Warn,
    /// It does not work.
    Bad,
}

impl State {
    /// The name, as JSON has it.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Bad => "bad",
        }
    }
}

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
    /// For what is as it should be.
    pub fn ok(about: &'static str, says: impl Into<String>) -> Finding {
        Finding { about, state: State::Ok, says: says.into(), mend: None }
    }

    /// For what somebody should think about.
    pub fn warn(about: &'static str, says: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding { about, state: State::Warn, says: says.into(), mend: Some(mend.into()) }
    }

    /// For what does not work.
    pub fn bad(about: &'static str, says: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding { about, state: State::Bad, says: says.into(), mend: Some(mend.into()) }
    }

    /// As a line on a terminal, with what to mend below it.
    pub fn lines(&self) -> String {
        let line = format!("{:<4}  {:<12} {}", self.state.as_str(), self.about, self.says);
        match &self.mend {
            Some(mend) => format!("{line}\n{:19}{mend}", ""),
            None => line,
        }
    }
}
