//! Who confirms while an issue goes out gets it too, once.

use crate::house::{House, story};
use crate::sending::{WEEKLY, draft, readers, run_of, started, state, through, work};
use crate::smtp_sink::{Fault, Sink, Step, When};
use friday::app::Shared;
use friday::clock::DAY;
use friday::delivery::store::newcomers;
use friday::delivery::{acts, outcome, task};
use friday::digest::State;
use friday::newsroom::Newsroom;
use friday::staff::Actor;
use std::time::Duration;

const ANNA: &str = "anna@late.example";
const ROWS: &str = "SELECT COUNT(*) FROM newcomers";

/// The link of the confirmation mail to `address`. The outbox alone works: the rest of the house would send the issue past
/// the sink.
async fn asked(house: &House, address: &str) -> String {
    let answer = house.post(&format!("/newsletters/{WEEKLY}/subscribe"), &[("email", address)]).await;
    assert_eq!(answer.status, 202);
    friday::mail::outbox::step(&house.app.outbox_hand()).await.unwrap();
    let mail = house.mails().into_iter().rfind(|mail| mail.to == address && mail.text.contains("/confirm/")).unwrap();
    mail.link("/confirm/")
}

/// Confirms for `address`; the link that was used.
pub(crate) async fn confirm(house: &House, address: &str) -> String {
    let link = asked(house, address).await;
    assert_eq!(house.post(&link, &[]).await.status, 200);
    link
}

async fn id_of(house: &House, address: &str) -> i64 {
    let address = friday::address::Address::parse(address).unwrap();
    friday::subscribers::store::find_by_address(house.db(), &house.app.keys, &address).await.unwrap().unwrap().id
}

async fn leave(house: &House, address: &str) {
    let link = friday::subscribers::unsubscribe_link(&house.app.keys, "", id_of(house, address).await, WEEKLY, 1);
    assert_eq!(house.post(&link, &[]).await.status, 200);
}

/// Sees to the newcomers, whose rows are gone then.
pub(crate) async fn see_to(app: &Shared, house: &House) {
    while friday::delivery::newcomers::step(app).await.unwrap() {}
    assert_eq!(house.count(ROWS).await, 0, "nothing stays of when they came");
}

/// An issue of which the first of five readers is put off, so that it is still going out.
pub(crate) async fn under_way(house: &House, sink: &Sink) -> (Shared, i64) {
    let app = through(house, sink, 2, &[]);
    readers(house, 5).await;
    sink.fail(Step::Rcpt, When::For("reader-0@"), Fault::Say("451 4.2.0 later"));
    let id = started(&app).await;
    work(&app).await;
    assert_eq!((sink.count(), state(&app, id).await), (4, State::Sending));
    (app, id)
}

/// Lets the one who was put off have it; the run is over then.
async fn to_its_end(app: &Shared, sink: &Sink, id: i64) {
    sink.heal();
    app.clock.advance(outcome::RETRY[0] * 2);
    work(app).await;
    assert_eq!(state(app, id).await, State::Sent);
    let run = run_of(app, id).await;
    assert_eq!((run.waiting(), run.sent, sink.doubled()), (0, run.readers, 0));
}

fn copies(sink: &Sink, address: &str) -> usize {
    sink.accepted().iter().filter(|mail| mail.to == address).count()
}

story!(who_confirms_while_an_issue_goes_out_gets_it_once_and_is_counted, async |house: House| {
    let sink = Sink::start().await;
    let (app, id) = under_way(&house, &sink).await;
    let link = confirm(&house, ANNA).await;
    assert_eq!(house.post(&link, &[]).await.status, 200, "pressing twice is pressing once");
    confirm(&house, "boris@late.example").await;
    assert_eq!(house.count(ROWS).await, 2);
    see_to(&app, &house).await;
    assert_eq!(run_of(&app, id).await.readers, 7);
    work(&app).await;
    assert_eq!((copies(&sink, ANNA), copies(&sink, "boris@late.example")), (1, 1));
    assert_eq!(house.post(&link, &[]).await.status, 200);
    see_to(&app, &house).await;
    to_its_end(&app, &sink, id).await;
    assert_eq!((run_of(&app, id).await.readers, copies(&sink, ANNA)), (7, 1));
});

story!(who_confirms_after_the_end_begins_with_the_next_issue, async |house: House| {
    let sink = Sink::start().await;
    let (app, id) = under_way(&house, &sink).await;
    sink.heal();
    sink.fail(Step::Rcpt, When::For("reader-0@"), Fault::Say("550 5.7.1 no"));
    app.clock.advance(outcome::RETRY[0] * 2);
    work(&app).await;
    assert_eq!((state(&app, id).await, run_of(&app, id).await.failed), (State::Sent, 1));
    confirm(&house, ANNA).await;
    see_to(&app, &house).await;
    // The run is opened once more for the one who failed, and for nobody else.
    sink.heal();
    assert_eq!(acts::retry(&app, Actor::Cli, id).await.unwrap(), 1);
    see_to(&app, &house).await;
    work(&app).await;
    let run = run_of(&app, id).await;
    assert_eq!((run.readers, run.sent, copies(&sink, ANNA)), (5, 5, 0));
    app.clock.advance(DAY);
    started(&app).await;
    work(&app).await;
    assert_eq!(copies(&sink, ANNA), 1);
});

story!(an_issue_of_yesterday_is_no_newcomers, async |house: House| {
    let sink = Sink::start().await;
    let (app, id) = under_way(&house, &sink).await;
    app.clock.advance(DAY - Duration::from_secs(1));
    confirm(&house, ANNA).await;
    see_to(&app, &house).await;
    assert_eq!(run_of(&app, id).await.readers, 6, "less than a day old");
    app.clock.advance(Duration::from_secs(1));
    confirm(&house, "boris@late.example").await;
    see_to(&app, &house).await;
    assert_eq!(run_of(&app, id).await.readers, 6, "a day old");
});

story!(a_newsroom_can_leave_newcomers_to_the_next_issue, async |house: House| {
    let house = house.with(|c| c.newsroom.newsletters[0].send_to_newcomers = false);
    let sink = Sink::start().await;
    let (app, id) = under_way(&house, &sink).await;
    confirm(&house, ANNA).await;
    see_to(&app, &house).await;
    to_its_end(&app, &sink, id).await;
    assert_eq!((run_of(&app, id).await.readers, copies(&sink, ANNA)), (5, 0));
});

story!(who_confirms_in_a_pause_gets_it_when_it_goes_on, async |house: House| {
    let sink = Sink::start().await;
    let (app, id) = under_way(&house, &sink).await;
    acts::pause(&app, Actor::Cli, id).await.unwrap();
    confirm(&house, ANNA).await;
    see_to(&app, &house).await;
    work(&app).await;
    assert_eq!(copies(&sink, ANNA), 0, "paused is paused");
    acts::resume(&app, Actor::Cli, id).await.unwrap();
    to_its_end(&app, &sink, id).await;
    assert_eq!(copies(&sink, ANNA), 1);
    // And nobody joins what was cancelled.
    let other = started(&app).await;
    task::clock(&app).await.unwrap();
    acts::cancel(&app, Actor::Cli, other).await.unwrap();
    confirm(&house, "boris@late.example").await;
    see_to(&app, &house).await;
    assert_eq!(run_of(&app, other).await.readers, 6);
});

story!(who_confirms_while_the_audience_is_gathered_waits_until_it_is_whole, async |house: House| {
    let sink = Sink::start().await;
    let app = through(&house, &sink, 2, &[]);
    readers(&house, 5).await;
    let id = started(&app).await;
    // The gathering has passed by everybody's place already.
    let last = i64::MAX - 1;
    house.db().write("UPDATE delivery_runs SET gathered_to = $1").bind(last).execute().await.unwrap();
    let batch = "INSERT INTO delivery_batches (issue_id, above, up_to, due_at) VALUES ($1, 0, $2, 0)";
    house.db().write(batch).bind(id).bind(last).execute().await.unwrap();
    confirm(&house, ANNA).await;
    assert!(!friday::delivery::newcomers::step(&app).await.unwrap(), "it is not known yet whether she is in it");
    assert_eq!(house.count(ROWS).await, 1);
    task::clock(&app).await.unwrap();
    see_to(&app, &house).await;
    work(&app).await;
    let run = run_of(&app, id).await;
    assert_eq!((run.readers, run.sent, copies(&sink, ANNA)), (1, 1, 1));
});

story!(a_run_does_not_end_while_somebody_is_being_added, async |house: House| {
    let sink = Sink::start().await;
    let app = through(&house, &sink, 2, &[]);
    readers(&house, 1).await;
    let id = started(&app).await;
    task::clock(&app).await.unwrap();
    confirm(&house, ANNA).await;
    // Everybody has it, and the run is about to be ended; at this moment Anna is added.
    friday::delivery::send::run(&app).await.unwrap();
    let mut adding = house.db().begin().await.unwrap();
    assert_eq!(newcomers::take(&mut adding, id, app.clock.now()).await.unwrap(), 1);
    let ending = tokio::spawn({
        let app = app.clone();
        async move { task::clock(&app).await.unwrap() }
    });
    // On SQLite it stands in line for the one writer; on PostgreSQL the server says when it waits for the run.
    const HELD_UP: &str = "SELECT COUNT(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while house.db().is_postgres() && !ending.is_finished() && house.count(HELD_UP).await == 0 {
        tokio::task::yield_now().await;
    }
    adding.commit().await.unwrap();
    ending.await.unwrap();
    assert_eq!(state(&app, id).await, State::Sending, "somebody waits");
    work(&app).await;
    let run = run_of(&app, id).await;
    assert_eq!((run.readers, run.sent, run.waiting(), copies(&sink, ANNA)), (2, 2, 0, 1));
    assert_eq!(state(&app, id).await, State::Sent);
});

story!(whoever_sees_to_newcomers_may_die_between_any_two_steps, async |house: House| {
    let sink = Sink::start().await;
    let (app, id) = under_way(&house, &sink).await;
    confirm(&house, ANNA).await;
    for _ in 0..2 {
        // Added, and then the process died: the row is still there.
        let mut tx = house.db().begin().await.unwrap();
        newcomers::take(&mut tx, id, app.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
        work(&app).await;
    }
    assert_eq!(house.count(ROWS).await, 1);
    let (one, other) =
        tokio::join!(friday::delivery::newcomers::step(&app), friday::delivery::newcomers::step(&house.app));
    assert!(one.unwrap() | other.unwrap());
    see_to(&app, &house).await;
    to_its_end(&app, &sink, id).await;
    assert_eq!((run_of(&app, id).await.readers, copies(&sink, ANNA)), (6, 1));
});

story!(who_has_it_and_comes_back_the_same_day_does_not_get_it_again, async |house: House| {
    let sink = Sink::start().await;
    let (app, id) = under_way(&house, &sink).await;
    let link = confirm(&house, ANNA).await;
    see_to(&app, &house).await;
    work(&app).await;
    leave(&house, ANNA).await;
    app.clock.advance(Duration::from_secs(3600));
    assert_eq!(house.post(&link, &[]).await.status, 200);
    see_to(&app, &house).await;
    to_its_end(&app, &sink, id).await;
    assert_eq!((run_of(&app, id).await.readers, copies(&sink, ANNA)), (6, 1));
    // One who left long ago is a newcomer like any other.
    app.clock.advance(2 * DAY);
    leave(&house, ANNA).await;
    app.clock.advance(2 * DAY);
    sink.fail(Step::Rcpt, When::For("reader-0@"), Fault::Say("451 4.2.0 later"));
    let next = started(&app).await;
    work(&app).await;
    confirm(&house, ANNA).await;
    see_to(&app, &house).await;
    work(&app).await;
    assert_eq!((run_of(&app, next).await.readers, copies(&sink, ANNA)), (6, 2));
});

story!(
    who_takes_a_further_newsletter_gets_its_issue_too_unless_they_have_it_from_before_a_move,
    async |house: House| {
        let two = "[[newsletters]]\nslug = \"weekly\"\nname = \"A\"\n[[newsletters]]\nslug = \"zarya\"\nname = \"B\"\n";
        let house = house.with(|c| c.newsroom = Newsroom::from_toml(two).unwrap());
        let sink = Sink::start().await;
        let (app, id) = under_way(&house, &sink).await;
        house.post("/newsletters/zarya/subscribe", &[("email", ANNA)]).await;
        friday::mail::outbox::step(&house.app.outbox_hand()).await.unwrap();
        house.post(&house.mails().last().unwrap().link("/confirm/"), &[]).await;
        see_to(&app, &house).await;
        assert_eq!(run_of(&app, id).await.readers, 5, "another newsletter's issue is not theirs");
        let choose = async |address: &str, slugs: &[&str]| {
            let path = friday::subscribers::preferences_link(&house.app.keys, "", id_of(&house, address).await, 1);
            let fields: Vec<(&str, &str)> =
                [("all", "1")].into_iter().chain(slugs.iter().map(|slug| ("newsletter", *slug))).collect();
            assert_eq!(house.post(&path, &fields).await.status, 200);
        };
        choose(ANNA, &["weekly", "zarya"]).await;
        see_to(&app, &house).await;
        work(&app).await;
        assert_eq!((run_of(&app, id).await.readers, copies(&sink, ANNA)), (6, 1));
        // Left and taken again, also after a move: it is the same issue to the same person.
        for moves in [false, true] {
            let address = if moves { "anna@moved.example" } else { ANNA };
            if moves {
                let mut tx = house.db().begin().await.unwrap();
                let (from, to) = (id_of(&house, ANNA).await, friday::address::Address::parse(address).unwrap());
                let now = app.clock.now();
                friday::subscribers::store::move_to(&mut tx, &app.keys, now, from, &to).await.unwrap().unwrap();
                tx.commit().await.unwrap();
            }
            choose(address, &["zarya"]).await;
            choose(address, &["weekly", "zarya"]).await;
            assert_eq!(house.count(ROWS).await, 1);
            see_to(&app, &house).await;
            work(&app).await;
        }
        to_its_end(&app, &sink, id).await;
        assert_eq!(
            (run_of(&app, id).await.readers, copies(&sink, ANNA), copies(&sink, "anna@moved.example")),
            (6, 1, 0)
        );
    }
);

story!(a_newcomer_who_moves_or_leaves_at_once_takes_the_row_along, async |house: House| {
    let sink = Sink::start().await;
    let (app, id) = under_way(&house, &sink).await;
    confirm(&house, ANNA).await;
    let mut tx = house.db().begin().await.unwrap();
    let to = friday::address::Address::parse("anna@moved.example").unwrap();
    let (from, now) = (id_of(&house, ANNA).await, app.clock.now());
    friday::subscribers::store::move_to(&mut tx, &app.keys, now, from, &to).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    confirm(&house, "boris@late.example").await;
    leave(&house, "boris@late.example").await;
    assert_eq!(house.count(ROWS).await, 1);
    see_to(&app, &house).await;
    to_its_end(&app, &sink, id).await;
    let had = ["anna@moved.example", ANNA, "boris@late.example"].map(|address| copies(&sink, address));
    assert_eq!((run_of(&app, id).await.readers, had), (6, [1, 0, 0]));
});

story!(who_was_not_seen_to_in_a_day_or_two_is_forgotten_and_only_the_day_was_kept, async |house: House| {
    draft(&house.app).await;
    confirm(&house, ANNA).await;
    let until: (i64,) = house.db().read("SELECT until FROM newcomers").one().await.unwrap();
    assert_eq!(until.0 % DAY.as_millis() as i64, 0, "a midnight");
    house.clock().advance(DAY);
    friday::subscribers::store::tidy(house.db(), house.app.clock.now()).await.unwrap();
    assert_eq!(house.count(ROWS).await, 1);
    house.clock().advance(DAY);
    friday::subscribers::store::tidy(house.db(), house.app.clock.now()).await.unwrap();
    assert_eq!(house.count(ROWS).await, 0);
    assert_eq!(house.count("SELECT COUNT(*) FROM subscriptions").await, 1, "they read us all the same");
});
