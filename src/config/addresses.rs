//! Reads addresses and networks. What no packet can match is refused with what to write instead: IPv4 addresses in the
//! form of IPv6, addresses of interfaces, of groups and of nobody.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net};

use super::value_error::ValueError;
use crate::flow::why_no_host;

/// Reads a network; an address is read as the network that contains only this address. `form` is how the value may be
/// written.
pub(super) fn network(text: &str, form: &str) -> Result<IpNet, ValueError> {
    let network: IpNet = match (text.parse(), text.parse::<IpAddr>().map(IpNet::from)) {
        (Ok(network), _) | (Err(_), Ok(network)) => network,
        (Err(_), Err(_)) => return Err(fault(text, form)),
    };
    if let IpNet::V6(v6) = network
        && let Some(v4) = embedded(v6.addr(), v6.prefix_len())
    {
        let label = "an IPv4 address in the form of IPv6";
        return Err(ValueError::new(
            label,
            format!("write {}: packets have the IPv4 address", shortest(v4.into())),
        ));
    }
    if network.trunc() != network {
        let form = format!("{} for the network with this address", network.trunc());
        return Err(ValueError::write("bits are set behind the prefix", form));
    }
    match why_no_host(&network) {
        None => Ok(network),
        Some(label) => {
            let help = "remove it: no host has such an address, so nothing would match";
            Err(ValueError::new(label, help))
        }
    }
}

/// Returns the IPv4 network within an IPv4-mapped or IPv4-compatible IPv6 network (RFC 4291, section 2.5.5), or `None`
/// if it is neither. `::` and `::1` have the form of the latter and are not meant.
fn embedded(addr: Ipv6Addr, prefix_len: u8) -> Option<Ipv4Net> {
    let v4_len = prefix_len.checked_sub(96)?;
    let is_own_kind = addr.is_unspecified() || addr.is_loopback();
    let v4 = addr.to_ipv4().filter(|_| !is_own_kind)?;
    Ipv4Net::new(v4, v4_len).ok().map(|network| network.trunc())
}

/// Returns why a text is neither an address nor a network, with what to write if it can be told.
fn fault(text: &str, form: &str) -> ValueError {
    if text.contains(BRACKETS) {
        return with_remedy("brackets do not belong here", parsed(&text.replace(BRACKETS, "")), form);
    }
    if text.contains(char::is_whitespace) {
        return ValueError::write("no comma between these", form);
    }
    let (addr, len) = text.split_once('/').map_or((text, None), |(addr, len)| (addr, Some(len)));
    if let Some((addr, _)) = addr.split_once('%')
        && addr.parse::<Ipv6Addr>().is_ok()
    {
        return ValueError::write("an address with an interface", format!("{addr}, on whatever interface"));
    }
    if let (Ok(addr), Some(len)) = (addr.parse(), len) {
        return bad_prefix(addr, len, form);
    }
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return with_remedy("an address with a port", Some(socket.ip().into()), form);
    }
    if let Some((first, last)) = text.split_once('-')
        && (parsed(first).is_some() || parsed(last).is_some())
    {
        return ValueError::write("a range", form);
    }
    if addr.contains('*') {
        return ValueError::write("a pattern, not a network", form);
    }
    if is_mac(text) {
        return ValueError::write("a MAC address", form);
    }
    if len.is_none() && text.contains(|c: char| c.is_alphabetic()) && !text.contains(':') {
        return ValueError::new("a name, not an address", format!("names are not looked up: write {form}"));
    }
    ValueError::write("neither an address nor a network", form)
}

/// Returns the error about the text behind the slash of `addr`.
fn bad_prefix(addr: IpAddr, len: &str, form: &str) -> ValueError {
    let (version, max) = match addr {
        IpAddr::V4(_) => ("IPv4", 32),
        IpAddr::V6(_) => ("IPv6", 128),
    };
    if let (IpAddr::V4(addr), Ok(mask)) = (addr, len.parse::<Ipv4Addr>()) {
        // A mask of Cisco's access lists has the bits inverted.
        let inverted = Ipv4Addr::from(!u32::from(mask));
        let network = [mask, inverted].into_iter().find_map(|mask| Ipv4Net::with_netmask(addr, mask).ok());
        return with_remedy("a netmask", network.map(|network| network.trunc().into()), form);
    }
    if let Some(len) = len.parse::<u8>().ok().filter(|len| *len <= max) {
        return with_remedy("zeros before the prefix length", parsed(&format!("{addr}/{len}")), form);
    }
    if !len.is_empty() && len.bytes().all(|byte| byte.is_ascii_digit()) {
        let label = format!("an {version} prefix has at most {max} bits");
        return ValueError::write(label, format!("{addr}/{max} for one address; else {form}"));
    }
    ValueError::write("no prefix length", form)
}

/// Returns an error whose remedy is to write this network, or `form` if it is not known.
fn with_remedy(label: &str, network: Option<IpNet>, form: &str) -> ValueError {
    let network = network.map(shortest);
    let remedy: &dyn Display = network.as_ref().map_or(&form, |network| network);
    ValueError::write(label, remedy)
}

/// Returns the network of an address or a network, or `None` if the text is neither.
fn parsed(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// Returns a network as one would write it: without the prefix length if it is one address.
fn shortest(network: IpNet) -> String {
    match network.prefix_len() == network.max_prefix_len() {
        true => network.addr().to_string(),
        false => network.to_string(),
    }
}

/// Returns true for six pairs of hexadecimal digits.
fn is_mac(text: &str) -> bool {
    let is_pair = |pair: &str| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
    let pairs: Vec<&str> = text.split([':', '-']).collect();
    pairs.len() == 6 && pairs.into_iter().all(is_pair)
}

const BRACKETS: [char; 8] = ['[', ']', '(', ')', '{', '}', '<', '>'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_networks_that_hosts_can_have_are_read() {
        let cases = [
            ("10.0.0.5", "10.0.0.5/32"),
            ("10.0.9.0/24", "10.0.9.0/24"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("0.0.0.0/8", "0.0.0.0/8"),
            ("128.0.0.0/1", "128.0.0.0/1"),
            ("255.255.255.254/31", "255.255.255.254/31"),
            ("::/0", "::/0"),
            ("::1", "::1/128"),
            ("fe80::/10", "fe80::/10"),
            ("fc00::/6", "fc00::/6"),
            // Addresses that translate IPv4 (RFC 6052) are in packets.
            ("64:ff9b::10.0.0.1", "64:ff9b::a00:1/128"),
        ];
        for (text, expected) in cases {
            let network = network(text, "FORM").unwrap_or_else(|error| panic!("{text}: {error:?}"));
            assert_eq!(network.to_string(), expected);
        }
    }

    #[test]
    fn what_matches_nothing_is_refused_with_what_to_write() {
        let cases = [
            ("::ffff:10.0.0.1", "in the form of IPv6", "write 10.0.0.1: "),
            ("::ffff:a00:1", "in the form of IPv6", "write 10.0.0.1: "),
            ("::ffff:10.0.0.0/104", "in the form of IPv6", "write 10.0.0.0/8: "),
            ("::ffff:10.0.0.1/104", "in the form of IPv6", "write 10.0.0.0/8: "),
            ("::ffff:0:0/96", "in the form of IPv6", "write 0.0.0.0/0: "),
            ("::10.0.0.1", "in the form of IPv6", "write 10.0.0.1: "),
            ("[::ffff:10.0.0.1]", "brackets", "write ::ffff:10.0.0.1"),
            ("fe80::1%eth0", "with an interface", "write fe80::1, on whatever interface"),
            ("fe80::%eth0/64", "with an interface", "write fe80::, on whatever interface"),
            ("[fd00::1]", "brackets", "write fd00::1"),
            ("[fd00::]/8", "brackets", "write fd00::/8"),
            ("(10.0.0.5)", "brackets", "write 10.0.0.5"),
            ("<router>", "brackets", "write FORM"),
            (
                "10.0.0.0/33",
                "an IPv4 prefix has at most 32 bits",
                "write 10.0.0.0/32 for one address; else FORM",
            ),
            ("fd00::/129", "an IPv6 prefix has at most 128 bits", "write fd00::/128"),
            ("10.0.0.0/024", "zeros before", "write 10.0.0.0/24"),
            ("10.0.0.0/999", "at most 32 bits", "FORM"),
            ("10.0.0.0/", "no prefix length", "write FORM"),
            ("10.0.0.0/x", "no prefix length", "write FORM"),
            ("10.0.0.1/255.255.255.0", "a netmask", "write 10.0.0.0/24"),
            ("10.0.0.0/0.0.0.255", "a netmask", "write 10.0.0.0/24"),
            ("10.0.0.0/255.0.255.0", "a netmask", "write FORM"),
            ("10.0.0.1-10.0.0.9", "a range", "write FORM"),
            ("10.0.0.1-9", "a range", "write FORM"),
            ("10.0.5.*", "a pattern", "write FORM"),
            ("10.0.0.1:53", "an address with a port", "write 10.0.0.1"),
            ("aa:bb:cc:dd:ee:ff", "a MAC address", "write FORM"),
            ("AA-BB-CC-DD-EE-FF", "a MAC address", "write FORM"),
            ("router", "a name", "names are not looked up: write FORM"),
            ("nas.lan", "a name", "names are not looked up"),
            ("10.0.0.5 10.0.0.6", "no comma between these", "write FORM"),
            ("10.0.0", "neither an address nor a network", "write FORM"),
            ("010.0.0.1", "neither an address nor a network", "write FORM"),
            ("10.0.0.256", "neither an address nor a network", "write FORM"),
            ("fd00:::1", "neither an address nor a network", "write FORM"),
            ("10.0.0.5/24", "bits are set behind the prefix", "write 10.0.0.0/24"),
            ("224.0.0.0/4", "multicast", "remove it"),
            ("239.1.2.3", "multicast", "remove it"),
            ("ff02::1", "multicast", "remove it"),
            ("ff00::/8", "multicast", "remove it"),
            ("255.255.255.255", "the broadcast address", "remove it"),
            ("0.0.0.0", "the unspecified address", "remove it"),
            ("::", "the unspecified address", "remove it"),
            ("::/128", "the unspecified address", "remove it"),
        ];
        for (text, label, help) in cases {
            let error = network(text, "FORM").expect_err(text);
            assert!(error.label.contains(label), "{text}: {}", error.label);
            assert!(error.help.contains(help), "{text}: {}", error.help);
        }
    }
}
