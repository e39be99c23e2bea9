//! How an issue goes out, judged by what a mail server accepted.

use crate::house::{House, story};
use crate::sending::{NO_WINDOW, at_clock, draft, header, readers, run_of, seed, started, state, through, work};
use crate::smtp_sink::{Fault, Sink, Step, When};
use friday::clock::{Clock, DAY};
use friday::delivery::acts::{self, ActError};
use friday::delivery::lease::LEASE;
use friday::delivery::store::progress;
use friday::delivery::{outcome, send, task};
use friday::digest::State;
use friday::staff::Actor;
use std::time::Duration;

story!(every_reader_gets_one_mail_with_the_headers_of_the_contract, async |house: House| {
    let sink = Sink::start().await;
    let app = through(&house, &sink, 4, &[]);
    readers(&house, 50).await;
    let id = started(&app).await;
    work(&app).await;

    assert_eq!((sink.by_recipient().len(), sink.doubled()), (50, 0));
    assert_eq!(state(&app, id).await, State::Sent);
    let run = run_of(&app, id).await;
    assert_eq!((run.readers, run.sent, run.failed, run.waiting()), (50, 50, 0, 0));
    let mut ids = std::collections::BTreeSet::new();
    for mail in sink.accepted() {
        let raw = String::from_utf8(mail.raw.clone()).unwrap();
        for name in [
            "From",
            "To",
            "Subject",
            "Date",
            "Message-ID",
            "List-Id",
            "List-Unsubscribe",
            "List-Unsubscribe-Post",
            "MIME-Version",
        ] {
            assert_eq!(header(&raw, name).len(), 1, "{name} in {raw}");
        }
        assert_eq!(header(&raw, "To"), [mail.to.as_str()]);
        assert_eq!(header(&raw, "List-Unsubscribe-Post"), ["List-Unsubscribe=One-Click"]);
        assert!(header(&raw, "List-Unsubscribe")[0].starts_with("<http"));
        assert!(raw.contains("\r\n <mailto:unsubscribe+"));
        assert!(raw.contains("text/plain") && raw.contains("text/html"));
        assert!(header(&raw, "Auto-Submitted").is_empty());
        assert!(mail.from.starts_with("bounce+") && mail.from.split('@').next().unwrap().len() <= 64, "{}", mail.from);
        ids.insert(header(&raw, "Message-ID")[0].to_owned());
        ids.insert(mail.from.clone());
        // No mail names another reader.
        let others = sink.accepted().into_iter().filter(|other| other.to != mail.to);
        assert!(others.into_iter().all(|other| !raw.contains(&format!(" {}\r\n", other.to))));
    }
    assert_eq!(ids.len(), 100, "each mail has its own Message-ID and return path");
});

story!(a_second_send_is_refused_and_sends_nothing, async |house: House| {
    let sink = Sink::start().await;
    let app = through(&house, &sink, 2, &[]);
    readers(&house, 10).await;
    let id = started(&app).await;
    let again = acts::send(&app, Actor::Cli, id, None, NO_WINDOW).await.unwrap_err();
    assert!(matches!(again, ActError::State { state: State::Sending, .. }), "{again}");
    work(&app).await;
    let again = acts::send(&app, Actor::Cli, id, None, NO_WINDOW).await.unwrap_err();
    assert_eq!(again.to_string(), format!("issue {id} is sent: an issue is sent once"));
    work(&app).await;
    assert_eq!(sink.count(), 10);
});

story!(another_number_than_there_are_readers_sends_nothing, async |house: House| {
    let sink = Sink::start().await;
    let app = through(&house, &sink, 2, &[]);
    let id = draft(&app).await;
    let nobody = acts::send(&app, Actor::Cli, id, None, NO_WINDOW).await.unwrap_err();
    assert!(matches!(nobody, ActError::Nobody(_)), "{nobody}");
    readers(&house, 10).await;
    let wrong = acts::send(&app, Actor::Cli, id, Some(11), NO_WINDOW).await.unwrap_err();
    assert!(matches!(wrong, ActError::Readers { typed: 11, really: 10 }), "{wrong}");
    work(&app).await;
    assert_eq!((sink.count(), state(&app, id).await), (0, State::Draft));
});

story!(who_left_or_paused_or_was_suppressed_since_the_freeze_is_spared, async |house: House| {
    let sink = Sink::start().await;
    let app = through(&house, &sink, 2, &[]);
    let ids = readers(&house, 12).await;
    // Paused before the freeze: not in the audience at all.
    let pause = "UPDATE subscribers SET paused_until = $2 WHERE id = $1";
    house.app.db.write(pause).bind(ids[0]).bind(app.clock.now() + DAY).execute().await.unwrap();
    let id = started(&app).await;
    task::clock(&app).await.unwrap();
    assert_eq!(run_of(&app, id).await.readers, 11);
    house.app.db.write(pause).bind(ids[1]).bind(app.clock.now() + DAY).execute().await.unwrap();
    house.app.db.write("DELETE FROM subscriptions WHERE subscriber_id = $1").bind(ids[2]).execute().await.unwrap();
    work(&app).await;
    let run = run_of(&app, id).await;
    assert_eq!((run.sent, run.skipped, run.waiting()), (9, 2, 0));
    let got = sink.by_recipient();
    assert!(
        !got.contains_key("reader-0@example.org")
            && !got.contains_key("reader-1@example.net")
            && !got.contains_key("reader-2@example.com")
    );
    assert_eq!(got.len(), 9);
});

story!(who_moves_while_an_issue_goes_out_gets_it_once_where_they_are, async |house: House| {
    let sink = Sink::start().await;
    let app = through(&house, &sink, 2, &[]);
    let ids = readers(&house, 6).await;
    let id = started(&app).await;
    task::clock(&app).await.unwrap();
    let move_to = async |from: usize, to: &str| {
        let path = friday::subscribers::preferences_link(&app.keys, "", ids[from], 1);
        assert_eq!(house.post(&format!("{path}/address"), &[("email", to)]).await.status, 200);
        // The outbox alone: the rest of the house would send the issue past the sink.
        friday::mail::outbox::step(&house.app.outbox_hand()).await.unwrap();
        let mail = house.mails().into_iter().find(|mail| mail.to == to && mail.text.contains("/move/")).unwrap();
        let link = mail.link("/move/");
        assert_eq!(house.post(&link, &[]).await.status, 200);
    };
    move_to(1, "moved@example.org").await;
    move_to(2, "reader-3@mail.example").await;
    work(&app).await;
    let run = run_of(&app, id).await;
    assert_eq!((run.sent, run.skipped, run.waiting()), (5, 1, 0), "two who became one have it once");
    let got = sink.by_recipient();
    assert!(got.contains_key("moved@example.org") && got.contains_key("reader-3@mail.example"));
    assert!(!got.contains_key("reader-1@example.net") && !got.contains_key("reader-2@example.com"));
    assert_eq!((got.len(), sink.doubled()), (5, 0));
});

story!(later_is_tried_again_and_never_is_never, async |house: House| {
    let sink = Sink::start().await;
    let app = through(&house, &sink, 2, &[]);
    readers(&house, 20).await;
    sink.fail(Step::Rcpt, When::For("reader-3@"), Fault::Say("550 5.1.1 <reader-3@mail.example> no such user"));
    sink.fail(Step::Rcpt, When::For("reader-4@"), Fault::Say("550 no"));
    sink.fail(Step::Rcpt, When::For("reader-5@"), Fault::Say("452 4.2.2 mailbox full"));
    let id = started(&app).await;
    work(&app).await;
    let run = run_of(&app, id).await;
    assert_eq!((run.sent, run.failed, run.deferred, run.untried()), (17, 2, 1, 0));
    assert_eq!(state(&app, id).await, State::Sending, "somebody still waits");
    let failures = progress::failures(&app.db, id, i64::MIN, 10).await.unwrap();
    let mut reasons: Vec<&str> = failures.iter().map(|f| f.trouble.as_str()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["5.1.1", "550"]);

    // Not before its time, and then again.
    work(&app).await;
    assert_eq!(sink.count(), 17);
    sink.heal();
    house.app.clock.advance(outcome::RETRY[0] + outcome::RETRY[0] / 10);
    work(&app).await;
    assert_eq!((sink.count(), state(&app, id).await), (18, State::Sent));

    // The failed can be tried again, but not the one that is not there.
    assert_eq!(acts::retry(&app, Actor::Cli, id).await.unwrap(), 2);
    work(&app).await;
    let run = run_of(&app, id).await;
    assert_eq!((run.sent, run.failed, run.skipped), (19, 0, 1));
    assert_eq!((sink.by_recipient().len(), sink.doubled(), state(&app, id).await), (19, 0, State::Sent));
});

story!(a_server_that_says_later_for_two_days_is_given_up, async |house: House| {
    let sink = Sink::start().await;
    let app = through(&house, &sink, 1, &[]);
    readers(&house, 1).await;
    sink.fail(Step::Rcpt, When::Always, Fault::Say("451 4.7.1 not now"));
    let id = started(&app).await;
    let mut tries = 0;
    while state(&app, id).await == State::Sending {
        work(&app).await;
        tries += 1;
        house.app.clock.advance(Duration::from_secs(5 * 3600));
        assert!(tries < 30);
    }
    let run = run_of(&app, id).await;
    assert_eq!((tries, run.failed, run.deferred), (outcome::RETRY.len() + 1, 1, 0));
});

story!(an_answer_lost_after_the_dot_is_asked_for_once_more_under_the_same_message_id, async |house: House| {
    let sink = Sink::start().await;
    let app = through(&house, &sink, 2, &[]);
    readers(&house, 6).await;
    // One that the server took and one that it did not: Friday cannot tell them apart.
    sink.fail(Step::Dot, When::For("reader-1@"), Fault::Drop);
    sink.fail(Step::Dot, When::For("reader-2@"), Fault::Lose);
    let id = started(&app).await;
    for _ in 0..4 {
        work(&app).await;
    }
    let run = run_of(&app, id).await;
    assert_eq!((run.sent, run.uncertain, run.failed), (4, 2, 0));
    house.app.clock.advance(outcome::AFTER_UNCERTAIN);
    for _ in 0..4 {
        work(&app).await;
    }
    let run = run_of(&app, id).await;
    assert_eq!((run.sent, run.uncertain, run.failed), (4, 2, 2), "not a third time");
    let twice: Vec<_> = sink.accepted().into_iter().filter(|mail| mail.to.starts_with("reader-1@")).collect();
    assert_eq!(twice.len(), 2);
    let ids: Vec<String> =
        twice.iter().map(|m| header(std::str::from_utf8(&m.raw).unwrap(), "Message-ID")[0].to_owned()).collect();
    assert_eq!(ids[0], ids[1]);
    // Staff may still ask for it.
    sink.heal();
    acts::retry(&app, Actor::Cli, id).await.unwrap();
    work(&app).await;
    let run = run_of(&app, id).await;
    assert_eq!((run.sent, run.uncertain, run.failed), (6, 0, 0));
});

story!(a_server_that_refuses_everybody_is_asked_no_further, async |house: House| {
    let sink = Sink::start().await;
    let app = through(&house, &sink, 4, &[]);
    readers(&house, 200).await;
    sink.fail(Step::Mail, When::Always, Fault::Say("530 5.7.0 authentication required"));
    let id = started(&app).await;
    work(&app).await;
    assert_eq!(state(&app, id).await, State::Paused);
    let run = run_of(&app, id).await;
    assert!((25..=25 + 2 * 4).contains(&run.failed), "{} failed", run.failed);
    assert!(
        progress::events(&app.db, id).await.unwrap().iter().any(|e| e.what.contains("refused 25 readers in a row"))
    );
    // Mended, tried again: everybody has it once.
    sink.heal();
    acts::retry(&app, Actor::Cli, id).await.unwrap();
    acts::resume(&app, Actor::Cli, id).await.unwrap();
    work(&app).await;
    assert_eq!((sink.by_recipient().len(), sink.doubled(), state(&app, id).await), (200, 0, State::Sent));
});

story!(who_refuses_everybody_is_asked_no_further_while_the_pause_waits_for_the_database, async |house: House| {
    // On SQLite there is one writer: where it is held nothing at all is claimed.
    if !house.app.db.is_postgres() {
        return;
    }
    let sink = Sink::start().await;
    let app = through(&house, &sink, 4, &[]);
    readers(&house, 200).await;
    sink.fail(Step::Mail, When::Always, Fault::Say("530 5.7.0 authentication required"));
    let id = started(&app).await;
    task::clock(&app).await.unwrap();
    let mut elsewhere = house.app.db.begin().await.unwrap();
    elsewhere.query("UPDATE issues SET state = state WHERE id = $1").bind(id).execute().await.unwrap();
    let sending = tokio::spawn({
        let app = app.clone();
        async move { send::run(&app).await }
    });
    let failed = async || run_of(&app, id).await.failed;
    while failed().await < 25 {
        tokio::task::yield_now().await;
    }
    // Twenty looks of the feeder; it would have been through all of them.
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(failed().await <= 25 + 2 * 4, "{} failed", failed().await);
    }
    drop(elsewhere);
    sending.await.unwrap().unwrap();
    assert_eq!(state(&app, id).await, State::Paused);
});

story!(pause_stops_within_a_mail_for_each_connection_and_going_on_skips_nobody, async |house: House| {
    let sink = Sink::start().await;
    sink.slow(Duration::from_millis(5));
    let app = through(&house, &sink, 4, &[]);
    readers(&house, 300).await;
    let id = started(&app).await;
    task::clock(&app).await.unwrap();
    let sending = tokio::spawn({
        let app = app.clone();
        async move { send::run(&app).await }
    });
    sink.wait_for(40).await;
    // Another process, as far as the sender knows.
    acts::pause(&house.app, Actor::Cli, id).await.unwrap();
    let at_pause = sink.count();
    sending.await.unwrap().unwrap();
    let after = sink.count();
    assert!(after <= at_pause + 2 * 4, "{} more after the pause", after - at_pause);
    assert!(after < 300);
    let leased = "SELECT COUNT(*) FROM delivery_batches WHERE lease IS NOT NULL";
    assert_eq!(house.app.db.read(leased).one::<(i64,)>().await.unwrap(), (0,), "what was leased is given back");
    work(&app).await;
    assert_eq!(sink.count(), after, "paused is paused");
    acts::resume(&house.app, Actor::Cli, id).await.unwrap();
    sink.slow(Duration::ZERO);
    work(&app).await;
    assert_eq!((sink.by_recipient().len(), sink.doubled(), state(&app, id).await), (300, 0, State::Sent));
});

story!(cancel_ends_it_for_good, async |house: House| {
    let sink = Sink::start().await;
    let app = through(&house, &sink, 1, &[]);
    readers(&house, 10).await;
    sink.fail(Step::Rcpt, When::For("@example.org"), Fault::Say("451 4.7.1 later"));
    let id = started(&app).await;
    work(&app).await;
    let had = sink.count();
    assert_eq!(acts::cancel(&app, Actor::Cli, id).await.unwrap(), State::Cancelled);
    sink.heal();
    house.app.clock.advance(DAY);
    work(&app).await;
    assert_eq!((sink.count(), state(&app, id).await), (had, State::Cancelled));
    assert!(acts::resume(&app, Actor::Cli, id).await.is_err());
    assert!(acts::retry(&app, Actor::Cli, id).await.is_err());
});

story!(an_issue_goes_out_at_its_time_and_not_before, async |house: House| {
    let sink = Sink::start().await;
    let app = through(&house, &sink, 2, &[]);
    readers(&house, 3).await;
    let id = draft(&app).await;
    let at = acts::schedule(&app, Actor::Cli, id, "next").await.unwrap();
    house.app.clock.set(at - Duration::from_secs(1));
    work(&app).await;
    assert_eq!((sink.count(), state(&app, id).await), (0, State::Scheduled));
    house.app.clock.set(at);
    work(&app).await;
    assert_eq!((sink.count(), state(&app, id).await), (3, State::Sent));
    assert!(acts::schedule(&app, Actor::Cli, id, "next").await.is_err());
});

story!(an_issue_whose_time_passed_while_nobody_was_there_is_held, async |house: House| {
    let sink = Sink::start().await;
    let app = through(&house, &sink, 2, &[]);
    readers(&house, 3).await;
    let late = draft(&app).await;
    let at = acts::schedule(&app, Actor::Cli, late, "next").await.unwrap();
    house.app.clock.set(at + Duration::from_secs(2 * 3600) + Duration::from_secs(1));
    work(&app).await;
    assert_eq!((sink.count(), state(&app, late).await), (0, State::Held));
    assert!(progress::events(&app.db, late).await.unwrap()[0].what.contains("held"));
    // Staff decide.
    acts::send(&app, Actor::Cli, late, Some(3), NO_WINDOW).await.unwrap();
    work(&app).await;
    assert_eq!((sink.count(), state(&app, late).await), (3, State::Sent));
    // An hour late is not too late.
    let hour = draft(&app).await;
    let at = acts::schedule(&app, Actor::Cli, hour, "next").await.unwrap();
    house.app.clock.set(at + Duration::from_secs(3600));
    work(&app).await;
    assert_eq!((sink.count(), state(&app, hour).await), (6, State::Sent));
});

story!(the_window_after_the_send_can_be_used_to_stop_it, async |house: House| {
    let sink = Sink::start().await;
    let app = through(&house, &sink, 2, &[]);
    readers(&house, 3).await;
    let id = draft(&app).await;
    acts::send(&app, Actor::Cli, id, Some(3), acts::WINDOW).await.unwrap();
    work(&app).await;
    assert_eq!((sink.count(), state(&app, id).await), (0, State::Scheduled));
    assert_eq!(acts::cancel(&app, Actor::Cli, id).await.unwrap(), State::Draft);
    house.app.clock.advance(Duration::from_secs(61));
    work(&app).await;
    assert_eq!((sink.count(), state(&app, id).await), (0, State::Draft));
    acts::send(&app, Actor::Cli, id, Some(3), acts::WINDOW).await.unwrap();
    house.app.clock.advance(acts::WINDOW);
    work(&app).await;
    assert_eq!((sink.count(), state(&app, id).await), (3, State::Sent));
});

story!(a_process_that_was_frozen_sends_nothing_that_another_took_over, async |house: House| {
    let sink = Sink::start().await;
    sink.slow(Duration::from_millis(20));
    let clock = Clock::fixed(house.app.clock.now());
    let frozen = at_clock(&house, &sink, 2, &[], clock.clone());
    readers(&house, 200).await;
    let id = started(&frozen).await;
    task::clock(&frozen).await.unwrap();
    let sending = tokio::spawn({
        let frozen = frozen.clone();
        async move { send::run(&frozen).await }
    });
    sink.wait_for(10).await;
    // For it, two minutes pass between two mails. By the clock of another, its lease is over.
    clock.advance(Duration::from_secs(120));
    let before = sink.count();
    house.app.clock.advance(LEASE + Duration::from_secs(1));
    let other = through(&house, &sink, 2, &[]);
    sending.await.unwrap().unwrap();
    assert!(sink.count() <= before + 2 * 2, "it went on for {} mails", sink.count() - before);
    sink.slow(Duration::ZERO);
    work(&other).await;
    assert_eq!((sink.by_recipient().len(), sink.doubled(), state(&other, id).await), (200, 0, State::Sent));
});

story!(two_processes_share_the_work_and_double_nobody, async |house: House| {
    let sink = Sink::start().await;
    sink.slow(Duration::from_millis(1));
    let (one, two) = (through(&house, &sink, 3, &[]), through(&house, &sink, 3, &[]));
    readers(&house, 1_200).await;
    let id = started(&one).await;
    task::clock(&one).await.unwrap();
    let (a, b) = tokio::join!(send::run(&one), send::run(&two));
    assert!(a.unwrap() && b.unwrap(), "both had something to do");
    work(&one).await;
    assert_eq!((sink.by_recipient().len(), sink.doubled(), state(&one, id).await), (1_200, 0, State::Sent));
});

story!(a_limit_in_messages_a_second_is_kept, async |house: House| {
    let sink = Sink::start().await;
    let app = at_clock(&house, &sink, 4, &[("FRIDAY_SEND_RATE", "100")], Clock::system());
    readers(&house, 151).await;
    let id = started(&app).await;
    work(&app).await;
    assert_eq!((sink.count(), state(&app, id).await), (151, State::Sent));
    let mails = sink.accepted();
    let took = mails[150].at - mails[0].at;
    assert!((1_350..2_500).contains(&took.as_millis()), "151 mails at 100 a second took {took:?}");
});

story!(a_limit_for_a_domain_slows_that_domain_and_no_other, async |house: House| {
    let sink = Sink::start().await;
    let app = at_clock(&house, &sink, 4, &[("FRIDAY_DOMAIN_RATE", "20")], Clock::system());
    let many = (0..41).map(|n| format!("r{n}@big.example"));
    let others = (0..200).map(|n| format!("r{n}@small-{n}.example"));
    seed(&house, &many.chain(others).collect::<Vec<_>>()).await;
    let id = started(&app).await;
    work(&app).await;
    assert_eq!((sink.by_recipient().len(), sink.doubled(), state(&app, id).await), (241, 0, State::Sent));
    let last = |domain: &str| sink.accepted().iter().filter(|m| m.to.contains(domain)).map(|m| m.at).max().unwrap();
    let big: Vec<Duration> = sink.accepted().iter().filter(|m| m.to.contains("@big")).map(|m| m.at).collect();
    let took = big[40] - big[0];
    assert!((1_800..3_000).contains(&took.as_millis()), "41 mails at 20 a second took {took:?}");
    assert!(last("@small") < last("@big"), "the others did not wait");
});

story!(what_is_kept_of_a_run_names_nobody_and_is_forgotten_but_for_the_counts, async |house: House| {
    let sink = Sink::start().await;
    let app = through(&house, &sink, 2, &[]);
    readers(&house, 60).await;
    sink.fail(Step::Rcpt, When::For("reader-7@"), Fault::Say("550 5.7.1 <reader-7@mail.example> says no"));
    let id = started(&app).await;
    work(&app).await;
    let domains = progress::domains(&app.db, &app.keys, id).await.unwrap();
    let mut names: Vec<&str> = domains.iter().map(|d| d.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["example.com", "example.net", "example.org", "mail.example"]);
    assert_eq!(domains.iter().map(|d| d.sent + d.failed).sum::<i64>(), 60);
    let sealed = app.db.read("SELECT name_sealed FROM delivery_domains").all::<(Vec<u8>,)>().await.unwrap();
    assert!(sealed.iter().all(|(name,)| !String::from_utf8_lossy(name).contains("example")));
    let troubles = app.db.read("SELECT COALESCE(trouble, '') FROM deliveries").all::<(String,)>().await.unwrap();
    assert!(troubles.iter().all(|(trouble,)| ["", "5.7.1"].contains(&trouble.as_str())));

    house.app.clock.advance(42 * DAY + Duration::from_secs(1));
    work(&app).await;
    let rows = app.db.read("SELECT COUNT(*) FROM deliveries").one::<(i64,)>().await.unwrap().0;
    let run = run_of(&app, id).await;
    assert_eq!((rows, run.readers, run.sent, run.failed, run.forgotten_at.is_some()), (0, 60, 59, 1, true));
});

story!(who_is_tried_again_has_failed_in_no_domain, async |house: House| {
    let sink = Sink::start().await;
    let app = through(&house, &sink, 2, &[]);
    readers(&house, 12).await;
    sink.fail(Step::Rcpt, When::Always, Fault::Say("550 5.7.1 not today"));
    let id = started(&app).await;
    work(&app).await;
    let counts = async || {
        let sums =
            "SELECT CAST(SUM(sent) AS BIGINT), CAST(SUM(failed) AS BIGINT) FROM delivery_domains WHERE issue_id = $1";
        app.db.read(sums).bind(id).one::<(i64, i64)>().await.unwrap()
    };
    assert_eq!(counts().await, (0, 12));
    sink.heal();
    assert_eq!(acts::retry(&app, Actor::Cli, id).await.unwrap(), 12);
    assert_eq!(state(&app, id).await, State::Sending);
    work(&app).await;
    assert_eq!((counts().await, state(&app, id).await), ((12, 0), State::Sent));
});

story!(a_time_that_is_taken_back_in_the_last_moment_begins_nothing, async |house: House| {
    let sink = Sink::start().await;
    let app = through(&house, &sink, 1, &[]);
    readers(&house, 2).await;
    let id = draft(&app).await;
    let at = acts::schedule(&app, Actor::Cli, id, "next").await.unwrap();
    // The clock has read that it is due; then somebody presses "Stop".
    acts::cancel(&app, Actor::Cli, id).await.unwrap();
    acts::start(&app, Actor::Friday, id, Some(at)).await.unwrap();
    work(&app).await;
    assert_eq!((state(&app, id).await, sink.count()), (State::Draft, 0));
});

story!(more_connections_than_readers_are_looked_up_at_once_harm_nobody, async |house: House| {
    let sink = Sink::start().await;
    let app = through(&house, &sink, 600, &[("FRIDAY_SEND_RATE", "10")]);
    readers(&house, 2).await;
    let id = started(&app).await;
    work(&app).await;
    assert_eq!((sink.by_recipient().len(), state(&app, id).await), (2, State::Sent));
});
