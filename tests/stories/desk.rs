//! The delivery page around a send: what staff see before it and after it, and what they are told.

use crate::house::{House, Mail, story};
use crate::smtp_sink::{Fault, Sink, Step, When};
use friday::address::Address;
use friday::app::{App, Shared};
use friday::clock::{DAY, Moment};
use friday::config::Config;
use friday::db;
use friday::delivery::acts;
use friday::delivery::{outcome, send, task};
use friday::digest::{self, State};
use friday::keys::{Drawer, Keys};
use friday::mail::Mailer;
use friday::staff::{Actor, Role};
use std::collections::BTreeMap;
use std::time::Duration;

const WEEKLY: &str = "weekly";

/// The same house, but its issues go out through this sink. The house itself still writes to its mailbox.
fn through(house: &House, sink: &Sink) -> Shared {
    let environment = BTreeMap::from([("FRIDAY_SMTP_URL".to_owned(), sink.url(2))]);
    let read = Config::from_sources(environment, None).unwrap();
    let config = Config { smtp: read.smtp, ..house.app.config.clone() };
    let keys = Keys::open_or_create(&house.app.config.key_file).unwrap();
    let mailer = Mailer::from_config(&config, &house.app.clock);
    App::assemble(config, house.app.db.clone(), keys, mailer, house.app.clock.clone())
}

/// Readers of the weekly digest: `reader-0@…`, with an edition and a language each, where they chose one.
async fn readers(house: &House, count: usize, edition: &'static str, language: Option<&'static str>) {
    let mut tx = house.app.db.begin().await.unwrap();
    for n in 0..count {
        let address = format!("reader-{n}-{edition}-{}@example.org", language.unwrap_or("own"));
        let (id, address) = (db::new_id(), Address::parse(&address).unwrap());
        tx.query(
            "INSERT INTO subscribers (id, address_sealed, address_index, edition, language, discreet, no_asks)
             VALUES ($1, $2, $3, $4, $5, FALSE, FALSE)",
        )
        .bind(id)
        .bind(house.app.keys.seal(Drawer::Subscribers, &id.to_be_bytes(), address.as_str().as_bytes()))
        .bind(house.app.keys.index(Drawer::Subscribers, &address))
        .bind(edition)
        .bind(language)
        .execute()
        .await
        .unwrap();
        tx.query(
            "INSERT INTO subscriptions (subscriber_id, newsletter, consent_id, consent_week) VALUES ($1, $2, NULL, 0)",
        )
        .bind(id)
        .bind(WEEKLY)
        .execute()
        .await
        .unwrap();
    }
    tx.commit().await.unwrap();
}

/// A draft with an introduction.
async fn draft(house: &House, subject: &str, introduction: &str) -> i64 {
    let (app, now) = (&house.app, house.app.clock.now());
    let mut tx = app.db.begin().await.unwrap();
    let id = digest::store::create(&mut tx, now, WEEKLY, subject).await.unwrap();
    let (seen,): (Moment,) = tx.query("SELECT changed_at FROM issues WHERE id = $1").bind(id).one().await.unwrap();
    let draft = digest::Draft {
        subject: subject.to_owned(),
        introduction: introduction.to_owned(),
        ..digest::Draft::default()
    };
    digest::store::save(&mut tx, now, id, seen, &draft).await.unwrap();
    tx.commit().await.unwrap();
    id
}

/// An issue that has begun to go out.
async fn started(house: &House) -> i64 {
    let id = draft(house, "Budapest, again", "Good morning.").await;
    acts::send(&house.app, Actor::Cli, id, None, Duration::ZERO).await.unwrap();
    id
}

/// Runs the room's tasks until none finds work.
async fn work(app: &Shared) {
    loop {
        let clock = task::clock(app).await.unwrap();
        let sent = send::run(app).await.unwrap();
        if !clock && !sent {
            return;
        }
    }
}

/// What staff were told about issues, the oldest first.
async fn told(house: &House) -> Vec<Mail> {
    while friday::mail::outbox::step(&house.app.outbox_hand()).await.unwrap() {}
    house.mails().into_iter().filter(|mail| mail.subject.starts_with("Friday: ")).collect()
}

async fn state(house: &House, id: i64) -> State {
    digest::store::issue(&house.app.db, id).await.unwrap().unwrap().state
}

story!(who_may_send_is_told_once_that_an_issue_is_out_with_numbers_and_without_a_name, async |house: House| {
    let sink = Sink::start().await;
    let app = through(&house, &sink);
    for role in Role::ALL {
        house.staff(role).await;
    }
    readers(&house, 20, "links", None).await;
    sink.fail(Step::Rcpt, When::For("reader-3-"), Fault::Say("550 5.1.1 <reader-3-links-own@example.org> unknown"));
    let id = started(&house).await;
    work(&app).await;
    work(&app).await;
    assert_eq!(state(&house, id).await, State::Sent);

    let mails = told(&house).await;
    let mut to: Vec<&str> = mails.iter().map(|mail| mail.to.split('-').next().unwrap()).collect();
    to.sort_unstable();
    assert_eq!(to, ["admin", "publisher"], "one mail each, and none to who may not send");
    for mail in &mails {
        assert_eq!(mail.subject, "Friday: The Friday digest, No. 1 is out, 19 of 20 accepted");
        for said in ["“Budapest, again”", "20 readers:", "19 accepted", "1 failed", "Begun Thursday, 26 November 2026"]
        {
            assert!(mail.text.contains(said), "{said} in {}", mail.text);
        }
        assert!(mail.text.contains(&format!("http://localhost:8080/staff/issues/{id}/delivery")));
        assert!(mail.html.is_empty() || !mail.html.contains("<a"), "plain");
        assert!(!String::from_utf8_lossy(&mail.raw).contains("reader-"), "no reader is named");
        assert_eq!(mail.header("Auto-Submitted"), Some("auto-generated"));
    }
    // The page that the mail leads to is there.
    let page = house.staff(Role::Publisher).await.get(&mails[0].link("/staff/issues/")).await;
    assert_eq!(page.status, 200);
});

story!(an_issue_is_out_when_everybody_was_tried_and_its_end_is_told_only_if_others_failed, async |house: House| {
    let sink = Sink::start().await;
    let app = through(&house, &sink);
    house.staff(Role::Publisher).await;
    readers(&house, 12, "links", None).await;
    for reader in ["reader-1-", "reader-2-"] {
        sink.fail(Step::Rcpt, When::For(reader), Fault::Say("452 4.2.2 full"));
    }
    let id = started(&house).await;
    work(&app).await;
    let mails = told(&house).await;
    assert_eq!(mails.len(), 1, "out, though two are tried again");
    assert!(mails[0].text.contains("2 put off by their servers"), "{}", mails[0].text);

    // Both are given up after two days: that is news.
    for _ in 0..40 {
        house.clock().advance(Duration::from_secs(5 * 3600));
        work(&app).await;
    }
    assert_eq!(state(&house, id).await, State::Sent);
    let mails = told(&house).await;
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[1].subject, "Friday: The Friday digest, No. 1 has ended, 10 of 12 accepted");
    assert!(mails[1].text.contains("2 failed") && mails[1].text.contains("the last was settled"), "{}", mails[1].text);

    // A retry that changes nothing is no news; one that does is.
    sink.heal();
    sink.fail(Step::Rcpt, When::Always, Fault::Say("550 5.7.1 no"));
    acts::retry(&house.app, Actor::Cli, id).await.unwrap();
    work(&app).await;
    assert_eq!(told(&house).await.len(), 2, "two failed, as was said");
    sink.heal();
    acts::retry(&house.app, Actor::Cli, id).await.unwrap();
    work(&app).await;
    let mails = told(&house).await;
    assert_eq!(mails.len(), 3);
    assert_eq!(mails[2].subject, "Friday: The Friday digest, No. 1 has ended, 12 of 12 accepted");
});

story!(whoever_was_put_off_and_accepted_in_the_end_is_no_news, async |house: House| {
    let sink = Sink::start().await;
    let app = through(&house, &sink);
    house.staff(Role::Admin).await;
    readers(&house, 3, "links", None).await;
    sink.fail(Step::Rcpt, When::For("reader-1-"), Fault::Say("450 4.2.0 greylisted"));
    let id = started(&house).await;
    work(&app).await;
    sink.heal();
    house.clock().advance(2 * outcome::RETRY[0]);
    work(&app).await;
    assert_eq!((state(&house, id).await, told(&house).await.len()), (State::Sent, 1));
});

story!(staff_are_told_when_friday_pauses_or_holds_an_issue_and_not_when_they_do_it, async |house: House| {
    let sink = Sink::start().await;
    let app = through(&house, &sink);
    house.staff(Role::Publisher).await;
    readers(&house, 60, "links", None).await;
    sink.fail(Step::Mail, When::Always, Fault::Say("530 5.7.0 authentication required"));
    let id = started(&house).await;
    work(&app).await;
    assert_eq!(state(&house, id).await, State::Paused);
    let mails = told(&house).await;
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].subject, "Friday: The Friday digest, No. 1 is paused and waits for you");
    assert!(mails[0].text.contains("refused 25 readers in a row"), "{}", mails[0].text);
    acts::resume(&house.app, Actor::Cli, id).await.unwrap();
    acts::pause(&house.app, Actor::Cli, id).await.unwrap();
    assert_eq!(told(&house).await.len(), 1, "who presses a button knows it");
    acts::cancel(&house.app, Actor::Cli, id).await.unwrap();

    let late = draft(&house, "Late", "Good evening.").await;
    acts::schedule(&house.app, Actor::Cli, late, "next").await.unwrap();
    house.clock().advance(3 * DAY);
    work(&app).await;
    assert_eq!(state(&house, late).await, State::Held);
    let mails = told(&house).await;
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[1].subject, "Friday: An issue of The Friday digest is held and waits for you");
    assert!(mails[1].text.contains("Nobody has got it"), "{}", mails[1].text);
});

story!(the_report_of_a_sent_issue_has_its_numbers_its_log_and_who_failed_by_id, async |house: House| {
    let sink = Sink::start().await;
    let app = through(&house, &sink);
    readers(&house, 30, "links", None).await;
    sink.fail(Step::Rcpt, When::For("reader-3-"), Fault::Say("550 5.1.1 unknown"));
    let id = started(&house).await;
    task::clock(&app).await.unwrap();
    send::run(&app).await.unwrap();
    house.clock().advance(Duration::from_secs(10));
    work(&app).await;

    let editor = house.staff(Role::Editor).await;
    let report = editor.get(&format!("/staff/issues/{id}/delivery")).await.body;
    for said in [
        "<dt>Readers</dt><dd>30</dd>",
        "<dt>Accepted</dt><dd>29</dd>",
        "<dt>Failed</dt><dd>1</dd>",
        "<dt>Uncertain</dt><dd>0</dd>",
        "<dt>Left meanwhile</dt><dd>0</dd>",
        "<dt>Took</dt><dd>10 s</dd>",
        "<dt>Rate</dt><dd>3.0 /s</dd>",
        "5.1.1 no such mailbox; will not be written to again",
        "example.org",
        "No. 1 frozen",
        "Done",
    ] {
        assert!(report.contains(said), "{said} in {report}");
    }
    assert!(!report.contains("reader-") && !report.contains("live.js"), "a report stands still");
    assert!(!report.contains("/failed\""), "who failed is for who may try again");
    assert_eq!(editor.get(&format!("/staff/issues/{id}/failed")).await.status, 403);

    let publisher = house.staff(Role::Publisher).await;
    let report = publisher.get(&format!("/staff/issues/{id}/delivery")).await.body;
    assert!(report.contains(&format!("/staff/issues/{id}/failed\"")) && report.contains("Try the failed again"));
    let (who,): (i64,) =
        house.db().read("SELECT subscriber_id FROM deliveries WHERE state = 'failed'").one().await.unwrap();
    let list = publisher.get(&format!("/staff/issues/{id}/failed")).await.body;
    assert!(list.contains(&who.to_string()) && list.contains("no such mailbox"), "{list}");
    assert!(!list.contains("reader-"), "an id, and no address");
    let further = publisher.get(&format!("/staff/issues/{id}/failed?after={who}")).await.body;
    assert!(further.contains("Nobody else."), "{further}");
    assert_eq!(publisher.get("/staff/issues/999/failed").await.status, 404);

    // Six weeks later the counts are still there, and no reader.
    house.clock().advance(43 * DAY);
    work(&app).await;
    let publisher = house.staff(Role::Publisher).await;
    let report = publisher.get(&format!("/staff/issues/{id}/delivery")).await.body;
    assert!(report.contains("<dt>Accepted</dt><dd>29</dd>") && report.contains("Forgotten"), "{report}");
});
