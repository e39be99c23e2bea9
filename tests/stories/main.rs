//! Rules in plain words, each told on both databases, through the real router, with the mailbox looked at beside the
//! database.

mod articles;
mod ask;
mod bad_days;
mod delivery;
mod desk;
mod digest;
mod finance;
mod giver;
mod giving;
mod histories;
mod house;
mod mailbox;
mod main_job;
mod money;
mod newcomers;
mod newspaper;
mod ops;
mod smtp_sink;
mod staff;
mod standin;
mod subscribers;
mod support;
mod templates;
mod welcome;
