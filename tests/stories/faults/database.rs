//! A database that is away, holds still, or whose answer to a commit is lost.

use super::proxy::{Proxy, Wire};
use crate::house::{House, NOW};
use crate::judge::Judge;
use crate::sending::{readers, started, through, with_settings, work};
use crate::smtp_sink::{Fault, Sink, Step, When};
use friday::app::Shared;
use friday::clock::Clock;
use friday::db::Db;
use friday::delivery::outcome::RETRY;
use friday::delivery::{send, task};
use sqlx::{Connection, Executor};
use std::time::Duration;

const CONNECTIONS: usize = 4;
const MANY: usize = 300;
/// For Friday it is a minute: its clock is set.
const MINUTE: Duration = Duration::from_secs(61);

/// While the database is away, hardly anything goes out; after it everybody gets it once. `away` takes it away, for so many
/// real seconds; what it answers is given to `back`.
async fn nothing_goes_out<E>(
    app: &Shared,
    house: &House,
    sink: &Sink,
    (away, seconds): (impl AsyncFnOnce() -> E, u64),
    back: impl AsyncFnOnce(E),
) {
    sink.slow(Duration::from_millis(3));
    readers(house, MANY).await;
    let judge = Judge::of(house).await;
    let id = started(app).await;
    task::clock(app).await.unwrap();
    let run = tokio::spawn({
        let app = app.clone();
        async move { send::run(&app).await }
    });
    sink.wait_for(60).await;
    let held = away().await;
    let before = sink.count();
    real_seconds(seconds).await;
    app.clock.advance(MINUTE);
    let meanwhile = sink.count() - before;
    // Each connection may end the mail in hand; one outcome each may have been on disk just before.
    assert!(meanwhile <= 3 * CONNECTIONS, "{meanwhile} went out without a database");
    // The page is read from the same database, but for the outcomes that nobody could write down.
    let shown = judge.finds(sink, id, CONNECTIONS).await;
    assert_eq!(shown.word, "Going out");
    back(held).await;
    // It may end in the error that it has met. Nothing is lost by that: the next run goes on.
    let _ = run.await.unwrap();
    sink.slow(Duration::ZERO);
    work(app).await;
    judge.finds_all_served_once(sink, id).await;
}

/// A pause in which Friday tries again and again; the database's own waits are in real seconds.
async fn real_seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

async fn through_proxy(house: &House, proxy: &Proxy, sink: &Sink) -> Shared {
    let db = Db::open(&proxy.url(&house.database_url())).await.unwrap();
    let smtp = sink.url(CONNECTIONS);
    with_settings(house, &[("FRIDAY_SMTP_URL", &smtp)], db, Clock::fixed(NOW))
}

async fn a_minute_on_a_wire_that_is(wire: Wire) {
    let Some(house) = House::postgres().await else { return };
    let (proxy, sink) = (Proxy::to(&house.database_url()).await, Sink::start().await);
    let app = through_proxy(&house, &proxy, &sink).await;
    nothing_goes_out(&app, &house, &sink, (async || proxy.is(wire), 2), async |()| proxy.is(Wire::Whole)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_gone_for_a_minute_skips_and_doubles_nobody() {
    a_minute_on_a_wire_that_is(Wire::Cut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_says_nothing_for_a_minute_skips_and_doubles_nobody() {
    a_minute_on_a_wire_that_is(Wire::Silent).await;
}

/// SQLite: another program holds the write lock for longer than Friday waits for it (five seconds, really waited for).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_locked_by_another_program_skips_and_doubles_nobody() {
    let house = House::sqlite().await;
    let sink = Sink::start().await;
    sink.pipelining(false);
    let smtp = sink.url(CONNECTIONS);
    let app = with_settings(&house, &[("FRIDAY_SMTP_URL", &smtp)], house.app.db.clone(), Clock::fixed(NOW));
    let away = async || {
        let mut other = sqlx::SqliteConnection::connect(&house.database_url()).await.unwrap();
        other.execute("BEGIN IMMEDIATE").await.unwrap();
        other
    };
    let back = async |mut other: sqlx::SqliteConnection| {
        other.execute("ROLLBACK").await.unwrap();
    };
    nothing_goes_out(&app, &house, &sink, (away, 6), back).await;
}

/// Sends while the answers to some commits are lost. One in which a batch is given back ends the run, which begins anew; one
/// with outcomes in it is repeated.
async fn lose_commits(app: &Shared, proxy: &Proxy) {
    proxy.lose_commits(4);
    for _ in 0..20 {
        let _ = send::run(app).await;
        if proxy.commits_to_lose() == 0 {
            return send::run(app).await.map(drop).unwrap();
        }
    }
    panic!("{} commits were not lost", proxy.commits_to_lose());
}

/// PostgreSQL has done what it was asked, and Friday does not learn it: the same outcomes are written down again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outcomes_whose_commit_was_not_heard_are_counted_once() {
    let Some(house) = House::postgres().await else { return };
    let (proxy, sink) = (Proxy::to(&house.database_url()).await, Sink::start().await);
    let app = through_proxy(&house, &proxy, &sink).await;
    readers(&house, 30).await;
    let judge = Judge::of(&house).await;
    let id = started(&app).await;
    task::clock(&app).await.unwrap();
    for fault in [Fault::Say("451 4.2.1 later"), Fault::Drop] {
        sink.heal();
        sink.fail(Step::Rcpt, When::Always, fault);
        lose_commits(&app, &proxy).await;
        let shown = judge.finds(&sink, id, 0).await;
        assert_eq!((shown.accepted, shown.failed), (0, 0));
        app.clock.advance(2 * RETRY[0]);
    }
    sink.heal();
    // The clock's own commits, that everybody was tried once, are not the ones to lose.
    task::clock(&app).await.unwrap();
    lose_commits(&app, &proxy).await;
    work(&app).await;
    app.clock.advance(2 * RETRY[0]);
    work(&app).await;
    judge.finds_all_served_once(&sink, id).await;
}

/// A machine that froze, or fell off the network, in the middle of a transaction keeps its locks until PostgreSQL ends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_froze_within_a_transaction_does_not_hold_the_others_up() {
    let Some(house) = House::postgres().await else { return };
    let sink = Sink::start().await;
    let app = through(&house, &sink, 2, &[]);
    readers(&house, 20).await;
    let judge = Judge::of(&house).await;
    let id = started(&app).await;
    task::clock(&app).await.unwrap();
    let (limit,): (String,) = app.db.read("SHOW idle_in_transaction_session_timeout").one().await.unwrap();
    assert_eq!(limit, "15s");
    let mut frozen = app.db.begin().await.unwrap();
    // Fifteen seconds are not waited for.
    frozen.query("SET idle_in_transaction_session_timeout = '200ms'").execute().await.unwrap();
    frozen.query("UPDATE delivery_runs SET sent = sent WHERE issue_id = $1").bind(id).execute().await.unwrap();
    let done = tokio::time::timeout(Duration::from_secs(60), work(&app)).await;
    assert!(done.is_ok(), "it waits for one who does not wake");
    assert!(frozen.commit().await.is_err(), "who wakes is told that it was ended");
    judge.finds_all_served_once(&sink, id).await;
}
