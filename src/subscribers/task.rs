//! x
pub fn tasks() -> Vec<crate::worker::Task<crate::app::Shared>> { Vec::new() }
