//! Friday: a newsletter and reader-support service for a newsroom whose readers must not be put in danger.
//!
//! The house is built by feature, with the same file names inside every room: the folder tells what, the file name
//! tells which layer. `ARCHITECTURE.md` has the table of who may know whom; `tests/rooms.rs` holds the code to it.
//!
//! Begin with [`subscribers`] (who reads), then [`digest`] (what is sent) and [`delivery`] (how it goes out, with the
//! guarantee at its head). [`support`] is who gives. [`app`] puts them together.

pub mod address;
pub mod app;
pub mod articles;
pub mod clock;
pub mod config;
pub mod db;
pub mod delivery;
pub mod demo;
pub mod digest;
pub mod finding;
pub mod keys;
pub mod mail;
pub mod money;
pub mod newsroom;
pub mod ops;
pub mod staff;
pub mod subscribers;
pub mod support;
pub mod web;
pub mod words;
pub mod worker;
