//! Staff who press buttons in the middle, and a clock that jumps.

use super::Random;
use crate::house::{House, NOW, story};
use crate::judge::Judge;
use crate::sending::{at_clock, readers, started, through, work};
use crate::smtp_sink::{Fault, Sink, Step, When};
use friday::app::Shared;
use friday::clock::Clock;
use friday::delivery::{send, task};
use std::process::Command;
use std::time::Duration;
use tokio::task::JoinHandle;

fn sending(app: &Shared) -> JoinHandle<bool> {
    let app = app.clone();
    tokio::spawn(async move { send::run(&app).await.unwrap() })
}

story!(pausing_and_going_on_at_random_moments_skips_and_doubles_nobody, async |house: House| {
    let mut random = Random::new();
    let (sink, many) = (Sink::start().await, 400);
    sink.slow(Duration::from_millis(3));
    let app = through(&house, &sink, 4, &[]);
    readers(&house, many).await;
    let judge = Judge::of(&house).await;
    let id = started(&app).await;
    task::clock(&app).await.unwrap();
    for nth in 1..=5 {
        sink.pipelining(nth % 2 == 0);
        let run = sending(&app);
        sink.wait_for(sink.count() + 1 + random.below(many / 8)).await;
        judge.press(id, "pause").await;
        if nth % 2 == 0 {
            // Before the sender has seen that it was paused.
            judge.press(id, "resume").await;
            judge.press(id, "pause").await;
        }
        let at_pause = sink.count();
        run.await.unwrap();
        let after = sink.count() - at_pause;
        assert!(after <= 2 * 4, "{after} more after the pause");
        let shown = judge.finds(&sink, id, 0).await;
        assert_eq!((shown.word.as_str(), sink.doubled()), ("Paused", 0));
        assert_eq!(shown.waiting, many as i64 - shown.accepted);
        judge.press(id, "resume").await;
    }
    sink.slow(Duration::ZERO);
    work(&app).await;
    judge.finds_all_served_once(&sink, id).await;
});

story!(a_cancel_in_the_middle_ends_it_and_the_page_says_who_has_it, async |house: House| {
    let (sink, many) = (Sink::start().await, 300);
    sink.slow(Duration::from_millis(3));
    // The desk's sessions do not last a day.
    let clock = Clock::fixed(NOW);
    let app = at_clock(&house, &sink, 4, &[], clock.clone());
    readers(&house, many).await;
    let judge = Judge::of(&house).await;
    sink.fail(Step::Rcpt, When::Times(3), Fault::Say("451 4.2.1 later"));
    let id = started(&app).await;
    task::clock(&app).await.unwrap();
    let run = sending(&app);
    sink.wait_for(50).await;
    judge.press(id, "cancel").await;
    let at_cancel = sink.count();
    run.await.unwrap();
    assert!(sink.count() <= at_cancel + 2 * 4);
    clock.advance(Duration::from_secs(24 * 3600));
    let had = sink.count();
    work(&app).await;
    let shown = judge.finds(&sink, id, 0).await;
    assert_eq!((sink.count(), sink.doubled(), shown.word.as_str()), (had, 0, "Cancelled"));
    assert_eq!((shown.accepted, shown.deferred), (had as i64, 3));
    assert_eq!(shown.waiting, many as i64 - 3 - had as i64);
});

story!(who_failed_is_listed_by_the_command_line_and_tried_again_from_there, async |house: House| {
    let sink = Sink::start().await;
    let clock = Clock::fixed(NOW);
    let app = at_clock(&house, &sink, 2, &[], clock.clone());
    let ids = readers(&house, 12).await;
    let judge = Judge::of(&house).await;
    sink.fail(Step::Rcpt, When::For("reader-3@"), Fault::Say("550 5.7.1 no"));
    sink.fail(Step::Dot, When::For("reader-4@"), Fault::Say("554 5.2.2 full"));
    let id = started(&app).await;
    work(&app).await;
    judge.finds(&sink, id, 0).await;
    let mut expected =
        [format!("{} 5.7.1 refused by the receiver’s rules", ids[3]), format!("{} 5.2.2 mailbox full", ids[4])];
    expected.sort_by_key(|line| line.split(' ').next().unwrap().parse::<i64>().unwrap());
    assert_eq!(friday(&house, &["issue", "failed", &id.to_string()]).lines().collect::<Vec<_>>(), expected);
    sink.heal();
    friday(&house, &["issue", "retry", &id.to_string()]);
    // The command has the system's clock.
    clock.set(NOW.max(Clock::system().now()));
    work(&app).await;
    judge.finds_all_served_once(&sink, id).await;
    assert_eq!(friday(&house, &["issue", "failed", &id.to_string()]), format!("Nobody failed in issue {id}.\n"));
});

fn friday(house: &House, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_friday"))
        .current_dir(house.folder.path())
        .args(arguments)
        .env("FRIDAY_DATABASE_URL", house.database_url())
        .env("FRIDAY_KEY_FILE", &house.app.config.key_file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

story!(a_clock_that_jumps_by_hours_skips_and_doubles_nobody, async |house: House| {
    // More than one process claims ahead.
    let (sink, many) = (Sink::start().await, 1_400);
    sink.forget_bodies();
    sink.slow(Duration::from_millis(2));
    let clock = Clock::fixed(NOW);
    let app = at_clock(&house, &sink, 4, &[], clock.clone());
    readers(&house, many).await;
    let judge = Judge::of(&house).await;
    let id = started(&app).await;
    task::clock(&app).await.unwrap();
    let hour = Duration::from_secs(3600);
    // Forward, the lease has run out by the clock: the run ends, and another begins.
    for (at, jump) in [(40, NOW + 5 * hour), (80, NOW + 48 * hour), (120, NOW - 4 * hour)] {
        let run = sending(&app);
        sink.wait_for(at).await;
        clock.set(jump);
        run.await.unwrap();
        judge.finds(&sink, id, 0).await;
    }
    // Back, nobody waits for the hours to pass a second time.
    sink.slow(Duration::ZERO);
    work(&app).await;
    judge.finds_all_served_once(&sink, id).await;
});
