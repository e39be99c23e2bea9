//! A mail server that can be told to fail, and writes down what it really accepted. It is the judge of every story about
//! sending: Friday's own tables only say what Friday believes.
//!
//! A mail counts as accepted from the moment before its 250 is answered. Whether a client that is killed has heard that
//! answer is exactly what the stories are about.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Where in a conversation a fault happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Instead of the greeting.
    Greeting,
    /// At MAIL FROM.
    Mail,
    /// At RCPT TO.
    Rcpt,
    /// At DATA.
    Data,
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
}

/// When.
#[derive(Clone, Debug)]
pub enum When {
    /// The next so many times.
    Times(usize),
    /// For recipients that contain this text, always.
    For(&'static str),
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

#[derive(Default)]
struct Inner {
    rules: Mutex<Vec<Rule>>,
    accepted: Mutex<Vec<Accepted>>,
    delay: Mutex<Duration>,
    keep_raw: AtomicBool,
    connections: AtomicUsize,
    most_at_once: AtomicUsize,
    more: Notify,
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
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner::default());
        inner.keep_raw.store(true, Ordering::SeqCst);
        let begun = Instant::now();
        let serving = inner.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let inner = serving.clone();
                tokio::spawn(async move {
                    let open = inner.connections.fetch_add(1, Ordering::SeqCst) + 1;
                    inner.most_at_once.fetch_max(open, Ordering::SeqCst);
                    // A client that goes away in the middle is what many stories do.
                    let _ = converse(&inner, stream, begun).await;
                    inner.connections.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Sink { address, inner }
    }

    /// The setting for a client: `smtp://127.0.0.1:PORT?tls=none&connections=N`.
    pub fn url(&self, connections: usize) -> String {
        format!("smtp://{}?tls=none&connections={connections}", self.address)
    }

    /// Adds a fault. The first that fits happens.
    pub fn fail(&self, step: Step, when: When, fault: Fault) {
        self.inner.rules.lock().unwrap().push(Rule { step, fault, when });
    }

    /// Takes all faults away.
    pub fn heal(&self) {
        self.inner.rules.lock().unwrap().clear();
    }

    /// Makes every mail take so long.
    pub fn slow(&self, delay: Duration) {
        *self.inner.delay.lock().unwrap() = delay;
    }

    /// Keeps only envelopes, for many mails.
    pub fn forget_bodies(&self) {
        self.inner.keep_raw.store(false, Ordering::SeqCst);
    }

    /// Everything that was accepted, in order.
    pub fn accepted(&self) -> Vec<Accepted> {
        self.inner.accepted.lock().unwrap().clone()
    }

    /// How many mails each recipient got.
    pub fn by_recipient(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for mail in self.inner.accepted.lock().unwrap().iter() {
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
        self.inner.accepted.lock().unwrap().len()
    }

    /// Waits until so many were accepted; panics after half a minute.
    pub async fn wait_for(&self, count: usize) {
        let enough = async {
            loop {
                let more = self.inner.more.notified();
                if self.count() >= count {
                    return;
                }
                more.await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(30), enough).await.is_err() {
            panic!("only {} of {count} mails were accepted in half a minute", self.count());
        }
    }
}

impl Inner {
    fn fault(&self, step: Step, recipient: &str) -> Option<Fault> {
        let mut rules = self.rules.lock().unwrap();
        let at = rules.iter().position(|rule| {
            rule.step == step
                && match rule.when {
                    When::Times(n) => n > 0,
                    When::For(part) => recipient.contains(part),
                    When::Always => true,
                }
        })?;
        if let When::Times(n) = &mut rules[at].when {
            *n -= 1;
        }
        Some(rules[at].fault.clone())
    }

    fn accept(&self, mut mail: Accepted) {
        if !self.keep_raw.load(Ordering::SeqCst) {
            mail.raw = Vec::new();
        }
        self.accepted.lock().unwrap().push(mail);
        self.more.notify_waiters();
    }
}

/// How an answer went.
#[derive(PartialEq)]
enum Said {
    /// As it should.
    Fine,
    /// Something else was said.
    Refused,
    /// The connection is to be closed.
    Closed,
}

async fn converse(inner: &Inner, stream: TcpStream, begun: Instant) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read);
    let (mut from, mut to) = (String::new(), String::new());
    let mut said = answer(inner, Step::Greeting, "", "220 sink ESMTP", &mut write).await?;
    let mut line = Vec::new();
    while said != Said::Closed {
        line.clear();
        if lines.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        said = match text.get(..4).unwrap_or(&text).to_uppercase().as_str() {
            "EHLO" => say(&mut write, "250-sink\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES").await?,
            "MAIL" => {
                from = between(&text);
                answer(inner, Step::Mail, "", "250 2.1.0 ok", &mut write).await?
            }
            "RCPT" => {
                to = between(&text);
                answer(inner, Step::Rcpt, &to, "250 2.1.5 ok", &mut write).await?
            }
            "DATA" => match answer(inner, Step::Data, &to, "354 go on", &mut write).await? {
                Said::Fine => {
                    let raw = body(&mut lines).await?;
                    after_dot(
                        inner,
                        Accepted { from: from.clone(), to: to.clone(), raw, at: begun.elapsed() },
                        &mut write,
                    )
                    .await?
                }
                other => other,
            },
            "QUIT" => {
                say(&mut write, "221 2.0.0 bye").await?;
                Said::Closed
            }
            _ => say(&mut write, "250 2.0.0 ok").await?,
        };
    }
    Ok(())
}

async fn say(write: &mut OwnedWriteHalf, line: &str) -> std::io::Result<Said> {
    write.write_all(format!("{line}\r\n").as_bytes()).await?;
    Ok(Said::Fine)
}

/// Says what belongs here, or what a fault wants.
async fn answer(inner: &Inner, step: Step, to: &str, usual: &str, write: &mut OwnedWriteHalf) -> std::io::Result<Said> {
    match inner.fault(step, to) {
        None => say(write, usual).await,
        Some(Fault::Say(line)) => {
            say(write, line).await?;
            Ok(if line.starts_with("421") || step == Step::Greeting { Said::Closed } else { Said::Refused })
        }
        Some(Fault::Drop | Fault::Lose) => Ok(Said::Closed),
    }
}

async fn after_dot(inner: &Inner, mail: Accepted, write: &mut OwnedWriteHalf) -> std::io::Result<Said> {
    let delay = *inner.delay.lock().unwrap();
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let fault = inner.fault(Step::Dot, &mail.to);
    if matches!(fault, None | Some(Fault::Drop)) {
        inner.accept(mail);
    }
    match fault {
        None => say(write, "250 2.0.0 taken").await,
        Some(Fault::Say(line)) => {
            say(write, line).await?;
            Ok(if line.starts_with("421") { Said::Closed } else { Said::Refused })
        }
        Some(Fault::Drop | Fault::Lose) => Ok(Said::Closed),
    }
}

/// Reads up to the line with the one dot.
async fn body(lines: &mut BufReader<OwnedReadHalf>) -> std::io::Result<Vec<u8>> {
    let mut raw = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == b".\r\n" {
            return Ok(raw);
        }
        raw.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}

/// `<anna@example.org>` without its brackets.
fn between(line: &str) -> String {
    line.split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map(|(inner, _)| inner.to_owned())
        .unwrap_or_default()
}
