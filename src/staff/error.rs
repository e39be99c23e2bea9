//! What can go wrong with a wish about staff. None of it quotes an address or a password.

use super::password;

/// What can be wrong with a wish about staff.
#[derive(Debug, thiserror::Error)]
pub enum StaffError {
    /// The address has an account.
    #[error("this address already has an account; `friday staff reset` makes a new one-time link")]
    Known,
    /// It has none.
    #[error("nobody here has this address")]
    Unknown,
    /// Nobody could let anyone in any more.
    #[error("this is the last admin; make somebody else an admin first")]
    LastAdmin,
    /// Used, replaced by a newer one, or too old.
    #[error("this one-time link does not work any more")]
    LinkGone,
    /// The password is too easy to guess.
    #[error("{0}")]
    Weak(#[from] password::Weak),
    /// The hashing of passwords failed or is overloaded.
    #[error(transparent)]
    Hashing(#[from] password::HashingError),
    /// A sealed value could not be opened.
    #[error("a sealed value of staff could not be opened: {0}")]
    Key(#[from] crate::keys::KeyError),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] crate::db::Error),
}
