//! Stripe's events and the ledger: what is counted, when, and that it is counted once.

use crate::giving::*;
use crate::house::{House, story};
use friday::demo::stripe::{Handing, Method, Outcome, Visit};
use serde_json::Value;
use std::time::Duration;

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
    let mails = open.mails_to(GIVER).await;
    let mail = mails.last().unwrap();
    assert_eq!(mail.subject, "Your gift has ended");
    assert!(mail.text.contains("because your bank took a payment"), "{}", mail.text);
    assert_eq!(open.net().await, open.stripe.balance("usd"));
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

story!(a_debit_for_a_recurring_gift_that_comes_back_is_told, async |house: House| {
    let open = Open::new(house).await;
    let session = open.press("monthly", "5", "USD").await;
    assert_eq!(open.stripe.pay(&session, &Visit::by_debit(GIVER, false)).unwrap(), Outcome::OnItsWay);
    open.hear(Handing::IN_ORDER).await;
    let page = open.get(&format!("/support/thanks?session={session}")).await;
    assert!(page.body.contains("is on its way"), "{}", page.body);
    open.advance(6 * DAY).await;
    open.hear(Handing { copies: 2, shuffle: Some(3) }).await;
    assert_eq!(last_subject(&open, GIVER).await, "Your payment did not go through");
    let page = open.get(&format!("/support/thanks?session={session}")).await;
    assert!(page.body.contains("Nothing has been paid"), "{}", page.body);
    assert_eq!(open.count("SELECT COUNT(*) FROM support_attempts WHERE state = 'failed'").await, 1);
});

story!(a_payment_is_counted_in_the_rhythm_in_which_it_was_billed, async |house: House| {
    let open = Open::new(house).await;
    open.give("monthly", "5", "USD", GIVER).await;
    open.hear(Handing::IN_ORDER).await;
    let page = own_page(&open, GIVER).await;
    open.advance(32 * DAY).await;
    // The renewal is paid, and its giver changes the rhythm before we hear of it.
    let gift = subscription(&open)["id"].as_str().unwrap().to_owned();
    let fields = [("gift", gift.as_str()), ("frequency", "annual"), ("amount_annual", "50")];
    assert_eq!(open.post(&format!("{page}/change"), &fields).await.status, 200);
    open.hear(Handing { copies: 2, shuffle: Some(3) }).await;
    assert_eq!(
        open.count("SELECT COUNT(*) FROM support_ledger WHERE kind = 'payment' AND frequency = 'monthly'").await,
        2
    );
    let mails = open.mails_to(GIVER).await;
    assert!(mails.iter().any(|mail| mail.text.contains("Your monthly gift of $5 has arrived")));
});

story!(a_thousand_events_at_once_are_all_answered_and_kept, async |house: House| {
    let open = Open::new(house).await;
    let posts = (0..1_000).map(async |nth| {
        let body = format!(
            r#"{{"id":"evt_{nth}","type":"product.updated","livemode":false,"created":1,"data":{{"object":{{"id":"prod_1"}}}}}}"#
        );
        let signature = open.stripe.sign(&body);
        open.post_bytes("/stripe/webhook", &[("stripe-signature", &signature)], body.into_bytes()).await.status
    });
    let answers = tokio::time::timeout(Duration::from_secs(10), futures_util::future::join_all(posts)).await;
    let answers = answers.expect("within the ten seconds that Stripe waits at least");
    assert!(answers.iter().all(|status| *status == 200));
    assert_eq!(open.count("SELECT COUNT(*) FROM support_events").await, 1_000);
});
