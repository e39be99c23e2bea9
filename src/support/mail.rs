//! The room's mails: one form of letter, filled in by what there is to say.
//!
//! Each is plain and short, has a text part that says the same, carries no picture and no link that tells who pressed
//! it, and names the giver nowhere.

use askama::Template;
use std::sync::Arc;

use crate::address::Address;
use crate::clock::Moment;
use crate::mail::Message;
use crate::money::Money;
use crate::newsroom::Newsroom;
use crate::support::{Choice, Frequency};
use crate::words::{Language, Words};

/// Whose letters they are, and in which language.
#[derive(Clone)]
pub struct House {
    /// The newsroom.
    pub newsroom: Arc<Newsroom>,
    /// What our addresses begin with.
    pub base_url: String,
    /// The catalogue of the reader's language.
    pub words: Words,
}

/// A link with its words.
struct Link {
    label: String,
    href: String,
}

/// What a letter says; the templates say how it looks.
struct Letter {
    subject: String,
    preheader: String,
    lede: String,
    button: Option<Link>,
    facts: Vec<(String, String)>,
    notes: Vec<(String, Option<Link>)>,
    why: String,
}

#[derive(Template)]
#[template(path = "support.html")]
struct Html<'a> {
    house: &'a House,
    letter: &'a Letter,
    accent: &'a str,
    sans: &'a str,
    serif: &'a str,
}

#[derive(Template)]
#[template(path = "support.txt")]
struct Text<'a> {
    house: &'a House,
    letter: &'a Letter,
}

const SANS: &str = "-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif";
const SERIF: &str = "Georgia,'Times New Roman',serif";

/// A payment that is thanked for.
#[derive(Clone, Debug)]
pub struct Paid {
    /// What was given.
    pub choice: Choice,
    /// Whether it is the first of a recurring gift (or the only one).
    pub first: bool,
    /// When.
    pub at: Moment,
    /// When the next is due.
    pub next_at: Option<Moment>,
    /// Stripe's number for it.
    pub number: String,
    /// The giver's own page.
    pub manage: String,
}

/// A payment that did not come.
#[derive(Clone, Debug)]
pub struct Missed {
    /// What was to be given.
    pub choice: Choice,
    /// When it was tried.
    pub at: Moment,
    /// When Stripe tries again.
    pub again_at: Option<Moment>,
    /// The giver's own page, or for one-time gifts the ask.
    pub link: String,
}

impl House {
    fn say(&self, key: &str) -> String {
        self.words.say(key)
    }

    fn amount(&self, key: &str, money: Money) -> String {
        self.words.say1(key, "amount", &money.display(self.words.language()))
    }

    fn link(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    fn date(&self, at: Moment) -> String {
        day(&self.words, at)
    }

    /// "Thank you", with what a receipt says.
    pub fn thanks(&self, to: Address, paid: &Paid) -> Message {
        let Choice { frequency, money } = paid.choice;
        let amount = money.display(self.words.language());
        let lede = match (frequency, paid.first) {
            (Frequency::Once, _) => "support-thanks-once",
            (Frequency::Monthly, true) => "support-thanks-monthly",
            (Frequency::Annual, true) => "support-thanks-annual",
            (Frequency::Monthly, false) => "support-thanks-again-monthly",
            (Frequency::Annual, false) => "support-thanks-again-annual",
        };
        let often = self.say(&format!("support-frequency-{frequency}"));
        let paid_on = [("amount", amount.as_str().into()), ("date", self.date(paid.at).into())];
        let mut facts = vec![(self.say("support-mail-paid"), self.words.say_with("support-mail-paid-on", &paid_on))];
        facts.push((
            self.say("support-mail-frequency"),
            match paid.next_at {
                Some(next) => {
                    let next = [("frequency", often.as_str().into()), ("date", self.date(next).into())];
                    self.words.say_with("support-mail-next", &next)
                }
                None => often.clone(),
            },
        ));
        if let Some(statement) = &self.newsroom.statement_text {
            facts.push((self.say("support-mail-statement"), statement.clone()));
        }
        facts.push((self.say("support-mail-number"), paid.number.clone()));
        let label = if frequency == Frequency::Once { "support-mail-see" } else { "support-mail-manage" };
        let manage = Link { label: self.say(label), href: paid.manage.clone() };
        let letter = Letter {
            subject: self.say("support-mail-thanks-subject"),
            preheader: format!("{amount}, {often}"),
            lede: self.words.say1(lede, "amount", &amount),
            button: None,
            facts,
            notes: vec![(String::new(), Some(manage)), (self.say("support-mail-keep"), None)],
            why: self.say("support-mail-thanks-why"),
        };
        self.write(to, &letter)
    }

    /// "Your payment did not go through", with what to do.
    pub fn missed(&self, to: Address, missed: &Missed) -> Message {
        let Choice { frequency, money } = missed.choice;
        let arguments =
            [("amount", money.display(self.words.language()).into()), ("date", self.date(missed.at).into())];
        let lede = self.words.say_with(&format!("support-mail-failed-{frequency}"), &arguments);
        let mut facts = Vec::new();
        if frequency != Frequency::Once {
            if let Some(again) = missed.again_at {
                let on = self.words.say1("support-mail-failed-retry-on", "date", &self.date(again));
                facts.push((self.say("support-mail-failed-retry"), on));
            }
            facts.push((self.say("support-mail-failed-then"), self.say("support-mail-failed-then-ends")));
            facts.push((self.say("support-mail-failed-owe"), self.say("support-mail-failed-nothing")));
        }
        let (label, notes) = match frequency {
            Frequency::Once => ("support-mail-failed-again", Vec::new()),
            _ => ("support-mail-failed-button", vec![(self.say("support-mail-failed-safety"), None)]),
        };
        let letter = Letter {
            subject: self.say("support-mail-failed-subject"),
            preheader: lede.clone(),
            lede,
            button: Some(Link { label: self.say(label), href: missed.link.clone() }),
            facts,
            notes,
            why: self.say("support-mail-failed-why"),
        };
        self.write(to, &letter)
    }

    /// "Your gift has ended."
    pub fn ended(&self, to: Address, money: Money, payment_failed: bool) -> Message {
        let lede = if payment_failed { "support-mail-ended-failed" } else { "support-mail-ended" };
        let letter = Letter {
            subject: self.say("support-mail-ended-subject"),
            preheader: self.say("support-manage-ended-now"),
            lede: self.amount(lede, money),
            button: None,
            facts: Vec::new(),
            notes: Vec::new(),
            why: self.say("support-mail-ended-why"),
        };
        self.write(to, &letter)
    }

    /// The mail that proves that whoever asks for a reminder has the mailbox. It names no newsroom, so that a
    /// stranger's wish tells nothing.
    pub fn confirm(&self, to: Address, month: &str, link: String) -> Message {
        let letter = Letter {
            subject: self.say("support-mail-confirm-subject"),
            preheader: String::new(),
            lede: self.words.say1("support-mail-confirm", "month", &month_name(&self.words, month)),
            button: Some(Link { label: self.say("support-mail-confirm-button"), href: link }),
            facts: Vec::new(),
            notes: vec![(self.say("support-mail-confirm-how"), None), (self.say("support-mail-confirm-not-you"), None)],
            why: String::new(),
        };
        self.write(to, &letter)
    }

    /// The reminder itself, the first or the last of two. `again` is the month of the second.
    pub fn reminder(
        &self,
        to: Address,
        asked: Moment,
        month: &str,
        again: Option<&str>,
        least: Money,
        cancel: String,
    ) -> Message {
        let asked_in = month_name(&self.words, &crate::support::month_at(asked));
        let arguments = [
            ("month", asked_in.into()),
            ("name", self.newsroom.name.as_str().into()),
            ("amount", least.display(self.words.language()).into()),
        ];
        let safety = Link { label: self.say("support-safety-why"), href: self.link("/support/safety") };
        let mut notes = vec![(self.say("support-mail-remind-safety"), Some(safety))];
        let preheader = match again {
            Some(again) => {
                let cancel = Link { label: self.say("support-mail-remind-cancel"), href: cancel };
                let text = self.words.say1("support-mail-remind-first", "month", &month_name(&self.words, again));
                notes.push((text, Some(cancel)));
                self.words.say1("support-mail-remind-preheader-first", "month", &month_name(&self.words, month))
            }
            None => {
                notes.push((self.say("support-mail-remind-last"), None));
                self.say("support-mail-remind-preheader-last")
            }
        };
        let letter = Letter {
            subject: self.say("support-mail-remind-subject"),
            preheader,
            lede: self.words.say_with("support-mail-remind", &arguments),
            button: Some(Link { label: self.say("support-mail-remind-button"), href: self.link("/support") }),
            facts: Vec::new(),
            notes,
            why: self.say("support-mail-remind-why"),
        };
        self.write(to, &letter)
    }

    /// The link to the giver's own page.
    pub fn manage(&self, to: Address, link: String) -> Message {
        let letter = Letter {
            subject: self.say("support-mail-manage-subject"),
            preheader: String::new(),
            lede: self.say("support-mail-manage-text"),
            button: Some(Link { label: self.say("support-mail-manage-button"), href: link }),
            facts: Vec::new(),
            notes: Vec::new(),
            why: self.say("support-mail-manage-why"),
        };
        self.write(to, &letter)
    }

    fn write(&self, to: Address, letter: &Letter) -> Message {
        let html = Html { house: self, letter, accent: &self.newsroom.accent, sans: SANS, serif: SERIF };
        Message {
            from: None,
            to,
            subject: letter.subject.clone(),
            // OK because these templates only print strings, which cannot fail.
            text: Text { house: self, letter }.render().expect("a text"),
            html: Some(html.render().expect("a page")), // OK because of the same.
            headers: Vec::new(),
        }
    }
}

impl Letter {
    /// Whether the newsroom may be named in the letter: not in one that a stranger can have sent to anybody.
    fn names_newsroom(&self) -> bool {
        !self.why.is_empty()
    }

    /// The facts as a text shows them, in two columns.
    fn columns(&self) -> Vec<String> {
        let width = self.facts.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0) + 1;
        self.facts.iter().map(|(label, value)| format!("{:<width$} {value}", format!("{label}:"))).collect()
    }
}

impl Text<'_> {
    fn wrap(&self, text: &str) -> String {
        wrap(text)
    }
}

/// Lines of at most 72 characters, as plain-text mails have them; what has no space stays whole.
fn wrap(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= 72 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

/// A day without its weekday: "17 October 2025".
pub fn day(words: &Words, at: Moment) -> String {
    let full = words.date(at, &jiff::tz::TimeZone::UTC);
    full.split_once(", ").map_or(full.clone(), |(_, day)| day.to_owned())
}

/// "November 2025" of `2025-11`.
pub fn month_name(words: &Words, month: &str) -> String {
    let (year, number) = month.split_once('-').unwrap_or((month, ""));
    let number: i64 = number.parse().unwrap_or(0);
    words.say_with("support-month-in", &[("month", number.into()), ("year", year.into())])
}

/// The language in which somebody is written to: as they asked, else English.
pub fn house(newsroom: Arc<Newsroom>, base_url: &str, language: Language) -> House {
    House { newsroom, base_url: base_url.to_owned(), words: Words::of(language) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;

    fn english() -> House {
        let newsroom = Newsroom {
            name: "Tom & Jerry’s <Times>".to_owned(),
            postal_address: "Street 1".to_owned(),
            statement_text: Some("TIMES".to_owned()),
            ..Newsroom::default()
        };
        house(Arc::new(newsroom), "https://news.example", Language::En)
    }

    fn paid(frequency: Frequency) -> Paid {
        Paid {
            choice: Choice { frequency, money: Money::new(550, Currency::from_code("USD").unwrap()) },
            first: true,
            at: Moment::from_millis(1_760_680_800_000),
            next_at: (frequency != Frequency::Once).then(|| Moment::from_millis(1_763_359_200_000)),
            number: "pi_123".to_owned(),
            manage: "https://news.example/support/manage/TOKEN".to_owned(),
        }
    }

    fn to() -> Address {
        Address::parse("giver@example.org").unwrap()
    }

    #[test]
    fn thanks_say_what_a_receipt_says() {
        let mail = english().thanks(to(), &paid(Frequency::Monthly));
        for part in [&mail.text, mail.html.as_ref().unwrap()] {
            for said in
                ["$5.50", "17 October 2025", "17 November 2025", "TIMES", "pi_123", "/support/manage/TOKEN", "Street 1"]
            {
                assert!(part.contains(said), "{said} is missing in {part}");
            }
            assert!(!part.contains("giver@example.org"));
        }
        assert!(
            mail.text.lines().all(|line| line.chars().count() <= 72 || line.starts_with("https://")),
            "{}",
            mail.text
        );
    }

    #[test]
    fn a_newsrooms_name_cannot_break_the_page_and_stays_itself_in_the_text() {
        let mail = english().thanks(to(), &paid(Frequency::Once));
        assert!(mail.html.unwrap().contains("Tom &#38; Jerry’s &#60;Times&#62;"));
        assert!(mail.text.contains("Tom & Jerry’s <Times>"), "{}", mail.text);
    }

    #[test]
    fn a_mail_that_a_stranger_may_have_asked_for_names_no_newsroom() {
        let mail = english().confirm(to(), "2025-11", "https://news.example/support/remind/confirm/T".to_owned());
        assert!(mail.text.contains("November 2025") && !mail.text.contains("Times>"), "{}", mail.text);
        assert!(!mail.html.unwrap().contains("Tom &"));
    }

    #[test]
    fn russian_letters_are_russian() {
        let house = house(Arc::new(Newsroom::default()), "https://news.example", Language::Ru);
        let mail = house.thanks(to(), &paid(Frequency::Annual));
        assert_eq!(mail.subject, "Спасибо");
        assert!(mail.text.contains("5,50\u{a0}$") && mail.text.contains("17 октября 2025"), "{}", mail.text);
    }
}
