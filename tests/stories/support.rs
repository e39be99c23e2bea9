//! Who gives: the ask, Checkout, Stripe's events, the ledger, reminders and the giver's own page.

use crate::house::{House, Page, story};
use friday::config;
use friday::demo::stripe::{Handing, Method, Options, Outcome, StandIn, Visit};
use friday::staff::Role;
use friday::support::reconcile::reconcile;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::ops::Deref;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);
const HOUR: Duration = Duration::from_secs(3600);
const GIVER: &str = "vera.giver@example.org";

/// A house where giving is open, at the stand-in.
struct Open {
    house: House,
    stripe: StandIn,
}

impl Deref for Open {
    type Target = House;
    fn deref(&self) -> &House {
        &self.house
    }
}

/// The ledger: object, kind, currency, amount.
type Ledger = BTreeSet<(String, String, String, i64)>;

impl Open {
    async fn new(house: House) -> Open {
        Open::with(house, |_| {}).await
    }

    async fn with(house: House, change: impl FnOnce(&mut config::Config)) -> Open {
        let stripe = StandIn::start(Options::new(house.clock().clone())).await.unwrap();
        let api_base = stripe.base_url().to_owned();
        let house = house.with(|config| {
            config.stripe = Some(config::Stripe {
                secret_key: "sk_test_standin_story".to_owned().into(),
                webhook_secrets: vec!["whsec_standin".to_owned().into()],
                api_base,
            });
            change(config);
        });
        Open { house, stripe }
    }

    /// The session that a press of the button leads to.
    async fn press(&self, frequency: &str, amount: &str, currency: &str) -> String {
        let fields = [("frequency", frequency), ("amount", amount), ("currency", currency)];
        let answer = self.post("/support/checkout", &fields).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        session_of(answer.location())
    }

    /// A gift by card, up to the moment when the giver has paid; no event has come yet.
    async fn give(&self, frequency: &str, amount: &str, currency: &str, email: &str) -> String {
        let session = self.press(frequency, amount, currency).await;
        assert_eq!(self.stripe.pay(&session, &Visit::by_card(email)).unwrap(), Outcome::Paid);
        session
    }

    /// Hands over what Stripe has to tell, and works.
    async fn hear(&self, handing: Handing) {
        self.post_events(handing).await;
        self.work().await;
    }

    async fn post_events(&self, handing: Handing) {
        for event in self.stripe.waiting(handing) {
            let headers = [("stripe-signature", event.signature.as_str()), ("content-type", "application/json")];
            let answer = self.post_bytes("/stripe/webhook", &headers, event.body.clone().into_bytes()).await;
            assert_eq!(answer.status, 200, "{}: {}", event.kind, answer.body);
            self.stripe.answered(&event.id, true);
        }
    }

    async fn ledger(&self) -> Ledger {
        let rows: Vec<(String, String, String, i64)> =
            self.db().read("SELECT object_id, kind, currency, amount FROM support_ledger").all().await.unwrap();
        rows.into_iter().collect()
    }

    async fn amounts(&self) -> Vec<(String, i64)> {
        let lines = "SELECT kind, amount FROM support_ledger WHERE kind <> 'fee' ORDER BY at, amount DESC";
        self.db().read(lines).all().await.unwrap()
    }

    /// What givers gave and got back, before Stripe's fees.
    async fn gross(&self) -> i64 {
        self.ledger().await.iter().filter(|line| line.1 != "fee").map(|line| line.3).sum()
    }

    async fn net(&self) -> i64 {
        self.ledger().await.iter().map(|line| line.3).sum()
    }

    async fn alarms(&self) -> Vec<String> {
        let rows: Vec<(String,)> = self.db().read("SELECT kind FROM support_alarms ORDER BY kind").all().await.unwrap();
        rows.into_iter().map(|(kind,)| kind).collect()
    }

    async fn gifts(&self) -> Vec<(String, String, i64)> {
        self.db()
            .read("SELECT frequency, state, amount FROM support_gifts ORDER BY started_at, id")
            .all()
            .await
            .unwrap()
    }

    async fn advance(&self, by: Duration) {
        self.clock().advance(by);
        self.stripe.catch_up();
    }

    fn charge(&self) -> String {
        self.stripe.objects("charge")[0]["id"].as_str().unwrap().to_owned()
    }
}

fn session_of(url: &str) -> String {
    let id = url.split(['/', '?', '#']).find(|part| part.starts_with("cs_"));
    id.unwrap_or_else(|| panic!("no session in {url}")).to_owned()
}

fn token_of(page: &Page) -> String {
    let at = page.body.find("name=\"form\" value=\"").expect("a form") + 19;
    page.body[at..].split('"').next().unwrap().to_owned()
}

fn row(kind: &str, amount: i64) -> (String, i64) {
    (kind.to_owned(), amount)
}

story!(without_a_key_giving_is_politely_not_open, async |house: House| {
    let page = house.get("/support").await;
    assert!(page.status == 200 && page.body.contains("Giving is not open here yet"), "{}", page.body);
    assert!(page.body.contains("/support/remind") && !page.body.contains("/support/checkout"));
    let press = house.post("/support/checkout", &[("frequency", "once"), ("amount", "5"), ("currency", "USD")]).await;
    assert!(press.status == 503 && press.body.contains("Giving is not open here yet"), "{}", press.status);
    let program = house.post_json("/support/checkout", &json!({"frequency": "once", "amount": 5})).await;
    assert_eq!(program.status, 503);
    assert!(serde_json::from_str::<Value>(&program.body).unwrap()["error"].is_string());
    assert_eq!(
        house.post_bytes("/stripe/webhook", &[("stripe-signature", "t=1,v1=00")], b"{}".to_vec()).await.status,
        400
    );
});

story!(the_page_asks_with_amounts_of_the_frequency_and_currency, async |house: House| {
    let toml = "statement_text = \"VALLEY POST\"\n[support]\nappeal = \"Dear *readers*, <script>no</script>\"\n[[support.currencies]]\ncode = \"USD\"\n[[support.currencies]]\ncode = \"EUR\"\nmonthly = [3, 6, 12]\n";
    let newsroom = friday::newsroom::Newsroom::from_toml(toml).unwrap();
    let open = Open::with(house, |config| config.newsroom = newsroom).await;
    let page = open.get("/support").await;
    for part in [
        "<span>$2</span>",
        "<span>$50</span>",
        "From $2 a month",
        "VALLEY POST",
        "currency=eur",
        "<em>readers</em>",
        "live in Russia or in Belarus",
    ] {
        assert!(page.body.contains(part), "{part} is missing: {}", page.body);
    }
    assert!(!page.body.contains("<script>no"));
    assert!(
        page.body.find("VALLEY POST") > page.body.find("value=\"monthly\" checked"),
        "before Continue, monthly first"
    );
    let euros = open.get("/support?currency=eur&frequency=annual&amount=7.50").await;
    assert!(euros.body.contains("<span>€6</span>") && euros.body.contains("value=\"annual\" checked"));
    assert!(euros.body.contains("id=\"own-annual\" value=\"7.50\""), "{}", euros.body);
    let russian = open.get("/support?lang=ru").await;
    assert!(russian.body.contains("вы живёте в России или в Беларуси") && russian.body.contains("2\u{a0}$"));
    let frame = open.get("/embed/support").await;
    assert!(frame.status == 200 && frame.body.contains("target=\"_top\""));
    assert!(frame.headers["content-security-policy"].to_str().unwrap().contains("frame-ancestors *"));
});

story!(whoever_may_be_in_danger_is_led_away_and_nothing_is_kept, async |house: House| {
    let open = Open::new(house).await;
    let token = token_of(&open.get("/support").await);
    let form = |risk: &'static str| {
        let mut fields =
            vec![("form", token.as_str()), ("frequency", "monthly"), ("amount_monthly", "5"), ("currency", "usd")];
        fields.extend((!risk.is_empty()).then_some(("at_risk", risk)));
        fields
    };
    let yes = open.post("/support/checkout", &form("yes")).await;
    assert_eq!((yes.status, yes.location()), (303, "/support/safety"));
    let missing = open.post("/support/checkout", &form("")).await;
    assert!(missing.status == 422 && missing.body.contains("Choose one of the two"), "{}", missing.body);
    assert_eq!(open.count("SELECT COUNT(*) FROM support_attempts").await, 0);
    assert!(open.stripe.objects("checkout.session").is_empty());
    let safety = open.get("/support/safety").await;
    assert!(safety.body.contains("Please do not give from Russia or from Belarus"), "{}", safety.body);
    let no = open.post("/support/checkout", &form("no")).await;
    assert_eq!(no.status, 303);
    assert_eq!(open.stripe.object(&session_of(no.location()))["amount_total"], 500);
});

story!(a_form_or_a_program_is_led_to_checkout_with_the_amount_in_minor_units, async |house: House| {
    let yen = "[[support.currencies]]\ncode = \"USD\"\n[[support.currencies]]\ncode = \"JPY\"\nonce = [500]\nminimum = { once = 100, monthly = 100, annual = 1000 }\n";
    let newsroom = friday::newsroom::Newsroom::from_toml(yen).unwrap();
    let open = Open::with(house, |config| config.newsroom = newsroom).await;
    for (frequency, amount, currency, minor, mode) in [
        ("once", "5.50", "USD", 550, "payment"),
        ("monthly", "2", "usd", 200, "subscription"),
        ("annual", "20", "USD", 2000, "subscription"),
        ("once", "500", "JPY", 500, "payment"),
    ] {
        let session = open.stripe.object(&open.press(frequency, amount, currency).await);
        assert_eq!((session["amount_total"].as_i64(), session["mode"].as_str()), (Some(minor), Some(mode)));
        assert_eq!(session["currency"], currency.to_lowercase());
    }
    let answer =
        open.post_json("/support/checkout", &json!({"frequency": "monthly", "amount": 7.5, "currency": "USD"})).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let url = serde_json::from_str::<Value>(&answer.body).unwrap()["url"].as_str().unwrap().to_owned();
    assert_eq!(open.stripe.object(&session_of(&url))["amount_total"], 750);
});

story!(an_amount_that_is_not_taken_is_said_beside_its_field_and_never_asked_of_stripe, async |house: House| {
    let open = Open::new(house).await;
    for (frequency, amount, currency, said) in [
        ("monthly", "1.99", "USD", "The smallest monthly gift is $2"),
        ("annual", "19", "USD", "The smallest annual gift is $20"),
        ("once", "10001", "USD", "The largest gift here is $10,000"),
        ("once", "five", "USD", "Type the amount as a number"),
        ("once", "-5", "USD", "Type the amount as a number"),
        ("once", "5.001", "USD", "Type the amount as a number"),
        ("once", "", "USD", "Choose an amount"),
        ("weekly", "5", "USD", "Choose how often"),
        ("once", "5", "XXX", "This currency is not taken here"),
    ] {
        let fields = [("frequency", frequency), ("amount", amount), ("currency", currency)];
        let page = open.post("/support/checkout", &fields).await;
        assert!(page.status == 422 && page.body.contains(said), "{frequency} {amount}: {}", page.body);
        assert!(page.body.contains("Nothing has been paid"));
        let program = open
            .post_json("/support/checkout", &json!({"frequency": frequency, "amount": amount, "currency": currency}))
            .await;
        assert!(program.status == 422 && program.body.contains(said), "{}", program.body);
    }
    let two = [
        ("form", "x"),
        ("at_risk", "no"),
        ("frequency", "once"),
        ("amount_once", "10"),
        ("own_once", "7"),
        ("currency", "usd"),
    ];
    assert!(open.post("/support/checkout", &two).await.body.contains("Keep one of the two"));
    assert_eq!(open.count("SELECT COUNT(*) FROM support_attempts").await, 0);
    assert!(open.stripe.objects("checkout.session").is_empty());
});

story!(a_double_click_is_one_session_and_a_press_after_the_end_a_new_one, async |house: House| {
    let open = Open::new(house).await;
    let token = token_of(&open.get("/support").await);
    let form = |amount: &'static str| {
        [
            ("form", token.as_str()),
            ("at_risk", "no"),
            ("frequency", "monthly"),
            ("amount_monthly", amount),
            ("currency", "usd"),
        ]
    };
    let (first, second) = (form("5"), form("5"));
    let (one, two) = tokio::join!(open.post("/support/checkout", &first), open.post("/support/checkout", &second));
    assert_eq!((one.status, two.status), (303, 303));
    assert_eq!(one.location(), two.location());
    assert_eq!(open.post("/support/checkout", &form("5")).await.location(), one.location());
    assert_eq!(open.stripe.objects("checkout.session").len(), 1);
    assert_ne!(
        open.post("/support/checkout", &form("10")).await.location(),
        one.location(),
        "another amount is another gift"
    );
    // Not paid in a day: the page at Checkout is over, and the same press leads to a new one.
    open.advance(DAY + HOUR).await;
    let later = open.post("/support/checkout", &form("5")).await;
    assert_ne!(later.location(), one.location());
    open.stripe.pay(&session_of(later.location()), &Visit::by_card(GIVER)).unwrap();
    let back = open.post("/support/checkout", &form("5")).await;
    assert!(back.location().starts_with("/support/thanks?session="), "paid already: {}", back.location());
});

story!(whoever_tries_cards_from_one_network_is_stopped, async |house: House| {
    let open = Open::with(house, |config| config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await;
    let fields = [("frequency", "once"), ("amount", "5"), ("currency", "USD")];
    let press =
        async |from: &str| open.post_with("/support/checkout", &[("x-forwarded-for", from)], &fields).await.status;
    for last in 1..=10 {
        assert_eq!(press(&format!("198.51.100.{last}")).await, 303);
    }
    assert_eq!(press("198.51.100.99").await, 429, "another address of the same network");
    assert_eq!(press("203.0.113.5").await, 303, "another network");
    assert_eq!(open.stripe.objects("checkout.session").len(), 11);
});

story!(a_gift_once_is_counted_and_thanked_for_once, async |house: House| {
    let open = Open::new(house).await;
    let session = open.give("once", "25", "USD", GIVER).await;
    let before = open.get(&format!("/support/thanks?session={session}")).await;
    assert!(before.status == 200 && before.body.contains("Your gift of $25 has arrived"), "{}", before.body);
    assert!(open.ledger().await.is_empty(), "looking counts nothing");
    open.hear(Handing { copies: 3, shuffle: None }).await;
    assert_eq!(open.amounts().await, [row("payment", 2500)]);
    let after = open.get(&format!("/support/thanks?session={session}")).await;
    assert!(after.body.contains("Your gift of $25 has arrived"));
    let mails = open.mails_to(GIVER).await;
    assert_eq!(mails.len(), 1);
    assert_eq!((mails[0].subject.as_str(), mails[0].header("Auto-Submitted")), ("Thank you", Some("auto-generated")));
    assert!(mails[0].text.contains("Your gift of $25 has arrived") && mails[0].html.contains("$25"));
    assert_eq!(open.get("/support/thanks?session=cs_test_unknown").await.status, 404);
    assert_eq!(open.count("SELECT COUNT(*) FROM support_attempts WHERE state = 'paid'").await, 1);
});

story!(a_monthly_gift_is_counted_by_its_invoices_and_never_twice, async |house: House| {
    let open = Open::new(house).await;
    let session = open.give("monthly", "5", "USD", GIVER).await;
    open.hear(Handing::IN_ORDER).await;
    assert_eq!(open.amounts().await, [row("payment", 500)]);
    assert_eq!(open.gifts().await, [("monthly".to_owned(), "active".to_owned(), 500)]);
    let thanks = open.get(&format!("/support/thanks?session={session}")).await;
    assert!(
        thanks.body.contains("You give $5 each month from today") && thanks.body.contains("26 December 2026"),
        "{}",
        thanks.body
    );
    open.advance(32 * DAY).await;
    open.hear(Handing { copies: 2, shuffle: Some(7) }).await;
    assert_eq!(open.amounts().await, [row("payment", 500), row("payment", 500)]);
    let mails = open.mails_to(GIVER).await;
    assert_eq!(mails.len(), 2, "{:?}", mails.iter().map(|mail| &mail.subject).collect::<Vec<_>>());
    assert!(
        mails[0].text.contains("You give $5 each month from today")
            && mails[1].text.contains("Your monthly gift of $5 has arrived")
    );
    // A refund of the renewal finds its payment, whose charge names no invoice any more.
    open.stripe.refund(&open.charge(), Some(200)).unwrap();
    open.hear(Handing::IN_ORDER).await;
    assert_eq!(open.gross().await, 800);
    assert_eq!(open.net().await, open.stripe.balance("usd"), "to the cent");
});

story!(an_annual_gift_renews_after_a_year, async |house: House| {
    let open = Open::new(house).await;
    open.give("annual", "50", "USD", GIVER).await;
    open.hear(Handing::IN_ORDER).await;
    assert_eq!(open.gifts().await, [("annual".to_owned(), "active".to_owned(), 5000)]);
    open.advance(366 * DAY).await;
    open.hear(Handing::IN_ORDER).await;
    assert_eq!(open.amounts().await, [row("payment", 5000), row("payment", 5000)]);
});

story!(a_debit_counts_when_it_is_paid_and_not_before, async |house: House| {
    let open = Open::new(house).await;
    let good = open.press("once", "50", "USD").await;
    assert_eq!(open.stripe.pay(&good, &Visit::by_debit(GIVER, true)).unwrap(), Outcome::OnItsWay);
    let bad = open.press("once", "40", "USD").await;
    assert_eq!(open.stripe.pay(&bad, &Visit::by_debit("other@example.org", false)).unwrap(), Outcome::OnItsWay);
    open.hear(Handing::IN_ORDER).await;
    assert!(
        open.ledger().await.is_empty() && open.mails_to(GIVER).await.is_empty(),
        "unpaid gifts are not thanked for"
    );
    let page = open.get(&format!("/support/thanks?session={good}")).await;
    assert!(page.body.contains("Your gift of $50 is on its way"), "{}", page.body);
    open.advance(8 * DAY).await;
    open.hear(Handing { copies: 2, shuffle: Some(3) }).await;
    assert_eq!(open.amounts().await, [row("payment", 5000)]);
    assert_eq!(open.mails_to(GIVER).await.len(), 1);
    let other = open.mails_to("other@example.org").await;
    assert_eq!(other.len(), 1);
    assert!(other[0].text.contains("Your gift of $40 did not arrive"), "{}", other[0].text);
    let page = open.get(&format!("/support/thanks?session={bad}")).await;
    assert!(page.body.contains("Nothing has been paid"), "{}", page.body);
});

story!(a_renewal_that_fails_is_told_once_and_the_gift_fails_recovers_or_ends, async |house: House| {
    let open = Open::new(house).await;
    open.give("monthly", "5", "USD", GIVER).await;
    open.hear(Handing::IN_ORDER).await;
    let customer = open.stripe.objects("customer")[0]["id"].as_str().unwrap().to_owned();
    open.stripe.set_cards(&customer, Method::Declined);
    open.advance(31 * DAY + 2 * HOUR).await;
    open.hear(Handing { copies: 2, shuffle: Some(1) }).await;
    assert_eq!(open.gifts().await[0].1, "failing");
    let failed = |mails: Vec<crate::house::Mail>| {
        mails.into_iter().filter(|mail| mail.subject.contains("did not go through")).count()
    };
    assert_eq!(failed(open.mails_to(GIVER).await), 1);
    // The next try fails too, and is not another mail.
    open.advance(4 * DAY).await;
    open.hear(Handing::IN_ORDER).await;
    assert_eq!(failed(open.mails_to(GIVER).await), 1);
    assert_eq!(open.amounts().await.len(), 1);
    open.advance(15 * DAY).await;
    open.hear(Handing::IN_ORDER).await;
    assert_eq!(open.gifts().await[0].1, "ended");
    let mails = open.mails_to(GIVER).await;
    assert_eq!(mails.iter().filter(|mail| mail.subject == "Your gift has ended").count(), 1);
    assert_eq!(open.amounts().await.len(), 1, "no money came after the first");
});

story!(the_same_events_in_any_order_and_repeated_end_in_one_ledger, async |house: House| {
    let mut ledgers = Vec::new();
    for seed in 0..4 {
        let fresh = if house.db().is_postgres() { House::postgres().await } else { Some(House::sqlite().await) };
        let open = Open::new(fresh.unwrap()).await;
        open.give("once", "10", "USD", "a@example.org").await;
        open.give("monthly", "5", "USD", "b@example.org").await;
        open.give("annual", "50", "USD", "c@example.org").await;
        let debit = open.press("once", "30", "USD").await;
        open.stripe.pay(&debit, &Visit::by_debit("d@example.org", true)).unwrap();
        open.stripe.refund(open.stripe.objects("charge").last().unwrap()["id"].as_str().unwrap(), Some(400)).unwrap();
        open.advance(33 * DAY).await;
        let renewal = open.charge();
        open.stripe.refund(&renewal, None).unwrap();
        let handing = match seed {
            0 => Handing::IN_ORDER,
            seed => Handing { copies: 1 + usize::try_from(seed).unwrap() % 3, shuffle: Some(seed) },
        };
        // Half of them are worked on while the others still come.
        open.post_events(handing).await;
        let tasks = friday::app::tasks();
        let events = || tasks.iter().find(|task| task.name() == "stripe-events").unwrap().step(open.app.clone());
        let (one, two, three) = tokio::join!(events(), events(), events());
        assert!(one.is_ok() && two.is_ok() && three.is_ok());
        open.work().await;
        // A refund that came before its payment is tried again.
        open.advance(HOUR).await;
        open.hear(Handing::IN_ORDER).await;
        let sums: Vec<(String, i64)> =
            open.ledger().await.into_iter().map(|(_, kind, _, amount)| (kind, amount)).collect();
        let mut sums = sums;
        sums.sort();
        ledgers.push((sums, open.mails().len(), open.gifts().await.len()));
        assert_eq!(
            open.count("SELECT COUNT(*) FROM support_events WHERE state IN ('waiting', 'failed')").await,
            0,
            "seed {seed}"
        );
        assert_eq!(
            open.net().await,
            open.stripe.balance("usd"),
            "to the cent what Stripe's balance came to, seed {seed}"
        );
    }
    assert!(ledgers.iter().all(|ledger| *ledger == ledgers[0]), "{ledgers:#?}");
});

story!(a_refund_that_fails_comes_back_as_a_line_of_its_own, async |house: House| {
    let open = Open::new(house).await;
    open.give("once", "25", "USD", GIVER).await;
    open.hear(Handing::IN_ORDER).await;
    let refund = open.stripe.refund(&open.charge(), None).unwrap();
    open.hear(Handing::IN_ORDER).await;
    assert_eq!(open.gross().await, 0);
    open.stripe.fail_refund(refund["id"].as_str().unwrap()).unwrap();
    open.hear(Handing::IN_ORDER).await;
    assert_eq!(open.gross().await, 2500);
    assert_eq!(open.amounts().await.len(), 3);
    assert_eq!(open.net().await, open.stripe.balance("usd"));
    assert_eq!(open.alarms().await, ["refund_failed"]);
});

story!(a_disputed_payment_leaves_the_sums_and_a_won_dispute_brings_it_back, async |house: House| {
    let open = Open::new(house).await;
    open.give("once", "25", "USD", GIVER).await;
    open.hear(Handing::IN_ORDER).await;
    let dispute = open.stripe.open_dispute(&open.charge()).unwrap();
    open.hear(Handing::IN_ORDER).await;
    assert_eq!(open.gross().await, 0);
    assert_eq!(open.net().await, open.stripe.balance("usd"), "the bank's fee is a line as well");
    open.stripe.close_dispute(dispute["id"].as_str().unwrap(), true).unwrap();
    open.hear(Handing { copies: 2, shuffle: None }).await;
    assert_eq!(open.gross().await, 2500);
    assert_eq!(open.net().await, open.stripe.balance("usd"));
    assert_eq!(open.alarms().await, ["dispute"], "one alarm");
});

story!(an_event_is_believed_by_its_signature_alone, async |house: House| {
    let open = Open::new(house).await;
    let body =
        r#"{"id":"evt_1","type":"product.updated","livemode":false,"created":1,"data":{"object":{"id":"prod_1"}}}"#;
    let post = |header: Option<String>, body: String| {
        let open = &open;
        async move {
            let headers: Vec<(&str, &str)> =
                header.iter().map(|header| ("stripe-signature", header.as_str())).collect();
            open.post_bytes("/stripe/webhook", &headers, body.into_bytes()).await.status
        }
    };
    let good = open.stripe.sign(body);
    assert_eq!(post(Some(good.clone()), body.to_owned()).await, 200);
    assert_eq!(post(Some(good.clone()), body.to_owned()).await, 200, "again is fine");
    assert_eq!(post(Some(good.clone()), body.replace("evt_1", "evt_2")).await, 400, "a changed body");
    assert_eq!(post(None, body.to_owned()).await, 400);
    assert_eq!(post(Some(open.stripe.sign("not json")), "not json".to_owned()).await, 400);
    let live = body.replace("\"livemode\":false", "\"livemode\":true");
    assert_eq!(post(Some(open.stripe.sign(&live)), live).await, 400, "the other mode");
    open.clock().advance(Duration::from_secs(301));
    assert_eq!(post(Some(good), body.to_owned()).await, 400, "too old");
    let large = format!("{{\"id\":\"evt_3\",\"type\":\"x\",\"pad\":\"{}\"}}", "x".repeat(1024 * 1024));
    assert_eq!(post(Some(open.stripe.sign(&large)), large).await, 413);
    assert_eq!(open.count("SELECT COUNT(*) FROM support_events").await, 1);
    open.work().await;
    assert_eq!(open.count("SELECT COUNT(*) FROM support_events WHERE state = 'ignored'").await, 1);
});

story!(while_stripe_is_down_nothing_is_lost, async |house: House| {
    let open = Open::new(house).await;
    let token = token_of(&open.get("/support").await);
    let form = [
        ("form", token.as_str()),
        ("at_risk", "no"),
        ("frequency", "once"),
        ("amount_once", "10"),
        ("currency", "usd"),
    ];
    open.stripe.fail_next(&[axum::http::StatusCode::INTERNAL_SERVER_ERROR; 3]);
    let down = open.post("/support/checkout", &form).await;
    assert!(down.status == 503 && down.body.contains("Nothing has been paid; please try again"), "{}", down.body);
    let up = open.post("/support/checkout", &form).await;
    assert_eq!(up.status, 303);
    open.stripe.pay(&session_of(up.location()), &Visit::by_card(GIVER)).unwrap();
    open.stripe.fail_next(&[axum::http::StatusCode::INTERNAL_SERVER_ERROR; 30]);
    open.hear(Handing::IN_ORDER).await;
    assert!(open.ledger().await.is_empty());
    assert!(
        open.count("SELECT COUNT(*) FROM support_events WHERE state = 'waiting'").await > 0,
        "they are tried again"
    );
    for _ in 0..6 {
        open.advance(2 * HOUR).await;
        open.hear(Handing::IN_ORDER).await;
    }
    assert_eq!(open.amounts().await, [row("payment", 1000)]);
});

story!(a_payment_whose_event_never_came_is_found, async |house: House| {
    let open = Open::new(house).await;
    open.give("once", "25", "USD", GIVER).await;
    // Nobody tells the webhook. The sweep looks the attempt up by itself.
    open.advance(7 * HOUR).await;
    open.work().await;
    assert_eq!(open.amounts().await, [row("payment", 2500)]);
    assert_eq!(open.mails_to(GIVER).await.len(), 1);
});

story!(the_reconciliation_takes_in_what_never_came_and_names_what_differs, async |house: House| {
    let open = Open::new(house).await;
    open.give("monthly", "5", "USD", GIVER).await;
    open.give("once", "25", "USD", "other@example.org").await;
    open.stripe.refund(&open.charge(), Some(500)).unwrap();
    let stripe = open.app.stripe.as_ref().unwrap();
    let since = open.clock().now() - 30 * DAY;
    let report = reconcile(&open.app, stripe, since).await.unwrap();
    assert!(report.is_equal() && report.taken_in > 0, "{report:?}");
    let balance = open.stripe.balance("usd");
    assert_eq!((report.sums["USD"], open.gross().await), ((balance, balance), 2500));
    let again = reconcile(&open.app, stripe, since).await.unwrap();
    assert_eq!((again.taken_in, again.is_equal()), (0, true), "{again:?}");
    open.db().write("DELETE FROM support_ledger WHERE kind = 'refund'").execute().await.unwrap();
    let report = reconcile(&open.app, stripe, since).await.unwrap();
    assert_eq!(report.differences.len(), 1);
    assert_eq!((report.differences[0].stripe, report.differences[0].ours), (Some(-500), None));
});

story!(a_reminder_is_confirmed_by_its_button_sent_twice_and_gone, async |house: House| {
    let open = Open::new(house).await;
    let asked = open.post("/support/remind", &[("email", GIVER), ("month", "2027-02")]).await;
    assert!(asked.status == 200 && asked.body.contains("Please look into your mailbox"), "{}", asked.body);
    let again = open.post("/support/remind", &[("email", GIVER), ("month", "2027-02")]).await;
    assert_eq!(asked.body, again.body);
    let program = open.post_json("/support/remind", &json!({"email": "p@example.org", "month": "2027-02"})).await;
    assert_eq!(program.status, 202);
    let rows = "SELECT COUNT(*) FROM support_reminders";
    let mails = open.mails_to(GIVER).await;
    assert_eq!((mails.len(), open.count(rows).await), (1, 0), "one mail a day, and nothing is kept yet");
    assert!(!mails[0].text.contains("Our newsroom"), "it names no newsroom: {}", mails[0].text);
    let link = mails[0].link("/support/remind/confirm/");
    assert!(open.get(&link).await.body.contains("Yes, remind me"));
    assert_eq!(open.count(rows).await, 0, "looking changes nothing");
    let set = open.post(&link, &[]).await;
    assert!(set.body.contains("26 February 2027"), "{}", set.body);
    open.post(&link, &[]).await;
    assert_eq!(open.count(rows).await, 1);
    open.advance(91 * DAY).await;
    assert_eq!(open.mails_to(GIVER).await.len(), 1, "not in January");
    open.advance(2 * DAY).await;
    let mails = open.mails_to(GIVER).await;
    assert_eq!(mails.len(), 2);
    assert!(
        mails[1].text.contains("/support/remind/cancel/") && mails[1].text.contains("March 2027"),
        "{}",
        mails[1].text
    );
    open.advance(40 * DAY).await;
    let mails = open.mails_to(GIVER).await;
    assert!(mails.len() == 3 && mails[2].text.contains("This was the last of two"), "{}", mails[2].text);
    assert_eq!(open.count(rows).await, 0);
    open.advance(90 * DAY).await;
    assert_eq!(open.mails_to(GIVER).await.len(), 3);
    for (email, month) in [("not an address", "2027-02"), (GIVER, "2020-01"), (GIVER, "soon")] {
        assert_eq!(
            open.post("/support/remind", &[("email", email), ("month", month)]).await.status,
            422,
            "{email} {month}"
        );
    }
});

story!(a_reminder_ends_with_its_button_or_with_a_gift, async |house: House| {
    let open = Open::new(house).await;
    let rows = "SELECT COUNT(*) FROM support_reminders";
    for email in [GIVER, "other@example.org"] {
        open.post("/support/remind", &[("email", email), ("month", "2026-12")]).await;
        let mails = open.mails_to(email).await;
        open.post(&mails[0].link("/support/remind/confirm/"), &[]).await;
    }
    assert_eq!(open.count(rows).await, 2);
    open.give("once", "10", "USD", GIVER).await;
    open.hear(Handing::IN_ORDER).await;
    assert_eq!(open.count(rows).await, 1, "who has given is not reminded");
    open.advance(31 * DAY).await;
    let mails = open.mails_to("other@example.org").await;
    let cancel = mails.last().unwrap().link("/support/remind/cancel/");
    assert_eq!(open.get(&cancel).await.status, 200);
    assert_eq!(open.count(rows).await, 1, "looking changes nothing");
    assert!(open.post(&cancel, &[]).await.body.contains("Your address is erased"));
    assert_eq!(open.count(rows).await, 0);
    assert_eq!(open.post(&cancel, &[]).await.status, 200, "again is fine");
});

story!(a_giver_sees_ends_and_is_forgotten_by_a_link, async |house: House| {
    let open = Open::new(house).await;
    open.give("monthly", "5", "USD", GIVER).await;
    open.give("once", "25", "USD", GIVER).await;
    open.hear(Handing::IN_ORDER).await;
    let known = open.post("/support/manage", &[("email", "Vera.Giver@Example.org")]).await;
    let unknown = open.post("/support/manage", &[("email", "nobody@example.org")]).await;
    assert_eq!((known.status, &known.body), (unknown.status, &unknown.body));
    assert!(open.mails_to("nobody@example.org").await.is_empty());
    let mails = open.mails_to("Vera.Giver@example.org").await;
    let link =
        mails.iter().find(|mail| mail.subject == "The link to your gift").expect("a link").link("/support/manage/");
    let page = open.get(&link).await;
    assert!(
        page.body.contains("$5 each month since 26\u{a0}November\u{a0}2026")
            && page.body.contains("End my monthly gift"),
        "{}",
        page.body
    );
    assert!(page.body.contains("$25") && !page.body.to_lowercase().contains("giver@"), "no address on the page");
    let gift = open.stripe.objects("subscription")[0]["id"].as_str().unwrap().to_owned();
    let portal = open.post(&format!("{link}/portal"), &[("gift", &gift)]).await;
    assert!(portal.status == 303 && portal.location().starts_with(open.stripe.base_url()), "{}", portal.location());
    assert_eq!(open.post(&format!("{link}/end"), &[("gift", "sub_of_another")]).await.status, 404);
    let ended = open.post(&format!("{link}/end"), &[("gift", &gift)]).await;
    assert!(ended.body.contains("Your gift has ended"), "{}", ended.body);
    assert_eq!(open.stripe.object(&gift)["status"], "canceled");
    assert_eq!(open.gifts().await[0].1, "ended", "known at once, before the event");
    open.hear(Handing { copies: 2, shuffle: None }).await;
    assert_eq!(open.mails_to(GIVER).await.iter().filter(|mail| mail.subject == "Your gift has ended").count(), 1);
    open.post(&format!("{link}/end"), &[("gift", &gift)]).await;
    let forgotten = open.post(&format!("{link}/forget"), &[]).await;
    assert!(forgotten.body.contains("Forgotten"), "{}", forgotten.body);
    assert_eq!(open.count("SELECT COUNT(*) FROM support_ledger WHERE donor IS NOT NULL").await, 0);
    assert_eq!(open.count("SELECT COUNT(*) FROM support_gifts WHERE donor IS NOT NULL").await, 0);
    assert!(open.get(&link).await.body.contains("We know of no gift"));
    assert_eq!(open.get("/support/manage/forged").await.status, 410);
});

story!(forgetting_ends_the_gift_at_stripe_first, async |house: House| {
    let open = Open::new(house).await;
    open.give("monthly", "5", "USD", GIVER).await;
    open.hear(Handing::IN_ORDER).await;
    let link = open.mails_to(GIVER).await[0].link("/support/manage/");
    open.stripe.fail_next(&[axum::http::StatusCode::INTERNAL_SERVER_ERROR; 3]);
    let down = open.post(&format!("{link}/forget"), &[]).await;
    assert_eq!(down.status, 503, "{}", down.body);
    assert_eq!(
        open.count("SELECT COUNT(*) FROM support_gifts WHERE donor IS NOT NULL").await,
        1,
        "nothing is half done"
    );
    open.advance(25 * HOUR).await;
    assert!(open.post(&format!("{link}/forget"), &[]).await.body.contains("Forgotten"));
    assert_eq!(open.stripe.objects("subscription")[0]["status"], "canceled");
});

story!(finance_sees_what_is_given_and_an_editor_does_not, async |house: House| {
    let open = Open::new(house).await;
    open.give("monthly", "5", "USD", GIVER).await;
    open.give("once", "25", "USD", "other@example.org").await;
    open.hear(Handing::IN_ORDER).await;
    let finance = open.staff(Role::Finance).await;
    let page = finance.get("/staff/giving").await;
    for part in ["$30", "1 gift, $5 on average", "$5", "$25", "1 to 4 of 4", "<rect class=\"a\""] {
        assert!(page.status == 200 && page.body.contains(part), "{part} is missing: {}", page.body);
    }
    assert!(!page.body.contains("giver@"));
    assert_eq!(finance.get("/staff/giving?currency=EUR&month=2026-10&page=9").await.status, 200);
    assert_eq!(open.staff(Role::Editor).await.get("/staff/giving").await.status, 403);
    assert_eq!(open.get("/staff/giving").await.status, 303);
});

story!(no_address_of_a_giver_is_in_the_database, async |house: House| {
    let open = Open::new(house).await;
    open.post("/support/remind", &[("email", "reminded.person@example.org"), ("month", "2027-01")]).await;
    let link = open.mails_to("reminded.person@example.org").await[0].link("/support/remind/confirm/");
    open.post(&link, &[]).await;
    open.give("monthly", "5", "USD", GIVER).await;
    open.hear(Handing::IN_ORDER).await;
    open.post("/support/manage", &[("email", GIVER)]).await;
    open.work().await;
    let mut bytes = Vec::new();
    if open.db().is_postgres() {
        for sql in [
            "SELECT CAST(row_to_json(t) AS TEXT) FROM support_attempts t",
            "SELECT CAST(row_to_json(t) AS TEXT) FROM support_events t",
            "SELECT CAST(row_to_json(t) AS TEXT) FROM support_gifts t",
            "SELECT CAST(row_to_json(t) AS TEXT) FROM support_ledger t",
            "SELECT CAST(row_to_json(t) AS TEXT) FROM support_reminders t",
            "SELECT CAST(row_to_json(t) AS TEXT) FROM outbox t",
        ] {
            let rows: Vec<(String,)> = open.db().read(sql).all().await.unwrap();
            bytes.extend(rows.into_iter().flat_map(|(row,)| row.into_bytes()));
        }
    } else {
        for file in std::fs::read_dir(open.folder.path()).unwrap() {
            bytes.extend(std::fs::read(file.unwrap().path()).unwrap());
        }
    }
    let holds = |needle: &str| {
        let hex = data_encoding::HEXLOWER.encode(needle.as_bytes());
        let forms = [
            needle.to_owned(),
            needle.to_uppercase(),
            needle.replace('@', "%40"),
            hex,
            data_encoding::BASE64.encode(needle.as_bytes()),
        ];
        forms.iter().any(|form| bytes.windows(form.len()).any(|part| part == form.as_bytes()))
    };
    assert!(holds("sub_") && holds("invoice.paid"), "the search finds what is there");
    assert!(!holds("vera.giver") && !holds("reminded.person"));
});

/// The official SDK signs, and the webhook is served over a socket for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "the test runner says where it is")]
async fn what_stripes_own_sdk_signs_is_believed_and_nothing_else() {
    let sdk = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk");
    let has_sdk = sdk.join("node_modules/stripe").is_dir();
    let has_node = tokio::process::Command::new("node").arg("--version").output().await.is_ok();
    if !has_sdk || !has_node {
        assert!(std::env::var("CI").is_err(), "node or the npm package stripe is missing: tests/run installs both");
        return;
    }
    let open = Open::new(House::sqlite().await).await;
    // The SDK signs with the real time, some moments from now, and what is 301 seconds old for it must be so for us.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap() + Duration::from_secs(5);
    open.clock().set(friday::clock::Moment::from_millis(i64::try_from(now.as_millis()).unwrap()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/stripe/webhook", listener.local_addr().unwrap());
    let service = friday::app::routes(&open.app).into_make_service_with_connect_info::<std::net::SocketAddr>();
    let server = tokio::spawn(async move { axum::serve(listener, service).await });
    let mut node = tokio::process::Command::new("node");
    let output = node.arg("webhook.mjs").arg(&url).arg("whsec_standin").current_dir(&sdk).output().await.unwrap();
    server.abort();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers: Value = serde_json::from_slice(&output.stdout).unwrap();
    let answers = answers.as_object().unwrap();
    assert!(answers.len() >= 11, "{answers:?}");
    for (case, status) in answers {
        let expected = if case.starts_with("valid") { 200 } else { 400 };
        assert_eq!(status, expected, "{case}");
    }
}

/// Where the giver's own page is: the link of their last mail that has one.
async fn own_page(open: &Open, giver: &str) -> String {
    let mails = open.mails_to(giver).await;
    mails.iter().rev().find(|mail| mail.text.contains("/support/manage/")).expect("a link").link("/support/manage/")
}

async fn last_subject(open: &Open, giver: &str) -> String {
    open.mails_to(giver).await.last().map(|mail| mail.subject.clone()).unwrap_or_default()
}

fn subscription(open: &Open) -> Value {
    open.stripe.objects("subscription")[0].clone()
}

story!(a_giver_changes_the_amount_from_the_next_payment_on, async |house: House| {
    let open = Open::new(house).await;
    open.give("monthly", "5", "USD", GIVER).await;
    open.hear(Handing::IN_ORDER).await;
    let page = own_page(&open, GIVER).await;
    let gift = subscription(&open)["id"].as_str().unwrap().to_owned();
    let form = |amount: &'static str| {
        [
            ("gift", gift.clone()),
            ("frequency", "monthly".into()),
            ("amount_monthly", "own".into()),
            ("own_monthly", amount.into()),
        ]
    };
    let post = async |amount: &'static str| {
        let form = form(amount);
        let fields: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        open.post(&format!("{page}/change"), &fields).await
    };
    let little = post("1").await;
    assert!(little.status == 422 && little.body.contains("The smallest monthly gift is $2"), "{}", little.body);
    let same = post("5.00").await;
    assert!(same.body.contains("nothing has changed"), "{}", same.body);
    let changed = post("12.50").await;
    assert!(changed.status == 200 && changed.body.contains("Nothing was taken for it"), "{}", changed.body);
    assert_eq!(open.gifts().await, [("monthly".to_owned(), "active".to_owned(), 1250)]);
    let mails = open.mails_to(GIVER).await;
    let mail = mails.last().unwrap();
    assert_eq!(mail.subject, "Your gift has changed");
    assert!(mail.text.contains("$5 each month") && mail.text.contains("$12.50 each month"), "{}", mail.text);
    // What Stripe tells about it changes nothing and writes nothing more.
    open.hear(Handing { copies: 3, shuffle: Some(4) }).await;
    assert_eq!(open.mails_to(GIVER).await.len(), mails.len());
    assert_eq!(open.amounts().await, [row("payment", 500)]);
    open.advance(32 * DAY).await;
    open.hear(Handing::IN_ORDER).await;
    assert_eq!(open.amounts().await, [row("payment", 500), row("payment", 1250)]);
});

story!(a_monthly_gift_becomes_an_annual_one_on_its_next_day_and_not_before, async |house: House| {
    let open = Open::new(house).await;
    open.give("monthly", "5", "USD", GIVER).await;
    open.hear(Handing::IN_ORDER).await;
    let page = own_page(&open, GIVER).await;
    let gift = subscription(&open)["id"].as_str().unwrap().to_owned();
    let fields = [("gift", gift.as_str()), ("frequency", "annual"), ("amount_annual", "50")];
    let changed = open.post(&format!("{page}/change"), &fields).await;
    assert!(changed.status == 200 && changed.body.contains("$50 each year"), "{}", changed.body);
    open.hear(Handing { copies: 2, shuffle: Some(9) }).await;
    assert_eq!(open.amounts().await, [row("payment", 500)], "nothing is taken for the change");
    assert_eq!(open.gifts().await, [("annual".to_owned(), "active".to_owned(), 5000)]);
    open.advance(32 * DAY).await;
    open.hear(Handing::IN_ORDER).await;
    assert_eq!(open.amounts().await, [row("payment", 500), row("payment", 5000)]);
    open.advance(330 * DAY).await;
    open.hear(Handing::IN_ORDER).await;
    assert_eq!(open.amounts().await.len(), 2, "the year is not over");
    open.advance(40 * DAY).await;
    open.hear(Handing::IN_ORDER).await;
    assert_eq!(open.amounts().await.len(), 3);
    assert_eq!(open.net().await, open.stripe.balance("usd"));
});

story!(a_pause_leaves_out_payments_is_told_before_it_ends_and_can_be_ended, async |house: House| {
    let open = Open::new(house).await;
    open.give("monthly", "5", "USD", GIVER).await;
    open.hear(Handing::IN_ORDER).await;
    let page = own_page(&open, GIVER).await;
    let gift = subscription(&open)["id"].as_str().unwrap().to_owned();
    let bad = open.post(&format!("{page}/pause"), &[("gift", &gift), ("months", "12")]).await;
    assert_eq!(bad.status, 422);
    let paused = open.post(&format!("{page}/pause"), &[("gift", &gift), ("months", "2")]).await;
    assert!(paused.status == 200 && paused.body.contains("Paused until"), "{}", paused.body);
    assert_eq!(open.gifts().await[0].1, "paused");
    assert_eq!(last_subject(&open, GIVER).await, "Your gift is paused");
    open.advance(50 * DAY).await;
    open.hear(Handing { copies: 2, shuffle: Some(2) }).await;
    assert_eq!(open.amounts().await, [row("payment", 500)], "the payment of December was left out");
    assert_eq!(
        last_subject(&open, GIVER).await,
        "Your gift is paused",
        "eleven days before the end nobody is told yet"
    );
    open.advance(6 * DAY).await;
    let mails = open.mails_to(GIVER).await;
    assert_eq!(mails.last().unwrap().subject, "The pause of your gift ends soon");
    assert!(mails.last().unwrap().text.contains("26 January 2027"), "{}", mails.last().unwrap().text);
    assert_eq!(open.mails_to(GIVER).await.len(), mails.len(), "told once");
    // It goes on by itself, with the first due day after the pause.
    open.advance(20 * DAY).await;
    open.hear(Handing::IN_ORDER).await;
    assert_eq!(open.gifts().await[0].1, "active");
    assert_eq!(open.amounts().await.len(), 2);
    // Paused again and gone on with at once, by the link of the latest mail.
    let page = own_page(&open, GIVER).await;
    open.post(&format!("{page}/pause"), &[("gift", &gift), ("months", "1")]).await;
    let resumed = open.post(&format!("{page}/resume"), &[("gift", &gift)]).await;
    assert!(resumed.body.contains("goes on with the next payment"), "{}", resumed.body);
    assert_eq!(open.gifts().await[0].1, "active");
});

story!(an_annual_renewal_is_told_thirty_and_seven_days_before, async |house: House| {
    let open = Open::new(house).await;
    open.give("annual", "50", "USD", GIVER).await;
    open.hear(Handing::IN_ORDER).await;
    let notices = async || {
        let mails = open.mails_to(GIVER).await;
        mails.iter().filter(|mail| mail.subject == "Your annual gift renews soon").count()
    };
    for (days, told) in [(330, 0), (6, 1), (10, 1), (13, 2), (4, 2), (3, 2)] {
        open.advance(days * DAY).await;
        open.hear(Handing::IN_ORDER).await;
        assert_eq!(notices().await, told, "after {days} more days");
    }
    assert_eq!(open.amounts().await.len(), 2, "it has renewed");
    let mails = open.mails_to(GIVER).await;
    let notice = mails.iter().find(|mail| mail.subject == "Your annual gift renews soon").unwrap();
    assert!(notice.text.contains("$50") && notice.text.contains("26 November 2027"), "{}", notice.text);
});

story!(a_card_that_runs_out_before_the_next_payment_is_told_once_and_a_new_one_is_not, async |house: House| {
    let open = Open::new(house).await;
    open.give("monthly", "5", "USD", GIVER).await;
    open.hear(Handing::IN_ORDER).await;
    open.give("monthly", "7", "USD", "other@example.org").await;
    open.hear(Handing::IN_ORDER).await;
    // The newest gift comes first. One card runs out; the other giver has a new one, of which we have not heard.
    let gifts = open.stripe.objects("subscription");
    open.stripe.set_card_end(gifts[1]["customer"].as_str().unwrap(), 2026, 11);
    open.db().write("UPDATE support_gifts SET card_until = '2026-11'").execute().await.unwrap();
    let told = async |to: &str| {
        let mails = open.mails_to(to).await;
        mails.into_iter().filter(|mail| mail.subject == "Your card runs out soon").collect::<Vec<_>>()
    };
    assert_eq!(told(GIVER).await.len(), 1);
    assert!(told(GIVER).await[0].text.contains("November 2026"));
    open.advance(DAY).await;
    assert_eq!(told(GIVER).await.len(), 1, "told once");
    assert_eq!(told("other@example.org").await.len(), 0);
    assert_eq!(open.count("SELECT COUNT(*) FROM support_gifts WHERE card_until = '2034-12'").await, 1);
});

story!(a_card_of_a_country_on_the_list_raises_one_alarm_and_the_country_is_not_kept, async |house: House| {
    let open = Open::new(house).await;
    let session = open.press("monthly", "5", "USD").await;
    open.stripe.pay(&session, &Visit { country: "RU".to_owned(), ..Visit::by_card(GIVER) }).unwrap();
    open.give("once", "25", "USD", "other@example.org").await;
    open.hear(Handing { copies: 2, shuffle: Some(5) }).await;
    assert_eq!(open.alarms().await, ["country"]);
    open.advance(32 * DAY).await;
    open.hear(Handing::IN_ORDER).await;
    assert_eq!(open.alarms().await, ["country"], "one for a gift, not one for each payment");
    let desk = open.staff(Role::Finance).await;
    let page = desk.get("/staff/giving").await;
    assert!(
        page.body.contains("A card of a country on your list") && page.body.contains("second line"),
        "{}",
        page.body
    );
    let (id,): (i64,) = open.db().read("SELECT id FROM support_alarms").one().await.unwrap();
    let closed = desk.post(&format!("/staff/giving/alarms/{id}"), &[("note", "Spoke with the lawyer")]).await;
    assert_eq!(closed.status, 303, "{}", closed.body);
    let page = desk.get("/staff/giving").await;
    assert!(!page.body.contains("The bank has seen the payment already"), "{}", page.body);
    assert!(page.body.contains("Spoke with the lawyer"));
    assert_eq!(open.staff(Role::Editor).await.post(&format!("/staff/giving/alarms/{id}"), &[]).await.status, 403);
});

story!(a_lost_dispute_ends_the_gift, async |house: House| {
    let open = Open::new(house).await;
    open.give("monthly", "5", "USD", GIVER).await;
    open.hear(Handing::IN_ORDER).await;
    let dispute = open.stripe.open_dispute(&open.charge()).unwrap();
    open.hear(Handing::IN_ORDER).await;
    assert_eq!(open.gifts().await[0].1, "active");
    open.stripe.close_dispute(dispute["id"].as_str().unwrap(), false).unwrap();
    open.hear(Handing { copies: 2, shuffle: Some(3) }).await;
    assert_eq!(open.gifts().await[0].1, "ended");
    assert_eq!(subscription(&open)["status"], "canceled");
    assert_eq!(last_subject(&open, GIVER).await, "Your gift has ended");
    assert_eq!(open.net().await, open.stripe.balance("usd"));
});

story!(who_covers_the_fee_gives_so_much_that_the_gift_arrives_whole, async |house: House| {
    let open = Open::new(house).await;
    let page = open.get("/support").await;
    assert!(page.body.contains("Cover the payment fee as well (2.9\u{a0}% + $0.30)"), "{}", page.body);
    assert!(!page.body.contains("name=\"cover_fee\" value=\"1\" data-fee=\"290 30\" checked"), "off to begin with");
    let fields = [("frequency", "once"), ("amount", "5"), ("currency", "USD"), ("cover_fee", "1")];
    let answer = open.post("/support/checkout", &fields).await;
    let session = session_of(answer.location());
    assert_eq!(open.stripe.object(&session)["amount_total"], 546);
    let back = open.stripe.object(&session)["cancel_url"].as_str().unwrap().to_owned();
    let again = open.get(back.strip_prefix(open.app.config.base_url.as_str()).unwrap()).await;
    assert!(again.body.contains("data-fee=\"290 30\" checked") && again.body.contains("value=\"5"), "{}", again.body);
    open.stripe.pay(&session, &Visit::by_card(GIVER)).unwrap();
    open.hear(Handing::IN_ORDER).await;
    assert_eq!(open.net().await, 500);
});

story!(while_cards_are_tried_a_task_must_be_solved_and_few_pass_without, async |house: House| {
    let open = Open::new(house).await;
    let fields = [("frequency", "once"), ("amount", "5"), ("currency", "USD")];
    for _ in 0..12 {
        let session = open.press("once", "5", "USD").await;
        for _ in 0..2 {
            open.stripe.pay(&session, &Visit::declined("thief@example.org")).unwrap();
        }
    }
    assert!(!open.get("/support").await.body.contains("data-task"));
    open.hear(Handing::IN_ORDER).await;
    let page = open.get("/support").await;
    assert!(page.body.contains("data-task=\"/support/challenge\""), "{}", page.body);
    assert_eq!(open.alarms().await, ["card_testing"]);
    // Whoever solves it passes, once with each solution.
    let solve = async || {
        let task: Value = serde_json::from_str(&open.get("/support/challenge").await.body).unwrap();
        let text = |name: &str| task[name].as_str().unwrap().to_owned();
        let hash = |n: u64| {
            use sha2::{Digest, Sha256};
            data_encoding::HEXLOWER.encode(&Sha256::digest(format!("{}{n}", text("salt"))))
        };
        let number = (0..=task["maxnumber"].as_u64().unwrap()).find(|n| hash(*n) == text("challenge")).unwrap();
        json!({ "algorithm": "SHA-256", "challenge": text("challenge"), "number": number, "salt": text("salt"),
            "signature": text("signature") })
    };
    let press = async |solution: &Value| {
        let altcha = data_encoding::BASE64.encode(solution.to_string().as_bytes());
        let fields: Vec<(&str, &str)> = fields.iter().copied().chain([("altcha", altcha.as_str())]).collect();
        open.post("/support/checkout", &fields).await.status
    };
    let mut passed = 0;
    while open.post("/support/checkout", &fields).await.status == 303 {
        passed += 1;
    }
    assert_eq!(passed, 10, "so many pass without");
    let solution = solve().await;
    assert_eq!(press(&solution).await, 303);
    assert_eq!(press(&solution).await, 429, "a solution is good for one press");
    let mut wrong = solve().await;
    wrong["number"] = json!(wrong["number"].as_u64().unwrap() + 1);
    assert_eq!(press(&wrong).await, 429);
    let mut forged = solve().await;
    forged["signature"] = json!("0".repeat(64));
    assert_eq!(press(&forged).await, 429);
    let late = solve().await;
    open.clock().advance(21 * 60 * Duration::from_secs(1));
    let page = open.get("/support").await;
    assert!(!page.body.contains("data-task"), "when it is over, nobody is asked any more");
    assert_eq!(press(&late).await, 303);
});

story!(a_page_that_ran_out_leads_to_a_new_one_and_its_payment_counts_once, async |house: House| {
    let open = Open::new(house).await;
    let session = open.press("once", "25", "USD").await;
    open.advance(25 * HOUR).await;
    open.hear(Handing::IN_ORDER).await;
    let unfinished = open.get(&format!("/support/thanks?session={session}")).await;
    assert!(unfinished.body.contains("/c/recover/"), "{}", unfinished.body);
    let again = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let url = format!("{}/c/recover/{session}", open.stripe.base_url());
    let answer = again.get(url).send().await.unwrap();
    let recovered = session_of(answer.headers()["location"].to_str().unwrap());
    assert_ne!(recovered, session);
    open.stripe.pay(&recovered, &Visit::by_card(GIVER)).unwrap();
    let thanks = open.get(&format!("/support/thanks?session={recovered}")).await;
    assert!(thanks.body.contains("Your gift of $25 has arrived"), "{}", thanks.body);
    open.hear(Handing { copies: 2, shuffle: Some(1) }).await;
    assert_eq!(open.amounts().await, [row("payment", 2500)]);
    assert_eq!(open.mails_to(GIVER).await.len(), 1);
});

story!(a_giver_downloads_everything_prints_a_receipt_and_says_why, async |house: House| {
    let open = Open::new(house).await;
    open.give("monthly", "5", "USD", GIVER).await;
    open.hear(Handing::IN_ORDER).await;
    let page = own_page(&open, GIVER).await;
    let gift = subscription(&open)["id"].as_str().unwrap().to_owned();
    let held = open.post(&format!("{page}/held"), &[]).await;
    assert_eq!(held.status, 200);
    let held: Value = serde_json::from_str(&held.body).unwrap();
    assert_eq!(held["gifts"][0]["stripe_subscription"], gift.as_str());
    assert_eq!(
        (&held["payments"][0]["amount"], &held["gifts"][0]["history"][0]["what"]),
        (&json!("5.00"), &json!("Begun"))
    );
    let number = held["payments"][0]["stripe"].as_str().unwrap();
    let receipt = open.get(&format!("{page}/receipt/{number}")).await;
    assert!(receipt.status == 200 && receipt.body.contains("$5") && receipt.body.contains(number), "{}", receipt.body);
    open.give("once", "9", "USD", "other@example.org").await;
    open.hear(Handing::IN_ORDER).await;
    let others: (String,) =
        open.db().read("SELECT object_id FROM support_ledger WHERE amount = 900").one().await.unwrap();
    assert_eq!(open.get(&format!("{page}/receipt/{}", others.0)).await.status, 404, "nobody else's");
    let ended = open.post(&format!("{page}/end"), &[("gift", &gift)]).await;
    assert!(ended.body.contains("You need not."), "{}", ended.body);
    let thanked = open.post(&format!("{page}/why"), &[("gift", &gift), ("why", "too_expensive")]).await;
    assert!(thanked.status == 200 && thanked.body.contains("Thank you for telling us"), "{}", thanked.body);
    assert_eq!(subscription(&open)["cancellation_details"]["feedback"], "too_expensive");
    assert_eq!(open.post(&format!("{page}/why"), &[("gift", &gift), ("why", "<b>")]).await.status, 422);
});

story!(whoever_is_forgotten_is_not_tied_again_by_what_stripe_tells_later, async |house: House| {
    let open = Open::new(house).await;
    open.give("monthly", "5", "USD", GIVER).await;
    open.hear(Handing::IN_ORDER).await;
    let page = own_page(&open, GIVER).await;
    let forgotten = open.post(&format!("{page}/forget"), &[]).await;
    assert!(forgotten.status == 200 && forgotten.body.contains("nothing here leads to you"), "{}", forgotten.body);
    open.hear(Handing { copies: 2, shuffle: Some(1) }).await;
    let ties = "SELECT (SELECT COUNT(*) FROM support_gifts WHERE donor IS NOT NULL)
        + (SELECT COUNT(*) FROM support_ledger WHERE donor IS NOT NULL)";
    assert_eq!(open.count(ties).await, 0);
});

story!(a_discreet_newsroom_is_named_in_no_sender_and_no_subject_of_these_mails, async |house: House| {
    let toml =
        "name = \"The Valley Post\"\nfrom = \"The Valley Post <post@valley.example>\"\n[support]\ndiscreet = true\n";
    let newsroom = friday::newsroom::Newsroom::from_toml(toml).unwrap();
    let open = Open::with(house, |config| config.newsroom = newsroom).await;
    open.give("monthly", "5", "USD", GIVER).await;
    open.hear(Handing::IN_ORDER).await;
    let page = own_page(&open, GIVER).await;
    let gift = subscription(&open)["id"].as_str().unwrap().to_owned();
    open.post(&format!("{page}/end"), &[("gift", &gift)]).await;
    let mails = open.mails_to(GIVER).await;
    assert_eq!(mails.len(), 2);
    for mail in mails {
        assert!(mail.from.contains("post@valley.example") && !mail.from.contains("Valley"), "{}", mail.from);
        assert!(!mail.subject.contains("Valley"), "{}", mail.subject);
    }
});

story!(a_bank_that_wants_to_ask_is_answered_on_stripes_page, async |house: House| {
    let open = Open::new(house).await;
    open.give("monthly", "5", "USD", GIVER).await;
    open.hear(Handing::IN_ORDER).await;
    let customer = open.stripe.objects("customer")[0]["id"].as_str().unwrap().to_owned();
    open.stripe.set_cards(&customer, Method::NeedsAction);
    open.advance(31 * DAY + 2 * HOUR).await;
    open.hear(Handing { copies: 2, shuffle: Some(1) }).await;
    let mails = open.mails_to(GIVER).await;
    let mail = mails.last().unwrap();
    assert!(mail.text.contains("Your bank wants to ask you") && mail.text.contains("/invoices/"), "{}", mail.text);
});

story!(an_event_of_another_account_is_refused_and_a_bill_to_come_reads_its_gift, async |house: House| {
    let open = Open::new(house).await;
    open.give("monthly", "5", "USD", GIVER).await;
    open.hear(Handing::IN_ORDER).await;
    let body =
        r#"{"id":"evt_9","type":"invoice.paid","account":"acct_2","livemode":false,"data":{"object":{"id":"in_1"}}}"#;
    let signature = open.stripe.sign(body);
    let headers = [("stripe-signature", signature.as_str())];
    assert_eq!(open.post_bytes("/stripe/webhook", &headers, body.into()).await.status, 400);
    open.advance(25 * DAY).await;
    open.hear(Handing::IN_ORDER).await;
    let upcoming = "SELECT COUNT(*) FROM support_events WHERE kind = 'invoice.upcoming' AND state = 'done' AND gift_id IS NOT NULL";
    assert_eq!(open.count(upcoming).await, 1);
});
