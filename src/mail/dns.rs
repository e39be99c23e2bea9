//! One question to the domain name system, for a sender's records: a datagram there and back, or TCP where it is too long.

use crate::keys;
use simple_dns::rdata::{OPT, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// How long a resolver may take, each of [`TRIES`] times.
const PATIENCE: Duration = Duration::from_secs(3);
const TRIES: usize = 2;
/// Fits into a packet everywhere (RFC 9715).
const DATAGRAM: u16 = 1232;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// It says nothing.
    #[error("the resolver {0} does not answer")]
    Silent(SocketAddr),
    /// It says that it cannot say.
    #[error("the resolver {0} could not find out ({1:?})")]
    Failed(SocketAddr, RCODE),
    /// Nothing to ask for.
    #[error("{0} is not a domain name")]
    Name(String),
}

/// A recursive resolver.
#[derive(Debug, Clone, Copy)]
pub struct Resolver(pub SocketAddr);

impl Resolver {
    /// The first that the system is set to.
    pub fn of_system() -> Option<Resolver> {
        let text = std::fs::read_to_string("/etc/resolv.conf").ok()?;
        let server = text.lines().find_map(|line| line.trim().strip_prefix("nameserver")?.trim().parse().ok())?;
        Some(Resolver(SocketAddr::new(server, 53)))
    }

    /// The texts at a name; none where there is no such name.
    pub async fn texts(&self, name: &str) -> Result<Vec<String>, DnsError> {
        self.ask(name, TYPE::TXT, |data| match data {
            RData::TXT(text) => String::try_from(text).ok(),
            _ => None,
        })
        .await
    }

    /// How many hosts take mail for a name (RFC 5321, 5.1: its MX records; the null MX of RFC 7505 is none).
    pub async fn mail_hosts(&self, name: &str) -> Result<usize, DnsError> {
        let hosts = self
            .ask(name, TYPE::MX, |data| match data {
                RData::MX(mx) => Some(mx.exchange.to_string()),
                _ => None,
            })
            .await?;
        Ok(hosts.iter().filter(|host| !host.is_empty() && *host != ".").count())
    }

    async fn ask<T>(&self, name: &str, kind: TYPE, read: impl Fn(RData<'_>) -> Option<T>) -> Result<Vec<T>, DnsError> {
        let [high, low] = keys::random();
        let id = u16::from_be_bytes([high, low]);
        let question = question(id, name, kind).ok_or_else(|| DnsError::Name(name.to_owned()))?;
        for _ in 0..TRIES {
            let Ok(Some(mut bytes)) = timeout(PATIENCE, self.by_datagram(&question, id)).await else { continue };
            if is_cut(&bytes) {
                match timeout(PATIENCE, self.by_stream(&question)).await {
                    Ok(Some(whole)) => bytes = whole,
                    _ => continue,
                }
            }
            let Ok(packet) = Packet::parse(&bytes) else { continue };
            return match packet.rcode() {
                RCODE::NoError | RCODE::NameError => {
                    Ok(packet.answers.into_iter().filter_map(|a| read(a.rdata)).collect())
                }
                other => Err(DnsError::Failed(self.0, other)),
            };
        }
        Err(DnsError::Silent(self.0))
    }

    async fn by_datagram(&self, question: &[u8], id: u16) -> Option<Vec<u8>> {
        let any: SocketAddr = if self.0.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
        let socket = UdpSocket::bind(any).await.ok()?;
        // Connected, so that only this resolver's datagrams arrive.
        socket.connect(self.0).await.ok()?;
        socket.send(question).await.ok()?;
        let mut bytes = vec![0; usize::from(DATAGRAM)];
        loop {
            let length = socket.recv(&mut bytes).await.ok()?;
            if bytes[..length].starts_with(&id.to_be_bytes()) {
                bytes.truncate(length);
                return Some(bytes);
            }
        }
    }

    async fn by_stream(&self, question: &[u8]) -> Option<Vec<u8>> {
        let mut stream = TcpStream::connect(self.0).await.ok()?;
        let length = u16::try_from(question.len()).ok()?;
        stream.write_all(&[&length.to_be_bytes()[..], question].concat()).await.ok()?;
        let mut bytes = vec![0; usize::from(stream.read_u16().await.ok()?)];
        stream.read_exact(&mut bytes).await.ok()?;
        Some(bytes)
    }
}

fn question(id: u16, name: &str, kind: TYPE) -> Option<Vec<u8>> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    packet.questions.push(Question::new(Name::new(name).ok()?, QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN), false));
    *packet.opt_mut() = Some(OPT { opt_codes: Vec::new(), udp_packet_size: DATAGRAM, version: 0 });
    packet.build_bytes_vec().ok()
}

fn is_cut(bytes: &[u8]) -> bool {
    Packet::parse(bytes).is_ok_and(|p| p.has_flags(PacketFlag::TRUNCATION))
        || bytes.get(2).is_some_and(|flags| flags & 2 != 0)
}
