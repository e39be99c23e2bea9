//! x
pub fn routes() -> axum::Router<crate::app::Shared> { axum::Router::new() }
