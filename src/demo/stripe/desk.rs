//! The pages of the stand-in: Checkout with buttons to pay, to be declined and to leave; the customers' portal; and a
//! desk on which time passes, cards break and refunds are made.

use askama::Template;
use axum::extract::{Form, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::checkout::Visit;
use super::currency;
use super::deliver::{Handing, deliver};
use super::error::Error;
use super::params::Params;
use super::payments::{Method, Outcome};
use super::world::{World, number, text};
use super::{Room, Shared};

const DAY: i64 = 24 * 3600;

#[derive(Template)]
#[template(path = "demo/stripe/pages/checkout.html")]
struct CheckoutPage {
    what: String,
    amount: String,
    every: String,
    email: String,
    asks_email: bool,
    is_open: bool,
    can_leave: bool,
    was_declined: bool,
    error: String,
    recurs: bool,
}

#[derive(Template)]
#[template(path = "demo/stripe/pages/portal.html")]
struct PortalPage {
    gifts: Vec<Gift>,
    return_url: String,
    invoices: Vec<Line>,
}

struct Gift {
    id: String,
    amount: String,
    every: String,
    state: String,
    is_live: bool,
    ends: bool,
}

struct Line {
    id: String,
    what: String,
    state: String,
    link: String,
    can_refund: bool,
    on_its_way: bool,
}

#[derive(Template)]
#[template(path = "demo/stripe/pages/home.html")]
struct HomePage {
    base_url: String,
    now: String,
    webhook: String,
    waiting: usize,
    payments: Vec<Line>,
    gifts: Vec<Gift>,
    events: Vec<String>,
}

fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => {
            ([(header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'self'")], Html(html)).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn gone(message: &'static str) -> Response {
    (StatusCode::NOT_FOUND, message).into_response()
}

/// Refuses requests that came for another name than this machine's: a page elsewhere must not reach the stand-in by
/// pointing its own name at loopback.
pub async fn only_here(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
    let name = if let Some(six) = host.strip_prefix('[') {
        six.split(']').next().unwrap_or("")
    } else {
        host.split(':').next().unwrap_or("")
    };
    let is_here = name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if is_here {
        next.run(request).await
    } else {
        (StatusCode::FORBIDDEN, "The stand-in answers on loopback only.").into_response()
    }
}

/// The style of these pages.
pub async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css")], include_str!("pages/standin.css"))
}

/// `GET /c/pay/{id}`: the page that Checkout would show.
pub async fn checkout(State(app): State<Shared>, Path(id): Path<String>) -> Response {
    let room = app.enter();
    match room.world.find(&id) {
        Some(session) if session["object"] == "checkout.session" => {
            page(&checkout_page(&room.world, session, false, ""))
        }
        _ => gone("No such session."),
    }
}

fn checkout_page(world: &World, session: &Value, was_declined: bool, error: &str) -> CheckoutPage {
    let line = world.asked.get(&text(session, "/id")).and_then(|asked| asked.line_items.first()).cloned();
    let line = line.unwrap_or_default();
    let known = match session["customer"].as_str() {
        Some(customer) => text(&world.get(customer), "/email"),
        None => text(session, "/customer_details/email"),
    };
    CheckoutPage {
        what: text(&line, "/description"),
        amount: currency::in_words(number(session, "/amount_total"), &text(session, "/currency")),
        every: every(&line["price"]),
        asks_email: known.is_empty(),
        email: known,
        is_open: session["status"] == "open",
        can_leave: !session["cancel_url"].is_null(),
        was_declined,
        error: error.to_owned(),
        recurs: session["mode"] == "subscription",
    }
}

fn every(price: &Value) -> String {
    let count = number(price, "/recurring/interval_count");
    match (text(price, "/recurring/interval").as_str(), count) {
        ("", _) => String::new(),
        (interval, 0 | 1) => format!("every {interval}"),
        (interval, count) => format!("every {count} {interval}s"),
    }
}

/// What the form of the Checkout page sends.
#[derive(Deserialize)]
pub struct Press {
    act: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    method: String,
    #[serde(default)]
    country: String,
}

/// `POST /c/pay/{id}`: pay, be declined, or leave.
pub async fn press(State(app): State<Shared>, Path(id): Path<String>, Form(press): Form<Press>) -> Response {
    let mut room = app.enter();
    let session = match room.world.named("checkout.session", &id, "session") {
        Ok(session) => session,
        Err(_) => return gone("No such session."),
    };
    if press.act == "leave" {
        let back = text(&session, "/cancel_url");
        return if back.is_empty() {
            gone("This session has no address to go back to.")
        } else {
            Redirect::to(&back).into_response()
        };
    }
    let shown = checkout_page(&room.world, &session, false, "");
    if shown.asks_email && !press.email.contains('@') {
        return page(&checkout_page(&room.world, &session, false, "Please type an e-mail address."));
    }
    let (now, later) = match (press.act.as_str(), press.method.as_str()) {
        ("fail", _) => (Method::Declined, Method::Works),
        (_, "card_later") => (Method::Works, Method::Declined),
        (_, "card_action") => (Method::Works, Method::NeedsAction),
        (_, "sepa") => (Method::Debit(true), Method::Debit(true)),
        (_, "sepa_fails") => (Method::Debit(false), Method::Debit(false)),
        _ => (Method::Works, Method::Works),
    };
    let country = if press.country.len() == 2 { press.country.to_ascii_uppercase() } else { "NL".to_owned() };
    let email = if shown.asks_email { press.email } else { shown.email };
    let name = Some(press.name).filter(|name| !name.is_empty());
    let visit = Visit { email, name, now, later, country };
    let outcome = room.world.pay_session(&id, &visit);
    let answer = match outcome {
        Ok(Outcome::Paid | Outcome::OnItsWay) => {
            let to = text(&session, "/success_url").replace("{CHECKOUT_SESSION_ID}", &id);
            Redirect::to(&to).into_response()
        }
        Ok(_) => page(&checkout_page(&room.world, &session, true, "")),
        Err(_) => page(&checkout_page(&room.world, &session, false, "This session is no longer open.")),
    };
    drop(room);
    app.wake();
    answer
}

/// `GET /c/recover/{id}`: the link of a session that ran out. As at Stripe, following it makes a new one.
pub async fn recover(State(app): State<Shared>, Path(id): Path<String>) -> Response {
    match app.enter().world.recover_session(&id) {
        Some(session) => Redirect::to(&text(&session, "/url")).into_response(),
        None => gone("This link is no longer good."),
    }
}

/// `GET /p/session/{id}`: what the customers' portal would show.
pub async fn portal(State(app): State<Shared>, Path(id): Path<String>) -> Response {
    let room = app.enter();
    let session = room.world.get(&id);
    if session["object"] != "billing_portal.session" {
        return gone("No such session.");
    }
    let customer = text(&session, "/customer");
    let invoices = room.world.belonging("invoice", "customer", &customer);
    let of_theirs = room.world.belonging("subscription", "customer", &customer);
    page(&PortalPage {
        gifts: of_theirs.iter().map(gift).collect(),
        return_url: text(&session, "/return_url"),
        invoices: invoices
            .iter()
            .map(|invoice| Line {
                id: text(invoice, "/number"),
                what: currency::in_words(number(invoice, "/total"), &text(invoice, "/currency")),
                state: text(invoice, "/status"),
                link: String::new(),
                can_refund: false,
                on_its_way: false,
            })
            .collect(),
    })
}

fn gift(subscription: &Value) -> Gift {
    let price = &subscription["items"]["data"][0]["price"];
    let status = text(subscription, "/status");
    Gift {
        id: text(subscription, "/id"),
        amount: currency::in_words(number(price, "/unit_amount"), &text(price, "/currency")),
        every: every(price),
        is_live: status == "active" || status == "past_due",
        state: status,
        ends: !subscription["cancel_at"].is_null(),
    }
}

/// `POST /p/session/{id}`: end a subscription with its period, go on after all, or give another card.
pub async fn portal_press(
    State(app): State<Shared>,
    Path(id): Path<String>,
    Form(form): Form<Vec<(String, String)>>,
) -> Response {
    let field = |name: &str| form.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.as_str());
    let mut room = app.enter();
    let customer = text(&room.world.get(&id), "/customer");
    let subscription = field("subscription").to_owned();
    if customer.is_empty() {
        return gone("No such session.");
    }
    if room.world.get(&subscription)["customer"] == customer.as_str() {
        let end = room.world.get(&subscription)["items"]["data"][0]["current_period_end"].clone();
        match field("act") {
            // The portal may set the date alone and leave the flag: Friday has to read both.
            "end" => room.world.end_with_period(&subscription, end.as_i64().unwrap_or(0)),
            "go_on" => room.world.go_on(&subscription),
            "new_card" => {
                let email = room.world.get(&customer)["email"].clone();
                let method = room.world.new_method(Method::Works, "NL", &email, &json!(customer));
                let fields = json!({ "default_payment_method": method["id"] });
                room.world.emit("payment_method.attached", method);
                room.world.change(&subscription, fields, "customer.subscription.updated");
            }
            _ => {}
        }
    }
    drop(room);
    app.wake();
    Redirect::to(&format!("/p/session/{id}")).into_response()
}

/// `GET /receipts/{id}`
pub async fn receipt(State(app): State<Shared>, Path(id): Path<String>) -> Response {
    let charge = app.enter().world.get(&id);
    if charge["object"] != "charge" {
        return gone("No such receipt.");
    }
    let amount = currency::in_words(number(&charge, "/amount"), &text(&charge, "/currency"));
    format!("Receipt from the stand-in: {amount}, {}. No money has moved.", text(&charge, "/status")).into_response()
}

/// `GET /`: the desk.
pub async fn home(State(app): State<Shared>) -> Response {
    let webhook = app.hook().url.clone().unwrap_or_default();
    let room = app.enter();
    let world = &room.world;
    let now = jiff::Timestamp::from_second(world.now).map(|at| at.strftime("%A, %-d %B %Y, %H:%M UTC").to_string());
    page(&HomePage {
        base_url: app.base_url.clone(),
        now: now.unwrap_or_default(),
        webhook,
        waiting: world.events.iter().filter(|event| !event.taken).count(),
        payments: world.all("charge").iter().take(50).map(payment).collect(),
        gifts: world.all("subscription").iter().take(50).map(gift).collect(),
        events: world.events.iter().rev().take(30).map(|event| text(&event.body, "/type")).collect(),
    })
}

fn payment(charge: &Value) -> Line {
    let left = number(charge, "/amount") - number(charge, "/amount_refunded");
    let state = if left == 0 {
        "refunded".to_owned()
    } else if charge["disputed"] == true {
        "disputed".to_owned()
    } else {
        text(charge, "/status")
    };
    Line {
        id: text(charge, "/id"),
        what: currency::in_words(number(charge, "/amount"), &text(charge, "/currency")),
        can_refund: state == "succeeded",
        on_its_way: state == "pending",
        state,
        link: text(charge, "/payment_intent"),
    }
}

/// `POST /_standin/{act}`: what no API of Stripe's does. Answers JSON, or goes back to the desk where a page asked.
pub async fn control(
    State(app): State<Shared>,
    Path(act): Path<String>,
    headers: HeaderMap,
    Form(form): Form<Vec<(String, String)>>,
) -> Response {
    let field = |name: &str| form.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
    let done = match act.as_str() {
        "advance" => {
            let parsed = |name: &str| field(name).and_then(|value| value.parse::<i64>().ok()).unwrap_or(0);
            let seconds = parsed("seconds") + parsed("days") * DAY;
            app.ahead.fetch_add(seconds.max(0), std::sync::atomic::Ordering::Relaxed);
            Ok(json!({ "now": app.enter().world.now }))
        }
        "webhook" => {
            let mut hook = app.hook();
            hook.url = field("url").map(str::to_owned);
            if let Some(secrets) = field("secrets") {
                hook.secrets = secrets.split(',').map(str::to_owned).collect();
            }
            Ok(json!({ "url": hook.url }))
        }
        "deliver" => {
            let number = |name: &str| field(name).and_then(|value| value.parse::<u64>().ok());
            let copies = number("copies").and_then(|copies| usize::try_from(copies).ok()).unwrap_or(1);
            let report = deliver(&app, Handing { copies, shuffle: number("shuffle") }).await;
            Ok(json!({ "answers": report.answers }))
        }
        _ => by_hand(&mut app.enter(), &act, field),
    };
    app.wake();
    let is_page =
        headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(|a| a.contains("text/html"));
    match done {
        Ok(_) if is_page => Redirect::to("/").into_response(),
        Ok(answer) => axum::Json(answer).into_response(),
        Err(error) => (error.status, axum::Json(error.body())).into_response(),
    }
}

fn by_hand<'f>(room: &mut Room, act: &str, field: impl Fn(&str) -> Option<&'f str>) -> Result<Value, Error> {
    let world = &mut room.world;
    let named = |name: &str| field(name).ok_or_else(|| Error::missing(name));
    match act {
        "cards" => {
            let does = match named("does")? {
                "works" => Method::Works,
                "declined" => Method::Declined,
                "needs_action" => Method::NeedsAction,
                other => return Err(Error::bad("does", format!("Invalid does: {other}"))),
            };
            let customer = match field("subscription") {
                Some(id) => text(&world.named("subscription", id, "subscription")?, "/customer"),
                None => named("customer")?.to_owned(),
            };
            world.set_cards(&customer, does);
            Ok(json!({ "customer": customer }))
        }
        "refund" => {
            let amount = field("amount").and_then(|amount| amount.parse().ok());
            world.refund_by_hand(named("charge")?, amount)
        }
        "fail-refund" => world.fail_refund(named("refund")?),
        "dispute" => world.open_dispute(named("charge")?, field("reason").unwrap_or("fraudulent")),
        "close-dispute" => world.close_dispute(named("dispute")?, field("won") == Some("true")),
        "settle" => {
            let intent = named("payment_intent")?;
            world.settle(intent);
            world.named("payment_intent", intent, "payment_intent")
        }
        "fail-next" => {
            let status = named("status")?.parse::<u16>().ok().and_then(|status| StatusCode::from_u16(status).ok());
            let status = status.ok_or_else(|| Error::bad("status", "Invalid status"))?;
            room.faults.push_back(status);
            Ok(json!({ "faults": room.faults.len() }))
        }
        _ => Err(Error::no_such_route("POST", &format!("/_standin/{act}"))),
    }
}

impl World {
    /// Sets what every card of a customer will do from now on.
    pub fn set_cards(&mut self, customer: &str, does: Method) {
        for method in self.belonging("payment_method", "customer", customer) {
            self.methods.insert(text(&method, "/id"), does);
        }
    }

    /// Sets until when every card of a customer is good.
    pub fn set_card_end(&mut self, customer: &str, year: i64, month: i64) {
        for method in self.belonging("payment_method", "customer", customer) {
            let mut card = method["card"].clone();
            card["exp_year"] = serde_json::json!(year);
            card["exp_month"] = serde_json::json!(month);
            self.set(&text(&method, "/id"), serde_json::json!({ "card": card }));
        }
    }

    /// A refund in Stripe's dashboard: the same rules as through the API.
    pub fn refund_by_hand(&mut self, charge: &str, amount: Option<i64>) -> Result<Value, Error> {
        let mut form = format!("charge={charge}");
        if let Some(amount) = amount {
            form.push_str(&format!("&amount={amount}"));
        }
        let params = Params::read(&form, &["charge str\namount int"])?;
        self.create_refund(&params)
    }
}
