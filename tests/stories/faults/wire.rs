//! The wire to the mail server: TLS that breaks after it has begun well, connections that are reset, and a server that is
//! silent.

use super::answers::{MANY, Scene};
use crate::house::{House, NOW, story};
use crate::judge::Judge;
use crate::sending::{on_terms, work};
use crate::smtp_sink::{Fault, Sink, Step, When, tls};
use friday::app::Shared;
use friday::clock::Clock;
use friday::mail::Terms;
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const STEPS: [Step; 7] = [Step::Greeting, Step::Hello, Step::Mail, Step::Rcpt, Step::Data, Step::Text, Step::Dot];
const LINES: usize = 3;

/// Friday by a server of this URL, on these terms.
fn by(house: &House, url: &str, terms: &Terms) -> Shared {
    on_terms(house, &[("FRIDAY_SMTP_URL", url)], house.app.db.clone(), Clock::fixed(NOW), terms)
}

/// What the stories' own certificate authority vouches for is believed.
fn believing() -> Terms {
    Terms { roots: tls::roots(), ..Terms::default() }
}

/// An issue goes out while the server does this, so many times; in the end everybody has it, nobody was called failed, and
/// only who was accepted without an answer has it twice.
async fn costs_nobody_anything(house: &House, judge: &mut Judge, sink: Sink, app: Shared, told: (Step, Fault, usize)) {
    let (step, fault, times) = told;
    sink.fail(step, When::Times(times), fault.clone());
    let scene = Scene::begin(house, judge, sink, app).await;
    let shown = judge.finds(&scene.sink, scene.id, 0).await;
    assert_eq!(shown.failed, 0, "{step:?} {fault:?}: {shown:?}");
    scene.play().await;
    let shown = judge.finds(&scene.sink, scene.id, 0).await;
    assert_eq!((shown.word.as_str(), shown.accepted, shown.uncertain), ("Sent", MANY as i64, 0), "{step:?} {fault:?}");
    assert_eq!(scene.sink.by_recipient().len(), MANY, "{step:?} {fault:?}");
    assert_eq!(scene.sink.doubled(), if step == Step::Dot { times } else { 0 }, "{step:?} {fault:?}");
}

story!(a_connection_that_is_reset_at_any_step_costs_no_reader_anything, async |house: House| {
    let sink = Sink::start().await;
    sink.fail(Step::Greeting, When::Always, Fault::Reset);
    let end = match TcpStream::connect(sink.address()).await {
        Ok(mut connection) => connection.read(&mut [0]).await.unwrap_err(),
        Err(at_once) => at_once,
    };
    assert_eq!(end.kind(), ErrorKind::ConnectionReset, "that is what the other side sees");

    let mut judge = Judge::of(&house).await;
    for pipelining in [true, false] {
        for step in STEPS {
            let sink = Sink::start().await;
            sink.pipelining(pipelining);
            let app = by(&house, &sink.url(LINES), &Terms::default());
            costs_nobody_anything(&house, &mut judge, sink, app, (step, Fault::Reset, 6)).await;
        }
    }
});

story!(a_connection_that_is_lost_under_tls_costs_no_reader_anything, async |house: House| {
    let mut judge = Judge::of(&house).await;
    for (implicit, scheme) in [(true, "smtps"), (false, "smtp")] {
        for fault in [Fault::Drop, Fault::Reset] {
            for step in STEPS {
                let sink = Sink::encrypted(implicit).await;
                let app = by(&house, &sink.url_encrypted(scheme), &believing());
                costs_nobody_anything(&house, &mut judge, sink, app, (step, fault.clone(), 4)).await;
            }
        }
    }
});

story!(a_certificate_that_nobody_vouches_for_is_not_believed, async |house: House| {
    let mut judge = Judge::of(&house).await;
    for (implicit, scheme) in [(true, "smtps"), (false, "smtp")] {
        let sink = Sink::encrypted(implicit).await;
        let app = by(&house, &sink.url_encrypted(scheme), &Terms::default());
        let scene = Scene::begin(&house, &mut judge, sink, app).await;
        let shown = judge.finds(&scene.sink, scene.id, 0).await;
        assert_eq!((shown.word.as_str(), shown.waiting), ("Going out", MANY as i64));
        assert!(shown.says("mail server"), "{:?}", shown.log);
        assert!(scene.sink.asked().is_empty(), "no address was said");
        let app = by(&house, &scene.sink.url_encrypted(scheme), &believing());
        work(&app).await;
        judge.finds_all_served_once(&scene.sink, scene.id).await;
    }
});

story!(a_server_that_falls_silent_at_any_step_costs_no_reader_anything, async |house: House| {
    // Minutes in production. A server in good health answers within a thousandth of this even on a busy machine.
    let limit = Duration::from_secs(2);
    let terms = Terms { connect: limit, step: limit, long: limit, ..Terms::default() };
    let mut judge = Judge::of(&house).await;
    for (step, pipelining) in
        STEPS.into_iter().map(|step| (step, true)).chain([(Step::Mail, false), (Step::Dot, false)])
    {
        let sink = Sink::start().await;
        sink.pipelining(pipelining);
        let app = by(&house, &sink.url(LINES), &terms);
        let times = if matches!(step, Step::Greeting | Step::Hello) { 1 } else { LINES - 1 };
        costs_nobody_anything(&house, &mut judge, sink, app, (step, Fault::Silence, times)).await;
    }
});
