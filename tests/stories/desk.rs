//! The delivery page around a send: what staff see before it and after it, and what they are told.

use crate::house::{House, Mail, story};
use crate::smtp_sink::{Fault, Sink, Step, When};
use friday::address::Address;
use friday::app::{App, Shared};
use friday::clock::{DAY, Moment};
use friday::config::Config;
use friday::db;
use friday::delivery::acts;
use friday::delivery::checklist::{self, Checklist};
use friday::delivery::{outcome, send, store, task};
use friday::digest::{self, State};
use friday::finding::{Finding, State as Is};
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

/// A site on this machine whose pages answer each in its own way. Its address.
async fn site() -> String {
    use axum::http::StatusCode;
    use axum::routing::{any, get};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new()
        .route("/good", get(|| async { "here" }))
        .route("/gone", any(|| async { StatusCode::NOT_FOUND }))
        .route("/guarded", any(|| async { StatusCode::FORBIDDEN }))
        // A host that knows no HEAD.
        .route("/old", get(|| async { "here" }).head(|| async { StatusCode::NOT_IMPLEMENTED }))
        .fallback(|| async { "a page of Friday itself" });
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn line<'a>(list: &'a Checklist, about: &str) -> &'a Finding {
    list.findings.iter().find(|finding| finding.about == about).unwrap_or_else(|| panic!("no {about} in {list:?}"))
}

/// A house whose own pages are on that site, so that its links answer, and which may ask it.
fn at_site(house: House, site: &str) -> House {
    let base_url = site.to_owned();
    house.with(|config| {
        config.base_url = base_url;
        config.fetch_private = true;
        config.newsroom.postal_address = "1 Mill Lane".to_owned();
    })
}

story!(the_checklist_says_which_links_answer_and_which_do_not, async |house: House| {
    let site = site().await;
    let house = at_site(house, &site);
    let text = format!("[a]({site}/good) [b]({site}/gone) [c]({site}/guarded) [d]({site}/old) [a]({site}/good#here)");
    let id = draft(&house, "Budapest, again", &text).await;
    let list = checklist::whole(&house.app, id).await.unwrap();
    let state = |page: &str| {
        let found: Vec<_> = list.links.iter().filter(|link| link.url == format!("{site}{page}")).collect();
        assert_eq!(found.len(), 1, "{page}, once: {:?}", list.links);
        (found[0].state, found[0].says.clone())
    };
    assert_eq!(state("/good"), (Is::Ok, "It answers, 200.".to_owned()));
    assert_eq!(state("/old").0, Is::Ok, "asked again as a browser asks");
    assert_eq!(state("/guarded").0, Is::Warn, "who turns a program away may let a reader in");
    assert_eq!(state("/gone"), (Is::Bad, "The host answers with an error, 404 Not Found.".to_owned()));
    let says = line(&list, "links");
    assert!(says.state == Is::Bad && says.says.starts_with("1 of "), "{says:?}");
    assert!(!list.links.iter().any(|link| link.url.contains("/issues/1")), "its own page comes with the send");

    // A link that leads into a private network is not asked.
    let house = house.with(|config| config.fetch_private = false);
    let list = checklist::whole(&house.app, id).await.unwrap();
    let private = |page: &str| list.links.iter().find(|link| link.url.ends_with(page)).unwrap().clone();
    assert!(private("/gone").says.contains("only this machine can reach"), "{:?}", private("/gone"));
});

story!(links_are_looked_at_beside_the_page_and_no_process_claims_what_it_did_not_look_at, async |house: House| {
    let site = site().await;
    let house = at_site(house, &site);
    let id = draft(&house, "Budapest, again", &format!("[b]({site}/gone)")).await;
    let page = format!("/staff/issues/{id}/delivery");
    let editor = house.staff(Role::Editor).await;
    let before = editor.get(&page).await.body;
    assert!(before.contains("links was looked at.") && before.contains("Look at links and records"), "{before}");
    assert!(!before.contains("live.js"), "nothing changes by itself");
    // A second press while the first goes on changes nothing.
    for _ in 0..2 {
        let pressed = editor.post(&format!("/staff/issues/{id}/check"), &[]).await;
        assert_eq!((pressed.status, pressed.location()), (303, format!("{page}#checklist").as_str()));
    }
    while house.app.probes.found(id).running.is_some() {
        tokio::task::yield_now().await;
    }
    let after = editor.get(&page).await.body;
    assert!(after.contains("404 Not Found") && after.contains("Looked at 09:00:00"), "{after}");
    assert!(after.contains("1 bad"), "the form that sends says so: {after}");

    // A link that came in later was not looked at.
    let (seen,): (Moment,) =
        house.db().read("SELECT changed_at FROM issues WHERE id = $1").bind(id).one().await.unwrap();
    let mut tx = house.app.db.begin().await.unwrap();
    let draft = digest::Draft {
        subject: "Another".to_owned(),
        introduction: format!("[x]({site}/later)"),
        ..Default::default()
    };
    digest::store::save(&mut tx, house.clock().now(), id, seen, &draft).await.unwrap();
    tx.commit().await.unwrap();
    let page = editor.get(&page).await.body;
    assert!(page.contains("was not looked at yet") && !page.contains("404 Not Found"), "{page}");

    // Another process has not looked at all.
    let other = house.with(|_| {});
    let list = checklist::with_found(&other.app, &checklist::quick(&other.app, id).await.unwrap(), id);
    assert!(line(&list, "links").says.starts_with("None of ") && list.at.is_none(), "{list:?}");
    // And what is half a day old is old news.
    checklist::whole(&other.app, id).await.unwrap();
    other.clock().advance(Duration::from_secs(13 * 3600));
    let list = checklist::with_found(&other.app, &checklist::quick(&other.app, id).await.unwrap(), id);
    assert!(line(&list, "links").says.contains("more than twelve hours ago"), "{list:?}");
});

story!(the_checklist_reads_subject_size_and_what_was_left_in, async |house: House| {
    let about = async |subject: &str, text: &str, what: &str| {
        let id = draft(&house, subject, text).await;
        let quick = checklist::quick(&house.app, id).await.unwrap();
        let list = checklist::with_found(&house.app, &quick, id);
        list.findings.into_iter().find(|finding| finding.about == what)
    };
    let subject = async |subject: &str| about(subject, "Good morning.", "subject").await.unwrap().state;
    assert_eq!(subject("Budapest, again").await, Is::Ok);
    for bad in ["Test", " [TEST] ", "Черновик", "Hello {{ name }}"] {
        assert_eq!(subject(bad).await, Is::Bad, "{bad}");
    }
    for warn in ["", "A test of the week", &"A long subject ".repeat(6)] {
        assert_eq!(subject(warn).await, Is::Warn, "{warn}");
    }
    let left = about("A", "Dear *|FNAME|*", "text").await.unwrap();
    assert!(left.state == Is::Warn && left.says.contains("*|"), "{left:?}");
    assert_eq!(about("A", "Dear reader", "text").await, None);
    assert_eq!(about("A", "Short.", "size").await.unwrap().state, Is::Ok);
    assert_eq!(about("A", &"Ninety-five thousand. ".repeat(95_000 / 22 - 400), "size").await.unwrap().state, Is::Warn);
    assert_eq!(about("A", &"A hundred and ten thousand. ".repeat(110_000 / 28), "size").await.unwrap().state, Is::Bad);
    for fine in ["pictures", "text part"] {
        assert_eq!(about("A", "Good morning.", fine).await.unwrap().state, Is::Ok);
    }
    assert_eq!(about("A", "", "content").await.unwrap().state, Is::Bad, "there is nothing in it");
});

story!(the_checklist_opens_a_sample_link_to_leave_and_wants_https_for_one_click, async |house: House| {
    let id = draft(&house, "Budapest, again", "Good morning.").await;
    let leaving = async |house: &House| {
        let quick = checklist::quick(&house.app, id).await.unwrap();
        line(&checklist::with_found(&house.app, &quick, id), "unsubscribe").clone()
    };
    let here = leaving(&house).await;
    assert!(here.state == Is::Warn && here.says.contains("http://localhost:8080"), "{here:?}");
    let house = house.with(|config| config.base_url = "https://friday.example".to_owned());
    assert_eq!(leaving(&house).await.state, Is::Ok);
    assert_eq!(house.count("SELECT COUNT(*) FROM suppressions").await, 0, "nobody left by that");
});

story!(the_checklist_names_articles_that_readers_had_and_the_issue_they_were_in, async |house: House| {
    let now = house.clock().now();
    let article = crate::digest::articles(&house.app, &[("News", "The bridge is open")]).await[0];
    readers(&house, 1, "links", None).await;
    let mut ids = Vec::new();
    for subject in ["First", "Second"] {
        let id = draft(&house, subject, "Good morning.").await;
        let mut tx = house.app.db.begin().await.unwrap();
        digest::store::add(&mut tx, now, id, &[article], None).await.unwrap();
        tx.commit().await.unwrap();
        ids.push(id);
    }
    acts::send(&house.app, Actor::Cli, ids[0], None, Duration::ZERO).await.unwrap();
    let quick = checklist::quick(&house.app, ids[1]).await.unwrap();
    let list = checklist::with_found(&house.app, &quick, ids[1]);
    let repeated = line(&list, "repeated");
    assert_eq!(repeated.says, "Readers had these before: “The bridge is open” in No. 1.");
    let sent = checklist::whole(&house.app, ids[0]).await.unwrap_err();
    assert!(sent.to_string().contains("has not gone out"), "{sent}");
});

story!(a_test_goes_out_in_every_edition_and_language_that_readers_chose, async |house: House| {
    readers(&house, 2, "links", None).await;
    readers(&house, 1, "full", Some("ru")).await;
    let id = draft(&house, "Budapest, again", "Good morning.").await;
    let publisher = house.staff(Role::Publisher).await;
    let tested = async || {
        let quick = checklist::quick(&house.app, id).await.unwrap();
        line(&checklist::with_found(&house.app, &quick, id), "test").clone()
    };
    assert_eq!(tested().await.says, "No test was sent.");
    let sent = publisher.post(&format!("/staff/issues/{id}/test"), &[("to", "desk@paper.example")]).await;
    assert_eq!(sent.location(), format!("/staff/issues/{id}/delivery?said=tested&n=2"));
    let mails = house.mails_to("desk@paper.example").await;
    let mut subjects: Vec<&str> = mails.iter().map(|mail| mail.subject.as_str()).collect();
    subjects.sort_unstable();
    assert_eq!(
        subjects,
        ["[Test] Budapest, again (headlines and links, English)", "[Test] Budapest, again (полный текст, Русский)"]
    );
    assert_eq!(tested().await.state, Is::Ok);
    // The time of the send is nothing that a test shows; the text is.
    acts::schedule(&house.app, Actor::Cli, id, "next").await.unwrap();
    assert_eq!(tested().await.state, Is::Ok);
    let mut tx = house.app.db.begin().await.unwrap();
    digest::store::add(&mut tx, house.clock().now(), id, &[], None).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(tested().await.says, "The issue was changed since the last test.");
});

story!(the_checklist_has_the_records_of_the_senders_domain, async |house: House| {
    let resolver = crate::ops::resolver(&[
        ("news.example.org", "v=spf1 include:mail.example.net -all"),
        ("k1._domainkey.news.example.org", "v=DKIM1; p=MIIB"),
    ])
    .await;
    let house = house.with(|config| {
        config.resolver = Some(resolver);
        config.dkim_selector = Some("k1".to_owned());
        config.newsroom.from = Some("News <digest@news.example.org>".to_owned());
    });
    let id = draft(&house, "Budapest, again", "Good morning.").await;
    let quick = checklist::quick(&house.app, id).await.unwrap();
    let before = checklist::with_found(&house.app, &quick, id);
    assert!(line(&before, "sender").says.contains("were not looked at"), "{before:?}");
    let list = checklist::whole(&house.app, id).await.unwrap();
    let says = |state, text: &str| {
        list.findings.iter().any(|f| f.about == "sender" && f.state == state && f.says.contains(text))
    };
    assert!(says(Is::Ok, "has an SPF record") && says(Is::Ok, "has a DKIM key"), "{list:?}");
    assert!(says(Is::Bad, "has no DMARC record"), "{list:?}");
});

story!(a_bad_line_forbids_nothing_and_the_form_says_how_many_there_are, async |house: House| {
    readers(&house, 3, "links", None).await;
    let id = draft(&house, "Test", "Good morning.").await;
    let publisher = house.staff(Role::Publisher).await;
    let page = publisher.get(&format!("/staff/issues/{id}/delivery")).await.body;
    let (_, form) = page.split_once("<h2 id=\"send\">").unwrap();
    assert!(form.contains("2 bad,") && form.contains("You can send it all the same"), "{form}");
    let sent = publisher.post(&format!("/staff/issues/{id}/send"), &[("readers", "3")]).await;
    assert_eq!((sent.status, state(&house, id).await), (303, State::Scheduled));
    let again = publisher.post(&format!("/staff/issues/{id}/check"), &[]).await;
    assert_eq!(again.status, 303, "until it is out it can still be looked at");
});

story!(every_subcommand_of_issue_answers_a_script_as_json, async |house: House| {
    let (sink, site) = (Sink::start().await, site().await);
    let app = through(&house, &sink);
    readers(&house, 12, "links", None).await;
    crate::digest::articles(&house.app, &[("News", "The bridge is open")]).await;
    let page = format!("{site}/gone");
    house.db().write("UPDATE articles SET url = $1").bind(page.clone()).execute().await.unwrap();
    let friday = async |arguments: &[&str]| {
        let settings = [
            ("FRIDAY_DATABASE_URL", house.database_url()),
            ("FRIDAY_KEY_FILE", house.app.config.key_file.display().to_string()),
            ("FRIDAY_BASE_URL", site.clone()),
            ("FRIDAY_FETCH_PRIVATE", "true".to_owned()),
            ("FRIDAY_LOG", "error".to_owned()),
        ];
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_friday"));
        let command = command.arg("issue").args(arguments).env_clear().envs(settings);
        let ended = command.stdin(std::process::Stdio::null()).output().await.unwrap();
        let (said, error) = (String::from_utf8(ended.stdout).unwrap(), String::from_utf8(ended.stderr).unwrap());
        (ended.status.success(), said, error)
    };
    let json = async |arguments: &[&str]| {
        let (good, said, error) = friday(&[arguments, &["--json"]].concat()).await;
        assert!(good, "{arguments:?}: {error}");
        serde_json::from_str::<serde_json::Value>(&said).unwrap_or_else(|_| panic!("{arguments:?}: {said}"))
    };
    let new = json(&["new", "weekly", "--subject", "The week"]).await;
    assert_eq!((&new["newsletter"], &new["state"], &new["entries"]), (&"weekly".into(), &"draft".into(), &0.into()));
    let id = new["id"].to_string();
    assert_eq!(json(&["list"]).await["issues"][0]["subject"], "The week");
    assert_eq!(json(&["add", &id, &page]).await["added"], 1);
    assert_eq!(json(&["add", &id, &page]).await["already"], 1);
    assert_eq!(json(&["show", &id]).await["entries"][0]["url"], page.as_str());
    assert_eq!(json(&["test", &id, "desk@paper.example"]).await["mails"], 1, "what readers chose");
    assert_eq!(json(&["test", &id, "desk@paper.example", "--edition", "full", "--language", "ru"]).await["mails"], 1);

    let (good, said, error) = friday(&["check", &id, "--json"]).await;
    let list: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(!good && error.contains("of the checklist of issue") && list["ok"] == false, "{said} {error}");
    let bad = list["links"].as_array().unwrap().iter().find(|link| link["state"] == "bad").unwrap();
    assert_eq!((&bad["url"], list["findings"][0]["state"].as_str()), (&page.as_str().into(), Some("bad")));
    assert!(list["findings"].as_array().unwrap().iter().any(|line| line["about"] == "test" && line["state"] == "ok"));
    let (good, said, _) = friday(&["check", &id]).await;
    assert!(!good && said.contains("bad   links") && said.contains(&page), "{said}");

    let scheduled = json(&["schedule", &id, "next"]).await;
    assert!(scheduled["state"] == "scheduled" && scheduled["scheduled_at"].is_string(), "{scheduled}");
    assert_eq!(json(&["cancel", &id]).await["state"], "draft");
    let (good, said, error) = friday(&["send", &id, "--readers", "11", "--json"]).await;
    assert!(!good && said.is_empty() && error.contains("12 readers would get it, not 11"), "{said} {error}");
    let window = json(&["send", &id, "--readers", "12", "--window", "60"]).await;
    assert_eq!((&window["state"], &window["readers"]), (&"scheduled".into(), &12.into()));
    assert_eq!(json(&["cancel", &id]).await["state"], "draft", "within the window");
    assert_eq!(json(&["send", &id, "--readers", "12"]).await["state"], "sending");
    assert_eq!(json(&["pause", &id]).await["state"], "paused");
    assert_eq!(json(&["resume", &id]).await["state"], "sending");

    // The commands went by the machine's clock, and so must what sends.
    house.clock().set(friday::clock::Clock::system().now() + Duration::from_secs(1));
    sink.fail(Step::Rcpt, When::For("reader-3-"), Fault::Say("550 5.7.1 no"));
    work(&app).await;
    let status = json(&["status", &id]).await;
    assert_eq!((&status["state"], &status["sent"], &status["failed"]), (&"sent".into(), &11.into(), &1.into()));
    assert_eq!((&status["number"], &status["reasons"][0]["trouble"]), (&1.into(), &"5.7.1".into()));
    assert_eq!(json(&["status", &id, "--follow"]).await["sent"], 11);
    let failed = json(&["failed", &id]).await;
    assert_eq!((&failed["trouble"], &failed["code"]), (&"5.7.1".into(), &550.into()), "one object a line");
    let retry = json(&["retry", &id]).await;
    assert_eq!((&retry["state"], &retry["readers"]), (&"sending".into(), &1.into()));
    assert!(json(&["list", "--newsletter", "weekly", "--limit", "1"]).await["issues"][0]["number"] == 1);
    let (good, _, error) = friday(&["pause", "99", "--json"]).await;
    assert!(!good && error.contains("there is no issue 99"), "{error}");
});

story!(the_live_page_has_rate_time_left_and_counts_by_domain_and_ends_with_the_run, async |house: House| {
    use futures_util::StreamExt;
    use tower::ServiceExt;
    let sink = Sink::start().await;
    let app = through(&house, &sink);
    readers(&house, 300, "links", None).await;
    // Enough of each that some are among the first, in whatever order they come.
    for (put_off, refused) in [("1-links", "2-links"), ("3-links", "4-links")] {
        sink.fail(Step::Rcpt, When::For(put_off), Fault::Say("451 4.7.1 later"));
        sink.fail(Step::Rcpt, When::For(refused), Fault::Say("550 5.1.1 unknown"));
    }
    sink.slow(Duration::from_millis(5));
    let id = started(&house).await;
    task::clock(&app).await.unwrap();
    let sending = tokio::spawn({
        let app = app.clone();
        async move { send::run(&app).await }
    });
    sink.wait_for(40).await;
    acts::pause(&house.app, Actor::Cli, id).await.unwrap();
    sending.await.unwrap().unwrap();
    // Going out again, but nobody sends for now: the page has something to say that stays.
    acts::resume(&house.app, Actor::Cli, id).await.unwrap();
    house.clock().advance(Duration::from_secs(10));

    let editor = house.staff(Role::Editor).await;
    let page = editor.get(&format!("/staff/issues/{id}/delivery")).await.body;
    assert!(page.contains("live.js") && page.contains(&format!("data-live=\"/staff/issues/{id}/progress\"")));
    let request = axum::http::Request::get(format!("/staff/issues/{id}/progress"))
        .header("host", "localhost:8080")
        .header("cookie", editor.cookies());
    let answer =
        friday::app::routes(&house.app).oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut stream = answer.into_body().into_data_stream();
    let mut heard = String::new();
    while !heard.contains("id=\"log\"") {
        heard += &String::from_utf8_lossy(&stream.next().await.unwrap().unwrap());
    }
    let run = store::run(house.db(), id).await.unwrap().unwrap();
    assert!(run.deferred > 0 && run.failed > 0 && run.untried() > 0, "{run:?}");
    let figure = |term: &str, n: i64| format!("<dt>{term}</dt><dd>{n}</dd>");
    for said in [figure("Accepted", run.sent), figure("Deferred", run.deferred), figure("Failed", run.failed)] {
        assert!(heard.contains(&said), "{said} in {heard}");
    }
    for said in [
        "of 300 tried",
        " s left",
        "<dt>Rate</dt>",
        "no limit",
        "next try",
        "<th scope=\"row\">example.org</th>",
        "4.7.1 held back by the receiver’s rules; tried again",
        "5.1.1 no such mailbox",
    ] {
        assert!(heard.contains(said), "{said} in {heard}");
    }
    assert!(!heard.contains("reader-"), "no reader is named");
    acts::cancel(&house.app, Actor::Cli, id).await.unwrap();
    while !heard.contains("event: end") {
        heard += &String::from_utf8_lossy(&stream.next().await.unwrap().unwrap());
    }
});

story!(a_domain_with_few_readers_is_named_nowhere, async |house: House| {
    let sink = Sink::start().await;
    let app = through(&house, &sink);
    readers(&house, 9, "links", None).await;
    sink.fail(Step::Rcpt, When::For("reader-3-"), Fault::Say("550 5.1.1 unknown"));
    let id = started(&house).await;
    work(&app).await;
    let page = house.staff(Role::Publisher).await.get(&format!("/staff/issues/{id}/delivery")).await.body;
    assert!(page.contains("All domains") && !page.contains("example.org"), "{page}");
});
