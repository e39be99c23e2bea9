//! Who may send a form here: our own pages, and programs that are no browser.
//!
//! Every browser since 2020 says of each POST where it comes from, in `Sec-Fetch-Site` or at least in `Origin`, and no
//! page can make it lie. So a POST that a browser sends from elsewhere is refused before anything reads it (OWASP's
//! Fetch Metadata policy). What sends neither header is not a browser and carries nobody's cookies. Two kinds of POST
//! come from elsewhere by right: a mail provider's one-click unsubscription, whose link is its own proof, and
//! Stripe's events, which are signed; neither is sent by a browser.

use super::Problem;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

pub(super) async fn refuse_foreign_posts(request: Request, next: Next) -> Response {
    let reads_only = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if reads_only || is_ours(request.headers()) { next.run(request).await } else { Problem::Forbidden.into_response() }
}

fn is_ours(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    match text("sec-fetch-site") {
        // "none": typed, or from a bookmark.
        Some(site) => matches!(site, "same-origin" | "none"),
        None => match text(header::ORIGIN.as_str()) {
            // Compared with the host that the browser asked for, whatever a proxy makes of the scheme.
            Some(origin) => {
                let origin_host = origin.split_once("://").map(|(_, host)| host);
                origin_host.is_some() && origin_host == text(header::HOST.as_str())
            }
            None => true,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(&'static str, &'static str)]) -> bool {
        is_ours(&pairs.iter().map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap())).collect())
    }

    #[test]
    fn only_our_own_pages_post_here() {
        assert!(asked(&[("sec-fetch-site", "same-origin")]));
        assert!(!asked(&[("sec-fetch-site", "cross-site")]));
        assert!(!asked(&[("sec-fetch-site", "same-site")]), "a sister site is not this site");
        assert!(asked(&[("origin", "https://news.example"), ("host", "news.example")]));
        assert!(!asked(&[("origin", "https://evil.example"), ("host", "news.example")]));
        assert!(!asked(&[("origin", "null"), ("host", "news.example")]));
        assert!(asked(&[("host", "news.example")]), "a program");
    }
}
