//! What staff see of giving: figures, gifts, the ledger, alarms, and the comparison with Stripe.

use crate::giving::*;
use crate::house::{House, story};
use friday::demo::stripe::{Handing, Visit};
use friday::staff::Role;
use friday::support::reconcile::{Span, reconcile};
use std::time::Duration;

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

story!(the_figures_of_a_month_agree_with_each_other, async |house: House| {
    let open = Open::new(house).await;
    open.give("monthly", "5", "USD", GIVER).await;
    open.give("monthly", "7", "USD", "two@example.org").await;
    open.give("annual", "120", "USD", "three@example.org").await;
    open.hear(Handing::IN_ORDER).await;
    let page = own_page(&open, "two@example.org").await;
    let gifts = open.stripe.objects("subscription");
    open.post(&format!("{page}/end"), &[("gift", gifts[1]["id"].as_str().unwrap())]).await;
    open.hear(Handing::IN_ORDER).await;
    let body = open.staff(Role::Finance).await.get("/staff/giving").await.body;
    // 5 a month, and a twelfth of 120.
    for (label, value, note) in [
        ("Monthly recurring", "$15", "2 gifts, $7.50 on average"),
        ("New", "3", "+$22 a month"),
        ("Ended", "1", "−$7 a month"),
    ] {
        assert!(body.contains(&format!("<dt>{label}</dt><dd>{value}</dd><dd>{note}")), "{label}: {body}");
    }
    assert!(body.contains("<dt>This month</dt><dd>$132</dd>"), "{body}");
});

story!(staff_see_gifts_and_their_history_and_nobody_s_name, async |house: House| {
    let open = Open::new(house).await;
    open.give("monthly", "5", "USD", GIVER).await;
    open.hear(Handing::IN_ORDER).await;
    let page = own_page(&open, GIVER).await;
    let gift = subscription(&open)["id"].as_str().unwrap().to_owned();
    open.post(&format!("{page}/pause"), &[("gift", &gift), ("months", "1")]).await;
    open.hear(Handing::IN_ORDER).await;
    let desk = open.staff(Role::Finance).await;
    let list = desk.get("/staff/giving/gifts").await;
    assert!(
        list.body.contains("1 to 1 of 1") && list.body.contains("dashboard.stripe.com/customers/cus_"),
        "{}",
        list.body
    );
    let (id,): (i64,) = open.db().read("SELECT id FROM support_gifts").one().await.unwrap();
    let history = desk.get(&format!("/staff/giving/gifts/{id}")).await;
    for seen in ["Begun", "Payment", "Fee", "Paused", "invoice.paid", "customer.subscription.updated"] {
        assert!(history.body.contains(seen), "{seen} is missing in {}", history.body);
    }
    for page in [&list, &history] {
        assert!(!page.body.to_lowercase().contains("giver@"), "an address");
    }
    assert_eq!(desk.get("/staff/giving/gifts/7").await.status, 404);
    assert_eq!(open.staff(Role::Editor).await.get("/staff/giving/gifts").await.status, 403);
});

story!(the_accountant_gets_every_line_of_a_time_and_no_formula, async |house: House| {
    let open = Open::new(house).await;
    open.give("monthly", "5", "USD", GIVER).await;
    open.hear(Handing::IN_ORDER).await;
    open.stripe.refund(&open.charge(), Some(200)).unwrap();
    open.hear(Handing::IN_ORDER).await;
    let spoiled = "UPDATE support_ledger SET object_id = '=HYPERLINK(1)' WHERE kind = 'refund'";
    open.db().write(spoiled).execute().await.unwrap();
    let desk = open.staff(Role::Finance).await;
    let days = [("from", "2026-11-01"), ("to", "2026-11-30")];
    let csv = desk.post("/staff/giving/ledger.csv", &days).await;
    assert_eq!(csv.status, 200);
    let lines: Vec<&str> = csv.body.lines().collect();
    assert_eq!(lines.len(), 4, "{}", csv.body);
    assert_eq!(lines[0], "time,kind,frequency,currency,amount,stripe_id,payment,recurring_gift");
    assert!(
        csv.body.contains("payment,monthly,USD,5.00,in_")
            && csv.body.contains(",refund,monthly,USD,-2.00,'=HYPERLINK(1),pi_")
    );
    assert!(
        csv.body.contains("fee,monthly,USD,-0.45,txn_") || csv.body.contains("fee,monthly,USD,-0.44,txn_"),
        "{}",
        csv.body
    );
    assert!(lines[1..].iter().all(|line| line.ends_with(subscription(&open)["id"].as_str().unwrap())));
    let none = desk.post("/staff/giving/ledger.csv", &[("from", "2026-10-01"), ("to", "2026-10-31")]).await;
    assert_eq!(none.body.lines().count(), 1);
    assert_eq!(desk.post("/staff/giving/ledger.csv", &[("from", "then"), ("to", "now")]).await.status, 422);
    let editor = open.staff(Role::Editor).await;
    assert_eq!(editor.post("/staff/giving/ledger.csv", &days).await.status, 403);
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

story!(an_alarm_is_told_to_whoever_may_see_giving_once_and_says_nothing_of_anybody, async |house: House| {
    let open = Open::new(house).await;
    open.staff(Role::Finance).await;
    open.staff(Role::Editor).await;
    open.give("once", "25", "USD", GIVER).await;
    open.hear(Handing::IN_ORDER).await;
    open.stripe.open_dispute(&open.charge()).unwrap();
    open.hear(Handing { copies: 2, shuffle: Some(1) }).await;
    open.work().await;
    let told: Vec<_> = open.mails().into_iter().filter(|mail| mail.subject == "Friday: giving needs a look").collect();
    assert_eq!(told.len(), 1);
    assert!(told[0].to.starts_with("finance-") && told[0].text.contains("/staff/giving"), "{}", told[0].text);
    assert!(!told[0].text.contains("25") && !told[0].text.contains("disput") && !told[0].text.contains(GIVER));
    let home = open.staff(Role::Finance).await.get("/staff").await;
    assert!(home.body.contains("1 alarm has to be looked at"), "{}", home.body);
});

story!(the_reconciliation_takes_in_what_never_came_and_names_what_differs, async |house: House| {
    let open = Open::new(house).await;
    open.give("monthly", "5", "USD", GIVER).await;
    open.give("once", "25", "USD", "other@example.org").await;
    open.stripe.refund(&open.charge(), Some(500)).unwrap();
    let stripe = open.app.stripe.as_ref().unwrap();
    let since = open.clock().now() - 30 * DAY;
    let report = reconcile(&open.app, stripe, Span { since, until: since + 31 * DAY }).await.unwrap();
    assert!(report.is_equal() && report.taken_in > 0, "{report:?}");
    let balance = open.stripe.balance("usd");
    assert_eq!((report.sums["USD"], open.gross().await), ((balance, balance), 2500));
    let again = reconcile(&open.app, stripe, Span { since, until: since + 31 * DAY }).await.unwrap();
    assert_eq!((again.taken_in, again.is_equal()), (0, true), "{again:?}");
    // A movement whose event was never made is looked up by itself.
    let span = Span { since, until: since + 31 * DAY };
    open.db().write("DELETE FROM support_ledger WHERE kind <> 'fee'").execute().await.unwrap();
    let healed = reconcile(&open.app, stripe, span).await.unwrap();
    assert_eq!((healed.taken_in, healed.is_equal()), (3, true), "{healed:?}");
    open.db().write("UPDATE support_ledger SET amount = -400 WHERE kind = 'refund'").execute().await.unwrap();
    let report = reconcile(&open.app, stripe, span).await.unwrap();
    assert_eq!(report.differences.len(), 1);
    assert_eq!((report.differences[0].stripe, report.differences[0].ours), (Some(-500), Some(-400)));
});

story!(each_night_both_sides_are_compared_and_the_page_is_green_or_red, async |house: House| {
    let toml = "[[support.currencies]]\ncode = \"USD\"\n[[support.currencies]]\ncode = \"EUR\"\n";
    let newsroom = friday::newsroom::Newsroom::from_toml(toml).unwrap();
    let open = Open::with(house, |config| config.newsroom = newsroom).await;
    open.give("monthly", "5", "USD", GIVER).await;
    open.give("once", "25", "EUR", "other@example.org").await;
    open.hear(Handing::IN_ORDER).await;
    // Somebody signs in each time: nobody stays signed in over night.
    let giving = async || open.staff(Role::Finance).await.get("/staff/giving").await;
    assert!(giving().await.body.contains("Not yet compared with Stripe"));
    // Half past three of the next night.
    open.advance(Duration::from_secs(18 * 3_600 + 1_800)).await;
    open.work().await;
    let page = giving().await;
    assert!(page.body.contains(">Equal<") && page.body.contains("27 Nov 2026, 03:30"), "{}", page.body);
    let (usd, eur) = (open.stripe.balance("usd"), open.stripe.balance("eur"));
    let says = |minor: i64, code: &str| format!("{}.{:02} {code}", minor / 100, minor % 100);
    assert!(page.body.contains(&says(usd, "USD")) && page.body.contains(&says(eur, "EUR")), "{}", page.body);
    open.db().write("UPDATE support_ledger SET amount = 2400 WHERE amount = 2500").execute().await.unwrap();
    open.advance(HOUR).await;
    open.work().await;
    assert!(giving().await.body.contains(">Equal<"), "once a night");
    open.advance(23 * HOUR).await;
    open.work().await;
    let page = giving().await;
    assert!(page.body.contains("Not equal") && page.body.contains("25.00 EUR, we say 24.00 EUR"), "{}", page.body);
    assert_eq!(open.alarms().await, ["differs"]);
    open.advance(40 * HOUR).await;
    let page = giving().await;
    assert!(page.body.contains("Not compared since"), "a page that nobody made green any more is not green");
    let pressed = open.staff(Role::Finance).await.post("/staff/giving/compare", &[]).await;
    assert_eq!(pressed.status, 303, "{}", pressed.body);
});
