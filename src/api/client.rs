//! Who is at the other end of a connection: a user of this host, or an address.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use hyper::header::{FORWARDED, HeaderMap, VIA};
use ipnet::{IpNet, Ipv6Net};

/// Who is at the other end of a connection. The kernel says so; the client cannot choose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// A process that has connected to the Unix socket (SO_PEERCRED, unix(7)).
    Unix {
        /// Its user.
        uid: u32,
        /// Its primary group.
        gid: u32,
    },
    /// A client over TCP.
    Network {
        /// Its address; an IPv4 address is never in the form of IPv6.
        addr: IpAddr,
        /// The user that its socket belongs to, if it is on this host and the kernel says so.
        uid: Option<u32>,
    },
}

/// Those clients that share a limit on connections and the pauses after wrong tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    /// A user of this host.
    User(u32),
    /// The users of this host that the kernel does not name.
    UnknownUsers,
    /// An IPv4 address, or the 64 bits of an IPv6 address that one subscriber has.
    Remote(IpNet),
}

/// Who comes first when connections are short: those further down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Rank {
    /// A client on another machine.
    Remote,
    /// A user of this host.
    Local,
    /// A user who may make changes at the Unix socket.
    Trusted,
}

impl Client {
    /// Returns true if the client is on this host.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::Unix { .. } => true,
            Self::Network { addr, .. } => addr.is_loopback(),
        }
    }

    /// Returns those with whom the client shares its limits.
    pub(super) fn holder(&self) -> Holder {
        match *self {
            Self::Unix { uid, .. } => Holder::User(uid),
            Self::Network { addr, uid } if addr.is_loopback() => {
                uid.map_or(Holder::UnknownUsers, Holder::User)
            }
            Self::Network { addr: IpAddr::V6(addr), .. } => Holder::Remote(IpNet::V6(subscriber(addr))),
            Self::Network { addr, .. } => Holder::Remote(addr.into()),
        }
    }
}

/// Returns true if a proxy has forwarded the request for somebody else: it has `Forwarded` (RFC 7239), `Via` (RFC 9110,
/// 7.6.3), or one of the headers that proxies added before there was a standard. Whoever adds one himself only loses
/// rights.
pub(super) fn is_forwarded(headers: &HeaderMap) -> bool {
    let is_mark = |name: &str| name.starts_with("x-forwarded-") || name == "x-real-ip";
    headers.contains_key(FORWARDED)
        || headers.contains_key(VIA)
        || headers.keys().any(|name| is_mark(name.as_str()))
}

/// Returns the /64 of an IPv6 address.
fn subscriber(addr: Ipv6Addr) -> Ipv6Net {
    Ipv6Net::new_assert(addr, 64).trunc()
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix { uid, .. } => write!(f, "uid {uid} at the socket"),
            Self::Network { addr, uid: Some(uid) } => write!(f, "uid {uid} at {addr}"),
            Self::Network { addr, uid: None } => write!(f, "{addr}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(addr: &str) -> Client {
        Client::Network { addr: addr.parse().expect("an address"), uid: None }
    }

    #[test]
    fn users_of_this_host_and_addresses_have_limits_of_their_own() {
        let socket = Client::Unix { uid: 7, gid: 8 };
        let loopback = Client::Network { addr: "127.0.0.1".parse().expect("an address"), uid: Some(7) };
        assert_eq!(socket.holder(), loopback.holder());
        assert_eq!(remote("::1").holder(), Holder::UnknownUsers);
        assert_eq!(remote("fd00::1").holder(), remote("fd00::ffff").holder());
        assert_ne!(remote("fd00::1").holder(), remote("fd00:0:0:1::1").holder());
        assert_ne!(remote("10.0.0.1").holder(), remote("10.0.0.2").holder());
        assert!(socket.is_local() && remote("::1").is_local() && !remote("10.0.0.1").is_local());
        let texts = [socket, loopback, remote("fd00::1")].map(|client| client.to_string());
        assert_eq!(texts, ["uid 7 at the socket", "uid 7 at 127.0.0.1", "fd00::1"]);
    }
}
