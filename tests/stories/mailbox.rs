//! The development mailbox shows every mail, and only to this machine.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode, header};
use friday::address::Address;
use friday::app::{self, App, Shared};
use friday::clock::Clock;
use friday::config::Config;
use friday::mail::Envelope;
use tower::ServiceExt;

const CONFIRM: &str = "From: =?utf-8?q?The_Caf=C3=A9?= <news@example.org>\r\nTo: <anna@example.org>\r\n\
    Subject: =?utf-8?b?0J/QvtC00YLQstC10YDQtNC40YLQtQ==?=\r\nMIME-Version: 1.0\r\n\
    List-Unsubscribe: <https://example.org/u/1>,\r\n <mailto:u@example.org>\r\n\
    Content-Type: multipart/alternative; boundary=\"b\"\r\n\r\n\
    --b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
    Caf=C3=A9 <script>\r\n\
    --b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n\
    <html><head><title>x</title></head><body><a href=\"http://localhost/confirm/abc\">Confirm</a></body></html>\r\n\
    --b--\r\n";

struct Desk {
    app: Shared,
    _folder: tempfile::TempDir,
}

impl Desk {
    async fn new(more: &[(&str, &str)]) -> Desk {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let mut settings = BTreeMap::from([
            ("FRIDAY_DATABASE_URL".to_owned(), format!("sqlite:{}", path("friday.db"))),
            ("FRIDAY_KEY_FILE".to_owned(), path("friday.key")),
        ]);
        settings.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let config = Config::from_sources(settings, None).unwrap();
        let app = App::open(config, Clock::system()).await.unwrap();
        Desk { app, _folder: folder }
    }

    fn arrive(&self, mail: &str) {
        let to = Address::parse("anna@example.org").unwrap();
        let envelope = Envelope { return_path: "bounce+x@example.org".to_owned(), to };
        self.app.mailer.mailbox().unwrap().take(&envelope, mail.as_bytes());
    }

    async fn ask(&self, path: &str, headers: &[(&str, &str)], from: &str) -> (StatusCode, String, String) {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        let from: SocketAddr = from.parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(from));
        let answer = app::routes(&self.app).oneshot(request).await.unwrap();
        let policy = answer.headers().get(header::CONTENT_SECURITY_POLICY).unwrap().to_str().unwrap().to_owned();
        let status = answer.status();
        let body = axum::body::to_bytes(answer.into_body(), 1_000_000).await.unwrap();
        (status, policy, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let (status, _, body) = self.ask(path, &[("host", "localhost:8080")], "127.0.0.1:5000").await;
        (status, body)
    }
}

#[tokio::test]
async fn a_mail_is_shown_decoded_in_all_its_parts() {
    let desk = Desk::new(&[]).await;
    assert!(desk.get("/mailbox").await.1.contains("No mail yet"));
    desk.arrive(CONFIRM);
    desk.arrive("From: <a@example.org>\r\nSubject: Second\r\nContent-Type: text/plain\r\n\r\nplain words\r\n");
    let (status, list) = desk.get("/mailbox").await;
    assert_eq!(status, StatusCode::OK);
    assert!(list.contains("Подтвердите") && list.contains("Second") && list.contains("anna@example.org"));
    assert!(list.contains("plain words"), "the newest is shown, as text where it has no HTML");
    let (_, html) = desk.get("/mailbox/1").await;
    assert!(html.contains("src=\"/mailbox/1/html\"") && html.contains("The Café &#60;news@example.org&#62;"));
    assert!(html.contains("mailto:u@example.org") && html.contains("bounce+x@example.org"));
    let (_, text) = desk.get("/mailbox/1?part=text").await;
    assert!(text.contains("Café &#60;script&#62;"));
    let (_, policy, frame) = desk.ask("/mailbox/1/html", &[], "127.0.0.1:1").await;
    assert!(frame.contains("<base target=\"_blank\">") && frame.contains("/confirm/abc"));
    assert!(policy.contains("sandbox") && policy.contains("default-src 'none'") && !policy.contains("allow-scripts"));
    assert_eq!(desk.get("/mailbox/1/source").await.1, CONFIRM);
    assert_eq!(desk.get("/mailbox/9").await.0, StatusCode::NOT_FOUND);
    let (_, _, json) = desk.ask("/mailbox", &[("accept", "application/json")], "127.0.0.1:1").await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["subject"], "Подтвердите");
    assert_eq!(json[1]["html"], serde_json::Value::Null);
}

#[tokio::test]
async fn nobody_elsewhere_is_told_that_there_is_a_mailbox() {
    let desk = Desk::new(&[]).await;
    desk.arrive(CONFIRM);
    let strangers: [(&[(&str, &str)], &str); 5] = [
        (&[], "192.0.2.1:5000"),
        (&[("host", "evil.example")], "127.0.0.1:5000"),
        (&[("x-forwarded-for", "198.51.100.7")], "127.0.0.1:5000"),
        (&[("forwarded", "for=198.51.100.7")], "127.0.0.1:5000"),
        (&[("via", "1.1 proxy")], "127.0.0.1:5000"),
    ];
    for path in ["/mailbox", "/mailbox/1", "/mailbox/1/html", "/mailbox/1/source", "/mailbox/live"] {
        for (headers, from) in strangers {
            let (status, _, body) = desk.ask(path, headers, from).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{path} {headers:?} {from}");
            assert!(!body.contains("anna"));
        }
    }
    let public = Desk::new(&[("FRIDAY_BASE_URL", "https://friday.example.org")]).await;
    assert_eq!(public.get("/mailbox").await.0, StatusCode::NOT_FOUND, "a site that the world reads");
    let posting = Desk::new(&[("FRIDAY_SMTP_URL", "smtp://localhost:2525?tls=none")]).await;
    assert_eq!(posting.get("/mailbox").await.0, StatusCode::NOT_FOUND, "mails go to a mail server");
}
