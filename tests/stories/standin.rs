//! The Stripe stand-in is as strict as Stripe, and what happens in it is what happens there.

use std::time::Duration;

use axum::http::StatusCode;
use friday::clock::{Clock, Moment};
use friday::demo::stripe::{Handing, Method, Options, Outcome, StandIn, Visit, fee, signature};
use serde_json::{Value, json};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Saturday, 31 January 2026, 09:00 UTC: a month after it ends on the last day of February.
const LAST_OF_JANUARY: i64 = 1_769_850_000;

struct Client {
    standin: StandIn,
    clock: Clock,
    http: reqwest::Client,
}

impl Client {
    async fn new() -> Client {
        let clock = Clock::fixed(Moment::from_millis(LAST_OF_JANUARY * 1000));
        let standin = StandIn::start(Options::new(clock.clone())).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Client { standin, clock, http }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> (StatusCode, Value) {
        let answer = request.bearer_auth("sk_test_standin_1").send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    async fn get(&self, path: &str) -> Value {
        let request = self.http.get(format!("{}{path}", self.standin.base_url()));
        let (status, body) = self.send(request).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body
    }

    async fn try_post(&self, path: &str, form: &[(&str, &str)]) -> (StatusCode, Value) {
        let url = format!("{}{path}", self.standin.base_url());
        self.send(self.http.post(url).form(form)).await
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Value {
        let (status, body) = self.try_post(path, form).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body
    }

    /// A session for ten dollars: once, or every month.
    async fn session(&self, mode: &str) -> String {
        let body = self.post("/v1/checkout/sessions", &session(mode)).await;
        body["id"].as_str().unwrap().to_owned()
    }

    async fn subscription(&self) -> Value {
        let session = self.session("subscription").await;
        let paid = self.standin.pay(&session, &Visit::by_card("k@example.org")).unwrap();
        assert_eq!(paid, Outcome::Paid);
        let session = self.standin.object(&session);
        self.standin.object(session["subscription"].as_str().unwrap())
    }

    fn told_since(&self, before: usize) -> Vec<String> {
        self.standin.told().split_off(before)
    }
}

fn session(mode: &str) -> Vec<(&'static str, &'static str)> {
    let mut form = vec![
        ("line_items[0][price_data][currency]", "usd"),
        ("line_items[0][price_data][product_data][name]", "Support"),
        ("line_items[0][price_data][unit_amount]", "1000"),
        ("line_items[0][quantity]", "1"),
        ("success_url", "http://localhost:8080/support/thanks?session={CHECKOUT_SESSION_ID}"),
        ("cancel_url", "http://localhost:8080/support"),
        ("metadata[attempt]", "a1"),
    ];
    if mode == "subscription" {
        form.push(("mode", "subscription"));
        form.push(("line_items[0][price_data][recurring][interval]", "month"));
        form.push(("subscription_data[metadata][attempt]", "a1"));
    } else {
        form.push(("mode", "payment"));
        form.push(("payment_intent_data[metadata][attempt]", "a1"));
    }
    form
}

fn with<'a>(mode: &str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut form: Vec<(&str, &str)> = session(mode);
    form.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    form.extend(more.iter().copied().filter(|(_, value)| *value != "(none)"));
    form
}

#[tokio::test]
async fn a_parameter_that_stripe_does_not_take_is_an_error() {
    let client = Client::new().await;
    for name in ["colour", "line_items[0][price_data][colour]", "subscription_data[colour]", "line_items[0][prise]"] {
        let (status, body) = client.try_post("/v1/checkout/sessions", &with("payment", &[(name, "red")])).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{name}");
        assert_eq!(body["error"]["code"], "parameter_unknown", "{name}");
        assert_eq!(body["error"]["param"], name);
        assert_eq!(body["error"]["type"], "invalid_request_error");
    }
}

#[tokio::test]
async fn a_session_that_stripe_would_not_make_is_not_made() {
    let client = Client::new().await;
    let soon = (LAST_OF_JANUARY + 60).to_string();
    let late = (LAST_OF_JANUARY + 25 * 3600).to_string();
    let price = "line_items[0][price_data]";
    #[expect(clippy::type_complexity, reason = "a table")]
    let bad: &[(&str, &[(&str, &str)], &str)] = &[
        ("payment", &[("mode", "(none)")], "mode"),
        ("payment", &[("mode", "gift")], "mode"),
        ("payment", &[("success_url", "(none)")], "success_url"),
        ("payment", &[("success_url", "/thanks")], "success_url"),
        ("payment", &[("expires_at", &soon)], "expires_at"),
        ("payment", &[("expires_at", &late)], "expires_at"),
        ("payment", &[("expires_at", "tomorrow")], "expires_at"),
        ("payment", &[("customer_email", "nobody")], "customer_email"),
        ("payment", &[("customer_email", "")], "customer_email"),
        ("payment", &[("customer", "cus_none")], "customer"),
        ("payment", &[("locale", "tlh")], "locale"),
        ("payment", &[("line_items[0][quantity]", "(none)")], "line_items[0][quantity]"),
        ("payment", &[(&format!("{price}[currency]"), "(none)")], "line_items[0][price_data][currency]"),
        ("payment", &[(&format!("{price}[currency]"), "xxx")], "line_items[0][price_data][currency]"),
        ("payment", &[(&format!("{price}[unit_amount]"), "10.50")], "line_items[0][price_data][unit_amount]"),
        ("payment", &[(&format!("{price}[unit_amount]"), "-5")], "line_items[0][price_data][unit_amount]"),
        ("payment", &[(&format!("{price}[recurring][interval]"), "month")], "mode"),
        ("payment", &[("subscription_data[description]", "x")], "subscription_data"),
        (
            "payment",
            &[("payment_intent_data[statement_descriptor_suffix]", "12345")],
            "payment_intent_data[statement_descriptor_suffix]",
        ),
        (
            "subscription",
            &[(&format!("{price}[recurring][interval]"), "fortnight")],
            "line_items[0][price_data][recurring][interval]",
        ),
        ("subscription", &[("customer_creation", "always")], "customer_creation"),
        ("subscription", &[("payment_intent_data[description]", "x")], "payment_intent_data"),
    ];
    for (mode, change, parameter) in bad {
        let (status, body) = client.try_post("/v1/checkout/sessions", &with(mode, change)).await;
        assert!(status.is_client_error(), "{change:?} was taken: {body}");
        assert_eq!(body["error"]["param"], *parameter, "{change:?}: {body}");
    }
    let (_, body) =
        client.try_post("/v1/checkout/sessions", &with("payment", &[(&format!("{price}[unit_amount]"), "49")])).await;
    assert_eq!(body["error"]["code"], "amount_too_small");
    let fils = [("line_items[0][price_data][currency]", "kwd"), ("line_items[0][price_data][unit_amount]", "1005")];
    let (status, _) = client.try_post("/v1/checkout/sessions", &with("payment", &fils)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "three-decimal amounts end in 0");
    assert!(client.standin.objects("checkout.session").is_empty());
}

#[tokio::test]
async fn only_a_key_of_the_stand_in_opens_it() {
    let client = Client::new().await;
    let url = format!("{}/v1/balance", client.standin.base_url());
    for key in ["", "sk_test_123", "sk_live_123", "rk_test_standin"] {
        let answer = client.http.get(&url).bearer_auth(key).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{key}");
    }
    let basic = client.http.get(&url).basic_auth("sk_test_standin", Some("")).send().await.unwrap();
    assert_eq!(basic.status(), StatusCode::OK);
    assert!(basic.headers()["request-id"].to_str().unwrap().starts_with("req_"));
    let elsewhere = client.http.get(&url).header("host", "evil.example").bearer_auth("sk_test_standin");
    assert_eq!(elsewhere.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    let outside = Options { listen: "0.0.0.0:0".parse().unwrap(), ..Options::new(client.clock.clone()) };
    assert!(StandIn::start(outside).await.is_err(), "loopback only");
}

#[tokio::test]
async fn the_same_idempotency_key_gives_the_first_answer_again() {
    let client = Client::new().await;
    let url = format!("{}/v1/checkout/sessions", client.standin.base_url());
    let post = async |key: &str, form: &[(&str, &str)]| {
        let request = client.http.post(&url).bearer_auth("sk_test_standin").header("idempotency-key", key);
        let answer = request.form(form).send().await.unwrap();
        let replayed = answer.headers().contains_key("idempotent-replayed");
        (answer.status(), replayed, answer.json::<Value>().await.unwrap())
    };
    let (_, replayed, first) = post("k1", &session("payment")).await;
    assert!(!replayed);
    let (_, replayed, second) = post("k1", &session("payment")).await;
    assert!(replayed);
    assert_eq!(first, second);
    assert_eq!(client.standin.objects("checkout.session").len(), 1);
    let (status, _, other) = post("k1", &session("subscription")).await;
    assert_eq!((status, &other["error"]["type"]), (StatusCode::BAD_REQUEST, &json!("idempotency_error")));
    // An answer that is an error is kept as well, unless the parameters were not even read.
    let missing = with("payment", &[("customer", "cus_none")]);
    let (status, _, first) = post("k2", &missing).await;
    let (again, replayed, second) = post("k2", &missing).await;
    assert_eq!((status, again, replayed, first), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND, true, second));
    assert_eq!(post("k3", &with("payment", &[("mode", "x")])).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(post("k3", &session("payment")).await.0, StatusCode::OK);
    // Keys are forgotten after a day.
    client.clock.advance(DAY + DAY);
    assert!(!post("k1", &session("payment")).await.1);
}

#[tokio::test]
async fn a_fault_that_was_asked_for_comes_once() {
    let client = Client::new().await;
    client.standin.fail_next(&[StatusCode::INTERNAL_SERVER_ERROR, StatusCode::TOO_MANY_REQUESTS]);
    let (first, _) = client.try_post("/v1/customers", &[]).await;
    let (second, body) = client.try_post("/v1/customers", &[]).await;
    let (third, _) = client.try_post("/v1/customers", &[]).await;
    assert_eq!((first.as_u16(), second.as_u16(), third.as_u16()), (500, 429, 200));
    assert_eq!(body["error"]["type"], "rate_limit_error");
}

#[tokio::test]
async fn a_gift_given_once_is_paid_through_the_page() {
    let client = Client::new().await;
    let id = client.session("payment").await;
    let page = format!("{}/c/pay/{id}", client.standin.base_url());
    let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let shown = http.get(&page).send().await.unwrap().text().await.unwrap();
    assert!(shown.contains("10.00 USD") && shown.contains("Support"));
    let leave = http.post(&page).form(&[("act", "leave")]).send().await.unwrap();
    assert_eq!(leave.headers()["location"], "http://localhost:8080/support");
    let declined = http.post(&page).form(&[("act", "fail"), ("email", "k@example.org")]).send().await.unwrap();
    assert!(declined.text().await.unwrap().contains("declined"));
    assert_eq!(client.standin.object(&id)["status"], "open", "a declined session can be tried again");
    let paid = http.post(&page).form(&[("act", "pay"), ("email", "k@example.org")]).send().await.unwrap();
    let thanks = format!("http://localhost:8080/support/thanks?session={id}");
    assert_eq!(paid.headers()["location"].to_str().unwrap(), thanks);

    let session = client
        .get(&format!(
            "/v1/checkout/sessions/{id}?expand[]=payment_intent.latest_charge.balance_transaction&expand[]=line_items"
        ))
        .await;
    assert_eq!(session["payment_status"], "paid");
    assert_eq!(session["customer_details"]["email"], "k@example.org");
    assert!(session["customer"].is_null(), "a guest is no customer unless that was asked for");
    let intent = &session["payment_intent"];
    assert_eq!(intent["metadata"]["attempt"], "a1");
    assert!(intent.get("invoice").is_none() && intent["latest_charge"].get("invoice").is_none());
    assert_eq!(intent["latest_charge"]["balance_transaction"]["net"], 1000 - fee(1000));
    assert_eq!(session["line_items"]["data"][0]["amount_total"], 1000);
    assert_eq!(client.standin.objects("charge").len(), 2, "the declined one and the paid one");
    assert_eq!(client.standin.balance("usd"), 1000 - fee(1000));
    let told = client.standin.told();
    assert_eq!(told.last().unwrap(), "checkout.session.completed");
    assert!(told.contains(&"payment_intent.payment_failed".to_owned()));
}

#[tokio::test]
async fn a_delayed_payment_is_unpaid_until_it_is_settled() {
    let client = Client::new().await;
    for (mode, is_good) in [("payment", true), ("payment", false), ("subscription", true), ("subscription", false)] {
        let id = client.session(mode).await;
        let outcome = client.standin.pay(&id, &Visit::by_debit("k@example.org", is_good)).unwrap();
        assert_eq!(outcome, Outcome::OnItsWay);
        let session = client.standin.object(&id);
        assert_eq!((&session["status"], &session["payment_status"]), (&json!("complete"), &json!("unpaid")));
        let before = client.standin.told().len();
        client.standin.advance(5 * DAY);
        let told = client.told_since(before);
        let session = client.standin.object(&id);
        if is_good {
            assert_eq!(session["payment_status"], "paid");
            assert!(told.contains(&"checkout.session.async_payment_succeeded".to_owned()));
            assert_eq!(told.contains(&"invoice.paid".to_owned()), mode == "subscription");
        } else {
            assert_eq!(session["payment_status"], "unpaid");
            assert!(told.contains(&"checkout.session.async_payment_failed".to_owned()));
            assert_eq!(told.contains(&"invoice.payment_failed".to_owned()), mode == "subscription");
        }
    }
}

#[tokio::test]
async fn an_open_session_runs_out_and_can_be_recovered() {
    let client = Client::new().await;
    let form = with("payment", &[("after_expiration[recovery][enabled]", "true")]);
    let session = client.post("/v1/checkout/sessions", &form).await;
    let id = session["id"].as_str().unwrap();
    client.clock.advance(DAY);
    let session = client.get(&format!("/v1/checkout/sessions/{id}")).await;
    assert_eq!((&session["status"], &session["url"]), (&json!("expired"), &Value::Null));
    assert_eq!(client.standin.told(), ["checkout.session.expired"]);
    assert!(client.standin.pay(id, &Visit::by_card("k@example.org")).is_err());
    let (status, _) = client.try_post(&format!("/v1/checkout/sessions/{id}/expire"), &[]).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let link = session["after_expiration"]["recovery"]["url"].as_str().unwrap();
    let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let to = http.get(link).send().await.unwrap().headers()["location"].to_str().unwrap().to_owned();
    let new = to.rsplit('/').next().unwrap();
    assert_eq!(client.standin.object(new)["recovered_from"], id);
    assert_eq!(client.standin.pay(new, &Visit::by_card("k@example.org")).unwrap(), Outcome::Paid);
}

#[tokio::test]
async fn a_monthly_gift_renews_on_its_day_of_the_month() {
    let client = Client::new().await;
    let subscription = client.subscription().await;
    let id = subscription["id"].as_str().unwrap();
    assert_eq!(subscription["metadata"]["attempt"], "a1");
    assert!(subscription.get("current_period_end").is_none(), "periods are on the items");
    let ends = |nth: &str| jiff_seconds(nth);
    assert_eq!(subscription["items"]["data"][0]["current_period_end"], ends("2026-02-28T09:00:00Z"));
    client.standin.advance(366 * DAY);
    let invoices = client.get(&format!("/v1/invoices?subscription={id}&limit=100&expand[]=data.payments")).await;
    let all = invoices["data"].as_array().unwrap();
    assert_eq!(all.len(), 13, "the first and twelve renewals");
    assert!(all.iter().all(|invoice| invoice["status"] == "paid" && invoice.get("subscription").is_none()));
    assert_eq!(all[0]["billing_reason"], "subscription_cycle");
    assert_eq!(all[12]["billing_reason"], "subscription_create");
    assert_eq!(all[11]["created"], ends("2026-02-28T09:00:00Z"));
    assert_eq!(all[10]["created"], ends("2026-03-31T09:00:00Z"), "the 31st again after a short month");
    assert_eq!(all[0]["parent"]["subscription_details"]["subscription"], id);
    let intent = all[0]["payments"]["data"][0]["payment"]["payment_intent"].as_str().unwrap();
    assert_eq!(client.standin.object(intent)["status"], "succeeded");
    let paid = client.get(&format!("/v1/invoice_payments?invoice={}", all[0]["id"].as_str().unwrap())).await;
    assert_eq!(paid["data"][0]["payment"]["payment_intent"], intent);
    let told = client.standin.told();
    assert_eq!(told.iter().filter(|kind| *kind == "invoice.paid").count(), 13);
    assert_eq!(told.iter().filter(|kind| *kind == "invoice.upcoming").count(), 12, "one before each renewal");
    assert_eq!(client.standin.balance("usd"), 13 * (1000 - fee(1000)));
}

fn jiff_seconds(at: &str) -> i64 {
    at.parse::<jiff::Timestamp>().unwrap().as_second()
}

#[tokio::test]
async fn a_gift_whose_card_breaks_is_tried_again_and_then_ends() {
    let client = Client::new().await;
    let gift = client.subscription().await;
    let (id, customer) = (gift["id"].as_str().unwrap(), gift["customer"].as_str().unwrap());
    client.standin.set_cards(customer, Method::Declined);
    client.standin.advance(29 * DAY);
    let gift = client.standin.object(id);
    assert_eq!(gift["status"], "past_due");
    let invoice = client.standin.object(gift["latest_invoice"].as_str().unwrap());
    assert_eq!((&invoice["status"], &invoice["attempt_count"]), (&json!("open"), &json!(1)));
    assert!(invoice["next_payment_attempt"].is_i64());

    // The card works again: the next try brings it back.
    client.standin.set_cards(customer, Method::Works);
    client.standin.advance(3 * DAY);
    assert_eq!(client.standin.object(id)["status"], "active");
    assert_eq!(client.standin.object(invoice["id"].as_str().unwrap())["status"], "paid");

    // It breaks for good.
    client.standin.set_cards(customer, Method::Declined);
    let before = client.standin.told().len();
    client.standin.advance(60 * DAY);
    let gift = client.standin.object(id);
    assert_eq!(gift["status"], "canceled");
    assert_eq!(gift["cancellation_details"]["reason"], "payment_failed");
    let told = client.told_since(before);
    assert_eq!(told.iter().filter(|kind| *kind == "invoice.payment_failed").count(), 4);
    assert_eq!(told.iter().filter(|kind| *kind == "customer.subscription.deleted").count(), 1);
}

#[tokio::test]
async fn a_declined_first_payment_leaves_nothing_that_bills() {
    let client = Client::new().await;
    let id = client.session("subscription").await;
    let outcome = client.standin.pay(&id, &Visit::declined("k@example.org")).unwrap();
    assert_eq!(outcome, Outcome::Declined);
    assert_eq!(client.standin.object(&id)["status"], "open");
    assert_eq!(client.standin.objects("subscription")[0]["status"], "incomplete");
    // Tried again with another card, it is the same subscription that begins.
    assert_eq!(client.standin.pay(&id, &Visit::by_card("k@example.org")).unwrap(), Outcome::Paid);
    assert_eq!(client.standin.objects("subscription").len(), 1);
    assert_eq!(client.standin.objects("subscription")[0]["status"], "active");
    // Left alone, another one is given up within a day.
    let id = client.session("subscription").await;
    client.standin.pay(&id, &Visit::declined("other@example.org")).unwrap();
    client.standin.advance(DAY);
    assert_eq!(client.standin.objects("subscription")[0]["status"], "incomplete_expired");
    assert_eq!(client.standin.objects("invoice")[0]["status"], "void");
}

#[tokio::test]
async fn a_gift_can_end_with_its_period_pause_and_change_its_amount() {
    let client = Client::new().await;
    let gift = client.subscription().await;
    let id = gift["id"].as_str().unwrap();
    let path = format!("/v1/subscriptions/{id}");
    let item = gift["items"]["data"][0]["id"].as_str().unwrap();
    let product = gift["items"]["data"][0]["price"]["product"].as_str().unwrap();
    let mut change = vec![
        ("items[0][id]", item),
        ("items[0][price_data][currency]", "usd"),
        ("items[0][price_data][product]", product),
        ("items[0][price_data][recurring][interval]", "month"),
        ("items[0][price_data][unit_amount]", "2500"),
    ];
    assert_eq!(client.try_post(&path, &change).await.0, StatusCode::BAD_REQUEST, "prorations are not played");
    change.push(("proration_behavior", "none"));
    client.post(&path, &change).await;
    client.standin.advance(29 * DAY);
    assert_eq!(client.standin.objects("invoice")[0]["amount_paid"], 2500);

    let until = (LAST_OF_JANUARY + 70 * 24 * 3600).to_string();
    let pause = [("pause_collection[behavior]", "void"), ("pause_collection[resumes_at]", until.as_str())];
    client.post(&path, &pause).await;
    client.standin.advance(32 * DAY);
    assert_eq!(client.standin.objects("invoice")[0]["status"], "void", "a paused month is not paid");
    client.standin.advance(31 * DAY);
    assert!(client.standin.object(id)["pause_collection"].is_null());
    assert_eq!(client.standin.objects("invoice")[0]["status"], "paid");

    let ended = client.post(&path, &[("cancel_at_period_end", "true")]).await;
    assert_eq!(ended["status"], "active");
    assert_eq!(ended["cancel_at"], ended["items"]["data"][0]["current_period_end"]);
    client.standin.advance(31 * DAY);
    assert_eq!(client.standin.object(id)["status"], "canceled");
    assert_eq!(client.standin.told().last().unwrap(), "customer.subscription.deleted");
    let (status, _) = client.try_post(&path, &[("cancel_at_period_end", "false")]).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn another_interval_begins_and_is_billed_at_once() {
    let client = Client::new().await;
    let gift = client.subscription().await;
    let item = &gift["items"]["data"][0];
    let change = [
        ("items[0][id]", item["id"].as_str().unwrap()),
        ("items[0][price_data][currency]", "usd"),
        ("items[0][price_data][product]", item["price"]["product"].as_str().unwrap()),
        ("items[0][price_data][recurring][interval]", "year"),
        ("items[0][price_data][unit_amount]", "9000"),
        ("proration_behavior", "none"),
    ];
    client.standin.advance(10 * DAY);
    client.post(&format!("/v1/subscriptions/{}", gift["id"].as_str().unwrap()), &change).await;
    let invoice = client.standin.objects("invoice")[0].clone();
    assert_eq!((&invoice["amount_paid"], &invoice["billing_reason"]), (&json!(9000), &json!("subscription_update")));
    client.standin.advance(364 * DAY);
    assert_eq!(client.standin.objects("invoice").len(), 2, "the old month's end no longer counts");
    client.standin.advance(2 * DAY);
    assert_eq!(client.standin.objects("invoice").len(), 3);
}

#[tokio::test]
async fn refunds_and_disputes_move_the_balance() {
    let client = Client::new().await;
    let id = client.session("payment").await;
    client.standin.pay(&id, &Visit::by_card("k@example.org")).unwrap();
    let session = client.standin.object(&id);
    let intent = session["payment_intent"].as_str().unwrap();
    let charge = client.standin.object(intent)["latest_charge"].as_str().unwrap().to_owned();
    let kept = 1000 - fee(1000);

    let (status, body) = client.try_post("/v1/refunds", &[("charge", &charge), ("amount", "1001")]).await;
    assert_eq!((status, &body["error"]["param"]), (StatusCode::BAD_REQUEST, &json!("amount")));
    let part = client.post("/v1/refunds", &[("payment_intent", intent), ("amount", "300")]).await;
    assert_eq!(part["status"], "succeeded");
    let refunded = client.get(&format!("/v1/charges/{charge}?expand[]=refunds")).await;
    assert_eq!((&refunded["amount_refunded"], &refunded["refunded"]), (&json!(300), &json!(false)));
    assert_eq!(refunded["refunds"]["data"][0]["id"], part["id"]);
    assert_eq!(client.standin.balance("usd"), kept - 300);
    client.standin.fail_refund(part["id"].as_str().unwrap()).unwrap();
    assert_eq!(client.standin.balance("usd"), kept);
    client.post("/v1/refunds", &[("charge", &charge)]).await;
    assert_eq!(client.standin.object(&charge)["refunded"], true);
    let (_, body) = client.try_post("/v1/refunds", &[("charge", &charge)]).await;
    assert_eq!(body["error"]["code"], "charge_already_refunded");

    for is_won in [true, false] {
        let id = client.session("payment").await;
        client.standin.pay(&id, &Visit::by_card("k@example.org")).unwrap();
        let charge = client.standin.objects("charge")[0]["id"].as_str().unwrap().to_owned();
        let before = client.standin.balance("usd");
        let dispute = client.standin.open_dispute(&charge).unwrap();
        assert_eq!(client.standin.balance("usd"), before - 1000 - 1500);
        let closed = client.standin.close_dispute(dispute["id"].as_str().unwrap(), is_won).unwrap();
        let back = if is_won { 1000 } else { 0 };
        assert_eq!(client.standin.balance("usd"), before - 2500 + back);
        assert_eq!(closed["status"], if is_won { "won" } else { "lost" });
    }
    let all = client.get("/v1/balance_transactions?limit=100").await;
    let sum: i64 = all["data"].as_array().unwrap().iter().map(|one| one["net"].as_i64().unwrap()).sum();
    assert_eq!(sum, client.standin.balance("usd"));
}

#[tokio::test]
async fn a_customer_who_is_deleted_leaves_no_address_and_no_gift() {
    let client = Client::new().await;
    let gift = client.subscription().await;
    let path = format!("/v1/customers/{}", gift["customer"].as_str().unwrap());
    let euros = with(
        "subscription",
        &[("customer", gift["customer"].as_str().unwrap()), ("line_items[0][price_data][currency]", "eur")],
    );
    let (status, body) = client.try_post("/v1/checkout/sessions", &euros).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "one customer holds one currency: {body}");
    let url = format!("{}{path}", client.standin.base_url());
    let (_, left) = client.send(client.http.delete(url)).await;
    assert_eq!(left["deleted"], true);
    assert_eq!(client.get(&path).await["deleted"], true);
    assert_eq!(client.standin.objects("subscription")[0]["status"], "canceled");
    assert!(client.get("/v1/customers").await["data"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn events_are_listed_filtered_and_paged() {
    let client = Client::new().await;
    client.subscription().await;
    client.clock.advance(DAY);
    client.subscription().await;
    let page = client.get("/v1/events?limit=3").await;
    assert_eq!((page["data"].as_array().unwrap().len(), &page["has_more"]), (3, &json!(true)));
    let last = page["data"][2]["id"].as_str().unwrap();
    let next = client.get(&format!("/v1/events?limit=100&starting_after={last}")).await;
    assert_eq!(next["data"].as_array().unwrap().len() + 3, client.standin.told().len());
    let paid = client.get("/v1/events?types[]=invoice.paid&types[]=charge.succeeded&limit=100").await;
    assert_eq!(paid["data"].as_array().unwrap().len(), 4);
    let early = format!("/v1/events?type=invoice.*&created[lt]={}&limit=100", LAST_OF_JANUARY + 10);
    let early = client.get(&early).await;
    let all = client.get("/v1/events?type=invoice.*&limit=100").await;
    assert_eq!(early["data"].as_array().unwrap().len() * 2, all["data"].as_array().unwrap().len());
    let first = client.standin.waiting(Handing::IN_ORDER)[0].clone();
    client.standin.answered(&first.id, true);
    let taken = client.get("/v1/events?delivery_success=true").await;
    assert_eq!(taken["data"].as_array().unwrap().len(), 1);
    let event = client.get(&format!("/v1/events/{}", first.id)).await;
    assert_eq!((&event["livemode"], &event["pending_webhooks"]), (&json!(false), &json!(0)));
    client.clock.advance(31 * DAY);
    assert!(client.get("/v1/events?created[lte]=1769850000").await["data"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn events_come_signed_shuffled_and_more_than_once() {
    let client = Client::new().await;
    client.subscription().await;
    client.standin.set_secrets(&["whsec_new", "whsec_old"]);
    let in_order = client.standin.waiting(Handing::IN_ORDER);
    let mixed = client.standin.waiting(Handing { copies: 3, shuffle: Some(7) });
    assert_eq!(mixed.len(), 3 * in_order.len());
    assert_ne!(mixed[..in_order.len()], in_order[..]);
    let one = &in_order[0];
    assert_eq!(one.signature.matches("v1=").count(), 2, "one for each secret while it is rolled");
    let secrets = ["whsec_new".to_owned(), "whsec_old".to_owned()];
    assert_eq!(one.signature, signature(&one.body, &secrets, LAST_OF_JANUARY));
    // The known answer of another implementation: openssl dgst -sha256 -hmac whsec_test
    let known = signature("{}", &["whsec_test".to_owned()], 1);
    assert!(known.starts_with("t=1,v1=7500d5d4be4b3ef07af1fe56f7d522d135cdaa7530de557e67cc1049c52de094"), "{known}");
}

#[tokio::test]
async fn an_old_endpoint_is_sent_the_shapes_of_its_time() {
    let clock = Clock::fixed(Moment::from_millis(LAST_OF_JANUARY * 1000));
    let options = Options { api_version: "2020-08-27".to_owned(), ..Options::new(clock.clone()) };
    let standin = StandIn::start(options).await.unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let client = Client { standin, clock, http };
    client.subscription().await;
    let events = client.standin.waiting(Handing::IN_ORDER);
    let paid = events.iter().find(|event| event.kind == "invoice.paid").unwrap();
    let paid: Value = serde_json::from_str(&paid.body).unwrap();
    let invoice = &paid["data"]["object"];
    assert!(invoice["subscription"].is_string() && invoice["charge"].is_string());
    assert!(invoice["payment_intent"].is_string() && invoice["paid"] == true && invoice.get("parent").is_none());
    let today = client.http.get(format!("{}/v1/invoices", client.standin.base_url()));
    let (_, list) = client.send(today.header("stripe-version", "2026-10-28.endive")).await;
    assert!(list["data"][0].get("subscription").is_none());
}

#[tokio::test]
async fn a_refused_event_is_posted_again() {
    let seen = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = seen.clone();
    let hook = axum::Router::new().route(
        "/hook",
        axum::routing::post(move || async move {
            let nth = counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            if nth == 0 { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, hook).await });
    let client = Client::new().await;
    client.standin.set_webhook(&url);
    client.post("/v1/customers", &[("email", "k@example.org")]).await;
    let first = client.standin.deliver(Handing::IN_ORDER).await;
    assert_eq!(first.answers, [("customer.created".to_owned(), 500)]);
    assert!(client.standin.deliver(Handing::IN_ORDER).await.all_taken());
    assert!(client.standin.deliver(Handing::IN_ORDER).await.answers.is_empty());
}
