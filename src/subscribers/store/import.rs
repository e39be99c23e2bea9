//! Many readers at once, brought along from elsewhere.
//!
//! A million rows one by one are a million round trips to the writer and five million places in tables and indexes, all over
//! the file. So rows go in by the hundred, in the order of their blind indexes, and the ids of a batch are drawn close
//! together, at random in a random stretch, and stand in the same order: each index is then written in one place. That tells
//! no more than the consent does, which a batch shares as well: not how many there are, and, since the order is that of a
//! keyed hash, not in what order they came.

use crate::address::Address;
use crate::clock::Moment;
use crate::db::{self, Tx};
use crate::keys::{Drawer, Keys};
use crate::subscribers::Edition;
use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

/// A blind index, without a place of its own in memory: tens of thousands wait to be put in order.
type Index = [u8; 32];

/// Somebody to be brought along.
#[derive(Debug)]
pub struct Incoming {
    line: u64,
    address: Address,
    index: Index,
}

impl Incoming {
    /// With the line of the file on which they stand.
    pub fn new(keys: &Keys, line: u64, address: Address) -> Incoming {
        // OK because a blind index has 32 octets.
        let index = Index::try_from(keys.index(Drawer::Subscribers, &address)).expect("a blind index");
        Incoming { line, address, index }
    }

    /// The order in which they are written. Of those with the same mailbox the first in the file comes first.
    pub fn order(&self) -> (&[u8], u64) {
        (&self.index, self.line)
    }
}

/// The same, ready to be written.
#[derive(Debug)]
pub struct Sealed {
    line: u64,
    id: i64,
    sealed: Vec<u8>,
    index: Index,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Outcome {
    /// New readers of the newsletter.
    pub added: u64,
    /// Those who read it already.
    pub already: u64,
    /// The lines of those who left, or whose mailbox is gone: an import brings nobody back.
    pub suppressed: Vec<u64>,
}

/// The bits of an id that differ within a batch: enough that it takes in hardly anybody else's.
const STRETCH: u32 = 40;
/// How many rows a statement takes. SQLite looks a placeholder up among all of its statement, so more are not faster.
const AT_ONCE: usize = 100;

/// Seals a batch, which is in its order: all the work that needs no database.
pub fn seal(keys: &Keys, batch: Vec<Incoming>) -> Vec<Sealed> {
    let low = (1 << STRETCH) - 1;
    let stretch = db::new_id() & !low;
    let mut ids = BTreeSet::new();
    while ids.len() < batch.len() {
        ids.insert((stretch | (db::new_id() & low)).max(1));
    }
    let sealed = |(Incoming { line, address, index }, id): (Incoming, i64)| {
        let sealed = keys.seal(Drawer::Subscribers, &id.to_be_bytes(), address.as_str().as_bytes());
        Sealed { line, id, sealed, index }
    };
    batch.into_iter().zip(ids).map(sealed).collect()
}

/// Makes people readers whose consent was given elsewhere.
pub async fn import(
    tx: &mut Tx,
    now: Moment,
    (newsletter, consent): (&str, i64),
    batch: &[Sealed],
) -> db::Result<Outcome> {
    let mut outcome = Outcome::default();
    let has_suppressed = has_suppressed(tx).await?;
    for some in batch.chunks(AT_ONCE) {
        let suppressed = if has_suppressed { suppressed(tx, some, now).await? } else { HashSet::new() };
        let (gone, wanted): (Vec<&Sealed>, Vec<&Sealed>) =
            some.iter().partition(|one| suppressed.contains(&one.index[..]));
        outcome.suppressed.extend(gone.iter().map(|one| one.line));
        if wanted.is_empty() {
            continue;
        }
        if insert(tx, &wanted).await? < wanted.len() as u64 {
            lock(tx, &wanted).await?;
        }
        let added = subscribe(tx, &wanted, newsletter, consent, now).await?;
        outcome.added += added;
        outcome.already += wanted.len() as u64 - added;
    }
    Ok(outcome)
}

/// `AT_ONCE` of what `one` writes for the number of its first placeholder, each of which takes `wide` of them, from $`first` on.
fn placeholders(first: usize, wide: usize, one: impl Fn(usize) -> String) -> String {
    (0..AT_ONCE).map(|row| one(first + wide * row)).collect::<Vec<_>>().join(", ")
}

static SUPPRESSED: LazyLock<String> = LazyLock::new(|| {
    let indexes = placeholders(2, 1, |n| format!("${n}"));
    format!("SELECT address_index FROM suppressions WHERE until > $1 AND address_index IN ({indexes})")
});

// An id that somebody has already is an error, and nobody left out.
static INSERT: LazyLock<String> = LazyLock::new(|| {
    let rows = placeholders(2, 3, |n| format!("(${n}, ${}, ${}, $1, FALSE, FALSE)", n + 1, n + 2));
    format!(
        "INSERT INTO subscribers (id, address_sealed, address_index, edition, discreet, no_asks)
         VALUES {rows} ON CONFLICT (address_index) DO NOTHING"
    )
});

static LOCK: LazyLock<String> = LazyLock::new(|| {
    let indexes = placeholders(1, 1, |n| format!("${n}"));
    format!("UPDATE subscribers SET edition = edition WHERE address_index IN ({indexes})")
});

static SUBSCRIBE: LazyLock<String> = LazyLock::new(|| {
    let indexes = placeholders(4, 1, |n| format!("${n}"));
    format!(
        "INSERT INTO subscriptions (subscriber_id, newsletter, consent_id, consent_week)
         SELECT id, $1, $2, $3 FROM subscribers WHERE address_index IN ({indexes}) ON CONFLICT DO NOTHING"
    )
});

/// As many as a statement has places for: the last one stands in those that are left. Nobody is in it twice by that.
fn filled<T>(some: &[T]) -> impl Iterator<Item = &T> {
    (0..AT_ONCE).filter_map(|at| some.get(at).or(some.last()))
}

/// Whether anybody must not be brought back. In a house that moves in nobody is to be asked after.
async fn has_suppressed(tx: &mut Tx) -> db::Result<bool> {
    let one: Option<(i64,)> = tx.query("SELECT until FROM suppressions LIMIT 1").optional().await?;
    Ok(one.is_some())
}

/// The indexes of those who must not be brought back.
async fn suppressed(tx: &mut Tx, some: &[Sealed], now: Moment) -> db::Result<HashSet<Vec<u8>>> {
    let query = tx.query(&SUPPRESSED).bind(now);
    let query = filled(some).fold(query, |query, one| query.bind(one.index.to_vec()));
    let found: Vec<(Vec<u8>,)> = query.all().await?;
    Ok(found.into_iter().map(|(index,)| index).collect())
}

/// Makes readers of those who are none yet; how many that were.
async fn insert(tx: &mut Tx, some: &[&Sealed]) -> db::Result<u64> {
    let mut query = tx.query(&INSERT).bind(Edition::default().as_str());
    for one in filled(some) {
        query = query.bind(one.id).bind(one.sealed.clone()).bind(one.index.to_vec());
    }
    query.execute().await
}

/// Holds those who are readers already, that none of them leaves before they have the newsletter.
async fn lock(tx: &mut Tx, some: &[&Sealed]) -> db::Result<u64> {
    filled(some).fold(tx.query(&LOCK), |query, one| query.bind(one.index.to_vec())).execute().await
}

/// Gives readers the newsletter; how many did not have it.
async fn subscribe(tx: &mut Tx, some: &[&Sealed], newsletter: &str, consent: i64, now: Moment) -> db::Result<u64> {
    let query = tx.query(&SUBSCRIBE).bind(newsletter.to_owned()).bind(consent).bind(now.week());
    filled(some).fold(query, |query, one| query.bind(one.index.to_vec())).execute().await
}
