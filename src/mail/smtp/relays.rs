//! Several relays: the first that answers, in the order of the settings.
//!
//! A relay that cannot be reached, or turns us away, is left alone for a while, so that not every connection waits for it
//! again; then it is the first to be asked again. What it has accepted is its own to deliver: nothing is sent twice
//! because a relay went away.

use super::super::ConnectError;
use super::{Server, Session};
use crate::config::Smtp;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a relay that failed is asked only after all others.
const SHUNNED: Duration = Duration::from_secs(5 * 60);

/// The relays of the settings.
#[derive(Debug, Clone)]
pub(in crate::mail) struct Relays {
    servers: Arc<[Server]>,
    /// When each failed last.
    failed: Arc<Mutex<Vec<Option<Instant>>>>,
}

impl Relays {
    /// Of these settings; `host` is what they are greeted with.
    pub fn new(settings: &[Smtp], host: &str) -> Relays {
        let servers: Arc<[Server]> = settings.iter().map(|one| Server::new(one.clone(), host)).collect();
        let failed = Arc::new(Mutex::new(vec![None; servers.len()]));
        Relays { servers, failed }
    }

    /// How many connections the first one should see at once.
    pub fn connections(&self) -> usize {
        self.servers.first().map_or(1, |server| server.settings.connections)
    }

    /// A connection to the first that takes us. Where none does, what the first of them said.
    pub async fn connect(&self) -> Result<Session, ConnectError> {
        let mut first_error = None;
        for at in self.order(Instant::now()) {
            match self.servers[at].connect().await {
                Ok(session) => {
                    self.note(at, None);
                    return Ok(session);
                }
                Err(error) => {
                    if self.servers.len() > 1 {
                        tracing::warn!(%error, "another relay is asked");
                    }
                    self.note(at, Some(Instant::now()));
                    first_error = first_error.or(Some(error));
                }
            }
        }
        Err(first_error.unwrap_or_else(|| ConnectError::Unreachable("(none)".to_owned(), "no relay is set".to_owned())))
    }

    fn note(&self, at: usize, failed: Option<Instant>) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)[at] = failed;
    }

    /// Those that have not failed lately, then the others.
    fn order(&self, now: Instant) -> Vec<usize> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let is_shunned = |at: &usize| failed[*at].is_some_and(|when| now.duration_since(when) < SHUNNED);
        let mut order: Vec<usize> = (0..self.servers.len()).collect();
        order.sort_by_key(is_shunned);
        order
    }
}
