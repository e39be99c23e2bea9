//! Who has which readers in hand: leases and batches, as one process after the other sees them.

use crate::house::{House, story};
use crate::sending::{WEEKLY, at_clock, readers, run_of, started, state, through, work};
use crate::smtp_sink::{Fault, Sink, Step, When};
use friday::clock::{Clock, Moment};
use friday::db::Db;
use friday::delivery::lease::LEASE;
use friday::delivery::outcome::Outcome;
use friday::delivery::store::batches::{self, Batch};
use friday::delivery::store::record::{self, Record};
use friday::delivery::{send, store, task};
use friday::digest::State;
use std::time::Duration;

/// Who would be handed out of a batch.
async fn due(db: &Db, issue: i64, (lease, batch): (i64, Batch), now: Moment) -> Vec<i64> {
    let readers = batches::readers(db, (issue, WEEKLY), (lease, batch), now, 1_000).await.unwrap();
    readers.into_iter().map(|reader| reader.subscriber_id).collect()
}

async fn put_off(db: &Db, reader: i64, until: Moment) {
    let sql = "UPDATE deliveries SET next_at = $2, trouble = '4.2.1' WHERE subscriber_id = $1";
    assert_eq!(db.write(sql).bind(reader).bind(until).execute().await.unwrap(), 1);
}

/// Waits until a task waits for a lock of PostgreSQL's, or has ended without.
async fn until_one_waits<T>(db: &Db, task: &tokio::task::JoinHandle<T>) {
    let blocked =
        "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    while !task.is_finished() && db.read(blocked).one::<(i64,)>().await.unwrap() == (0,) {
        tokio::task::yield_now().await;
    }
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
    assert_eq!(due(db, id, (7, batch), now).await.len(), 3);
    store::take_lease(db, 8, now + LEASE, 1).await.unwrap();
    assert_eq!(due(db, id, (8, batch), now).await.len(), 0, "and handed out by nobody else");
    // The last batch is for those who confirm later; nobody is in it.
    let last = batches::lease(db, 8, id, now).await.unwrap().unwrap();
    assert_eq!((last.above, last.up_to, due(db, id, (8, last), now).await.len()), (batch.up_to, i64::MAX, 0));
    assert_eq!(batches::lease(db, 8, id, now).await.unwrap(), None, "the others are leased");
    assert_eq!(store::renew_lease(db, 7, now, now + LEASE).await.unwrap(), Some(2));
    let later = now + LEASE;
    assert_eq!(store::renew_lease(db, 7, later, later + LEASE).await.unwrap(), None);
    assert_eq!(store::free_lapsed(db, later).await.unwrap(), 2);
    store::take_lease(db, 9, later + LEASE, 1).await.unwrap();
    assert_eq!(batches::lease(db, 9, id, later).await.unwrap(), Some(batch), "they are free again");
    // Who stood still gives back what is another's by now: nothing happens.
    batches::give_back(db, 7, id, batch.up_to).await.unwrap();
    assert_eq!(batches::lease(db, 9, id, later).await.unwrap(), Some(last));
    assert_eq!(batches::lease(db, 9, id, later).await.unwrap(), None);
    store::drop_lease(db, 9).await.unwrap();
    assert!(batches::lease(db, 7, id, later).await.is_err(), "nor can it lease anything");
});

story!(a_batch_comes_back_when_the_first_who_waits_in_it_is_due, async |house: House| {
    let (db, now) = (&house.app.db, house.app.clock.now());
    readers(&house, 3).await;
    let id = started(&house.app).await;
    task::clock(&house.app).await.unwrap();
    store::take_lease(db, 7, now + LEASE, 1).await.unwrap();
    let batch = batches::lease(db, 7, id, now).await.unwrap().unwrap();
    let all = due(db, id, (7, batch), now).await;
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
    assert_eq!(due(db, id, (7, batch), soon).await, [all[2]]);
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
        let readers = due(db, id, (7, batch), now).await;
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
    let waiting = tokio::spawn(async move { record::record_sent(&waiting, 7, id, &records).await });
    let blocked =
        "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    while db.read(blocked).one::<(i64,)>().await.unwrap() == (0,) {
        tokio::task::yield_now().await;
    }
    tx.commit().await.unwrap();
    let written = waiting.await.unwrap().unwrap();
    assert_eq!((written.counted.len(), written.still[&id]), (20, true));
    // The answer was lost, and they are handed in again.
    let again = record::record_sent(db, 7, id, ours).await.unwrap();
    assert_eq!((again.counted.len(), again.still[&id]), (0, true));
    assert_eq!(run_of(&house.app, id).await.sent, 40);
}

story!(who_waits_anew_while_a_batch_is_given_back_is_not_overlooked, async |house: House| {
    let (db, now) = (house.db(), house.app.clock.now());
    let all = readers(&house, 3).await;
    let id = started(&house.app).await;
    task::clock(&house.app).await.unwrap();
    store::take_lease(db, 7, now + LEASE, 1).await.unwrap();
    let mut leased = Vec::new();
    while let Some(batch) = batches::lease(db, 7, id, now).await.unwrap() {
        leased.push(batch);
    }
    settled(db, "sent").await;
    // Somebody is put back to waiting, and that is not committed yet.
    let mut tx = db.begin().await.unwrap();
    let again = "UPDATE deliveries SET state = 'waiting' WHERE subscriber_id = $1";
    assert_eq!(tx.query(again).bind(all[1]).execute().await.unwrap(), 1);
    batches::reopen(&mut tx, id, now).await.unwrap();
    let other = db.clone();
    let giving_back = tokio::spawn(async move {
        for batch in leased {
            batches::give_back(&other, 7, id, batch.up_to).await.unwrap();
        }
    });
    if db.is_postgres() {
        until_one_waits(db, &giving_back).await;
    }
    tx.commit().await.unwrap();
    giving_back.await.unwrap();
    assert_eq!(batches::next_due(db, id).await.unwrap().map(|at| at <= now), Some(true), "they wait, and are due");
});

story!(whose_lease_is_taken_away_stops_at_the_mails_in_hand, async |house: House| {
    let sink = Sink::start().await;
    sink.slow(Duration::from_millis(2));
    let app = through(&house, &sink, 4, &[]);
    readers(&house, 400).await;
    let id = started(&app).await;
    task::clock(&app).await.unwrap();
    let sending = tokio::spawn({
        let app = app.clone();
        async move { send::run(&app).await }
    });
    sink.wait_for(40).await;
    // As another process does whose clock is far ahead.
    house.db().write("DELETE FROM delivery_leases").execute().await.unwrap();
    let before = sink.count();
    sending.await.unwrap().unwrap();
    let after = sink.count() - before;
    assert!(after <= 3 * 4, "{after} more without a lease");
    sink.slow(Duration::ZERO);
    work(&app).await;
    assert_eq!((sink.by_recipient().len(), sink.doubled(), state(&app, id).await), (400, 0, State::Sent));
});

story!(a_lease_is_kept_until_the_last_answer_is_there_also_after_a_stop, async |house: House| {
    let sink = Sink::start().await;
    let app = at_clock(&house, &sink, 1, &[], Clock::system());
    readers(&house, 3).await;
    let id = started(&app).await;
    task::clock(&app).await.unwrap();
    // Some ten seconds for the answer to the final dot: more than one beat.
    sink.fail(Step::Dot, When::Times(1), Fault::Drip(Duration::from_millis(700)));
    let sending = tokio::spawn({
        let app = app.clone();
        async move { send::run(&app).await }
    });
    sink.wait_for(1).await;
    app.stop.cancel();
    let until = async || house.db().read("SELECT until FROM delivery_leases").one::<(Moment,)>().await.unwrap().0;
    let at_stop = until().await;
    while until().await == at_stop {
        assert!(!sending.is_finished(), "it ended before it renewed its lease");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    sending.await.unwrap().unwrap();
    let run = run_of(&app, id).await;
    assert_eq!((sink.count(), run.sent, run.waiting()), (1, 1, 2));
});
