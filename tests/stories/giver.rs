//! The giver's own page, and what givers are told ahead.

use crate::giving::*;
use crate::house::{House, story};
use friday::demo::stripe::{Handing, Visit};
use serde_json::{Value, json};

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
    open.advance(25 * DAY).await;
    open.hear(Handing::IN_ORDER).await;
    let soon = open.mails_to(GIVER).await.into_iter().filter(|mail| mail.subject.contains("renews soon")).count();
    assert_eq!(soon, 0, "there is no year behind it");
    open.advance(7 * DAY).await;
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
    let paused = open.post(&format!("{page}/pause"), &[("gift", &gift), ("months", "1")]).await;
    assert_eq!(paused.status, 200);
    let annual = [("gift", gift.as_str()), ("frequency", "annual"), ("amount_annual", "50")];
    let refused = open.post(&format!("{page}/change"), &annual).await;
    assert_eq!(refused.status, 422, "an annual bill within the pause would be void, and the year with it");
    // Paused for longer, while it is paused.
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
    assert!(!receipt.body.contains("Given back"));
    open.stripe.refund(&open.charge(), Some(200)).unwrap();
    open.give("once", "9", "USD", "other@example.org").await;
    open.hear(Handing::IN_ORDER).await;
    let receipt = open.get(&format!("{page}/receipt/{number}")).await;
    assert!(receipt.body.contains("Given back since</dt><dd>$2</dd>"), "{}", receipt.body);
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

story!(a_first_payment_that_was_refused_does_not_keep_anybody_from_being_forgotten, async |house: House| {
    let open = Open::new(house).await;
    let session = open.press("monthly", "5", "USD").await;
    open.stripe.pay(&session, &Visit::declined(GIVER)).unwrap();
    open.give("once", "25", "USD", GIVER).await;
    open.hear(Handing::IN_ORDER).await;
    assert_eq!(open.gifts().await[0].1, "pending");
    let page = own_page(&open, GIVER).await;
    let forgotten = open.post(&format!("{page}/forget"), &[]).await;
    assert!(forgotten.status == 200 && forgotten.body.contains("nothing here leads to you"), "{}", forgotten.body);
    assert_eq!(open.count("SELECT COUNT(*) FROM support_gifts WHERE donor IS NOT NULL").await, 0);
});

story!(whoever_has_only_a_reminder_can_have_it_too, async |house: House| {
    let open = Open::new(house).await;
    open.post("/support/remind", &[("email", GIVER), ("month", "2027-02")]).await;
    let mails = open.mails_to(GIVER).await;
    open.post(&mails[0].link("/support/remind/confirm/"), &[]).await;
    open.post("/support/manage", &[("email", GIVER)]).await;
    let page = own_page(&open, GIVER).await;
    let held: Value = serde_json::from_str(&open.post(&format!("{page}/held"), &[]).await.body).unwrap();
    assert_eq!(held["reminder"]["month"], "2027-02");
    assert_eq!(open.post(&format!("{page}/forget"), &[]).await.status, 200);
    assert_eq!(open.count("SELECT COUNT(*) FROM support_reminders").await, 0);
});
