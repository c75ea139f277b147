//! Named frames and what they decode to.

use traffic_alerted::packet::{Frame, LinkKind, Skip, TcpFlags, Transport};

use super::build::*;
use super::seed;

/// A frame with a name.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) link: LinkKind,
    pub(crate) frame_len: u32,
    pub(crate) bytes: Vec<u8>,
    /// Bytes by the byte rule, protocol and transport; or the reason to skip the frame.
    pub(crate) expected: Result<(u32, u8, Transport), Skip>,
}

impl Sample {
    pub(crate) fn frame(&self) -> Frame<'_> {
        seed::frame(self.link, self.frame_len, &self.bytes)
    }

    /// Declares that the frame had `beyond` more bytes than were captured.
    fn cut(mut self, beyond: u32) -> Self {
        self.frame_len += beyond;
        self
    }
}

/// The sample of that name.
///
/// # Panics
/// There is none.
pub(crate) fn sample(name: &str) -> Sample {
    catalogue().into_iter().find(|sample| sample.name == name).expect("a name of the catalogue")
}

pub(crate) fn catalogue() -> Vec<Sample> {
    let kinds = [plain(), links(), ipv4_forms(), ipv6_forms(), transports(), errors(), refused()];
    kinds.into_iter().flatten().collect()
}

/// Frames like nearly all traffic.
fn plain() -> Vec<Sample> {
    let tcp = || tcp(40_000, 443, TcpFlags::ACK, 0);
    let udp18 = || udp(40_000, 443, 18);
    vec![
        ethernet_sample("ipv4_tcp", IPV4, &ipv4(TCP, &tcp()), Ok((40, TCP, TCP_ACK))),
        ethernet_sample("ipv4_udp", IPV4, &ipv4(UDP, &udp18()), Ok((46, UDP, PORTS))),
        ethernet_sample("ipv6_tcp", IPV6, &ipv6(TCP, &tcp()), Ok((60, TCP, TCP_ACK))),
        ethernet_sample("ipv6_udp", IPV6, &ipv6(UDP, &udp18()), Ok((66, UDP, PORTS))),
        ethernet_sample("vlan_ipv4_tcp", 0x8100, &vlan(7, IPV4, &ipv4(TCP, &tcp())), Ok((40, TCP, TCP_ACK))),
        ethernet_sample("vlan_ipv6_udp", 0x8100, &vlan(7, IPV6, &ipv6(UDP, &udp18())), Ok((66, UDP, PORTS))),
        // What the ring's snap length leaves of a full-sized segment.
        ethernet_sample(
            "ipv4_tcp_snapped",
            IPV4,
            &ipv4_with(
                Ipv4 { protocol: TCP, total_len: Some(1500), ..Ipv4::default() },
                &self::tcp(40_000, 443, TcpFlags::ACK, 80),
            ),
            Ok((1500, TCP, TCP_ACK)),
        )
        .cut(1380),
    ]
}

/// Every link layer in front of the IP header.
fn links() -> Vec<Sample> {
    let v4 = ipv4(UDP, &udp(40_000, 443, 4));
    let v6 = ipv6(UDP, &udp(40_000, 443, 4));
    let v4_udp = Ok((32, UDP, PORTS));
    let v6_udp = Ok((52, UDP, PORTS));
    let sll =
        |ether_type: u16, ip: &[u8]| join(&[&[0, 0, 0, 1, 0, 6], &[0; 8], &ether_type.to_be_bytes(), ip]);
    let sll2 = |ether_type: u16, ip: &[u8]| {
        join(&[&ether_type.to_be_bytes(), &[0, 0, 0, 0, 0, 2, 0, 1, 0, 6], &[0; 8], ip])
    };
    vec![
        ethernet_sample("qinq", 0x88a8, &vlan(7, 0x8100, &vlan(8, IPV4, &v4)), v4_udp),
        ethernet_sample(
            "four_tags",
            0x9100,
            &vlan(7, 0x9200, &vlan(8, 0x88a8, &vlan(9, 0x8100, &vlan(10, IPV6, &v6)))),
            v6_udp,
        ),
        ethernet_sample("mpls", 0x8847, &mpls(16, false, &mpls(17, true, &v4)), v4_udp),
        ethernet_sample("mpls_in_vlan", 0x8100, &vlan(7, 0x8848, &mpls(17, true, &v6)), v6_udp),
        ethernet_sample("pppoe_ipv4", 0x8864, &pppoe(&join(&[&[0, 0x21], &v4])), v4_udp),
        ethernet_sample("pppoe_ipv6_short_protocol", 0x8864, &pppoe(&join(&[&[0x57], &v6])), v6_udp),
        ethernet_sample(
            "pppoe_in_qinq",
            0x88a8,
            &vlan(7, 0x8100, &vlan(8, 0x8864, &pppoe(&join(&[&[0, 0x21], &v4])))),
            v4_udp,
        ),
        ethernet_sample("snap", 40, &join(&[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &v4]), v4_udp),
        ethernet_sample("llc", 35, &join(&[&[6, 6, 3], &v4]), v4_udp),
        link_sample("raw_ipv4", LinkKind::RawIp, &v4, v4_udp),
        link_sample("raw_ipv6", LinkKind::RawIp, &v6, v6_udp),
        link_sample("ipv4_link", LinkKind::Ipv4, &v4, v4_udp),
        link_sample("ipv6_link", LinkKind::Ipv6, &v6, v6_udp),
        link_sample("sll", LinkKind::LinuxSll, &sll(IPV4, &v4), v4_udp),
        link_sample("sll2", LinkKind::LinuxSll2, &sll2(IPV6, &v6), v6_udp),
        link_sample("sll_vlan", LinkKind::LinuxSll, &sll(0x8100, &vlan(7, IPV4, &v4)), v4_udp),
        link_sample("ppp_hdlc", LinkKind::Ppp, &join(&[&[0xff, 3, 0, 0x21], &v4]), v4_udp),
        link_sample("ppp_mpls", LinkKind::Ppp, &join(&[&[2, 0x81], &mpls(17, true, &v6)]), v6_udp),
        link_sample("ppp_cisco", LinkKind::Ppp, &join(&[&[0x0f, 0, 8, 0], &v4]), v4_udp),
        link_sample("pppoe_link", LinkKind::PppoeSession, &pppoe(&join(&[&[0, 0x57], &v6])), v6_udp),
        link_sample("loopback_little", LinkKind::BsdLoopback, &join(&[&[2, 0, 0, 0], &v4]), v4_udp),
        link_sample("loopback_big", LinkKind::BsdLoopback, &join(&[&[0, 0, 0, 30], &v6]), v6_udp),
        link_sample(
            "nflog_little",
            LinkKind::Nflog,
            &nflog(2, false, &[(1, 4), (5, 4), (10, 5)], &v4),
            v4_udp,
        ),
        link_sample("nflog_big", LinkKind::Nflog, &nflog(10, true, &[(1, 4), (0x8014, 8)], &v6), v6_udp),
        link_sample("nflog_bridge", LinkKind::Nflog, &nflog(7, false, &[(1, 4)], &v4), v4_udp),
        link_sample("cisco_hdlc", LinkKind::CiscoHdlc, &join(&[&[0x8f, 0, 0x86, 0xdd], &v6]), v6_udp),
    ]
}

fn ipv4_forms() -> Vec<Sample> {
    let segment = tcp(40_000, 443, TcpFlags::ACK, 0);
    let form = |header| ipv4_with(Ipv4 { protocol: TCP, ..header }, &segment);
    vec![
        ethernet_sample(
            "ipv4_options",
            IPV4,
            &form(Ipv4 { options: vec![0x94, 4, 0, 0], ..Ipv4::default() }),
            Ok((44, TCP, TCP_ACK)),
        ),
        ethernet_sample(
            "ipv4_first_fragment",
            IPV4,
            &form(Ipv4 { fragment: 0x2000, ..Ipv4::default() }),
            Ok((40, TCP, TCP_ACK)),
        ),
        ethernet_sample(
            "ipv4_later_fragment",
            IPV4,
            &form(Ipv4 { fragment: 0x00b9, ..Ipv4::default() }),
            Ok((40, TCP, Transport::LaterFragment)),
        ),
        ethernet_sample(
            "ipv4_authentication",
            IPV4,
            &ipv4(51, &authentication(TCP, 24, &segment)),
            Ok((64, TCP, TCP_ACK)),
        ),
        ethernet_sample(
            "ipv4_segmented_later",
            IPV4,
            &form(Ipv4 { total_len: Some(0), ..Ipv4::default() }),
            Ok((65_046, TCP, TCP_ACK)),
        )
        .cut(65_000),
        ethernet_sample(
            "ipv4_length_lies",
            IPV4,
            &form(Ipv4 { total_len: Some(1500), ..Ipv4::default() }),
            Ok((46, TCP, TCP_ACK)),
        ),
        ethernet_sample("ipv4_in_ipv4", IPV4, &ipv4(4, &ipv4(TCP, &segment)), Ok((60, 4, Transport::Other))),
    ]
}

fn ipv6_forms() -> Vec<Sample> {
    let segment = tcp(40_000, 443, TcpFlags::ACK, 0);
    let chain = extension(60, 8, &extension(43, 16, &extension(44, 24, &fragment(TCP, 0, true, &segment))));
    vec![
        ethernet_sample("ipv6_extensions", IPV6, &ipv6(0, &chain), Ok((116, TCP, TCP_ACK))),
        ethernet_sample(
            "ipv6_later_fragment",
            IPV6,
            &ipv6(44, &fragment(TCP, 181, false, &segment)),
            Ok((68, TCP, Transport::LaterFragment)),
        ),
        ethernet_sample(
            "ipv6_authentication",
            IPV6,
            &ipv6(51, &authentication(TCP, 24, &segment)),
            Ok((84, TCP, TCP_ACK)),
        ),
        ethernet_sample(
            "ipv6_mobility",
            IPV6,
            &ipv6(135, &extension(59, 8, &[])),
            Ok((48, 59, Transport::Other)),
        ),
        ethernet_sample(
            "ipv6_jumbo",
            IPV6,
            &ipv6_with(0, 0, &jumbo(TCP, 100_000, &segment)),
            Ok((100_040, TCP, TCP_ACK)),
        )
        .cut(99_972),
        ethernet_sample(
            "ipv6_segmented_later",
            IPV6,
            &ipv6_with(TCP, 0, &segment),
            Ok((200_060, TCP, TCP_ACK)),
        )
        .cut(200_000),
        ethernet_sample(
            "ipv6_endless_extensions",
            IPV6,
            &ipv6(60, &extension(60, 8, &[]).repeat(70)),
            Ok((600, 60, Transport::Other)),
        ),
    ]
}

fn transports() -> Vec<Sample> {
    let v4 = |protocol, payload: &[u8]| ipv4(protocol, payload);
    let sctp = join(&[&40_000u16.to_be_bytes(), &443u16.to_be_bytes(), &[0; 8], &[1, 0, 0, 20]]);
    let init = Transport::Sctp { src_port: 40_000, dst_port: 443, chunk: Some(1) };
    let syn = Transport::Tcp { src_port: 40_000, dst_port: 443, flags: Some(TcpFlags(TcpFlags::SYN)) };
    vec![
        ethernet_sample("tcp_syn", IPV4, &v4(TCP, &tcp(40_000, 443, TcpFlags::SYN, 0)), Ok((40, TCP, syn))),
        ethernet_sample(
            "icmp_echo",
            IPV4,
            &v4(ICMP, &[8, 0, 0, 0, 0, 1, 0, 1]),
            Ok((28, ICMP, Transport::Icmp { kind: 8 })),
        ),
        ethernet_sample(
            "icmpv6_echo",
            IPV6,
            &ipv6(ICMPV6, &[128, 0, 0, 0, 0, 1, 0, 1]),
            Ok((48, ICMPV6, Transport::Icmp { kind: 128 })),
        ),
        ethernet_sample("sctp_init", IPV4, &v4(132, &sctp), Ok((36, 132, init))),
        ethernet_sample("udp_lite", IPV4, &v4(136, &udp(40_000, 443, 0)), Ok((28, 136, PORTS))),
        ethernet_sample("dccp", IPV4, &v4(33, &udp(40_000, 443, 8)), Ok((36, 33, PORTS))),
        ethernet_sample("gre", IPV4, &v4(47, &[0, 0, 8, 0]), Ok((24, 47, Transport::Other))),
        // The frame is padded, and the padding would read as ports.
        ethernet_sample("udp_without_header", IPV4, &v4(UDP, &[]), Ok((20, UDP, Transport::Other))),
    ]
}

/// ICMP errors, with the packet that their receiver had sent.
fn errors() -> Vec<Sample> {
    let mut asked = ipv4(UDP, &udp(40_000, 443, 0));
    (asked[15], asked[19]) = (2, 1);
    let mut asked_v6 = ipv6(UDP, &udp(40_000, 443, 0));
    (asked_v6[23], asked_v6[39]) = (2, 1);
    let v4 = |code| ipv4(ICMP, &join(&[&[3, code, 0, 0, 0, 0, 0, 0], &asked]));
    let v6 = ipv6(ICMPV6, &join(&[&[1, 4, 0, 0, 0, 0, 0, 0], &asked_v6]));
    let unreachable = Transport::Icmp { kind: 3 };
    vec![
        ethernet_sample("icmp_unreachable", IPV4, &v4(3), Ok((56, ICMP, unreachable))),
        ethernet_sample("icmp_fragmentation_needed", IPV4, &v4(4), Ok((56, ICMP, unreachable))),
        ethernet_sample("icmpv6_unreachable", IPV6, &v6, Ok((96, ICMPV6, Transport::Icmp { kind: 1 }))),
    ]
}

fn refused() -> Vec<Sample> {
    let v4 = ipv4(UDP, &udp(40_000, 443, 4));
    let first_byte = |byte| join(&[&[byte], &v4[1..]]);
    let short = ipv4_with(Ipv4 { protocol: UDP, total_len: Some(19), ..Ipv4::default() }, &[]);
    let mut deep = v4.clone();
    let mut ether_type = IPV4;
    for _ in 0..70 {
        (deep, ether_type) = (vlan(7, ether_type, &deep), 0x8100);
    }
    vec![
        ethernet_sample("arp", 0x0806, &[0, 1, 8, 0, 6, 4, 0, 1], Err(Skip::NotIp)),
        ethernet_sample("spanning_tree", 38, &[0x42, 0x42, 3, 0, 0, 0], Err(Skip::NotIp)),
        ethernet_sample("pseudowire", 0x8847, &mpls(17, true, &[0; 20]), Err(Skip::MplsPseudowire)),
        ethernet_sample("deep_tags", ether_type, &deep, Err(Skip::LinkTooDeep)),
        link_sample("other_link", LinkKind::Unsupported(10), &v4, Err(Skip::UnsupportedLink)),
        link_sample(
            "nflog_without_packet",
            LinkKind::Nflog,
            &nflog(2, false, &[(1, 4)], &[])[..12],
            Err(Skip::NotIp),
        ),
        link_sample("nflog_of_arp", LinkKind::Nflog, &nflog(3, false, &[(4, 4)], &v4), Err(Skip::NotIp)),
        link_sample(
            "nflog_cut",
            LinkKind::Nflog,
            &nflog(2, false, &[(10, 40)], &v4)[..30],
            Err(Skip::LinkTruncated),
        ),
        link_sample(
            "nflog_endless",
            LinkKind::Nflog,
            &nflog(2, false, &[(4, 4); 65], &v4),
            Err(Skip::LinkTooDeep),
        ),
        link_sample("cut_link", LinkKind::Ethernet, &[0; 13], Err(Skip::LinkTruncated)).cut(100),
        link_sample("cut_ip", LinkKind::RawIp, &v4[..19], Err(Skip::IpTruncated)).cut(13),
        ethernet_sample("version_lies", IPV4, &first_byte(0x65), Err(Skip::IpVersion)),
        ethernet_sample("header_length_lies", IPV4, &first_byte(0x44), Err(Skip::IpHeaderLength)),
        ethernet_sample("total_length_lies", IPV4, &short, Err(Skip::IpTotalLength)),
    ]
}

fn ethernet_sample(
    name: &'static str,
    ether_type: u16,
    rest: &[u8],
    expected: Result<(u32, u8, Transport), Skip>,
) -> Sample {
    link_sample(name, LinkKind::Ethernet, &padded(ethernet(ether_type, rest)), expected)
}

fn link_sample(
    name: &'static str,
    link: LinkKind,
    bytes: &[u8],
    expected: Result<(u32, u8, Transport), Skip>,
) -> Sample {
    Sample { name, link, frame_len: bytes.len() as u32, bytes: bytes.to_vec(), expected }
}

const PORTS: Transport = Transport::Ports { src_port: 40_000, dst_port: 443 };
const TCP_ACK: Transport =
    Transport::Tcp { src_port: 40_000, dst_port: 443, flags: Some(TcpFlags(TcpFlags::ACK)) };
