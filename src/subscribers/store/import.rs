//! Many readers at once, brought along from elsewhere.
//!
//! A million rows one by one are a million round trips to the writer and four million places in indexes, all over the
//! file. So rows go in by the dozen, and the ids of a batch are drawn close together, at random in a random stretch: three of
//! the four indexes are then written in one place. That tells no more than the consent does, which a batch shares as well:
//! not how many there are, and not in what order they came.

use super::{add_newsletter, upsert};
use crate::address::Address;
use crate::clock::Moment;
use crate::db::{self, Tx};
use crate::keys::{Drawer, Keys};
use crate::subscribers::Edition;
use std::collections::HashSet;
use std::sync::LazyLock;

/// What became of an imported address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    /// A new reader of the newsletter.
    Added,
    /// They read it already.
    Already,
    /// They left, or their mailbox is gone: an import brings nobody back.
    Suppressed,
}

/// Somebody to be brought along, sealed already.
#[derive(Debug)]
pub struct Incoming {
    address: Address,
    id: i64,
    sealed: Vec<u8>,
    index: Vec<u8>,
}

/// The bits of an id that differ within a batch: enough for eight million of them, so that two are hardly ever the same.
const STRETCH: u32 = 40;
/// How many rows a statement takes.
const AT_ONCE: usize = 50;

/// Seals a batch of addresses: all the work that needs no database.
pub fn seal(keys: &Keys, addresses: Vec<Address>) -> Vec<Incoming> {
    let low = (1 << STRETCH) - 1;
    let stretch = db::new_id() & !low;
    let incoming = |address: Address| {
        let id = (stretch | (db::new_id() & low)).max(1);
        let sealed = keys.seal(Drawer::Subscribers, &id.to_be_bytes(), address.as_str().as_bytes());
        let index = keys.index(Drawer::Subscribers, &address);
        Incoming { address, id, sealed, index }
    };
    addresses.into_iter().map(incoming).collect()
}

/// Makes people readers whose consent was given elsewhere; what became of each, in their order.
pub async fn import(
    tx: &mut Tx,
    keys: &Keys,
    now: Moment,
    (newsletter, consent): (&str, i64),
    batch: &[Incoming],
) -> db::Result<Vec<Imported>> {
    let mut became = Vec::with_capacity(batch.len());
    for some in batch.chunks(AT_ONCE) {
        let suppressed = suppressed(tx, some, now).await?;
        let wanted: Vec<&Incoming> = some.iter().filter(|one| !suppressed.contains(&one.index)).collect();
        let new = insert(tx, &wanted).await?;
        let newly: Vec<i64> = wanted.iter().map(|one| one.id).filter(|id| new.contains(id)).collect();
        subscribe(tx, &newly, newsletter, consent, now).await?;
        for one in some {
            became.push(if suppressed.contains(&one.index) {
                Imported::Suppressed
            } else if new.contains(&one.id) {
                Imported::Added
            } else {
                // A reader already, of this newsletter or of another.
                let id = upsert(tx, keys, &one.address, one.index.clone(), None, Edition::default()).await?;
                match add_newsletter(tx, id, newsletter, consent, now).await? {
                    true => Imported::Added,
                    false => Imported::Already,
                }
            });
        }
    }
    Ok(became)
}

/// `AT_ONCE` of what `one` writes for the number of its first placeholder, each of which takes `wide` of them, from $2 on.
fn placeholders(wide: usize, one: impl Fn(usize) -> String) -> String {
    (0..AT_ONCE).map(|row| one(2 + wide * row)).collect::<Vec<_>>().join(", ")
}

static SUPPRESSED: LazyLock<String> = LazyLock::new(|| {
    let indexes = placeholders(1, |n| format!("${n}"));
    format!("SELECT address_index FROM suppressions WHERE until > $1 AND address_index IN ({indexes})")
});

static INSERT: LazyLock<String> = LazyLock::new(|| {
    let rows = placeholders(3, |n| format!("(${n}, ${}, ${}, $1, FALSE, FALSE)", n + 1, n + 2));
    format!(
        "INSERT INTO subscribers (id, address_sealed, address_index, edition, discreet, no_asks)
         VALUES {rows} ON CONFLICT DO NOTHING RETURNING id"
    )
});

static SUBSCRIBE: LazyLock<String> = LazyLock::new(|| {
    let ids = placeholders(1, |n| format!("${n}"));
    let (newsletter, week) = (AT_ONCE + 2, AT_ONCE + 3);
    format!(
        "INSERT INTO subscriptions (subscriber_id, newsletter, consent_id, consent_week)
         SELECT id, ${newsletter}, $1, ${week} FROM subscribers WHERE id IN ({ids}) ON CONFLICT DO NOTHING"
    )
});

/// As many as a statement has places for: the last one stands in those that are left. Nobody is in it twice by that.
fn filled<T>(some: &[T]) -> impl Iterator<Item = &T> {
    (0..AT_ONCE).filter_map(|at| some.get(at).or(some.last()))
}

/// The indexes of those who must not be brought back.
async fn suppressed(tx: &mut Tx, some: &[Incoming], now: Moment) -> db::Result<HashSet<Vec<u8>>> {
    let mut query = tx.query(&SUPPRESSED).bind(now);
    for one in filled(some) {
        query = query.bind(one.index.clone());
    }
    let found: Vec<(Vec<u8>,)> = query.all().await?;
    Ok(found.into_iter().map(|(index,)| index).collect())
}

/// Makes readers of those who are none yet; the ids of the new ones.
async fn insert(tx: &mut Tx, some: &[&Incoming]) -> db::Result<HashSet<i64>> {
    if some.is_empty() {
        return Ok(HashSet::new());
    }
    let mut query = tx.query(&INSERT).bind(Edition::default().as_str());
    for one in filled(some) {
        query = query.bind(one.id).bind(one.sealed.clone()).bind(one.index.clone());
    }
    let made: Vec<(i64,)> = query.all().await?;
    Ok(made.into_iter().map(|(id,)| id).collect())
}

/// Gives new readers their newsletter.
async fn subscribe(tx: &mut Tx, ids: &[i64], newsletter: &str, consent: i64, now: Moment) -> db::Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let mut query = tx.query(&SUBSCRIBE).bind(consent);
    for id in filled(ids) {
        query = query.bind(*id);
    }
    query.bind(newsletter.to_owned()).bind(now.week()).execute().await?;
    Ok(())
}
