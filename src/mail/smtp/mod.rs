//! SMTP, as far as a program needs it that hands mails to its own relay.
//!
//! The client is our own for two reasons. lettre's says one command at a time and waits for each answer; with a relay
//! twenty milliseconds away that is four times slower than need be, and on this machine three times. And what a failure
//! means depends on the step: a connection lost before the final dot is nobody's fault, one lost after it leaves a
//! question. Addresses, messages and what is said to sign in are lettre's.

mod relays;
mod session;
mod wire;

pub(super) use relays::Relays;
pub(super) use session::Session;

use super::ConnectError;
use crate::config::{Smtp, Tls};
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS, Mechanism};
use lettre::transport::smtp::commands::Auth;
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use rustls::RootCertStore;
use secrecy::ExposeSecret;
use session::Offers;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use wire::{Answer, Wire};

/// What every mail server is granted: how long it may be silent, and who may vouch for its name.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Until the connection stands.
    pub connect: Duration,
    /// Before it answers. RFC 5321, 4.5.3.2 asks for five minutes at most steps. A relay that needs a minute is as good as
    /// lost.
    pub step: Duration,
    /// For the text, and to check and queue it after the final dot; RFC 5321 gives it ten minutes there, and giving up
    /// early doubles a mail.
    pub long: Duration,
    /// Who vouches for its name under TLS.
    pub roots: Arc<RootCertStore>,
}

impl Default for Terms {
    /// As in production, with the roots that browsers believe.
    fn default() -> Terms {
        let seconds = Duration::from_secs;
        let roots = Arc::new(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect());
        Terms { connect: seconds(15), step: seconds(60), long: seconds(300), roots }
    }
}

/// A mail server, not yet connected to.
#[derive(Debug, Clone)]
struct Server {
    settings: Smtp,
    hello: ClientId,
    terms: Terms,
}

impl Server {
    fn new(settings: Smtp, host: &str, terms: Terms) -> Server {
        let hello = if host.contains('.') { ClientId::Domain(host.to_owned()) } else { ClientId::default() };
        Server { settings, hello, terms }
    }

    fn name(&self) -> String {
        format!("{}:{}", self.settings.host, self.settings.port)
    }

    async fn connect(&self) -> Result<Session, ConnectError> {
        let unreachable = |why: String| ConnectError::Unreachable(self.name(), why);
        let silent = |limit: Duration| unreachable(format!("no answer in {} seconds", limit.as_secs()));
        let address = (self.settings.host.as_str(), self.settings.port);
        let (connect, step) = (self.terms.connect, self.terms.step);
        let stream = timeout(connect, TcpStream::connect(address))
            .await
            .map_err(|_| silent(connect))?
            .map_err(|e| unreachable(e.to_string()))?;
        // Without this each mail waits 44 ms for Nagle's algorithm and a delayed acknowledgement to finish with each other.
        stream.set_nodelay(true).map_err(|e| unreachable(e.to_string()))?;
        timeout(step, self.greet(Wire::over(stream))).await.map_err(|_| silent(step))?
    }

    /// Everything up to the first mail.
    async fn greet(&self, mut wire: Wire) -> Result<Session, ConnectError> {
        if self.settings.tls == Tls::Implicit {
            wire = self.encrypted(wire, "TLS").await?;
        }
        let greeting = wire.hear(self.terms.step).await;
        self.good("the greeting", greeting)?;
        let mut offers = self.hello(&mut wire).await?;
        if self.settings.tls == Tls::Required {
            if !offers.lines.iter().any(|line| line.trim().eq_ignore_ascii_case("STARTTLS")) {
                return Err(self.refused("STARTTLS", "it does not offer it"));
            }
            self.ask(&mut wire, "STARTTLS", "STARTTLS\r\n").await?;
            wire = self.encrypted(wire, "STARTTLS").await?;
            // RFC 3207, 4.2: what was offered in clear is forgotten.
            offers = self.hello(&mut wire).await?;
        }
        if let Some((user, password)) = &self.settings.login {
            let credentials = Credentials::new(user.clone(), password.expose_secret().to_owned());
            self.sign_in(&mut wire, &offers, credentials).await?;
        }
        let has = |keyword: &str| offers.lines.iter().any(|line| line.trim().eq_ignore_ascii_case(keyword));
        let offers = Offers { pipelining: has("PIPELINING"), utf8: has("SMTPUTF8") };
        Ok(Session::new(wire, offers, self.terms.clone()))
    }

    fn refused(&self, step: &'static str, why: impl Display) -> ConnectError {
        ConnectError::Refused(self.name(), step, why.to_string())
    }

    /// An answer that agrees. Nothing of a reader's was said yet, so its text may be shown.
    fn good(&self, step: &'static str, heard: std::io::Result<Answer>) -> Result<Answer, ConnectError> {
        let answer = heard.map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => self.refused(step, "it closed the connection"),
            _ => self.refused(step, error),
        })?;
        if answer.code < 400 { Ok(answer) } else { Err(self.refused(step, answer.text())) }
    }

    async fn ask(&self, wire: &mut Wire, step: &'static str, command: &str) -> Result<Answer, ConnectError> {
        wire.say(command.as_bytes(), self.terms.step).await.map_err(|error| self.refused(step, error))?;
        let heard = wire.hear(self.terms.step).await;
        self.good(step, heard)
    }

    async fn hello(&self, wire: &mut Wire) -> Result<Answer, ConnectError> {
        self.ask(wire, "the greeting", &format!("EHLO {}\r\n", self.hello)).await
    }

    async fn encrypted(&self, wire: Wire, step: &'static str) -> Result<Wire, ConnectError> {
        wire.encrypt(&self.settings.host, &self.terms.roots).await.map_err(|error| self.refused(step, error))
    }

    async fn sign_in(&self, wire: &mut Wire, offers: &Answer, credentials: Credentials) -> Result<(), ConnectError> {
        const STEP: &str = "signing in";
        let wrong = |error: lettre::transport::smtp::Error| self.refused(STEP, error);
        let mechanism = mechanism(offers).ok_or_else(|| self.refused(STEP, "it offers no way that we know"))?;
        let first = Auth::new(mechanism, credentials.clone(), None).map_err(wrong)?;
        let mut answer = self.ask(wire, STEP, &first.to_string()).await?;
        // LOGIN asks for the name and for the password; nothing asks more than that.
        for _ in 0..2 {
            if answer.code < 300 {
                return Ok(());
            }
            let challenge: Response =
                format!("{} {}\r\n", answer.code, answer.lines.concat()).parse().map_err(wrong)?;
            let next = Auth::new_from_response(mechanism, credentials.clone(), &challenge).map_err(wrong)?;
            answer = self.ask(wire, STEP, &next.to_string()).await?;
        }
        if answer.code < 300 { Ok(()) } else { Err(self.refused(STEP, answer.text())) }
    }
}

/// The first way to sign in that both sides know.
fn mechanism(offers: &Answer) -> Option<Mechanism> {
    let offered = |mechanism: &&Mechanism| {
        offers.lines.iter().any(|line| {
            let mut words = line.split([' ', '=']);
            words.next().is_some_and(|word| word.eq_ignore_ascii_case("AUTH"))
                && words.any(|word| word.eq_ignore_ascii_case(&mechanism.to_string()))
        })
    };
    DEFAULT_MECHANISMS.iter().find(offered).copied()
}
