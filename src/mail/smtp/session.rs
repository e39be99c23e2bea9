//! Mails over one connection.
//!
//! A mail goes in three steps, so that whoever sends decides at the last moment: [`Session::open`] names sender and
//! recipient, [`Session::body`] sends header and text, and only [`Session::end`], with the final dot, hands the mail over.
//! Before it nothing was accepted, whatever happens; after it, until the answer is heard, nobody knows.
//!
//! Where the server offers PIPELINING (RFC 2920), MAIL, RCPT and DATA go out together, and together with the dot of the
//! mail before: a round trip for each mail, and not four.

use super::super::{Envelope, Reply, SendError};
use super::Terms;
use super::relays::Trial;
use super::wire::{Answer, Wire};
use memchr::memmem;
use std::io::Write;
use std::time::Duration;

/// What the server can do beyond RFC 5321.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Offers {
    /// Several commands at once (RFC 2920).
    pub pipelining: bool,
    /// Addresses beyond ASCII (RFC 6531).
    pub utf8: bool,
}

/// A connection that has said EHLO, is encrypted and signed in as the settings ask.
pub(in crate::mail) struct Session {
    wire: Wire,
    offers: Offers,
    terms: Terms,
    /// Until the first mail is taken.
    trial: Option<Trial>,
    /// How many answers to commands of the next mail are still to come.
    announced: usize,
    /// The server holds a transaction that came to nothing.
    unclean: bool,
    broken: bool,
    out: Vec<u8>,
}

impl Session {
    /// Over a connection that is ready for mails.
    pub(super) fn new(wire: Wire, offers: Offers, terms: Terms) -> Session {
        Session { wire, offers, terms, trial: None, announced: 0, unclean: false, broken: false, out: Vec::new() }
    }

    /// Its relay has still to show that it takes mails.
    pub(super) fn on_trial(self, trial: Trial) -> Session {
        Session { trial: Some(trial), ..self }
    }

    /// Whether a next mail may be named with the dot of the one before.
    pub fn looks_ahead(&self) -> bool {
        self.offers.pipelining
    }

    /// Whether it is of no more use.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Names a mail's sender and recipient; the mail that was named to [`Session::end`] before, if one was.
    pub async fn open(&mut self, envelope: &Envelope) -> Result<(), SendError> {
        if self.broken {
            return Err(SendError::Connection);
        }
        if self.announced > 0 {
            return self.opened().await;
        }
        self.out.clear();
        self.announce(envelope)?;
        if self.offers.pipelining {
            self.say().await?;
            return self.opened().await;
        }
        self.open_step_by_step().await
    }

    /// Header and text, whose line ends are CRLF, without the final dot.
    pub async fn body(&mut self, message: &[u8]) -> Result<(), SendError> {
        let mut from = 0;
        // RFC 5321, 4.5.2: a line that begins with a dot gets another.
        for at in memmem::find_iter(message, b"\r\n.") {
            self.say_text(&message[from..at + 3]).await?;
            from = at + 2;
        }
        self.say_text(&message[from..]).await?;
        if message.ends_with(b"\r\n") { Ok(()) } else { self.say_text(b"\r\n").await }
    }

    /// The final dot, and with it the next mail's sender and recipient where the server takes that. Without an answer nobody
    /// knows whether the mail was taken.
    pub async fn end(&mut self, next: Option<&Envelope>) -> Result<Reply, SendError> {
        self.out.clear();
        self.out.extend_from_slice(b".\r\n");
        if let Some(next) = next.filter(|_| self.offers.pipelining) {
            // One that cannot be named here is told so when it is its turn.
            let _ = self.announce(next);
        }
        if self.wire.say(&self.out, self.terms.long).await.is_err() {
            return Err(self.breaks(SendError::Uncertain));
        }
        let Ok(answer) = self.wire.hear(self.terms.long).await else { return Err(self.breaks(SendError::Uncertain)) };
        match refusal(&answer) {
            None if answer.code < 300 => {
                if let Some(trial) = self.trial.take() {
                    trial.passed();
                }
                Ok(Reply { code: answer.code, enhanced: answer.enhanced() })
            }
            // Whatever 3xx would mean here, it is no promise.
            None => Err(self.breaks(SendError::Uncertain)),
            Some(SendError::Connection) => Err(self.breaks(SendError::Connection)),
            Some(refusal) => Err(refusal),
        }
    }

    /// Says goodbye, unless a mail is open: then only closing the connection ends it.
    pub async fn quit(mut self) {
        if !self.broken && self.announced == 0 {
            // Goodbye is a courtesy: whether it arrives changes nothing.
            let courtesy = Duration::from_secs(5);
            let _ = self.wire.say(b"QUIT\r\n", courtesy).await;
            let _ = self.wire.hear(courtesy).await;
        }
    }

    fn breaks(&mut self, error: SendError) -> SendError {
        self.broken = true;
        if let Some(trial) = self.trial.take() {
            trial.failed();
        }
        error
    }

    async fn say(&mut self) -> Result<(), SendError> {
        let said = self.wire.say(&self.out, self.terms.step).await;
        said.map_err(|_| self.breaks(SendError::Connection))
    }

    async fn say_text(&mut self, text: &[u8]) -> Result<(), SendError> {
        let said = self.wire.say(text, self.terms.long).await;
        said.map_err(|_| self.breaks(SendError::Connection))
    }

    async fn hear(&mut self) -> Result<Answer, SendError> {
        let heard = self.wire.hear(self.terms.step).await;
        heard.map_err(|_| self.breaks(SendError::Connection))
    }

    /// Writes the commands that open a mail behind what is to be said.
    fn announce(&mut self, envelope: &Envelope) -> Result<(), SendError> {
        let (from, to) = (envelope.return_path.as_str(), envelope.to.as_str());
        if !is_path(from) || !from.is_ascii() {
            return Err(self.breaks(SendError::Connection));
        }
        // An address of ours is ASCII in its domain; a local part beyond ASCII needs a server that takes SMTPUTF8.
        if !is_path(to) || !(to.is_ascii() || self.offers.utf8) {
            return Err(SendError::Never(Reply { code: 553, enhanced: Some("5.6.7".to_owned()) }));
        }
        if std::mem::take(&mut self.unclean) {
            self.out.extend_from_slice(b"RSET\r\n");
            self.announced += 1;
        }
        let option = if to.is_ascii() { "" } else { " SMTPUTF8" };
        // OK because writing to a Vec cannot fail.
        write!(self.out, "MAIL FROM:<{from}>{option}\r\nRCPT TO:<{to}>\r\nDATA\r\n").expect("memory");
        self.announced += 3;
        Ok(())
    }

    /// Hears what the server says to the commands of a mail that were sent together.
    async fn opened(&mut self) -> Result<(), SendError> {
        let mut refused = None;
        while self.announced > 0 {
            let answer = match self.hear().await {
                Ok(answer) => answer,
                // It has said what it thinks of this mail, and gone.
                Err(lost) => return Err(refused.unwrap_or(lost)),
            };
            self.announced -= 1;
            if answer.code == 421 {
                // RFC 5321, 3.8: it closes, whatever it has said of this mail before.
                self.broken = true;
            }
            if refused.is_none() {
                refused = refusal(&answer);
                if refused.is_none() && self.announced == 0 && answer.code != 354 {
                    // RFC 5321, 4.3.2: nothing else invites a text.
                    return Err(self.breaks(SendError::Connection));
                }
            } else if self.announced == 0 && answer.code == 354 {
                // RFC 2920, 3.1: it wants a text although it refused. An empty one ends that.
                self.out.clear();
                self.out.extend_from_slice(b".\r\n");
                self.say().await?;
                self.hear().await?;
            }
            if refused == Some(SendError::Connection) {
                return Err(self.breaks(SendError::Connection));
            }
        }
        self.unclean = refused.is_some();
        refused.map_or(Ok(()), Err)
    }

    /// One command and its answer after the other.
    async fn open_step_by_step(&mut self) -> Result<(), SendError> {
        self.announced = 0;
        let commands = std::mem::take(&mut self.out);
        let mut result = Ok(());
        for command in commands.split_inclusive(|octet| *octet == b'\n') {
            let said = self.wire.say(command, self.terms.step).await;
            said.map_err(|_| self.breaks(SendError::Connection))?;
            if let Some(refused) = refusal(&self.hear().await?) {
                self.unclean = true;
                result = Err(refused);
                break;
            }
        }
        self.out = commands;
        result.map_err(|error| if error == SendError::Connection { self.breaks(error) } else { error })
    }
}

/// What a refusal says about the mail, or about the connection; nothing where it is none.
fn refusal(answer: &Answer) -> Option<SendError> {
    let reply = Reply { code: answer.code, enhanced: answer.enhanced() };
    match answer.code {
        // RFC 5321, 3.8: the server is closing; 4.2.1: 421 may answer any command.
        421 => Some(SendError::Connection),
        400..=499 => Some(SendError::Later(reply)),
        500..=599 => Some(SendError::Never(reply)),
        _ => None,
    }
}

/// Whether it can stand between angle brackets. What is no address ends there, before it is a command of its own.
fn is_path(text: &str) -> bool {
    !text.contains(|c: char| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    fn envelope(to: &str) -> Envelope {
        Envelope { return_path: "bounce@example.org".to_owned(), to: Address::parse(to).unwrap() }
    }

    async fn expect(server: &mut DuplexStream, octets: &str) {
        let mut heard = vec![0; octets.len()];
        server.read_exact(&mut heard).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&heard), octets);
    }

    fn opening(to: &str) -> String {
        format!("MAIL FROM:<bounce@example.org>\r\nRCPT TO:<{to}>\r\nDATA\r\n")
    }

    fn never(code: &str) -> SendError {
        SendError::Never(Reply { code: 550, enhanced: Some(code.to_owned()) })
    }

    #[tokio::test]
    async fn the_next_mail_is_named_with_the_dot_and_a_refusal_is_its_own() {
        let (ours, mut server) = tokio::io::duplex(4_096);
        let mut session = Session::new(Wire::over(ours), Offers { pipelining: true, utf8: false }, Terms::default());
        let talk = tokio::spawn(async move {
            expect(&mut server, &opening("a@example.org")).await;
            server.write_all(b"250 ok\r\n250 ok\r\n354 go on\r\n").await.unwrap();
            expect(&mut server, "x\r\n..y\r\n").await;
            expect(&mut server, &format!(".\r\n{}", opening("b@example.org"))).await;
            server.write_all(b"250 2.0.0 taken\r\n250 ok\r\n550 5.1.1 nobody\r\n354 go on\r\n").await.unwrap();
            expect(&mut server, ".\r\n").await;
            server.write_all(b"554 no recipient\r\n").await.unwrap();
            expect(&mut server, &format!("RSET\r\n{}", opening("c@example.org"))).await;
            server.write_all(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go on\r\n").await.unwrap();
            expect(&mut server, "z\r\n.\r\n").await;
            server.write_all(b"250 ok\r\n").await.unwrap();
        });
        session.open(&envelope("a@example.org")).await.unwrap();
        session.body(b"x\r\n.y\r\n").await.unwrap();
        let b = envelope("b@example.org");
        assert_eq!(session.end(Some(&b)).await.unwrap().code, 250);
        assert_eq!(session.open(&b).await, Err(never("5.1.1")));
        assert!(!session.is_broken());
        session.open(&envelope("c@example.org")).await.unwrap();
        session.body(b"z").await.unwrap();
        assert_eq!(session.end(None).await.unwrap().code, 250);
        talk.await.unwrap();
    }

    #[tokio::test]
    async fn a_refusal_counts_although_the_server_goes_away_with_it() {
        let (ours, mut server) = tokio::io::duplex(4_096);
        let mut session = Session::new(Wire::over(ours), Offers { pipelining: true, utf8: false }, Terms::default());
        server.write_all(b"250 ok\r\n550 5.7.1 no\r\n").await.unwrap();
        let hear = tokio::spawn(async move {
            expect(&mut server, &opening("a@example.org")).await;
        });
        assert_eq!(session.open(&envelope("a@example.org")).await, Err(never("5.7.1")));
        assert!(session.is_broken());
        hear.await.unwrap();
    }

    #[tokio::test]
    async fn a_server_that_refuses_and_closes_is_not_asked_again_and_only_354_invites_a_text() {
        for (answers, expected) in [
            ("250 ok\r\n550 5.1.1 no\r\n421 closing\r\n", never("5.1.1")),
            ("250 ok\r\n250 ok\r\n250 ok\r\n", SendError::Connection),
        ] {
            let (ours, mut server) = tokio::io::duplex(4_096);
            let mut session =
                Session::new(Wire::over(ours), Offers { pipelining: true, utf8: false }, Terms::default());
            server.write_all(answers.as_bytes()).await.unwrap();
            assert_eq!(session.open(&envelope("a@example.org")).await, Err(expected));
            assert!(session.is_broken(), "{answers:?}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_does_not_come_leaves_a_question_and_before_the_dot_none() {
        for (answers, dot, expected) in [
            ("250 ok\r\n", false, SendError::Connection),
            ("250 ok\r\n250 ok\r\n421 closing\r\n", false, SendError::Connection),
            ("250 ok\r\n250 ok\r\n354 go\r\n", true, SendError::Uncertain),
            ("250 ok\r\n250 ok\r\n354 go\r\n421 closing\r\n", true, SendError::Connection),
            ("250 ok\r\n250 ok\r\n354 go\r\n25", true, SendError::Uncertain),
        ] {
            for pipelining in [true, false] {
                let (ours, mut server) = tokio::io::duplex(4_096);
                let mut session = Session::new(Wire::over(ours), Offers { pipelining, utf8: false }, Terms::default());
                server.write_all(answers.as_bytes()).await.unwrap();
                server.shutdown().await.unwrap();
                let opened = session.open(&envelope("a@example.org")).await;
                assert_eq!(opened.is_ok(), dot, "{answers:?}");
                let answer = match opened {
                    Ok(()) => {
                        session.body(b"x\r\n").await.unwrap();
                        session.end(None).await.map(|_| ())
                    }
                    refused => refused,
                };
                assert_eq!(answer, Err(expected.clone()), "{answers:?}");
                assert!(session.is_broken());
                drop(server);
            }
        }
    }

    #[tokio::test]
    async fn a_server_that_reads_no_further_is_left_before_the_dot() {
        let (ours, mut server) = tokio::io::duplex(4_096);
        let terms = Terms { long: Duration::from_millis(20), ..Terms::default() };
        let mut session = Session::new(Wire::over(ours), Offers { pipelining: true, utf8: false }, terms);
        server.write_all(b"250 ok\r\n250 ok\r\n354 go\r\n").await.unwrap();
        session.open(&envelope("a@example.org")).await.unwrap();
        assert_eq!(session.body(&[b'x'; 8_192]).await, Err(SendError::Connection));
        assert!(session.is_broken(), "nothing more is said");
    }

    #[tokio::test]
    async fn an_address_beyond_ascii_needs_a_server_that_takes_it() {
        let (ours, _server) = tokio::io::duplex(4_096);
        let mut session = Session::new(Wire::over(ours), Offers { pipelining: true, utf8: false }, Terms::default());
        let refused = Reply { code: 553, enhanced: Some("5.6.7".to_owned()) };
        assert_eq!(session.open(&envelope("анна@example.org")).await, Err(SendError::Never(refused)));
        assert!(!session.is_broken(), "nothing was said");
    }
}
