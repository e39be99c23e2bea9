//! The ask: the page, the way to Checkout, who is kept from it, and reminders.

use crate::giving::*;
use crate::house::{House, story};
use friday::demo::stripe::{Handing, Visit};
use serde_json::{Value, json};
use std::time::Duration;

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

story!(readers_of_a_language_begin_with_their_currency_and_are_told_how_to_pay, async |house: House| {
    let toml = "[support]\nmethods = [\"card\", \"apple_pay\", \"sepa_debit\"]\ncurrency_for = { ru = \"EUR\" }\n[[support.currencies]]\ncode = \"USD\"\n[[support.currencies]]\ncode = \"EUR\"\n";
    let newsroom = friday::newsroom::Newsroom::from_toml(toml).unwrap();
    let open = Open::with(house, |config| config.newsroom = newsroom).await;
    let english = open.get("/support").await;
    assert!(english.body.contains("You can pay by card, Apple Pay or SEPA debit."), "{}", english.body);
    assert!(english.body.contains("name=\"currency\" value=\"usd\"") && !english.body.contains("name=\"cover_fee\""));
    let russian = open.get("/support?lang=ru").await;
    assert!(russian.body.contains("name=\"currency\" value=\"eur\""), "{}", russian.body);
    assert!(russian.body.contains("Можно заплатить картой, через Apple Pay или прямым дебетом SEPA."));
    assert!(friday::newsroom::Newsroom::from_toml("[support]\nmethods = [\"shells\"]\n").is_err());
    assert!(friday::newsroom::Newsroom::from_toml("[support]\ncurrency_for = { ru = \"XXX\" }\n").is_err());
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

story!(one_address_is_stopped_sooner_than_its_network, async |house: House| {
    let open = Open::with(house, |config| config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await;
    let fields = [("frequency", "once"), ("amount", "5"), ("currency", "USD")];
    let press =
        async |from: &str| open.post_with("/support/checkout", &[("x-forwarded-for", from)], &fields).await.status;
    for _ in 0..6 {
        assert_eq!(press("203.0.113.7").await, 303);
    }
    assert_eq!(press("203.0.113.7").await, 429);
    assert_eq!(press("203.0.113.8").await, 303, "a neighbour may");
    for _ in 0..3 {
        press("203.0.113.9").await;
    }
    assert_eq!(press("203.0.113.10").await, 429, "until the network has had enough");
    assert_eq!(press("198.51.100.1").await, 303);
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
    assert_eq!(passed, 3, "so many pass without from one network");
    let solution = solve().await;
    assert_eq!(press(&solution).await, 303);
    assert_eq!(press(&solution).await, 429, "a solution is good for one press");
    let mut wrong = solve().await;
    wrong["number"] = json!(wrong["number"].as_u64().unwrap() + 1);
    assert_eq!(press(&wrong).await, 429);
    let mut forged = solve().await;
    forged["signature"] = json!("0".repeat(64));
    assert_eq!(press(&forged).await, 429);
    // Digits that wander from the number into the date of expiry would make one solution good for ever.
    let mut spliced = solve().await;
    let (salt, number) = (spliced["salt"].as_str().unwrap().to_owned(), spliced["number"].to_string());
    spliced["salt"] = json!(format!("{salt}{}", &number[..1]));
    spliced["number"] = json!(number[1..].parse::<u64>().unwrap_or(0));
    assert_eq!(press(&spliced).await, 429);
    let late = solve().await;
    open.clock().advance(21 * 60 * Duration::from_secs(1));
    let page = open.get("/support").await;
    assert!(!page.body.contains("data-task"), "when it is over, nobody is asked any more");
    assert_eq!(press(&late).await, 303);
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
