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
pub mod metrics;
pub mod store;
pub mod web;

pub use crate::finding::{Finding, State};
