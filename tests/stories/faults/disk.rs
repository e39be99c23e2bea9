//! A disk that is full. SQLite alone: PostgreSQL's is another machine's, and an error like any other.

use super::LINES;
use crate::house::House;
use crate::judge::Judge;
use crate::sending::{Process, at_clock, readers, run_of, started, through, until_sent, work};
use crate::smtp_sink::Sink;
use friday::clock::Clock;
use friday::delivery::task;
use std::process::Command;
use std::time::Duration;

/// A page limit of its own is what a full disk looks like to SQLite.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_before_the_audience_is_whole_sends_to_nobody() {
    let house = House::sqlite().await;
    let sink = Sink::start().await;
    sink.forget_bodies();
    let app = through(&house, &sink, 4, &[]);
    readers(&house, 1_000).await;
    let judge = Judge::of(&house).await;
    let id = started(&app).await;
    house.db().write("PRAGMA max_page_count = 1").execute().await.unwrap();
    for _ in 0..3 {
        let error = task::clock(&app).await.unwrap_err();
        assert!(error.to_string().contains("full"), "{error}");
        let _ = friday::delivery::send::run(&app).await;
    }
    assert_eq!((sink.count(), run_of(&app, id).await.readers), (0, 0), "half an audience is none");
    assert_eq!(judge.page(id).await.word, "Gathering readers");
    house.db().write("PRAGMA max_page_count = 1000000").execute().await.unwrap();
    work(&app).await;
    judge.finds_all_served_once(&sink, id).await;
}

/// A process that may not write beyond some length of a file, here of the write-ahead log: every outcome fails to be written
/// down, as on a full disk, until there is room again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_in_the_middle_stops_the_sending_and_doubles_nobody() {
    let (house, many) = (House::sqlite().await, 2_000);
    let sink = Sink::start().await;
    sink.forget_bodies();
    let app = at_clock(&house, &sink, LINES, &[], Clock::system());
    readers(&house, many).await;
    let judge = Judge::of(&house).await;
    let id = started(&app).await;
    task::clock(&app).await.unwrap();
    let _: (i64, i64, i64) = house.db().write("PRAGMA wal_checkpoint(TRUNCATE)").one().await.unwrap();
    let length = house.folder.path().join("friday.db").metadata().unwrap().len();
    let kilobytes = length / 1024 + 50;
    assert!(kilobytes < 3_500, "past four megabytes the log begins anew, and would never be too long");
    // Told by a signal, a program would die of it; Friday's own is to go on.
    let limited = format!("trap '' XFSZ; ulimit -S -f {kilobytes}; exec \"$0\" work");
    let mut bash = Command::new("/bin/bash");
    bash.args(["-c", &limited, env!("CARGO_BIN_EXE_friday")]);
    let process = Process::run(&mut bash, &house.database_url(), &house.app.config.key_file, &sink.url(LINES));

    sink.wait_for(50).await;
    let mut had = 0;
    while had != sink.count() {
        had = sink.count();
        tokio::time::sleep(Duration::from_millis(1_200)).await;
    }
    assert!(had < many, "the disk was never full");
    let shown = judge.finds(&sink, id, LINES).await;
    assert_eq!(shown.word, "Going out");
    let pid = process.id().to_string();
    assert!(Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status().unwrap().success());
    until_sent(&app, id).await;
    assert!(process.stop().await.success());
    judge.finds_all_served_once(&sink, id).await;
}
