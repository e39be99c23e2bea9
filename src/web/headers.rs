//! Security headers, on every answer.

use crate::app::Shared;
use crate::config::STRIPE_API;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

/// The policy of an answer that the newsroom's own site may put into a frame (`/embed/…`). Set it as the answer's
/// `Content-Security-Policy`; it is then left alone.
pub const FRAMEABLE: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self' https://checkout.stripe.com; base-uri 'none'; frame-ancestors *";

/// The policy of a mail shown to staff in a frame: its own inline styles, nothing else, and no script whatever it says.
pub const PREVIEW: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-popups";

pub(super) async fn set(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        // OK because the origin of a checked URL is ASCII.
        let policy = HeaderValue::from_str(&policy(&app)).expect("a header value");
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    put(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    // Addresses of pages hold sealed links: they are told to nobody.
    put(headers, header::REFERRER_POLICY, "no-referrer");
    put(headers, HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    put(
        headers,
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), browsing-topics=()",
    );
    put(headers, header::CACHE_CONTROL, "no-store");
    if app.config.is_https() {
        put(headers, header::STRICT_TRANSPORT_SECURITY, "max-age=31536000; includeSubDomains");
    }
    response
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.entry(name).or_insert(HeaderValue::from_static(value));
}

/// Everything from here, nothing inline; a form may lead to Stripe's page, or to the stand-in's where one is set.
fn policy(app: &Shared) -> String {
    let stand_in = app
        .config
        .stripe
        .as_ref()
        .filter(|s| s.api_base != STRIPE_API)
        .map(|s| format!(" {}", s.api_base))
        .unwrap_or_default();
    format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; frame-src 'self'; connect-src 'self'; \
         form-action 'self' https://checkout.stripe.com https://billing.stripe.com{stand_in}; base-uri 'none'; object-src 'none'; frame-ancestors 'none'"
    )
}
