//! The only place that asks an untrusted host for anything.
//!
//! A feed's address comes from staff, an article's from a feed, a redirect's from whoever runs the host: none of them may
//! make Friday speak to the newsroom's own network, to the machine itself or to a cloud's metadata service. A name is
//! resolved by our own resolver, which gives the connection only public addresses, so what was checked is what is
//! connected to, whatever the name says a moment later; an address written as a number is checked before the first request
//! and at every redirect. Time, size and redirects are bounded; the size is counted after decompression, as it streams.

use std::error::Error as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{
    ACCEPT, CONTENT_TYPE, ETAG, HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, RETRY_AFTER,
};
use reqwest::{Method, Response, StatusCode, Url, redirect};

use super::charset;
use crate::clock::Moment;

/// How long one answer may take, from the first name lookup to the last byte.
const DEADLINE: Duration = Duration::from_secs(20);
/// How long a host may take to be found and to accept.
const CONNECT: Duration = Duration::from_secs(8);
/// The largest answer.
pub const LARGEST: usize = 10 << 20;
/// How many redirects are followed.
const REDIRECTS: usize = 5;

/// What a feed reader likes best.
pub const FEEDS: &str = "application/atom+xml, application/rss+xml, application/feed+json, application/xml;q=0.9, text/xml;q=0.9, */*;q=0.5";
/// What a reader of pages likes best.
pub const PAGES: &str = "text/html, application/xhtml+xml, */*;q=0.5";

/// Why nothing came, in one sentence for staff.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Not an address that is fetched
    #[error("{0}")]
    Address(&'static str),
    /// It points into a network that is nobody's business
    #[error("The address leads to this machine or into a private network, which Friday does not read.")]
    Private,
    /// The name is not known
    #[error("There is no host named {0}.")]
    NoHost(String),
    /// Nobody answers
    #[error("The host {0} cannot be reached.")]
    Unreachable(String),
    /// TLS
    #[error("The host {0} has no certificate that can be trusted.")]
    Certificate(String),
    /// Too slow
    #[error("The host took longer than {} seconds to answer.", DEADLINE.as_secs())]
    TooSlow,
    /// Too large
    #[error("The answer is larger than {} MB.", LARGEST >> 20)]
    TooLarge,
    /// Too many redirects
    #[error("The address leads from one to the next without end.")]
    Redirects,
    /// The address is gone for good
    #[error("The host says that this address is gone for good (410).")]
    Gone,
    /// An error answer
    #[error("The host answers with an error, {status}.")]
    Status {
        /// Status code and its meaning
        status: StatusCode,
        /// When the host wants to be asked again
        again: Option<Duration>,
    },
    /// The answer broke off or was no HTTP
    #[error("The answer broke off or could not be read.")]
    Broken,
}

impl FetchError {
    /// How long the host asks to be left alone.
    pub fn again(&self) -> Option<Duration> {
        match self {
            FetchError::Status { again, .. } => *again,
            _ => None,
        }
    }
}

/// An answer.
#[derive(Debug)]
pub enum Answer {
    /// The same as last time
    NotModified,
    /// Something
    Fresh(Fresh),
}

/// What came.
#[derive(Debug)]
pub struct Fresh {
    /// Where it came from in the end
    pub url: Url,
    /// The charset that the server named
    pub charset: Option<String>,
    /// To be sent back next time
    pub validators: Validators,
    /// The bytes, decompressed
    pub bytes: Vec<u8>,
}

/// What a server gave to ask "has it changed?" with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// `ETag`
    pub etag: Option<String>,
    /// `Last-Modified`, as it was written
    pub last_modified: Option<String>,
}

/// Which hosts may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// Those of the public internet
    Public,
    /// Any: `FRIDAY_FETCH_PRIVATE`, for a feed on the newsroom's own network, the demo and tests
    Any,
    /// Tests only: the public internet and this one
    #[cfg(test)]
    And(IpAddr),
}

impl Guard {
    fn allows(self, ip: IpAddr) -> bool {
        match self {
            Guard::Any => true,
            Guard::Public => is_public(ip),
            #[cfg(test)]
            Guard::And(other) => ip == other || is_public(ip),
        }
    }

    /// What can be said of an address before anyone is asked.
    fn check(self, url: &Url) -> Result<(), FetchError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(FetchError::Address("Only addresses that begin with https:// or http:// can be read."));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(FetchError::Address(
                "An address with a password in it cannot be kept safely, so it is not read.",
            ));
        }
        let Some(host) = url.host_str() else {
            return Err(FetchError::Address("The address names no host."));
        };
        // A name is checked when it is resolved; every way to write a number was put into one form by the parser.
        let Ok(ip) = host.trim_matches(['[', ']']).parse::<IpAddr>() else {
            return Ok(());
        };
        if self.allows(ip) { Ok(()) } else { Err(FetchError::Private) }
    }
}

/// Whether an address belongs to a host of the public internet, by IANA's registries of special-purpose addresses.
/// An IPv6 address that carries an IPv4 one (mapped, translated, 6to4, Teredo) is as public as what it carries.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19));
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, c, d, _, _, g, h] = ip.segments();
    let carried = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match (a, b, c, d) {
        // Mapped (::ffff:0:0/96) and the old compatible form, which covers :: and ::1 too
        (0, 0, 0, 0) => ip.to_ipv4_mapped().is_some_and(is_public_v4),
        // Translation (NAT64) with the well-known prefix; the local-use one is private
        (0x64, 0xff9b, 0, 0) => is_public_v4(carried(g, h)),
        // 6to4
        (0x2002, high, low, _) => is_public_v4(carried(high, low)),
        // Teredo, benchmarks, ORCHID, documentation: all of 2001::/23 is special, and 2001:db8
        (0x2001, 0..=0x1ff | 0xdb8, ..) => false,
        (0x3fff, 0..=0xfff, ..) => false,
        // Everything else that is public today is 2000::/3: not ULA, link-local, site-local, multicast, discard, SRv6
        _ => a & 0xe000 == 0x2000,
    }
}

/// Gives the connection only addresses that the guard allows.
struct Resolver(Guard);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.0;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0))
                .await
                .map_err(|_| FetchError::NoHost(name.as_str().to_owned()))?
                .collect();
            if found.is_empty() {
                return Err(FetchError::NoHost(name.as_str().to_owned()).into());
            }
            let allowed: Vec<SocketAddr> = found.into_iter().filter(|a| guard.allows(a.ip())).collect();
            if allowed.is_empty() {
                return Err(FetchError::Private.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Follows redirects as long as each may be asked.
fn redirects(guard: Guard) -> redirect::Policy {
    redirect::Policy::custom(move |attempt| {
        if attempt.previous().len() > REDIRECTS {
            return attempt.error(FetchError::Redirects);
        }
        let downgrade =
            attempt.previous().last().is_some_and(|p| p.scheme() == "https") && attempt.url().scheme() == "http";
        if downgrade {
            return attempt.error(FetchError::Address(
                "The address leads from https to plain http, where anybody on the way could change the text.",
            ));
        }
        match guard.check(attempt.url()) {
            Ok(()) => attempt.follow(),
            Err(error) => attempt.error(error),
        }
    })
}

/// Asks untrusted hosts.
#[derive(Debug, Clone)]
pub struct Fetcher {
    client: reqwest::Client,
    guard: Guard,
}

impl Fetcher {
    /// One that asks hosts of the public internet, or any host at all where `private` is set.
    pub fn new(private: bool) -> Result<Fetcher, reqwest::Error> {
        Fetcher::guarded(if private { Guard::Any } else { Guard::Public })
    }

    fn guarded(guard: Guard) -> Result<Fetcher, reqwest::Error> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("Friday/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Resolver(guard))
            .redirect(redirects(guard))
            // A proxy of the environment would do the connecting, and so the checking, for us.
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT)
            .timeout(DEADLINE)
            .build()?;
        Ok(Fetcher { client, guard })
    }

    /// Whether an address may be asked at all, as far as that can be said without asking.
    pub fn check(&self, url: &Url) -> Result<(), FetchError> {
        self.guard.check(url)
    }

    /// GET. `now` is for a `Retry-After` that names a date.
    pub async fn get(
        &self,
        url: &Url,
        accept: &'static str,
        known: &Validators,
        now: Moment,
    ) -> Result<Answer, FetchError> {
        self.guard.check(url)?;
        let asking = async {
            let mut request = self.client.get(url.clone()).header(ACCEPT, accept);
            if let Some(etag) = &known.etag {
                request = request.header(IF_NONE_MATCH, etag);
            }
            if let Some(date) = &known.last_modified {
                request = request.header(IF_MODIFIED_SINCE, date);
            }
            let response = request.send().await.map_err(|e| why(&e, url))?;
            match response.status() {
                StatusCode::NOT_MODIFIED => Ok(Answer::NotModified),
                StatusCode::GONE => Err(FetchError::Gone),
                status if status.is_success() => body(response).await.map(Answer::Fresh),
                status => Err(FetchError::Status { status, again: retry_after(response.headers(), now) }),
            }
        };
        // The client's own limit begins anew with each redirect.
        tokio::time::timeout(DEADLINE, asking).await.unwrap_or(Err(FetchError::TooSlow))
    }
}

async fn body(mut response: Response) -> Result<Fresh, FetchError> {
    let url = response.url().clone();
    let text =
        |name| response.headers().get(name).and_then(|v| v.to_str().ok()).filter(|v| v.len() < 1000).map(str::to_owned);
    let validators = Validators { etag: text(ETAG), last_modified: text(LAST_MODIFIED) };
    let charset = text(CONTENT_TYPE).and_then(|t| charset::of_content_type(&t).map(str::to_owned));
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| why(&e, &url))? {
        if bytes.len() + chunk.len() > LARGEST {
            return Err(FetchError::TooLarge);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Fresh { url, charset, validators, bytes })
}

impl Fetcher {
    /// Whether an address answers, without reading what. Hosts that do not know HEAD, or answer it otherwise than GET, are
    /// asked again as a reader's browser would ask.
    pub async fn try_link(&self, url: &Url, patience: Duration) -> Result<StatusCode, FetchError> {
        self.guard.check(url)?;
        let asking = async {
            for method in [Method::HEAD, Method::GET] {
                let last = method == Method::GET;
                let request = self.client.request(method, url.clone()).header(ACCEPT, PAGES);
                match request.send().await.map_err(|e| why(&e, url)).map(|answer| answer.status()) {
                    Ok(status) if status.is_success() || last => return Ok(status),
                    Err(error) if last || error != FetchError::Broken => return Err(error),
                    _ => {}
                }
            }
            Err(FetchError::Broken)
        };
        tokio::time::timeout(patience, asking).await.unwrap_or(Err(FetchError::TooSlow))
    }
}

/// Seconds, or a date.
fn retry_after(headers: &HeaderMap, now: Moment) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Some(Moment::from(at).since(now))
}

/// Our own sentence for the client's error. The error itself is not kept: it may quote the whole address.
fn why(error: &reqwest::Error, url: &Url) -> FetchError {
    let host = || error.url().unwrap_or(url).host_str().unwrap_or_default().to_owned();
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(ours) = inner.downcast_ref::<FetchError>() {
            return ours.clone();
        }
        if inner.downcast_ref::<rustls::Error>().is_some() {
            return FetchError::Certificate(host());
        }
        cause = inner.source().or_else(|| {
            // An io::Error holds what caused it without calling it its source.
            inner
                .downcast_ref::<std::io::Error>()
                .and_then(|e| e.get_ref())
                .map(|e| e as &(dyn std::error::Error + 'static))
        });
    }
    if error.is_timeout() {
        FetchError::TooSlow
    } else if error.is_connect() {
        FetchError::Unreachable(host())
    } else {
        FetchError::Broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::http::HeaderMap as Headers;
    use axum::response::{IntoResponse, Redirect};
    use axum::routing::get;

    const NOW: Moment = Moment::from_millis(1_795_000_000_000);

    async fn serve(router: Router) -> Url {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Url::parse(&format!("http://127.0.0.1:{port}/")).unwrap()
    }

    async fn ask(fetcher: &Fetcher, url: &Url) -> Result<Fresh, FetchError> {
        match fetcher.get(url, FEEDS, &Validators::default(), NOW).await? {
            Answer::Fresh(fresh) => Ok(fresh),
            Answer::NotModified => Err(FetchError::Broken),
        }
    }

    #[test]
    fn only_hosts_of_the_public_internet_are_public() {
        for ip in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.8.8.8",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::7f00:1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.32.0.1",
            "198.20.0.1",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::1",
        ] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[tokio::test]
    async fn a_private_address_is_not_asked_however_it_is_written() {
        let fetcher = Fetcher::new(false).unwrap();
        let port = serve(Router::new().route("/", get(|| async { "secret" }))).await.port().unwrap();
        for host in [
            "127.0.0.1",
            "localhost",
            "0x7f.1",
            "2130706433",
            "0177.0.0.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "0",
        ] {
            let url = Url::parse(&format!("http://{host}:{port}/")).unwrap();
            assert_eq!(ask(&fetcher, &url).await.unwrap_err(), FetchError::Private, "{host}");
        }
        for url in ["ftp://a.example/", "file:///etc/passwd", "http://user:pass@a.example/"] {
            assert!(matches!(ask(&fetcher, &Url::parse(url).unwrap()).await, Err(FetchError::Address(_))), "{url}");
        }
    }

    #[tokio::test]
    async fn a_redirect_is_checked_like_the_first_address() {
        let inside = serve(Router::new().route("/", get(|| async { "secret" }))).await.port().unwrap();
        let by_name = format!("http://localhost:{inside}/");
        let other = format!("http://127.0.0.2:{inside}/");
        let routes = Router::new()
            .route("/name", get(|| async move { Redirect::temporary(&by_name) }))
            .route("/number", get(|| async move { Redirect::temporary(&other) }))
            .route("/file", get(|| async { Redirect::temporary("file:///etc/passwd") }))
            .route("/loop", get(|| async { Redirect::temporary("/loop") }))
            .route("/once", get(|| async { Redirect::permanent("/here") }))
            .route("/here", get(|| async { "here" }));
        let url = serve(routes).await;
        // This one host is allowed; the machine's other names for itself are not.
        let fetcher = Fetcher::guarded(Guard::And("127.0.0.1".parse().unwrap())).unwrap();
        assert_eq!(ask(&fetcher, &url.join("number").unwrap()).await.unwrap_err(), FetchError::Private);
        assert!(ask(&fetcher, &url.join("file").unwrap()).await.is_err());
        assert_eq!(ask(&fetcher, &url.join("loop").unwrap()).await.unwrap_err(), FetchError::Redirects);
        let fresh = ask(&fetcher, &url.join("once").unwrap()).await.unwrap();
        assert_eq!((fresh.url.path(), fresh.bytes.as_slice()), ("/here", &b"here"[..]));
        let other = Fetcher::guarded(Guard::And("127.0.0.3".parse().unwrap())).unwrap();
        let named = Url::parse(&format!("http://localhost:{inside}/")).unwrap();
        assert_eq!(ask(&other, &named).await.unwrap_err(), FetchError::Private);
    }

    #[tokio::test]
    async fn an_answer_is_as_large_as_it_becomes() {
        // 64 MB that travel as 64 kB
        let bomb = Router::new()
            .route("/bomb", get(|| async { vec![0; 64 << 20] }))
            .layer(tower_http::compression::CompressionLayer::new());
        let routes = bomb
            .route("/large", get(|| async { vec![b'x'; LARGEST + 1] }))
            .route("/just", get(|| async { vec![b'x'; LARGEST] }));
        let url = serve(routes).await;
        let fetcher = Fetcher::new(true).unwrap();
        assert_eq!(ask(&fetcher, &url.join("bomb").unwrap()).await.unwrap_err(), FetchError::TooLarge);
        assert_eq!(ask(&fetcher, &url.join("large").unwrap()).await.unwrap_err(), FetchError::TooLarge);
        assert_eq!(ask(&fetcher, &url.join("just").unwrap()).await.unwrap().bytes.len(), LARGEST);
    }

    #[tokio::test]
    async fn a_server_is_asked_whether_anything_changed_and_believed() {
        let routes = Router::new()
            .route(
                "/feed",
                get(|headers: Headers| async move {
                    if headers.get("if-none-match").is_some_and(|v| v == "\"1\"")
                        && headers.contains_key("if-modified-since")
                    {
                        return StatusCode::NOT_MODIFIED.into_response();
                    }
                    (
                        [
                            ("etag", "\"1\""),
                            ("last-modified", "Fri, 20 Nov 2026 08:00:00 GMT"),
                            ("content-type", "text/xml; charset=koi8-r"),
                        ],
                        "x",
                    )
                        .into_response()
                }),
            )
            .route("/gone", get(|| async { StatusCode::GONE }))
            .route("/busy", get(|| async { (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "120")]) }))
            .route(
                "/date",
                get(|| async { (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "Wed, 18 Nov 2026 13:06:40 GMT")]) }),
            );
        let url = serve(routes).await;
        let fetcher = Fetcher::new(true).unwrap();
        let at = |path: &str| url.join(path).unwrap();
        let fresh = ask(&fetcher, &at("feed")).await.unwrap();
        assert_eq!(fresh.charset.as_deref(), Some("koi8-r"));
        let again = fetcher.get(&at("feed"), FEEDS, &fresh.validators, NOW).await.unwrap();
        assert!(matches!(again, Answer::NotModified));
        assert_eq!(ask(&fetcher, &at("gone")).await.unwrap_err(), FetchError::Gone);
        let busy = ask(&fetcher, &at("busy")).await.unwrap_err();
        assert_eq!(busy.again(), Some(Duration::from_secs(120)));
        assert_eq!(busy.to_string(), "The host answers with an error, 503 Service Unavailable.");
        let wait = Moment::from_millis(1_795_007_200_000).since(NOW);
        assert_eq!(ask(&fetcher, &at("date")).await.unwrap_err().again(), Some(wait));
    }

    #[tokio::test]
    async fn what_went_wrong_is_said_without_the_address() {
        let fetcher = Fetcher::new(true).unwrap();
        let refused = ask(&fetcher, &Url::parse("http://127.0.0.1:9/secret-path").unwrap()).await.unwrap_err();
        assert_eq!(refused.to_string(), "The host 127.0.0.1 cannot be reached.");
        let nobody = ask(&fetcher, &Url::parse("http://nobody.invalid/").unwrap()).await.unwrap_err();
        assert_eq!(nobody.to_string(), "There is no host named nobody.invalid.");
    }
}
