//! The octets: a stream in clear or in TLS, commands out, replies in.

use rustls::RootCertStore;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// RFC 5321, 4.5.3.1.5 allows 512 octets in a line of a reply; some servers are chattier.
const LONGEST_LINE: usize = 4_096;
/// A server that goes on for longer than this says nothing that we want to hear.
const MOST_LINES: usize = 128;
/// What is read at once.
const CHUNK: usize = 4_096;

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// What the server says to one command (RFC 5321, 4.2).
pub(super) struct Answer {
    /// 220, 250, 421, …
    pub code: u16,
    /// Its lines, without code and line ends.
    pub lines: Vec<String>,
}

impl Answer {
    /// Its first line, for a person. Servers quote addresses in it: only for steps in which there are none.
    pub fn text(&self) -> String {
        format!("{} {}", self.code, self.lines.first().map_or("", String::as_str)).trim_end().to_owned()
    }

    /// Its enhanced code (RFC 3463, RFC 2034), where it gives one.
    pub fn enhanced(&self) -> Option<String> {
        self.lines.first().and_then(|line| enhanced_of(line))
    }
}

/// A connection's octets.
pub(super) struct Wire {
    stream: Box<dyn Stream>,
    /// Heard and not yet understood: from `from` on.
    heard: Vec<u8>,
    from: usize,
}

impl Wire {
    /// Over a connection in clear.
    pub fn over(stream: impl Stream + 'static) -> Wire {
        Wire { stream: Box::new(stream), heard: Vec::new(), from: 0 }
    }

    /// The same, encrypted from here on; the server must prove to `roots` that it is `host`. What was said in clear and not yet
    /// heard would be taken for said under TLS, so there must be none of it (CVE-2011-0411).
    pub async fn encrypt(self, host: &str, roots: &Arc<RootCertStore>) -> io::Result<Wire> {
        if self.from < self.heard.len() {
            return Err(io::Error::other("the server spoke on before TLS began"));
        }
        let name = rustls::pki_types::ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let stream = TlsConnector::from(Arc::new(tls(roots.clone())?)).connect(name, self.stream).await?;
        Ok(Wire::over(stream))
    }

    /// Says octets, within `limit`.
    pub async fn say(&mut self, octets: &[u8], limit: Duration) -> io::Result<()> {
        let said = async {
            self.stream.write_all(octets).await?;
            self.stream.flush().await
        };
        timeout(limit, said).await.map_err(|_| io::ErrorKind::TimedOut)?
    }

    /// Hears one answer, whole, within `limit`.
    pub async fn hear(&mut self, limit: Duration) -> io::Result<Answer> {
        // What came along with the last answer needs no timer.
        match self.understood()? {
            Some(answer) => Ok(answer),
            None => timeout(limit, self.hear_more()).await.map_err(|_| io::ErrorKind::TimedOut)?,
        }
    }

    async fn hear_more(&mut self) -> io::Result<Answer> {
        loop {
            self.heard.drain(..self.from);
            self.from = 0;
            let end = self.heard.len();
            self.heard.resize(end + CHUNK, 0);
            let read = self.stream.read(&mut self.heard[end..]).await;
            self.heard.truncate(end + read.as_ref().copied().unwrap_or(0));
            if read? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(answer) = self.understood()? {
                return Ok(answer);
            }
        }
    }

    /// The next answer, if it is here to its end.
    fn understood(&mut self) -> io::Result<Option<Answer>> {
        let mut answer = Answer { code: 0, lines: Vec::new() };
        let mut at = self.from;
        while let Some(length) = self.heard[at..].iter().position(|octet| *octet == b'\n') {
            let line = &self.heard[at..at + length];
            at += length + 1;
            let (code, is_last, text) = reply_line(line.strip_suffix(b"\r").unwrap_or(line))?;
            answer.code = code;
            answer.lines.push(text);
            if is_last {
                self.from = at;
                return Ok(Some(answer));
            }
            if answer.lines.len() > MOST_LINES {
                return Err(garbled());
            }
        }
        if self.heard.len() - at > LONGEST_LINE { Err(garbled()) } else { Ok(None) }
    }
}

fn garbled() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the server's answer is no SMTP")
}

/// `250-text` or `250 text` or `250`: the code, whether it is the last line of its reply, and the text.
fn reply_line(line: &[u8]) -> io::Result<(u16, bool, String)> {
    let (code, rest) = line.split_at_checked(3).ok_or_else(garbled)?;
    let code = std::str::from_utf8(code).ok().and_then(|c| c.parse::<u16>().ok()).ok_or_else(garbled)?;
    let is_last = match rest.first() {
        None | Some(b' ') => true,
        Some(b'-') => false,
        Some(_) => return Err(garbled()),
    };
    if !(200..600).contains(&code) {
        return Err(garbled());
    }
    Ok((code, is_last, String::from_utf8_lossy(rest.get(1..).unwrap_or_default()).into_owned()))
}

/// The first RFC 3463 code in a line: class 2, 4 or 5, then two numbers of up to three digits.
fn enhanced_of(line: &str) -> Option<String> {
    let is_number = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    line.split(|c: char| !c.is_ascii_digit() && c != '.')
        .find(|word| {
            let parts: Vec<&str> = word.split('.').collect();
            parts.len() == 3 && matches!(parts[0], "2" | "4" | "5") && parts.iter().all(|p| is_number(p))
        })
        .map(str::to_owned)
}

fn tls(roots: Arc<RootCertStore>) -> io::Result<rustls::ClientConfig> {
    Ok(rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn heard(octets: &'static [&'static [u8]]) -> (io::Result<Answer>, Wire) {
        let (ours, mut theirs) = tokio::io::duplex(64);
        tokio::spawn(async move {
            for some in octets {
                theirs.write_all(some).await.unwrap();
            }
        });
        let mut wire = Wire::over(ours);
        (wire.hear(Duration::from_secs(5)).await, wire)
    }

    #[tokio::test]
    async fn answers_are_understood_however_they_are_cut() {
        let (first, mut wire) =
            heard(&[b"25", b"0-one\r", b"\n250-PIPE", b"LINING\r\n250\r\n354 go", b" on\r\n"]).await;
        let first = first.unwrap();
        assert_eq!((first.code, first.lines), (250, vec!["one".into(), "PIPELINING".into(), String::new()]));
        assert_eq!(wire.hear(Duration::from_secs(5)).await.unwrap().text(), "354 go on");
        assert!(wire.hear(Duration::from_secs(5)).await.is_err(), "and then it is gone");
    }

    #[tokio::test]
    async fn what_is_no_smtp_is_no_answer() {
        static WRONG: [&[u8]; 5] = [b"HTTP/1.1 400 Bad\r\n", b"25\r\n", b"999 x\r\n", b"250_x\r\n", b"\x16\x03\x01\n"];
        for wrong in WRONG.chunks(1) {
            assert!(heard(wrong).await.0.is_err(), "{wrong:?}");
        }
        static ENDLESS: [&[u8]; 2] = [b"250 ", &[b'2'; LONGEST_LINE + CHUNK]];
        assert!(heard(&ENDLESS).await.0.is_err(), "a line without an end");
    }

    #[test]
    fn an_enhanced_code_is_found_where_there_is_one() {
        assert_eq!(enhanced_of("5.1.1 <x@y>: no such user").as_deref(), Some("5.1.1"));
        assert_eq!(enhanced_of("4.7.28 too many").as_deref(), Some("4.7.28"));
        assert_eq!(enhanced_of("from 192.0.2.1 rejected"), None);
    }
}
