//! Money: payment intents and their charges, refunds, disputes, and the balance that they all move.

use serde_json::{Value, json};

use super::currency;
use super::error::Error;
use super::params::Params;
use super::world::{Due, World, number, text};

/// How long a bank takes over a direct debit.
const DEBIT_TAKES: i64 = 5 * 24 * 3600;
/// What a bank takes for a dispute, in minor units of any currency: a flat rule, as all fees here.
const DISPUTE_FEE: i64 = 1_500;

/// What a payment method will do when it is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// A card that works.
    Works,
    /// A card that is declined.
    Declined,
    /// A card whose bank wants to ask its owner first.
    NeedsAction,
    /// A direct debit: on its way for some days, then paid or, if false, sent back.
    Debit(bool),
}

/// How a payment went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The money is there.
    Paid,
    /// The bank said no.
    Declined,
    /// The reader has to act first.
    NeedsAction,
    /// Nobody knows for some days.
    OnItsWay,
}

/// Stripe's fee for a payment: 2.9 %, rounded half up, and 30 minor units of any currency.
pub fn fee(amount: i64) -> i64 {
    (amount * 29 + 500) / 1000 + 30
}

impl World {
    /// A payment method of a customer (or of a guest: null), issued in a country.
    pub fn new_method(&mut self, does: Method, country: &str, email: &Value, customer: &Value) -> Value {
        let billing = json!({
            "address": { "city": null, "country": country, "line1": null, "line2": null, "postal_code": null,
                "state": null },
            "email": email, "name": null, "phone": null, "tax_id": null,
        });
        let id = self.new_id("pm_1");
        let fingerprint: String = self.new_id("").chars().take(16).collect();
        let mut method = json!({
            "id": id, "object": "payment_method", "allow_redisplay": "limited", "billing_details": billing,
            "created": self.now, "customer": customer, "customer_account": null, "livemode": false, "metadata": {},
        });
        if matches!(does, Method::Debit(_)) {
            method["type"] = json!("sepa_debit");
            method["sepa_debit"] = json!({ "bank_code": "19043", "branch_code": "", "country": country,
                "fingerprint": fingerprint, "generated_from": { "charge": null, "setup_attempt": null },
                "last4": "3000" });
        } else {
            let last4 = if does == Method::Works { "4242" } else { "0341" };
            method["type"] = json!("card");
            method["card"] = json!({
                "brand": "visa",
                "checks": { "address_line1_check": null, "address_postal_code_check": null, "cvc_check": "pass" },
                "country": country, "display_brand": "visa", "exp_month": 12, "exp_year": 2034,
                "fingerprint": fingerprint, "funding": "credit", "generated_from": null, "last4": last4,
                "networks": { "available": ["visa"], "preferred": null }, "regulated_status": "unregulated",
                "three_d_secure_usage": { "supported": true }, "wallet": null,
            });
        }
        self.methods.insert(id, does);
        self.put(method)
    }

    /// Charges a payment intent by a payment method.
    pub fn confirm(&mut self, intent: &str, method: &str) -> Outcome {
        let method = self.get(method);
        let id = text(&method, "/id");
        let does = self.methods.get(&id).copied().unwrap_or(Method::Works);
        self.set(intent, json!({ "payment_method": id }));
        if does == Method::NeedsAction {
            let next = json!({ "type": "use_stripe_sdk", "use_stripe_sdk": {} });
            let fields = json!({ "status": "requires_action", "next_action": next });
            self.change(intent, fields, "payment_intent.requires_action");
            return Outcome::NeedsAction;
        }
        let charge = text(&self.charge(&self.get(intent).clone(), &method), "/id");
        let on_its_way = json!({ "latest_charge": charge, "next_action": null });
        self.set(intent, on_its_way);
        match does {
            Method::Works => {
                self.money_came(intent);
                Outcome::Paid
            }
            Method::Debit(_) => {
                self.change(&charge, json!({}), "charge.pending");
                self.change(intent, json!({ "status": "processing" }), "payment_intent.processing");
                self.plan(self.now + DEBIT_TAKES, Due::Settles(intent.to_owned()));
                Outcome::OnItsWay
            }
            Method::Declined | Method::NeedsAction => {
                self.money_did_not_come(intent, "card_declined", "Your card was declined.");
                Outcome::Declined
            }
        }
    }

    /// A direct debit is settled: the money comes or does not, and who waits for it is told.
    pub fn settle(&mut self, intent: &str) {
        let object = self.get(intent);
        if object["status"] != "processing" {
            return;
        }
        let is_good = self.methods.get(&text(&object, "/payment_method")) == Some(&Method::Debit(true));
        if is_good {
            self.money_came(intent);
        } else {
            let message = "The customer's bank account has insufficient funds to complete this payment.";
            self.money_did_not_come(intent, "insufficient_funds", message);
        }
        self.session_settled(intent, is_good);
        self.invoice_settled(intent, is_good);
    }

    fn money_came(&mut self, intent: &str) {
        let object = self.get(intent);
        let id = text(&object, "/latest_charge");
        let charge = self.get(&id);
        let amount = number(&charge, "/amount");
        let kind = if charge["payment_method_details"]["type"] == "card" { "charge" } else { "payment" };
        let movement = self.movement(kind, "charge", amount, fee(amount), &charge);
        let outcome = json!({
            "advice_code": null, "network_advice_code": null, "network_decline_code": null,
            "network_status": "approved_by_network", "reason": null, "risk_level": "normal", "risk_score": 12,
            "seller_message": "Payment complete.", "type": "authorized",
        });
        let paid = json!({
            "amount_captured": amount, "balance_transaction": movement["id"], "captured": true, "outcome": outcome,
            "paid": true, "status": "succeeded",
        });
        self.change(&id, paid, "charge.succeeded");
        let done = json!({ "amount_received": amount, "status": "succeeded", "last_payment_error": null });
        self.change(intent, done, "payment_intent.succeeded");
    }

    fn money_did_not_come(&mut self, intent: &str, code: &str, message: &str) {
        let object = self.get(intent);
        let id = text(&object, "/latest_charge");
        let outcome = json!({
            "advice_code": "try_again_later", "network_advice_code": null, "network_decline_code": "05",
            "network_status": "declined_by_network", "reason": "generic_decline", "risk_level": "normal",
            "risk_score": 12, "seller_message": "The bank did not return any further details with this decline.",
            "type": "issuer_declined",
        });
        let failed = json!({
            "failure_code": code, "failure_message": message, "outcome": outcome, "paid": false, "status": "failed",
        });
        self.change(&id, failed, "charge.failed");
        let error = json!({
            "charge": id, "code": code, "decline_code": "generic_decline", "message": message,
            "doc_url": "https://stripe.com/docs/error-codes/card-declined",
            "payment_method": self.get(&text(&object, "/payment_method")), "type": "card_error",
        });
        let again = json!({ "status": "requires_payment_method", "last_payment_error": error, "payment_method": null });
        self.change(intent, again, "payment_intent.payment_failed");
    }

    /// `POST /v1/refunds`
    pub fn create_refund(&mut self, params: &Params) -> Result<Value, Error> {
        let charge = match (params.text("charge"), params.text("payment_intent")) {
            (Some(charge), None) => self.named("charge", charge, "charge")?,
            (None, Some(intent)) => {
                let intent = self.named("payment_intent", intent, "payment_intent")?;
                self.get(&text(&intent, "/latest_charge"))
            }
            _ => {
                return Err(Error::bad("charge", "One of charge or payment_intent must be provided."));
            }
        };
        let id = text(&charge, "/id");
        if charge["status"] != "succeeded" {
            let message = format!("This charge ({id}) has not been paid, so it cannot be refunded.");
            return Err(Error::coded("charge_not_refundable", "charge", message));
        }
        let left = number(&charge, "/amount") - number(&charge, "/amount_refunded");
        if left == 0 {
            let message = format!("Charge {id} has already been refunded.");
            return Err(Error::coded("charge_already_refunded", "charge", message));
        }
        if charge["disputed"] == true {
            let message = format!("Charge {id} has been charged back; cannot issue a refund.");
            return Err(Error::coded("charge_disputed", "charge", message));
        }
        let amount = params.integer("amount").unwrap_or(left);
        let currency = text(&charge, "/currency");
        if amount < 1 {
            return Err(Error::coded("parameter_invalid_integer", "amount", "Invalid positive integer".to_owned()));
        }
        if amount > left {
            let message = format!(
                "Refund amount ({}) is greater than unrefunded amount on charge ({})",
                currency::in_words(amount, &currency),
                currency::in_words(left, &currency)
            );
            return Err(Error::bad("amount", message));
        }
        let metadata = params.metadata_over("metadata", &json!({}));
        Ok(self.refund(&charge, amount, params.value("reason"), metadata))
    }

    fn refund(&mut self, charge: &Value, amount: i64, reason: Value, metadata: Value) -> Value {
        let id = text(charge, "/id");
        let refund = self.refund_of(charge, amount, reason, metadata);
        let kind = if charge["payment_method_details"]["type"] == "card" { "refund" } else { "payment_refund" };
        let movement = self.movement(kind, "refund", -amount, 0, &refund);
        let refund = self.set(&text(&refund, "/id"), json!({ "balance_transaction": movement["id"] }));
        let refunded = number(charge, "/amount_refunded") + amount;
        let fields = json!({ "amount_refunded": refunded, "refunded": refunded == number(charge, "/amount") });
        self.emit("refund.created", refund.clone());
        let before = json!({ "amount_refunded": charge["amount_refunded"], "refunded": charge["refunded"] });
        let after = self.set(&id, fields);
        self.emit_with("charge.refunded", after, Some(before));
        self.emit("charge.refund.updated", refund.clone());
        self.emit("refund.updated", refund.clone());
        refund
    }

    /// A refund comes back: the card was closed, say. The money is the newsroom's again.
    pub fn fail_refund(&mut self, id: &str) -> Result<Value, Error> {
        let refund = self.named("refund", id, "refund")?;
        if refund["status"] != "succeeded" {
            return Err(Error::bad("refund", "This refund has failed already."));
        }
        let movement = self.movement("refund_failure", "refund_failure", number(&refund, "/amount"), 0, &refund);
        let charge = self.get(&text(&refund, "/charge"));
        let refunded = number(&charge, "/amount_refunded") - number(&refund, "/amount");
        let fields = json!({ "amount_refunded": refunded, "refunded": false });
        self.change(&text(&charge, "/id"), fields, "charge.updated");
        let failed = json!({
            "status": "failed", "failure_reason": "expired_or_canceled_card",
            "failure_balance_transaction": movement["id"],
        });
        let refund = self.set(id, failed);
        for event in ["refund.failed", "charge.refund.updated", "refund.updated"] {
            self.emit(event, refund.clone());
        }
        Ok(refund)
    }

    /// A cardholder disputes a charge: the money goes back until it is decided.
    pub fn open_dispute(&mut self, charge: &str, reason: &str) -> Result<Value, Error> {
        let charge = self.named("charge", charge, "charge")?;
        let left = number(&charge, "/amount") - number(&charge, "/amount_refunded");
        if charge["status"] != "succeeded" || charge["disputed"] == true || left == 0 {
            return Err(Error::bad("charge", "Only a charge that was paid, not refunded and not disputed can be."));
        }
        self.change(&text(&charge, "/id"), json!({ "disputed": true }), "charge.updated");
        let dispute = self.dispute_of(&charge, left, reason);
        let id = text(&dispute, "/id");
        self.emit("charge.dispute.created", dispute.clone());
        let movement = self.movement("adjustment", "dispute", -left, DISPUTE_FEE, &dispute);
        let withdrawn = json!({ "balance_transactions": [movement] });
        Ok(self.change(&id, withdrawn, "charge.dispute.funds_withdrawn"))
    }

    /// A dispute is decided. Won, the money comes back; the fee stays with the bank.
    pub fn close_dispute(&mut self, id: &str, is_won: bool) -> Result<Value, Error> {
        let dispute = self.named("dispute", id, "dispute")?;
        if dispute["status"] != "needs_response" {
            return Err(Error::bad("dispute", "This dispute is closed already."));
        }
        if !is_won {
            return Ok(self.change(id, json!({ "status": "lost" }), "charge.dispute.closed"));
        }
        let amount = number(&dispute, "/amount");
        let movement = self.movement("adjustment", "dispute_reversal", amount, 0, &dispute);
        let mut movements = dispute["balance_transactions"].as_array().cloned().unwrap_or_default();
        movements.push(movement);
        self.change(id, json!({ "status": "won" }), "charge.dispute.closed");
        let reinstated = json!({ "balance_transactions": movements });
        Ok(self.change(id, reinstated, "charge.dispute.funds_reinstated"))
    }

    /// `GET /v1/account`: whose key it is.
    pub fn account(&self) -> Value {
        json!({
            "id": "acct_1StandIn", "object": "account", "business_type": "non_profit", "charges_enabled": true,
            "country": "NL", "default_currency": "eur", "details_submitted": true, "email": null, "metadata": {},
            "payouts_enabled": true, "settings": null, "type": "standard",
        })
    }

    /// `GET /v1/balance`: what all movements come to, in each currency.
    pub fn balance(&self) -> Value {
        let mut sums = std::collections::BTreeMap::<String, i64>::new();
        for movement in self.all("balance_transaction") {
            *sums.entry(text(&movement, "/currency")).or_default() += number(&movement, "/net");
        }
        let line = |amount: i64, currency: &String| json!({ "amount": amount, "currency": currency, "source_types": { "card": amount } });
        let pending: Vec<Value> = sums.iter().map(|(currency, sum)| line(*sum, currency)).collect();
        let available: Vec<Value> = sums.keys().map(|currency| line(0, currency)).collect();
        json!({ "object": "balance", "available": available, "livemode": false, "pending": pending })
    }
}
