//! One reader's turn, and the batch that it belongs to.

use super::letters::Letters;
use super::outcome::{Before, Outcome, trouble};
use super::recorder::Domain;
use super::store::batches::{Batch, Claimed};
use super::store::progress;
use super::store::record::Record;
use crate::address::Address;
use crate::app::Shared;
use crate::subscribers;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::mpsc;

/// An issue that is being sent.
#[derive(Debug)]
pub struct Going {
    /// The issue.
    pub issue: i64,
    /// Its newsletter's slug.
    pub newsletter: String,
    /// Its mails.
    pub letters: Letters,
    /// Cleared when it is paused or cancelled, by whatever process.
    pub open: AtomicBool,
    /// Set while this process is about to pause it: until that is on disk it still looks like one to be sent.
    pub held_up: AtomicBool,
}

/// A batch that this process has leased. Its readers share it, and so do their outcomes until they are on disk; when the last
/// of them lets it go, nobody of it is in hand any more, and the feeder gives it back. So no reader is free for others while
/// a mail to them may be on its way.
#[derive(Debug)]
pub struct InHand {
    /// The issue.
    pub issue: i64,
    /// Which readers.
    pub batch: Batch,
    done: mpsc::UnboundedSender<Done>,
}

/// Issue and batch of whom nobody is in hand any more.
pub type Done = (i64, Batch);

impl InHand {
    /// Of a batch just leased. `done` hears when nobody of it is in hand any more.
    pub fn new(issue: i64, batch: Batch, done: mpsc::UnboundedSender<Done>) -> Arc<InHand> {
        Arc::new(InHand { issue, batch, done })
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        // Where nobody listens any more the run has failed, and its lease frees the batch.
        let _ = self.done.send((self.issue, self.batch));
    }
}

/// What a reader chose at the freeze.
#[derive(Debug)]
pub struct Cut {
    /// The edition's name.
    pub edition: String,
    /// The language's code.
    pub language: String,
    /// With the request for support.
    pub with_ask: bool,
    /// With a sender and a subject that say little.
    pub discreet: bool,
}

/// Whose turn it is, and how their row counts until now.
#[derive(Clone, Copy, Debug)]
struct Who {
    reader: i64,
    addressee: i64,
    is_deferred: bool,
    is_uncertain: bool,
}

/// An outcome, and the batch that is in hand until it is on disk.
pub type Ended = (Record, Arc<InHand>);

fn ended(who: Who, in_hand: &Arc<InHand>, outcome: Outcome) -> Ended {
    let record = Record {
        issue: in_hand.issue,
        batch: in_hand.batch.up_to,
        reader: who.reader,
        addressee: who.addressee,
        was_deferred: who.is_deferred,
        was_uncertain: who.is_uncertain,
        outcome,
    };
    (record, in_hand.clone())
}

/// One reader's turn.
#[derive(Debug)]
pub struct Job {
    /// The issue.
    pub going: Arc<Going>,
    /// Their address.
    pub to: Address,
    /// Which mail is theirs.
    pub cut: Cut,
    /// Where it goes.
    pub domain: Domain,
    /// How earlier tries went.
    pub before: Before,
    who: Who,
    in_hand: Arc<InHand>,
}

impl Job {
    /// A reader's turn, made ready; or what has become of it already.
    pub fn new(app: &Shared, going: &Arc<Going>, in_hand: &Arc<InHand>, reader: Claimed) -> Result<Job, Ended> {
        let who = Who {
            reader: reader.subscriber_id,
            addressee: reader.addressee,
            is_deferred: reader.troubled,
            is_uncertain: reader.uncertain,
        };
        let Some(sealed) = &reader.address_sealed else { return Err(ended(who, in_hand, Outcome::Skipped)) };
        let unreadable = Outcome::Failed { code: None, trouble: trouble::UNREADABLE.to_owned(), gone: false };
        let to =
            subscribers::open_address(&app.keys, who.addressee, sealed).map_err(|_| ended(who, in_hand, unreadable))?;
        let mark = progress::domain_mark(&app.keys, going.issue, to.domain());
        let domain = Domain { mark, name: to.domain().into() };
        let cut = Cut {
            edition: reader.edition,
            language: reader.language,
            with_ask: reader.with_ask,
            discreet: reader.discreet,
        };
        let before = Before { attempts: reader.attempts, drops: reader.drops, uncertain: reader.uncertain };
        Ok(Job { going: going.clone(), to, cut, domain, before, who, in_hand: in_hand.clone() })
    }

    /// The reader to write to.
    pub fn addressee(&self) -> i64 {
        self.who.addressee
    }

    /// What became of it.
    pub fn ended(&self, outcome: Outcome) -> Ended {
        ended(self.who, &self.in_hand, outcome)
    }
}
