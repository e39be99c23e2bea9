//! What comes again: subscriptions, their periods, the invoices of each and what happens when one is not paid.

use serde_json::{Value, json};

use super::payments::Outcome;
use super::world::{Due, World, number, text};

const DAY: i64 = 24 * 3600;
/// Stripe leaves a renewal's invoice open to changes for about an hour.
const DRAFT_LIVES: i64 = 3600;
/// How long before a renewal its notice is sent.
const NOTICE: i64 = 7 * DAY;
/// After how many days each an unpaid invoice is tried again. After the last, the subscription is canceled.
pub const RETRIES_AFTER_DAYS: [i64; 3] = [3, 5, 7];
/// How long a first payment may be outstanding.
const FIRST_PAYMENT_WAITS: i64 = 23 * 3600;

impl World {
    /// A new subscription and its first invoice, not yet paid.
    pub(super) fn start_subscription(
        &mut self,
        customer: &str,
        price: &Value,
        method: &str,
        metadata: Value,
        description: Value,
    ) -> String {
        let end = self.period_end(self.now, 1, &price["recurring"]);
        let new = self.subscription(customer, price, end, &json!(method));
        let id = text(&new, "/id");
        let new = self.set(&id, json!({ "metadata": metadata, "description": description }));
        self.emit("customer.subscription.created", new.clone());
        let invoice = text(&self.invoice(&new, "subscription_create"), "/id");
        self.set(&id, json!({ "latest_invoice": invoice }));
        self.emit("invoice.created", self.get(&invoice));
        self.make_final(&invoice);
        self.plan(self.now + FIRST_PAYMENT_WAITS, Due::GivenUp(id.clone()));
        id
    }

    /// Tries the first invoice of a subscription, which begins when that is paid or, by a delayed method, on its way.
    pub(super) fn first_payment(&mut self, id: &str, method: &str) -> Outcome {
        self.set(id, json!({ "default_payment_method": method }));
        let subscription = self.get(id);
        let outcome = self.try_invoice(&text(&subscription, "/latest_invoice"));
        if matches!(outcome, Outcome::Paid | Outcome::OnItsWay) {
            let customer = text(&subscription, "/customer");
            self.set(&customer, json!({ "currency": subscription["currency"] }));
            self.change(id, json!({ "status": "active" }), "customer.subscription.updated");
            self.plan_period(id, number(&subscription, "/items/data/0/current_period_end"));
        }
        outcome
    }

    /// A first payment that never came: the subscription is over before it began, and its invoice void.
    pub(super) fn give_up(&mut self, id: &str) {
        let subscription = self.get(id);
        if subscription["status"] == "incomplete" {
            self.void_invoice(&text(&subscription, "/latest_invoice"));
            let fields = json!({ "status": "incomplete_expired", "ended_at": self.now });
            self.change(id, fields, "customer.subscription.updated");
        }
    }

    fn plan_period(&mut self, id: &str, end: i64) {
        if end - NOTICE > self.now {
            self.plan(end - NOTICE, Due::Upcoming(id.to_owned(), end));
        }
        self.plan(end, Due::PeriodEnds(id.to_owned(), end));
    }

    /// The end of the nth period after an anchor. A month after the 31st ends on the month's last day, and the next one
    /// on the 31st again.
    pub(super) fn period_end(&self, anchor: i64, nth: i64, recurring: &Value) -> i64 {
        let steps = nth * recurring["interval_count"].as_i64().unwrap_or(1);
        let span = match recurring["interval"].as_str() {
            Some("day") => jiff::Span::new().days(steps),
            Some("week") => jiff::Span::new().weeks(steps),
            Some("year") => jiff::Span::new().years(steps),
            _ => jiff::Span::new().months(steps),
        };
        let start = jiff::Timestamp::from_second(anchor).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let end = start.to_zoned_datetime(jiff::tz::TimeZone::UTC).checked_add(span);
        end.map_or(anchor + steps * 30 * DAY, |end| end.timestamp().as_second())
    }

    /// The next period of a subscription: its first end after `after`.
    fn next_end(&self, subscription: &Value, after: i64) -> i64 {
        let anchor = number(subscription, "/billing_cycle_anchor");
        let recurring = &subscription["items"]["data"][0]["price"]["recurring"];
        let mut ends = (1..).map(|nth| self.period_end(anchor, nth, recurring));
        ends.find(|end| *end > after).unwrap_or(after + 30 * DAY)
    }

    /// Whether a subscription still runs in the period that something was planned for.
    fn runs(&self, id: &str, period_end: i64) -> Option<Value> {
        let subscription = self.find(id)?;
        let is_live = ["active", "past_due", "trialing"].iter().any(|status| subscription["status"] == *status);
        let is_its = number(subscription, "/items/data/0/current_period_end") == period_end;
        (is_live && is_its).then(|| subscription.clone())
    }

    pub(super) fn upcoming(&mut self, id: &str, period_end: i64) {
        let Some(subscription) = self.runs(id, period_end) else {
            return;
        };
        let is_billed = subscription["cancel_at"].is_null() && subscription["pause_collection"].is_null();
        if is_billed {
            let mut notice = self.invoice_shape(&subscription, "upcoming");
            notice["id"] = json!(format!("upcoming_{}", text(&notice, "/id")));
            notice["created"] = json!(period_end);
            notice["next_payment_attempt"] = json!(period_end + DRAFT_LIVES);
            self.emit("invoice.upcoming", notice);
        }
    }

    pub(super) fn period_ends(&mut self, id: &str, period_end: i64) {
        let Some(subscription) = self.runs(id, period_end) else {
            return;
        };
        let ends_at = subscription["cancel_at"].as_i64();
        if subscription["cancel_at_period_end"] == true || ends_at.is_some_and(|at| at <= period_end) {
            self.end_subscription(id, "cancellation_requested");
            return;
        }
        let next = self.next_end(&subscription, period_end);
        let mut items = subscription["items"].clone();
        items["data"][0]["current_period_start"] = json!(period_end);
        items["data"][0]["current_period_end"] = json!(next);
        let invoice = {
            let mut renewed = subscription.clone();
            renewed["items"] = items.clone();
            let invoice = self.invoice(&renewed, "subscription_cycle");
            let start = &subscription["items"]["data"][0]["current_period_start"];
            self.set(&text(&invoice, "/id"), json!({ "period_start": start }))
        };
        let mut fields = json!({ "items": items, "latest_invoice": invoice["id"] });
        if subscription["status"] == "trialing" {
            fields["status"] = json!("active");
        }
        self.change(id, fields, "customer.subscription.updated");
        let invoice_id = text(&invoice, "/id");
        if subscription["pause_collection"]["behavior"] == "keep_as_draft" {
            self.set(&invoice_id, json!({ "auto_advance": false, "automatically_finalizes_at": null }));
        } else {
            self.plan(self.now + DRAFT_LIVES, Due::InvoiceFinalizes(invoice_id.clone()));
        }
        self.emit("invoice.created", self.get(&invoice_id));
        self.plan_period(id, next);
    }

    /// A draft becomes final, and is paid, or is void where collection is paused.
    pub(super) fn finalize_invoice(&mut self, id: &str) {
        let invoice = self.get(id);
        // A draft of a subscription that has ended stays one.
        if invoice["status"] != "draft" || invoice["auto_advance"] == false {
            return;
        }
        let subscription = self.get(&subscription_of(&invoice));
        match subscription["pause_collection"]["behavior"].as_str() {
            Some("void") => {
                self.make_final(id);
                self.void_invoice(id);
            }
            Some("mark_uncollectible") => {
                self.make_final(id);
                let mut times = self.get(id)["status_transitions"].clone();
                times["marked_uncollectible_at"] = json!(self.now);
                let fields = json!({ "auto_advance": false, "status": "uncollectible", "status_transitions": times });
                self.change(id, fields, "invoice.marked_uncollectible");
            }
            _ => {
                self.make_final(id);
                let outcome = self.try_invoice(id);
                self.after_try(id, outcome);
            }
        }
    }

    fn make_final(&mut self, id: &str) {
        let invoice = self.get(id);
        let customer = self.get(&text(&invoice, "/customer"));
        let nth = number(&customer, "/next_invoice_sequence");
        let number = format!("{}-{nth:04}", text(&customer, "/invoice_prefix"));
        self.set(&text(&customer, "/id"), json!({ "next_invoice_sequence": nth + 1 }));
        let url = format!("{}/invoices/{id}", self.base_url);
        let mut times = invoice["status_transitions"].clone();
        times["finalized_at"] = json!(self.now);
        let fields = json!({
            "automatically_finalizes_at": null, "effective_at": self.now, "ending_balance": 0,
            "hosted_invoice_url": url, "invoice_pdf": format!("{url}/pdf"), "number": number, "status": "open",
            "status_transitions": times, "webhooks_delivered_at": self.now,
        });
        self.change(id, fields, "invoice.finalized");
    }

    fn void_invoice(&mut self, id: &str) {
        let invoice = self.get(id);
        if invoice["status"] != "open" {
            return;
        }
        let mut times = invoice["status_transitions"].clone();
        times["voided_at"] = json!(self.now);
        let fields = json!({
            "auto_advance": false, "next_payment_attempt": null, "status": "void", "status_transitions": times,
        });
        self.change(id, fields, "invoice.voided");
        for payment in self.belonging("invoice_payment", "invoice", id) {
            if payment["status"] == "open" {
                let times = json!({ "canceled_at": self.now, "paid_at": null });
                self.set(&text(&payment, "/id"), json!({ "status": "canceled", "status_transitions": times }));
            }
        }
    }

    /// Charges an open invoice by the card of its subscription. The same payment intent is used for every try.
    fn try_invoice(&mut self, id: &str) -> Outcome {
        let invoice = self.get(id);
        let subscription = self.get(&subscription_of(&invoice));
        let customer = self.get(&text(&invoice, "/customer"));
        let method = match subscription["default_payment_method"].as_str() {
            Some(own) => own.to_owned(),
            None => text(&customer, "/invoice_settings/default_payment_method"),
        };
        let payments = self.belonging("invoice_payment", "invoice", id);
        let intent = match payments.first() {
            Some(payment) => text(payment, "/payment/payment_intent"),
            None => {
                let (amount, currency) = (number(&invoice, "/amount_due"), text(&invoice, "/currency"));
                let new = text(&self.payment_intent(amount, &currency, &invoice["customer"]), "/id");
                let first = invoice["billing_reason"] == "subscription_create";
                let description = if first { "Subscription creation" } else { "Subscription update" };
                let fields = json!({ "description": description, "setup_future_usage": "off_session" });
                self.change(&new, fields, "payment_intent.created");
                self.invoice_payment(&invoice, &new);
                new
            }
        };
        let tries = number(&invoice, "/attempt_count") + 1;
        self.set(id, json!({ "attempt_count": tries, "attempted": true }));
        let outcome = self.confirm(&intent, &method);
        match outcome {
            Outcome::Paid => self.invoice_paid(id),
            Outcome::OnItsWay => {}
            Outcome::NeedsAction => {
                self.change(id, json!({}), "invoice.payment_action_required");
                self.change(id, json!({}), "invoice.payment_failed");
            }
            Outcome::Declined => {
                let plans_again = invoice["billing_reason"] != "subscription_create";
                let again = plans_again.then(|| self.next_try(tries)).flatten();
                self.change(id, json!({ "next_payment_attempt": again }), "invoice.payment_failed");
            }
        }
        outcome
    }

    fn next_try(&self, tries: i64) -> Option<i64> {
        let place = usize::try_from(tries - 1).ok()?;
        RETRIES_AFTER_DAYS.get(place).map(|days| self.now + days * DAY)
    }

    fn invoice_paid(&mut self, id: &str) {
        let invoice = self.get(id);
        let amount = &invoice["amount_due"];
        for payment in self.belonging("invoice_payment", "invoice", id) {
            let times = json!({ "canceled_at": null, "paid_at": self.now });
            let fields = json!({ "amount_paid": amount, "status": "paid", "status_transitions": times });
            self.change(&text(&payment, "/id"), fields, "invoice_payment.paid");
        }
        let mut times = invoice["status_transitions"].clone();
        times["paid_at"] = json!(self.now);
        let fields = json!({
            "amount_paid": amount, "amount_remaining": 0, "auto_advance": false, "next_payment_attempt": null,
            "status": "paid", "status_transitions": times,
        });
        let paid = self.change(id, fields, "invoice.updated");
        self.emit("invoice.paid", paid.clone());
        self.emit("invoice.payment_succeeded", paid);
    }

    /// What an unsuccessful try of a renewal does to its subscription.
    fn after_try(&mut self, id: &str, outcome: Outcome) {
        let invoice = self.get(id);
        let subscription = subscription_of(&invoice);
        match outcome {
            Outcome::Paid => {
                if self.get(&subscription)["status"] == "past_due" {
                    let active = json!({ "status": "active" });
                    self.change(&subscription, active, "customer.subscription.updated");
                }
            }
            Outcome::OnItsWay => {}
            Outcome::Declined | Outcome::NeedsAction => {
                let tries = number(&invoice, "/attempt_count");
                match self.next_try(tries) {
                    Some(at) => {
                        self.set(id, json!({ "next_payment_attempt": at }));
                        let late = json!({ "status": "past_due" });
                        self.change(&subscription, late, "customer.subscription.updated");
                        self.plan(at, Due::InvoiceRetry(id.to_owned()));
                    }
                    None => self.end_subscription(&subscription, "payment_failed"),
                }
            }
        }
    }

    pub(super) fn retry_invoice(&mut self, id: &str) {
        let invoice = self.get(id);
        let is_live = self.get(&subscription_of(&invoice))["status"] != "canceled";
        if invoice["status"] == "open" && is_live {
            let outcome = self.try_invoice(id);
            self.after_try(id, outcome);
        }
    }

    /// A delayed payment of an invoice is settled.
    pub(super) fn invoice_settled(&mut self, intent: &str, is_good: bool) {
        let id = text(&self.invoice_payment_of(intent), "/invoice");
        if self.get(&id)["status"] != "open" {
            return;
        }
        if is_good {
            self.invoice_paid(&id);
            self.after_try(&id, Outcome::Paid);
        } else {
            let tries = number(&self.get(&id), "/attempt_count");
            let fields = json!({ "next_payment_attempt": self.next_try(tries) });
            self.change(&id, fields, "invoice.payment_failed");
            self.after_try(&id, Outcome::Declined);
        }
    }

    /// The invoice payment that a payment intent belongs to, or null.
    pub(super) fn invoice_payment_of(&self, intent: &str) -> Value {
        let found = self.where_true("invoice_payment", |payment| payment["payment"]["payment_intent"] == intent);
        found.into_iter().next().unwrap_or(Value::Null)
    }

    /// Ends a subscription now.
    pub(super) fn end_subscription(&mut self, id: &str, reason: &str) {
        let subscription = self.get(id);
        if subscription["status"] == "canceled" {
            return;
        }
        let mut details = subscription["cancellation_details"].clone();
        details["reason"] = json!(reason);
        let canceled_at = match &subscription["canceled_at"] {
            Value::Null => json!(self.now),
            asked => asked.clone(),
        };
        let fields = json!({
            "cancellation_details": details, "canceled_at": canceled_at, "ended_at": self.now, "status": "canceled",
        });
        self.change(id, fields, "customer.subscription.deleted");
        let open = self.where_true("invoice", |invoice| {
            subscription_of(invoice) == id && (invoice["status"] == "open" || invoice["status"] == "draft")
        });
        for invoice in open {
            let fields = json!({ "auto_advance": false, "next_payment_attempt": null });
            self.set(&text(&invoice, "/id"), fields);
        }
        let customer = text(&subscription, "/customer");
        let holds = |other: &Value| other["customer"] == customer.as_str() && other["status"] != "canceled";
        if self.where_true("subscription", holds).is_empty() {
            self.set(&customer, json!({ "currency": null }));
        }
    }

    pub(super) fn cancels_at(&mut self, id: &str, at: i64) {
        if number(&self.get(id), "/cancel_at") == at {
            self.end_subscription(id, "cancellation_requested");
        }
    }

    pub(super) fn pause_ends(&mut self, id: &str, at: i64) {
        let is_it = number(&self.get(id), "/pause_collection/resumes_at") == at;
        if is_it && self.get(id)["status"] != "canceled" {
            self.change(id, json!({ "pause_collection": null }), "customer.subscription.updated");
        }
    }

    /// A trial begins: Stripe makes an invoice of nothing, which is paid at once, and the next one when it ends.
    pub(super) fn begin_trial(&mut self, id: &str, end: i64) {
        let subscription = self.get(id);
        let invoice = text(&self.invoice(&subscription, "subscription_update"), "/id");
        let nothing = json!({
            "amount_due": 0, "amount_remaining": 0, "subtotal": 0, "subtotal_excluding_tax": 0, "total": 0,
            "total_excluding_tax": 0,
        });
        self.set(&invoice, nothing);
        self.change(id, json!({ "latest_invoice": invoice }), "customer.subscription.updated");
        self.emit("invoice.created", self.get(&invoice));
        self.make_final(&invoice);
        self.invoice_paid(&invoice);
        self.plan_period(id, end);
    }

    /// Another interval begins now and is billed now.
    pub(super) fn bill_new_period(&mut self, id: &str) {
        let subscription = self.get(id);
        let invoice = text(&self.invoice(&subscription, "subscription_update"), "/id");
        self.change(id, json!({ "latest_invoice": invoice }), "customer.subscription.updated");
        self.emit("invoice.created", self.get(&invoice));
        self.make_final(&invoice);
        let outcome = self.try_invoice(&invoice);
        self.after_try(&invoice, outcome);
        self.plan_period(id, number(&self.get(id), "/items/data/0/current_period_end"));
    }
}

/// The subscription that an invoice is for.
pub fn subscription_of(invoice: &Value) -> String {
    text(invoice, "/parent/subscription_details/subscription")
}
