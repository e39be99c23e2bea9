//! Background work: what has run out is removed.

use std::time::Duration;

use super::{StaffError, store};
use crate::app::{App, Shared};
use crate::worker::Task;

/// The task's name, for waking it.
pub const TASK: &str = "staff";

/// This room's tasks.
pub fn tasks() -> Vec<Task<Shared>> {
    vec![Task::new(TASK, Duration::from_secs(3600), |app: Shared| async move { step(&app).await })]
}

/// Removes sessions that ended and failures of long ago; whether there were any.
pub async fn step(app: &App) -> Result<bool, StaffError> {
    store::tidy(&app.db, app.clock.now()).await
}
