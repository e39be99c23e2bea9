//! The one mail after a confirmation.

use crate::digest::{articles, draft, sent};
use crate::house::{House, Mail, story};
use crate::newcomers::{confirm, see_to, under_way};
use crate::smtp_sink::Sink;
use friday::clock::DAY;
use friday::newsroom::Newsroom;
use std::time::Duration;

const ANNA: &str = "anna@late.example";
const WELCOME: &str = "Welcome to The Friday digest";
const WELCOMES: &str = "SELECT COUNT(*) FROM outbox WHERE kind = 'welcome'";

/// What came to an address but for the mail with which it was confirmed.
async fn after_the_confirmation(house: &House, address: &str) -> Vec<Mail> {
    let mails = house.mails_to(address).await;
    mails.into_iter().filter(|mail| !mail.text.contains("/confirm/")).collect()
}

async fn welcome(house: &House, address: &str) -> Mail {
    let mut mails = after_the_confirmation(house, address).await;
    assert_eq!(mails.len(), 1, "{:?}", mails.iter().map(|mail| &mail.subject).collect::<Vec<_>>());
    mails.remove(0)
}

/// No. 1 of the weekly digest, gone out to nobody.
async fn issue(house: &House) {
    let of = articles(&house.app, &[("News", "The ferries <run>"), ("Opinion", "A view")]).await;
    let id = draft(&house.app, "Forty-one pilots", &of).await;
    assert_eq!(sent(&house.app, id).await, 1);
}

story!(who_confirms_is_welcomed_once_with_the_latest_issue, async |house: House| {
    issue(&house).await;
    let link = confirm(&house, ANNA).await;
    let mail = welcome(&house, ANNA).await;
    assert_eq!((mail.subject.as_str(), mail.header("Auto-Submitted")), (WELCOME, Some("auto-generated")));
    assert!(mail.from.contains("Our newsroom"), "{}", mail.from);
    for said in [
        "You are on the list for The Friday digest.",
        "Every Friday, at 08:00 UTC, it comes to this address.",
        "Forty-one pilots",
        "No. 1 went out on 26 November",
        "/newsletters/weekly/issues/1",
        "The ferries <run>",
        "A view",
        "https://valley.example/0",
        "https://valley.example/1",
    ] {
        assert!(mail.text.contains(said), "{said}: {}", mail.text);
    }
    assert!(mail.html.contains("The ferries &#60;run&#62;") && mail.html.contains("href=\"https://valley.example/1\""));
    for forbidden in ["<img", "<script", "src=", "url(", "@import", "<link", "<form"] {
        assert!(!mail.html.contains(forbidden), "{forbidden}");
    }
    assert_eq!(house.get(&mail.link("/newsletters/weekly/issues/")).await.status, 200);
    house.clock().advance(Duration::from_secs(60));
    assert_eq!(house.post(&link, &[]).await.status, 200);
    assert_eq!(after_the_confirmation(&house, ANNA).await.len(), 1, "pressing twice is pressing once");
    assert_eq!(house.count("SELECT COUNT(*) FROM outbox WHERE sealed IS NOT NULL").await, 0);
});

story!(a_welcome_can_be_left_by_its_links_and_by_one_click, async |house: House| {
    confirm(&house, ANNA).await;
    let mail = welcome(&house, ANNA).await;
    assert!(house.get(&mail.link("/preferences/")).await.body.contains("What you receive"));
    assert_eq!(house.get(&mail.link("/unsubscribe/")).await.status, 200);
    let ways = mail.header("List-Unsubscribe").unwrap();
    let (https, mailto) = ways.split_once(", ").unwrap();
    assert!(https.starts_with("<http://localhost:8080/unsubscribe/") && mailto.starts_with("<mailto:unsubscribe+"));
    assert_eq!(mail.header("List-Unsubscribe-Post"), Some("List-Unsubscribe=One-Click"));
    let raw = String::from_utf8(mail.raw.clone()).unwrap();
    assert!(raw.split("\r\n").all(|line| line.len() <= 998), "RFC 5322, 2.1.1");
    let path = https.trim_matches(['<', '>']).trim_start_matches("http://localhost:8080");
    assert_eq!(house.post(path, &[("List-Unsubscribe", "One-Click")]).await.status, 200);
    assert_eq!(house.count("SELECT COUNT(*) FROM subscribers").await, 0);
});

story!(before_the_first_issue_a_welcome_says_when_it_comes, async |house: House| {
    confirm(&house, ANNA).await;
    let mail = welcome(&house, ANNA).await;
    assert!(mail.text.contains("The first one comes on Friday, 27 November 2026."), "{}", mail.text);
    assert!(!mail.text.contains("/issues/"));
});

story!(a_welcome_does_not_show_the_issue_that_comes_by_itself, async |house: House| {
    let sink = Sink::start().await;
    let (app, _) = under_way(&house, &sink).await;
    confirm(&house, ANNA).await;
    see_to(&app, &house).await;
    // The outbox alone: the rest of the house would send the issue past the sink.
    friday::mail::outbox::step(&house.app.outbox_hand()).await.unwrap();
    let mail = house.mails().pop().unwrap();
    assert_eq!((mail.subject.as_str(), mail.to.as_str()), (WELCOME, ANNA));
    assert!(mail.text.contains("comes to you as well") && !mail.text.contains("/issues/"), "{}", mail.text);
    // To whom it does not come by itself it is shown.
    let house = house.with(|c| c.newsroom.newsletters[0].send_to_newcomers = false);
    confirm(&house, "boris@late.example").await;
    see_to(&house.app, &house).await;
    friday::mail::outbox::step(&house.app.outbox_hand()).await.unwrap();
    let mail = house.mails().pop().unwrap();
    assert_eq!((mail.subject.as_str(), mail.to.as_str()), (WELCOME, "boris@late.example"));
    assert!(mail.text.contains("/newsletters/weekly/issues/1"), "{}", mail.text);
});

story!(who_is_in_an_audience_that_is_still_gathered_is_not_shown_the_issue_either, async |house: House| {
    let sink = Sink::start().await;
    let (app, _) = under_way(&house, &sink).await;
    confirm(&house, ANNA).await;
    // A run that begins between two looks of the same step: its row is there, its audience not yet.
    house.db().write("UPDATE delivery_runs SET gathered_at = NULL").execute().await.unwrap();
    let (id,): (i64,) = house.db().read("SELECT subscriber_id FROM newcomers").one().await.unwrap();
    let comes =
        async |number| friday::delivery::store::newcomers::comes_to(&app.db, "weekly", number, id).await.unwrap();
    assert_eq!((comes(1).await, comes(2).await), (true, false));
});

story!(a_welcome_is_in_the_readers_language_as_discreet_and_as_plain_as_they_asked, async |house: House| {
    let two = "name = \"The Valley Post\"\n\
        [[newsletters]]\nslug = \"weekly\"\nname = \"The Friday digest\"\n\
        [[newsletters]]\nslug = \"zarya\"\nname = \"Zarya\"\ndiscreet_name = \"A letter\"\ntime_zone = \"Europe/Riga\"\n";
    let house = house.with(|c| c.newsroom = Newsroom::from_toml(two).unwrap());
    confirm(&house, ANNA).await;
    let first = welcome(&house, ANNA).await;
    let chosen = [
        ("all", "1"),
        ("edition", "plain"),
        ("language", "ru"),
        ("discreet", "1"),
        ("newsletter", "weekly"),
        ("newsletter", "zarya"),
    ];
    assert_eq!(house.post(&first.link("/preferences/"), &chosen).await.status, 200);
    let mails = after_the_confirmation(&house, ANNA).await;
    assert_eq!(mails.len(), 2, "one for each newsletter");
    let mail = &mails[1];
    assert_eq!((mail.subject.as_str(), mail.from.split(" <").next()), ("Вы подписаны", Some("A letter")));
    for said in ["Вы подписаны на рассылку «Zarya»", "Каждую пятницу в 08:00", "Europe/Riga", "27 ноября 2026"]
    {
        assert!(mail.text.replace('\n', " ").contains(said), "{said}: {}", mail.text);
    }
    assert!(!String::from_utf8_lossy(&mail.raw).contains("text/html"), "text alone");
});

story!(nobody_is_welcomed_where_the_newsroom_or_the_reader_wants_it_so, async |house: House| {
    let house = house.with(|c| c.newsroom.newsletters[0].welcome = false);
    confirm(&house, ANNA).await;
    assert_eq!(after_the_confirmation(&house, ANNA).await.len(), 0);
    let house = house.with(|c| c.newsroom.newsletters[0].welcome = true);
    confirm(&house, "paused@late.example").await;
    let pause = house.db().write("UPDATE subscribers SET paused_until = $1");
    pause.bind(house.app.clock.now() + DAY).execute().await.unwrap();
    assert_eq!(after_the_confirmation(&house, "paused@late.example").await.len(), 0, "a pause is a pause");
    confirm(&house, "boris@late.example").await;
    let id: (i64,) = house.db().read("SELECT subscriber_id FROM newcomers").one().await.unwrap();
    house.post(&friday::subscribers::unsubscribe_link(&house.app.keys, "", id.0, "weekly", 0), &[]).await;
    assert_eq!(after_the_confirmation(&house, "boris@late.example").await.len(), 0, "they have left");
    assert_eq!(house.count("SELECT COUNT(*) FROM newcomers").await, 0);
});

story!(two_processes_welcome_everybody_once_and_who_cannot_be_written_to_holds_up_nobody, async |house: House| {
    for n in 0..60 {
        confirm(&house, &format!("reader-{n}@late.example")).await;
    }
    let spoiled = "UPDATE subscribers SET address_sealed = $1 WHERE id = (SELECT MIN(subscriber_id) FROM newcomers)";
    house.db().write(spoiled).bind(vec![7_u8; 60]).execute().await.unwrap();
    let step = || friday::delivery::newcomers::step(&house.app);
    let (one, two) = tokio::join!(step(), step());
    assert!(one.unwrap() && two.unwrap());
    see_to(&house.app, &house).await;
    assert_eq!(house.count(WELCOMES).await, 59);
    house.work().await;
    assert_eq!(house.mails().iter().filter(|mail| mail.subject == WELCOME).count(), 59);
});

story!(who_leaves_and_comes_back_within_a_day_is_welcomed_once, async |house: House| {
    let link = confirm(&house, ANNA).await;
    let mail = welcome(&house, ANNA).await;
    house.post(&mail.link("/unsubscribe/"), &[]).await;
    house.clock().advance(Duration::from_secs(3600));
    assert_eq!(house.post(&link, &[]).await.status, 200);
    assert_eq!(house.count("SELECT COUNT(*) FROM subscribers").await, 1);
    assert_eq!(after_the_confirmation(&house, ANNA).await.len(), 1);
});
