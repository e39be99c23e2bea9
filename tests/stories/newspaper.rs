//! A newsroom whose Friday is the program as it is shipped, and a search of everything that it has written down.

use crate::house::House;
use crate::smtp_sink::Sink;
use data_encoding::{BASE64, BASE64URL, HEXLOWER, HEXUPPER};
use futures_util::StreamExt;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

const NEWSROOM: &str = r#"
name = "The Valley Post"
postal_address = "1 Mill Lane, Valley"

[[newsletters]]
slug = "weekly"
name = "The Friday digest"
from = "The Valley Post <digest@valley.example>"
"#;

/// A newsroom whose Friday is the real program, on a house's database.
pub struct Newspaper {
    pub variables: Vec<(&'static str, String)>,
    pub site: String,
    pub log: PathBuf,
    pub backup: PathBuf,
    pub client: reqwest::Client,
}

impl Newspaper {
    pub async fn open(house: &House, sink: &Sink, feed: &str) -> Newspaper {
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

    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.site)
    }

    /// Runs a subcommand; what it printed.
    pub async fn friday(&self, arguments: &[&str]) -> String {
        let output = self.command().args(arguments).output().await.unwrap();
        let log = std::fs::read_to_string(&self.log).unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", log.lines().last().unwrap_or_default());
        String::from_utf8(output.stdout).unwrap()
    }

    pub async fn serve(&self) -> Child {
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
    pub async fn post_all(&self, posts: impl Iterator<Item = (String, String)>) {
        let answers = futures_util::stream::iter(posts).map(async |(url, email)| {
            let fields: &[(&str, &str)] = if email.is_empty() { &[] } else { &[("email", &email)] };
            self.client.post(url).form(fields).send().await.unwrap().status().as_u16()
        });
        let answers: Vec<u16> = answers.buffer_unordered(16).collect().await;
        assert!(answers.iter().all(|status| matches!(status, 200 | 202)), "{answers:?}");
    }

    /// Database files with their logs, the backup, and Friday's own log.
    pub async fn everything_written(&self, house: &House) -> Vec<PathBuf> {
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
pub struct Search {
    patterns: PathBuf,
}

impl Search {
    pub fn for_all(addresses: &[String], folder: &Path) -> Search {
        let patterns = folder.join("patterns");
        let all: BTreeSet<String> = addresses.iter().flat_map(|a| forms(a)).collect();
        std::fs::write(&patterns, all.into_iter().collect::<Vec<_>>().join("\n")).unwrap();
        Search { patterns }
    }

    /// The files that hold one.
    pub async fn hits(&self, places: &[PathBuf]) -> Vec<PathBuf> {
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
pub fn forms(address: &str) -> Vec<String> {
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

/// Asks it to end, and waits until it has.
pub async fn stop(server: &mut Child) {
    let pid = server.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    assert!(server.wait().await.unwrap().success());
}
