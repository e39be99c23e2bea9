//! The development mailbox: where mails go when no mail server is set.
//!
//! It lives in memory only. A mailbox on disk would be a list of readers in clear, in the folder whose whole point is
//! to have none.

use super::Envelope;
use crate::clock::{Clock, Moment};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// How many mails it keeps; the oldest go first.
const CAPACITY: usize = 20_000;

/// A mail that "arrived".
#[derive(Debug, Clone)]
pub struct StoredMail {
    /// Counts up from 1.
    pub id: u64,
    /// As it was on the way.
    pub envelope: Envelope,
    /// Header and body.
    pub raw: Arc<Vec<u8>>,
    /// When.
    pub at: Moment,
}

/// Mails in memory. Clones are the same mailbox.
#[derive(Debug, Clone)]
pub struct Mailbox {
    clock: Clock,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    last: u64,
    mails: VecDeque<StoredMail>,
}

impl Mailbox {
    /// An empty one.
    pub fn new(clock: Clock) -> Mailbox {
        Mailbox { clock, inner: Arc::default() }
    }

    /// Takes a mail.
    pub fn take(&self, envelope: &Envelope, raw: &[u8]) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.last += 1;
        let id = inner.last;
        let mail = StoredMail { id, envelope: envelope.clone(), raw: Arc::new(raw.to_vec()), at: self.clock.now() };
        inner.mails.push_back(mail);
        if inner.mails.len() > CAPACITY {
            inner.mails.pop_front();
        }
    }

    /// All mails, the oldest first.
    pub fn all(&self) -> Vec<StoredMail> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).mails.iter().cloned().collect()
    }

    /// One mail.
    pub fn get(&self, id: u64) -> Option<StoredMail> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).mails.iter().find(|m| m.id == id).cloned()
    }
}
