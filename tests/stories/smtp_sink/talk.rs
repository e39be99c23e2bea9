//! One conversation. Commands are read one after another whatever packets they came in: several in one, or behind the
//! final dot of the mail before.

use super::{Accepted, Fault, Inner, Step};
use data_encoding::BASE64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::Instant;

/// How long a connection that the server ends is still read from.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The first octet of a conversation in TLS.
const TLS_HANDSHAKE: u8 = 22;

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

/// How far a mail has come.
#[derive(Default)]
struct Talk {
    signed_in: bool,
    /// After a MAIL that was taken.
    from: Option<String>,
    /// After a RCPT that was taken.
    to: Option<String>,
}

pub(super) async fn converse(inner: &Inner, stream: TcpStream, begun: Instant) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read);
    let mut talk = Talk::default();
    let mut said = answer(inner, Step::Greeting, "", "220 sink ESMTP", &mut write).await?;
    if said == Said::Refused {
        said = Said::Closed;
    }
    let mut line = Vec::new();
    while said != Said::Closed {
        line.clear();
        if lines.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        // A client that begins with TLS where nobody speaks it is wrong here, but says nothing wrong in SMTP.
        if line[0] == TLS_HANDSHAKE {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        said = talk.command(inner, &text, &mut lines, &mut write, begun).await?;
    }
    // Closed with something unread, the socket would be reset, and an answer that the client has not yet read be lost. A
    // server that means to say 421 does not do that.
    write.shutdown().await?;
    let _ = tokio::time::timeout(LAST_WORDS, tokio::io::copy_buf(&mut lines, &mut tokio::io::sink())).await;
    Ok(())
}

impl Talk {
    async fn command(
        &mut self,
        inner: &Inner,
        text: &str,
        lines: &mut BufReader<OwnedReadHalf>,
        write: &mut OwnedWriteHalf,
        begun: Instant,
    ) -> std::io::Result<Said> {
        match text.get(..4).unwrap_or(text).to_uppercase().as_str() {
            "EHLO" => answer(inner, Step::Hello, "", &inner.offers(), write).await,
            "HELO" => say(write, "250 sink").await,
            "STAR" if inner.broken_tls => {
                say(write, "220 2.0.0 go on").await?;
                say(write, "this is not the beginning of TLS").await?;
                Ok(Said::Closed)
            }
            "AUTH" if inner.login.is_some() => self.sign_in(inner, text, write).await,
            "MAIL" => self.mail(inner, text, write).await,
            "RCPT" => self.rcpt(inner, text, write).await,
            "DATA" => self.data(inner, lines, write, begun).await,
            "RSET" => {
                (self.from, self.to) = (None, None);
                say(write, "250 2.0.0 ok").await
            }
            "NOOP" => say(write, "250 2.0.0 ok").await,
            "QUIT" => {
                say(write, "221 2.0.0 bye").await?;
                Ok(Said::Closed)
            }
            _ => {
                inner.nonsense.fetch_add(1, Ordering::SeqCst);
                say(write, "500 5.5.2 what?").await
            }
        }
    }

    async fn sign_in(&mut self, inner: &Inner, text: &str, write: &mut OwnedWriteHalf) -> std::io::Result<Said> {
        let given = text.split(' ').nth(2).and_then(|word| BASE64.decode(word.as_bytes()).ok());
        self.signed_in = inner.login.is_some_and(|(name, password)| {
            given.is_some_and(|given| given == [b"\0", name.as_bytes(), b"\0", password.as_bytes()].concat())
        });
        if !self.signed_in {
            return say(write, "535 5.7.8 authentication failed").await;
        }
        answer(inner, Step::Auth, "", "235 2.7.0 welcome", write).await
    }

    /// A second MAIL after a recipient was refused begins anew, as it does with many servers.
    async fn mail(&mut self, inner: &Inner, text: &str, write: &mut OwnedWriteHalf) -> std::io::Result<Said> {
        if inner.login.is_some() && !self.signed_in {
            return say(write, "530 5.7.0 authentication required").await;
        }
        if self.to.is_some() {
            inner.nonsense.fetch_add(1, Ordering::SeqCst);
            return say(write, "503 5.5.1 one mail after another").await;
        }
        self.from = None;
        let said = answer(inner, Step::Mail, "", "250 2.1.0 ok", write).await?;
        if said == Said::Fine {
            self.from = Some(between(text));
        }
        Ok(said)
    }

    async fn rcpt(&mut self, inner: &Inner, text: &str, write: &mut OwnedWriteHalf) -> std::io::Result<Said> {
        if self.from.is_none() {
            return say(write, "503 5.5.1 no MAIL before it").await;
        }
        let to = between(text);
        *inner.asked.lock().unwrap().entry(to.clone()).or_default() += 1;
        let said = answer(inner, Step::Rcpt, &to, "250 2.1.5 ok", write).await?;
        if said == Said::Fine {
            self.to = Some(to);
        }
        Ok(said)
    }

    async fn data(
        &mut self,
        inner: &Inner,
        lines: &mut BufReader<OwnedReadHalf>,
        write: &mut OwnedWriteHalf,
        begun: Instant,
    ) -> std::io::Result<Said> {
        let (Some(from), Some(to)) = (self.from.clone(), self.to.clone()) else {
            // RFC 2920, 3.1: a client that pipelines says DATA before it knows that its recipient was refused.
            return say(write, "554 5.5.1 no valid recipients").await;
        };
        let said = answer(inner, Step::Data, &to, "354 go on", write).await?;
        if said != Said::Fine {
            return Ok(said);
        }
        let raw = body(lines).await?;
        (self.from, self.to) = (None, None);
        after_dot(inner, Accepted { from, to, raw, at: begun.elapsed() }, write).await
    }
}

async fn say(write: &mut OwnedWriteHalf, line: &str) -> std::io::Result<Said> {
    write.write_all(format!("{line}\r\n").as_bytes()).await?;
    Ok(Said::Fine)
}

/// Says what belongs here, or what a fault wants.
async fn answer(inner: &Inner, step: Step, to: &str, usual: &str, write: &mut OwnedWriteHalf) -> std::io::Result<Said> {
    let fault = inner.fault(step, to);
    speak(fault, usual, write).await
}

async fn speak(fault: Option<Fault>, usual: &str, write: &mut OwnedWriteHalf) -> std::io::Result<Said> {
    match fault {
        None => say(write, usual).await,
        Some(Fault::Say(line)) => {
            say(write, line).await?;
            Ok(if line.starts_with("421") { Said::Closed } else { Said::Refused })
        }
        Some(Fault::Drop | Fault::Lose) => Ok(Said::Closed),
        Some(Fault::Drip(pause)) => {
            for octet in format!("{usual}\r\n").bytes() {
                tokio::time::sleep(pause).await;
                write.write_all(&[octet]).await?;
            }
            Ok(Said::Fine)
        }
    }
}

async fn after_dot(inner: &Inner, mail: Accepted, write: &mut OwnedWriteHalf) -> std::io::Result<Said> {
    let delay = *inner.delay.lock().unwrap();
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let fault = inner.fault(Step::Dot, &mail.to);
    if matches!(fault, None | Some(Fault::Drop | Fault::Drip(_))) {
        inner.accept(mail);
    }
    speak(fault, "250 2.0.0 taken", write).await
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
