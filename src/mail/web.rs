//! The development mailbox as a page, so that whoever tries Friday sees every mail arrive.
//!
//! It shows addresses in clear, which nothing else here does. So it is there only where mails go to the mailbox, the
//! site itself is this machine's, and the request comes from this machine, under its own name and through no proxy.
//! Everybody else is told that there is no such page.

use std::convert::Infallible;
use std::time::Duration;

use askama::Template;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::sse::{Event, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use mail_parser::{Message, MessageParser, MimeHeaders};
use serde::Deserialize;

use super::{Mailbox, StoredMail};
use crate::app::Shared;
use crate::web::{Page, Peer, Problem, render, wants_json};

/// How many mails the page lists, the newest first.
const LISTED: usize = 200;
/// How often the page is told of news.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A mail in its frame: its own inline styles and nothing from elsewhere, no script whatever it says. Links open beside
/// it, free of the frame, for a confirmation page has a form.
const IN_FRAME: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; form-action 'none'; \
    frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox";

/// The mailbox's routes.
pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/mailbox", get(newest))
        .route("/mailbox/live", get(live))
        .route("/mailbox/{id}", get(one))
        .route("/mailbox/{id}/html", get(html))
        .route("/mailbox/{id}/source", get(source))
}

/// The mailbox, for whoever may look at it.
struct Here(Mailbox);

impl FromRequestParts<Shared> for Here {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Here, Problem> {
        // OK because a Peer is made from any request: its rejection is Infallible.
        let peer = Peer::from_request_parts(parts, app).await.expect("a peer");
        let proxied =
            ["x-forwarded-for", "x-real-ip", "forwarded", "via"].iter().any(|name| parts.headers.contains_key(*name));
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.or(parts.uri.host()).unwrap_or("localhost");
        match app.mailer.mailbox() {
            Some(mailbox) if peer.is_local() && !proxied && is_here(host) && is_here(app.config.host()) => {
                Ok(Here(mailbox.clone()))
            }
            _ => Err(Problem::NotFound),
        }
    }
}

/// Whether a name, with or without a port, is this machine's own.
fn is_here(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(six) => six.split(']').next().unwrap_or(six),
        None => host.split(':').next().unwrap_or(host),
    };
    let ip = if host.matches(':').count() > 1 && !host.starts_with('[') { host } else { name };
    name.eq_ignore_ascii_case("localhost") || ip.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[derive(Template)]
#[template(path = "mail/pages/mailbox.html")]
struct MailboxPage {
    page: Page,
    mails: Vec<Line>,
    count: usize,
    shown: Option<Shown>,
    part: &'static str,
    is_live: bool,
}

/// One line of the list.
struct Line {
    id: u64,
    subject: String,
    to: String,
    at: String,
    is_shown: bool,
}

/// The mail beside the list.
struct Shown {
    id: u64,
    subject: String,
    /// The few fields that one looks for first.
    fields: Vec<(&'static str, String)>,
    has_html: bool,
    text: String,
    headers: String,
    kilobytes: usize,
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    part: String,
}

/// `GET /mailbox`: all mails, and the newest of them.
async fn newest(here: Here, page: Page, headers: HeaderMap, State(app): State<Shared>) -> Result<Response, Problem> {
    let mails = here.0.all();
    if wants_json(&headers) {
        let all: Vec<serde_json::Value> = mails.iter().map(as_json).collect();
        return Ok(Json(all).into_response());
    }
    let newest = mails.last().cloned();
    show(page, &app, &mails, newest.as_ref(), "", true)
}

/// `GET /mailbox/{id}`
async fn one(
    here: Here,
    page: Page,
    headers: HeaderMap,
    State(app): State<Shared>,
    Path(id): Path<u64>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let mail = here.0.get(id).ok_or(Problem::NotFound)?;
    if wants_json(&headers) {
        return Ok(Json(as_json(&mail)).into_response());
    }
    show(page, &app, &here.0.all(), Some(&mail), &asked.part, false)
}

fn show(
    page: Page,
    app: &Shared,
    mails: &[StoredMail],
    shown: Option<&StoredMail>,
    part: &str,
    is_live: bool,
) -> Result<Response, Problem> {
    let today = date(app.clock.now().to_jiff());
    let lines = mails.iter().rev().take(LISTED).map(|mail| Line {
        id: mail.id,
        subject: MessageParser::new()
            .parse_headers(mail.raw.as_slice())
            .and_then(|m| m.subject().map(str::to_owned))
            .unwrap_or_default(),
        to: mail.envelope.to.as_str().to_owned(),
        at: clock_time(mail, &today),
        is_shown: shown.is_some_and(|shown| shown.id == mail.id),
    });
    let shown = shown.map(Shown::new);
    let has_html = shown.as_ref().is_some_and(|shown| shown.has_html);
    let part = match part {
        "text" => "text",
        "headers" => "headers",
        _ if has_html => "html",
        _ => "text",
    };
    render(&MailboxPage { page, count: mails.len(), mails: lines.collect(), shown, part, is_live })
}

fn date(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

/// The time of day, and the date where it is another day.
fn clock_time(mail: &StoredMail, today: &str) -> String {
    let at = mail.at.to_jiff();
    let time = at.strftime("%H:%M").to_string();
    if date(at) == today { time } else { format!("{} {time}", date(at)) }
}

impl Shown {
    fn new(mail: &StoredMail) -> Shown {
        let parsed = MessageParser::new().parse(mail.raw.as_slice()).unwrap_or_default();
        let raw = |name: &'static str| parsed.header_raw(name).map(|value| (name, unfolded(value)));
        let from = parsed.from().and_then(|from| from.first()).map(|from| {
            let address = from.address().unwrap_or_default();
            ("From", from.name().map_or_else(|| address.to_owned(), |name| format!("{name} <{address}>")))
        });
        let to = ("To", mail.envelope.to.as_str().to_owned());
        let back = ("Return-Path", format!("<{}>", mail.envelope.return_path));
        let fields = from.into_iter().chain([to]).chain(raw("List-Unsubscribe")).chain([back]).collect();
        let source = String::from_utf8_lossy(&mail.raw);
        let headers = source.split("\r\n\r\n").next().unwrap_or_default().to_owned();
        Shown {
            id: mail.id,
            subject: parsed.subject().unwrap_or_default().to_owned(),
            fields,
            has_html: html_of(&parsed).is_some(),
            text: text_of(&parsed),
            headers,
            kilobytes: mail.raw.len().div_ceil(1000),
        }
    }
}

fn unfolded(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The HTML part, where the mail has one of its own.
fn html_of(mail: &Message<'_>) -> Option<String> {
    let part = mail.html_part(0)?;
    let is_html =
        part.content_type().is_some_and(|kind| kind.subtype().is_some_and(|sub| sub.eq_ignore_ascii_case("html")));
    is_html.then(|| part.text_contents().unwrap_or_default().to_owned())
}

/// The text part.
fn text_of(mail: &Message<'_>) -> String {
    mail.text_part(0).and_then(|part| part.text_contents()).unwrap_or_default().replace("\r\n", "\n")
}

/// A mail for a script: everything that a person sees.
fn as_json(mail: &StoredMail) -> serde_json::Value {
    let parsed = MessageParser::new().parse(mail.raw.as_slice()).unwrap_or_default();
    serde_json::json!({
        "id": mail.id,
        "to": mail.envelope.to.as_str(),
        "return_path": mail.envelope.return_path,
        "at": mail.at.to_jiff().to_string(),
        "from": parsed.header_raw("From").map(unfolded),
        "subject": parsed.subject(),
        "text": text_of(&parsed),
        "html": html_of(&parsed),
    })
}

/// `GET /mailbox/{id}/html`: the HTML part, for its frame.
async fn html(here: Here, Path(id): Path<u64>) -> Result<Response, Problem> {
    let mail = here.0.get(id).ok_or(Problem::NotFound)?;
    let parsed = MessageParser::new().parse(mail.raw.as_slice()).unwrap_or_default();
    let html = html_of(&parsed).ok_or(Problem::NotFound)?;
    // Inside of the frame a confirmation page would be refused, so every link opens a page of its own.
    let html = html.replacen("<head>", "<head><base target=\"_blank\">", 1);
    let policy = [(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(IN_FRAME))];
    Ok((policy, Html(html)).into_response())
}

/// `GET /mailbox/{id}/source`: the mail as it went over the wire.
async fn source(here: Here, Path(id): Path<u64>) -> Result<Response, Problem> {
    let mail = here.0.get(id).ok_or(Problem::NotFound)?;
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    Ok((kind, mail.raw.as_ref().clone()).into_response())
}

/// `GET /mailbox/live`: says when there is news, so that the page loads itself again.
async fn live(here: Here, State(app): State<Shared>) -> impl IntoResponse {
    let last = |mailbox: &Mailbox| mailbox.all().last().map_or(0, |mail| mail.id);
    let seen = last(&here.0);
    let news = async move {
        while last(&here.0) == seen {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = app.stop.cancelled() => break,
            }
        }
        Ok::<Event, Infallible>(Event::default().event("end").data("news"))
    };
    Sse::new(futures_util::stream::once(news))
}

#[cfg(test)]
mod tests {
    use super::is_here;

    #[test]
    fn only_names_of_this_machine_are_here() {
        for here in ["localhost", "localhost:8080", "LOCALHOST", "127.0.0.1:8080", "127.0.0.1", "[::1]:8080", "::1"] {
            assert!(is_here(here), "{here}");
        }
        for there in ["example.org", "localhost.example.org", "10.0.0.1:8080", "0.0.0.0", "[2001:db8::1]:80", ""] {
            assert!(!is_here(there), "{there}");
        }
    }
}
