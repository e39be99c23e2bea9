//! Whoever keeps Friday running.

use crate::house::{House, story};
use friday::config::{Config, NAMES};
use friday::newsroom::Newsroom;
use friday::ops::check::{self, Look};
use friday::ops::{Finding, State, backup};
use secrecy::SecretString;
use simple_dns::rdata::{RData, TXT};
use simple_dns::{CLASS, Packet, ResourceRecord};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

story!(the_process_says_that_it_lives_and_whether_it_can_work, async |house: House| {
    assert_eq!(house.get("/healthz").await.status, 200);
    assert_eq!(house.get("/readyz").await.status, 200);
    house.app.stop.cancel();
    assert_eq!(house.get("/healthz").await.status, 200);
    assert_eq!(house.get("/readyz").await.status, 503, "a process that drains takes no new work");
});

story!(a_database_that_is_gone_makes_it_unready, async |house: House| {
    house.app.db.close().await;
    assert_eq!(house.get("/healthz").await.status, 200);
    assert_eq!(house.get("/readyz").await.status, 503);
});

story!(a_command_whose_answer_nobody_reads_ends_without_a_word, async |house: House| {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_friday"));
    let settings = [
        ("FRIDAY_DATABASE_URL", house.database_url()),
        ("FRIDAY_KEY_FILE", house.app.config.key_file.display().to_string()),
    ];
    let piped = std::process::Stdio::piped;
    let mut friday =
        command.args(["subscribers", "count"]).envs(settings).stdout(piped()).stderr(piped()).spawn().unwrap();
    drop(friday.stdout.take());
    let ended = friday.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.code() == Some(141) && !said.contains("panicked"), "{:?}: {said}", ended.status);
});

story!(metrics_are_for_this_machine_or_with_the_token, async |house: House| {
    let house = house.with(|config| config.metrics_token = Some(SecretString::from("let me see")));
    let page = house.get("/metrics").await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("friday_mails_waiting 0"), "{}", page.body);
    let from = |headers: &'static [(&'static str, &'static str)]| house.get_with("/metrics", headers);
    assert_eq!(
        from(&[("x-forwarded-for", "198.51.100.7")]).await.status,
        404,
        "passed on by a proxy that is not known"
    );
    assert_eq!(from(&[("x-forwarded-for", "198.51.100.7"), ("authorization", "Bearer let me in")]).await.status, 404);
    assert_eq!(from(&[("x-forwarded-for", "198.51.100.7"), ("authorization", "Bearer let me see")]).await.status, 200);
});

story!(requests_are_counted_by_the_pattern_of_their_route, async |house: House| {
    house.get("/assets/no-such-thing-for-the-count").await;
    let body = house.get("/metrics").await.body;
    assert!(body.contains("friday_http_requests_total"), "{body}");
    assert!(!body.contains("no-such-thing-for-the-count"), "a path may hold a token");
});

story!(what_happens_is_counted_and_nobody_is_named, async |house: House| {
    house.get("/metrics").await;
    house.reader("counted@example.org", "weekly").await;
    let body = house.get("/metrics").await.body;
    for count in [
        "friday_sign_ups_total{step=\"asked\"}",
        "friday_sign_ups_total{step=\"confirmed\"}",
        "friday_mails_total{kind=\"sign-up\",outcome=\"sent\"}",
    ] {
        assert!(body.contains(count), "{count} is missing: {body}");
    }
    assert!(!body.contains("counted@") && !body.contains("example.org"));
});

story!(a_copy_is_made_while_friday_runs_and_put_back, async |house: House| {
    let folder = tempfile::tempdir().unwrap();
    let (copy, key_file) = (folder.path().join("copy"), house.app.config.key_file.clone());
    let url = house.database_url();
    house.app.db.write("INSERT INTO house (name, value) VALUES ('then', $1)").bind(vec![1_u8]).execute().await.unwrap();
    assert!(backup::back_up(&url, &copy).await.unwrap() > 1000);
    let again = backup::back_up(&url, &copy).await.unwrap_err();
    assert!(again.to_string().contains("is there already"), "{again}");
    house.app.db.write("DELETE FROM house WHERE name = 'then'").execute().await.unwrap();

    let restore = async |force| backup::restore(&url, &key_file, &copy, force, house.clock()).await;
    assert!(matches!(restore(false).await, Err(backup::BackupError::Occupied)));
    assert!(matches!(restore(true).await, Err(backup::BackupError::InUse)), "somebody is at work");
    house.app.db.close().await;
    let kept = restore(true).await.unwrap();
    assert_eq!(kept.is_some_and(|kept| kept.exists()), url.starts_with("sqlite"), "what was there stays");

    let db = friday::db::Db::open(&url).await.unwrap();
    let (then,): (i64,) = db.read("SELECT COUNT(*) FROM house WHERE name = 'then'").one().await.unwrap();
    assert_eq!(then, 1);
    db.close().await;
});

story!(a_copy_goes_only_where_its_key_fits, async |house: House| {
    let folder = tempfile::tempdir().unwrap();
    let (copy, key_file) = (folder.path().join("copy"), house.app.config.key_file.clone());
    let url = house.database_url();
    backup::back_up(&url, &copy).await.unwrap();
    house.app.db.close().await;
    let restore = async |key: &Path, file: &Path| {
        backup::restore(&url, key, file, true, house.clock()).await.unwrap_err().to_string()
    };
    let other = folder.path().join("other.key");
    assert!(restore(&other, &copy).await.contains("there is no key"));
    friday::keys::Keys::open_or_create(&other).unwrap();
    assert!(restore(&other, &copy).await.contains("does not fit this copy"));
    let letter = folder.path().join("letter.txt");
    std::fs::write(&letter, "Dear editors").unwrap();
    assert!(restore(&key_file, &letter).await.contains("is not a copy"));
});

story!(a_check_looks_at_the_database_the_key_and_the_mail_server, async |house: House| {
    let folder = tempfile::tempdir().unwrap();
    let key_file = house.app.config.key_file.clone();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let variables = [
        ("FRIDAY_DATABASE_URL", house.database_url()),
        ("FRIDAY_KEY_FILE", key_file.display().to_string()),
        ("FRIDAY_SMTP_URL", format!("smtp://{nobody}?tls=none")),
    ];
    let found = look(&variables, &Look::default()).await;
    assert!(has(&found, State::Ok, "up to date"), "{found:?}");
    assert!(has(&found, State::Ok, "it fits the database"), "{found:?}");
    assert!(has(&found, State::Bad, "cannot be reached"), "{found:?}");
    friday::keys::Keys::open_or_create(&folder.path().join("other.key")).unwrap();
    std::fs::rename(folder.path().join("other.key"), &key_file).unwrap();
    let found = look(&variables, &Look::default()).await;
    assert!(has(&found, State::Bad, "does not fit"), "{found:?}");
});

#[tokio::test]
async fn a_check_changes_nothing_where_nothing_is_yet() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let variables =
        [("FRIDAY_DATABASE_URL", format!("sqlite:{}", at("friday.db"))), ("FRIDAY_KEY_FILE", at("friday.key"))];
    let found = look(&variables, &Look::default()).await;
    assert!(found.iter().all(|f| f.state != State::Bad), "{found:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_check_reads_the_records_of_the_senders_domain() {
    let folder = tempfile::tempdir().unwrap();
    let newsroom = folder.path().join("newsroom.toml");
    std::fs::write(&newsroom, "from = \"News <hello@news.example.org>\"\n").unwrap();
    let variables = [
        ("FRIDAY_DATABASE_URL", format!("sqlite:{}", folder.path().join("friday.db").display())),
        ("FRIDAY_NEWSROOM", newsroom.display().to_string()),
    ];
    let resolver = resolver(&[
        ("news.example.org", "v=spf1 include:mail.example.net -all"),
        ("k1._domainkey.news.example.org", "v=DKIM1; p=MIIB"),
        ("_dmarc.example.org", "v=DMARC1; p=none"),
    ]);
    let ask = Look { dkim_selector: Some("k1".to_owned()), resolver: Some(resolver.await) };
    let found = look(&variables, &ask).await;
    assert!(has(&found, State::Ok, "has an SPF record"), "{found:?}");
    assert!(has(&found, State::Ok, "has a DKIM key"), "{found:?}");
    assert!(has(&found, State::Warn, "only watches"), "{found:?}");
    let found = look(&variables, &Look { resolver: Some(self::resolver(&[]).await), ..Look::default() }).await;
    assert!(
        has(&found, State::Bad, "has no SPF record") && has(&found, State::Bad, "has no DMARC record"),
        "{found:?}"
    );
}

#[test]
fn the_example_settings_list_every_key_and_can_be_read() {
    let path = deploy("friday.toml");
    assert!(Config::from_sources(BTreeMap::new(), Some(&path)).is_ok());
    let text = std::fs::read_to_string(&path).unwrap();
    // A setting that is commented out is a line "#name = …"; a sentence has a space after its sign.
    let open: String = text
        .lines()
        .map(|line| format!("{}\n", line.strip_prefix('#').filter(|l| !l.starts_with(' ')).unwrap_or(line)))
        .collect();
    let table: toml::Table = open.parse().unwrap();
    let mut listed: Vec<String> = table.keys().map(|key| key.to_uppercase()).collect();
    let mut wanted: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    listed.sort();
    wanted.sort();
    assert_eq!(listed, wanted);
}

#[test]
fn the_example_newsroom_lists_every_key_and_can_be_read() {
    let text = std::fs::read_to_string(deploy("newsroom.toml")).unwrap();
    let newsroom = Newsroom::from_toml(&text).unwrap();
    assert_eq!(newsroom.name, "The Example Times");
    let table: toml::Table = text.parse().unwrap();
    for place in
        ["", "[[newsletters]]", "[[feeds]]", "[support]", "[[support.currencies]]", "[support.currencies.minimum]"]
    {
        // The reader itself says which keys it knows, when it is given one that it does not.
        let probe = match place {
            "[support.currencies.minimum]" => {
                "[[support.currencies]]\ncode = \"EUR\"\nminimum = { no_such_key = 1 }".to_owned()
            }
            place => format!("{place}\nno_such_key = 1"),
        };
        let said = Newsroom::from_toml(&probe).unwrap_err().concat();
        let (_, known) = said.split_once("expected").unwrap_or_else(|| panic!("{said}"));
        for key in known.split('`').skip(1).step_by(2) {
            assert!(has_key(&toml::Value::Table(table.clone()), key), "{place} {key} is missing in the example");
        }
    }
}

fn has_key(value: &toml::Value, key: &str) -> bool {
    match value {
        toml::Value::Table(table) => table.iter().any(|(name, inner)| name == key || has_key(inner, key)),
        toml::Value::Array(items) => items.iter().any(|item| has_key(item, key)),
        _ => false,
    }
}

fn deploy(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

fn has(found: &[Finding], state: State, says: &str) -> bool {
    found.iter().any(|f| f.state == state && f.says.contains(says))
}

async fn look(variables: &[(&str, String)], look: &Look) -> Vec<Finding> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    check::everything(Config::from_sources(variables, None).unwrap(), look, |_| {}).await
}

/// A resolver that knows these texts and no other name.
pub async fn resolver(texts: &[(&'static str, &'static str)]) -> SocketAddr {
    let texts = texts.to_vec();
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut bytes = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut bytes).await {
            let asked = Packet::parse(&bytes[..length]).unwrap();
            let mut answer = Packet::new_reply(asked.id());
            let question = asked.questions[0].clone();
            let name = question.qname.to_string();
            if let Some((_, text)) = texts.iter().find(|(known, _)| *known == name) {
                let data = RData::TXT(TXT::new().with_string(text).unwrap());
                answer.answers.push(ResourceRecord::new(question.qname.clone(), CLASS::IN, 60, data));
            }
            answer.questions.push(question);
            socket.send_to(&answer.build_bytes_vec().unwrap(), from).await.unwrap();
        }
    });
    address
}
