//! SMTP over lettre's connection type, on a stream of our own.
//!
//! The stream is our own because of one option: without TCP_NODELAY each mail waits 44 ms for Nagle's algorithm and a
//! delayed acknowledgement to finish with each other. The steps of a mail are our own because what a failure means
//! depends on the step: a connection lost before the final dot is nobody's fault, one lost after it leaves a question.

use super::{ConnectError, Envelope, Reply, SendError};
use crate::config::{Smtp, Tls};
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use secrecy::ExposeSecret;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// RFC 5321, 4.5.3.2 asks for five minutes at most steps. A relay that needs a minute is as good as lost.
const STEP: Duration = Duration::from_secs(60);
/// After the final dot the server may check and queue; RFC 5321 gives it ten minutes, and giving up early doubles a mail.
const AFTER_DOT: Duration = Duration::from_secs(300);
const CONNECT: Duration = Duration::from_secs(15);

/// A mail server, not yet connected to.
#[derive(Debug, Clone)]
pub(super) struct Server {
    settings: Arc<Smtp>,
    hello: ClientId,
}

/// A connection that has said EHLO, is encrypted and signed in as the settings ask.
pub(super) struct Session {
    connection: AsyncSmtpConnection,
}

impl Server {
    pub(super) fn new(settings: Smtp, host: &str) -> Server {
        let hello = if host.contains('.') { ClientId::Domain(host.to_owned()) } else { ClientId::default() };
        Server { settings: Arc::new(settings), hello }
    }

    pub(super) fn connections(&self) -> usize {
        self.settings.connections
    }

    pub(super) async fn connect(&self) -> Result<Session, ConnectError> {
        let name = format!("{}:{}", self.settings.host, self.settings.port);
        let unreachable = |why: String| ConnectError::Unreachable(name.clone(), why);
        let address = (self.settings.host.as_str(), self.settings.port);
        let stream = timeout(CONNECT, TcpStream::connect(address))
            .await
            .map_err(|_| unreachable("no answer in 15 seconds".to_owned()))?
            .map_err(|e| unreachable(e.to_string()))?;
        stream.set_nodelay(true).map_err(|e| unreachable(e.to_string()))?;
        let connection = timeout(STEP, self.greet(stream, &name))
            .await
            .map_err(|_| unreachable("no greeting in a minute".to_owned()))??;
        Ok(Session { connection })
    }

    async fn greet(&self, stream: TcpStream, name: &str) -> Result<AsyncSmtpConnection, ConnectError> {
        let refused = |step: &'static str| {
            move |error: lettre::transport::smtp::Error| ConnectError::Refused(name.to_owned(), step, error.to_string())
        };
        let tls = || TlsParameters::new(self.settings.host.clone()).map_err(refused("TLS"));
        let stream: Box<dyn AsyncTokioStream> = match self.settings.tls {
            Tls::Implicit => Box::new(Encrypted(wrap_tls(stream, &self.settings.host, name).await?)),
            Tls::Required | Tls::None => Box::new(stream),
        };
        let mut connection =
            AsyncSmtpConnection::connect_with_transport(stream, &self.hello).await.map_err(refused("the greeting"))?;
        if self.settings.tls == Tls::Required {
            connection.starttls(tls()?, &self.hello).await.map_err(refused("STARTTLS"))?;
        }
        if let Some((user, password)) = &self.settings.login {
            let credentials = Credentials::new(user.clone(), password.expose_secret().to_owned());
            connection.auth(DEFAULT_MECHANISMS, &credentials).await.map_err(refused("signing in"))?;
        }
        Ok(connection)
    }
}

async fn wrap_tls(
    stream: TcpStream,
    host: &str,
    name: &str,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, ConnectError> {
    let refused = |why: String| ConnectError::Refused(name.to_owned(), "TLS", why);
    let mut roots = rustls::RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| refused(e.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let host = rustls::pki_types::ServerName::try_from(host.to_owned()).map_err(|e| refused(e.to_string()))?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    connector.connect(host, stream).await.map_err(|e| refused(e.to_string()))
}

/// A stream encrypted from its first octet, as lettre wants one of somebody else's.
#[derive(Debug)]
struct Encrypted(tokio_rustls::client::TlsStream<TcpStream>);

impl AsyncTokioStream for Encrypted {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().0.peer_addr()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl Session {
    pub(super) async fn send(&mut self, envelope: &Envelope, message: &[u8]) -> Result<Reply, SendError> {
        // An address of ours is ASCII in its domain; a local part beyond ASCII needs a server that takes SMTPUTF8.
        let never = || SendError::Never(Reply { code: 553, enhanced: Some("5.6.7".to_owned()) });
        let to: lettre::Address = envelope.to.as_str().parse().map_err(|_| never())?;
        let from: lettre::Address = envelope.return_path.parse().map_err(|_| SendError::Connection)?;
        let mut options = Vec::new();
        if !envelope.to.as_str().is_ascii() {
            use lettre::transport::smtp::extension::{Extension, MailParameter};
            if !self.connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(never());
            }
            options.push(MailParameter::SmtpUtfEight);
        }
        self.command(Mail::new(Some(from), options)).await?;
        self.command(Rcpt::new(to, Vec::new())).await?;
        self.command(Data).await?;
        match timeout(AFTER_DOT, self.connection.message(message)).await {
            Ok(Ok(response)) => Ok(reply(&response)),
            Ok(Err(error)) => Err(verdict(&error).unwrap_or(SendError::Uncertain)),
            Err(_) => Err(SendError::Uncertain),
        }
    }

    /// One command before the final dot. After a refusal the next mail needs a clean slate.
    async fn command<C: std::fmt::Display>(&mut self, command: C) -> Result<(), SendError> {
        let error = match timeout(STEP, self.connection.command(command)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => verdict(&error).unwrap_or(SendError::Connection),
            Err(_) => SendError::Connection,
        };
        if error != SendError::Connection && !matches!(timeout(STEP, self.connection.command(Rset)).await, Ok(Ok(_))) {
            return Err(SendError::Connection);
        }
        Err(error)
    }

    pub(super) async fn quit(mut self) {
        // Goodbye is a courtesy: whether it arrives changes nothing.
        let _ = timeout(Duration::from_secs(5), self.connection.quit()).await;
    }
}

/// What a refusal says about the mail; nothing where it is about the connection.
fn verdict(error: &lettre::transport::smtp::Error) -> Option<SendError> {
    let code: u16 = error.status()?.into();
    let reply = Reply { code, enhanced: enhanced_of(&error.to_string()) };
    match code {
        // RFC 5321, 3.8: the server is closing; 4.2.1: 421 may answer any command.
        421 => Some(SendError::Connection),
        400..=499 => Some(SendError::Later(reply)),
        500..=599 => Some(SendError::Never(reply)),
        _ => None,
    }
}

fn reply(response: &Response) -> Reply {
    Reply { code: response.code().into(), enhanced: response.first_line().and_then(enhanced_of) }
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

#[cfg(test)]
mod tests {
    use super::enhanced_of;

    #[test]
    fn an_enhanced_code_is_found_where_there_is_one() {
        assert_eq!(enhanced_of("permanent error (550): 5.1.1 <x@y>: no such user").as_deref(), Some("5.1.1"));
        assert_eq!(enhanced_of("transient error (451): 4.7.28 too many").as_deref(), Some("4.7.28"));
        assert_eq!(enhanced_of("error (550): from 192.0.2.1 rejected"), None);
    }
}
