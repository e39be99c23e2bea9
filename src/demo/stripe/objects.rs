//! The shapes of Stripe's objects, as its API of 2025-03-31 ("Basil") and later answers them.
//!
//! Every field that Stripe's own TypeScript types say is always there is here; `tests/sdk` lets their compiler judge.

use serde_json::{Value, json};

use super::world::{World, number, text};

/// What the account's statements say; a suffix comes after it.
const STATEMENT: &str = "FRIDAY STANDIN";

/// One object of the fields of two: `json!` cannot take as many as some of Stripe's objects have.
pub(super) fn both(mut first: Value, second: Value) -> Value {
    if let (Some(into), Value::Object(fields)) = (first.as_object_mut(), second) {
        into.extend(fields);
    }
    first
}

impl World {
    pub(super) fn product(&mut self, name: &str, description: &Value, metadata: Value) -> Value {
        let object = json!({
            "id": self.new_id("prod_"), "object": "product", "active": true, "created": self.now, "default_price": null,
            "description": description, "images": [], "livemode": false, "marketing_features": [], "metadata": metadata,
            "name": name, "package_dimensions": null, "shippable": null, "statement_descriptor": null, "tax_code": null,
            "tax_details": null, "type": "service", "unit_label": null, "updated": self.now, "url": null,
        });
        self.put(object)
    }

    /// A price; `recurring` is null, or has `interval` and `interval_count`.
    pub(super) fn price(
        &mut self,
        product: &str,
        currency: &str,
        amount: i64,
        recurring: Value,
        active: bool,
    ) -> Value {
        let recurring = if recurring.is_null() {
            Value::Null
        } else {
            json!({
                "interval": recurring["interval"],
                "interval_count": recurring["interval_count"].as_i64().unwrap_or(1),
                "meter": null, "trial_period_days": null, "usage_type": "licensed",
            })
        };
        let kind = if recurring.is_null() { "one_time" } else { "recurring" };
        let object = json!({
            "id": self.new_id("price_"), "object": "price", "active": active, "billing_scheme": "per_unit",
            "created": self.now, "currency": currency, "custom_unit_amount": null, "livemode": false,
            "lookup_key": null, "metadata": {}, "nickname": null, "product": product, "recurring": recurring,
            "tax_behavior": "unspecified", "tiers_mode": null, "transform_quantity": null, "type": kind,
            "unit_amount": amount, "unit_amount_decimal": amount.to_string(),
        });
        self.put(object)
    }

    /// The older twin of a recurring price, which subscription items still carry.
    pub(super) fn plan_of(price: &Value) -> Value {
        json!({
            "id": price["id"], "object": "plan", "active": price["active"], "amount": price["unit_amount"],
            "amount_decimal": price["unit_amount_decimal"], "billing_scheme": "per_unit", "created": price["created"],
            "currency": price["currency"], "interval": price["recurring"]["interval"],
            "interval_count": price["recurring"]["interval_count"], "livemode": false, "metadata": {}, "meter": null,
            "nickname": null, "product": price["product"], "tiers_mode": null, "transform_usage": null,
            "trial_period_days": null, "usage_type": "licensed",
        })
    }

    pub(super) fn customer(&mut self, email: Value, name: Value) -> Value {
        let id = self.new_id("cus_");
        let prefix: String = id.chars().skip(4).take(8).collect::<String>().to_ascii_uppercase();
        let object = json!({
            "id": id, "object": "customer", "address": null, "balance": 0, "created": self.now, "currency": null,
            "customer_account": null, "default_source": null, "delinquent": false, "description": null,
            "discount": null, "email": email, "invoice_prefix": prefix,
            "invoice_settings": {
                "custom_fields": null, "default_payment_method": null, "footer": null, "rendering_options": null,
            },
            "livemode": false, "metadata": {}, "name": name, "next_invoice_sequence": 1, "phone": null,
            "preferred_locales": [], "shipping": null, "tax_exempt": "none", "test_clock": null,
        });
        self.put(object)
    }

    pub(super) fn payment_intent(&mut self, amount: i64, currency: &str, customer: &Value) -> Value {
        let id = self.new_id("pi_3");
        let secret = format!("{id}_secret_{}", self.new_id(""));
        let first = json!({
            "id": id, "object": "payment_intent", "allowed_payment_method_types": null, "amount": amount,
            "amount_capturable": 0, "amount_details": { "tip": {} }, "amount_received": 0, "application": null,
            "application_fee_amount": null, "automatic_payment_methods": null, "canceled_at": null,
            "cancellation_reason": null, "capture_method": "automatic_async", "client_secret": secret,
            "confirmation_method": "automatic", "created": self.now, "currency": currency, "customer": customer,
            "customer_account": null, "description": null, "excluded_payment_method_types": null,
            "last_payment_error": null, "latest_charge": null, "livemode": false,
        });
        let second = json!({
            "managed_payments": null,
            "metadata": {}, "next_action": null, "on_behalf_of": null, "payment_method": null,
            "payment_method_configuration_details": null,
            "payment_method_options": { "card": { "installments": null, "mandate_options": null, "network": null,
                "request_three_d_secure": "automatic" } },
            "payment_method_types": ["card", "sepa_debit"], "payment_record": null, "processing": null,
            "receipt_email": null, "review": null, "setup_future_usage": null, "shipping": null, "source": null,
            "statement_descriptor": null, "statement_descriptor_suffix": null, "status": "requires_payment_method",
            "transfer_data": null, "transfer_group": null,
        });
        self.put(both(first, second))
    }

    /// A charge of a payment intent by a payment method, not yet decided.
    pub(super) fn charge(&mut self, intent: &Value, method: &Value) -> Value {
        let is_card = method["type"] == "card";
        let id = self.new_id(if is_card { "ch_3" } else { "py_3" });
        let details = if is_card {
            let card = &method["card"];
            json!({ "type": "card", "card": {
                "amount_authorized": intent["amount"], "authorization_code": null, "brand": card["brand"],
                "checks": { "address_line1_check": null, "address_postal_code_check": null, "cvc_check": "pass" },
                "country": card["country"], "electronic_commerce_indicator": null, "exp_month": card["exp_month"],
                "exp_year": card["exp_year"], "fingerprint": card["fingerprint"], "funding": card["funding"],
                "installments": null, "last4": card["last4"], "mandate": null, "network": card["brand"],
                "network_transaction_id": null, "regulated_status": "unregulated", "three_d_secure": null,
                "transaction_link_id": null, "wallet": null,
            } })
        } else {
            let debit = &method["sepa_debit"];
            json!({ "type": "sepa_debit", "sepa_debit": {
                "bank_code": debit["bank_code"], "branch_code": null, "country": debit["country"],
                "fingerprint": debit["fingerprint"], "last4": debit["last4"], "mandate": null,
            } })
        };
        let suffix = text(intent, "/statement_descriptor_suffix");
        let statement = if suffix.is_empty() { STATEMENT.to_owned() } else { format!("{STATEMENT}* {suffix}") };
        let first = json!({
            "id": id, "object": "charge", "amount": intent["amount"], "amount_captured": 0, "amount_refunded": 0,
            "application": null, "application_fee": null, "application_fee_amount": null, "balance_transaction": null,
            "billing_details": method["billing_details"],
            "calculated_statement_descriptor": statement.chars().take(22).collect::<String>(), "captured": false,
            "created": self.now, "currency": intent["currency"], "customer": intent["customer"],
            "description": intent["description"], "disputed": false, "failure_balance_transaction": null,
            "failure_code": null, "failure_message": null, "fraud_details": {}, "livemode": false,
        });
        let second = json!({
            "metadata": intent["metadata"], "on_behalf_of": null, "outcome": null, "paid": false,
            "payment_intent": intent["id"], "payment_method": method["id"], "payment_method_details": details,
            "receipt_email": intent["receipt_email"], "receipt_number": null,
            "receipt_url": format!("{}/receipts/{id}", self.base_url), "refunded": false, "review": null,
            "shipping": null, "source": null, "source_transfer": null,
            "statement_descriptor": intent["statement_descriptor"],
            "statement_descriptor_suffix": intent["statement_descriptor_suffix"], "status": "pending",
            "transfer_data": null, "transfer_group": null,
        });
        self.put(both(first, second))
    }

    /// A subscription of a customer to one price, from now on.
    pub(super) fn subscription(&mut self, customer: &str, price: &Value, period_end: i64, method: &Value) -> Value {
        let id = self.new_id("sub_1");
        let item = json!({
            "id": self.new_id("si_"), "object": "subscription_item", "billing_thresholds": null, "created": self.now,
            "current_period_end": period_end, "current_period_start": self.now, "current_trial": null,
            "discounts": [], "metadata": {}, "plan": World::plan_of(price), "price": price, "quantity": 1,
            "subscription": id, "tax_rates": [],
        });
        let items = format!("/v1/subscription_items?subscription={id}");
        let first = json!({
            "id": id, "object": "subscription", "application": null, "application_fee_percent": null,
            "automatic_tax": { "disabled_reason": null, "enabled": false, "liability": null },
            "billing_cycle_anchor": self.now, "billing_cycle_anchor_config": null,
            "billing_mode": { "flexible": { "proration_discounts": "included" }, "type": "flexible" },
            "billing_schedules": [], "billing_thresholds": null, "cancel_at": null, "cancel_at_period_end": false,
            "canceled_at": null,
            "cancellation_details": { "comment": null, "feedback": null, "feedback_option": null, "reason": null },
            "collection_method": "charge_automatically", "created": self.now, "currency": price["currency"],
            "customer": customer, "customer_account": null, "days_until_due": null, "default_payment_method": method,
            "default_source": null, "default_tax_rates": [], "description": null, "discounts": [], "ended_at": null,
            "invoice_settings": {
                "account_tax_ids": null, "custom_fields": null, "description": null, "footer": null,
                "issuer": { "type": "self" },
            },
            "items": { "object": "list", "data": [item], "has_more": false, "url": items },
        });
        let second = json!({
            "latest_invoice": null, "livemode": false, "managed_payments": null, "metadata": {},
            "next_pending_invoice_item_invoice": null, "on_behalf_of": null, "pause_collection": null,
            "payment_settings": { "payment_method_options": null, "payment_method_types": null,
                "save_default_payment_method": "off" },
            "pending_invoice_item_interval": null, "pending_setup_intent": null, "pending_update": null,
            "schedule": null, "start_date": self.now, "status": "incomplete", "test_clock": null,
            "transfer_data": null, "trial_end": null,
            "trial_settings": { "end_behavior": { "billing_cycle_anchor": null, "missing_payment_method": "create_invoice" } }, "trial_start": null,
        });
        self.put(both(first, second))
    }

    /// A draft invoice for the current period of a subscription.
    pub(super) fn invoice(&mut self, subscription: &Value, reason: &str) -> Value {
        let object = self.invoice_shape(subscription, reason);
        self.put(object)
    }

    /// What an invoice for a subscription looks like, without keeping it: the notice of a renewal shows one.
    pub(super) fn invoice_shape(&mut self, subscription: &Value, reason: &str) -> Value {
        let id = self.new_id("in_1");
        let customer = self.get(&text(subscription, "/customer"));
        let item = &subscription["items"]["data"][0];
        let price = &item["price"];
        let amount = number(price, "/unit_amount") * number(item, "/quantity");
        let line = json!({
            "id": self.new_id("il_1"), "object": "line_item", "amount": amount, "currency": price["currency"],
            "description": format!("1 × {}", text(&self.get(&text(price, "/product")), "/name")),
            "discount_amounts": [], "discountable": true, "discounts": [], "invoice": id, "livemode": false,
            "metadata": subscription["metadata"],
            "parent": { "type": "subscription_item_details", "invoice_item_details": null,
                "subscription_item_details": { "invoice_item": null, "proration": false,
                    "proration_details": { "credited_items": null }, "subscription": subscription["id"],
                    "subscription_item": item["id"] } },
            "period": { "start": item["current_period_start"], "end": item["current_period_end"] },
            "pretax_credit_amounts": [],
            "pricing": { "type": "price_details", "unit_amount_decimal": price["unit_amount_decimal"],
                "price_details": { "price": price["id"], "product": price["product"] } },
            "quantity": item["quantity"], "quantity_decimal": number(item, "/quantity").to_string(),
            "subscription": subscription["id"], "subtotal": amount, "taxes": [],
        });
        // An invoice looks back on the period it was made in: for the first one, that is the moment of its making.
        let period_start = match reason {
            "subscription_create" => json!(self.now),
            _ => item["current_period_start"].clone(),
        };
        let first = json!({
            "id": id, "object": "invoice", "account_country": "NL", "account_name": "Friday's stand-in",
            "account_tax_ids": null, "amount_due": amount, "amount_overpaid": 0, "amount_paid": 0,
            "amount_remaining": amount, "amount_shipping": 0, "application": null, "attempt_count": 0,
            "attempted": false, "auto_advance": true,
            "automatic_tax": { "disabled_reason": null, "enabled": false, "liability": null, "provider": null,
                "status": null },
            "automatically_finalizes_at": self.now + 3600, "billing_reason": reason,
            "collection_method": "charge_automatically", "created": self.now, "currency": price["currency"],
        });
        let second = json!({
            "custom_fields": null, "customer": subscription["customer"], "customer_account": null,
            "customer_address": null, "customer_email": customer["email"], "customer_name": customer["name"],
            "customer_phone": null, "customer_shipping": null, "customer_tax_exempt": "none", "customer_tax_ids": [],
            "default_payment_method": null, "default_source": null, "default_tax_rates": [], "description": null,
            "discounts": [], "due_date": null, "effective_at": null, "ending_balance": null, "footer": null,
            "from_invoice": null, "hosted_invoice_url": null, "invoice_pdf": null, "issuer": { "type": "self" },
            "last_finalization_error": null, "latest_revision": null,
            "lines": { "object": "list", "data": [line], "has_more": false,
                "url": format!("/v1/invoices/{id}/lines") },
        });
        let third = json!({
            "livemode": false, "metadata": {}, "next_payment_attempt": null, "number": null, "on_behalf_of": null,
            "parent": { "quote_details": null, "type": "subscription_details", "subscription_details": {
                "metadata": subscription["metadata"], "subscription": subscription["id"] } },
            "payment_settings": { "default_mandate": null, "payment_method_options": null,
                "payment_method_types": null },
            "period_end": self.now, "period_start": period_start, "post_payment_credit_notes_amount": 0,
            "pre_payment_credit_notes_amount": 0, "receipt_number": null, "rendering": null, "shipping_cost": null,
            "shipping_details": null, "starting_balance": 0, "statement_descriptor": null, "status": "draft",
            "status_transitions": { "finalized_at": null, "marked_uncollectible_at": null, "paid_at": null,
                "voided_at": null },
            "subtotal": amount, "subtotal_excluding_tax": amount, "test_clock": null, "total": amount,
            "total_discount_amounts": [], "total_excluding_tax": amount, "total_pretax_credit_amounts": [],
            "total_taxes": [], "webhooks_delivered_at": null,
        });
        both(both(first, second), third)
    }

    /// The tie between an invoice and what pays it.
    pub(super) fn invoice_payment(&mut self, invoice: &Value, intent: &str) -> Value {
        let object = json!({
            "id": self.new_id("inpay_1"), "object": "invoice_payment", "amount_paid": null,
            "amount_requested": invoice["amount_due"], "created": self.now, "currency": invoice["currency"],
            "invoice": invoice["id"], "is_default": true, "livemode": false,
            "payment": { "payment_intent": intent, "type": "payment_intent" }, "status": "open",
            "status_transitions": { "canceled_at": null, "paid_at": null },
        });
        self.put(object)
    }

    /// A movement of money on the account's balance.
    pub(super) fn movement(&mut self, kind: &str, category: &str, amount: i64, fee: i64, source: &Value) -> Value {
        let currency = &source["currency"];
        let fees = if fee == 0 {
            json!([])
        } else {
            json!([{ "amount": fee, "application": null, "currency": currency,
                "description": "Stripe processing fees", "type": "stripe_fee" }])
        };
        let object = json!({
            "id": self.new_id("txn_3"), "object": "balance_transaction", "amount": amount,
            "available_on": self.now + 2 * 24 * 3600, "balance_type": "payments", "created": self.now,
            "currency": currency, "description": source["description"], "exchange_rate": null, "fee": fee,
            "fee_details": fees, "net": amount - fee, "reporting_category": category, "source": source["id"],
            "status": "pending", "type": kind,
        });
        self.put(object)
    }

    pub(super) fn refund_of(&mut self, charge: &Value, amount: i64, reason: Value, metadata: Value) -> Value {
        let kind = text(charge, "/payment_method_details/type");
        let mut destination = json!({ "type": kind });
        destination[&kind] = if kind == "card" {
            json!({ "reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund" })
        } else {
            json!({})
        };
        let object = json!({
            "id": self.new_id("re_3"), "object": "refund", "amount": amount, "balance_transaction": null,
            "charge": charge["id"], "created": self.now, "currency": charge["currency"],
            "customer": charge["customer"], "customer_account": null, "destination_details": destination,
            "metadata": metadata, "payment_intent": charge["payment_intent"],
            "payment_method": charge["payment_method"], "reason": reason, "receipt_number": null,
            "source_transfer_reversal": null, "status": "succeeded", "transfer_reversal": null,
        });
        self.put(object)
    }

    pub(super) fn dispute_of(&mut self, charge: &Value, amount: i64, reason: &str) -> Value {
        let nothing = [
            "access_activity_log",
            "billing_address",
            "cancellation_policy",
            "cancellation_policy_disclosure",
            "cancellation_rebuttal",
            "customer_communication",
            "customer_email_address",
            "customer_name",
            "customer_purchase_ip",
            "customer_signature",
            "duplicate_charge_documentation",
            "duplicate_charge_explanation",
            "duplicate_charge_id",
            "product_description",
            "receipt",
            "refund_policy",
            "refund_policy_disclosure",
            "refund_refusal_explanation",
            "service_date",
            "service_documentation",
            "shipping_address",
            "shipping_carrier",
            "shipping_date",
            "shipping_documentation",
            "shipping_tracking_number",
            "uncategorized_file",
            "uncategorized_text",
        ];
        let mut evidence = json!({ "enhanced_evidence": {} });
        for name in nothing {
            evidence[name] = Value::Null;
        }
        let brand = &charge["payment_method_details"]["card"]["brand"];
        let object = json!({
            "id": self.new_id("du_1"), "object": "dispute", "amount": amount, "balance_transactions": [],
            "charge": charge["id"], "created": self.now, "currency": charge["currency"],
            "enhanced_eligibility_types": [], "evidence": evidence,
            "evidence_details": { "due_by": self.now + 14 * 24 * 3600, "enhanced_eligibility": {},
                "has_evidence": false, "past_due": false, "submission_count": 0,
                "submission_method": "not_submitted" },
            "intended_submission_method": null, "is_charge_refundable": false, "livemode": false, "metadata": {},
            "network_reason_code": "10.4", "payment_intent": charge["payment_intent"],
            "payment_method_details": { "type": "card", "card": { "brand": brand, "case_type": "chargeback",
                "network": brand, "network_reason_code": "10.4" } },
            "reason": reason, "status": "needs_response",
        });
        self.put(object)
    }
}
