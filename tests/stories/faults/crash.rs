//! Processes that are killed, frozen, or lose their power.

use super::{LINES, Random, long, tell};
use crate::house::{House, story};
use crate::judge::Judge;
use crate::sending::{Process, at_clock, readers, run_of, started, twenty_seconds_pass, until_sent};
use crate::smtp_sink::Sink;
use friday::app::Shared;
use friday::clock::Clock;
use std::time::Duration;

async fn leases(app: &Shared) -> Vec<i64> {
    let ids: Vec<(i64,)> = app.db.read("SELECT id FROM delivery_leases").all().await.unwrap();
    ids.into_iter().map(|(id,)| id).collect()
}

/// Waits until as many processes send.
async fn until_leases(app: &Shared, count: usize) -> Vec<i64> {
    for _ in 0..1_200 {
        let leases = leases(app).await;
        if leases.len() == count {
            return leases;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("there are never {count} who send");
}

story!(kill_9_at_random_moments_skips_nobody_and_doubles_no_more_than_there_were_connections, async |house: House| {
    let (kills, many) = if long() { (50, 20_000) } else { (5, 4_000) };
    let mut random = Random::new();
    let sink = Sink::start().await;
    sink.forget_bodies();
    let app = at_clock(&house, &sink, LINES, &[], Clock::system());
    readers(&house, many).await;
    let judge = Judge::of(&house).await;
    let id = started(&app).await;
    let share = many / kills;
    for nth in 0..kills {
        sink.pipelining(nth % 2 == 0);
        let process = Process::start(&house, &sink, LINES);
        // From before its first mail to somewhere within its share of them, and there at whatever instruction.
        sink.wait_for(nth * share + random.below(share)).await;
        tokio::time::sleep(Duration::from_micros(random.below(50_000) as u64)).await;
        process.kill();
        sink.wait_until_quiet().await;
        twenty_seconds_pass(&app).await;
        if run_of(&app, id).await.gathered_at.is_some() {
            judge.finds(&sink, id, (nth + 1) * LINES).await;
        }
        assert!(sink.doubled() <= nth * LINES, "{} doubled after {nth} kills", sink.doubled());
    }
    let last = Process::start(&house, &sink, LINES);
    until_sent(&app, id).await;
    last.kill();
    let shown = judge.finds(&sink, id, 0).await;
    assert_eq!((shown.word.as_str(), shown.accepted), ("Sent", many as i64));
    assert_eq!(sink.by_recipient().len(), many, "nobody is missing");
    assert!(sink.doubled() <= kills * LINES, "{} doubled after {kills} kills", sink.doubled());
    if long() {
        let database = if house.db().is_postgres() { "PostgreSQL" } else { "SQLite" };
        let (doubled, most, seed) = (sink.doubled(), kills * LINES, random.seed);
        tell(&format!(
            "{database}: {many} readers, {kills} kills: none skipped, {doubled} twice (at most {most}); seed {seed}"
        ));
    }
});

story!(an_orderly_stop_doubles_nobody, async |house: House| {
    let sink = Sink::start().await;
    sink.forget_bodies();
    let app = at_clock(&house, &sink, LINES, &[], Clock::system());
    readers(&house, 1_500).await;
    let judge = Judge::of(&house).await;
    let id = started(&app).await;
    for (at, pipelining) in [(100, true), (700, false)] {
        sink.pipelining(pipelining);
        let process = Process::start(&house, &sink, LINES);
        sink.wait_for(at).await;
        let ended = process.stop().await;
        assert!(ended.success(), "{ended}");
        assert!(leases(&app).await.is_empty(), "the lease is given back: nobody has to wait for it");
        let shown = judge.finds(&sink, id, 0).await;
        assert_eq!(shown.word, "Going out");
    }
    let last = Process::start(&house, &sink, LINES);
    until_sent(&app, id).await;
    last.kill();
    judge.finds_all_served_once(&sink, id).await;
});

/// SQLite alone, whose files can be had. What the disk holds at some instant is what a machine finds when its power is
/// back: the files are copied while the process stands still, wherever it stands, and another goes on from the copy.
/// `meanwhile` mails went out after the copy, as when a backup of the whole machine is put back.
async fn power_is_lost(meanwhile: usize) {
    let house = House::sqlite().await;
    let sink = Sink::start().await;
    sink.forget_bodies();
    let app = at_clock(&house, &sink, LINES, &[], Clock::system());
    readers(&house, 1_500).await;
    let id = started(&app).await;
    let mut random = Random::new();
    let process = Process::start(&house, &sink, LINES);
    sink.wait_for(100 + random.below(700)).await;
    process.signal("STOP");
    let at_copy = sink.count();
    let folder = tempfile::tempdir().unwrap();
    for name in ["friday.db", "friday.db-wal", "friday.key"] {
        std::fs::copy(house.folder.path().join(name), folder.path().join(name)).unwrap();
    }
    if meanwhile > 0 {
        process.signal("CONT");
        sink.wait_for(at_copy + meanwhile).await;
    }
    process.kill();
    sink.wait_until_quiet().await;
    let since = sink.count() - at_copy;

    let copy = House::at(folder, None).await;
    let app = at_clock(&copy, &sink, LINES, &[], Clock::system());
    twenty_seconds_pass(&app).await;
    let judge = Judge::of(&copy).await;
    judge.finds(&sink, id, LINES + since).await;
    let last = Process::start(&copy, &sink, LINES);
    until_sent(&app, id).await;
    last.kill();
    let shown = judge.finds(&sink, id, 0).await;
    assert_eq!((shown.word.as_str(), shown.accepted, sink.by_recipient().len()), ("Sent", 1_500, 1_500));
    // The mails that were on their way when it stood still are among `since`.
    assert!(sink.doubled() <= LINES + since, "{} doubled, {since} since", sink.doubled());
    assert!(meanwhile > 0 || since <= LINES, "{since} went out of a process that stood still");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_loss_doubles_no_more_than_there_were_connections() {
    power_is_lost(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_of_the_disk_doubles_only_what_went_out_since() {
    power_is_lost(200).await;
}

/// A house's database, with a name for who connects.
fn named(house: &House, name: &str) -> String {
    let mut url = reqwest::Url::parse(&house.database_url()).unwrap();
    url.query_pairs_mut().append_pair("application_name", name);
    url.to_string()
}

/// Frozen within a transaction it would keep its locks for fifteen seconds more; that has a story of its own.
async fn freeze_outside_of_transactions(app: &Shared, process: &Process) {
    let within = "SELECT COUNT(*) FROM pg_stat_activity
                  WHERE datname = current_database() AND application_name = 'freezes'
                    AND state IN ('active', 'idle in transaction')";
    for _ in 0..1_000 {
        // What it had asked for before it stood still is done first.
        tokio::time::sleep(Duration::from_millis(20)).await;
        if app.db.read(within).one::<(i64,)>().await.unwrap().0 == 0 {
            return;
        }
        process.signal("CONT");
        tokio::time::sleep(Duration::from_millis(3)).await;
        process.signal("STOP");
    }
    panic!("it is always within a transaction");
}

/// PostgreSQL alone: two processes on one SQLite file are not a way to run Friday. A frozen process judges by the real clock
/// whether its lease holds. Told at length, it wakes while others send what it held, after its lease has really run out.
/// Told shortly, its lease is ended in the database, and it wakes after the last mail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_one_dies_and_one_freezes_and_wakes_and_nobody_is_skipped() {
    let Some(house) = House::postgres().await else { return };
    let many = 3_000;
    let sink = Sink::start().await;
    sink.forget_bodies();
    sink.slow(Duration::from_millis(if long() { 100 } else { 3 }));
    let app = at_clock(&house, &sink, LINES, &[], Clock::system());
    readers(&house, many).await;
    let judge = Judge::of(&house).await;
    let id = started(&app).await;

    let freezes = Process::on(&named(&house, "freezes"), &house.app.config.key_file, &sink.url(LINES));
    let lease = until_leases(&app, 1).await[0];
    let dies = Process::start(&house, &sink, LINES);
    until_leases(&app, 2).await;
    sink.wait_for(sink.count() + 200).await;
    freezes.signal("STOP");
    if long() {
        tokio::time::sleep(Duration::from_secs(22)).await;
    } else {
        freeze_outside_of_transactions(&app, &freezes).await;
        app.db.write("UPDATE delivery_leases SET until = 0 WHERE id = $1").bind(lease).execute().await.unwrap();
    }
    sink.wait_for(sink.count() + 300).await;
    dies.kill();
    twenty_seconds_pass(&app).await;
    let last = Process::start(&house, &sink, LINES);
    if !long() {
        sink.slow(Duration::ZERO);
        until_sent(&app, id).await;
    } else {
        sink.wait_for(sink.count() + 300).await;
    }
    freezes.signal("CONT");
    // Long enough for everything that it had in hand, were it to send it.
    let at_waking = sink.count();
    tokio::time::sleep(Duration::from_secs(1)).await;
    sink.slow(Duration::ZERO);
    until_sent(&app, id).await;
    let woke = sink.count() - at_waking;
    assert!(long() || woke <= LINES, "{woke} mails of one who had nothing to send any more");
    assert!(freezes.stop().await.success());
    last.kill();
    let shown = judge.finds(&sink, id, 0).await;
    assert_eq!((shown.word.as_str(), shown.accepted, sink.by_recipient().len()), ("Sent", many as i64, many));
    assert!(sink.doubled() <= 2 * LINES, "{} doubled by two who stood still or died", sink.doubled());
    if long() {
        let (doubled, most) = (sink.doubled(), 2 * LINES);
        tell(&format!("{many} readers, one process killed, one frozen for 22 s: {doubled} twice (at most {most})"));
    }
}
