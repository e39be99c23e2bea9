//! A mail server that can be told to fail, and writes down what it really accepted. It is the judge of every story about
//! sending: Friday's own tables only say what Friday believes.
//!
//! A mail counts as accepted from the moment before its 250 is answered. Whether a client that is killed has heard that
//! answer is exactly what the stories are about.
//!
//! It offers PIPELINING, as nearly every server does, and is strict about the order of commands: what a client says at the
//! wrong place is refused and counted ([`Sink::nonsense`]).

mod talk;
pub mod tls;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// Where in a conversation a fault happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Instead of the greeting.
    Greeting,
    /// At EHLO.
    Hello,
    /// At AUTH.
    Auth,
    /// At MAIL FROM.
    Mail,
    /// At RCPT TO.
    Rcpt,
    /// At DATA.
    Data,
    /// In the middle of the text.
    Text,
    /// After the final dot.
    Dot,
}

/// What happens there.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This line is answered, such as `550 5.1.1 no such user`. After 421 the connection is closed.
    Say(&'static str),
    /// The connection is closed without an answer. After the dot the mail **is** accepted first.
    Drop,
    /// The connection is closed without an answer and nothing was accepted, even after the dot.
    Lose,
    /// As [`Fault::Drop`], but the connection is reset (RST): the other side is told nothing, not even by TLS.
    Reset,
    /// As [`Fault::Drop`], but the connection is left open, for hours.
    Silence,
    /// The usual answer, with a pause before each of its octets.
    Drip(Duration),
}

/// How a server speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tls {
    /// From the first octet.
    Implicit,
    /// After STARTTLS.
    Offered,
    /// After STARTTLS it says something that is not TLS.
    Broken,
}

/// When.
#[derive(Clone, Debug)]
pub enum When {
    /// The next so many times.
    Times(usize),
    /// For recipients that contain this text, always.
    For(&'static str),
    /// Always, once so many mails were accepted.
    After(usize),
    /// Always.
    Always,
}

struct Rule {
    step: Step,
    fault: Fault,
    when: When,
}

/// A mail that was accepted.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// The return path.
    pub from: String,
    /// The recipient.
    pub to: String,
    /// Header and body, dots unstuffed.
    pub raw: Vec<u8>,
    /// When, counted from the sink's start.
    pub at: Duration,
}

/// What was accepted and asked, of one server or of several beside each other.
#[derive(Default)]
struct Book {
    accepted: Mutex<Vec<Accepted>>,
    asked: Mutex<BTreeMap<String, usize>>,
    nonsense: AtomicUsize,
    more: Notify,
}

#[derive(Default)]
struct Inner {
    book: Arc<Book>,
    /// PIPELINING is not offered.
    one_by_one: AtomicBool,
    tls: Option<Tls>,
    /// The only name and password that are let in, where there are any.
    login: Option<(&'static str, &'static str)>,
    rules: Mutex<Vec<Rule>>,
    delay: Mutex<Duration>,
    /// Only envelopes are kept.
    forgetful: AtomicBool,
    /// Every connection is reset, and each that comes.
    dead: watch::Sender<bool>,
    /// How many connections there were, how many of its own mails were accepted, and how many connections are open.
    met: AtomicUsize,
    took: AtomicUsize,
    open: AtomicUsize,
    fewer: Notify,
}

/// The server. It lives as long as the test's runtime.
#[derive(Clone)]
pub struct Sink {
    address: SocketAddr,
    inner: Arc<Inner>,
}

impl Sink {
    /// Starts one on a free port of loopback.
    pub async fn start() -> Sink {
        Sink::serve(Inner::default()).await
    }

    /// One that offers STARTTLS, and after its 220 says something that is not TLS.
    pub async fn with_broken_tls() -> Sink {
        Sink::serve(Inner { tls: Some(Tls::Broken), ..Inner::default() }).await
    }

    /// One with a certificate ([`tls::roots`] vouch for it): from the first octet, or after STARTTLS.
    pub async fn encrypted(implicit: bool) -> Sink {
        let tls = Some(if implicit { Tls::Implicit } else { Tls::Offered });
        Sink::serve(Inner { tls, ..Inner::default() }).await
    }

    /// A second server that writes into the same book: what is asked of the one is asked of both.
    pub async fn beside(&self) -> Sink {
        Sink::serve(Inner { book: self.inner.book.clone(), ..Inner::default() }).await
    }

    /// One that lets nobody send who does not sign in with this name and password.
    pub async fn behind(name: &'static str, password: &'static str) -> Sink {
        Sink::serve(Inner { login: Some((name, password)), ..Inner::default() }).await
    }

    async fn serve(inner: Inner) -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(inner);
        let begun = Instant::now();
        let serving = inner.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serving.open.fetch_add(1, Ordering::SeqCst);
                serving.met.fetch_add(1, Ordering::SeqCst);
                let inner = serving.clone();
                tokio::spawn(async move {
                    // An orderly end is said before; whatever else ends it is a reset.
                    stream.set_zero_linger().unwrap();
                    let mut death = inner.dead.subscribe();
                    tokio::select! {
                        // Dead, it says nothing.
                        biased;
                        _ = death.wait_for(|dead| *dead) => {}
                        // A client that goes away in the middle is what many stories do.
                        _ = talk::converse(&inner, stream, begun) => {}
                    }
                    inner.open.fetch_sub(1, Ordering::SeqCst);
                    inner.fewer.notify_waiters();
                });
            }
        });
        Sink { address, inner }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The setting for a client: `smtp://127.0.0.1:PORT?tls=none&connections=N`.
    pub fn url(&self, connections: usize) -> String {
        format!("smtp://{}?tls=none&connections={connections}", self.address)
    }

    /// The setting for a client that signs in.
    pub fn url_as(&self, name: &str, password: &str) -> String {
        format!("smtp://{name}:{password}@{}?tls=none&connections=2", self.address)
    }

    /// The setting for a client that insists on encryption: `smtp`, by STARTTLS, or `smtps`, from the first octet.
    pub fn url_encrypted(&self, scheme: &str) -> String {
        format!("{scheme}://{}?connections=2", self.address)
    }

    /// Offers PIPELINING to the connections to come, or does not.
    pub fn pipelining(&self, offered: bool) {
        self.inner.one_by_one.store(!offered, Ordering::SeqCst);
    }

    /// Adds a fault. The first that fits happens.
    pub fn fail(&self, step: Step, when: When, fault: Fault) {
        self.inner.rules.lock().unwrap().push(Rule { step, fault, when });
    }

    /// Takes all faults away.
    pub fn heal(&self) {
        self.inner.rules.lock().unwrap().clear();
    }

    /// Ends it in the middle of whatever it does: every connection is reset, and each that comes.
    pub fn die(&self) {
        self.inner.dead.send_replace(true);
    }

    /// It is back.
    pub fn revive(&self) {
        self.inner.dead.send_replace(false);
    }

    /// How many connections there have been, whatever became of them.
    pub fn met(&self) -> usize {
        self.inner.met.load(Ordering::SeqCst)
    }

    /// How many mails it accepted itself, of all that stand in its book.
    pub fn took(&self) -> usize {
        self.inner.took.load(Ordering::SeqCst)
    }

    /// Makes every mail take so long.
    pub fn slow(&self, delay: Duration) {
        *self.inner.delay.lock().unwrap() = delay;
    }

    /// Keeps only envelopes, for many mails.
    pub fn forget_bodies(&self) {
        self.inner.forgetful.store(true, Ordering::SeqCst);
    }

    /// Everything that was accepted, in order.
    pub fn accepted(&self) -> Vec<Accepted> {
        self.inner.book.accepted.lock().unwrap().clone()
    }

    /// How many mails each recipient got.
    pub fn by_recipient(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for mail in self.inner.book.accepted.lock().unwrap().iter() {
            *counts.entry(mail.to.clone()).or_default() += 1;
        }
        counts
    }

    /// How many mails beyond the first somebody got.
    pub fn doubled(&self) -> usize {
        self.by_recipient().values().map(|n| n - 1).sum()
    }

    /// How many were accepted.
    pub fn count(&self) -> usize {
        self.inner.book.accepted.lock().unwrap().len()
    }

    /// How often each recipient was named in a RCPT, whatever was answered.
    pub fn asked(&self) -> BTreeMap<String, usize> {
        self.inner.book.asked.lock().unwrap().clone()
    }

    /// How often something was said that belongs nowhere, or not there.
    pub fn nonsense(&self) -> usize {
        self.inner.book.nonsense.load(Ordering::SeqCst)
    }

    /// Waits until so many were accepted; panics after two minutes, which is long for a busy machine.
    pub async fn wait_for(&self, count: usize) {
        let enough = until(&self.inner.book.more, || self.count() >= count);
        if tokio::time::timeout(Duration::from_secs(120), enough).await.is_err() {
            panic!("only {} of {count} mails were accepted in two minutes", self.count());
        }
    }

    /// Waits until nobody is connected: everything that a killed client had handed over is then accepted or dropped.
    pub async fn wait_until_quiet(&self) {
        let quiet = until(&self.inner.fewer, || self.inner.open.load(Ordering::SeqCst) == 0);
        assert!(tokio::time::timeout(Duration::from_secs(30), quiet).await.is_ok(), "somebody is still connected");
    }
}

async fn until(changed: &Notify, enough: impl Fn() -> bool) {
    loop {
        let change = changed.notified();
        if enough() {
            return;
        }
        change.await;
    }
}

impl Inner {
    /// What EHLO is answered with.
    fn offers(&self, encrypted: bool) -> String {
        let mut lines = vec!["sink"];
        lines.extend((!self.one_by_one.load(Ordering::SeqCst)).then_some("PIPELINING"));
        lines.extend((!encrypted && self.tls.is_some()).then_some("STARTTLS"));
        lines.extend(self.login.map(|_| "AUTH PLAIN"));
        lines.push("8BITMIME");
        let lines: String = lines.iter().map(|line| format!("250-{line}\r\n")).collect();
        lines + "250 ENHANCEDSTATUSCODES"
    }

    fn fault(&self, step: Step, recipient: &str) -> Option<Fault> {
        let accepted = self.book.accepted.lock().unwrap().len();
        let mut rules = self.rules.lock().unwrap();
        let at = rules.iter().position(|rule| {
            rule.step == step
                && match rule.when {
                    When::Times(n) => n > 0,
                    When::For(part) => recipient.contains(part),
                    When::After(n) => accepted >= n,
                    When::Always => true,
                }
        })?;
        if let When::Times(n) = &mut rules[at].when {
            *n -= 1;
        }
        Some(rules[at].fault.clone())
    }

    fn accept(&self, mut mail: Accepted) {
        // What staff are told goes the same way, and is no reader's.
        if mail.to.ends_with("@staff.example") {
            return;
        }
        if self.forgetful.load(Ordering::SeqCst) {
            mail.raw = Vec::new();
        }
        self.took.fetch_add(1, Ordering::SeqCst);
        self.book.accepted.lock().unwrap().push(mail);
        self.book.more.notify_waiters();
    }
}
