//! Which ports belong to services that are used at many hosts or to P2P networks, and the name of a port in a sentence.

use crate::flow::PortHosts;

pub(super) const ICMP: u8 = 1;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const ICMPV6: u8 = 58;
pub(super) const SCTP: u8 = 132;

/// The port of SMTP. Mail relays contact many hosts there, and many hosts contact them there.
pub(super) const SMTP: (u8, u16) = (TCP, 25);

/// Returns true for the port of a service that one host uses at very many others: mail and names between servers, time,
/// the web.
pub(super) fn is_used_at_many_hosts(port: &PortHosts) -> bool {
    matches!((port.protocol, port.port), (TCP, 25 | 53 | 80 | 443) | (UDP, 53 | 123 | 443))
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

/// A service that clients do not use at many hosts: remote control, file sharing, databases. Worms and scanners look
/// for exactly these.
///
/// Shadowserver has a report "Accessible ..." of each service
/// (<https://www.shadowserver.org/what-we-do/network-reporting/>). The ports are those that IANA assigned, except four,
/// which IANA assigned to another service or to none: 1521, 5555 and 9200 are the defaults of Oracle's listener, of
/// adb (`adb tcpip`) and of Elasticsearch (`http.port`), and 2323 is the second Telnet port that Mirai tries
/// (Antonakakis et al. 2017). Services that monitors and game or telephone clients use at hundreds of hosts are not
/// among them: SNMP, IPMI, SIP, exporters of metrics.
const GUARDED_SERVICES: [(u8, u16, &str); 24] = [
    (TCP, 22, "SSH"),
    (TCP, 23, "Telnet"),
    (TCP, 135, "MS RPC"),
    (UDP, 137, "NetBIOS"),
    (TCP, 139, "NetBIOS"),
    (TCP, 445, "SMB"),
    (TCP, 1433, "MS SQL Server"),
    (UDP, 1434, "MS SQL Server"),
    (TCP, 1521, "Oracle"),
    (TCP, 2323, "Telnet"),
    (TCP, 2375, "Docker"),
    (TCP, 2376, "Docker"),
    (TCP, 3306, "MySQL"),
    (TCP, 3389, "RDP"),
    (TCP, 5432, "PostgreSQL"),
    (TCP, 5555, "ADB"),
    (TCP, 5900, "VNC"),
    (TCP, 5985, "WinRM"),
    (TCP, 5986, "WinRM"),
    (TCP, 6379, "Redis"),
    (TCP, 9200, "Elasticsearch"),
    (TCP, 11211, "Memcached"),
    (UDP, 11211, "Memcached"),
    (TCP, 27017, "MongoDB"),
];

/// Returns the name of a service that clients do not use at many hosts; `None` for the port of another one.
fn guarded_service(protocol: u8, port: u16) -> Option<&'static str> {
    let mut services = GUARDED_SERVICES.iter();
    services.find(|service| (service.0, service.1) == (protocol, port)).map(|service| service.2)
}

/// Returns true for the port of a service that clients do not use at many hosts.
pub(super) fn is_guarded(port: &PortHosts) -> bool {
    guarded_service(port.protocol, port.port).is_some()
}

/// Returns true for the requests of ICMP, which ask whether a host is there.
pub(super) fn is_ping(port: &PortHosts) -> bool {
    matches!(port.protocol, ICMP | ICMPV6)
}

/// Returns the name of a port in a sentence, with its preposition.
pub(crate) fn port_name(protocol: u8, port: u16) -> String {
    let service = guarded_service(protocol, port).map(|service| format!(" ({service})")).unwrap_or_default();
    match (protocol, port) {
        (ICMP, _) => "by ICMP".to_owned(),
        (ICMPV6, _) => "by ICMPv6".to_owned(),
        (TCP, port) => format!("at TCP port {port}{service}"),
        (UDP, port) => format!("at UDP port {port}{service}"),
        (SCTP, port) => format!("at SCTP port {port}"),
        (protocol, 0) => format!("by IP protocol {protocol}"),
        (protocol, port) => format!("at port {port} of IP protocol {protocol}"),
    }
}
