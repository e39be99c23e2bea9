//! What the stories about sending have in common: readers, issues, a Friday that sends through a sink, in this process or
//! in one of its own; and the judge, who compares what staff are shown with what the mail server accepted.

use crate::house::House;
use crate::smtp_sink::Sink;
use friday::address::Address;
use friday::app::{App, Shared};
use friday::clock::{Clock, Moment};
use friday::config::Config;
use friday::db;
use friday::delivery::acts;
use friday::delivery::store::{self, Run};
use friday::delivery::{send, task};
use friday::digest::{self, State};
use friday::keys::{Drawer, Keys};
use friday::mail::{Mailer, Terms};
use friday::staff::Actor;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

pub const WEEKLY: &str = "weekly";
pub const NO_WINDOW: Duration = Duration::ZERO;

/// A Friday that sends through this sink, on a house's database, at a house's time.
pub fn through(house: &House, sink: &Sink, connections: usize, settings: &[(&str, &str)]) -> Shared {
    at_clock(house, sink, connections, settings, house.app.clock.clone())
}

pub fn at_clock(house: &House, sink: &Sink, connections: usize, settings: &[(&str, &str)], clock: Clock) -> Shared {
    let mut settings = settings.to_vec();
    let url = sink.url(connections);
    settings.push(("FRIDAY_SMTP_URL", &url));
    with_settings(house, &settings, house.app.db.clone(), clock)
}

/// A Friday that sends as these settings say.
pub fn with_settings(house: &House, settings: &[(&str, &str)], db: db::Db, clock: Clock) -> Shared {
    on_terms(house, settings, db, clock, &Terms::default())
}

/// The same with other terms for its mail server.
pub fn on_terms(house: &House, settings: &[(&str, &str)], db: db::Db, clock: Clock, terms: &Terms) -> Shared {
    let environment: BTreeMap<String, String> =
        settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let read = Config::from_sources(environment, None).unwrap();
    let config = Config {
        smtp: read.smtp,
        smtp_fallbacks: read.smtp_fallbacks,
        send_rate: read.send_rate,
        domain_rate: read.domain_rate,
        ..house.app.config.clone()
    };
    let mailer = Mailer::on_terms(&config, &clock, terms);
    let keys = Keys::open_or_create(&config.key_file).unwrap();
    App::assemble(config, db, keys, mailer, clock)
}

/// Readers `reader-0@…`, `reader-1@…`, spread over some domains, all of the weekly digest.
pub async fn readers(house: &House, count: usize) -> Vec<i64> {
    let domains = ["example.org", "example.net", "example.com", "mail.example"];
    let addresses = (0..count).map(|n| format!("reader-{n}@{}", domains[n % domains.len()]));
    seed(house, &addresses.collect::<Vec<_>>()).await
}

pub async fn seed(house: &House, addresses: &[String]) -> Vec<i64> {
    let mut ids = Vec::new();
    let mut tx = house.app.db.begin().await.unwrap();
    for address in addresses {
        let (id, address) = (db::new_id(), Address::parse(address).unwrap());
        tx.query(
            "INSERT INTO subscribers (id, address_sealed, address_index, edition, discreet, no_asks)
             VALUES ($1, $2, $3, 'links', FALSE, FALSE)",
        )
        .bind(id)
        .bind(house.app.keys.seal(Drawer::Subscribers, &id.to_be_bytes(), address.as_str().as_bytes()))
        .bind(house.app.keys.index(Drawer::Subscribers, &address))
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
        ids.push(id);
    }
    tx.commit().await.unwrap();
    ids
}

/// A draft that could go out.
pub async fn draft(app: &Shared) -> i64 {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.unwrap();
    let id = digest::store::create(&mut tx, now, WEEKLY, "Пятница, the week").await.unwrap();
    let draft = digest::Draft {
        subject: "Пятница, the week".to_owned(),
        introduction: "Good morning. An *introduction* with = and ё.\n\n.A dot begins this line.".to_owned(),
        ..digest::Draft::default()
    };
    let (seen,): (Moment,) = tx.query("SELECT changed_at FROM issues WHERE id = $1").bind(id).one().await.unwrap();
    digest::store::save(&mut tx, now, id, seen, &draft).await.unwrap();
    tx.commit().await.unwrap();
    id
}

/// A draft that has been sent off.
pub async fn started(app: &Shared) -> i64 {
    let id = draft(app).await;
    acts::send(app, Actor::Cli, id, None, NO_WINDOW).await.unwrap();
    id
}

/// Runs the room's tasks until none finds work.
pub async fn work(app: &Shared) {
    loop {
        let clock = task::clock(app).await.unwrap();
        let sent = send::run(app).await.unwrap();
        if !clock && !sent {
            return;
        }
    }
}

pub async fn run_of(app: &Shared, id: i64) -> Run {
    store::run(&app.db, id).await.unwrap().unwrap()
}

pub async fn state(app: &Shared, id: i64) -> State {
    digest::store::issue(&app.db, id).await.unwrap().unwrap().state
}

pub fn header<'a>(raw: &'a str, name: &str) -> Vec<&'a str> {
    let head = raw.split("\r\n\r\n").next().unwrap();
    head.split("\r\n").filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect()
}

/// A Friday in a process of its own, which works and serves nothing. It does not outlive its story.
pub struct Process(Child);

impl Process {
    pub fn start(house: &House, sink: &Sink, connections: usize) -> Process {
        Process::on(&house.database_url(), &house.app.config.key_file, &sink.url(connections))
    }

    pub fn on(database: &str, key: &Path, smtp: &str) -> Process {
        Process::run(Command::new(env!("CARGO_BIN_EXE_friday")).arg("work"), database, key, smtp)
    }

    /// A command that ends up as a Friday, with its settings.
    pub fn run(command: &mut Command, database: &str, key: &Path, smtp: &str) -> Process {
        let settings = [
            ("FRIDAY_DATABASE_URL", database),
            ("FRIDAY_KEY_FILE", key.to_str().unwrap()),
            ("FRIDAY_SMTP_URL", smtp),
            // What goes wrong in these stories is looked for in the database and at the mail server.
            ("FRIDAY_LOG", "warn"),
        ];
        Process(command.env_clear().envs(settings).stdout(Stdio::null()).spawn().unwrap())
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Sends it a signal by name, such as `STOP`.
    pub fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        tokio::task::spawn_blocking(move || self.0.wait().unwrap()).await.unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub async fn until_sent(app: &Shared, id: i64) {
    for _ in 0..2_400 {
        if state(app, id).await == State::Sent {
            return;
        }
        // Another process does the work: there is nothing here to wait for but time.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not sent after two minutes: {:?}", run_of(app, id).await);
}

/// A process that was killed has let its lease run out twenty seconds later. Here they pass at once.
pub async fn twenty_seconds_pass(app: &Shared) {
    app.db.write("UPDATE delivery_leases SET until = 0").execute().await.unwrap();
}
