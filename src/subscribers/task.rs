//! Forgetting what need not be remembered any longer.

use super::store;
use crate::app::Shared;
use crate::worker::Task;
use std::time::Duration;

/// The room's background work.
pub fn tasks() -> Vec<Task<Shared>> {
    vec![Task::new("subscribers", Duration::from_secs(3600), |app: Shared| async move {
        store::tidy(&app.db, app.clock.now()).await.map(|changed| changed > 0)
    })]
}
