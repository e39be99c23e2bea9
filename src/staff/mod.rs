//! Who works here: sign-in, sessions, roles, and the log of what staff did.
//!
//! Staff are few and powerful: whoever signs in can write to every reader. So the door is plain and slow to guess.
//! An account begins with a one-time link that an admin or whoever runs the machine hands over; there is no
//! "forgotten password" mail, because a mailbox that was taken over must not be enough. Every answer to an address
//! that is tried is the same, in text and in time, whether it has an account or not; guessing gets slower and slower,
//! and never locks anyone out for good.
//!
//! Other rooms ask two things of this one: [`Desk`], the person at the desk, and [`store::record`], the log.

pub mod cli;
pub mod desk;
mod error;
mod factor;
mod home;
pub mod log;
mod overview;
mod page;
mod password;
mod phrase;
mod sign_in;
pub mod store;
pub mod task;
pub mod web;
mod week;
mod you;

use std::time::Duration;

use crate::clock::Moment;
pub use error::StaffError;
pub use page::{DeskPage, Note};
pub use web::{Desk, routes};

/// After so long without a click, a session ends.
pub const IDLE: Duration = Duration::from_secs(12 * 3600);
/// After so long, a session ends however busy it was.
pub const ABSOLUTE: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long a one-time link works.
pub const LINK_LIFE: Duration = Duration::from_secs(24 * 3600);
/// A session's last click is written down at most this often, so that reading pages does not become writing.
pub const TOUCH: Duration = Duration::from_secs(5 * 60);

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Articles and issues.
    Editor,
    /// What an editor does, and sends and schedules.
    Publisher,
    /// Giving.
    Finance,
    /// Everything, and who works here.
    Admin,
}

impl Role {
    /// All roles, the narrowest first.
    pub const ALL: [Role; 4] = [Role::Editor, Role::Publisher, Role::Finance, Role::Admin];

    /// The name in commands, forms and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Editor => "editor",
            Role::Publisher => "publisher",
            Role::Finance => "finance",
            Role::Admin => "admin",
        }
    }

    /// The role of that name.
    pub fn parse(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == name)
    }

    /// The name as pages show it.
    pub fn title(self) -> &'static str {
        match self {
            Role::Editor => "Editor",
            Role::Publisher => "Publisher",
            Role::Finance => "Finance",
            Role::Admin => "Admin",
        }
    }

    /// What it lets somebody do, in a few words.
    pub fn means(self) -> &'static str {
        match self {
            Role::Editor => "articles and issues",
            Role::Publisher => "also schedules and sends",
            Role::Finance => "giving",
            Role::Admin => "everything, and who works here",
        }
    }

    /// Whether this role may do what `needed` may do. Giving and sending are kept apart: neither includes the other.
    pub fn covers(self, needed: Role) -> bool {
        self == Role::Admin || self == needed || (self == Role::Publisher && needed == Role::Editor)
    }
}

/// Who did something, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A signed-in person, by id.
    Person(i64),
    /// Whoever has the machine, through the command line.
    Cli,
    /// A background task.
    Friday,
}

impl From<&Desk> for Actor {
    fn from(desk: &Desk) -> Actor {
        Actor::Person(desk.id)
    }
}

impl From<&Actor> for Actor {
    fn from(actor: &Actor) -> Actor {
        *actor
    }
}

/// Whether a session that began at `started` and was last used at `seen` still holds.
pub fn session_holds(started: Moment, seen: Moment, now: Moment) -> bool {
    now.since(seen) < IDLE && now.since(started) < ABSOLUTE
}

/// How long the next sign-in has to wait after so many failures, when `free` of them cost nothing:
/// a minute, then twice as long each time, at most a quarter of an hour. Never for good.
pub fn backoff(failures: i64, free: i64) -> Option<Duration> {
    if failures < free {
        return None;
    }
    let doublings = (failures - free).clamp(0, 4);
    let minutes = (1u64 << doublings).min(15);
    Some(Duration::from_secs(minutes * 60))
}

/// Where to go after signing in: only to a staff page of this house, whatever the link said.
pub fn safe_next(next: &str) -> &str {
    let own = next == "/staff" || next.starts_with("/staff/") || next.starts_with("/staff?");
    let plain = !next.contains(['\\', '\r', '\n', '\t', '#']) && !next.starts_with("/staff/sign-");
    if own && plain { next } else { "/staff" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sending_and_giving_are_kept_apart() {
        assert!(Role::Publisher.covers(Role::Editor));
        assert!(!Role::Editor.covers(Role::Publisher));
        assert!(!Role::Finance.covers(Role::Editor));
        assert!(!Role::Publisher.covers(Role::Finance));
        assert!(Role::ALL.iter().all(|&role| Role::Admin.covers(role)));
        assert!(Role::ALL.iter().all(|&role| role == Role::Admin || !role.covers(Role::Admin)));
    }

    #[test]
    fn waiting_grows_and_ends_growing() {
        let minutes = |failures| backoff(failures, 5).map(|wait| wait.as_secs() / 60);
        assert_eq!(minutes(4), None);
        assert_eq!([5, 6, 7, 8, 9, 1000].map(minutes), [1, 2, 4, 8, 15, 15].map(Some));
    }

    #[test]
    fn a_link_cannot_lead_out_of_the_house() {
        for good in ["/staff", "/staff/issues/3", "/staff/log?page=2", "/staff?a=b"] {
            assert_eq!(safe_next(good), good);
        }
        for bad in [
            "",
            "//evil.example",
            "/staff\\@evil",
            "https://evil.example/staff",
            "/staffing",
            "/staff/sign-out",
            "/staff/\r\nSet-Cookie:x",
        ] {
            assert_eq!(safe_next(bad), "/staff");
        }
    }
}
