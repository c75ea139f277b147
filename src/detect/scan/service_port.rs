//! Which ports belong to services that are used at many hosts or to P2P networks, and the name of a port in a sentence.

use crate::flow::PortHosts;

pub(super) const ICMP: u8 = 1;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const ICMPV6: u8 = 58;
pub(super) const SCTP: u8 = 132;

/// The port of SMTP. Mail relays contact many hosts there, and many hosts contact them there.
pub(super) const SMTP: u16 = 25;

/// Returns true for the port of a service that one host uses at very many others: mail and names between servers, time,
/// the web.
pub(super) fn is_used_at_many_hosts(port: &PortHosts) -> bool {
    matches!((port.protocol, port.port), (TCP, SMTP | 53 | 80 | 443) | (UDP, 53 | 123 | 443))
}

/// Returns true for a known port of a P2P network: eDonkey, Fasttrack, BitTorrent, Gnutella, MP2P, Direct Connect
/// (Karagiannis et al. 2004), and the default ports of Bitcoin, Ethereum and IPFS. Contacts to peers fail often,
/// since most known peers have left the network.
pub(super) fn is_p2p(port: &PortHosts) -> bool {
    let is_older = matches!(
        port.port,
        4661..=4665 | 4672 | 1214 | 6881..=6889 | 6346..=6347 | 41170 | 411..=412
    );
    matches!(port.protocol, TCP | UDP) && (is_older || matches!(port.port, 8333 | 30303 | 4001))
}

/// Returns the name of a port in a sentence, with its preposition.
pub(super) fn port_name(port: &PortHosts) -> String {
    match (port.protocol, port.port) {
        (ICMP, _) => "by ICMP".to_owned(),
        (ICMPV6, _) => "by ICMPv6".to_owned(),
        (TCP, port) => format!("at TCP port {port}"),
        (UDP, port) => format!("at UDP port {port}"),
        (SCTP, port) => format!("at SCTP port {port}"),
        (protocol, 0) => format!("by IP protocol {protocol}"),
        (protocol, port) => format!("at port {port} of IP protocol {protocol}"),
    }
}
