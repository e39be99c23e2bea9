//! Friday for an afternoon: a newsroom of its own, and a stand-in for Stripe, with nothing to set up.

pub mod cli;
mod run;
pub mod site;
pub mod stripe;
