//! What became of a reader's turn, and what follows from it.

use crate::clock::Moment;
use crate::mail::{Reply, SendError};
use std::time::Duration;

/// What became of a reader's turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server took it.
    Sent,
    /// Put off by the server.
    Later {
        /// Its code.
        code: u16,
        /// Its enhanced code, or the code again.
        trouble: String,
        /// When to come back.
        next_at: Moment,
    },
    /// Given up.
    Failed {
        /// The server's code, where it spoke.
        code: Option<u16>,
        /// Its enhanced code, the code again, or a word of ours.
        trouble: String,
        /// Whether the mailbox is not there and must not be written to again.
        gone: bool,
    },
    /// The answer was lost after the final dot.
    Uncertain {
        /// When to try once more; `None` after that.
        next_at: Option<Moment>,
    },
    /// The connection broke before the mail was handed over.
    Dropped {
        /// When to come back.
        next_at: Moment,
    },
    /// Left, paused or suppressed since the freeze.
    Skipped,
    /// Not tried: given back, for this time.
    Returned {
        /// When it is due.
        next_at: Moment,
    },
}

impl Outcome {
    /// Its name in metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Sent => "sent",
            Outcome::Later { .. } => "later",
            Outcome::Failed { .. } => "failed",
            Outcome::Uncertain { .. } => "uncertain",
            Outcome::Dropped { .. } => "dropped",
            Outcome::Skipped => "skipped",
            Outcome::Returned { .. } => "returned",
        }
    }
}

const fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

/// When to try again after the first, second, … time a server said "later": about two days in all. Then it is a
/// failure.
pub const RETRY: [Duration; 16] = [
    minutes(5),
    minutes(15),
    minutes(30),
    minutes(60),
    minutes(120),
    minutes(240),
    minutes(240),
    minutes(240),
    minutes(240),
    minutes(240),
    minutes(240),
    minutes(240),
    minutes(240),
    minutes(240),
    minutes(240),
    minutes(240),
];

/// When to come back to a reader over whose mail a connection broke. Short at first, since it is hardly ever the reader's
/// doing, but never at once: one mail that breaks every connection must not keep all others waiting.
pub const AFTER_A_DROP: [Duration; 20] = [
    Duration::from_secs(30),
    minutes(1),
    minutes(2),
    minutes(5),
    minutes(10),
    minutes(20),
    minutes(30),
    minutes(60),
    minutes(120),
    minutes(240),
    minutes(240),
    minutes(240),
    minutes(240),
    minutes(240),
    minutes(240),
    minutes(240),
    minutes(240),
    minutes(240),
    minutes(240),
    minutes(240),
];

/// How long to leave a mail alone whose answer was lost: the server may still be busy with the first.
pub const AFTER_UNCERTAIN: Duration = minutes(5);

/// The delay after the `nth` failure (from 0), up to a tenth longer at random so that not everybody comes back in the
/// same second. `None`: that was the last.
pub fn delay(schedule: &[Duration], nth: i64, random: i64) -> Option<Duration> {
    let base = *usize::try_from(nth).ok().and_then(|n| schedule.get(n))?;
    let tenth = i64::try_from(base.as_millis() / 10).unwrap_or(i64::MAX).max(1);
    Some(base + Duration::from_millis(random.rem_euclid(tenth).unsigned_abs()))
}

/// Whether an enhanced code (RFC 3463, and RFC 7505 for 5.1.10) says that nobody is there. Only codes about the address
/// itself: a bare 550, or anything about policy, may be our own fault.
fn is_gone(enhanced: Option<&str>) -> bool {
    matches!(enhanced, Some("5.1.1" | "5.1.2" | "5.1.3" | "5.1.6" | "5.1.10" | "5.2.1"))
}

/// What was wrong, by words of our own where no server has spoken.
pub mod trouble {
    /// The answer was lost after the final dot.
    pub const UNCERTAIN: &str = "uncertain";
    /// The connection broke each time.
    pub const DROPPED: &str = "dropped";
    /// Neither the address nor the edition could be read: a wrong key, a damaged row.
    pub const UNREADABLE: &str = "unreadable";
}

/// A reason in words, for people. `code` is an enhanced code, a bare one, or a word of [`trouble`].
pub fn reason(code: &str) -> &'static str {
    match code {
        trouble::UNCERTAIN => "the answer was lost after the last dot: they may have it",
        trouble::DROPPED => "the connection broke each time",
        trouble::UNREADABLE => "the stored address could not be opened",
        "5.1.1" | "5.1.10" => "no such mailbox",
        "5.1.2" => "no such domain",
        "5.1.3" => "not an address",
        "5.1.6" => "moved away",
        "5.2.1" => "mailbox closed",
        "4.2.1" => "mailbox closed for now",
        "4.2.2" | "5.2.2" => "mailbox full",
        "5.2.3" | "5.3.4" => "message too big",
        "4.7.28" => "too many at once",
        "5.6.7" => "the mail server cannot write to an address beyond ASCII",
        _ => match (code.as_bytes().first(), code.split('.').nth(1)) {
            (Some(b'4'), Some("7")) => "held back by the receiver’s rules",
            (Some(b'5'), Some("7")) => "refused by the receiver’s rules",
            (Some(b'4'), _) => "asked to come back later",
            _ => "refused",
        },
    }
}

/// How a reader's earlier tries went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Before {
    /// How often a server said "later".
    pub attempts: i64,
    /// How often a connection broke over them.
    pub drops: i64,
    /// Whether an answer was lost.
    pub uncertain: bool,
}

/// What follows from a server's answer, or from none. `random` spreads the next tries out.
pub fn decide(answer: Result<Reply, SendError>, before: Before, now: Moment, random: i64) -> Outcome {
    let named = |reply: &Reply| reply.enhanced.clone().unwrap_or_else(|| reply.code.to_string());
    match answer {
        Ok(_) => Outcome::Sent,
        Err(SendError::Never(reply)) => {
            Outcome::Failed { code: Some(reply.code), trouble: named(&reply), gone: is_gone(reply.enhanced.as_deref()) }
        }
        Err(SendError::Later(reply)) => match delay(&RETRY, before.attempts, random) {
            Some(pause) => Outcome::Later { code: reply.code, trouble: named(&reply), next_at: now + pause },
            None => Outcome::Failed { code: Some(reply.code), trouble: named(&reply), gone: false },
        },
        Err(SendError::Connection) => match delay(&AFTER_A_DROP, before.drops, random) {
            Some(pause) => Outcome::Dropped { next_at: now + pause },
            None => Outcome::Failed { code: None, trouble: trouble::DROPPED.to_owned(), gone: false },
        },
        Err(SendError::Uncertain) => Outcome::Uncertain { next_at: (!before.uncertain).then(|| now + AFTER_UNCERTAIN) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_is_tried_for_two_days_and_then_given_up() {
        let two_days = minutes(48 * 60);
        for schedule in [&RETRY[..], &AFTER_A_DROP[..]] {
            let total: Duration = schedule.iter().sum();
            assert!(total.abs_diff(two_days) < minutes(30), "{total:?}");
            assert_eq!(delay(schedule, schedule.len() as i64, 7), None);
        }
    }

    #[test]
    fn delays_differ_by_a_tenth_at_most() {
        for random in [0, 1, 29_999, 30_000, i64::MAX, i64::MIN] {
            let delay = delay(&RETRY, 0, random).unwrap();
            assert!((minutes(5)..minutes(5) + Duration::from_secs(30)).contains(&delay), "{delay:?}");
        }
    }

    #[test]
    fn only_an_address_that_is_not_there_is_never_written_to_again() {
        for code in ["5.1.1", "5.1.10", "5.2.1"] {
            assert!(is_gone(Some(code)), "{code}");
        }
        for code in [Some("5.7.1"), Some("5.7.26"), Some("5.2.2"), Some("5.1.8"), Some("5.0.0"), None] {
            assert!(!is_gone(code), "{code:?}");
        }
    }

    #[test]
    fn a_lost_answer_is_asked_for_once_more_and_a_broken_connection_counts_against_nobody() {
        let now = Moment::from_millis(0);
        let first = decide(Err(SendError::Uncertain), Before::default(), now, 0);
        assert_eq!(first, Outcome::Uncertain { next_at: Some(now + AFTER_UNCERTAIN) });
        let again = decide(Err(SendError::Uncertain), Before { uncertain: true, ..Before::default() }, now, 0);
        assert_eq!(again, Outcome::Uncertain { next_at: None });
        let dropped = decide(Err(SendError::Connection), Before { attempts: 99, ..Before::default() }, now, 0);
        assert_eq!(dropped, Outcome::Dropped { next_at: now + AFTER_A_DROP[0] });
    }
}
