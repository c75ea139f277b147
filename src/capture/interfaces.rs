//! Reads the interfaces of this network namespace and their relations, the forwarding settings of this machine, and its
//! addresses.
//!
//! They are read over rtnetlink, which also works if a hardened unit hides /proc/sys. Names are bytes: the kernel
//! allows any byte but `/`, white space and NUL in them. So attributes are read one by one here: a library with typed
//! messages (netlink-packet-route) refuses a whole link if its name is not UTF-8.
//!
//! This file does not contain which interfaces are monitored or excluded.
//!
//! Sources: rtnetlink(7); `include/uapi/linux/{if_link,if_addr,netconf}.h`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use super::error::NetlinkError;
use super::netlink::{AF_INET, AF_INET6, DumpRequest, NetlinkSocket, attributes, ip};
use super::stations::Station;
use super::tc_filter::MirredRule;
use crate::escape::Escaped;
use ipnet::IpNet;

/// The interfaces, addresses and forwarding settings of this namespace at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Interfaces {
    /// Every interface, in the order of the kernel's list.
    pub(super) links: Vec<Link>,
    /// True if IPv4 or IPv6 forwarding is on for any interface.
    pub(super) ip_forwarding: bool,
    /// Addresses of this machine, in the order of the kernel's list.
    pub(super) own_addresses: Vec<OwnAddress>,
    /// The rules by which traffic control sends frames of one interface to another. The link monitor adds them, since
    /// they change at other times.
    pub(super) mirred: Vec<MirredRule>,
}

/// An address of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OwnAddress {
    /// The address.
    pub(super) addr: IpAddr,
    /// The interface that has it.
    pub(super) ifindex: u32,
    /// The network that is attached to the interface, or the address of the peer on a point-to-point link; `None` if
    /// the prefix length is invalid.
    pub(super) prefix: Option<IpNet>,
}

impl OwnAddress {
    /// Returns the broadcast address of the attached network; `None` if it has none. An address of another scheme
    /// (`brd` of ip-address(8)) is not looked for.
    pub(super) fn broadcast(&self) -> Option<Ipv4Addr> {
        match self.prefix? {
            // Networks of two addresses have none (RFC 3021).
            IpNet::V4(network) => (network.prefix_len() < 31).then(|| network.broadcast()),
            IpNet::V6(_) => None,
        }
    }
}

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// Number of the interface, from 1.
    pub(super) ifindex: u32,
    /// Name of the interface.
    pub(super) name: InterfaceName,
    /// `ARPHRD_*`.
    pub(super) hatype: u16,
    /// The kind of virtual device (`IFLA_INFO_KIND`): `vlan`, `bridge`, `veth`; `None` for hardware and lo.
    pub(super) kind: Option<String>,
    /// The number of the bridge, bond or similar that it is a port of.
    pub(super) master: Option<u32>,
    /// The number of the interface that it is on top of, or of the other end of a veth pair; `None` if there is none in
    /// this namespace.
    pub(super) lower: Option<u32>,
    /// The VLAN ID of a VLAN device.
    pub(super) vlan_id: Option<u16>,
    /// All names since it was added, if that was at most a second ago: rings may still hold frames that were captured
    /// under them. Empty for other interfaces.
    pub(super) former_names: Vec<InterfaceName>,
    /// True if it is in promiscuous mode, for this process or another one.
    pub(super) is_promiscuous: bool,
    /// The link-layer address, if it has 6 bytes.
    pub(super) station: Option<Station>,
    /// True for a macvlan or macvtap that gets every frame of the lower device (mode `passthru`).
    pub(super) passes_through: bool,
}

impl Link {
    /// Makes an interface without relations to others.
    pub(super) fn alone(ifindex: u32, name: InterfaceName, hatype: u16) -> Self {
        Self {
            ifindex,
            name,
            hatype,
            kind: None,
            master: None,
            lower: None,
            vlan_id: None,
            former_names: Vec::new(),
            is_promiscuous: false,
            station: None,
            passes_through: false,
        }
    }
}

/// The name of an interface: at most 15 bytes, of any encoding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceName(Vec<u8>);

impl InterfaceName {
    /// Makes a name of its bytes, without the NUL.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// Makes a name of a netlink attribute, up to its NUL.
    pub(super) fn from_c_string(bytes: &[u8]) -> Self {
        Self::new(without_nul(bytes))
    }

    /// Returns the bytes of the name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for InterfaceName {
    /// Escapes hidden characters and bytes that are not UTF-8, since the name is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped::bytes(&self.0).fmt(f)
    }
}

impl Interfaces {
    /// Reads the present state.
    pub(super) fn read(netlink: &mut NetlinkSocket) -> Result<Self, NetlinkError> {
        let links = netlink.list(&links_request(&links_header()), Vec::new, |links, body| {
            links.push(parse_link(body)?);
            Ok(())
        })?;
        let own_addresses = netlink.list(&addresses_request(), Vec::new, |addresses, body| {
            addresses.extend(parse_address(body)?);
            Ok(())
        })?;
        let ip_forwarding = forwards(netlink, AF_INET)? || forwards(netlink, AF_INET6)?;
        Ok(Self { links, ip_forwarding, own_addresses, mirred: Vec::new() })
    }
}

/// Returns an empty `struct ifinfomsg`, which requests every family and every interface, and IFLA_EXT_MASK, which omits
/// statistics: the kernel would sum them over all CPUs for each interface.
fn links_header() -> [u8; 24] {
    let mut header = [0; 24];
    header[16..18].copy_from_slice(&8u16.to_ne_bytes());
    header[18..20].copy_from_slice(&libc::IFLA_EXT_MASK.to_ne_bytes());
    header[20..].copy_from_slice(&libc::RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
    header
}

fn links_request(header: &[u8; 24]) -> DumpRequest<'_> {
    DumpRequest { what: "interfaces", request: libc::RTM_GETLINK, reply: libc::RTM_NEWLINK, header }
}

fn addresses_request() -> DumpRequest<'static> {
    // An empty `struct ifaddrmsg`: every family, every interface.
    const HEADER: [u8; ADDRESS_HEADER_BYTES] = [0; ADDRESS_HEADER_BYTES];
    DumpRequest { what: "addresses", request: libc::RTM_GETADDR, reply: libc::RTM_NEWADDR, header: &HEADER }
}

/// Returns true if any interface, or the `all` setting for future ones, forwards packets of this family.
fn forwards(netlink: &mut NetlinkSocket, family: u8) -> Result<bool, NetlinkError> {
    let header = [family];
    let request = DumpRequest {
        what: "forwarding settings",
        request: libc::RTM_GETNETCONF,
        reply: libc::RTM_NEWNETCONF,
        header: &header,
    };
    let result = netlink.list(
        &request,
        || false,
        |any, body| {
            *any |= parse_forwarding(body)?;
            Ok(())
        },
    );
    match result {
        // The kernel does not support this address family.
        Err(error) if error.is_missing_family() => Ok(false),
        other => other,
    }
}

/// The fixed header of a link message (`struct ifinfomsg`).
pub(super) struct LinkHeader {
    /// Number of the interface.
    pub(super) ifindex: u32,
    /// `ARPHRD_*`.
    pub(super) hatype: u16,
    /// The flags that have changed (`ifi_change`); all bits are set for a new interface.
    pub(super) change: u32,
}

impl LinkHeader {
    /// Reads the header; its attributes follow after [`LINK_HEADER_BYTES`].
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let &header: &[u8; LINK_HEADER_BYTES] = body.first_chunk().ok_or("a link without its header")?;
        let [_, _, h0, h1, i0, i1, i2, i3, _, _, _, _, change @ ..] = header;
        Ok(Self {
            ifindex: u32::from_ne_bytes([i0, i1, i2, i3]),
            hatype: u16::from_ne_bytes([h0, h1]),
            change: u32::from_ne_bytes(change),
        })
    }
}

pub(super) fn parse_link(body: &[u8]) -> Result<Link, String> {
    let LinkHeader { ifindex, hatype, .. } = LinkHeader::parse(body)?;
    let mut link = Link::alone(ifindex, InterfaceName(Vec::new()), hatype);
    let mut lower_is_elsewhere = false;
    for attribute in attributes(body, LINK_HEADER_BYTES) {
        let attribute = attribute?;
        match attribute.kind() {
            libc::IFLA_IFNAME => link.name = InterfaceName::from_c_string(attribute.value()),
            libc::IFLA_MASTER => link.master = nonzero(attribute.value()),
            libc::IFLA_LINK => link.lower = nonzero(attribute.value()),
            libc::IFLA_LINK_NETNSID => lower_is_elsewhere = true,
            libc::IFLA_PROMISCUITY => link.is_promiscuous = nonzero(attribute.value()).is_some(),
            libc::IFLA_ADDRESS => link.station = Station::try_from(attribute.value()).ok(),
            libc::IFLA_LINKINFO => parse_link_info(attribute.value(), &mut link)?,
            _ => {}
        }
    }
    if lower_is_elsewhere {
        // IFLA_LINK is a number in another namespace.
        link.lower = None;
    }
    Ok(link)
}

fn parse_link_info(body: &[u8], link: &mut Link) -> Result<(), String> {
    let mut data = Vec::new();
    for attribute in attributes(body, 0) {
        let attribute = attribute?;
        match attribute.kind() {
            libc::IFLA_INFO_KIND => {
                link.kind = Some(String::from_utf8_lossy(without_nul(attribute.value())).into_owned());
            }
            libc::IFLA_INFO_DATA => data = attribute.value().to_vec(),
            _ => {}
        }
    }
    for attribute in attributes(&data, 0) {
        let attribute = attribute?;
        match (link.kind.as_deref(), attribute.kind()) {
            (Some("vlan"), IFLA_VLAN_ID) => {
                link.vlan_id = attribute.value().first_chunk().map(|&id| u16::from_ne_bytes(id));
            }
            (Some("macvlan" | "macvtap"), IFLA_MACVLAN_MODE) => {
                link.passes_through = nonzero(attribute.value()) == Some(MACVLAN_MODE_PASSTHRU);
            }
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn parse_address(body: &[u8]) -> Result<Option<OwnAddress>, String> {
    // `struct ifaddrmsg`: family, prefix length, flags, scope, number of the interface.
    let &[_, prefix_len, _, _, i0, i1, i2, i3] = body.first_chunk().ok_or("an address without its header")?;
    let ifindex = u32::from_ne_bytes([i0, i1, i2, i3]);
    let (mut local, mut address) = (None, None);
    for attribute in attributes(body, ADDRESS_HEADER_BYTES) {
        let attribute = attribute?;
        match attribute.kind() {
            libc::IFA_LOCAL => local = ip(attribute.value()),
            libc::IFA_ADDRESS => address = ip(attribute.value()),
            _ => {}
        }
    }
    // On a point-to-point link IFA_ADDRESS is that of the peer; IFA_LOCAL, if present, is always the own one.
    let prefix = address.or(local).and_then(|address| IpNet::new(address, prefix_len).ok());
    let prefix = prefix.map(|prefix| prefix.trunc());
    Ok(local.or(address).map(|addr| OwnAddress { addr, ifindex, prefix }))
}

pub(super) fn parse_forwarding(body: &[u8]) -> Result<bool, String> {
    let (mut ifindex, mut forwarding) = (0, 0);
    // `struct netconfmsg` is one byte, padded to 4.
    for attribute in attributes(body, 4) {
        let attribute = attribute?;
        let value = attribute.value().first_chunk().map_or(0, |&bytes| i32::from_ne_bytes(bytes));
        match attribute.kind() {
            NETCONFA_IFINDEX => ifindex = value,
            NETCONFA_FORWARDING => forwarding = value,
            _ => {}
        }
    }
    Ok(forwarding != 0 && ifindex != NETCONFA_IFINDEX_DEFAULT)
}

fn nonzero(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|&bytes| u32::from_ne_bytes(bytes)).filter(|&ifindex| ifindex != 0)
}

fn without_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Bytes of a `struct ifinfomsg`.
pub(super) const LINK_HEADER_BYTES: usize = size_of::<libc::ifinfomsg>();
/// Bytes of a `struct ifaddrmsg`.
const ADDRESS_HEADER_BYTES: usize = size_of::<libc::ifaddrmsg>();

// include/uapi/linux/if_link.h, netconf.h; libc lacks these.
const IFLA_VLAN_ID: u16 = 1;
const IFLA_MACVLAN_MODE: u16 = 1;
const MACVLAN_MODE_PASSTHRU: u32 = 8;
const NETCONFA_IFINDEX: u16 = 1;
const NETCONFA_FORWARDING: u16 = 2;
/// The setting that new interfaces inherit. It does not apply to packets itself.
const NETCONFA_IFINDEX_DEFAULT: i32 = -2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_and_other_bytes_of_a_name_are_escaped() {
        for (name, shown) in [
            (&b"eth0"[..], "eth0"),
            ("e\u{202e}0hte".as_bytes(), r"e\u{202e}0hte"),
            ("wg\u{200b}0\u{1b}".as_bytes(), r"wg\u{200b}0\u{1b}"),
            (b"a\xff", r"a\xff"),
        ] {
            assert_eq!(InterfaceName::new(name).to_string(), shown);
        }
    }
    use crate::capture::netlink::sample::attribute;

    fn link_message(ifindex: u32, hatype: u16, attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut out = vec![0, 0];
        out.extend(hatype.to_ne_bytes());
        out.extend(ifindex.to_ne_bytes());
        out.extend([0; 8]);
        out.extend(attributes.concat());
        out
    }

    #[test]
    fn a_link_is_read_with_a_name_that_is_not_utf8() {
        let info = [
            attribute(libc::IFLA_INFO_KIND, b"vlan\0"),
            attribute(libc::IFLA_INFO_DATA, &attribute(IFLA_VLAN_ID, &100u16.to_ne_bytes())),
        ];
        let message = link_message(
            70_000,
            libc::ARPHRD_ETHER,
            &[
                attribute(libc::IFLA_IFNAME, b"lan\xff\x01\0"),
                attribute(libc::IFLA_LINK, &2u32.to_ne_bytes()),
                attribute(libc::IFLA_MASTER, &9u32.to_ne_bytes()),
                attribute(libc::IFLA_LINKINFO, &info.concat()),
                attribute(libc::IFLA_PROMISCUITY, &2u32.to_ne_bytes()),
                attribute(libc::IFLA_ADDRESS, &[2, 0, 0, 0, 0, 7]),
                attribute(999, b"from a later kernel"),
            ],
        );
        let link = parse_link(&message).unwrap();
        assert_eq!(
            link,
            Link {
                ifindex: 70_000,
                name: InterfaceName::new(b"lan\xff\x01"),
                hatype: 1,
                kind: Some("vlan".into()),
                master: Some(9),
                lower: Some(2),
                vlan_id: Some(100),
                former_names: vec![],
                is_promiscuous: true,
                station: Some([2, 0, 0, 0, 0, 7]),
                passes_through: false,
            }
        );
        assert_eq!(link.name.to_string(), "lan\\xff\\u{1}");
    }

    #[test]
    fn a_macvlan_that_gets_every_frame_is_known_by_its_mode() {
        let read = |kind: &[u8], mode: u32| {
            let info = [
                attribute(libc::IFLA_INFO_DATA, &attribute(IFLA_MACVLAN_MODE, &mode.to_ne_bytes())),
                attribute(libc::IFLA_INFO_KIND, kind),
            ];
            let message = link_message(5, 1, &[attribute(libc::IFLA_LINKINFO, &info.concat())]);
            parse_link(&message).unwrap().passes_through
        };
        assert!(read(b"macvlan\0", 8) && read(b"macvtap\0", 8));
        assert!(!read(b"macvlan\0", 4) && !read(b"ipvlan\0", 8));
    }

    #[test]
    fn the_number_of_an_interface_in_another_namespace_is_ignored() {
        let message = link_message(
            5,
            libc::ARPHRD_ETHER,
            &[
                attribute(libc::IFLA_LINK, &5u32.to_ne_bytes()),
                attribute(libc::IFLA_LINK_NETNSID, &0u32.to_ne_bytes()),
            ],
        );
        assert_eq!(parse_link(&message).unwrap().lower, None);
    }

    #[test]
    fn a_cut_message_is_an_error() {
        let message = link_message(5, 1, &[attribute(libc::IFLA_IFNAME, b"eth0\0")]);
        assert!(parse_link(&message[..12]).is_err());
        assert!(parse_link(&message[..18]).is_err());
        assert!(parse_link(&message[..22]).is_err());
        assert!(parse_address(&[2, 24]).is_err());
    }

    #[test]
    fn the_own_address_of_a_point_to_point_link_is_the_local_one() {
        let own = |addr: [u8; 4], prefix: &str| {
            Ok(Some(OwnAddress { addr: addr.into(), ifindex: 3, prefix: prefix.parse().ok() }))
        };
        let mut header = [AF_INET, 24, 0, 0].to_vec();
        header.extend(3u32.to_ne_bytes());
        let address = |kind, value| attribute(kind, value);
        let (local, peer) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        let message = |attributes: &[Vec<u8>]| [header.clone(), attributes.concat()].concat();
        let plain = message(&[address(libc::IFA_ADDRESS, &local)]);
        assert_eq!(parse_address(&plain), own(local, "10.0.0.0/24"));
        let same = message(&[address(libc::IFA_ADDRESS, &local), address(libc::IFA_LOCAL, &local)]);
        assert_eq!(parse_address(&same), own(local, "10.0.0.0/24"));
        header[1] = 32;
        let message = |attributes: &[Vec<u8>]| [header.clone(), attributes.concat()].concat();
        let pointed = message(&[address(libc::IFA_ADDRESS, &peer), address(libc::IFA_LOCAL, &local)]);
        assert_eq!(parse_address(&pointed), own(local, "10.0.0.2/32"));
    }

    #[test]
    fn forwarding_is_on_if_the_setting_applies_to_packets() {
        let message = |ifindex: i32, forwarding: i32| {
            let mut out = vec![AF_INET, 0, 0, 0];
            out.extend(attribute(NETCONFA_IFINDEX, &ifindex.to_ne_bytes()));
            out.extend(attribute(NETCONFA_FORWARDING, &forwarding.to_ne_bytes()));
            out
        };
        for (ifindex, forwarding, expected) in
            [(3, 1, true), (-1, 1, true), (-2, 1, false), (3, 0, false), (-1, 0, false)]
        {
            assert_eq!(
                parse_forwarding(&message(ifindex, forwarding)),
                Ok(expected),
                "{ifindex} {forwarding}"
            );
        }
    }

    #[test]
    fn the_interfaces_of_this_machine_are_read() {
        let mut netlink = NetlinkSocket::open().unwrap();
        let interfaces = Interfaces::read(&mut netlink).unwrap();
        let lo = interfaces.links.iter().find(|link| link.name.as_bytes() == b"lo").unwrap();
        assert_eq!(lo.hatype, libc::ARPHRD_LOOPBACK);
        assert_eq!(lo.lower, None);
    }
}
