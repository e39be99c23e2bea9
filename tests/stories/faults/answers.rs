//! A mail server that answers badly in the middle, at each step of a mail, with and without PIPELINING.

use super::long;
use crate::house::{House, NOW, story};
use crate::judge::Judge;
use crate::sending::{at_clock, readers, seed, started, state, work};
use crate::smtp_sink::{Fault, Sink, Step, When};
use friday::app::Shared;
use friday::clock::Clock;
use friday::delivery::outcome::{AFTER_UNCERTAIN, RETRY};
use friday::digest::State;
use std::time::Duration;

const STEPS: [Step; 4] = [Step::Mail, Step::Rcpt, Step::Data, Step::Dot];
pub(super) const MANY: usize = 20;
/// How often each fault happens.
const TIMES: usize = 6;

/// One fault of one server, in a house that has told others before.
pub(super) struct Scene {
    pub sink: Sink,
    pub app: Shared,
    pub id: i64,
}

impl Scene {
    async fn set(house: &House, judge: &mut Judge, pipelining: bool, step: Step, fault: &Fault) -> Scene {
        let sink = Sink::start().await;
        sink.pipelining(pipelining);
        sink.fail(step, When::Times(TIMES), fault.clone());
        let app = at_clock(house, &sink, 3, &[], Clock::fixed(NOW));
        Scene::begin(house, judge, sink, app).await
    }

    /// An issue goes out to twenty new readers.
    pub async fn begin(house: &House, judge: &mut Judge, sink: Sink, app: Shared) -> Scene {
        for all in ["DELETE FROM subscriptions", "DELETE FROM subscribers"] {
            house.app.db.write(all).execute().await.unwrap();
        }
        readers(house, MANY).await;
        judge.meet(house).await;
        let id = started(&app).await;
        work(&app).await;
        Scene { sink, app, id }
    }

    /// All but those over whom a connection broke have their turn.
    async fn rest(&self) {
        for _ in 0..3 {
            work(&self.app).await;
        }
    }

    /// Time passes until everybody has had their last try.
    pub async fn play(&self) {
        for _ in 0..40 {
            if state(&self.app, self.id).await != State::Sending {
                return;
            }
            self.app.clock.advance(Duration::from_secs(3 * 60));
            work(&self.app).await;
        }
        panic!("it never ends");
    }
}

/// Tells a scene for each step, with PIPELINING and without.
async fn at_each_step(house: &House, fault: Fault, told: impl AsyncFn(&Judge, &Scene, Step)) {
    let mut judge = Judge::of(house).await;
    for pipelining in [true, false] {
        for step in STEPS {
            println!("{fault:?} at {step:?}, pipelining {pipelining}");
            let scene = Scene::set(house, &mut judge, pipelining, step, &fault).await;
            told(&judge, &scene, step).await;
        }
    }
}

story!(who_is_refused_at_any_step_is_listed_with_the_reason_and_can_be_tried_again, async |house: House| {
    at_each_step(&house, Fault::Say("554 5.7.1 no"), async |judge: &Judge, scene: &Scene, _| {
        let shown = judge.finds(&scene.sink, scene.id, 0).await;
        assert_eq!((shown.word.as_str(), shown.accepted, shown.failed), ("Sent", 14, 6));
        assert_eq!(shown.reasons, [("5.7.1 refused by the receiver’s rules".to_owned(), 6)]);
        judge.press(scene.id, "retry").await;
        // The button was pressed at the house's time.
        work(&scene.app).await;
        judge.finds_all_served_once(&scene.sink, scene.id).await;
    })
    .await;
});

story!(who_is_put_off_at_any_step_gets_it_later, async |house: House| {
    at_each_step(&house, Fault::Say("451 4.3.0 later"), async |judge: &Judge, scene: &Scene, _| {
        let shown = judge.finds(&scene.sink, scene.id, 0).await;
        assert_eq!((shown.word.as_str(), shown.accepted, shown.deferred), ("Out, some are tried again", 14, 6));
        assert_eq!(shown.reasons, [("4.3.0 asked to come back later; tried again".to_owned(), 6)]);
        scene.play().await;
        judge.finds_all_served_once(&scene.sink, scene.id).await;
    })
    .await;
});

story!(a_connection_that_is_lost_at_any_step_costs_no_reader_anything, async |house: House| {
    for fault in [Fault::Drop, Fault::Say("421 4.3.2 closing"), Fault::Say("this is a web server")] {
        at_each_step(&house, fault.clone(), async |judge: &Judge, scene: &Scene, step| {
            let shown = judge.finds(&scene.sink, scene.id, 0).await;
            assert_eq!((shown.failed, shown.accepted + shown.deferred + shown.waiting), (0, MANY as i64));
            assert!(shown.deferred > 0, "{shown:?}");
            scene.play().await;
            let unknown = step == Step::Dot && matches!(fault, Fault::Drop);
            let shown = judge.finds(&scene.sink, scene.id, 0).await;
            assert_eq!((shown.word.as_str(), shown.accepted, shown.uncertain), ("Sent", MANY as i64, 0));
            // Accepted, and the answer lost: each of these a second time, and no more.
            assert_eq!(scene.sink.doubled(), if unknown { TIMES } else { 0 });
            assert_eq!(scene.sink.by_recipient().len(), MANY);
        })
        .await;
    }
});

story!(a_lost_answer_makes_one_further_copy_at_most_whatever_else_happens, async |house: House| {
    for pipelining in [true, false] {
        let mut judge = Judge::of(&house).await;
        let scene = Scene::set(&house, &mut judge, pipelining, Step::Dot, &Fault::Drop).await;
        scene.rest().await;
        let shown = judge.finds(&scene.sink, scene.id, 0).await;
        assert_eq!((shown.uncertain, shown.deferred, shown.failed), (6, 6, 0), "{shown:?}");
        let unsure = "The answer was lost after the last dot: they may have it; tried again";
        assert_eq!(shown.reasons, [(unsure.to_owned(), 6)]);
        // At their second try they are put off, then the connection breaks, then the answer is lost again.
        for (step, fault) in [(Step::Rcpt, Fault::Say("451 4.2.1 later")), (Step::Data, Fault::Drop)] {
            scene.sink.heal();
            scene.sink.fail(step, When::Always, fault);
            scene.app.clock.advance(RETRY[0] + AFTER_UNCERTAIN);
            work(&scene.app).await;
            let shown = judge.finds(&scene.sink, scene.id, 0).await;
            assert_eq!((shown.uncertain, shown.deferred, shown.failed), (6, 6, 0), "they may still have it: {shown:?}");
        }
        scene.sink.heal();
        scene.sink.fail(Step::Dot, When::Always, Fault::Drop);
        scene.play().await;
        let shown = judge.finds(&scene.sink, scene.id, 0).await;
        assert_eq!((shown.word.as_str(), shown.accepted, shown.failed, shown.uncertain), ("Sent", 14, 6, 6));
        assert_eq!(scene.sink.by_recipient().values().max(), Some(&2), "not a third time");
        assert_eq!((scene.sink.by_recipient().len(), scene.sink.doubled()), (MANY, 6));
    }
});

story!(who_may_have_it_and_is_then_refused_is_still_called_uncertain, async |house: House| {
    let mut judge = Judge::of(&house).await;
    let scene = Scene::set(&house, &mut judge, true, Step::Dot, &Fault::Drop).await;
    scene.rest().await;
    scene.sink.heal();
    scene.sink.fail(Step::Rcpt, When::Always, Fault::Say("550 5.7.1 no"));
    scene.app.clock.advance(2 * AFTER_UNCERTAIN);
    work(&scene.app).await;
    let shown = judge.finds(&scene.sink, scene.id, 0).await;
    assert_eq!((shown.accepted, shown.failed, shown.uncertain), (14, 6, 6));
    scene.sink.heal();
    judge.press(scene.id, "retry").await;
    work(&scene.app).await;
    let shown = judge.finds(&scene.sink, scene.id, 0).await;
    assert_eq!((shown.word.as_str(), shown.accepted, shown.uncertain), ("Sent", MANY as i64, 0));
});

story!(a_server_that_puts_everybody_off_for_an_hour_is_asked_along_the_schedule, async |house: House| {
    let many = 160;
    let sink = Sink::start().await;
    let clock = Clock::fixed(NOW);
    let app = at_clock(&house, &sink, 4, &[], clock.clone());
    readers(&house, many).await;
    let judge = Judge::of(&house).await;
    sink.fail(Step::Rcpt, When::After(100), Fault::Say("451 4.7.0 try again later"));
    let id = started(&app).await;
    work(&app).await;
    let had = sink.by_recipient();
    // A connection that was behind its RCPT when the hundredth was accepted may still have got through.
    assert!((100..=104).contains(&had.len()), "{}", had.len());
    for _ in 0..60 {
        clock.advance(Duration::from_secs(60));
        work(&app).await;
    }
    let shown = judge.finds(&sink, id, 0).await;
    let waits = (many - had.len()) as i64;
    assert_eq!((shown.word.as_str(), shown.deferred, shown.failed), ("Out, some are tried again", waits, 0));
    assert_eq!(shown.reasons, [("4.7.0 held back by the receiver’s rules; tried again".to_owned(), waits)]);
    assert_eq!(sink.by_recipient(), had, "nobody got it in this hour");
    // At once, after 5 minutes, after 15 more, and after 30 more; each up to a tenth later, and seen at a full minute.
    for (reader, tries) in sink.asked().iter().filter(|(reader, _)| !had.contains_key(*reader)) {
        assert_eq!(*tries, 4, "{reader}");
    }
    sink.heal();
    clock.advance(RETRY[3] + RETRY[3] / 10);
    work(&app).await;
    judge.finds_all_served_once(&sink, id).await;
});

story!(one_address_that_always_fails_keeps_nobody_else_from_getting_it, async |house: House| {
    let mut judge = Judge::of(&house).await;
    for pipelining in [true, false] {
        for (step, fault, reason) in [
            (Step::Rcpt, Fault::Say("550 5.7.1 no"), "5.7.1 refused by the receiver’s rules"),
            (Step::Data, Fault::Drop, "The connection broke each time"),
            (Step::Dot, Fault::Drop, "The answer was lost after the last dot: they may have it"),
            (Step::Dot, Fault::Lose, "The answer was lost after the last dot: they may have it"),
        ] {
            one_fails(&house, &mut judge, pipelining, step, &fault, reason).await;
        }
    }
});

async fn one_fails(house: &House, judge: &mut Judge, pipelining: bool, step: Step, fault: &Fault, reason: &str) {
    for all in ["DELETE FROM subscriptions", "DELETE FROM subscribers"] {
        house.app.db.write(all).execute().await.unwrap();
    }
    readers(house, MANY).await;
    judge.meet(house).await;
    let sink = Sink::start().await;
    sink.pipelining(pipelining);
    sink.fail(step, When::For("reader-0@"), fault.clone());
    // One connection: whatever it does to this one, it does to all.
    let app = at_clock(house, &sink, 1, &[], Clock::fixed(NOW));
    let id = started(&app).await;
    for _ in 0..4 {
        work(&app).await;
    }
    let others = sink.by_recipient().into_iter().filter(|(reader, _)| !reader.starts_with("reader-0@")).count();
    assert_eq!(others, MANY - 1, "all others have it at once: {step:?} {fault:?}");
    judge.finds(&sink, id, 0).await;
    let mut hours = 0;
    while state(&app, id).await == State::Sending {
        app.clock.advance(Duration::from_secs(3600));
        work(&app).await;
        hours += 1;
        assert!(hours < 100);
    }
    let shown = judge.finds(&sink, id, 0).await;
    assert_eq!((shown.word.as_str(), shown.accepted, shown.failed), ("Sent", MANY as i64 - 1, 1));
    assert_eq!(shown.reasons, [(reason.to_owned(), 1)], "{step:?} {fault:?}");
    let accepted_unheard = usize::from(step == Step::Dot && matches!(fault, Fault::Drop));
    assert_eq!(sink.doubled(), accepted_unheard);
    sink.heal();
    judge.press(id, "retry").await;
    work(&app).await;
    let shown = judge.finds(&sink, id, 0).await;
    assert_eq!((shown.word.as_str(), shown.accepted, shown.failed), ("Sent", MANY as i64, 0));
    assert_eq!(sink.by_recipient().len(), MANY);
}

story!(a_server_that_answers_octet_by_octet_holds_up_only_its_own, async |house: House| {
    let pause = Duration::from_millis(if long() { 1_000 } else { 25 });
    for pipelining in [true, false] {
        for all in ["DELETE FROM subscriptions", "DELETE FROM subscribers"] {
            house.app.db.write(all).execute().await.unwrap();
        }
        let sink = Sink::start().await;
        sink.pipelining(pipelining);
        // One receiving domain's answers come octet by octet, so that each takes a third of a second and a mail one. The
        // minute that Friday gives a step is not scaled with it: told at length, an answer takes a quarter of that.
        for step in [Step::Rcpt, Step::Data, Step::Dot] {
            sink.fail(step, When::For("@slow.example"), Fault::Drip(pause));
        }
        let app = at_clock(&house, &sink, 4, &[], Clock::system());
        let slow = (0..2).map(|n| format!("r{n}@slow.example"));
        let others = (0..60).map(|n| format!("r{n}@quick.example"));
        seed(&house, &slow.chain(others).collect::<Vec<_>>()).await;
        let judge = Judge::of(&house).await;
        let id = started(&app).await;
        work(&app).await;
        judge.finds_all_served_once(&sink, id).await;
        let heard =
            |domain: &str| sink.accepted().iter().filter(|m| m.to.contains(domain)).map(|m| m.at).max().unwrap();
        assert!(heard("@quick") < heard("@slow"), "the others did not wait");
    }
});
