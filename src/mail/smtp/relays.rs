//! Several relays: the first that answers, in the order of the settings.
//!
//! A relay that cannot be reached, or turns us away, or lets a connection break before it has taken a mail, is left alone
//! for a while, so that not every connection waits for it again; then it is the first to be asked again. What it has accepted is its own to deliver: nothing is sent twice
//! because a relay went away.

use super::super::ConnectError;
use super::{Server, Session, Terms};
use crate::clock::{Clock, Moment};
use crate::config::Smtp;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a relay that failed is asked only after all others.
const SHUNNED: Duration = Duration::from_secs(5 * 60);

/// The relays of the settings.
#[derive(Debug, Clone)]
pub(in crate::mail) struct Relays {
    servers: Arc<[Server]>,
    /// When each failed last.
    failed: Arc<Mutex<Vec<Option<Moment>>>>,
    clock: Clock,
}

/// A relay that has greeted us and taken no mail yet. One that only greets would keep all others from being asked.
pub(super) struct Trial {
    relays: Relays,
    at: usize,
}

impl Trial {
    /// It has taken a mail.
    pub fn passed(self) {
        self.relays.note(self.at, None);
    }

    /// The connection broke.
    pub fn failed(self) {
        self.relays.note(self.at, Some(self.relays.clock.now()));
    }
}

impl Relays {
    /// Of these settings; `host` is what they are greeted with.
    pub fn new(settings: &[Smtp], host: &str, clock: &Clock, terms: &Terms) -> Relays {
        let server = |one: &Smtp| Server::new(one.clone(), host, terms.clone());
        let servers: Arc<[Server]> = settings.iter().map(server).collect();
        let failed = Arc::new(Mutex::new(vec![None; servers.len()]));
        Relays { servers, failed, clock: clock.clone() }
    }

    /// How many connections the first one should see at once.
    pub fn connections(&self) -> usize {
        self.servers.first().map_or(1, |server| server.settings.connections)
    }

    /// A connection to the first that takes us. Where none does, what the first of them said.
    pub async fn connect(&self) -> Result<Session, ConnectError> {
        let mut first_error = None;
        for at in self.order(self.clock.now()) {
            match self.servers[at].connect().await {
                Ok(session) => return Ok(session.on_trial(Trial { relays: self.clone(), at })),
                Err(error) => {
                    if self.servers.len() > 1 {
                        tracing::warn!(%error, "another relay is asked");
                    }
                    self.note(at, Some(self.clock.now()));
                    first_error = first_error.or(Some(error));
                }
            }
        }
        Err(first_error.unwrap_or_else(|| ConnectError::Unreachable("(none)".to_owned(), "no relay is set".to_owned())))
    }

    fn note(&self, at: usize, failed: Option<Moment>) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)[at] = failed;
    }

    /// Those that have not failed lately, then the others.
    fn order(&self, now: Moment) -> Vec<usize> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let is_shunned = |at: &usize| failed[*at].is_some_and(|when| now.since(when) < SHUNNED);
        let mut order: Vec<usize> = (0..self.servers.len()).collect();
        order.sort_by_key(is_shunned);
        order
    }
}
