//! The room's mails: one form of letter, filled in by what there is to say.
//!
//! Each is plain and short, has a text part that says the same, carries no picture and no link that tells who pressed
//! it, and names the giver nowhere.

use askama::Template;
use std::sync::Arc;

use crate::address::Address;
use crate::app::App;
use crate::clock::Moment;
use crate::mail::Message;
use crate::money::Money;
use crate::newsroom::Newsroom;
use crate::support::write::Ending;
use crate::support::{Choice, Frequency};
use crate::words::{Language, Words};

/// Whose letters they are, and in which language.
#[derive(Clone)]
pub struct House {
    /// The newsroom.
    pub newsroom: Arc<Newsroom>,
    /// What our addresses begin with.
    pub base_url: String,
    /// The sender, where it is not the newsroom's own.
    pub from: Option<String>,
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
    /// Whether that was the last try.
    pub is_last: bool,
    /// The giver's own page, or for one-time gifts the ask.
    pub link: String,
    /// Stripe's page where the giver confirms the payment, where their bank wants to ask them.
    pub bank_link: Option<String>,
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
        let subject = match (frequency, paid.first) {
            (Frequency::Monthly, true) => "support-mail-begun-monthly",
            (Frequency::Annual, true) => "support-mail-begun-annual",
            _ => "support-mail-thanks-subject",
        };
        let letter = Letter {
            subject: self.say(subject),
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
        let lede = match (&missed.bank_link, missed.is_last) {
            (Some(_), _) => self.words.say_with("support-mail-failed-ask", &arguments),
            (None, true) => self.words.say_with("support-mail-failed-last", &arguments),
            (None, false) => self.words.say_with(&format!("support-mail-failed-{frequency}"), &arguments),
        };
        let mut facts = Vec::new();
        if frequency != Frequency::Once {
            if let Some(again) = missed.again_at {
                let on = self.words.say1("support-mail-failed-retry-on", "date", &self.date(again));
                facts.push((self.say("support-mail-failed-retry"), on));
            }
            facts.push((self.say("support-mail-failed-then"), self.say("support-mail-failed-then-ends")));
            facts.push((self.say("support-mail-failed-owe"), self.say("support-mail-failed-nothing")));
        }
        let (label, notes) = match (frequency, &missed.bank_link) {
            (Frequency::Once, _) => ("support-mail-failed-again", Vec::new()),
            (_, Some(_)) => {
                let manage = Link { label: self.say("support-mail-manage"), href: missed.link.clone() };
                let notes = vec![(String::new(), Some(manage)), (self.say("support-mail-failed-safety"), None)];
                ("support-mail-failed-confirm", notes)
            }
            _ => ("support-mail-failed-button", vec![(self.say("support-mail-failed-safety"), None)]),
        };
        let href = missed.bank_link.clone().unwrap_or_else(|| missed.link.clone());
        let letter = Letter {
            subject: self.say("support-mail-failed-subject"),
            preheader: lede.clone(),
            lede,
            button: Some(Link { label: self.say(label), href }),
            facts,
            notes,
            why: self.say("support-mail-failed-why"),
        };
        self.write(to, &letter)
    }

    /// "Your gift has ended."
    pub fn ended(&self, to: Address, money: Money, why: Ending) -> Message {
        let lede = match why {
            Ending::Wished => "support-mail-ended",
            Ending::Failed => "support-mail-ended-failed",
            Ending::Disputed => "support-mail-ended-disputed",
        };
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

    /// "Your gift has changed."
    pub fn changed(&self, to: Address, old: Choice, new: Choice, next: Option<Moment>, manage: String) -> Message {
        let facts = [Some(("support-mail-was", self.each(old))), Some(("support-mail-is", self.each(new)))];
        self.about_gift(to, "changed", self.each(new), facts.into_iter().flatten().collect(), next, manage)
    }

    /// "Your gift is paused."
    pub fn paused(&self, to: Address, gift: Choice, until: Option<Moment>, manage: String) -> Message {
        let facts = until.map(|until| ("support-mail-paused-until", self.date(until)));
        self.about_gift(to, "paused", self.each(gift), facts.into_iter().collect(), None, manage)
    }

    /// "Your pause ends soon."
    pub fn resumes(&self, to: Address, gift: Choice, until: Moment, next: Moment, manage: String) -> Message {
        let facts = vec![("support-mail-paused-until", self.date(until))];
        self.about_gift(to, "resumes", self.each(gift), facts, Some(next), manage)
    }

    /// "Your annual gift renews soon."
    pub fn renews(&self, to: Address, money: Money, at: Moment, manage: String) -> Message {
        let gift = self.each(Choice { frequency: Frequency::Annual, money });
        self.about_gift(to, "renews", gift, Vec::new(), Some(at), manage)
    }

    /// "Your card runs out."
    pub fn card_ends(&self, to: Address, gift: Choice, month: &str, next: Moment, manage: String) -> Message {
        let facts = vec![("support-mail-card-until", month_name(&self.words, month))];
        self.about_gift(to, "card", self.each(gift), facts, Some(next), manage)
    }

    /// "$5 each month".
    fn each(&self, gift: Choice) -> String {
        self.amount(&format!("support-mail-each-{}", gift.frequency), gift.money)
    }

    /// A letter about a recurring gift that needs nobody: what has happened or will, and the way to the giver's own page.
    fn about_gift(
        &self,
        to: Address,
        what: &str,
        gift: String,
        facts: Vec<(&str, String)>,
        next: Option<Moment>,
        manage: String,
    ) -> Message {
        let key = |part: &str| format!("support-mail-{what}-{part}");
        let next = next.map(|next| ("support-mail-next-payment", self.date(next)));
        let letter = Letter {
            subject: self.say(&key("subject")),
            preheader: gift.clone(),
            lede: self.words.say1(&key("text"), "gift", &gift),
            button: Some(Link { label: self.say("support-mail-manage-button"), href: manage }),
            facts: facts.into_iter().chain(next).map(|(label, value)| (self.say(label), value)).collect(),
            notes: vec![(self.say("support-mail-gift-safety"), None)],
            why: self.say("support-mail-gift-why"),
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
            from: self.from.clone(),
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

/// Whose letters they are: in the language that was asked for, and where the newsroom wishes so under a sender that
/// does not name it.
pub fn house(app: &App, language: Language) -> House {
    let newsroom = app.newsroom();
    House {
        from: newsroom.support.discreet.then(|| newsroom.discreet_sender(None, app.config.host())),
        base_url: app.config.base_url.clone(),
        words: Words::of(language),
        newsroom,
    }
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
        of(newsroom, Language::En)
    }

    fn of(newsroom: Newsroom, language: Language) -> House {
        let base_url = "https://news.example".to_owned();
        House { newsroom: Arc::new(newsroom), base_url, from: None, words: Words::of(language) }
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
        let mail = of(Newsroom::default(), Language::Ru).thanks(to(), &paid(Frequency::Annual));
        assert_eq!(mail.subject, "Ежегодный взнос начался");
        assert!(mail.text.contains("5,50\u{a0}$") && mail.text.contains("17 октября 2025"), "{}", mail.text);
    }
}
