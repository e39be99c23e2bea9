//! A mail server that cannot be used at all from the start.

use crate::house::{House, NOW, story};
use crate::judge::Judge;
use crate::sending::{readers, started, with_settings, work};
use crate::smtp_sink::{Fault, Sink, Step, When};
use friday::app::Shared;
use friday::clock::Clock;
use std::time::Duration;

/// Friday with the first settings of a mail server gets nowhere, and says why; with the second it sends to everybody.
async fn waits_until_mended(house: &House, judge: &mut Judge, sink: &Sink, (broken, why): (&str, &str), mended: &str) {
    for all in ["DELETE FROM subscriptions", "DELETE FROM subscribers"] {
        house.app.db.write(all).execute().await.unwrap();
    }
    readers(house, 12).await;
    judge.meet(house).await;
    let clock = Clock::fixed(NOW);
    let by = |url: &str| -> Shared {
        with_settings(house, &[("FRIDAY_SMTP_URL", url)], house.app.db.clone(), clock.clone())
    };
    let app = by(broken);
    let id = started(&app).await;
    for _ in 0..4 {
        work(&app).await;
        clock.advance(Duration::from_secs(600));
    }
    assert_eq!(sink.count(), 0, "{broken}");
    let shown = judge.finds(sink, id, 0).await;
    assert_eq!((shown.word.as_str(), shown.waiting, shown.failed, shown.deferred), ("Going out", 12, 0, 0), "{broken}");
    assert!(shown.says("The mail server 127.0.0.1:") && shown.says(why), "{broken}: {:?}", shown.log);
    assert!(shown.log.len() <= 3, "said once: {:?}", shown.log);
    sink.heal();
    work(&by(mended)).await;
    let back =
        "SELECT COUNT(*) FROM delivery_events WHERE issue_id = $1 AND what = 'The mail server takes mails again'";
    assert_eq!(house.db().read(back).bind(id).one::<(i64,)>().await.unwrap(), (1,), "and that it is back");
    judge.finds_all_served_once(sink, id).await;
}

story!(a_mail_server_that_cannot_be_used_keeps_everybody_waiting_and_staff_see_it, async |house: House| {
    let mut judge = Judge::of(&house).await;
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sink = Sink::start().await;
    let nobody = format!("smtp://{nowhere}?tls=none&connections=2");
    waits_until_mended(&house, &mut judge, &sink, (&nobody, "cannot be reached"), &sink.url(2)).await;

    for (step, fault) in [
        (Step::Greeting, Fault::Drop),
        (Step::Greeting, Fault::Say("554 5.3.2 no service")),
        (Step::Greeting, Fault::Say("421 4.3.2 too busy")),
        (Step::Greeting, Fault::Say("this is a web server")),
        (Step::Hello, Fault::Say("550 5.7.1 who are you?")),
        (Step::Hello, Fault::Drop),
    ] {
        let sink = Sink::start().await;
        sink.fail(step, When::Always, fault);
        let broken = (&*sink.url(2), "refuses us at the greeting");
        waits_until_mended(&house, &mut judge, &sink, broken, &sink.url(2)).await;
    }
});

story!(without_the_encryption_or_the_password_asked_for_nothing_goes_out, async |house: House| {
    let mut judge = Judge::of(&house).await;
    // STARTTLS and then not TLS; no STARTTLS where it is required; a plain server on a port for TLS.
    for (sink, scheme, why) in [
        (Sink::with_broken_tls().await, "smtp", "refuses us at STARTTLS"),
        (Sink::start().await, "smtp", "refuses us at STARTTLS"),
        (Sink::start().await, "smtps", "refuses us at TLS"),
    ] {
        let broken = (&*sink.url_encrypted(scheme), why);
        waits_until_mended(&house, &mut judge, &sink, broken, &sink.url(2)).await;
    }
    let sink = Sink::behind("friday", "open-sesame").await;
    let wrong = sink.url_as("friday", "open-barley");
    let why = "refuses us at signing in";
    waits_until_mended(&house, &mut judge, &sink, (&wrong, why), &right_of(&sink)).await;
    let sink = Sink::behind("friday", "open-sesame").await;
    sink.fail(Step::Auth, When::Always, Fault::Say("454 4.7.0 not now"));
    waits_until_mended(&house, &mut judge, &sink, (&right_of(&sink), why), &right_of(&sink)).await;
});

fn right_of(sink: &Sink) -> String {
    sink.url_as("friday", "open-sesame")
}
