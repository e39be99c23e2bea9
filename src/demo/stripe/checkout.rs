//! Checkout sessions: made strictly, paid by a page, declined, left or run out.

use serde_json::{Value, json};

use super::checks::{LIVES_AT_MOST, check_recurring, check_session};
use super::currency;
use super::error::Error;
use super::objects::both;
use super::params::Params;
use super::payments::{Method, Outcome};
use super::world::{Due, World, number, text};

/// How long the link to start again after an expiry is good.
const RECOVERY_LIVES: i64 = 30 * 24 * 3600;

/// What a session was asked for and its object does not say.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The lines, in the shape of the API.
    pub line_items: Vec<Value>,
    /// The parameters of the request, to make the payment or the subscription from.
    pub params: Params,
    /// A subscription whose first payment was declined here and may be tried again.
    pub incomplete: Option<String>,
}

/// What the reader does on the page.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The address they type, where the session does not know one.
    pub email: String,
    /// The name on the card, if they give one.
    pub name: Option<String>,
    /// What their card or account will do now.
    pub now: Method,
    /// What it will do at the next renewal.
    pub later: Method,
    /// The country that the card was issued in.
    pub country: String,
}

impl Visit {
    /// A reader in the Netherlands whose card works, now and later.
    pub fn by_card(email: &str) -> Visit {
        let does = Method::Works;
        Visit { email: email.to_owned(), name: None, now: does, later: does, country: "NL".to_owned() }
    }

    /// The same reader by a direct debit, which is paid or sent back after some days.
    pub fn by_debit(email: &str, is_good: bool) -> Visit {
        let does = Method::Debit(is_good);
        Visit { now: does, later: does, ..Visit::by_card(email) }
    }

    /// The same reader with a card that is declined at once.
    pub fn declined(email: &str) -> Visit {
        Visit { now: Method::Declined, ..Visit::by_card(email) }
    }
}

impl World {
    /// `POST /v1/checkout/sessions`
    pub fn create_session(&mut self, params: &Params) -> Result<Value, Error> {
        let mode = params.text("mode").ok_or_else(|| Error::missing("mode"))?.to_owned();
        check_session(&mode, params, self.now)?;
        if let Some(customer) = params.text("customer") {
            self.live_customer(customer, "customer")?;
        }
        let line_items = self.lines(&mode, params)?;
        let currency = text(&line_items[0], "/currency");
        let total: i64 = line_items.iter().map(|line| number(line, "/amount_total")).sum();
        self.check_total(&mode, params, total, &currency)?;

        let id = self.new_id("cs_test_a1");
        let expires = params.integer("expires_at").unwrap_or(self.now + LIVES_AT_MOST);
        let session = self.session_shape(&id, &mode, params, &currency, total, expires);
        self.asked.insert(id.clone(), Asked { line_items, params: params.clone(), incomplete: None });
        self.plan(expires, Due::SessionExpires(id));
        Ok(self.put(session))
    }

    /// A customer that exists and was not deleted.
    pub fn live_customer(&self, id: &str, parameter: &str) -> Result<Value, Error> {
        let customer = self.named("customer", id, parameter)?;
        if customer["deleted"] == true { Err(Error::no_such("customer", id, parameter)) } else { Ok(customer) }
    }

    /// The lines of a new session. Prices and products given in place are made, and are not active.
    fn lines(&mut self, mode: &str, params: &Params) -> Result<Vec<Value>, Error> {
        let asked = params.list("line_items");
        if asked.is_empty() {
            return Err(Error::missing("line_items"));
        }
        if asked.len() > 100 {
            return Err(Error::bad("line_items", "You may specify at most 100 line items."));
        }
        let mut lines = Vec::new();
        for (place, line) in asked.iter().enumerate() {
            let name = format!("line_items[{place}]");
            let price = self.price_of(line, &name, false)?;
            check_recurring(mode, &price)?;
            let quantity = line.integer("quantity").unwrap_or(0);
            if quantity < 1 {
                return Err(Error::bad(
                    &format!("{name}[quantity]"),
                    "Quantity is required. Add `quantity` to the line item.",
                ));
            }
            let product = self.get(&text(&price, "/product"));
            let amount = number(&price, "/unit_amount") * quantity;
            lines.push(json!({
                "id": self.new_id("li_1"), "object": "item", "adjustable_quantity": null, "amount_discount": 0,
                "amount_subtotal": amount, "amount_tax": 0, "amount_total": amount, "currency": price["currency"],
                "description": product["name"], "metadata": line.metadata_over("metadata", &json!({})),
                "price": price, "quantity": quantity,
            }));
        }
        if lines.iter().any(|line| line["currency"] != lines[0]["currency"]) {
            return Err(Error::bad("line_items", "All prices must be in the same currency."));
        }
        if mode == "subscription" && lines.iter().all(|line| line["price"]["type"] == "one_time") {
            let message = "You must provide at least one recurring price in `subscription` mode.";
            return Err(Error::bad("mode", message));
        }
        if mode == "subscription" && lines.len() > 1 {
            // Stripe takes several: the stand-in says so instead of billing only one of them.
            return Err(Error::bad("line_items", "The stand-in plays subscriptions with one line."));
        }
        Ok(lines)
    }

    /// The price that `price` names or `price_data` describes.
    pub fn price_of(&mut self, from: &Params, name: &str, active: bool) -> Result<Value, Error> {
        if let Some(id) = from.text("price") {
            if from.has("price_data") {
                let message = "You may only specify one of these parameters: price, price_data.";
                return Err(Error::bad(&format!("{name}[price_data]"), message));
            }
            return self.named("price", id, &format!("{name}[price]"));
        }
        if !from.has("price_data") {
            return Err(Error::bad(&format!("{name}[price]"), "One of `price` or `price_data` is required."));
        }
        let data = |field: &str| format!("price_data.{field}");
        let currency = from.text(&data("currency")).unwrap_or_default().to_owned();
        let at = |field: &str| format!("{name}[price_data][{field}]");
        let Some(amount) = from.integer(&data("unit_amount")) else {
            return Err(Error::missing(&at("unit_amount")));
        };
        if !currency::can_be_charged(amount, &currency) {
            let message = format!("Invalid unit_amount for {currency}: {amount}");
            return Err(Error::coded("parameter_invalid_integer", &at("unit_amount"), message));
        }
        let recurring = from.value(&data("recurring"));
        let product = match (from.text(&data("product")), from.text(&data("product_data.name"))) {
            (Some(id), None) => text(&self.named("product", id, &at("product"))?, "/id"),
            (None, Some(given)) => {
                let metadata = from.metadata_over(&data("product_data.metadata"), &json!({}));
                text(&self.product(given, &from.value(&data("product_data.description")), metadata), "/id")
            }
            _ => {
                return Err(Error::bad(&at("product"), "Exactly one of product or product_data is required."));
            }
        };
        Ok(self.price(&product, &currency, amount, recurring, active))
    }

    /// What is asked must be enough to charge, and in the one currency that a customer has.
    fn check_total(&self, mode: &str, params: &Params, total: i64, currency: &str) -> Result<(), Error> {
        let minimum = currency::minimum(currency);
        if total < minimum {
            let message = format!(
                "The Checkout Session's total amount due must add up to at least {}",
                currency::in_words(minimum, currency)
            );
            return Err(Error::coded("amount_too_small", "", message));
        }
        let holds = params.text("customer").map(|id| text(&self.get(id), "/currency")).unwrap_or_default();
        if mode == "subscription" && !holds.is_empty() && holds != currency {
            let message = format!(
                "You cannot combine currencies on a single customer. This customer has an active subscription, \
                 subscription schedule, discount, quote, or invoice item with currency {holds}."
            );
            return Err(Error::bad("customer", message));
        }
        Ok(())
    }

    fn session_shape(&self, id: &str, mode: &str, params: &Params, currency: &str, total: i64, expires: i64) -> Value {
        let is_payment = mode == "payment";
        let creation = match (params.text("customer"), is_payment) {
            (None, true) => json!(params.text("customer_creation").unwrap_or("if_required")),
            (None, false) => json!("always"),
            (Some(_), _) => Value::Null,
        };
        let invoice_creation = json!({ "enabled": false, "invoice_data": { "account_tax_ids": null,
            "custom_fields": null, "description": null, "footer": null, "issuer": null, "metadata": {},
            "rendering_options": null } });
        let recovery = params.flag("after_expiration.recovery.enabled").then(|| {
            let codes = params.flag("after_expiration.recovery.allow_promotion_codes");
            json!({ "recovery": { "allow_promotion_codes": codes, "enabled": true, "expires_at": null, "url": null } })
        });
        let email = params.value("customer_email");
        let details = (!email.is_null()).then(|| details(&email, &Value::Null, &Value::Null));
        let message = |place: &str| {
            params.text(&format!("custom_text.{place}.message")).map(|message| json!({ "message": message }))
        };
        let first = json!({
            "id": id, "object": "checkout.session", "adaptive_pricing": { "enabled": false },
            "after_expiration": recovery, "allow_promotion_codes": params.value("allow_promotion_codes"),
            "allowed_payment_method_types": null, "amount_subtotal": total, "amount_total": total,
            "automatic_tax": { "enabled": false, "liability": null, "provider": null, "status": null },
            "billing_address_collection": params.value("billing_address_collection"),
            "cancel_url": params.value("cancel_url"), "client_reference_id": params.value("client_reference_id"),
            "client_secret": null, "collected_information": null, "consent": null, "consent_collection": null,
            "created": self.now, "currency": currency, "currency_conversion": null, "custom_fields": [],
            "custom_text": { "after_submit": message("after_submit"), "shipping_address": null,
                "submit": message("submit"), "terms_of_service_acceptance": null },
            "customer": params.value("customer"), "customer_account": null, "customer_creation": creation,
            "customer_details": details, "customer_email": email, "discounts": [], "expires_at": expires,
            "integration_identifier": null, "invoice": null,
            "invoice_creation": if is_payment { invoice_creation } else { Value::Null }, "livemode": false,
        });
        let second = json!({
            "locale": params.value("locale"), "managed_payments": null,
            "metadata": params.metadata_over("metadata", &json!({})), "mode": mode,
            "origin_context": params.value("origin_context"), "payment_intent": null, "payment_link": null,
            "payment_method_collection": if is_payment { "if_required" } else { "always" },
            "payment_method_configuration_details": { "id": "pmc_1StandIn", "parent": null },
            "payment_method_options": { "card": { "request_three_d_secure": "automatic" } },
            "payment_method_types": ["card", "sepa_debit"], "payment_status": "unpaid", "permissions": null,
            "phone_number_collection": { "enabled": false }, "recovered_from": null,
            "saved_payment_method_options": null, "setup_intent": null, "shipping_address_collection": null,
            "shipping_cost": null, "shipping_options": [], "status": "open",
            "submit_type": params.value("submit_type"), "subscription": null,
            "success_url": params.value("success_url"),
            "total_details": { "amount_discount": 0, "amount_shipping": 0, "amount_tax": 0 },
            "ui_mode": "hosted_page", "url": format!("{}/c/pay/{id}", self.base_url), "wallet_options": null,
        });
        both(first, second)
    }

    /// `POST /v1/checkout/sessions/{id}/expire`
    pub fn expire_session(&mut self, id: &str) -> Result<Value, Error> {
        let session = self.named("checkout.session", id, "session")?;
        if session["status"] != "open" {
            let status = text(&session, "/status");
            let message = format!(
                "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a \
                 status of `{status}`."
            );
            return Err(Error::bad("", message));
        }
        self.session_expires(id);
        Ok(self.get(id))
    }

    /// A session runs out: nobody can pay it any more.
    pub(super) fn session_expires(&mut self, id: &str) {
        let session = self.get(id);
        if session["status"] != "open" {
            return;
        }
        let mut fields = json!({ "status": "expired", "url": null });
        if session["after_expiration"]["recovery"]["enabled"] == true {
            let mut recovery = session["after_expiration"].clone();
            recovery["recovery"]["url"] = json!(format!("{}/c/recover/{id}", self.base_url));
            recovery["recovery"]["expires_at"] = json!(self.now + RECOVERY_LIVES);
            fields["after_expiration"] = recovery;
        }
        self.change(id, fields, "checkout.session.expired");
    }

    /// A reader follows the link to start again: a new session, as the one that ran out.
    pub fn recover_session(&mut self, id: &str) -> Option<Value> {
        let session = self.get(id);
        let is_good = number(&session, "/after_expiration/recovery/expires_at") > self.now;
        let asked = self.asked.get(id)?.clone();
        if session["status"] != "expired" || !is_good {
            return None;
        }
        let new = self.new_id("cs_test_a1");
        let mut object = session.clone();
        let expires = self.now + LIVES_AT_MOST;
        for (name, value) in [
            ("id", json!(new)),
            ("status", json!("open")),
            ("created", json!(self.now)),
            ("expires_at", json!(expires)),
            ("recovered_from", json!(id)),
            ("url", json!(format!("{}/c/pay/{new}", self.base_url))),
        ] {
            object[name] = value;
        }
        object["after_expiration"]["recovery"]["url"] = Value::Null;
        object["after_expiration"]["recovery"]["expires_at"] = Value::Null;
        self.asked.insert(new.clone(), asked);
        self.plan(expires, Due::SessionExpires(new));
        Some(self.put(object))
    }

    /// The reader presses "pay". The answer says how it went; a declined session stays open, to be tried again.
    pub fn pay_session(&mut self, id: &str, visit: &Visit) -> Result<Outcome, Error> {
        let session = self.named("checkout.session", id, "session")?;
        if session["status"] != "open" {
            return Err(Error::bad("session", "This session is no longer open."));
        }
        let email = match &session["customer_details"]["email"] {
            Value::Null => json!(visit.email),
            known => known.clone(),
        };
        if session["mode"] == "subscription" {
            self.subscribe(&session, visit, &email)
        } else {
            self.pay_once(&session, visit, &email)
        }
    }

    fn pay_once(&mut self, session: &Value, visit: &Visit, email: &Value) -> Result<Outcome, Error> {
        let id = text(session, "/id");
        let asked = self.asked.get(&id).cloned().unwrap_or_default();
        let mut customer = session["customer"].clone();
        if customer.is_null() && session["customer_creation"] == "always" {
            let new = self.customer(email.clone(), json!(visit.name));
            self.emit("customer.created", new.clone());
            customer = new["id"].clone();
            self.set(&id, json!({ "customer": customer }));
        }
        let intent = if session["payment_intent"].is_null() {
            let data = |name: &str| asked.params.value(&format!("payment_intent_data.{name}"));
            let (amount, currency) = (number(session, "/amount_total"), text(session, "/currency"));
            let new = text(&self.payment_intent(amount, &currency, &customer), "/id");
            let fields = json!({
                "description": data("description"),
                "metadata": asked.params.metadata_over("payment_intent_data.metadata", &json!({})),
                "receipt_email": data("receipt_email"), "setup_future_usage": data("setup_future_usage"),
                "statement_descriptor": data("statement_descriptor"),
                "statement_descriptor_suffix": data("statement_descriptor_suffix"),
            });
            self.change(&new, fields, "payment_intent.created");
            self.set(&id, json!({ "payment_intent": new }));
            new
        } else {
            text(session, "/payment_intent")
        };
        let method = text(&self.new_method(visit.now, &visit.country, email, &customer), "/id");
        let outcome = self.confirm(&intent, &method);
        self.session_done(&id, outcome, visit, email);
        Ok(outcome)
    }

    fn subscribe(&mut self, session: &Value, visit: &Visit, email: &Value) -> Result<Outcome, Error> {
        let id = text(session, "/id");
        let asked = self.asked.get(&id).cloned().unwrap_or_default();
        let customer = match session["customer"].as_str() {
            Some(known) => known.to_owned(),
            None => {
                let new = self.customer(email.clone(), json!(visit.name));
                self.emit("customer.created", new.clone());
                text(&new, "/id")
            }
        };
        self.set(&id, json!({ "customer": customer }));
        let method = text(&self.new_method(visit.now, &visit.country, email, &json!(customer)), "/id");
        self.emit("payment_method.attached", self.get(&method));
        let (subscription, outcome) = match &asked.incomplete {
            Some(tried) => (tried.clone(), self.first_payment(tried, &method)),
            None => {
                let price = asked.line_items.first().map(|line| line["price"].clone()).unwrap_or_default();
                let metadata = asked.params.metadata_over("subscription_data.metadata", &json!({}));
                let description = asked.params.value("subscription_data.description");
                let new = self.start_subscription(&customer, &price, &method, metadata, description);
                (new.clone(), self.first_payment(&new, &method))
            }
        };
        if matches!(outcome, Outcome::Declined | Outcome::NeedsAction) {
            self.asked.entry(id).or_default().incomplete = Some(subscription);
            return Ok(outcome);
        }
        self.methods.insert(method, visit.later);
        let invoice = self.get(&subscription)["latest_invoice"].clone();
        self.set(&id, json!({ "invoice": invoice, "subscription": subscription }));
        self.session_done(&id, outcome, visit, email);
        Ok(outcome)
    }

    fn session_done(&mut self, id: &str, outcome: Outcome, visit: &Visit, email: &Value) {
        let status = match outcome {
            Outcome::Paid => "paid",
            Outcome::OnItsWay => "unpaid",
            Outcome::Declined | Outcome::NeedsAction => return,
        };
        let fields = json!({
            "customer_details": details(email, &json!(visit.name), &json!(visit.country)),
            "payment_status": status, "status": "complete", "url": null,
        });
        self.change(id, fields, "checkout.session.completed");
    }

    /// A delayed payment of a session is settled.
    pub(super) fn session_settled(&mut self, intent: &str, is_good: bool) {
        let invoice = text(&self.invoice_payment_of(intent), "/invoice");
        let waiting = self.where_true("checkout.session", |session| {
            let is_its =
                session["payment_intent"] == intent || (!invoice.is_empty() && session["invoice"] == invoice.as_str());
            is_its && session["status"] == "complete" && session["payment_status"] == "unpaid"
        });
        for session in waiting {
            let id = text(&session, "/id");
            if is_good {
                let paid = json!({ "payment_status": "paid" });
                self.change(&id, paid, "checkout.session.async_payment_succeeded");
            } else {
                self.change(&id, json!({}), "checkout.session.async_payment_failed");
            }
        }
    }

    /// `GET /v1/checkout/sessions`
    pub fn list_sessions(&self, params: &Params) -> Result<Value, Error> {
        let all = self.where_true("checkout.session", |session| {
            let same = |name: &str| params.text(name).is_none_or(|wanted| session[name] == wanted);
            let email = params.text("customer_details.email");
            ["customer", "payment_intent", "subscription", "status"].into_iter().all(same)
                && email.is_none_or(|email| session["customer_details"]["email"] == email)
        });
        self.page(all, "/v1/checkout/sessions", params)
    }
}

/// What the reader told Checkout about themselves.
fn details(email: &Value, name: &Value, country: &Value) -> Value {
    let address = (!country.is_null()).then(|| {
        json!({ "city": null, "country": country, "line1": null, "line2": null, "postal_code": null, "state": null })
    });
    json!({
        "address": address, "business_name": null, "email": email, "individual_name": null, "name": name,
        "phone": null, "tax_exempt": "none", "tax_ids": [],
    })
}
