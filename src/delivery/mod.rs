//! How an issue goes out.
//!
//! # The guarantee
//!
//! **No reader is skipped, ever. After a crash, at most as many readers as there were open connections get the issue
//! twice; after an orderly stop, none.** The stories in `tests/stories/faults` kill the process to prove it, and a mail
//! server that writes down what it accepted is the judge.
//!
//! It holds because of four rules:
//!
//! 1. *Every reader is a row before the first mail goes.* The content is frozen first ([`crate::digest`]), then the audience
//!    becomes rows that say `waiting`. A reader leaves that state only with an outcome: sent, failed with its reason,
//!    or skipped because they left or paused in the meantime. There is no position in a list that could be ahead of the mails.
//!    Who confirms in the meantime is added as one more row ([`newcomers`]).
//! 2. *A row is done when the server has said so and that is on disk.* After the 250 to its data a connection sends the next
//!    mail's text, but not its final dot before the outcome is committed; without the dot a server has accepted nothing. So at
//!    any moment each connection has at most one mail whose outcome is not on disk: that is what a crash can double. The
//!    outcomes of all connections are committed together, and while the text is on its way, so the waiting costs little.
//! 3. *Who sends holds a lease, and looks at it before each mail.* A process that died, or was frozen, or lost the
//!    database, has let its lease run out; the batches of readers that it held are free for others, and it will not send to
//!    them when it wakes. While a mail may be on its way, its batch is in hand, whatever is paused or resumed meanwhile.
//! 4. *A reader's mail has the same Message-ID each time,* so that a mailbox that compares them shows one mail.
//!
//! # What a failure means
//!
//! Answers about the mail change the reader's row ([`outcome`]): "later" is tried again along [`outcome::RETRY`] for two days,
//! "never" is a failure, and an address that does not exist is not written to again. A connection that is refused or lost
//! changes nobody's row but for a short pause: it is the connection that backs off. An answer lost after the final dot
//! is uncertain: the mail is tried once more. When a server refuses everybody ([`REFUSALS_IN_A_ROW`]), it is not about
//! readers any more: the run stops and asks staff. Whoever failed can be listed and tried again.
//!
//! # When it is out
//!
//! An issue is out when everybody was tried once, however long a full mailbox is tried again after that. Then, and when it is
//! paused by Friday or held, staff who may send get a mail ([`notice`]) that is committed with the change it tells of.

pub mod acts;
pub mod checklist;
pub mod cli;
pub mod desk;
mod feed;
mod job;
pub mod lease;
pub mod letters;
mod line;
pub mod mail;
pub mod newcomers;
pub mod notice;
pub mod outcome;
pub mod pace;
pub mod probe;
mod recorder;
pub mod schedule;
pub mod send;
pub mod store;
pub mod task;
mod view;
mod wording;

use std::time::Duration;

/// After so many refusals for good without one mail accepted between them, the run is paused: a relay that forgot our
/// password refuses everybody, and everybody would be a failure.
pub const REFUSALS_IN_A_ROW: usize = 25;

/// How long a run's rows are kept after it is done; its counts stay.
pub const KEPT: Duration = Duration::from_secs(42 * 24 * 3600);

/// A page names a receiving domain from this many readers on: with fewer, a domain can be a person.
pub const NAMED_FROM: i64 = 10;
