//! The main job, end to end, with the program as it is shipped: a real newspaper's feed, real SMTP, a thousand readers;
//! and afterwards a search of everything that was written down.

use crate::house::{House, Mail, story};
use crate::newspaper::{Newspaper, Search, forms, stop};
use crate::smtp_sink::{Accepted, Sink};
use std::collections::BTreeSet;
use std::path::PathBuf;

const READERS: usize = 1_000;
story!(a_thousand_readers_of_a_real_feed_each_get_one_mail_and_nothing_written_down_names_one, async |house: House| {
    let (sink, feed) = (Sink::start().await, serve_feed().await);
    let newspaper = Newspaper::open(&house, &sink, &feed).await;
    let addresses: Vec<String> = (0..READERS).map(|n| format!("Reader.{n:04}+Friday@Needle{n}.Example.ORG")).collect();

    let mut server = newspaper.serve().await;
    newspaper.post_all(addresses.iter().map(|a| (newspaper.at("/newsletters/weekly/subscribe"), a.clone()))).await;
    sink.wait_for(READERS).await;
    let confirmations = sink.accepted();
    assert_eq!(house.count("SELECT COUNT(*) FROM subscribers").await, 0, "nobody is a reader yet");
    newspaper.post_all(confirmations.iter().map(|mail| (confirm_link(&newspaper, mail), String::new()))).await;
    assert_eq!(house.count("SELECT COUNT(*) FROM subscribers").await, READERS as i64);
    sink.wait_for(2 * READERS).await;
    let welcomed: BTreeSet<String> = sink.accepted()[READERS..].iter().map(see_welcome).collect();
    assert_eq!(welcomed.len(), READERS, "each of them is welcomed, once");

    newspaper.friday(&["feeds", "fetch"]).await;
    let id =
        newspaper.friday(&["issue", "new", "weekly", "--subject", "The week", "--top", "10"]).await.trim().to_owned();
    newspaper.friday(&["issue", "send", &id, "--readers", &READERS.to_string()]).await;
    sink.wait_for(3 * READERS).await;
    newspaper.friday(&["issue", "status", &id, "--follow"]).await;
    let issue = &sink.accepted()[2 * READERS..];
    assert_eq!(issue.len(), READERS);
    let got: BTreeSet<String> = issue.iter().map(|m| m.to.to_lowercase()).collect();
    assert_eq!(got, addresses.iter().map(|a| a.to_lowercase()).collect(), "each of them, once");
    let ids: BTreeSet<String> = issue.iter().map(see_contract).collect();
    assert_eq!(ids.len(), READERS, "each mail has its own Message-ID");

    newspaper.friday(&["backup", &newspaper.backup.display().to_string()]).await;
    stop(&mut server).await;
    let search = Search::for_all(&addresses, house.folder.path());
    let places = newspaper.everything_written(&house).await;
    assert_eq!(search.hits(&places).await, Vec::<PathBuf>::new());

    // The control: each form is found where it stands, and an address in clear in the database is found there.
    for form in forms(&addresses[7]) {
        let planted = house.folder.path().join("planted");
        std::fs::write(&planted, format!("before {form} after")).unwrap();
        assert_eq!(search.hits(std::slice::from_ref(&planted)).await, vec![planted.clone()], "{form}");
        std::fs::remove_file(planted).unwrap();
    }
    let plant = house.db().write("INSERT INTO house (name, value) VALUES ('planted', $1)");
    plant.bind(addresses[3].clone().into_bytes()).execute().await.unwrap();
    let places = newspaper.everything_written(&house).await;
    assert!(!search.hits(&places).await.is_empty(), "an address in clear would be found");
});

/// The Washington Post's feed, on loopback.
async fn serve_feed() -> String {
    let body = std::fs::read("tests/fixtures/feeds/washington-post.xml").unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/feed.xml", listener.local_addr().unwrap());
    let answer = move || async move { ([("content-type", "application/rss+xml")], body) };
    let router = axum::Router::new().route("/feed.xml", axum::routing::get(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn confirm_link(newspaper: &Newspaper, mail: &Accepted) -> String {
    let read = Mail::read(&mail.raw, &mail.to, &mail.from);
    assert_eq!(read.subject, "Please confirm your address");
    newspaper.at(&read.link("/confirm/"))
}

/// To whom it is.
fn see_welcome(mail: &Accepted) -> String {
    let read = Mail::read(&mail.raw, &mail.to, &mail.from);
    assert_eq!(read.subject, "Welcome to The Friday digest");
    mail.to.to_lowercase()
}

/// Everything that the contract says of a digest mail; its Message-ID.
fn see_contract(mail: &Accepted) -> String {
    let read = Mail::read(&mail.raw, &mail.to, &mail.from);
    for name in ["From", "To", "Subject", "Date", "Message-ID", "List-Id", "List-Unsubscribe", "List-Unsubscribe-Post"]
    {
        let values = read.headers.iter().filter(|(k, _)| k.eq_ignore_ascii_case(name)).count();
        assert_eq!(values, 1, "{name}");
    }
    assert_eq!(read.subject, "The week");
    assert_eq!(read.header("List-Unsubscribe-Post"), Some("List-Unsubscribe=One-Click"));
    let unsubscribe = read.header("List-Unsubscribe").unwrap();
    assert!(unsubscribe.contains("/unsubscribe/") && unsubscribe.contains("mailto:"), "{unsubscribe}");
    assert!(mail.from.starts_with("bounce+"), "the return path names the delivery");
    for part in [&read.text, &read.html] {
        assert!(part.contains("1 Mill Lane") && part.contains("/unsubscribe/"), "address and link in both parts");
    }
    assert!(read.html.matches("<h3").count() + read.html.matches("<h2").count() >= 10, "ten articles");
    read.header("Message-ID").unwrap().to_owned()
}
