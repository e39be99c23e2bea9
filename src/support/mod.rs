//! Who gives: the ask, Checkout, what Stripe tells us, the ledger, reminders and the giver's own page.
//!
//! Stripe holds the money, the names and the cards. Friday holds Stripe's ids, amounts and states, and so that a giver
//! can find their gift again, a blind index of their address under a key that readers' addresses do not have.
//!
//! Three rules carry the room. **The webhook believes nothing but a name:** it stores that an object has changed, and a
//! worker reads the object itself ([`task`]). **State follows the object, never the order of arrival:** ledger lines are
//! unique by Stripe's object id and are only ever added; a gift takes the answer of the latest read. So the same events
//! in any order, repeated and at once, end in one ledger. **A payment counts once:** one-time gifts when their session
//! is paid, recurring ones when their invoice is, never both.

use std::fmt;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::clock::Moment;
use crate::money::{Money, MoneyError};
use crate::newsroom::{Fee, SupportCurrency, SupportSettings};
use crate::words::Language;

pub mod accounts;
pub mod alarms;
pub mod answers;
pub mod apply;
pub mod ask;
pub mod calls;
pub mod challenge;
pub mod change;
pub mod cli;
pub mod desk;
pub mod held;
pub mod mail;
pub mod manage;
pub mod notices;
pub mod reconcile;
pub mod remind;
pub mod signature;
pub mod store;
pub mod stripe;
pub mod supporters;
pub mod task;
pub mod turns;
pub mod web;
pub mod webhook;
pub mod write;

/// The purpose of links to a giver's own page; they carry the donors' index of an address.
pub const MANAGE: &str = "support.manage";
/// The purpose of links that confirm a reminder; they carry address, month and language.
pub const REMIND: &str = "support.remind";
/// The purpose of links that cancel one; they carry its id.
pub const CANCEL: &str = "support.cancel";

/// How often somebody gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, sqlx::Type, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "TEXT", rename_all = "lowercase")]
pub enum Frequency {
    /// Once.
    Once,
    /// Each month.
    Monthly,
    /// Each year.
    Annual,
}

impl Frequency {
    /// All of them, as the page shows them.
    pub const ALL: [Frequency; 3] = [Frequency::Once, Frequency::Monthly, Frequency::Annual];

    /// Its name in forms, links and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Frequency::Once => "once",
            Frequency::Monthly => "monthly",
            Frequency::Annual => "annual",
        }
    }

    /// Reads such a name.
    pub fn parse(name: &str) -> Option<Frequency> {
        Frequency::ALL.into_iter().find(|frequency| frequency.as_str() == name.trim())
    }

    /// What the settings suggest for it, in whole units.
    pub fn suggested(self, currency: &SupportCurrency) -> &[i64] {
        match self {
            Frequency::Once => &currency.once,
            Frequency::Monthly => &currency.monthly,
            Frequency::Annual => &currency.annual,
        }
    }

    /// The least that is taken.
    pub fn minimum(self, currency: &SupportCurrency) -> Money {
        currency.money(match self {
            Frequency::Once => currency.minimum.once,
            Frequency::Monthly => currency.minimum.monthly,
            Frequency::Annual => currency.minimum.annual,
        })
    }
}

impl fmt::Display for Frequency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What somebody wants to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// How often.
    pub frequency: Frequency,
    /// How much each time.
    pub money: Money,
}

/// Why an amount is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Nothing chosen and nothing typed.
    #[error("no amount was chosen")]
    Missing,
    /// Not a number with as many decimals as the currency has.
    #[error("this is not an amount")]
    Unreadable,
    /// One amount was chosen and another one typed.
    #[error("two amounts were given")]
    Two,
    /// Less than the newsroom takes.
    #[error("less than is taken")]
    TooLittle(Money),
    /// More than the newsroom takes.
    #[error("more than is taken")]
    TooMuch(Money),
}

impl From<MoneyError> for AmountError {
    fn from(_: MoneyError) -> AmountError {
        AmountError::Unreadable
    }
}

/// What must be given so that at least `money` is left after Stripe's fee: the least such amount, in whole minor units.
///
/// Stripe rounds its share half up; three-decimal currencies are taken in whole tens only.
pub fn covering(money: Money, fee: Fee) -> Money {
    let step = if money.currency.exponent() == 3 { 10 } else { 1 };
    let kept = |total: i64| (total * fee.basis_points + 5_000) / 10_000 + fee.fixed;
    // Just below what it must be: the share is of the total, not of the gift.
    let mut total = (money.minor + fee.fixed) * 10_000 / (10_000 - fee.basis_points) / step * step - step;
    while total - kept(total) < money.minor {
        total += step;
    }
    Money::new(total, money.currency)
}

/// Reads an amount as typed and holds it against the settings.
///
/// # Errors
/// When it is no amount, or less or more than is taken.
pub fn amount(typed: &str, frequency: Frequency, currency: &SupportCurrency) -> Result<Money, AmountError> {
    // People type the sign as well; it says nothing that the form does not.
    let typed =
        typed.trim().trim_start_matches(currency.currency().sign()).trim_end_matches(currency.currency().sign());
    if typed.trim().is_empty() {
        return Err(AmountError::Missing);
    }
    let money = Money::parse_major(typed, currency.currency())?;
    let (least, most) = (frequency.minimum(currency), currency.money(currency.maximum));
    if money.minor < least.minor {
        Err(AmountError::TooLittle(least))
    } else if money.minor > most.minor {
        Err(AmountError::TooMuch(most))
    } else {
        Ok(money)
    }
}

/// The amount of a form that offers several and a field for an own one. If one is chosen and another typed, which is
/// meant is the giver's to say.
///
/// # Errors
/// As [`amount`], and where there are two.
pub fn chosen(
    radio: Option<&str>,
    own: Option<&str>,
    frequency: Frequency,
    currency: &SupportCurrency,
) -> Result<Money, AmountError> {
    let own = own.map(str::trim).filter(|own| !own.is_empty());
    match (radio.filter(|radio| *radio != "own"), own) {
        (Some(radio), None) => amount(radio, frequency, currency),
        (None, own) => amount(own.unwrap_or_default(), frequency, currency),
        (Some(radio), Some(own)) => {
            let (one, other) = (amount(radio, frequency, currency)?, amount(own, frequency, currency));
            if other == Ok(one) { Ok(one) } else { Err(AmountError::Two) }
        }
    }
}

/// The currency of that code among those the newsroom takes; without a code the one for readers of that language, or
/// the first.
pub fn currency<'s>(
    settings: &'s SupportSettings,
    code: Option<&str>,
    language: Language,
) -> Option<&'s SupportCurrency> {
    match code.or(settings.currency_for.get(&language).map(String::as_str)) {
        None => settings.currencies.first(),
        Some(code) => settings.currencies.iter().find(|currency| currency.code.eq_ignore_ascii_case(code.trim())),
    }
}

/// How far one press of the button has come. Only forward: see [`AttemptState::rank`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "TEXT", rename_all = "lowercase")]
pub enum AttemptState {
    /// Stripe has not been asked, or has not answered.
    New,
    /// The reader is at Checkout.
    Open,
    /// Done by the reader; a delayed method is on its way.
    Pending,
    /// The money is there.
    Paid,
    /// A delayed method failed.
    Failed,
    /// Nobody paid in time.
    Expired,
    /// Stripe would not make the page.
    Refused,
}

impl AttemptState {
    /// Its place on the way; a state is only ever replaced by one of a higher rank.
    pub fn rank(self) -> i64 {
        match self {
            AttemptState::New => 0,
            AttemptState::Refused => 1,
            AttemptState::Open => 2,
            AttemptState::Expired => 3,
            AttemptState::Pending => 4,
            AttemptState::Failed => 5,
            AttemptState::Paid => 6,
        }
    }

    /// Whether nothing more will come of it, so that the next press begins anew.
    pub fn is_over(self) -> bool {
        matches!(self, AttemptState::Failed | AttemptState::Expired | AttemptState::Refused)
    }
}

/// Where a recurring gift is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "TEXT", rename_all = "lowercase")]
pub enum GiftState {
    /// The first payment is not there yet.
    Pending,
    /// It runs.
    Active,
    /// A renewal was refused; Stripe tries again.
    Failing,
    /// The giver wanted a pause.
    Paused,
    /// It is over, and stays so.
    Ended,
}

impl GiftState {
    /// From Stripe's word for a subscription. A word that we do not know yet is taken as failing: somebody will look.
    pub fn of(status: &str, collection_paused: bool) -> GiftState {
        match status {
            "canceled" | "incomplete_expired" => GiftState::Ended,
            "incomplete" => GiftState::Pending,
            "paused" => GiftState::Paused,
            "active" | "trialing" if collection_paused => GiftState::Paused,
            "active" | "trialing" => GiftState::Active,
            _ => GiftState::Failing,
        }
    }

    /// How pages mark it: a class of the style.
    pub fn tone(self) -> &'static str {
        match self {
            GiftState::Active => "is-good",
            GiftState::Failing => "is-bad",
            GiftState::Pending | GiftState::Paused => "is-warn",
            GiftState::Ended => "",
        }
    }

    /// Its name in the database and in the catalogue.
    pub fn as_str(self) -> &'static str {
        match self {
            GiftState::Pending => "pending",
            GiftState::Active => "active",
            GiftState::Failing => "failing",
            GiftState::Paused => "paused",
            GiftState::Ended => "ended",
        }
    }
}

/// What kind of movement a line of the ledger is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "TEXT", rename_all = "lowercase")]
pub enum LineKind {
    /// Money that came.
    Payment,
    /// Money given back.
    Refund,
    /// Money taken back by the giver's bank.
    Dispute,
    /// Money that came back of a refund or dispute that did not stand.
    Reversal,
    /// What Stripe keeps.
    Fee,
}

/// One movement of money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Stripe's id of what moved it; the ledger holds each once.
    pub object_id: String,
    /// What kind of movement.
    pub kind: LineKind,
    /// The payment it belongs to.
    pub payment_intent: Option<String>,
    /// The attempt it came from, where that is known.
    pub attempt_id: Option<i64>,
    /// Of payments: how often.
    pub frequency: Option<Frequency>,
    /// Whether it is a giver's first of this gift.
    pub first: bool,
    /// How much; below zero where it leaves us.
    pub money: Money,
    /// When it moved.
    pub at: Moment,
    /// The donors' blind index of who gave.
    pub donor: Option<Vec<u8>>,
}

impl Line {
    /// A line that belongs to a payment and is none itself.
    pub fn of_payment(object_id: String, kind: LineKind, payment_intent: &str, money: Money, at: Moment) -> Line {
        Line {
            object_id,
            kind,
            payment_intent: Some(payment_intent.to_owned()),
            attempt_id: None,
            frequency: None,
            first: false,
            money,
            at,
            donor: None,
        }
    }
}

/// A recurring gift as Stripe tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gift {
    /// Stripe's id.
    pub subscription_id: String,
    /// Stripe's id of who gives.
    pub customer_id: Option<String>,
    /// The attempt it began with.
    pub attempt_id: i64,
    /// How often.
    pub frequency: Frequency,
    /// How much each time.
    pub money: Money,
    /// Where it is in its life.
    pub state: GiftState,
    /// Whether a first payment came or is on its way: not so while it is pending, and never where it was given up.
    pub began: bool,
    /// When it began.
    pub started_at: Moment,
    /// When the next payment is due.
    pub renews_at: Option<Moment>,
    /// Until when it is paused.
    pub paused_until: Option<Moment>,
    /// The last month in which the card works, `2027-03`, where Stripe said.
    pub card_until: Option<String>,
    /// When it is to end, while it still runs.
    pub ends_at: Option<Moment>,
    /// When it ended.
    pub ended_at: Option<Moment>,
    /// Stripe's word for why.
    pub ended_why: Option<String>,
}

impl Gift {
    /// Whether it began and its payments do not come: failing, or ended without one.
    pub fn is_unpaid(&self) -> bool {
        matches!(self.state, GiftState::Failing | GiftState::Ended)
    }
}

/// How long a confirmation or manage link sent on request works.
pub const LINK_LIFE: Duration = Duration::from_secs(72 * 3_600);
/// How long the link in a thank-you mail works: until the next one has surely come.
pub const THANKS_LINK_LIFE: Duration = Duration::from_secs(40 * 24 * 3_600);
/// How many mails a reminder is.
pub const REMINDERS: i64 = 2;

/// The months that a reminder can be asked for, beginning with the next: `2025-11`.
pub fn months(now: Moment) -> Vec<String> {
    let today = date(now);
    (1..=6).filter_map(|ahead| today.checked_add(jiff::Span::new().months(ahead)).ok()).map(month_of).collect()
}

/// When the first reminder for `month` goes out: on the day of the month on which it was asked for, or on the month's
/// last where it has no such day; for the running month a week on, or on its last day. `None` for a month that is over
/// or more than a year away.
pub fn reminder_at(month: &str, asked: Moment) -> Option<Moment> {
    let (year, number) = month.split_once('-').filter(|(year, number)| year.len() == 4 && number.len() == 2)?;
    let first = Date::new(year.parse().ok()?, number.parse().ok()?, 1).ok()?;
    let today = date(asked);
    let last = first.last_of_month();
    let day = if last <= today {
        return None;
    } else if first <= today {
        today.checked_add(jiff::Span::new().days(7)).ok()?.min(last)
    } else {
        Date::new(first.year(), first.month(), today.day().min(last.day())).ok()?
    };
    let too_far = today.checked_add(jiff::Span::new().months(12)).ok()?;
    (day <= too_far.last_of_month()).then(|| morning(day)).flatten()
}

/// When the second goes out: in the month after, on the day on which it was asked for.
pub fn reminder_again_at(month: &str, asked: Moment) -> Option<Moment> {
    let (year, number) = month.split_once('-')?;
    let first = Date::new(year.parse().ok()?, number.parse().ok()?, 1).ok()?;
    let next = first.checked_add(jiff::Span::new().months(1)).ok()?;
    morning(Date::new(next.year(), next.month(), date(asked).day().min(next.last_of_month().day())).ok()?)
}

/// The month of a moment, `2025-10`.
pub fn month_at(at: Moment) -> String {
    month_of(date(at))
}

fn month_of(day: Date) -> String {
    format!("{:04}-{:02}", day.year(), day.month())
}

fn date(at: Moment) -> Date {
    at.to_jiff().to_zoned_datetime(TimeZone::UTC).date()
}

fn morning(day: Date) -> Option<Moment> {
    Some(day.at(7, 0, 0, 0).to_zoned_datetime(TimeZone::UTC).ok()?.timestamp().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;

    fn at(text: &str) -> Moment {
        text.parse::<jiff::Timestamp>().unwrap().into()
    }

    fn usd(minor: i64) -> Money {
        Money::new(minor, Currency::from_code("USD").unwrap())
    }

    #[test]
    fn two_dollars_a_month_is_the_least() {
        let dollars = SupportCurrency::default();
        assert_eq!(amount("2", Frequency::Monthly, &dollars), Ok(usd(200)));
        assert_eq!(amount(" $2.50 ", Frequency::Monthly, &dollars), Ok(usd(250)));
        assert_eq!(amount("1.99", Frequency::Monthly, &dollars), Err(AmountError::TooLittle(usd(200))));
        assert_eq!(amount("19", Frequency::Annual, &dollars), Err(AmountError::TooLittle(usd(2_000))));
        assert_eq!(amount("10001", Frequency::Once, &dollars), Err(AmountError::TooMuch(usd(1_000_000))));
        for typed in ["five", "-5", "5.001", "1e3", "2,5,0"] {
            assert_eq!(amount(typed, Frequency::Once, &dollars), Err(AmountError::Unreadable), "{typed}");
        }
        assert_eq!(amount("  ", Frequency::Once, &dollars), Err(AmountError::Missing));
    }

    #[test]
    fn who_covers_the_fee_gives_the_least_that_leaves_the_gift_whole() {
        for code in ["USD", "JPY", "KWD"] {
            let currency = Currency::from_code(code).unwrap();
            let step = if code == "KWD" { 10 } else { 1 };
            for (basis_points, fixed) in [(290, 30), (150, 25), (0, 0), (0, 30), (2_000, 0), (325, 1)] {
                let fee = Fee { basis_points, fixed };
                let left = |total: i64| total - (total * basis_points + 5_000) / 10_000 - fixed;
                for amount in (1..400).chain([999, 5_000, 12_345, 1_000_000, 999_999_999]).map(|n| n * step) {
                    let total = covering(Money::new(amount, currency), fee).minor;
                    assert!(left(total) >= amount, "{code} {amount} {fee:?}: {total}");
                    assert!(left(total - step) < amount, "{code} {amount} {fee:?}: {total} is too much");
                    assert_eq!(total % step, 0);
                }
            }
        }
        assert_eq!(covering(usd(500), Fee { basis_points: 290, fixed: 30 }), usd(546));
    }

    #[test]
    fn yen_have_no_cents() {
        let yen = SupportCurrency {
            code: "JPY".to_owned(),
            minimum: crate::newsroom::Minimum { once: 100, monthly: 100, annual: 1_000 },
            ..SupportCurrency::default()
        };
        assert_eq!(amount("500", Frequency::Once, &yen).unwrap().minor, 500);
        assert_eq!(amount("500.5", Frequency::Once, &yen), Err(AmountError::Unreadable));
    }

    #[test]
    fn which_of_two_amounts_is_meant_is_not_guessed() {
        let dollars = SupportCurrency::default();
        let of = |radio, own| chosen(radio, own, Frequency::Monthly, &dollars);
        assert_eq!(of(Some("5"), None), Ok(usd(500)));
        assert_eq!(of(Some("5"), Some("  ")), Ok(usd(500)));
        assert_eq!(of(Some("own"), Some("7")), Ok(usd(700)));
        assert_eq!(of(None, Some("7")), Ok(usd(700)));
        assert_eq!(of(Some("5"), Some("7")), Err(AmountError::Two));
        assert_eq!(of(Some("5"), Some("5.00")), Ok(usd(500)));
        assert_eq!(of(Some("own"), None), Err(AmountError::Missing));
    }

    #[test]
    fn a_gift_follows_stripes_word() {
        assert_eq!(GiftState::of("active", false), GiftState::Active);
        assert_eq!(GiftState::of("active", true), GiftState::Paused);
        assert_eq!(GiftState::of("past_due", false), GiftState::Failing);
        assert_eq!(GiftState::of("unpaid", false), GiftState::Failing);
        assert_eq!(GiftState::of("canceled", true), GiftState::Ended);
        assert_eq!(GiftState::of("incomplete", false), GiftState::Pending);
    }

    #[test]
    fn a_reminder_asked_for_on_the_31st_comes_on_the_last_day_of_a_shorter_month() {
        let asked = at("2025-10-31T12:00:00Z");
        assert_eq!(reminder_at("2025-11", asked), Some(at("2025-11-30T07:00:00Z")));
        assert_eq!(reminder_at("2026-02", asked), Some(at("2026-02-28T07:00:00Z")));
        assert_eq!(reminder_again_at("2025-11", asked), Some(at("2025-12-31T07:00:00Z")));
        assert_eq!(reminder_again_at("2025-12", asked), Some(at("2026-01-31T07:00:00Z")));
    }

    #[test]
    fn a_reminder_is_for_a_month_to_come() {
        let asked = at("2025-10-17T12:00:00Z");
        assert_eq!(reminder_at("2025-10", asked), Some(at("2025-10-24T07:00:00Z")));
        assert_eq!(reminder_at("2025-10", at("2025-10-28T12:00:00Z")), Some(at("2025-10-31T07:00:00Z")));
        for month in ["2025-09", "2026-11", "2025-13", "2025-1", "", "later", "2025-10-17"] {
            assert_eq!(reminder_at(month, asked), None, "{month}");
        }
        assert_eq!(reminder_at("2025-10", at("2025-10-31T12:00:00Z")), None);
        assert_eq!(months(asked), ["2025-11", "2025-12", "2026-01", "2026-02", "2026-03", "2026-04"]);
        assert!(months(at("2025-10-31T12:00:00Z")).contains(&"2026-02".to_owned()));
    }
}
