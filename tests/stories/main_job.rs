//! The main job, end to end, with the program as it is shipped: a real newspaper's feed, real SMTP, a thousand readers;
//! and afterwards a search of everything that was written down.

use crate::house::{House, Mail, story};
use crate::smtp_sink::{Accepted, Sink};
use data_encoding::{BASE64, BASE64URL, HEXLOWER, HEXUPPER};
use futures_util::StreamExt;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

const READERS: usize = 1_000;
const NEWSROOM: &str = r#"
name = "The Valley Post"
postal_address = "1 Mill Lane, Valley"

[[newsletters]]
slug = "weekly"
name = "The Friday digest"
from = "The Valley Post <digest@valley.example>"
"#;

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

    newspaper.friday(&["feeds", "fetch"]).await;
    let id =
        newspaper.friday(&["issue", "new", "weekly", "--subject", "The week", "--top", "10"]).await.trim().to_owned();
    newspaper.friday(&["issue", "send", &id, "--readers", &READERS.to_string()]).await;
    sink.wait_for(2 * READERS).await;
    newspaper.friday(&["issue", "status", &id, "--follow"]).await;
    let issue = &sink.accepted()[READERS..];
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

/// A newsroom whose Friday is the real program, on a house's database.
struct Newspaper {
    variables: Vec<(&'static str, String)>,
    site: String,
    log: PathBuf,
    backup: PathBuf,
    client: reqwest::Client,
}

impl Newspaper {
    async fn open(house: &House, sink: &Sink, feed: &str) -> Newspaper {
        let path = |name: &str| house.folder.path().join(name);
        std::fs::write(path("newsroom.toml"), format!("{NEWSROOM}\n[[feeds]]\nurl = \"{feed}\"\n")).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let site = format!("http://127.0.0.1:{port}");
        let variables = vec![
            ("FRIDAY_DATABASE_URL", house.database_url()),
            ("FRIDAY_KEY_FILE", house.app.config.key_file.display().to_string()),
            ("FRIDAY_NEWSROOM", path("newsroom.toml").display().to_string()),
            ("FRIDAY_LISTEN", format!("127.0.0.1:{port}")),
            ("FRIDAY_BASE_URL", site.clone()),
            ("FRIDAY_SMTP_URL", sink.url(4)),
            ("FRIDAY_FETCH_PRIVATE", "true".to_owned()),
            ("FRIDAY_LOG", "debug".to_owned()),
            ("FRIDAY_LOG_FORMAT", "json".to_owned()),
        ];
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Newspaper { variables, site, log: path("friday.log"), backup: path("copy"), client }
    }

    fn command(&self) -> Command {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_friday"));
        command.envs(self.variables.iter().cloned()).stdin(Stdio::null()).stderr(log).kill_on_drop(true);
        command
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.site)
    }

    /// Runs a subcommand; what it printed.
    async fn friday(&self, arguments: &[&str]) -> String {
        let output = self.command().args(arguments).output().await.unwrap();
        let log = std::fs::read_to_string(&self.log).unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", log.lines().last().unwrap_or_default());
        String::from_utf8(output.stdout).unwrap()
    }

    async fn serve(&self) -> Child {
        let child = self.command().arg("serve").stdout(Stdio::null()).spawn().unwrap();
        for _ in 0..200 {
            if self.client.get(self.at("/readyz")).send().await.is_ok_and(|r| r.status().is_success()) {
                return child;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it is not ready after ten seconds");
    }

    /// Posts a form with an address to each link, some at once, as a site on a good day sees it.
    async fn post_all(&self, posts: impl Iterator<Item = (String, String)>) {
        let answers = futures_util::stream::iter(posts).map(async |(url, email)| {
            let fields: &[(&str, &str)] = if email.is_empty() { &[] } else { &[("email", &email)] };
            self.client.post(url).form(fields).send().await.unwrap().status().as_u16()
        });
        let answers: Vec<u16> = answers.buffer_unordered(16).collect().await;
        assert!(answers.iter().all(|status| matches!(status, 200 | 202)), "{answers:?}");
    }

    /// Database files with their logs, the backup, and Friday's own log.
    async fn everything_written(&self, house: &House) -> Vec<PathBuf> {
        let mut places = vec![self.log.clone()];
        if !house.db().is_postgres() {
            let all = std::fs::read_dir(house.folder.path()).unwrap().map(|file| file.unwrap().path());
            places.extend(all.filter(|p| p.file_name().unwrap().to_string_lossy().starts_with("friday.db")));
            places.push(self.backup.clone());
            return places;
        }
        house.db().write("CHECKPOINT").execute().await.unwrap();
        let (data, database): (String, i64) = house
            .db()
            .read("SELECT current_setting('data_directory'), CAST(oid AS BIGINT) FROM pg_database WHERE datname = current_database()")
            .one()
            .await
            .unwrap();
        let data = Path::new(&data);
        // A dump is compressed: what is searched is what it unpacks to.
        let unpacked = house.folder.path().join("copy.sql");
        let restore = Command::new("pg_restore").arg("--file").arg(&unpacked).arg(&self.backup).status().await.unwrap();
        assert!(restore.success());
        places.extend([
            unpacked,
            data.join(format!("base/{database}")),
            data.join("pg_wal"),
            data.with_file_name("log"),
        ]);
        places
    }
}

/// `grep` for every address in every form: quick enough for a gigabyte of PostgreSQL's log.
struct Search {
    patterns: PathBuf,
}

impl Search {
    fn for_all(addresses: &[String], folder: &Path) -> Search {
        let patterns = folder.join("patterns");
        let all: BTreeSet<String> = addresses.iter().flat_map(|a| forms(a)).collect();
        std::fs::write(&patterns, all.into_iter().collect::<Vec<_>>().join("\n")).unwrap();
        Search { patterns }
    }

    /// The files that hold one.
    async fn hits(&self, places: &[PathBuf]) -> Vec<PathBuf> {
        let mut grep = Command::new("grep");
        grep.env("LC_ALL", "C").args(["-r", "-l", "-a", "-F", "-f"]).arg(&self.patterns).args(places);
        let output = grep.output().await.unwrap();
        // 1: nothing found. 2: a place could not be read, which must not look like nothing found.
        let code = output.status.code().unwrap();
        assert!(code < 2, "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(PathBuf::from).collect()
    }
}

/// An address as typed, lower and upper, each plain, percent-encoded, in hexadecimal and in base64 at each alignment.
fn forms(address: &str) -> Vec<String> {
    let spellings = [address.to_owned(), address.to_lowercase(), address.to_uppercase()];
    let mut forms = Vec::new();
    for text in &spellings {
        let bytes = text.as_bytes();
        forms.extend([text.clone(), text.replace('@', "%40").replace('+', "%2B"), text.replace('@', "%40")]);
        forms.extend([HEXLOWER.encode(bytes), HEXUPPER.encode(bytes)]);
        for shift in 0..3 {
            let shifted = [&vec![0; shift][..], bytes].concat();
            // Only the characters that depend on nothing before or behind the address.
            let range = [0, 2, 3][shift]..shifted.len() * 8 / 6;
            forms.extend([
                BASE64.encode(&shifted)[range.clone()].to_owned(),
                BASE64URL.encode(&shifted)[range].to_owned(),
            ]);
        }
    }
    forms
}

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

async fn stop(server: &mut Child) {
    let pid = server.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    assert!(server.wait().await.unwrap().success());
}
