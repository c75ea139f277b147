//! Headers from their fields, innermost first: each function takes the bytes that follow its header.

/// 10.0.0.1 and 10.0.0.2.
pub(crate) const V4: [u8; 8] = [10, 0, 0, 1, 10, 0, 0, 2];
/// fd00::1.
pub(crate) const V6_SRC: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
/// fd00::2.
pub(crate) const V6_DST: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const IPV6: u16 = 0x86dd;

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMPV6: u8 = 58;

pub(crate) fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// A TCP header of 20 bytes and `data_len` zeros.
pub(crate) fn tcp(src_port: u16, dst_port: u16, flags: u8, data_len: usize) -> Vec<u8> {
    let (src, dst) = (src_port.to_be_bytes(), dst_port.to_be_bytes());
    let rest = [0, 0, 0, 1, 0, 0, 0, 2, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0];
    join(&[&src, &dst, &rest, &vec![0; data_len]])
}

/// A UDP header and `data_len` zeros.
pub(crate) fn udp(src_port: u16, dst_port: u16, data_len: usize) -> Vec<u8> {
    let len = (8 + data_len) as u16;
    join(&[&src_port.to_be_bytes(), &dst_port.to_be_bytes(), &len.to_be_bytes(), &[0; 2], &vec![0; data_len]])
}

/// An IPv4 packet without options, with its true length.
pub(crate) fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_with(Ipv4 { protocol, ..Ipv4::default() }, payload)
}

/// Unusual fields of an IPv4 header.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ipv4 {
    pub(crate) protocol: u8,
    /// Padded to words of 4 bytes.
    pub(crate) options: Vec<u8>,
    /// Flags and offset, as in the header.
    pub(crate) fragment: u16,
    /// Instead of the true length.
    pub(crate) total_len: Option<u16>,
}

pub(crate) fn ipv4_with(header: Ipv4, payload: &[u8]) -> Vec<u8> {
    let Ipv4 { protocol, mut options, fragment, total_len } = header;
    options.resize(options.len().next_multiple_of(4), 0);
    let version_ihl = 0x45 + (options.len() / 4) as u8;
    let total_len = total_len.unwrap_or((20 + options.len() + payload.len()) as u16);
    let ([len1, len0], [frag1, frag0]) = (total_len.to_be_bytes(), fragment.to_be_bytes());
    let fixed = [version_ihl, 0, len1, len0, 0, 1, frag1, frag0, 64, protocol, 0, 0];
    join(&[&fixed, &V4, &options, payload])
}

/// An IPv6 packet with its true length.
pub(crate) fn ipv6(next_header: u8, payload: &[u8]) -> Vec<u8> {
    ipv6_with(next_header, payload.len() as u16, payload)
}

pub(crate) fn ipv6_with(next_header: u8, payload_len: u16, payload: &[u8]) -> Vec<u8> {
    let [len1, len0] = payload_len.to_be_bytes();
    join(&[&[0x60, 0, 0, 0, len1, len0, next_header, 64], &V6_SRC, &V6_DST, payload])
}

/// An extension header of `len`, a multiple of 8, full of padding options.
pub(crate) fn extension(next_header: u8, len: usize, rest: &[u8]) -> Vec<u8> {
    join(&[&[next_header, (len / 8 - 1) as u8], &vec![0; len - 2], rest])
}

/// The fragment header of IPv6.
pub(crate) fn fragment(next_header: u8, offset_units: u16, more: bool, rest: &[u8]) -> Vec<u8> {
    let [high, low] = (offset_units << 3 | u16::from(more)).to_be_bytes();
    join(&[&[next_header, 0, high, low, 0, 0, 0, 7], rest])
}

/// An authentication header of `len`, a multiple of 4 from 12 on.
pub(crate) fn authentication(next_header: u8, len: usize, rest: &[u8]) -> Vec<u8> {
    join(&[&[next_header, (len / 4 - 2) as u8], &vec![0; len - 2], rest])
}

/// A hop-by-hop header with the jumbo payload option.
pub(crate) fn jumbo(next_header: u8, payload_len: u32, rest: &[u8]) -> Vec<u8> {
    join(&[&[next_header, 0, 0xc2, 4], &payload_len.to_be_bytes(), rest])
}

pub(crate) fn ethernet(ether_type: u16, rest: &[u8]) -> Vec<u8> {
    join(&[&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2], &ether_type.to_be_bytes(), rest])
}

/// What follows a tag's EtherType: VID and the next EtherType.
pub(crate) fn vlan(vid: u16, ether_type: u16, rest: &[u8]) -> Vec<u8> {
    join(&[&vid.to_be_bytes(), &ether_type.to_be_bytes(), rest])
}

pub(crate) fn mpls(label: u16, bottom: bool, rest: &[u8]) -> Vec<u8> {
    let [high, low] = label.to_be_bytes();
    join(&[&[high, low, u8::from(bottom), 64], rest])
}

pub(crate) fn pppoe(ppp: &[u8]) -> Vec<u8> {
    join(&[&[0x11, 0, 0, 1], &(ppp.len() as u16).to_be_bytes(), ppp])
}

/// Pads an Ethernet frame to the 60 bytes that are sent at least.
pub(crate) fn padded(mut frame: Vec<u8>) -> Vec<u8> {
    frame.resize(frame.len().max(60), 0);
    frame
}

/// A netfilter log message of a family, with attributes of these types and lengths before the one with the packet.
/// Every value begins with the EtherType of IPv4, as that of attribute 1 does.
pub(crate) fn nflog(family: u8, big_endian: bool, attributes: &[(u16, usize)], packet: &[u8]) -> Vec<u8> {
    let mut message = vec![family, 0, 0, 5];
    let mut add = |kind: u16, value: &[u8]| {
        for number in [value.len() as u16 + 4, kind] {
            message.extend(if big_endian { number.to_be_bytes() } else { number.to_le_bytes() });
        }
        message.extend(value);
        message.resize(message.len().next_multiple_of(4), 0);
    };
    for &(kind, len) in attributes {
        let mut value = vec![0; len];
        value[0] = 8;
        add(kind, &value);
    }
    add(9, packet);
    message
}
