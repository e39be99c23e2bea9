//! Two mail servers in the settings, of which the first fails. Both write into one book, which the judge reads.

use super::answers::{MANY, Scene};
use crate::house::{House, NOW, story};
use crate::judge::Judge;
use crate::sending::{readers, run_of, started, state, with_settings, work};
use crate::smtp_sink::{Fault, Sink, Step, When};
use friday::app::Shared;
use friday::clock::Clock;
use friday::digest::State;
use std::time::Duration;

/// How long a relay that failed is left alone.
const SHUNNED: Duration = Duration::from_secs(5 * 60);
const SECOND: Duration = Duration::from_secs(1);

/// Friday with these relays, at a time that is set.
fn by(house: &House, relays: &[String]) -> Shared {
    let all = relays.join(",");
    with_settings(house, &[("FRIDAY_SMTP_URL", &all)], house.app.db.clone(), Clock::fixed(NOW))
}

/// An issue goes out while the first relay of the settings is of no use: the second has it all.
async fn second_takes_all(house: &House, judge: &mut Judge, first: &Sink, url: String) {
    for all in ["DELETE FROM subscriptions", "DELETE FROM subscribers"] {
        house.app.db.write(all).execute().await.unwrap();
    }
    readers(house, MANY).await;
    judge.meet(house).await;
    let second = first.beside().await;
    let app = by(house, &[url, second.url(2)]);
    let id = started(&app).await;
    work(&app).await;
    let shown = judge.finds_all_served_once(&second, id).await;
    assert!(!shown.says("mail server"), "nothing was held up: {:?}", shown.log);
    assert_eq!((first.took(), second.took()), (0, MANY));
    assert!(first.met() <= 1, "asked {} times, where once tells all connections", first.met());
}

story!(while_the_first_relay_is_of_no_use_the_second_has_everything, async |house: House| {
    let mut judge = Judge::of(&house).await;
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = format!("smtp://{nowhere}?tls=none&connections=2");
    second_takes_all(&house, &mut judge, &Sink::start().await, nobody).await;

    let dead = Sink::start().await;
    dead.die();
    second_takes_all(&house, &mut judge, &dead, dead.url(2)).await;

    for (step, fault) in [
        (Step::Greeting, Fault::Drop),
        (Step::Greeting, Fault::Say("554 5.3.2 no service")),
        (Step::Greeting, Fault::Say("421 4.3.2 too busy")),
        (Step::Hello, Fault::Say("550 5.7.1 who are you?")),
    ] {
        let first = Sink::start().await;
        first.fail(step, When::Always, fault);
        second_takes_all(&house, &mut judge, &first, first.url(2)).await;
        assert_eq!(first.met(), 1, "it was asked");
    }
    let first = Sink::behind("friday", "open-sesame").await;
    second_takes_all(&house, &mut judge, &first, first.url_as("friday", "open-barley")).await;
    assert_eq!(first.met(), 1, "a wrong password was tried once");
    let first = Sink::start().await;
    second_takes_all(&house, &mut judge, &first, first.url_encrypted("smtp")).await;
    assert_eq!(first.met(), 1, "it was asked for the encryption that it does not offer");
});

story!(a_relay_that_greets_well_and_takes_no_mail_is_left_for_the_second, async |house: House| {
    let mut judge = Judge::of(&house).await;
    for step in [Step::Mail, Step::Rcpt, Step::Data, Step::Text, Step::Dot] {
        let faults = [Fault::Lose, Fault::Say("421 4.3.2 closing")];
        // In the middle of a text nobody says anything.
        for fault in faults.into_iter().take(if step == Step::Text { 1 } else { 2 }) {
            println!("{fault:?} at {step:?}");
            let first = Sink::start().await;
            let second = first.beside().await;
            first.fail(step, When::Always, fault);
            let app = by(&house, &[first.url(2), second.url(2)]);
            let scene = Scene::begin(&house, &mut judge, second, app).await;
            assert!(scene.sink.took() >= MANY - 2, "all but those over whom a connection broke have it at once");
            // Whose answer was lost has one more try, later than the five minutes: at the first relay again.
            first.heal();
            scene.play().await;
            judge.finds_all_served_once(&scene.sink, scene.id).await;
        }
    }
});

story!(a_relay_that_dies_in_the_middle_of_an_issue_leaves_the_rest_to_the_second, async |house: House| {
    let (many, lines) = (160, 4);
    for pipelining in [true, false] {
        for all in ["DELETE FROM subscriptions", "DELETE FROM subscribers"] {
            house.app.db.write(all).execute().await.unwrap();
        }
        readers(&house, many).await;
        let judge = Judge::of(&house).await;
        let first = Sink::start().await;
        let second = first.beside().await;
        for sink in [&first, &second] {
            sink.pipelining(pipelining);
            sink.slow(Duration::from_millis(5));
        }
        let app = by(&house, &[first.url(lines), second.url(lines)]);
        let id = started(&app).await;
        let death = async {
            first.wait_for(50).await;
            first.die();
        };
        tokio::join!(work(&app), death);
        judge.finds(&second, id, 0).await;
        // All but those over whom a connection broke have it without any wait.
        let had = first.by_recipient().len();
        assert!(had >= many - lines, "only {had} of {many} have it");
        while state(&app, id).await == State::Sending {
            app.clock.advance(Duration::from_secs(60));
            work(&app).await;
            assert!(app.clock.now().since(NOW) < Duration::from_secs(3600), "{:?}", run_of(&app, id).await);
        }
        let shown = judge.finds(&second, id, 0).await;
        assert_eq!((shown.word.as_str(), shown.accepted, shown.uncertain), ("Sent", many as i64, 0));
        assert_eq!(second.by_recipient().len(), many, "nobody is missing");
        assert!(second.doubled() <= lines, "{} doubled, {lines} connections", second.doubled());
        assert_eq!(first.took() + second.took(), many + second.doubled());
        assert!(second.took() >= many / 2, "the second took {}", second.took());
    }
});

story!(a_relay_that_failed_is_left_alone_for_five_minutes_and_then_is_the_first_again, async |house: House| {
    readers(&house, MANY).await;
    let judge = Judge::of(&house).await;
    let first = Sink::start().await;
    let second = first.beside().await;
    let app = by(&house, &[first.url(2), second.url(2)]);
    first.fail(Step::Greeting, When::Always, Fault::Say("421 4.3.2 too busy"));
    // An issue, and how many mails of it the first and the second have taken.
    let goes_out = async || {
        let before = (first.took(), second.took());
        let id = started(&app).await;
        work(&app).await;
        let shown = judge.finds(&second, id, 0).await;
        assert_eq!((shown.word.as_str(), shown.accepted), ("Sent", MANY as i64));
        (first.took() - before.0, second.took() - before.1)
    };
    assert_eq!(goes_out().await, (0, MANY));
    first.heal();
    app.clock.advance(SHUNNED - SECOND);
    assert_eq!(goes_out().await, (0, MANY), "nobody knows that it is well");
    assert_eq!(first.met(), 1, "it was not asked");
    app.clock.advance(SECOND);
    assert_eq!(goes_out().await, (MANY, 0), "it has its place back");
    // While the second fails as well, the one that failed before is asked for all that.
    first.die();
    assert_eq!(goes_out().await, (0, MANY));
    first.revive();
    second.die();
    assert_eq!(goes_out().await, (MANY, 0), "a relay that may be well is better than none");
});

story!(while_no_relay_is_of_use_everybody_waits, async |house: House| {
    readers(&house, MANY).await;
    let judge = Judge::of(&house).await;
    let first = Sink::start().await;
    let second = first.beside().await;
    let app = by(&house, &[first.url(2), second.url(2)]);
    first.die();
    second.die();
    let id = started(&app).await;
    work(&app).await;
    let shown = judge.finds(&second, id, 0).await;
    assert_eq!((shown.word.as_str(), shown.waiting), ("Going out", MANY as i64));
    assert!(shown.says("mail server"), "{:?}", shown.log);
    second.revive();
    work(&app).await;
    judge.finds_all_served_once(&second, id).await;
    assert_eq!((first.took(), second.took()), (0, MANY));
});
