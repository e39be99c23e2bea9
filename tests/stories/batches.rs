//! Who has which readers in hand: leases and batches, as one process after the other sees them.

use crate::house::{House, story};
use crate::sending::{WEEKLY, readers, run_of, started, state, through, work};
use crate::smtp_sink::Sink;
use friday::clock::Moment;
use friday::db::Db;
use friday::delivery::lease::LEASE;
use friday::delivery::outcome::Outcome;
use friday::delivery::store::batches::{self, Batch};
use friday::delivery::store::record::{self, Record};
use friday::delivery::{store, task};
use friday::digest::State;
use std::time::Duration;

/// Who would be handed out of a batch.
async fn due(db: &Db, issue: i64, batch: Batch, now: Moment) -> Vec<i64> {
    let readers = batches::readers(db, (issue, WEEKLY), batch, now, 1_000).await.unwrap();
    readers.into_iter().map(|reader| reader.subscriber_id).collect()
}

async fn put_off(db: &Db, reader: i64, until: Moment) {
    let sql = "UPDATE deliveries SET next_at = $2, trouble = '4.2.1' WHERE subscriber_id = $1";
    assert_eq!(db.write(sql).bind(reader).bind(until).execute().await.unwrap(), 1);
}

async fn settled(db: &Db, state: &str) {
    db.write("UPDATE deliveries SET state = $1").bind(state.to_owned()).execute().await.unwrap();
}

story!(a_lease_that_has_run_out_is_not_revived, async |house: House| {
    let (db, now) = (&house.app.db, house.app.clock.now());
    readers(&house, 3).await;
    let id = started(&house.app).await;
    task::clock(&house.app).await.unwrap();
    store::take_lease(db, 7, now + LEASE, 1).await.unwrap();
    let batch = batches::lease(db, 7, id, now).await.unwrap().unwrap();
    assert_eq!(due(db, id, batch, now).await.len(), 3);
    store::take_lease(db, 8, now + LEASE, 1).await.unwrap();
    // The last batch is for those who confirm later; nobody is in it.
    let last = batches::lease(db, 8, id, now).await.unwrap().unwrap();
    assert_eq!((last.above, last.up_to, due(db, id, last, now).await.len()), (batch.up_to, i64::MAX, 0));
    assert_eq!(batches::lease(db, 8, id, now).await.unwrap(), None, "the others are leased");
    assert_eq!(store::renew_lease(db, 7, now, now + LEASE).await.unwrap(), Some(2));
    let later = now + LEASE;
    assert_eq!(store::renew_lease(db, 7, later, later + LEASE).await.unwrap(), None);
    assert_eq!(store::free_lapsed(db, later).await.unwrap(), 2);
    store::take_lease(db, 9, later + LEASE, 1).await.unwrap();
    assert_eq!(batches::lease(db, 9, id, later).await.unwrap(), Some(batch), "they are free again");
    // Who stood still gives back what is another's by now: nothing happens.
    batches::give_back(db, 7, id, batch.up_to).await.unwrap();
    assert!(batches::lease(db, 7, id, later).await.is_err(), "nor can it lease anything");
    assert_eq!(batches::lease(db, 9, id, later).await.unwrap(), Some(last));
    assert_eq!(batches::lease(db, 9, id, later).await.unwrap(), None);
});

story!(a_batch_comes_back_when_the_first_who_waits_in_it_is_due, async |house: House| {
    let (db, now) = (&house.app.db, house.app.clock.now());
    readers(&house, 3).await;
    let id = started(&house.app).await;
    task::clock(&house.app).await.unwrap();
    store::take_lease(db, 7, now + LEASE, 1).await.unwrap();
    let batch = batches::lease(db, 7, id, now).await.unwrap().unwrap();
    let all = due(db, id, batch, now).await;
    let (soon, late) = (now + Duration::from_secs(300), now + Duration::from_secs(900));
    settled(db, "sent").await;
    for (reader, at) in [(all[0], late), (all[2], soon)] {
        db.write("UPDATE deliveries SET state = 'waiting' WHERE subscriber_id = $1")
            .bind(reader)
            .execute()
            .await
            .unwrap();
        put_off(db, reader, at).await;
    }
    batches::give_back(db, 7, id, batch.up_to).await.unwrap();
    let last = batches::lease(db, 7, id, now).await.unwrap().unwrap();
    batches::give_back(db, 7, id, last.up_to).await.unwrap();
    assert_eq!(batches::next_due(db, id).await.unwrap(), Some(soon));
    assert_eq!(batches::lease(db, 7, id, now).await.unwrap(), None);
    assert_eq!(batches::lease(db, 7, id, soon).await.unwrap(), Some(batch));
    assert_eq!(due(db, id, batch, soon).await, [all[2]]);
    settled(db, "sent").await;
    batches::give_back(db, 7, id, batch.up_to).await.unwrap();
    assert_eq!(batches::next_due(db, id).await.unwrap(), None, "nobody waits any more");
});

story!(a_large_audience_is_cut_into_batches_in_which_everybody_is_once, async |house: House| {
    let (db, now) = (&house.app.db, house.app.clock.now());
    readers(&house, 4_321).await;
    let id = started(&house.app).await;
    task::clock(&house.app).await.unwrap();
    store::take_lease(db, 7, now + LEASE, 1).await.unwrap();
    let (mut everybody, mut above) = (Vec::new(), 0);
    while let Some(batch) = batches::lease(db, 7, id, now).await.unwrap() {
        let readers = due(db, id, batch, now).await;
        assert!(readers.len() <= 500 && batch.above == above, "{batch:?} after {above}: {}", readers.len());
        above = batch.up_to;
        everybody.extend(readers);
    }
    assert_eq!(above, i64::MAX);
    let count = everybody.len();
    everybody.sort_unstable();
    everybody.dedup();
    assert_eq!((everybody.len(), count), (4_321, 4_321));
});

story!(a_run_does_not_end_over_a_reader_whose_batch_says_that_nobody_waits, async |house: House| {
    let sink = Sink::start().await;
    let app = through(&house, &sink, 1, &[]);
    readers(&house, 5).await;
    let id = started(&app).await;
    task::clock(&app).await.unwrap();
    house.db().write("UPDATE delivery_batches SET due_at = NULL").execute().await.unwrap();
    work(&app).await;
    assert_eq!((sink.by_recipient().len(), sink.doubled(), state(&app, id).await), (5, 0, State::Sent));
});

/// PostgreSQL alone, where all of it is one statement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outcomes_that_two_processes_write_at_the_same_time_all_count_once() {
    let Some(house) = House::postgres().await else { return };
    let db = house.db();
    readers(&house, 40).await;
    let id = started(&house.app).await;
    task::clock(&house.app).await.unwrap();
    let all: Vec<(i64,)> = db.read("SELECT subscriber_id FROM deliveries").all().await.unwrap();
    let sent = |(reader,): &(i64,)| Record {
        issue: id,
        batch: i64::MAX,
        reader: *reader,
        addressee: *reader,
        was_deferred: false,
        was_uncertain: false,
        outcome: Outcome::Sent,
    };
    let records: Vec<Record> = all.iter().map(sent).collect();
    let (ours, theirs) = records.split_at(20);
    assert_eq!(record::sent_at_once(ours), Some(id));
    // The other one has counted its own, and not committed yet: ours waits for it, and counts on from there.
    let mut tx = db.begin().await.unwrap();
    let written = record::record(&mut tx, 8, theirs).await.unwrap();
    assert_eq!(written.counted.len(), 20);
    let (waiting, records) = (db.clone(), ours.to_vec());
    let waiting = tokio::spawn(async move { record::record_sent(&waiting, id, &records).await });
    let blocked =
        "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    while db.read(blocked).one::<(i64,)>().await.unwrap() == (0,) {
        tokio::task::yield_now().await;
    }
    tx.commit().await.unwrap();
    let written = waiting.await.unwrap().unwrap();
    assert_eq!((written.counted.len(), written.still[&id]), (20, true));
    // The answer was lost, and they are handed in again.
    let again = record::record_sent(db, id, ours).await.unwrap();
    assert_eq!((again.counted.len(), again.still[&id]), (0, true));
    assert_eq!(run_of(&house.app, id).await.sent, 40);
}
