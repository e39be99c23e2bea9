//! The right to send, for a while.
//!
//! A process that sends holds one lease for all that it has claimed, and renews it every few seconds. Before each mail it
//! looks whether the lease still has `MARGIN` to go. So a process that is frozen for two minutes, or cannot reach the
//! database, sends nothing when it wakes: another may have taken its readers over. Two clocks are asked, because either
//! alone can lie: the wall's, by which the others judge, may be set back, and the process's own stands still in a machine
//! that sleeps.

use super::store;
use crate::app::Shared;
use crate::clock::Moment;
use crate::db;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long after the last sign of life others wait before they take a process's readers over.
pub const LEASE: Duration = Duration::from_secs(20);
/// How often it is renewed.
const BEAT: Duration = Duration::from_secs(5);
/// A mail is begun only with so much of the lease left: more than its text takes, or two clocks differ. While its answer is
/// waited for, the lease is renewed.
const MARGIN: Duration = Duration::from_secs(6);

/// A lease that this process has taken.
#[derive(Debug)]
pub struct Lease {
    /// Its row.
    pub id: i64,
    until: AtomicI64,
    renewed: Mutex<Instant>,
    sharing: AtomicI64,
}

impl Lease {
    /// Takes one, for so many connections.
    pub async fn take(app: &Shared, connections: usize) -> db::Result<Lease> {
        let (id, begun, until) = (db::new_id(), Instant::now(), app.clock.now() + LEASE);
        store::take_lease(&app.db, id, until, connections).await?;
        let sharing = AtomicI64::new(store::live_leases(&app.db, app.clock.now()).await?);
        Ok(Lease { id, until: AtomicI64::new(until.millis()), renewed: Mutex::new(begun), sharing })
    }

    /// Whether a mail may be begun now.
    pub fn holds(&self, now: Moment) -> bool {
        let renewed = *self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        now + MARGIN < Moment::from_millis(self.until.load(Ordering::SeqCst))
            && Instant::now().duration_since(renewed) + MARGIN < LEASE
    }

    /// How many processes send at this time, this one included: they share the limits.
    pub fn sharing(&self) -> i64 {
        self.sharing.load(Ordering::Relaxed)
    }

    /// It is lost: no mail is begun any more.
    pub fn lose(&self) {
        tracing::warn!("the right to send was lost: this process stood still for too long, or clocks differ");
        self.until.store(0, Ordering::SeqCst);
    }

    /// Keeps it alive until the run is `over`, or until it is lost, which stops the run.
    pub async fn keep(&self, app: &Shared, stop: &CancellationToken, over: &CancellationToken) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(BEAT) => {}
                () = over.cancelled() => return,
            }
            // What was true when the statement was begun counts, not when its answer came.
            let (begun, now) = (Instant::now(), app.clock.now());
            match store::renew_lease(&app.db, self.id, now, now + LEASE).await {
                Ok(Some(sharing)) => {
                    self.until.store((now + LEASE).millis(), Ordering::SeqCst);
                    *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = begun;
                    self.sharing.store(sharing, Ordering::Relaxed);
                }
                Ok(None) => {
                    self.lose();
                    stop.cancel();
                    return;
                }
                // Tried again at the next beat; if that is too late, `holds` says so.
                Err(error) => tracing::warn!(%error, "the right to send could not be renewed"),
            }
        }
    }
}
