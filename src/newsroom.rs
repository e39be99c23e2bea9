//! The newsroom: its name, its newsletters, its feeds, its words for giving.
//!
//! All of it is optional. A newsroom that has written nothing down yet is "Our newsroom" with one weekly newsletter in
//! English, so that the program can be looked at before it is set up. What staff change later in the pages is kept in
//! the database and wins over this file.

use crate::money::{Currency, Money};
use crate::words::Language;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// What `newsroom.toml` says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Newsroom {
    /// As readers know it.
    pub name: String,
    /// One line about it.
    pub tagline: Option<String>,
    /// Shown in every mail, as the law asks (CAN-SPAM, 15 U.S.C. 7704).
    pub postal_address: String,
    /// The address of the privacy policy; a page of Friday's own says the essentials where there is none.
    pub privacy_policy: Option<String>,
    /// What a bank statement will say: 5 to 22 Latin characters. Shown before a gift.
    pub statement_text: Option<String>,
    /// The newsroom's one colour, `#rrggbb`.
    pub accent: String,
    /// The sender of mails that belong to no newsletter. The first newsletter's, where missing.
    pub from: Option<String>,
    /// Countries, ISO 3166, in which giving to this newsroom can be prosecuted.
    pub unsafe_countries: Vec<String>,
    /// What readers can sign up to.
    pub newsletters: Vec<Newsletter>,
    /// Where articles come from, to begin with.
    pub feeds: Vec<FeedSetting>,
    /// Giving.
    pub support: SupportSettings,
}

/// A newsletter that readers can sign up to.
#[derive(Debug, Clone, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Newsletter {
    /// Its name in addresses: lower-case letters, digits and hyphens. Never changes.
    pub slug: String,
    /// As readers know it.
    pub name: String,
    /// The promise at the head of its page, such as "Every Friday, the week from the valley".
    #[serde(default)]
    pub headline: Option<String>,
    /// One or two sentences about it.
    #[serde(default)]
    pub description: Option<String>,
    /// The language it is written in.
    #[serde(default)]
    pub language: Language,
    /// Its sender: `Name <address>`.
    #[serde(default)]
    pub from: Option<String>,
    /// The sender's name for readers who asked not to see the newsroom's.
    #[serde(default)]
    pub discreet_name: Option<String>,
    /// When it goes out: a day and a time, `Fri 08:00`.
    #[serde(default = "friday_morning")]
    pub schedule: String,
    /// In this zone of the IANA database.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// Whether who signs up while an issue goes out gets that issue too, within a day of its beginning.
    #[serde(default = "yes")]
    pub send_to_newcomers: bool,
    /// Whether who has confirmed gets a mail that says welcome and shows the latest issue.
    #[serde(default = "yes")]
    pub welcome: bool,
}

/// A feed to begin with.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct FeedSetting {
    /// Its address.
    pub url: String,
    /// The section of its articles, where the feed does not say.
    #[serde(default)]
    pub section: Option<String>,
}

/// How readers can give.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SupportSettings {
    /// `support`, or `donate` for a charity: Stripe allows the second word to charities only.
    pub word: String,
    /// The frequency chosen to begin with: `once`, `monthly` or `annual`.
    pub default_frequency: String,
    /// A short appeal in Markdown.
    pub appeal: Option<String>,
    /// What can be given, the first currency being the default.
    pub currencies: Vec<SupportCurrency>,
    /// The default for readers of a language, where it is another: `{ ru = "EUR" }`.
    pub currency_for: BTreeMap<Language, String>,
    /// What can be paid by, as the page tells readers. What Checkout offers is set in Stripe's dashboard.
    pub methods: Vec<String>,
    /// Whether mails about giving come from a sender without the newsroom's name.
    pub discreet: bool,
    /// When browsers must solve a task before Checkout opens: `auto` (while cards are being tried), `always`, `never`.
    pub challenge: Challenge,
}

/// When a task must be solved before Checkout opens.
#[derive(Debug, Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Challenge {
    /// While somebody tries cards.
    #[default]
    Auto,
    /// Each time.
    Always,
    /// At no time.
    Never,
}

/// The ways to pay that the page has words for.
pub const METHODS: [&str; 11] = [
    "card",
    "apple_pay",
    "google_pay",
    "link",
    "paypal",
    "sepa_debit",
    "ideal",
    "bancontact",
    "twint",
    "bank",
    "klarna",
];

/// Suggested amounts in one currency, in major units.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SupportCurrency {
    /// ISO 4217.
    pub code: String,
    /// Suggested for one gift.
    #[serde(default = "once_amounts")]
    pub once: Vec<i64>,
    /// Suggested for each month.
    #[serde(default = "monthly_amounts")]
    pub monthly: Vec<i64>,
    /// Suggested for each year.
    #[serde(default = "annual_amounts")]
    pub annual: Vec<i64>,
    /// The least that is taken.
    #[serde(default)]
    pub minimum: Minimum,
    /// The most that is taken, whatever the frequency.
    #[serde(default = "maximum")]
    pub maximum: i64,
    /// What Stripe keeps of a payment, so that a giver can cover it. Not offered where missing.
    #[serde(default)]
    pub fee: Option<Fee>,
}

/// What Stripe keeps of a payment.
#[derive(Debug, Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Fee {
    /// A share, in hundredths of a percent: 2.9 % is 290.
    pub basis_points: i64,
    /// And this, in minor units.
    #[serde(default)]
    pub fixed: i64,
}

/// The least that is taken, in major units.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Minimum {
    /// At once.
    pub once: i64,
    /// Each month.
    pub monthly: i64,
    /// Each year.
    pub annual: i64,
}

fn friday_morning() -> String {
    "Fri 08:00".to_owned()
}
fn utc() -> String {
    "UTC".to_owned()
}
fn yes() -> bool {
    true
}
fn once_amounts() -> Vec<i64> {
    vec![10, 25, 50]
}
fn monthly_amounts() -> Vec<i64> {
    vec![2, 5, 10]
}
fn annual_amounts() -> Vec<i64> {
    vec![25, 50, 100]
}
fn maximum() -> i64 {
    10_000
}

impl Default for Minimum {
    fn default() -> Minimum {
        Minimum { once: 2, monthly: 2, annual: 20 }
    }
}

impl Default for SupportCurrency {
    fn default() -> SupportCurrency {
        SupportCurrency {
            code: "USD".to_owned(),
            once: once_amounts(),
            monthly: monthly_amounts(),
            annual: annual_amounts(),
            minimum: Minimum::default(),
            maximum: maximum(),
            fee: Some(Fee { basis_points: 290, fixed: 30 }),
        }
    }
}

impl SupportCurrency {
    /// The currency. The settings were checked when they were read.
    pub fn currency(&self) -> Currency {
        Currency::from_code(&self.code).expect("a checked code") // OK because `Newsroom::problems` refuses others at start.
    }

    /// A whole amount of it.
    pub fn money(&self, whole: i64) -> Money {
        Money::major(whole, self.currency())
    }
}

impl Default for SupportSettings {
    fn default() -> SupportSettings {
        SupportSettings {
            word: "support".to_owned(),
            default_frequency: "monthly".to_owned(),
            appeal: None,
            currencies: vec![SupportCurrency::default()],
            currency_for: BTreeMap::new(),
            methods: vec!["card".to_owned()],
            discreet: false,
            challenge: Challenge::Auto,
        }
    }
}

impl Default for Newsroom {
    fn default() -> Newsroom {
        Newsroom {
            name: "Our newsroom".to_owned(),
            tagline: None,
            postal_address: String::new(),
            privacy_policy: None,
            statement_text: None,
            accent: "#0b5394".to_owned(),
            from: None,
            unsafe_countries: vec!["RU".to_owned(), "BY".to_owned()],
            newsletters: vec![Newsletter::weekly()],
            feeds: Vec::new(),
            support: SupportSettings::default(),
        }
    }
}

impl Newsletter {
    fn weekly() -> Newsletter {
        Newsletter {
            slug: "weekly".to_owned(),
            name: "The Friday digest".to_owned(),
            headline: None,
            description: None,
            language: Language::En,
            from: None,
            discreet_name: None,
            schedule: friday_morning(),
            time_zone: utc(),
            send_to_newcomers: true,
            welcome: true,
        }
    }

    /// Its time zone. Settings are checked at start; an unknown one counts as UTC.
    pub fn zone(&self) -> jiff::tz::TimeZone {
        jiff::tz::TimeZone::get(&self.time_zone).unwrap_or(jiff::tz::TimeZone::UTC)
    }

    /// The day of the week it goes out and the time of that day.
    pub fn goes_out(&self) -> Option<(jiff::civil::Weekday, jiff::civil::Time)> {
        let (day, time) = self.schedule.split_once(' ')?;
        let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let day = days.iter().position(|d| day.to_ascii_lowercase().starts_with(d))?;
        let (hour, minute) = time.trim().split_once(':')?;
        let time = jiff::civil::Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()?;
        Some((jiff::civil::Weekday::from_monday_zero_offset(i8::try_from(day).ok()?).ok()?, time))
    }
}

impl Newsroom {
    /// Reads the file. What is wrong with it is said in full, one sentence a problem.
    pub fn read(path: &Path) -> Result<Newsroom, Vec<String>> {
        let name = path.display();
        let text = std::fs::read_to_string(path).map_err(|e| vec![format!("{name}: {e}")])?;
        Newsroom::from_toml(&text).map_err(|problems| problems.into_iter().map(|p| format!("{name}: {p}")).collect())
    }

    /// Reads the text of such a file.
    pub fn from_toml(text: &str) -> Result<Newsroom, Vec<String>> {
        let newsroom: Newsroom = toml::from_str(text).map_err(|e| vec![e.to_string().trim_end().to_owned()])?;
        let problems = newsroom.problems();
        if problems.is_empty() { Ok(newsroom) } else { Err(problems) }
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.newsletters.is_empty() {
            problems.push("there must be at least one newsletter".to_owned());
        }
        let accent = self.accent.strip_prefix('#').unwrap_or_default();
        if accent.len() != 6 || !accent.bytes().all(|b| b.is_ascii_hexdigit()) {
            problems.push(format!("accent \"{}\" is not a colour such as #0b5394", self.accent));
        }
        if self.statement_text.as_ref().is_some_and(|s| !(5..=22).contains(&s.len()) || !s.is_ascii()) {
            problems.push("statement_text must be 5 to 22 Latin characters".to_owned());
        }
        for (at, newsletter) in self.newsletters.iter().enumerate() {
            problems.extend(newsletter.problems());
            if self.newsletters[..at].iter().any(|other| other.slug == newsletter.slug) {
                problems.push(format!("two newsletters have the slug \"{}\"", newsletter.slug));
            }
        }
        problems.extend(self.support.problems());
        problems
    }

    /// The time zone in which it counts its days: its first newsletter's.
    pub fn zone(&self) -> jiff::tz::TimeZone {
        self.newsletters.first().map_or(jiff::tz::TimeZone::UTC, Newsletter::zone)
    }

    /// The newsletter of that name.
    pub fn newsletter(&self, slug: &str) -> Option<&Newsletter> {
        self.newsletters.iter().find(|n| n.slug == slug)
    }

    /// The sender of a newsletter, `Name <address>`: its own, or the newsroom's, or one made from the site's host.
    pub fn sender(&self, newsletter: Option<&Newsletter>, host: &str) -> String {
        newsletter
            .and_then(|n| n.from.clone())
            .or_else(|| self.from.clone())
            .or_else(|| self.newsletters.iter().find_map(|n| n.from.clone()))
            .unwrap_or_else(|| format!("\"{}\" <digest@{}>", self.name.replace('"', ""), mail_domain(host)))
    }
}

/// A machine's own name or number is no mail domain; RFC 2606 keeps `.invalid` for what must not be written to.
fn mail_domain(host: &str) -> String {
    let is_domain = crate::address::Address::parse(&format!("x@{host}")).is_ok();
    if is_domain { host.to_owned() } else { "localhost.invalid".to_owned() }
}

impl Newsroom {
    /// The same address without the newsroom's name, for mails to somebody who may be a stranger.
    pub fn discreet_sender(&self, newsletter: Option<&Newsletter>, host: &str) -> String {
        let sender = self.sender(newsletter, host);
        let address = sender.parse::<lettre::message::Mailbox>().map_or(sender, |party| party.email.to_string());
        match newsletter.and_then(|n| n.discreet_name.as_deref()) {
            Some(name) => format!("\"{}\" <{address}>", name.replace('"', "")),
            None => address,
        }
    }
}

impl Newsletter {
    fn problems(&self) -> Vec<String> {
        let slug = &self.slug;
        let mut problems = Vec::new();
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if slug.is_empty() || slug.len() > 40 || !slug.bytes().all(fits) {
            problems.push(format!("slug \"{slug}\" must be lower-case letters, digits and hyphens"));
        }
        if self.goes_out().is_none() {
            problems.push(format!(
                "newsletter {slug}: schedule \"{}\" is not a day and a time such as Fri 08:00",
                self.schedule
            ));
        }
        if jiff::tz::TimeZone::get(&self.time_zone).is_err() {
            problems.push(format!(
                "newsletter {slug}: time_zone \"{}\" is not known, such as Europe/Amsterdam is",
                self.time_zone
            ));
        }
        if self.from.as_ref().is_some_and(|f| f.parse::<lettre::message::Mailbox>().is_err()) {
            problems.push(format!("newsletter {slug}: from must look like \"Name <address>\""));
        }
        problems
    }
}

impl SupportSettings {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !["support", "donate"].contains(&self.word.as_str()) {
            problems.push("support.word must be support or donate".to_owned());
        }
        if !["once", "monthly", "annual"].contains(&self.default_frequency.as_str()) {
            problems.push("support.default_frequency must be once, monthly or annual".to_owned());
        }
        for method in self.methods.iter().filter(|method| !METHODS.contains(&method.as_str())) {
            problems.push(format!("support.methods: \"{method}\" is not one of {}", METHODS.join(", ")));
        }
        for code in self.currency_for.values() {
            if !self.currencies.iter().any(|currency| currency.code.eq_ignore_ascii_case(code)) {
                problems.push(format!("support.currency_for: \"{code}\" is not among the currencies"));
            }
        }
        for currency in &self.currencies {
            let fee = currency.fee.unwrap_or(Fee { basis_points: 0, fixed: 0 });
            if !(0..=2_000).contains(&fee.basis_points) || !(0..=10_000).contains(&fee.fixed) {
                problems.push(format!("support: the fee in {} must be from 0 to 2000 basis points", currency.code));
            }
            if Currency::from_code(&currency.code).is_err() {
                problems.push(format!("support: \"{}\" is not a currency such as USD", currency.code));
            }
            let minimum = currency.minimum;
            if [minimum.once, minimum.monthly, minimum.annual].iter().any(|m| *m < 1 || *m > currency.maximum) {
                problems
                    .push(format!("support: the minimum in {} must be from 1 to {}", currency.code, currency.maximum));
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_required() {
        let newsroom = Newsroom::from_toml("").unwrap();
        assert_eq!(newsroom.newsletter("weekly").unwrap().goes_out().unwrap().0, jiff::civil::Weekday::Friday);
        assert_eq!(newsroom.support.currencies[0].minimum.monthly, 2);
        assert_eq!(newsroom.sender(None, "localhost"), "\"Our newsroom\" <digest@localhost.invalid>");
    }

    #[test]
    fn every_problem_is_said_at_once() {
        let problems = Newsroom::from_toml(
            "accent = \"blue\"\n[[newsletters]]\nslug = \"A b\"\nname = \"x\"\nschedule = \"Sometimes\"\ntime_zone = \"Mars/Olympus\"\n",
        )
        .unwrap_err();
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert!(Newsroom::from_toml("nmae = \"x\"").unwrap_err()[0].contains("nmae"));
    }
}
