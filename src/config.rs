//! The settings: one struct, from the environment and a file, with every problem said at once.
//!
//! Whoever sets Friday up at two in the morning should not mend one setting only to be told of the next. So nothing
//! here stops at the first problem. A name is looked for in the environment (`FRIDAY_LISTEN`), then as a file that
//! holds a secret (`FRIDAY_SMTP_URL_FILE`), then in the TOML file of `--config` in lower case without its prefix or
//! with it (`listen`, `friday_listen`).

use crate::newsroom::Newsroom;
use aws_lc_rs::signature::RsaKeyPair;
use ipnet::IpNet;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Every setting, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// `sqlite:PATH` or `postgres://…`.
    pub database_url: SecretString,
    /// The file with the key.
    pub key_file: PathBuf,
    /// Where pages are served.
    pub listen: SocketAddr,
    /// What links in mails begin with, without a slash at the end.
    pub base_url: String,
    /// The mail server; none means the development mailbox.
    pub smtp: Option<Smtp>,
    /// Further mail servers, each asked when those before it cannot be reached or turn us away.
    pub smtp_fallbacks: Vec<Smtp>,
    /// What mails are signed with, where Friday signs them.
    pub dkim: Option<Dkim>,
    /// Messages a second, 0 for no limit.
    pub send_rate: u32,
    /// Messages a second for each receiving domain, 0 for no limit.
    pub domain_rate: u32,
    /// Stripe, where giving is open.
    pub stripe: Option<Stripe>,
    /// The newsroom as its file says.
    pub newsroom: Newsroom,
    /// Networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether feeds, and the links of an issue, may be fetched from loopback and private addresses.
    pub fetch_private: bool,
    /// The name of the sender's DKIM key, as in NAME._domainkey.example.org: checks look it up.
    pub dkim_selector: Option<String>,
    /// The DNS resolver that checks ask, instead of the system's.
    pub resolver: Option<SocketAddr>,
    /// What is logged, in the syntax of tracing's filter.
    pub log: String,
    /// Whether the log is JSON.
    pub log_json: bool,
    /// Whoever knows this may read `/metrics` from elsewhere than loopback.
    pub metrics_token: Option<SecretString>,
    /// Whether `serve` brings the database up to date before it starts.
    pub migrate: bool,
}

/// The mail server.
#[derive(Debug, Clone)]
pub struct Smtp {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
    /// User and password, where it wants them.
    pub login: Option<(String, SecretString)>,
    /// How many connections at once.
    pub connections: usize,
}

/// A domain's key for signing mails (RFC 6376).
#[derive(Debug, Clone)]
pub struct Dkim {
    /// The name of its record: `SELECTOR._domainkey.DOMAIN`.
    pub selector: String,
    /// The key itself.
    pub pair: Arc<RsaKeyPair>,
}

/// How an SMTP connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// From the first octet (`smtps://`).
    Implicit,
    /// STARTTLS, without which nothing is sent (`smtp://`).
    Required,
    /// None, for a relay on the same machine (`?tls=none`).
    None,
}

/// Stripe.
#[derive(Debug, Clone)]
pub struct Stripe {
    /// `sk_live_…` or `sk_test_…`.
    pub secret_key: SecretString,
    /// All that may have signed an event: two while one is rolled.
    pub webhook_secrets: Vec<SecretString>,
    /// Where Stripe's API is, without a slash at the end.
    pub api_base: String,
}

/// Stripe's own API.
pub const STRIPE_API: &str = "https://api.stripe.com";

/// Where settings are looked for.
struct Sources {
    environment: BTreeMap<String, String>,
    file: toml::Table,
    problems: Vec<String>,
}

impl Config {
    /// Reads the settings from the process's environment and, where given, a TOML file.
    pub fn load(file: Option<&Path>) -> Result<Config, Vec<String>> {
        Config::from_sources(std::env::vars().filter(|(name, _)| name.starts_with("FRIDAY_")).collect(), file)
    }

    /// Reads the settings from these variables and, where given, a TOML file.
    pub fn from_sources(environment: BTreeMap<String, String>, file: Option<&Path>) -> Result<Config, Vec<String>> {
        let table = match file {
            Some(path) => read_table(path).map_err(|problem| vec![problem])?,
            None => toml::Table::new(),
        };
        let mut from = Sources { environment, file: table, problems: Vec::new() };
        from.refuse_unknown();
        let mut relays = from.smtp().into_iter();
        let (smtp, smtp_fallbacks) = (relays.next(), relays.collect());
        let config = Config {
            database_url: from.database_url(),
            key_file: PathBuf::from(from.text("KEY_FILE").unwrap_or_else(|| "data/friday.key".to_owned())),
            listen: from
                .parsed("LISTEN", "an address and a port such as 127.0.0.1:8080")
                .unwrap_or(([127, 0, 0, 1], 8080).into()),
            base_url: from.base_url(),
            smtp,
            smtp_fallbacks,
            dkim: from.dkim(),
            send_rate: from.parsed("SEND_RATE", "a whole number").unwrap_or(0),
            domain_rate: from.parsed("DOMAIN_RATE", "a whole number").unwrap_or(0),
            stripe: from.stripe(),
            newsroom: from.newsroom(),
            trusted_proxies: from.networks("TRUSTED_PROXIES"),
            fetch_private: from.switch("FETCH_PRIVATE", false),
            dkim_selector: from.text("DKIM_SELECTOR"),
            resolver: from.parsed("RESOLVER", "an address and a port such as 9.9.9.9:53"),
            log: from.text("LOG").unwrap_or_else(|| "info".to_owned()),
            log_json: from.text("LOG_FORMAT").is_some_and(|f| f == "json"),
            metrics_token: from.secret("METRICS_TOKEN"),
            migrate: from.switch("MIGRATE", true),
        };
        from.check_stand_in(&config);
        if from.problems.is_empty() { Ok(config) } else { Err(from.problems) }
    }

    /// The host of the base URL, for addresses made from it.
    pub fn host(&self) -> &str {
        host_of(&self.base_url)
    }

    /// Whether pages are reached over TLS, so that cookies may say so.
    pub fn is_https(&self) -> bool {
        self.base_url.starts_with("https://")
    }

    /// An absolute link into the site.
    pub fn link(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }
}

/// The names of all settings, without their prefix.
pub const NAMES: [&str; 20] = [
    "DATABASE_URL",
    "KEY_FILE",
    "LISTEN",
    "BASE_URL",
    "SMTP_URL",
    "DKIM_KEY",
    "DKIM_SELECTOR",
    "SEND_RATE",
    "DOMAIN_RATE",
    "STRIPE_SECRET_KEY",
    "STRIPE_WEBHOOK_SECRETS",
    "STRIPE_API_BASE",
    "NEWSROOM",
    "TRUSTED_PROXIES",
    "FETCH_PRIVATE",
    "RESOLVER",
    "LOG",
    "LOG_FORMAT",
    "METRICS_TOKEN",
    "MIGRATE",
];
const SECRETS: [&str; 6] =
    ["DATABASE_URL", "SMTP_URL", "DKIM_KEY", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRETS", "METRICS_TOKEN"];

fn read_table(path: &Path) -> Result<toml::Table, String> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|e| format!("{name}: {e}"))?;
    text.parse().map_err(|e: toml::de::Error| format!("{name}: {}", e.to_string().trim_end()))
}

fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

fn is_loopback(url: &str) -> bool {
    let host = host_of(url).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl Sources {
    fn refuse_unknown(&mut self) {
        let known =
            |name: &str| NAMES.contains(&name) || name.strip_suffix("_FILE").is_some_and(|n| SECRETS.contains(&n));
        let in_environment =
            self.environment.keys().map(|name| (name.clone(), name.trim_start_matches("FRIDAY_").to_owned()));
        let in_file =
            self.file.keys().map(|name| (name.clone(), name.to_uppercase().trim_start_matches("FRIDAY_").to_owned()));
        let unknown: Vec<String> = in_environment
            .chain(in_file)
            // Test and build settings share the prefix and are none of ours.
            .filter(|(_, name)| !known(name) && !name.starts_with("TEST_"))
            .map(|(as_written, _)| format!("{as_written}: there is no such setting"))
            .collect();
        self.problems.extend(unknown);
    }

    fn text(&mut self, name: &str) -> Option<String> {
        let variable = format!("FRIDAY_{name}");
        let lower = name.to_lowercase();
        if let Some(value) = self.environment.get(&variable) {
            return Some(value.trim().to_owned()).filter(|v| !v.is_empty());
        }
        if SECRETS.contains(&name) {
            let from_file = self
                .environment
                .get(&format!("{variable}_FILE"))
                .cloned()
                .or_else(|| self.in_table(&format!("{lower}_file")));
            if let Some(path) = from_file {
                return match std::fs::read_to_string(&path) {
                    Ok(text) => Some(text.trim().to_owned()),
                    Err(error) => {
                        self.problems.push(format!("{variable}_FILE: {path}: {error}"));
                        None
                    }
                };
            }
        }
        self.in_table(&lower)
    }

    fn in_table(&self, lower: &str) -> Option<String> {
        let value = self.file.get(lower).or_else(|| self.file.get(&format!("friday_{lower}")))?;
        Some(match value {
            toml::Value::String(text) => text.clone(),
            toml::Value::Array(items) => items
                .iter()
                .map(|i| i.as_str().map_or_else(|| i.to_string(), str::to_owned))
                .collect::<Vec<_>>()
                .join(","),
            other => other.to_string(),
        })
    }

    fn parsed<T: std::str::FromStr>(&mut self, name: &str, form: &str) -> Option<T> {
        let text = self.text(name)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.problems.push(format!("FRIDAY_{name}: \"{text}\" is not {form}"));
        }
        parsed
    }

    fn switch(&mut self, name: &str, default: bool) -> bool {
        match self.text(name).as_deref() {
            None => default,
            Some("true" | "yes" | "1" | "on") => true,
            Some("false" | "no" | "0" | "off") => false,
            Some(other) => {
                self.problems.push(format!("FRIDAY_{name}: \"{other}\" is neither true nor false"));
                default
            }
        }
    }

    fn secret(&mut self, name: &str) -> Option<SecretString> {
        self.text(name).map(SecretString::from)
    }

    fn database_url(&mut self) -> SecretString {
        let url = self.text("DATABASE_URL").unwrap_or_else(|| "sqlite:data/friday.db".to_owned());
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        if !["sqlite", "postgres", "postgresql"].contains(&scheme) {
            self.problems.push(format!(
                "FRIDAY_DATABASE_URL: the scheme \"{scheme}\" is not known; use sqlite:PATH or postgres://…"
            ));
        }
        url.into()
    }

    fn base_url(&mut self) -> String {
        let url = self.text("BASE_URL").unwrap_or_else(|| "http://localhost:8080".to_owned());
        let url = url.trim_end_matches('/').to_owned();
        let parsed = reqwest::Url::parse(&url);
        if !parsed.is_ok_and(|u| matches!(u.scheme(), "http" | "https") && u.has_host() && u.query().is_none()) {
            self.problems
                .push(format!("FRIDAY_BASE_URL: \"{url}\" is not an address such as https://news.example.org"));
        }
        url
    }

    fn networks(&mut self, name: &str) -> Vec<IpNet> {
        let mut networks = Vec::new();
        for part in self.text(name).unwrap_or_default().split([',', ' ']).filter(|p| !p.is_empty()) {
            match part.parse::<IpNet>().or_else(|_| part.parse::<IpAddr>().map(IpNet::from)) {
                Ok(network) => networks.push(network),
                Err(_) => self.problems.push(format!("FRIDAY_{name}: \"{part}\" is not a network such as 10.0.0.0/8")),
            }
        }
        networks
    }

    fn newsroom(&mut self) -> Newsroom {
        let path = match self.text("NEWSROOM") {
            Some(path) => PathBuf::from(path),
            None if Path::new("newsroom.toml").exists() => PathBuf::from("newsroom.toml"),
            None => return Newsroom::default(),
        };
        Newsroom::read(&path).unwrap_or_else(|problems| {
            self.problems.extend(problems);
            Newsroom::default()
        })
    }

    /// One URL, or several with commas between them.
    fn smtp(&mut self) -> Vec<Smtp> {
        let urls = self.text("SMTP_URL").unwrap_or_default();
        let mut servers = Vec::new();
        for url in urls.split(',').map(str::trim).filter(|url| !url.is_empty()) {
            match parse_smtp(url) {
                Ok(smtp) => servers.push(smtp),
                // The URL holds a password and is not quoted.
                Err(why) => self.problems.push(format!("FRIDAY_SMTP_URL: {why}")),
            }
        }
        servers
    }

    fn dkim(&mut self) -> Option<Dkim> {
        // A selector without a key is the relay's: it is only looked up.
        let (selector, key) = match (self.text("DKIM_SELECTOR"), self.text("DKIM_KEY")) {
            (Some(selector), Some(key)) => (selector, key),
            (_, None) => return None,
            (None, Some(_)) => {
                self.problems
                    .push("FRIDAY_DKIM_KEY needs FRIDAY_DKIM_SELECTOR, the name of the key's DNS record".to_owned());
                return None;
            }
        };
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        if selector.len() > 63 || !selector.split('.').all(is_label) {
            self.problems.push(format!("FRIDAY_DKIM_SELECTOR: \"{selector}\" is not the name of a DNS record"));
        }
        match rsa_key(&key) {
            Ok(pair) => Some(Dkim { selector, pair: Arc::new(pair) }),
            Err(why) => {
                self.problems.push(format!("FRIDAY_DKIM_KEY: {why}"));
                None
            }
        }
    }

    fn stripe(&mut self) -> Option<Stripe> {
        let key = self.text("STRIPE_SECRET_KEY");
        let secrets = self.text("STRIPE_WEBHOOK_SECRETS");
        let api_base = self.text("STRIPE_API_BASE").map(|b| b.trim_end_matches('/').to_owned());
        let (key, secrets) = match (key, secrets) {
            (Some(key), Some(secrets)) => (key, secrets),
            (None, None) => return None,
            _ => {
                self.problems.push(
                    "FRIDAY_STRIPE_SECRET_KEY and FRIDAY_STRIPE_WEBHOOK_SECRETS go together: one of them is missing"
                        .to_owned(),
                );
                return None;
            }
        };
        if !["sk_live_", "sk_test_", "rk_live_", "rk_test_"].iter().any(|p| key.starts_with(p)) {
            self.problems.push(
                "FRIDAY_STRIPE_SECRET_KEY: a key begins with sk_live_, sk_test_, rk_live_ or rk_test_".to_owned(),
            );
        }
        Some(Stripe {
            secret_key: key.into(),
            webhook_secrets: secrets
                .split(',')
                .map(str::trim)
                .filter(|s| !s.is_empty())
                .map(SecretString::from)
                .collect(),
            api_base: api_base.unwrap_or_else(|| STRIPE_API.to_owned()),
        })
    }

    /// A stand-in for Stripe takes no money. It must not be possible to run a newsroom with one by accident, so it needs
    /// three things that no newsroom's site has: a test key, a loopback API and a loopback site.
    fn check_stand_in(&mut self, config: &Config) {
        let Some(stripe) = config.stripe.as_ref().filter(|s| s.api_base != STRIPE_API) else { return };
        let is_test = stripe.secret_key.expose_secret().contains("_test_");
        if !is_test || !is_loopback(&stripe.api_base) || !is_loopback(&config.base_url) {
            self.problems.push(
                "FRIDAY_STRIPE_API_BASE: a stand-in for Stripe is only for trying out: it needs a test key, and both it and FRIDAY_BASE_URL on this machine".to_owned(),
            );
        }
    }
}

/// A private key in PEM. RFC 8301 wants 2,048 bits, which is also as many as one DNS record holds easily.
fn rsa_key(pem: &str) -> Result<RsaKeyPair, &'static str> {
    let no_key = "this is no RSA private key in PEM (openssl genrsa 2048)";
    let pair = match PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| no_key)? {
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        _ => return Err(no_key),
    };
    let pair = pair.map_err(|_| no_key)?;
    if pair.public_modulus_len() * 8 < 2_048 { Err("the key is too short: 2,048 bits is the least") } else { Ok(pair) }
}

fn parse_smtp(url: &str) -> Result<Smtp, String> {
    let form = "use smtp://user:password@host:587, smtps://…, or smtp://localhost:25?tls=none".to_owned();
    let url = reqwest::Url::parse(url).map_err(|_| form.clone())?;
    let host = url.host_str().ok_or_else(|| form.clone())?.trim_matches(['[', ']']).to_owned();
    let mut tls = match url.scheme() {
        "smtps" => Tls::Implicit,
        "smtp" => Tls::Required,
        _ => return Err(form),
    };
    let mut connections = 4;
    for (name, value) in url.query_pairs() {
        match (name.as_ref(), value.as_ref()) {
            ("tls", "none") => tls = Tls::None,
            ("tls", "required") => {}
            ("connections", n) => {
                connections =
                    n.parse().ok().filter(|n| (1..=1000).contains(n)).ok_or("connections is from 1 to 1000")?;
            }
            (name, _) => return Err(format!("\"{name}\" is not known there; {form}")),
        }
    }
    let decoded = |text: &str| {
        let pairs = format!("v={}", text.replace('+', "%2B"));
        reqwest::Url::parse(&format!("http://x/?{pairs}"))
            .ok()
            .and_then(|u| u.query_pairs().next().map(|(_, v)| v.into_owned()))
            .unwrap_or_default()
    };
    let login = (!url.username().is_empty())
        .then(|| (decoded(url.username()), SecretString::from(decoded(url.password().unwrap_or_default()))));
    let default_port = if tls == Tls::Implicit { 465 } else { 587 };
    Ok(Smtp { host, port: url.port().unwrap_or(default_port), tls, login, connections })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        Config::from_sources(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(), None)
    }

    #[test]
    fn nothing_is_required() {
        let config = config(&[]).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.database_url.expose_secret(), "sqlite:data/friday.db");
        assert!(config.smtp.is_none() && config.stripe.is_none());
    }

    #[test]
    fn every_problem_is_said_at_once() {
        let problems = config(&[
            ("FRIDAY_DATABASE_URL", "mysql://x"),
            ("FRIDAY_LISTEN", "here"),
            ("FRIDAY_SMTP_URL", "http://user:hunter2@host"),
            ("FRIDAY_LISTN", "x"),
            ("FRIDAY_STRIPE_SECRET_KEY", "sk_test_1"),
        ])
        .unwrap_err();
        assert_eq!(problems.len(), 5, "{problems:?}");
        assert!(!problems.concat().contains("hunter2"), "a password is not quoted");
    }

    #[test]
    fn a_mail_server_is_read_from_its_url() {
        let smtp = parse_smtp("smtps://us%40er:p%2Bw+d@mail.example.org?connections=20").unwrap();
        assert_eq!(
            (smtp.host.as_str(), smtp.port, smtp.tls, smtp.connections),
            ("mail.example.org", 465, Tls::Implicit, 20)
        );
        let (user, password) = smtp.login.unwrap();
        assert_eq!((user.as_str(), password.expose_secret()), ("us@er", "p+w+d"));
        let smtp = parse_smtp("smtp://127.0.0.1:2525?tls=none").unwrap();
        assert_eq!((smtp.port, smtp.tls, smtp.login.is_none()), (2525, Tls::None, true));
        assert!(parse_smtp("smtp://h?tsl=none").is_err());
    }

    #[test]
    fn a_stand_in_for_stripe_cannot_be_used_by_accident() {
        let with = |key: &str, base: &str, site: &str| {
            config(&[
                ("FRIDAY_STRIPE_SECRET_KEY", key),
                ("FRIDAY_STRIPE_WEBHOOK_SECRETS", "whsec_1"),
                ("FRIDAY_STRIPE_API_BASE", base),
                ("FRIDAY_BASE_URL", site),
            ])
            .is_ok()
        };
        assert!(with("sk_test_1", "http://127.0.0.1:1234", "http://localhost:8080"));
        assert!(!with("sk_live_1", "http://127.0.0.1:1234", "http://localhost:8080"));
        assert!(!with("sk_test_1", "http://stand-in.example", "http://localhost:8080"));
        assert!(!with("sk_test_1", "http://127.0.0.1:1234", "https://news.example.org"));
        assert!(with("sk_live_1", STRIPE_API, "https://news.example.org"));
    }
}
