//! One conversation. Commands are read one after another whatever packets they came in: several in one, or behind the
//! final dot of the mail before.

use super::{Accepted, Fault, Inner, Step, Tls, tls};
use data_encoding::BASE64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
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
    /// It is to be reset.
    Reset,
    /// TLS begins.
    Encrypt,
}

/// A connection, in clear or in TLS.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Both ways of it. What is written goes past the buffer.
type Line = BufReader<Box<dyn Stream>>;

/// How far a mail has come.
#[derive(Default)]
struct Talk {
    encrypted: bool,
    signed_in: bool,
    /// After a MAIL that was taken.
    from: Option<String>,
    /// After a RCPT that was taken.
    to: Option<String>,
}

pub(super) async fn converse(inner: &Inner, stream: TcpStream, begun: Instant) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut talk = Talk { encrypted: inner.tls == Some(Tls::Implicit), ..Talk::default() };
    let stream: Box<dyn Stream> = Box::new(stream);
    let mut line = BufReader::new(if talk.encrypted { Box::new(tls::begin(stream).await?) } else { stream });
    let mut said = answer(inner, Step::Greeting, "", "220 sink ESMTP", &mut line).await?;
    if said == Said::Refused {
        said = Said::Closed;
    }
    let mut heard = Vec::new();
    loop {
        match said {
            Said::Fine | Said::Refused => {}
            Said::Closed => break,
            Said::Reset => return Ok(()),
            Said::Encrypt => {
                line = BufReader::new(Box::new(tls::begin(line.into_inner()).await?));
                talk = Talk { encrypted: true, ..Talk::default() };
            }
        }
        heard.clear();
        if line.read_until(b'\n', &mut heard).await? == 0 {
            return Ok(());
        }
        // A client that begins with TLS where nobody speaks it is wrong here, but says nothing wrong in SMTP.
        if heard[0] == TLS_HANDSHAKE {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&heard).trim_end().to_owned();
        said = talk.command(inner, &text, &mut line, begun).await?;
    }
    // Closed with something unread, the socket would be reset, and an answer that the client has not yet read be lost. A
    // server that means to say 421 does not do that.
    line.shutdown().await?;
    let _ = tokio::time::timeout(LAST_WORDS, tokio::io::copy_buf(&mut line, &mut tokio::io::sink())).await;
    Ok(())
}

impl Talk {
    async fn command(&mut self, inner: &Inner, text: &str, line: &mut Line, begun: Instant) -> std::io::Result<Said> {
        match text.get(..4).unwrap_or(text).to_uppercase().as_str() {
            "EHLO" => answer(inner, Step::Hello, "", &inner.offers(self.encrypted), line).await,
            "HELO" => say(line, "250 sink").await,
            "STAR" if inner.tls.is_some() && !self.encrypted => {
                say(line, "220 2.0.0 go on").await?;
                if inner.tls == Some(Tls::Offered) {
                    return Ok(Said::Encrypt);
                }
                say(line, "this is not the beginning of TLS").await?;
                Ok(Said::Closed)
            }
            "AUTH" if inner.login.is_some() => self.sign_in(inner, text, line).await,
            "MAIL" => self.mail(inner, text, line).await,
            "RCPT" => self.rcpt(inner, text, line).await,
            "DATA" => self.data(inner, line, begun).await,
            "RSET" => {
                (self.from, self.to) = (None, None);
                say(line, "250 2.0.0 ok").await
            }
            "NOOP" => say(line, "250 2.0.0 ok").await,
            "QUIT" => {
                say(line, "221 2.0.0 bye").await?;
                Ok(Said::Closed)
            }
            _ => {
                inner.book.nonsense.fetch_add(1, Ordering::SeqCst);
                say(line, "500 5.5.2 what?").await
            }
        }
    }

    async fn sign_in(&mut self, inner: &Inner, text: &str, line: &mut Line) -> std::io::Result<Said> {
        let given = text.split(' ').nth(2).and_then(|word| BASE64.decode(word.as_bytes()).ok());
        self.signed_in = inner.login.is_some_and(|(name, password)| {
            given.is_some_and(|given| given == [b"\0", name.as_bytes(), b"\0", password.as_bytes()].concat())
        });
        if !self.signed_in {
            return say(line, "535 5.7.8 authentication failed").await;
        }
        answer(inner, Step::Auth, "", "235 2.7.0 welcome", line).await
    }

    /// A second MAIL after a recipient was refused begins anew, as it does with many servers.
    async fn mail(&mut self, inner: &Inner, text: &str, line: &mut Line) -> std::io::Result<Said> {
        if inner.login.is_some() && !self.signed_in {
            return say(line, "530 5.7.0 authentication required").await;
        }
        if self.to.is_some() {
            inner.book.nonsense.fetch_add(1, Ordering::SeqCst);
            return say(line, "503 5.5.1 one mail after another").await;
        }
        self.from = None;
        let said = answer(inner, Step::Mail, "", "250 2.1.0 ok", line).await?;
        if said == Said::Fine {
            self.from = Some(between(text));
        }
        Ok(said)
    }

    async fn rcpt(&mut self, inner: &Inner, text: &str, line: &mut Line) -> std::io::Result<Said> {
        if self.from.is_none() {
            return say(line, "503 5.5.1 no MAIL before it").await;
        }
        let to = between(text);
        *inner.book.asked.lock().unwrap().entry(to.clone()).or_default() += 1;
        let said = answer(inner, Step::Rcpt, &to, "250 2.1.5 ok", line).await?;
        if said == Said::Fine {
            self.to = Some(to);
        }
        Ok(said)
    }

    async fn data(&mut self, inner: &Inner, line: &mut Line, begun: Instant) -> std::io::Result<Said> {
        let (Some(from), Some(to)) = (self.from.clone(), self.to.clone()) else {
            // RFC 2920, 3.1: a client that pipelines says DATA before it knows that its recipient was refused.
            return say(line, "554 5.5.1 no valid recipients").await;
        };
        let said = answer(inner, Step::Data, &to, "354 go on", line).await?;
        if said != Said::Fine {
            return Ok(said);
        }
        let mut raw = Vec::new();
        text_line(line, &mut raw).await?;
        if let Some(fault) = inner.fault(Step::Text, &to) {
            return speak(Some(fault), "", line).await;
        }
        while text_line(line, &mut raw).await? {}
        (self.from, self.to) = (None, None);
        after_dot(inner, Accepted { from, to, raw, at: begun.elapsed() }, line).await
    }
}

async fn say(line: &mut Line, text: &str) -> std::io::Result<Said> {
    line.write_all(format!("{text}\r\n").as_bytes()).await?;
    line.flush().await?;
    Ok(Said::Fine)
}

/// Says what belongs here, or what a fault wants.
async fn answer(inner: &Inner, step: Step, to: &str, usual: &str, line: &mut Line) -> std::io::Result<Said> {
    let fault = inner.fault(step, to);
    speak(fault, usual, line).await
}

async fn speak(fault: Option<Fault>, usual: &str, line: &mut Line) -> std::io::Result<Said> {
    match fault {
        None => say(line, usual).await,
        Some(Fault::Say(text)) => {
            say(line, text).await?;
            Ok(if text.starts_with("421") { Said::Closed } else { Said::Refused })
        }
        Some(Fault::Drop | Fault::Lose) => Ok(Said::Closed),
        Some(Fault::Reset) => Ok(Said::Reset),
        Some(Fault::Silence) => std::future::pending().await,
        Some(Fault::Drip(pause)) => {
            for octet in format!("{usual}\r\n").bytes() {
                tokio::time::sleep(pause).await;
                line.write_all(&[octet]).await?;
            }
            Ok(Said::Fine)
        }
    }
}

async fn after_dot(inner: &Inner, mail: Accepted, line: &mut Line) -> std::io::Result<Said> {
    let delay = *inner.delay.lock().unwrap();
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let fault = inner.fault(Step::Dot, &mail.to);
    if matches!(fault, None | Some(Fault::Drop | Fault::Reset | Fault::Silence | Fault::Drip(_))) {
        inner.accept(mail);
    }
    speak(fault, "250 2.0.0 taken", line).await
}

/// Reads a line of the text, without the dot that was put before another; nothing where the one dot stands.
async fn text_line(line: &mut Line, text: &mut Vec<u8>) -> std::io::Result<bool> {
    let mut heard = Vec::new();
    if line.read_until(b'\n', &mut heard).await? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    if heard == b".\r\n" {
        return Ok(false);
    }
    text.extend_from_slice(heard.strip_prefix(b".").unwrap_or(&heard));
    Ok(true)
}

/// `<anna@example.org>` without its brackets.
fn between(command: &str) -> String {
    command
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map(|(inner, _)| inner.to_owned())
        .unwrap_or_default()
}
