//! A house where giving is open, for the stories about it: what a giver does, and what Stripe tells.

use crate::house::{House, Page};
use friday::config;
use friday::demo::stripe::{Handing, Options, Outcome, StandIn, Visit};
use serde_json::Value;
use std::collections::BTreeSet;
use std::ops::Deref;
use std::time::Duration;

pub const DAY: Duration = Duration::from_secs(24 * 3600);
pub const HOUR: Duration = Duration::from_secs(3600);
pub const GIVER: &str = "vera.giver@example.org";

/// A house where giving is open, at the stand-in.
pub struct Open {
    pub house: House,
    pub stripe: StandIn,
}

impl Deref for Open {
    type Target = House;
    fn deref(&self) -> &House {
        &self.house
    }
}

/// The ledger: object, kind, currency, amount.
pub type Ledger = BTreeSet<(String, String, String, i64)>;

impl Open {
    pub async fn new(house: House) -> Open {
        Open::with(house, |_| {}).await
    }

    pub async fn with(house: House, change: impl FnOnce(&mut config::Config)) -> Open {
        let stripe = StandIn::start(Options::new(house.clock().clone())).await.unwrap();
        let house = open_at(house, &stripe).with(change);
        Open { house, stripe }
    }

    /// The session that a press of the button leads to.
    pub async fn press(&self, frequency: &str, amount: &str, currency: &str) -> String {
        let fields = [("frequency", frequency), ("amount", amount), ("currency", currency)];
        let answer = self.post("/support/checkout", &fields).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        session_of(answer.location())
    }

    /// A gift by card, up to the moment when the giver has paid; no event has come yet.
    pub async fn give(&self, frequency: &str, amount: &str, currency: &str, email: &str) -> String {
        let session = self.press(frequency, amount, currency).await;
        assert_eq!(self.stripe.pay(&session, &Visit::by_card(email)).unwrap(), Outcome::Paid);
        session
    }

    /// Hands over what Stripe has to tell, and works.
    pub async fn hear(&self, handing: Handing) {
        self.post_events(handing).await;
        self.work().await;
    }

    pub async fn post_events(&self, handing: Handing) {
        for event in self.stripe.waiting(handing) {
            let headers = [("stripe-signature", event.signature.as_str()), ("content-type", "application/json")];
            let answer = self.post_bytes("/stripe/webhook", &headers, event.body.clone().into_bytes()).await;
            assert_eq!(answer.status, 200, "{}: {}", event.kind, answer.body);
            self.stripe.answered(&event.id, true);
        }
    }

    pub async fn ledger(&self) -> Ledger {
        let rows: Vec<(String, String, String, i64)> =
            self.db().read("SELECT object_id, kind, currency, amount FROM support_ledger").all().await.unwrap();
        rows.into_iter().collect()
    }

    pub async fn amounts(&self) -> Vec<(String, i64)> {
        let lines = "SELECT kind, amount FROM support_ledger WHERE kind <> 'fee' ORDER BY at, amount DESC";
        self.db().read(lines).all().await.unwrap()
    }

    /// What givers gave and got back, before Stripe's fees.
    pub async fn gross(&self) -> i64 {
        self.ledger().await.iter().filter(|line| line.1 != "fee").map(|line| line.3).sum()
    }

    pub async fn net(&self) -> i64 {
        self.ledger().await.iter().map(|line| line.3).sum()
    }

    pub async fn alarms(&self) -> Vec<String> {
        let rows: Vec<(String,)> = self.db().read("SELECT kind FROM support_alarms ORDER BY kind").all().await.unwrap();
        rows.into_iter().map(|(kind,)| kind).collect()
    }

    pub async fn gifts(&self) -> Vec<(String, String, i64)> {
        self.db()
            .read("SELECT frequency, state, amount FROM support_gifts ORDER BY started_at, id")
            .all()
            .await
            .unwrap()
    }

    pub async fn advance(&self, by: Duration) {
        self.clock().advance(by);
        self.stripe.catch_up();
    }

    pub fn charge(&self) -> String {
        self.stripe.objects("charge")[0]["id"].as_str().unwrap().to_owned()
    }
}

/// A house that speaks with that stand-in.
pub fn open_at(house: House, stripe: &StandIn) -> House {
    let api_base = stripe.base_url().to_owned();
    house.with(|config| {
        config.stripe = Some(config::Stripe {
            secret_key: "sk_test_standin_story".to_owned().into(),
            webhook_secrets: vec!["whsec_standin".to_owned().into()],
            api_base,
        });
    })
}

pub fn session_of(url: &str) -> String {
    let id = url.split(['/', '?', '#']).find(|part| part.starts_with("cs_"));
    id.unwrap_or_else(|| panic!("no session in {url}")).to_owned()
}

pub fn token_of(page: &Page) -> String {
    let at = page.body.find("name=\"form\" value=\"").expect("a form") + 19;
    page.body[at..].split('"').next().unwrap().to_owned()
}

pub fn row(kind: &str, amount: i64) -> (String, i64) {
    (kind.to_owned(), amount)
}

/// Where the giver's own page is: the link of their last mail that has one.
pub async fn own_page(open: &Open, giver: &str) -> String {
    let mails = open.mails_to(giver).await;
    mails.iter().rev().find(|mail| mail.text.contains("/support/manage/")).expect("a link").link("/support/manage/")
}

pub async fn last_subject(open: &Open, giver: &str) -> String {
    open.mails_to(giver).await.last().map(|mail| mail.subject.clone()).unwrap_or_default()
}

pub fn subscription(open: &Open) -> Value {
    open.stripe.objects("subscription")[0].clone()
}
