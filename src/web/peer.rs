//! Where a request comes from, as far as limits need to know: a network prefix, never kept.

use crate::app::Shared;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The network a request comes from: a /24 of IPv4, a /48 of IPv6, which is what one household or one attacker has.
///
/// A request from this machine itself that names no other is nobody's network: a test, or a proxy that the settings do
/// not know yet. Counting all readers behind such a proxy as one would shut them all out, so it is not counted at all;
/// `friday check` says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    network: Option<IpNet>,
    /// A keyed mark of the address itself: what it was, nobody can read from it.
    address: Option<String>,
}

impl Peer {
    /// What limits count by.
    pub fn network(&self) -> Option<String> {
        self.network.map(|network| network.to_string())
    }

    /// What narrower limits count by: a mark of the one address, of an IPv6 one its /64.
    pub fn address(&self) -> Option<String> {
        self.address.clone()
    }

    /// Whether the request came from this machine, without a proxy in between.
    pub fn is_local(&self) -> bool {
        self.network.is_none()
    }

    /// The address that a request comes from; none for this machine itself.
    fn find(direct: IpAddr, forwarded: &str, trusted: &[IpNet]) -> Option<IpAddr> {
        let mut peer = direct.to_canonical();
        let is_trusted = |ip: &IpAddr| trusted.iter().any(|network| network.contains(ip));
        // From the nearest proxy outward, as long as each is one of ours.
        for hop in forwarded.rsplit(',').map(str::trim).filter(|h| !h.is_empty()) {
            if !is_trusted(&peer) {
                break;
            }
            match hop.parse::<IpAddr>() {
                Ok(ip) => peer = ip.to_canonical(),
                Err(_) => break,
            }
        }
        (!peer.is_loopback()).then_some(peer)
    }
}

fn prefix(ip: IpAddr, of_v4: u8, of_v6: u8) -> IpNet {
    match ip {
        // OK because the callers below ask for 24 and 32, which are lengths of a prefix.
        IpAddr::V4(ip) => Ipv4Net::new(ip, of_v4).expect("a length").trunc().into(),
        // OK because 48 and 64 are as well.
        IpAddr::V6(ip) => Ipv6Net::new(ip, of_v6).expect("a length").trunc().into(),
    }
}

impl FromRequestParts<Shared> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Peer, Infallible> {
        let direct =
            parts.extensions.get::<ConnectInfo<SocketAddr>>().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |c| c.0.ip());
        // Several fields are one list (RFC 9110, 5.3).
        let forwarded: Vec<&str> =
            parts.headers.get_all("x-forwarded-for").iter().filter_map(|v| v.to_str().ok()).collect();
        let found = Peer::find(direct, &forwarded.join(","), &app.config.trusted_proxies);
        let mark = |ip| app.keys.mark("limits.address", prefix(ip, 32, 64).to_string().as_bytes());
        Ok(Peer {
            network: found.map(|ip| prefix(ip, 24, 48)),
            address: found.map(|ip| data_encoding::HEXLOWER.encode(&mark(ip))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forwarded_address_is_believed_only_from_our_proxy() {
        let trusted = ["127.0.0.1/32".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
        let peer = |direct: &str, forwarded: &str| {
            let found = Peer::find(direct.parse().unwrap(), forwarded, &trusted);
            found.map(|ip| prefix(ip, 24, 48).to_string())
        };
        assert_eq!(peer("127.0.0.1", "198.51.100.7").as_deref(), Some("198.51.100.0/24"));
        assert_eq!(peer("127.0.0.1", "203.0.113.1, 198.51.100.7, 10.1.1.1").as_deref(), Some("198.51.100.0/24"));
        assert_eq!(peer("192.0.2.1", "198.51.100.7").as_deref(), Some("192.0.2.0/24"), "a stranger's word");
        assert_eq!(peer("2001:db8:1:2::1", "").as_deref(), Some("2001:db8:1::/48"));
        assert_eq!(peer("::ffff:192.0.2.1", "").as_deref(), Some("192.0.2.0/24"));
        assert_eq!(peer("127.0.0.1", ""), None);
    }
}
