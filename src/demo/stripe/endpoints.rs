//! What the stand-in plays: method, path, parameters, answer. What is not in this table is answered as Stripe answers
//! an address it does not know.

use serde_json::Value;

use super::error::Error;
use super::params::Params;
use super::world::{World, in_range, text};

/// One line of the table.
pub struct Endpoint {
    /// `GET`, `POST` or `DELETE`.
    pub method: &'static str,
    /// The path; `{id}` stands for one part of it.
    pub path: &'static str,
    /// The parameters, as [`Params::read`] takes them.
    pub takes: &'static [&'static str],
    /// What is done and answered.
    pub answer: fn(&mut World, &[&str], &Params) -> Result<Value, Error>,
}

const fn on(
    method: &'static str,
    path: &'static str,
    takes: &'static [&'static str],
    answer: fn(&mut World, &[&str], &Params) -> Result<Value, Error>,
) -> Endpoint {
    Endpoint { method, path, takes, answer }
}

const NONE: &[&str] = &[];

const LIST: &str = "
    limit int
    starting_after str
    ending_before str
    created range
";

const PRICE_DATA: &str = "
    line_items[].price str
    line_items[].price_data.currency! currency
    line_items[].price_data.product str
    line_items[].price_data.product_data.name! str
    line_items[].price_data.product_data.description str
    line_items[].price_data.product_data.metadata map
    line_items[].price_data.product_data.images[] url
    line_items[].price_data.product_data.tax_code str
    line_items[].price_data.product_data.unit_label str
    line_items[].price_data.recurring.interval! day|week|month|year
    line_items[].price_data.recurring.interval_count int
    line_items[].price_data.tax_behavior inclusive|exclusive|unspecified
    line_items[].price_data.unit_amount int
    line_items[].quantity int
    line_items[].metadata map
";

const SESSION: &str = "
    mode! payment|setup|subscription
    success_url url
    cancel_url url
    ui_mode hosted|hosted_page|embedded|embedded_page|custom|elements|form
    adaptive_pricing.enabled flag
    after_expiration.recovery.enabled! flag
    after_expiration.recovery.allow_promotion_codes flag
    allow_promotion_codes flag
    automatic_tax.enabled! flag
    billing_address_collection auto|required
    client_reference_id str
    consent_collection.promotions auto|none
    consent_collection.terms_of_service none|required
    currency currency
    custom_text.submit.message! str
    custom_text.after_submit.message! str
    customer str
    customer_creation always|if_required
    customer_email email
    customer_update.address auto|never
    customer_update.name auto|never
    expires_at int
    invoice_creation.enabled! flag
    locale auto|bg|cs|da|de|el|en|en-GB|es|es-419|et|fi|fil|fr|fr-CA|hi-IN|hr|hu|id|it|ja|ko|lt|lv|ms|mt|nb|nl|pl|pt|pt-BR|ro|ru|sk|sl|sv|th|tr|vi|zh|zh-HK|zh-TW
    metadata map
    origin_context mobile_app|web
    payment_intent_data.description str
    payment_intent_data.metadata map
    payment_intent_data.receipt_email email
    payment_intent_data.setup_future_usage off_session|on_session
    payment_intent_data.statement_descriptor str
    payment_intent_data.statement_descriptor_suffix str
    payment_method_collection always|if_required
    payment_method_configuration str
    payment_method_options.card.request_three_d_secure any|automatic|challenge
    phone_number_collection.enabled! flag
    redirect_on_completion always|if_required|never
    saved_payment_method_options.payment_method_save disabled|enabled
    submit_type auto|book|donate|pay|subscribe
    subscription_data.description str
    subscription_data.metadata map
    subscription_data.proration_behavior create_prorations|none
    tax_id_collection.enabled! flag
    wallet_options.link.display auto|never
";

const SESSION_LIST: &str = "
    customer str
    customer_details.email! email
    payment_intent str
    status complete|expired|open
    subscription str
";

const CUSTOMER: &str = "
    address.city str
    address.country str
    address.line1 str
    address.line2 str
    address.postal_code str
    address.state str
    description str?
    email email?
    invoice_settings.default_payment_method str
    metadata map
    name str?
    phone str?
    preferred_locales[] str
";

const SUBSCRIPTION: &str = "
    cancel_at int?
    cancel_at_period_end flag
    cancellation_details.comment str?
    cancellation_details.feedback customer_service|low_quality|missing_features|other|switched_service|too_complex|too_expensive|unused?
    default_payment_method str
    description str?
    items[].id str
    items[].price str
    items[].price_data.currency! currency
    items[].price_data.product! str
    items[].price_data.recurring.interval! day|week|month|year
    items[].price_data.recurring.interval_count int
    items[].price_data.tax_behavior inclusive|exclusive|unspecified
    items[].price_data.unit_amount int
    items[].quantity int
    metadata map
    pause_collection.behavior! keep_as_draft|mark_uncollectible|void
    pause_collection.resumes_at int
    payment_behavior allow_incomplete|default_incomplete|error_if_incomplete|pending_if_incomplete
    proration_behavior always_invoice|create_prorations|none
    trial_end int
";

const SUBSCRIPTION_LIST: &str = "
    customer str
    price str
    status active|all|canceled|ended|incomplete|incomplete_expired|past_due|paused|trialing|unpaid
    current_period_end range
    current_period_start range
";

const CANCEL: &str = "
    cancellation_details.comment str?
    cancellation_details.feedback customer_service|low_quality|missing_features|other|switched_service|too_complex|too_expensive|unused?
    invoice_now flag
    prorate flag
";

const REFUND: &str = "
    amount int
    charge str
    payment_intent str
    metadata map
    reason duplicate|fraudulent|requested_by_customer
";

const PRICE: &str = "
    currency! currency
    product str
    product_data.name! str
    product_data.metadata map
    recurring.interval! day|week|month|year
    recurring.interval_count int
    unit_amount int
    metadata map
    nickname str
    tax_behavior inclusive|exclusive|unspecified
";

const PORTAL: &str = "
    customer str
    configuration str
    return_url url
    locale auto|bg|cs|da|de|el|en|en-GB|es|et|fi|fr|hr|hu|it|ja|ko|lt|lv|nb|nl|pl|pt|ro|ru|sk|sl|sv|th|tr|vi|zh
    flow_data.type! payment_method_update|subscription_cancel|subscription_update
    flow_data.subscription_cancel.subscription! str
    flow_data.after_completion.type! hosted_confirmation|portal_homepage|redirect
    flow_data.after_completion.redirect.return_url! url
";

/// Everything that is played.
pub const ENDPOINTS: &[Endpoint] = &[
    on("POST", "/v1/checkout/sessions", &[SESSION, PRICE_DATA], |w, _, p| w.create_session(p)),
    on("GET", "/v1/checkout/sessions", &[LIST, SESSION_LIST], |w, _, p| w.list_sessions(p)),
    on("GET", "/v1/checkout/sessions/{id}", NONE, |w, ids, _| w.named("checkout.session", ids[0], "session")),
    on("POST", "/v1/checkout/sessions/{id}/expire", NONE, |w, ids, _| w.expire_session(ids[0])),
    on("GET", "/v1/checkout/sessions/{id}/line_items", &[LIST], |w, ids, p| {
        w.named("checkout.session", ids[0], "session")?;
        let lines = w.asked.get(ids[0]).map(|asked| asked.line_items.clone()).unwrap_or_default();
        w.page(lines, &format!("/v1/checkout/sessions/{}/line_items", ids[0]), p)
    }),
    on("POST", "/v1/customers", &[CUSTOMER], |w, _, p| w.create_customer(p)),
    on("GET", "/v1/customers", &[LIST, "email email"], |w, _, p| w.list_customers(p)),
    on("GET", "/v1/customers/{id}", NONE, |w, ids, _| w.named("customer", ids[0], "id")),
    on("POST", "/v1/customers/{id}", &[CUSTOMER], |w, ids, p| w.update_customer(ids[0], p)),
    on("DELETE", "/v1/customers/{id}", NONE, |w, ids, _| w.delete_customer(ids[0])),
    on("GET", "/v1/customers/{id}/payment_methods", &[LIST, "type str"], |w, ids, p| {
        w.live_customer(ids[0], "customer")?;
        let all = w.where_true("payment_method", |one| same(one, p, &["type"]) && one["customer"] == ids[0]);
        w.page(all, &format!("/v1/customers/{}/payment_methods", ids[0]), p)
    }),
    on("GET", "/v1/payment_methods/{id}", NONE, |w, ids, _| w.named("payment_method", ids[0], "payment_method")),
    on("POST", "/v1/products", &["name! str\ndescription str\nmetadata map"], |w, _, p| w.create_product(p)),
    on("GET", "/v1/products", &[LIST, "active flag"], |w, _, p| w.page(w.all("product"), "/v1/products", p)),
    on("GET", "/v1/products/{id}", NONE, |w, ids, _| w.named("product", ids[0], "id")),
    on("POST", "/v1/prices", &[PRICE], |w, _, p| w.create_price(p)),
    on("GET", "/v1/prices/{id}", NONE, |w, ids, _| w.named("price", ids[0], "price")),
    on("GET", "/v1/subscriptions", &[LIST, SUBSCRIPTION_LIST], list_subscriptions),
    on("GET", "/v1/subscriptions/{id}", NONE, |w, ids, _| w.named("subscription", ids[0], "id")),
    on("POST", "/v1/subscriptions/{id}", &[SUBSCRIPTION], |w, ids, p| w.update_subscription(ids[0], p)),
    on("DELETE", "/v1/subscriptions/{id}", &[CANCEL], |w, ids, p| w.cancel_subscription(ids[0], p)),
    on(
        "GET",
        "/v1/invoices",
        &[LIST, "customer str\nsubscription str\nstatus draft|open|paid|uncollectible|void"],
        |w, _, p| {
            let all = w.where_true("invoice", |invoice| {
                let subscription = super::billing::subscription_of(invoice);
                same(invoice, p, &["customer", "status"]) && p.text("subscription").is_none_or(|id| id == subscription)
            });
            w.page(all, "/v1/invoices", p)
        },
    ),
    on("GET", "/v1/invoices/{id}", NONE, |w, ids, _| w.named("invoice", ids[0], "invoice")),
    on("GET", "/v1/invoice_payments", &[LIST, INVOICE_PAYMENTS], |w, _, p| {
        let intent = p.text("payment.payment_intent");
        let all = w.where_true("invoice_payment", |one| {
            same(one, p, &["invoice", "status"])
                && intent.is_none_or(|intent| one["payment"]["payment_intent"] == intent)
        });
        w.page(all, "/v1/invoice_payments", p)
    }),
    on("GET", "/v1/invoice_payments/{id}", NONE, |w, ids, _| w.named("invoice_payment", ids[0], "invoice_payment")),
    on("GET", "/v1/payment_intents", &[LIST, "customer str"], |w, _, p| {
        listed(w, "payment_intent", "/v1/payment_intents", &["customer"], p)
    }),
    on("GET", "/v1/payment_intents/{id}", NONE, |w, ids, _| w.named("payment_intent", ids[0], "intent")),
    on("GET", "/v1/charges", &[LIST, "customer str\npayment_intent str"], |w, _, p| {
        listed(w, "charge", "/v1/charges", &["customer", "payment_intent"], p)
    }),
    on("GET", "/v1/charges/{id}", NONE, |w, ids, _| w.named("charge", ids[0], "charge")),
    on("POST", "/v1/refunds", &[REFUND], |w, _, p| w.create_refund(p)),
    on("GET", "/v1/refunds", &[LIST, "charge str\npayment_intent str"], |w, _, p| {
        listed(w, "refund", "/v1/refunds", &["charge", "payment_intent"], p)
    }),
    on("GET", "/v1/refunds/{id}", NONE, |w, ids, _| w.named("refund", ids[0], "refund")),
    on("GET", "/v1/disputes", &[LIST, "charge str\npayment_intent str"], |w, _, p| {
        listed(w, "dispute", "/v1/disputes", &["charge", "payment_intent"], p)
    }),
    on("GET", "/v1/disputes/{id}", NONE, |w, ids, _| w.named("dispute", ids[0], "dispute")),
    on("GET", "/v1/account", NONE, |w, _, _| Ok(w.account())),
    on("GET", "/v1/balance", NONE, |w, _, _| Ok(w.balance())),
    on("GET", "/v1/balance_transactions", &[LIST, "source str\ntype str\ncurrency currency"], |w, _, p| {
        listed(w, "balance_transaction", "/v1/balance_transactions", &["source", "type", "currency"], p)
    }),
    on("GET", "/v1/balance_transactions/{id}", NONE, |w, ids, _| w.named("balance_transaction", ids[0], "id")),
    on("POST", "/v1/billing_portal/sessions", &[PORTAL], |w, _, p| w.create_portal(p)),
    on("GET", "/v1/events", &[LIST, "type str\ntypes[] str\ndelivery_success flag"], |w, _, p| w.list_events(p)),
    on("GET", "/v1/events/{id}", NONE, |w, ids, _| w.one_event(ids[0])),
];

const INVOICE_PAYMENTS: &str = "
    invoice str
    status canceled|open|paid
    payment.type! payment_intent|payment_record
    payment.payment_intent str
";

/// Whether fields of an object hold what the parameters of the same names say, where they say something.
fn same(object: &Value, params: &Params, names: &[&str]) -> bool {
    names.iter().all(|name| params.text(name).is_none_or(|wanted| object[*name] == wanted))
}

fn listed(world: &World, kind: &str, url: &str, by: &[&str], params: &Params) -> Result<Value, Error> {
    world.page(world.where_true(kind, |object| same(object, params, by)), url, params)
}

fn list_subscriptions(world: &mut World, _: &[&str], params: &Params) -> Result<Value, Error> {
    let wanted = params.text("status");
    let all = world.where_true("subscription", |subscription| {
        let status = text(subscription, "/status");
        let is_over = status == "canceled" || status == "incomplete_expired";
        let item = &subscription["items"]["data"][0];
        let at = |name: &str| item[name].as_i64().unwrap_or(0);
        same(subscription, params, &["customer"])
            && params.text("price").is_none_or(|price| item["price"]["id"] == price)
            && ["current_period_start", "current_period_end"].iter().all(|name| in_range(at(name), params, name))
            && match wanted {
                // Without a status, Stripe lists those that are not canceled.
                None => status != "canceled",
                Some("all") => true,
                Some("ended") => is_over,
                Some(wanted) => wanted == status,
            }
    });
    world.page(all, "/v1/subscriptions", params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_can_be_read() {
        for endpoint in ENDPOINTS {
            let path = endpoint.path;
            let unknown = Params::read("no_such_parameter=1", endpoint.takes).unwrap_err();
            assert_eq!(unknown.body()["error"]["code"], "parameter_unknown", "{path}");
            match Params::read("expand[]=customer", endpoint.takes) {
                Ok(params) => assert_eq!(params.texts("expand"), ["customer"], "{path}"),
                Err(error) => {
                    assert_eq!(error.body()["error"]["code"], "parameter_missing", "{path}")
                }
            }
            let twin = ENDPOINTS.iter().filter(|other| (other.method, other.path) == (endpoint.method, path)).count();
            assert_eq!(twin, 1, "{path}");
        }
    }
}
