//! Every setting, tried for real.

use super::{Finding, store};
use crate::app::App;
use crate::articles;
use crate::articles::fetch::FetchError;
use crate::articles::task::Trouble;
use crate::clock::Clock;
use crate::config::{Config, STRIPE_API, Smtp, Tls};
use crate::db::{self, Db};
use crate::keys::{Drawer, Keys};
use crate::mail::dns::Resolver;
use crate::mail::{self, Mailer, records};
use futures_util::stream::{self, StreamExt};
use reqwest::StatusCode;
use secrecy::ExposeSecret;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// How many feeds are read at once.
const AT_ONCE: usize = 4;

/// What a check needs to be told beside the settings.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// The selector of the DKIM key.
    pub dkim_selector: Option<String>,
    /// The resolver to ask, instead of the system's.
    pub resolver: Option<SocketAddr>,
}

/// Looks at everything and tells each finding as it is made.
pub async fn everything(config: Config, look: &Look, tell: impl Fn(&Finding)) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut add = |findings: Vec<Finding>| {
        findings.iter().for_each(&tell);
        found.extend(findings);
    };
    add(site(&config));
    add(newsroom(&config));
    let (key, keys) = key(&config);
    add(key);
    let (database, db) = database(&config, keys.as_ref()).await;
    add(database);
    add(mail_servers(&config).await);
    add(stripe(&config).await);
    add(domains(&config, look).await);
    if let (Some(db), Some(keys)) = (db, keys) {
        let clock = Clock::system();
        let mailer = Mailer::from_config(&config, &clock);
        let app = App::assemble(config, db, keys, mailer, clock);
        add(feeds(&app).await);
        app.db.close().await;
    }
    found
}

/// Whether readers somewhere else are meant to come here: then what is only untidy on one's own machine is a danger.
fn is_public(config: &Config) -> bool {
    let host = config.host().trim_matches(['[', ']']);
    host != "localhost" && !host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn site(config: &Config) -> Vec<Finding> {
    const ABOUT: &str = "site";
    let url = &config.base_url;
    if !is_public(config) {
        let mend = "Set FRIDAY_BASE_URL to what readers reach before the first real mail.";
        return vec![Finding::warn(
            ABOUT,
            format!("links in mails begin with {url}: they work on this machine only"),
            mend,
        )];
    }
    let mut found = vec![match config.is_https() {
        true => Finding::ok(ABOUT, format!("links in mails begin with {url}")),
        false => Finding::bad(
            ABOUT,
            format!("{url} is not encrypted: whoever is on the way sees who signs up"),
            "Use https:// with one of the proxies in deploy/.",
        ),
    }];
    if config.listen.ip().is_loopback() && config.trusted_proxies.is_empty() {
        let mend = "Set FRIDAY_TRUSTED_PROXIES to the proxy's address, such as 127.0.0.1.";
        found.push(Finding::warn(ABOUT, "no proxy is trusted, so limits cannot tell one visitor from another", mend));
    }
    found
}

fn newsroom(config: &Config) -> Vec<Finding> {
    const ABOUT: &str = "newsroom";
    let newsroom = &config.newsroom;
    let mut found =
        vec![Finding::ok(ABOUT, format!("{}, {} newsletter(s)", newsroom.name, newsroom.newsletters.len()))];
    let mut want = |missing: bool, what: &str, mend: &str| {
        if missing {
            let says = format!("{what} is missing");
            found.push(if config.smtp.is_some() {
                Finding::bad(ABOUT, says, mend)
            } else {
                Finding::warn(ABOUT, says, mend)
            });
        }
    };
    want(
        newsroom.postal_address.is_empty(),
        "the postal address",
        "Set postal_address in newsroom.toml: the law wants one in each issue.",
    );
    let anybody = newsroom.from.is_some() || newsroom.newsletters.iter().any(|n| n.from.is_some());
    want(!anybody, "the sender's address", "Set from in newsroom.toml, such as \"Name <digest@example.org>\".");
    if newsroom.privacy_policy.is_none() {
        found.push(Finding::warn(
            ABOUT,
            "there is no privacy policy",
            "Set privacy_policy in newsroom.toml to its address.",
        ));
    }
    found
}

fn key(config: &Config) -> (Vec<Finding>, Option<Keys>) {
    const ABOUT: &str = "key";
    let path = &config.key_file;
    let name = path.display();
    if !path.exists() {
        let mend = "It is made by the first start. If there was one, put it back: without it nobody can be written to.";
        return (vec![Finding::warn(ABOUT, format!("there is no key at {name} yet"), mend)], None);
    }
    let keys = match Keys::open_or_create(path) {
        Ok(keys) => keys,
        Err(error) => {
            return (
                vec![Finding::bad(
                    ABOUT,
                    error.to_string(),
                    "Put back the key file as it was made; no part of it may change.",
                )],
                None,
            );
        }
    };
    let mut found = vec![Finding::ok(ABOUT, format!("{name} can be read"))];
    if is_open_to_others(path) {
        found.push(Finding::bad(
            ABOUT,
            format!("{name} can be read by other users of this machine"),
            format!("chmod 600 {name}"),
        ));
    }
    let data = db::file_of(config.database_url.expose_secret());
    let together = data.as_ref().and_then(|d| d.parent()).is_some_and(|folder| path.parent() == Some(folder));
    if together && is_public(config) {
        let mend = "Keep it in another place (deploy/friday.service hands it over as a credential): a stolen folder then names nobody.";
        found.push(Finding::warn(ABOUT, "the key lies in the folder of the database", mend));
    }
    (found, Some(keys))
}

#[cfg(unix)]
fn is_open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o007 != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_: &Path) -> bool {
    false
}

async fn database(config: &Config, keys: Option<&Keys>) -> (Vec<Finding>, Option<Db>) {
    const ABOUT: &str = "database";
    let url = config.database_url.expose_secret();
    if let Some(file) = db::file_of(url).filter(|file| !file.exists()) {
        let says = format!("there is none at {} yet", file.display());
        return (vec![Finding::warn(ABOUT, says, "friday serve makes it, or friday restore.")], None);
    }
    let db = match Db::open(url).await {
        Ok(db) => db,
        Err(error) => {
            let mend = "Look at FRIDAY_DATABASE_URL, and whether the server runs and lets this user in.";
            return (vec![Finding::bad(ABOUT, format!("it cannot be opened: {error}"), mend)], None);
        }
    };
    let kind = if db.is_postgres() { "PostgreSQL" } else { "SQLite" };
    let mut found = Vec::new();
    match db.missing_migrations().await {
        Ok(0) => found.push(Finding::ok(ABOUT, format!("{kind}, up to date"))),
        Ok(n) => found.push(Finding::warn(
            ABOUT,
            format!("{kind}, {n} migration(s) behind this program"),
            "friday migrate, or the next start.",
        )),
        Err(error) => found.push(Finding::bad(
            ABOUT,
            format!("{kind} does not answer: {error}"),
            "Look at the server's log and the disk.",
        )),
    }
    if let Err(error) = store::try_to_write(&db).await {
        let mend = "Look at who owns the file or the tables, and at the space on the disk.";
        found.push(Finding::bad(ABOUT, format!("it cannot be written to: {error}"), mend));
    }
    let mark = store::key_mark(&db).await.ok().flatten();
    if let (Some(keys), Some(mark)) = (keys, mark) {
        found.push(match keys.open(Drawer::Staff, b"key", &mark) {
            Ok(_) => Finding::ok("key", "it fits the database"),
            Err(_) => Finding::bad(
                "key",
                "it does not fit this database",
                "Put back the key that was there when the database was made.",
            ),
        });
    }
    (found, Some(db))
}

async fn mail_servers(config: &Config) -> Vec<Finding> {
    const ABOUT: &str = "mail";
    let Some(first) = &config.smtp else {
        let mend = "Set FRIDAY_SMTP_URL before the first real mail.";
        return vec![Finding::warn(
            ABOUT,
            "there is no mail server: mails go to the page /mailbox of this machine",
            mend,
        )];
    };
    let mut found = Vec::new();
    for smtp in [first].into_iter().chain(&config.smtp_fallbacks) {
        found.extend(mail_server(config, smtp).await);
    }
    found
}

/// One of them, tried by itself.
async fn mail_server(config: &Config, smtp: &Smtp) -> Vec<Finding> {
    const ABOUT: &str = "mail";
    let alone = Config { smtp: Some(smtp.clone()), smtp_fallbacks: Vec::new(), ..config.clone() };
    let server = format!("{}:{}", smtp.host, smtp.port);
    let mut found = Vec::new();
    match Mailer::from_config(&alone, &Clock::system()).connect().await {
        Ok(connection) => {
            connection.quit().await;
            let how = match (smtp.tls, smtp.login.is_some()) {
                (Tls::None, false) => "answers",
                (Tls::None, true) => "answers and signs us in",
                (_, false) => "answers, encrypted",
                (_, true) => "answers, encrypted, and signs us in",
            };
            found.push(Finding::ok(ABOUT, format!("{server} {how}")));
        }
        Err(error) => {
            let mend = "Look at FRIDAY_SMTP_URL: host, port, smtp:// (STARTTLS) or smtps://, user and password.";
            found.push(Finding::bad(ABOUT, error.to_string(), mend));
        }
    }
    let is_here = smtp.host == "localhost" || smtp.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if smtp.tls == Tls::None && !is_here {
        let says = format!("mails go to {server} in clear: whoever is on the way sees who reads");
        found.push(Finding::bad(ABOUT, says, "Leave out ?tls=none, which is for a relay on this machine."));
    }
    found
}

async fn stripe(config: &Config) -> Vec<Finding> {
    const ABOUT: &str = "stripe";
    let Some(stripe) = &config.stripe else {
        let mend = "Set FRIDAY_STRIPE_SECRET_KEY and FRIDAY_STRIPE_WEBHOOK_SECRETS to open it.";
        return vec![Finding::warn(ABOUT, "giving is not open: there is no key", mend)];
    };
    let asked = reqwest::Client::new()
        .get(format!("{}/v1/events?limit=1", stripe.api_base.trim_end_matches("/v1")))
        .bearer_auth(stripe.secret_key.expose_secret())
        .timeout(Duration::from_secs(15))
        .send()
        .await;
    let mut found = vec![match asked.map(|answer| answer.status()) {
        Ok(status) if status.is_success() => Finding::ok(ABOUT, "the key is known and may read events"),
        Ok(StatusCode::UNAUTHORIZED) => Finding::bad(
            ABOUT,
            "Stripe does not know the key",
            "Copy the secret key from Stripe's dashboard once more.",
        ),
        Ok(StatusCode::FORBIDDEN) => Finding::bad(
            ABOUT,
            "the key may not read events",
            "Give the restricted key the right to read events, or use a secret key.",
        ),
        Ok(status) => {
            Finding::bad(ABOUT, format!("Stripe answers {status}"), "Try again later; status.stripe.com says more.")
        }
        Err(_) => Finding::bad(ABOUT, "Stripe cannot be reached", "Look at this machine's way to the internet."),
    }];
    let is_test = stripe.secret_key.expose_secret().contains("_test_");
    if is_test && is_public(config) && stripe.api_base == STRIPE_API {
        found.push(Finding::warn(ABOUT, "the key is a test key: no money is taken", "Use the live key when you open."));
    }
    found.extend(radar(config).map(|says| Finding::ok(ABOUT, says)));
    found
}

/// The rule that keeps cards of dangerous countries out. Checkout learns a card's country no sooner than its bank does, and
/// Stripe has no call that would show or set the rule, so it can only be said.
fn radar(config: &Config) -> Option<String> {
    let codes: Vec<String> =
        config.newsroom.unsafe_countries.iter().map(|code| format!("'{}'", code.to_uppercase())).collect();
    (!codes.is_empty()).then(|| {
        let rule = format!("Block if :card_country: IN ({})", codes.join(", "));
        format!("set this rule in Stripe’s Radar, which cannot be seen from here: {rule}")
    })
}

/// Each feed, read once more. Those of the settings count as long as none is in the database.
async fn feeds(app: &App) -> Vec<Finding> {
    const ABOUT: &str = "feeds";
    let known = articles::store::feeds(&app.db).await.unwrap_or_default();
    let mut urls: Vec<String> = known.into_iter().map(|feed| feed.url).collect();
    if urls.is_empty() {
        urls.extend(app.newsroom().feeds.iter().map(|feed| feed.url.clone()));
    }
    if urls.is_empty() {
        let mend = "Add one on the page Articles, or to newsroom.toml.";
        return vec![Finding::warn(ABOUT, "there is no feed: articles are added one by one", mend)];
    }
    let read = |url: String| async move {
        match articles::task::try_feed(app, &url).await {
            Ok(document) => Finding::ok(ABOUT, format!("{url} has {} article(s)", document.entries.len())),
            Err(trouble) => Finding::bad(ABOUT, format!("{url}: {trouble}"), feed_mend(&trouble)),
        }
    };
    stream::iter(urls).map(read).buffered(AT_ONCE).collect().await
}

fn feed_mend(trouble: &Trouble) -> &'static str {
    match trouble {
        Trouble::Fetch(FetchError::Private) => {
            "Set FRIDAY_FETCH_PRIVATE=true if the feed is meant to be in your own network."
        }
        _ => "Look at its address with a browser.",
    }
}

/// The domains that mails are from, each once.
fn sender_domains(config: &Config) -> Vec<String> {
    let newsroom = &config.newsroom;
    let senders = newsroom.from.iter().chain(newsroom.newsletters.iter().filter_map(|n| n.from.as_ref()));
    let mut domains: Vec<String> = senders.filter_map(|s| mail::address_of(s)).map(|a| a.domain().to_owned()).collect();
    domains.sort();
    domains.dedup();
    domains
}

async fn domains(config: &Config, look: &Look) -> Vec<Finding> {
    const ABOUT: &str = "dns";
    let resolver = look.resolver.or(config.resolver);
    if config.smtp.is_none() && resolver.is_none() {
        return Vec::new();
    }
    let Some(resolver) = resolver.map(Resolver).or_else(Resolver::of_system) else {
        return vec![records::no_resolver(ABOUT)];
    };
    let selector = look.dkim_selector.as_deref().or(config.dkim_selector.as_deref());
    let mut found = Vec::new();
    for domain in sender_domains(config) {
        found.extend(records::look(&resolver, ABOUT, &domain, selector).await);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_for_radar_names_the_countries_of_the_settings() {
        let mut config = Config::from_sources(std::collections::BTreeMap::new(), None).unwrap();
        assert!(radar(&config).unwrap().ends_with("Block if :card_country: IN ('RU', 'BY')"));
        config.newsroom.unsafe_countries = vec!["ir".to_owned()];
        assert!(radar(&config).unwrap().ends_with("IN ('IR')"));
        config.newsroom.unsafe_countries.clear();
        assert_eq!(radar(&config), None);
    }
}
