//! Rules in plain words, each told on both databases, through the real router, with the mailbox looked at beside the
//! database.

mod house;
mod mailbox;
mod staff;
mod standin;
mod subscribers;
