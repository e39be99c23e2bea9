//! Who reads.
pub mod cli; pub mod task; pub mod web;
