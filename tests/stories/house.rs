//! A Friday of its own for each story: a fresh database, a clock that is set, a mailbox that is looked into.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, header};
use friday::app::{self, App, Shared};
use friday::clock::{Clock, Moment};
use friday::config::Config;
use friday::db::Db;
use friday::keys::Keys;
use friday::mail::Mailer;
use friday::staff::Role;
use secrecy::ExposeSecret;
use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock};
use tower::ServiceExt;

/// Tells a story on both databases, each time in a house of its own.
macro_rules! story {
    ($name:ident, $told:expr) => {
        mod $name {
            #[allow(unused_imports, reason = "a story may need nothing of its file")]
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                let house = $crate::house::House::sqlite().await;
                ($told)(house).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                if let Some(house) = $crate::house::House::postgres().await {
                    ($told)(house).await;
                }
            }
        }
    };
}
pub(crate) use story;

/// Thursday, 2026-11-26, 09:00 UTC.
pub const NOW: Moment = Moment::from_millis(1_795_683_600_000);

/// A running Friday.
pub struct House {
    /// What handlers and tasks are given.
    pub app: Shared,
    router: Router,
    /// Gone when the house is.
    pub folder: tempfile::TempDir,
}

/// An answer.
#[derive(Debug)]
pub struct Page {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

/// A mail that arrived.
#[derive(Debug, Clone)]
#[expect(dead_code, reason = "stories look at what they need")]
pub struct Mail {
    pub to: String,
    pub from: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// Unfolded, in order.
    pub headers: Vec<(String, String)>,
    pub return_path: String,
    pub raw: Vec<u8>,
}

/// A browser: keeps cookies.
pub struct Visitor {
    router: Router,
    cookies: Mutex<BTreeMap<String, String>>,
}

impl House {
    /// A house on SQLite.
    pub async fn sqlite() -> House {
        House::on(None).await
    }

    /// A house on PostgreSQL; none where there is no server, which fails in CI.
    pub async fn postgres() -> Option<House> {
        let url = postgres_database().await?;
        Some(House::on(Some(url)).await)
    }

    async fn on(url: Option<String>) -> House {
        House::at(tempfile::tempdir().unwrap(), url).await
    }

    /// A house in a folder that may hold the files of another one: its key, and SQLite's.
    pub async fn at(folder: tempfile::TempDir, url: Option<String>) -> House {
        let path = |name: &str| folder.path().join(name).display().to_string();
        let mut environment: BTreeMap<String, String> = BTreeMap::new();
        environment
            .insert("FRIDAY_DATABASE_URL".into(), url.unwrap_or_else(|| format!("sqlite:{}", path("friday.db"))));
        environment.insert("FRIDAY_KEY_FILE".into(), path("friday.key"));
        let config = Config::from_sources(environment, None).unwrap();
        let app = App::open(config, Clock::fixed(NOW)).await.unwrap();
        House { router: app::routes(&app), app, folder }
    }

    /// The same house with its settings changed by `change`, on the same database and key.
    pub fn with(self, change: impl FnOnce(&mut Config)) -> House {
        let mut config = self.app.config.clone();
        change(&mut config);
        let keys = Keys::open_or_create(&config.key_file).unwrap();
        let mailer = Mailer::from_config(&config, &self.app.clock);
        let app = App::assemble(config, self.app.db.clone(), keys, mailer, self.app.clock.clone());
        House { router: app::routes(&app), app, folder: self.folder }
    }

    /// The house's clock.
    pub fn clock(&self) -> &Clock {
        &self.app.clock
    }

    pub fn database_url(&self) -> String {
        self.app.config.database_url.expose_secret().to_owned()
    }

    pub async fn get(&self, path: &str) -> Page {
        self.get_with(path, &[]).await
    }

    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Page {
        ask(&self.router, "GET", path, headers, Vec::new()).await
    }

    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.post_with(path, &[], fields).await
    }

    pub async fn post_with(&self, path: &str, headers: &[(&str, &str)], fields: &[(&str, &str)]) -> Page {
        let mut all = vec![("content-type", "application/x-www-form-urlencoded")];
        all.extend_from_slice(headers);
        ask(&self.router, "POST", path, &all, encode(fields)).await
    }

    pub async fn post_json(&self, path: &str, body: &serde_json::Value) -> Page {
        let headers = [("content-type", "application/json")];
        ask(&self.router, "POST", path, &headers, body.to_string().into_bytes()).await
    }

    pub async fn post_bytes(&self, path: &str, headers: &[(&str, &str)], bytes: Vec<u8>) -> Page {
        ask(&self.router, "POST", path, headers, bytes).await
    }

    /// A browser that nobody has used yet.
    pub fn visitor(&self) -> Visitor {
        Visitor { router: self.router.clone(), cookies: Mutex::default() }
    }

    /// A browser in which somebody of that role is signed in.
    pub async fn staff(&self, role: Role) -> Visitor {
        use friday::staff::{Actor, store};
        let (app, now) = (&self.app, self.app.clock.now());
        let address = format!("{}-{}@staff.example", role.as_str(), friday::db::new_id());
        let address = friday::address::Address::parse(&address).unwrap();
        let mut tx = app.db.begin().await.unwrap();
        let id = store::add(&mut tx, &app.keys, Actor::Cli, now, &address, role, role.as_str()).await.unwrap();
        let path = store::invite(&mut tx, &app.keys, now, id).await.unwrap();
        tx.commit().await.unwrap();
        let visitor = self.visitor();
        let set = visitor.post(&path, &[("name", "Somebody"), ("password", "a long good sentence")]).await;
        assert_eq!(set.status, 303, "{}", set.body);
        visitor
    }

    /// Runs every background task until none finds work.
    pub async fn work(&self) {
        let tasks = app::tasks();
        for _ in 0..1000 {
            let mut found = false;
            for task in &tasks {
                found |= task.step(self.app.clone()).await.unwrap_or_else(|e| panic!("{}: {e}", task.name()));
            }
            if !found {
                return;
            }
        }
        panic!("the tasks never came to rest");
    }

    /// All mails that arrived, the oldest first.
    pub fn mails(&self) -> Vec<Mail> {
        let mailbox = self.app.mailer.mailbox().expect("mails go to the mailbox");
        mailbox.all().iter().map(|m| Mail::read(&m.raw, m.envelope.to.as_str(), &m.envelope.return_path)).collect()
    }

    /// Works, then all mails to one address.
    pub async fn mails_to(&self, address: &str) -> Vec<Mail> {
        self.work().await;
        self.mails().into_iter().filter(|m| m.to == address).collect()
    }

    /// Signs a reader up for the newsletter and presses the button in the mail.
    pub async fn reader(&self, address: &str, newsletter: &str) {
        let answer = self.post(&format!("/newsletters/{newsletter}/subscribe"), &[("email", address)]).await;
        assert!(answer.status < 400, "{}", answer.body);
        let mails = self.mails_to(address).await;
        let link = mails.last().expect("a confirmation").link("/confirm/");
        assert_eq!(self.post(&link, &[]).await.status, 200);
    }

    /// How many rows a table has.
    pub async fn count(&self, sql: &'static str) -> i64 {
        let (n,): (i64,) = self.app.db.read(sql).one().await.unwrap();
        n
    }

    pub fn db(&self) -> &Db {
        &self.app.db
    }
}

impl Visitor {
    pub async fn get(&self, path: &str) -> Page {
        self.ask("GET", path, Vec::new()).await
    }

    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.ask("POST", path, encode(fields)).await
    }

    /// The cookies as a browser sends them.
    pub fn cookies(&self) -> String {
        let cookies = self.cookies.lock().unwrap();
        cookies.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join("; ")
    }

    async fn ask(&self, method: &str, path: &str, body: Vec<u8>) -> Page {
        let cookies = self.cookies();
        let mut headers = vec![("content-type", "application/x-www-form-urlencoded")];
        if !cookies.is_empty() {
            headers.push(("cookie", &cookies));
        }
        let page = ask(&self.router, method, path, &headers, body).await;
        for set in page.headers.get_all(header::SET_COOKIE) {
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let mut cookies = self.cookies.lock().unwrap();
            match value {
                "" => cookies.remove(name),
                _ => cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        page
    }
}

impl Page {
    /// Where it sends the browser.
    pub fn location(&self) -> &str {
        self.headers.get(header::LOCATION).map_or("", |l| l.to_str().unwrap())
    }
}

impl Mail {
    /// Reads a mail as a mail program does.
    pub fn read(raw: &[u8], to: &str, return_path: &str) -> Mail {
        let parsed = mail_parser::MessageParser::default().parse(raw).expect("a mail");
        let text = String::from_utf8_lossy(raw).replace("\r\n ", " ").replace("\r\n\t", " ");
        let head = text.split("\r\n\r\n").next().unwrap_or_default();
        let headers = head.split("\r\n").filter_map(|l| l.split_once(": ")).map(|(k, v)| (k.to_owned(), v.to_owned()));
        let from = parsed.from().and_then(|f| f.first()).map_or(String::new(), |f| {
            format!("{} <{}>", f.name().unwrap_or_default(), f.address().unwrap_or_default())
        });
        Mail {
            to: to.to_owned(),
            from,
            subject: parsed.subject().unwrap_or_default().to_owned(),
            text: parsed.body_text(0).unwrap_or_default().into_owned(),
            html: parsed.body_html(0).unwrap_or_default().into_owned(),
            headers: headers.collect(),
            return_path: return_path.to_owned(),
            raw: raw.to_vec(),
        }
    }

    /// The value of a header field.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The path of the first link in the text that contains `part`.
    pub fn link(&self, part: &str) -> String {
        let at = self.text.find(part).unwrap_or_else(|| panic!("no {part} in: {}", self.text));
        self.text[at..].split_whitespace().next().unwrap().trim_end_matches(['>', ')', '.']).to_owned()
    }
}

fn encode(fields: &[(&str, &str)]) -> Vec<u8> {
    let url = reqwest::Url::parse_with_params("http://x/", fields).unwrap();
    url.query().unwrap_or_default().as_bytes().to_vec()
}

async fn ask(router: &Router, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Page {
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost:8080");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, 64 << 20).await.unwrap();
    Page { status: parts.status.as_u16(), headers: parts.headers, body: String::from_utf8_lossy(&bytes).into_owned() }
}

#[expect(clippy::disallowed_methods, reason = "the test runner says where its server is")]
/// A new empty database on the server of `FRIDAY_TEST_POSTGRES_URL`.
async fn postgres_database() -> Option<String> {
    let Ok(server) = std::env::var("FRIDAY_TEST_POSTGRES_URL") else {
        assert!(
            std::env::var("CI").is_err(),
            "FRIDAY_TEST_POSTGRES_URL is not set: half of the stories would not be told"
        );
        return None;
    };
    static TAKEN: OnceLock<String> = OnceLock::new();
    let run = TAKEN.get_or_init(|| format!("{}_{}", std::process::id(), friday::db::new_id()));
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    let name = format!("story_{run}_{number}");
    use sqlx::{Connection, Executor};
    let mut connection = sqlx::PgConnection::connect(&server).await.expect("the test server answers");
    // Two databases cannot be made from one template at once: the server asks the second to try again.
    for _ in 0..200 {
        let made = connection.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).await;
        match made {
            Ok(_) => break,
            Err(error) if error.to_string().contains("template1") => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
    let (base, query) = server.split_once('?').map_or((server.as_str(), String::new()), |(b, q)| (b, format!("?{q}")));
    let base = base.trim_end_matches('/');
    // postgres://user@host/db → postgres://user@host/story
    let authority_at = base.find("://").map_or(0, |i| i + 3);
    let base = base[authority_at..].find('/').map_or(base, |i| &base[..authority_at + i]);
    Some(format!("{base}/{name}{query}"))
}
