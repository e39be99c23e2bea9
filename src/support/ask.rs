//! The ask as a page shows it, and the form that comes back from it. No database, no Stripe.

use serde::{Deserialize, Deserializer};

use crate::money::{Currency, Money};
use crate::newsroom::{Fee, Newsroom, SupportCurrency};
use crate::support::{self, AmountError, Choice, Frequency};
use crate::words::{Language, Words};

/// What a form, a program or a link sends. The page sends an amount and an own amount for each frequency; programs and
/// links send a plain `amount`.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// "no", or "yes" and then nothing else counts. Never stored.
    #[serde(deserialize_with = "text")]
    pub at_risk: Option<String>,
    /// `once`, `monthly`, `annual`.
    #[serde(deserialize_with = "text")]
    pub frequency: Option<String>,
    /// In major units.
    #[serde(deserialize_with = "text")]
    pub amount: Option<String>,
    /// ISO 4217, in either case.
    #[serde(deserialize_with = "text")]
    pub currency: Option<String>,
    /// The page's token: the same press twice is one attempt.
    #[serde(deserialize_with = "text")]
    pub form: Option<String>,
    /// Whether Stripe's fee is given as well: anything but nothing.
    #[serde(deserialize_with = "text")]
    pub cover_fee: Option<String>,
    /// The solved task, where one was set: see [`challenge`](super::challenge).
    #[serde(deserialize_with = "text")]
    pub altcha: Option<String>,
    #[serde(deserialize_with = "text")]
    amount_once: Option<String>,
    #[serde(deserialize_with = "text")]
    amount_monthly: Option<String>,
    #[serde(deserialize_with = "text")]
    amount_annual: Option<String>,
    #[serde(deserialize_with = "text")]
    own_once: Option<String>,
    #[serde(deserialize_with = "text")]
    own_monthly: Option<String>,
    #[serde(deserialize_with = "text")]
    own_annual: Option<String>,
}

/// Text, or a JSON number as it was written.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    use serde_json::Value;
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text).filter(|text| !text.trim().is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null => None,
        _ => return Err(serde::de::Error::custom("a text or a number")),
    })
}

/// What is wrong with a form, field by field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The question was not answered.
    pub at_risk: bool,
    /// There is no such frequency.
    pub frequency: bool,
    /// The newsroom does not take this currency.
    pub currency: bool,
    /// The amount, and of which frequency.
    pub amount: Option<(Frequency, AmountError)>,
}

impl Faults {
    /// Whether there are none.
    pub fn none(&self) -> bool {
        *self == Faults::default()
    }
}

impl Asked {
    /// Whether the giver says that giving may endanger them.
    pub fn is_at_risk(&self) -> bool {
        self.at_risk.as_deref().is_some_and(|answer| answer != "no")
    }

    /// What a link may preset: everything but the answer to the question.
    #[must_use]
    pub fn of_a_link(mut self) -> Asked {
        self.at_risk = None;
        self
    }

    /// Whether it comes from the page, which asks the question, and not from a program.
    fn is_from_page(&self) -> bool {
        let fields = [&self.form, &self.amount_once, &self.amount_monthly, &self.amount_annual];
        fields.iter().any(|field| field.is_some())
    }

    fn chosen(&self, frequency: Frequency) -> (Option<&str>, Option<&str>) {
        let (radio, own) = match frequency {
            Frequency::Once => (&self.amount_once, &self.own_once),
            Frequency::Monthly => (&self.amount_monthly, &self.own_monthly),
            Frequency::Annual => (&self.amount_annual, &self.own_annual),
        };
        (radio.as_deref(), own.as_deref())
    }

    /// What is to be given.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn choice(&self, newsroom: &Newsroom, language: Language) -> Result<Choice, Faults> {
        let settings = &newsroom.support;
        let mut faults = Faults::default();
        let asks = !newsroom.unsafe_countries.is_empty() && self.is_from_page();
        faults.at_risk = asks && self.at_risk.as_deref() != Some("no");
        let frequency = Frequency::parse(self.frequency.as_deref().unwrap_or_default());
        faults.frequency = frequency.is_none();
        let currency = support::currency(settings, self.currency.as_deref(), language);
        faults.currency = currency.is_none();
        if let Some((frequency, currency)) = frequency.zip(currency) {
            match self.money(frequency, currency) {
                Ok(money) if faults.none() => return Ok(Choice { frequency, money }),
                Ok(_) => {}
                Err(error) => faults.amount = Some((frequency, error)),
            }
        }
        Err(faults)
    }

    /// How a running gift is to go on.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn new_choice(&self, currency: &SupportCurrency) -> Result<Choice, Faults> {
        let frequency = Frequency::parse(self.frequency.as_deref().unwrap_or_default());
        let Some(frequency) = frequency.filter(|frequency| *frequency != Frequency::Once) else {
            return Err(Faults { frequency: true, ..Faults::default() });
        };
        match self.money(frequency, currency) {
            Ok(money) => Ok(Choice { frequency, money }),
            Err(error) => Err(Faults { amount: Some((frequency, error)), ..Faults::default() }),
        }
    }

    fn money(&self, frequency: Frequency, currency: &SupportCurrency) -> Result<Money, AmountError> {
        match (&self.amount, self.chosen(frequency)) {
            (Some(amount), _) => support::amount(amount, frequency, currency),
            (None, (radio, own)) => support::chosen(radio, own, frequency, currency),
        }
    }

    /// The fee that the giver covers as well, where they wish to and the newsroom offers it.
    pub fn fee(&self, newsroom: &Newsroom, language: Language) -> Option<Fee> {
        self.cover_fee.as_ref()?;
        support::currency(&newsroom.support, self.currency.as_deref(), language)?.fee
    }
}

/// The ask, ready to be shown.
pub struct Ask {
    /// What the newsroom calls it: `support` or `donate`.
    pub word: String,
    /// The question before the amounts, where there are countries to ask about.
    pub question: Option<String>,
    /// Whether it was answered with "no".
    pub answered: bool,
    /// The frequencies with their amounts.
    pub frequencies: Vec<Often>,
    /// The currency's code, as forms send it.
    pub currency: String,
    /// The currency's name.
    pub currency_name: String,
    /// The other currencies: link and name.
    pub others: Vec<(String, String)>,
    /// The currency's sign, and whether it stands after the number.
    pub sign: String,
    /// See `sign`.
    pub sign_after: bool,
    /// How many decimals it has.
    pub decimals: u32,
    /// What the bank statement will say.
    pub statement: Option<String>,
    /// The ways to pay, in a sentence.
    pub methods: Option<String>,
    /// The words of "cover the fee", and the fee as the script reads it: basis points and minor units.
    pub fee: Option<(String, String)>,
    /// Whether it is chosen.
    pub covers: bool,
    /// Whether the browser must solve a task first.
    pub task: bool,
    /// What is wrong: the field's id and a sentence.
    pub problems: Vec<(String, String)>,
    /// How many, in a sentence.
    pub problems_title: String,
    /// The question lacks its answer.
    pub at_risk_missing: bool,
}

/// One frequency of the ask.
pub struct Often {
    /// `once`, `monthly`, `annual`.
    pub name: &'static str,
    /// Whether it is chosen.
    pub checked: bool,
    /// Its amounts: value, as shown, whether chosen.
    pub amounts: Vec<(i64, String, bool)>,
    /// Whether the own amount is chosen.
    pub own: bool,
    /// What is typed there.
    pub typed: String,
    /// What the field is called for who cannot see it.
    pub own_label: String,
    /// The least.
    pub hint: String,
    /// What is wrong.
    pub error: Option<String>,
}

impl Ask {
    /// The ask with what was asked for filled in, and what is wrong with it.
    pub fn new(newsroom: &Newsroom, words: Words, asked: &Asked, faults: Faults) -> Option<Ask> {
        let settings = &newsroom.support;
        let currency = support::currency(settings, asked.currency.as_deref(), words.language());
        let currency = currency.or(settings.currencies.first())?;
        let chosen = asked.frequency.as_deref().and_then(Frequency::parse);
        let chosen = chosen.or_else(|| Frequency::parse(&settings.default_frequency)).unwrap_or(Frequency::Monthly);
        let frequencies: Vec<Often> = Frequency::ALL
            .into_iter()
            .map(|frequency| often(words, currency, frequency, frequency == chosen, asked, faults))
            .collect();
        let others = settings.currencies.iter().filter(|other| !other.code.eq_ignore_ascii_case(&currency.code));
        let link = |other: &SupportCurrency| {
            let code = other.currency();
            (format!("/support?currency={}&frequency={chosen}", code.lower()), name(words, code))
        };
        let question = (!newsroom.unsafe_countries.is_empty())
            .then(|| words.say1("support-risk", "countries", &countries(newsroom, words, "support-in")));
        let code = currency.currency();
        let problems = problems(words, codes(newsroom), &frequencies, faults);
        Some(Ask {
            word: settings.word.clone(),
            answered: asked.at_risk.as_deref() == Some("no"),
            problems_title: words.say_n("support-problems", "n", i64::try_from(problems.len()).unwrap_or(i64::MAX)),
            problems,
            frequencies,
            currency: code.lower(),
            currency_name: name(words, code),
            others: others.map(link).collect(),
            sign: code.sign().to_owned(),
            sign_after: words.language() == Language::Ru,
            decimals: code.exponent(),
            statement: newsroom.statement_text.clone(),
            methods: methods(words, &settings.methods),
            fee: currency.fee.map(|fee| fee_words(words, fee, code)),
            covers: asked.cover_fee.is_some() && currency.fee.is_some(),
            task: false,
            at_risk_missing: faults.at_risk,
            question,
        })
    }
}

/// "You can pay by card, Apple Pay or SEPA debit."
fn methods(words: Words, methods: &[String]) -> Option<String> {
    let names: Vec<String> = methods.iter().map(|name| words.say1("support-method", "name", name)).collect();
    let (last, rest) = names.split_last()?;
    let all =
        if rest.is_empty() { last.clone() } else { format!("{} {} {last}", rest.join(", "), words.say("support-or")) };
    Some(words.say1("support-pay-by", "methods", &all))
}

/// "Add the card fee, 2.9 % + $0.30, so that all of it reaches us", and the same numbers for the script.
fn fee_words(words: Words, fee: Fee, code: Currency) -> (String, String) {
    let point = if words.language() == Language::Ru { ',' } else { '.' };
    let (whole, rest) = (fee.basis_points / 100, fee.basis_points % 100);
    let mut share = if rest == 0 { whole.to_string() } else { format!("{whole}{point}{rest:02}") };
    if rest > 0 {
        share.truncate(share.trim_end_matches('0').len());
    }
    let mut shown = format!("{share}\u{a0}%");
    if fee.fixed > 0 {
        shown = format!("{shown} + {}", Money::new(fee.fixed, code).display(words.language()));
    }
    let numbers = format!("{} {}", fee.basis_points, fee.fixed);
    (words.say1("support-cover", "fee", &shown), numbers)
}

/// The choices of a form that changes a running gift, as it is now or as was asked for.
pub fn changes(
    words: Words,
    currency: &SupportCurrency,
    now: Choice,
    rhythms: &[Frequency],
    asked: &Asked,
    faults: Faults,
) -> Vec<Often> {
    let chosen = asked.frequency.as_deref().and_then(Frequency::parse).unwrap_or(now.frequency);
    let as_it_is =
        Asked { frequency: Some(now.frequency.to_string()), amount: Some(now.money.plain()), ..Asked::default() };
    let asked = if asked.frequency.is_some() { asked } else { &as_it_is };
    rhythms.iter().map(|each| often(words, currency, *each, *each == chosen, asked, faults)).collect()
}

fn codes(newsroom: &Newsroom) -> String {
    newsroom.support.currencies.iter().map(|currency| currency.code.to_uppercase()).collect::<Vec<_>>().join(", ")
}

fn often(
    words: Words,
    currency: &SupportCurrency,
    frequency: Frequency,
    checked: bool,
    asked: &Asked,
    faults: Faults,
) -> Often {
    let suggested = frequency.suggested(currency);
    let (radio, own) = asked.chosen(frequency);
    // A link presets the amount of the frequency it names, or of all.
    let preset = asked.amount.as_deref().filter(|_| checked || asked.frequency.is_none());
    let wanted = radio.filter(|radio| *radio != "own").or(preset).map(str::trim);
    let among = |text: &str| {
        suggested.iter().position(|amount| Money::parse_major(text, currency.currency()) == Ok(currency.money(*amount)))
    };
    let typed = own.or(wanted.filter(|text| among(text).is_none())).unwrap_or_default();
    let at = match wanted {
        Some(text) => among(text),
        None if radio == Some("own") || !typed.is_empty() => None,
        None => Some(suggested.len() / 2),
    };
    let amounts = suggested.iter().enumerate();
    let shown = |(index, amount): (usize, &i64)| {
        (*amount, currency.money(*amount).display(words.language()), at == Some(index))
    };
    let label = [("currency", name(words, currency.currency()).into())];
    let least = frequency.minimum(currency).display(words.language());
    Often {
        name: frequency.as_str(),
        checked,
        amounts: amounts.map(shown).collect(),
        own: at.is_none_or(|index| index >= suggested.len()),
        typed: typed.to_owned(),
        own_label: words.say_with(&format!("support-other-{frequency}"), &label),
        hint: words.say1(&format!("support-least-{frequency}"), "amount", &least),
        error: faults
            .amount
            .filter(|(of, _)| *of == frequency)
            .map(|(_, error)| say(words, frequency, error, currency)),
    }
}

/// What is wrong with an amount, in a sentence.
pub fn say(words: Words, frequency: Frequency, error: AmountError, currency: &SupportCurrency) -> String {
    let of = |key: &str, money: Money| words.say1(key, "amount", &money.display(words.language()));
    match error {
        AmountError::Missing => words.say("support-amount-missing"),
        AmountError::Unreadable => {
            words.say1("support-amount-unreadable", "example", &frequency.minimum(currency).plain())
        }
        AmountError::Two => words.say("support-amount-two"),
        AmountError::TooLittle(least) => of(&format!("support-amount-little-{frequency}"), least),
        AmountError::TooMuch(most) => of("support-amount-much", most),
    }
}

fn problems(words: Words, codes: String, frequencies: &[Often], faults: Faults) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    if faults.at_risk {
        problems.push(("risk".to_owned(), words.say("support-risk-missing-link")));
    }
    if faults.frequency {
        problems.push(("how-often".to_owned(), words.say("support-frequency-unknown")));
    }
    if faults.currency {
        problems.push(("currency".to_owned(), words.say1("support-currency-unknown", "codes", &codes)));
    }
    let of_amounts = frequencies.iter().filter_map(|often| Some((format!("own-{}", often.name), often.error.clone()?)));
    problems.extend(of_amounts);
    problems
}

/// What is wrong, in one text for a program.
pub fn sentences(newsroom: &Newsroom, words: Words, asked: &Asked, faults: Faults) -> String {
    let ask = Ask::new(newsroom, words, asked, faults);
    let problems = ask.map(|ask| ask.problems).unwrap_or_default();
    problems.into_iter().map(|(_, sentence)| format!("{sentence}.")).collect::<Vec<_>>().join(" ")
}

/// A currency's name.
pub fn name(words: Words, currency: Currency) -> String {
    words.say1("support-currency-name", "code", currency.code())
}

/// "in Russia or in Belarus", by one of the two keys for it.
pub fn countries(newsroom: &Newsroom, words: Words, key: &str) -> String {
    let names: Vec<String> =
        newsroom.unsafe_countries.iter().map(|code| words.say1(key, "code", &code.to_uppercase())).collect();
    match names.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} {} {last}", rest.join(", "), words.say("support-or")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(json: &str) -> Asked {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_program_needs_three_fields_and_may_write_numbers() {
        let newsroom = Newsroom::default();
        for json in [
            r#"{"frequency":"monthly","amount":5,"currency":"USD"}"#,
            r#"{"frequency":"monthly","amount":"5.00","currency":"usd"}"#,
            r#"{"frequency":"monthly","amount":5.0}"#,
        ] {
            let choice = asked(json).choice(&newsroom, Language::En).unwrap();
            assert_eq!((choice.frequency, choice.money.minor), (Frequency::Monthly, 500), "{json}");
        }
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let faults = asked(r#"{"form":"x","frequency":"monthly","amount_monthly":"own","own_monthly":"1.50"}"#)
            .choice(&Newsroom::default(), Language::En)
            .unwrap_err();
        assert!(faults.at_risk && faults.amount.is_some());
        let faults = asked(r#"{"frequency":"weekly","amount":"5","currency":"XXX"}"#)
            .choice(&Newsroom::default(), Language::En)
            .unwrap_err();
        assert!(faults.frequency && faults.currency && !faults.at_risk);
    }

    #[test]
    fn only_who_says_no_can_go_on_from_the_page() {
        let newsroom = Newsroom::default();
        let form = |answer: &str| {
            asked(&format!(r#"{{"form":"x","at_risk":"{answer}","frequency":"once","amount_once":"10"}}"#))
        };
        assert!(form("no").choice(&newsroom, Language::En).is_ok() && !form("no").is_at_risk());
        for answer in ["yes", "maybe", "on"] {
            assert!(form(answer).is_at_risk() && form(answer).choice(&newsroom, Language::En).is_err(), "{answer}");
        }
        assert!(form("").choice(&newsroom, Language::En).unwrap_err().at_risk);
        let free = Newsroom { unsafe_countries: Vec::new(), ..Newsroom::default() };
        assert!(form("").choice(&free, Language::En).is_ok());
    }

    #[test]
    fn a_link_presets_frequency_and_amount() {
        let words = Words::of(Language::En);
        let of = |json: &str| Ask::new(&Newsroom::default(), words, &asked(json), Faults::default()).unwrap();
        let ask = of(r#"{"frequency":"annual","amount":"100"}"#);
        assert!(ask.frequencies[2].checked && ask.frequencies[2].amounts[2].2 && !ask.frequencies[2].own);
        assert!(ask.frequencies[1].amounts[1].2, "the others keep their own");
        let ask = of(r#"{"amount":"7.50"}"#);
        assert!(ask.frequencies[1].checked && ask.frequencies[1].own && ask.frequencies[1].typed == "7.50");
        let ask = of(r#"{"frequency":"never","amount":"<b>","currency":"zzz"}"#);
        assert!(ask.frequencies[1].checked && ask.currency == "usd");
    }

    #[test]
    fn the_question_names_the_countries_in_both_languages() {
        let newsroom = Newsroom::default();
        assert_eq!(countries(&newsroom, Words::of(Language::En), "support-in"), "in Russia or in Belarus");
        assert_eq!(countries(&newsroom, Words::of(Language::Ru), "support-from"), "из России или из Беларуси");
        let other = Newsroom { unsafe_countries: vec!["xx".to_owned()], ..newsroom };
        assert_eq!(countries(&other, Words::of(Language::En), "support-in"), "in XX");
    }
}
