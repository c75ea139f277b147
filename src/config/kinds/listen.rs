//! The kind for the address on which HTTP listens.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::context::Context;
use crate::config::kind::Kind;
use crate::config::value_error::ValueError;

/// A loopback address and a port.
pub(in crate::config) struct LoopbackAddress;

impl Kind<SocketAddr> for LoopbackAddress {
    fn form(&self) -> String {
        "an address and a port: 127.0.0.1:8698 or [::1]:8698".to_owned()
    }

    fn read(&self, text: &str, _: &Context) -> Result<SocketAddr, ValueError> {
        let address: SocketAddr = text.parse().map_err(|_| ValueError::write(fault(text), self.form()))?;
        if text.contains('%') {
            return Err(ValueError::write("an address with an interface", self.form()));
        }
        if address.ip().to_canonical().is_loopback() {
            return Ok(address);
        }
        let help = "until the API can ask for a token it serves this machine only: write 127.0.0.1 or [::1], and \
                    reach it from elsewhere through ssh -L or a proxy that asks who it is";
        Err(ValueError::new("not a loopback address", help))
    }

    fn print(&self, value: &SocketAddr) -> String {
        value.to_string()
    }
}

/// Returns true for an IPv4 address in brackets.
fn is_ipv4_in_brackets(text: &str) -> bool {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    bare.is_some_and(|ip| ip.parse::<Ipv4Addr>().is_ok())
}

/// Returns why a text is not an address with a port.
fn fault(text: &str) -> &'static str {
    match (text.parse::<IpAddr>(), text.rsplit_once(':')) {
        (Ok(_), _) => "no port",
        (_, Some((ip, _))) if ip.parse::<Ipv6Addr>().is_ok() => "IPv6 needs brackets",
        (_, Some(("localhost", _))) => "a name, not an address",
        _ if text.contains("://") => "a URL, not an address and a port",
        _ if text.contains('%') => "an address with an interface",
        (_, Some((ip, _))) if is_ipv4_in_brackets(ip) => "IPv4 has no brackets",
        _ => "not an address and a port",
    }
}
