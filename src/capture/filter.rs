//! Assembles the classic BPF program on every packet socket, which keeps unneeded frames out of the rings.
//!
//! A worker looks each frame up in the [`VerdictTable`] again, so a program that passes too many frames costs time but
//! does not change a count. Excluded VLANs are an exception, since the worker does not compare tags, and one that the
//! kernel stripped does not reach it. If there are more than [`EXCLUDED_VLANS_MAX`], or the kernel has no memory for
//! the whole program, none of them is dropped, and their frames count. The program drops
//!
//! 1. frames of interfaces that are not monitored, unless these are more than [`INTERFACES_MAX`], frames of excluded
//!    VLANs, and copies that `tc mirred` makes;
//! 2. egress frames of lo, which are ingress frames of lo again;
//! 3. egress frames that do not show whether a contact is answered: TCP segments without SYN, FIN and RST, and frames
//!    without an IP packet. They pass if egress frames count or if received bytes are counted;
//!
//! and cuts the others to [`SNAP_LEN`] bytes. An egress packet with IPv4 options, a fragment offset, extension headers
//! or a tag always passes, and the worker decodes it.
//!
//! The program runs with the link header at offset 0 (`tpacket_rcv` restores it); the IP header is at `SKF_NET_OFF`.
//! Jumps reach 255 instructions, so a comparison is followed by a `ret` of its own or skips a short block. A load past
//! the end of a frame ends the program with 0, which drops the frame. So the program compares the length of an ingress
//! frame before it loads from it.
//!
//! Sources: `Documentation/networking/filter.rst`, `include/uapi/linux/filter.h`.

use libc::{
    BPF_ALU, BPF_AND, BPF_B, BPF_H, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_LEN,
    BPF_W, SKF_AD_HATYPE, SKF_AD_IFINDEX, SKF_AD_PKTTYPE, SKF_AD_PROTOCOL, SKF_AD_VLAN_TAG,
    SKF_AD_VLAN_TAG_PRESENT, SKF_NET_OFF, sock_filter,
};

use super::bpf::{DROP, jump_len, load, load_ancillary, ret, skip_if, skip_unless, stmt};
use super::source::Verdict;
use super::verdict_table::{InterfaceVerdicts, VerdictTable};
use crate::packet::Skip;

/// Number of bytes of a frame that are kept. Ethernet with two tags (22), an IPv4 header with all options (60) and a
/// TCP header with all options (60) fit, and so does IPv6 with extension headers of 100 bytes. A reader that only
/// drains the ring took 36 ns for each frame that was cut from 1,400 to 128 bytes, and 118 ns for each frame of 1,400
/// bytes.
pub(super) const SNAP_LEN: u32 = 192;

/// Maximum number of interfaces whose frames the program drops. A longer list would exceed the option memory of a
/// socket (`net.core.optmem_max`, 20 KiB on older kernels), so the program has no list then and the workers skip the
/// frames.
pub(super) const INTERFACES_MAX: usize = 500;

/// Maximum number of interfaces whose frames of one direction the program drops. A jump passes two instructions for
/// each.
const COPIES_MAX: usize = 100;

/// Maximum number of excluded VLANs whose frames the program drops; each takes 17 instructions.
pub(super) const EXCLUDED_VLANS_MAX: usize = 64;

/// Assembles the program for a table.
pub(super) fn program(table: &VerdictTable) -> Vec<sock_filter> {
    let skipped: Vec<u32> = table
        .interfaces()
        .iter()
        .filter(|(_, row)| row.skipped().is_some())
        .map(|&(ifindex, _)| ifindex)
        .collect();
    // Interfaces of which `tc mirred` makes only the frames of one direction copies.
    let one_way = |is_copy: fn(&InterfaceVerdicts) -> bool| -> Vec<u32> {
        let rows = table.interfaces().into_iter().filter(|(_, row)| row.skipped().is_none() && is_copy(row));
        rows.map(|(ifindex, _)| ifindex).collect()
    };
    const COPY: Verdict = Verdict::Skip(Skip::UpperDevice);
    let (ingress, egress) = (one_way(|row| row.ingress == COPY), one_way(|row| row.egress == COPY));
    let mut program = Vec::new();
    if !skipped.is_empty() && skipped.len() <= INTERFACES_MAX {
        program.push(load_ancillary(SKF_AD_IFINDEX));
        for ifindex in skipped {
            program.extend([skip_unless(BPF_JEQ, ifindex, 1), ret(DROP)]);
        }
    }
    if table.excluded_vlans().len() <= EXCLUDED_VLANS_MAX {
        for &(ifindex, vlan_id) in table.excluded_vlans() {
            program.extend(drop_vlan(ifindex, vlan_id));
        }
    }
    for (is_egress, ifindexes) in [(false, ingress), (true, egress)] {
        if !ifindexes.is_empty() && ifindexes.len() <= COPIES_MAX {
            program.extend(drop_one_direction(is_egress, &ifindexes));
        }
    }
    program.extend(filter_direction(table));
    program
}

/// Drops the frames of these interfaces that leave, or else those that enter.
fn drop_one_direction(is_egress: bool, ifindexes: &[u32]) -> Vec<sock_filter> {
    let mut compared = vec![load_ancillary(SKF_AD_IFINDEX)];
    for &ifindex in ifindexes {
        compared.extend([skip_unless(BPF_JEQ, ifindex, 1), ret(DROP)]);
    }
    let skip = if is_egress { skip_unless } else { skip_if };
    let outgoing = u32::from(libc::PACKET_OUTGOING);
    let mut program = vec![load_ancillary(SKF_AD_PKTTYPE), skip(BPF_JEQ, outgoing, jump_len(&compared))];
    program.extend(compared);
    program
}

/// Assembles the program without the lists of interfaces and excluded VLANs. The workers skip the interfaces that are
/// not monitored; frames of excluded VLANs count.
pub(super) fn program_for_any_interface(table: &VerdictTable) -> Vec<sock_filter> {
    filter_direction(table)
}

/// Returns the program that drops every frame. Sockets have it until all of them are set up.
pub(super) fn drop_all() -> [sock_filter; 1] {
    [ret(DROP)]
}

/// Ends the program by the direction of the frame: ingress frames pass, and those egress frames that the table needs.
fn filter_direction(table: &VerdictTable) -> Vec<sock_filter> {
    let mut program = vec![
        load_ancillary(SKF_AD_PKTTYPE),
        skip_if(BPF_JEQ, u32::from(libc::PACKET_OUTGOING), 1),
        ret(SNAP_LEN),
        load_ancillary(SKF_AD_HATYPE),
        skip_unless(BPF_JEQ, u32::from(libc::ARPHRD_LOOPBACK), 1),
        ret(DROP),
    ];
    match table.egress() {
        // Received bytes are counted on egress frames.
        Verdict::ObserveOnly if table.needs_all_egress() => program.push(ret(SNAP_LEN)),
        Verdict::Count | Verdict::CountIfOwn | Verdict::CountForDeviceAbove => program.push(ret(SNAP_LEN)),
        Verdict::ObserveOnly => program.extend(pass_signals()),
        Verdict::Skip(_) => program.push(ret(DROP)),
    }
    program
}

/// Passes the egress frames that show whether a contact is answered: TCP segments with SYN, RST or FIN, and every
/// packet of other protocols over IP, since any of them may be the first packet or the answer.
fn pass_signals() -> Vec<sock_filter> {
    let mut program = vec![load_ancillary(SKF_AD_PROTOCOL)];
    for ethertype in MAY_CARRY_IP {
        program.extend([skip_unless(BPF_JEQ, ethertype, 1), ret(SNAP_LEN)]);
    }
    let ipv6 = pass_tcp_with_signal(6, 40);
    let mut ipv4 = vec![
        // With options the TCP header is at another offset.
        load(BPF_B, SKF_NET_OFF),
        stmt(BPF_ALU | BPF_AND | BPF_K, 0x0f),
        skip_if(BPF_JEQ, 5, 1),
        ret(SNAP_LEN),
        // A fragment other than the first has no TCP header.
        load(BPF_H, SKF_NET_OFF + 6),
        skip_unless(BPF_JSET, 0x1fff, 1),
        ret(SNAP_LEN),
    ];
    ipv4.extend(pass_tcp_with_signal(9, 20));
    program.push(skip_unless(BPF_JEQ, u32::from(ETHERTYPE_IPV6), jump_len(&ipv6)));
    program.extend(ipv6);
    program.extend([skip_if(BPF_JEQ, u32::from(ETHERTYPE_IPV4), 1), ret(DROP)]);
    program.extend(ipv4);
    program
}

/// Ends the program for an IP header of `header_len` bytes with its protocol at offset `protocol_at`: other protocols
/// than TCP pass, and TCP segments with SYN, RST or FIN.
fn pass_tcp_with_signal(protocol_at: i32, header_len: i32) -> Vec<sock_filter> {
    const FIN_SYN_RST: u32 = 0x07;
    const FLAGS_AT: i32 = 13;
    vec![
        load(BPF_B, SKF_NET_OFF + protocol_at),
        skip_if(BPF_JEQ, libc::IPPROTO_TCP as u32, 1),
        ret(SNAP_LEN),
        load(BPF_B, SKF_NET_OFF + header_len + FLAGS_AT),
        skip_unless(BPF_JSET, FIN_SYN_RST, 1),
        ret(SNAP_LEN),
        ret(DROP),
    ]
}

/// Drops frames of a VLAN on an interface, by the tag that the kernel has stripped or else by the tag in the bytes.
fn drop_vlan(ifindex: u32, vlan_id: u16) -> Vec<sock_filter> {
    const VLAN_ID: u32 = 0x0fff;
    // Bytes of an Ethernet header with one tag; a shorter frame has no tag.
    const TAGGED_HEADER_LEN: u32 = 18;
    let in_band = [
        stmt(BPF_LD | BPF_W | BPF_LEN, 0),
        skip_unless(BPF_JGE, TAGGED_HEADER_LEN, 6),
        load(BPF_H, 12),
        skip_unless(BPF_JEQ, 0x8100, 4),
        load(BPF_H, 14),
        stmt(BPF_ALU | BPF_AND | BPF_K, VLAN_ID),
        skip_unless(BPF_JEQ, u32::from(vlan_id), 1),
        ret(DROP),
    ];
    let mut stripped = vec![
        load_ancillary(SKF_AD_VLAN_TAG_PRESENT),
        skip_if(BPF_JEQ, 0, 5),
        load_ancillary(SKF_AD_VLAN_TAG),
        stmt(BPF_ALU | BPF_AND | BPF_K, VLAN_ID),
        skip_unless(BPF_JEQ, u32::from(vlan_id), 1),
        ret(DROP),
        stmt(BPF_JMP | BPF_JA, jump_len(&in_band).into()),
    ];
    stripped.extend(in_band);
    let mut program =
        vec![load_ancillary(SKF_AD_IFINDEX), skip_unless(BPF_JEQ, ifindex, jump_len(&stripped))];
    program.extend(stripped);
    program
}

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// Headers in which the decoder looks for IP: 802.1Q, 802.1ad, the two older numbers of outer tags, MPLS, PPPoE, and
/// LLC, for which the kernel has a number of its own (`ETH_P_802_2`).
const MAY_CARRY_IP: [u32; 8] = [0x8100, 0x88a8, 0x9100, 0x9200, 0x8847, 0x8848, 0x8864, 0x0004];

#[cfg(test)]
mod tests {
    #![allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "frames and interface numbers of these tests are small"
    )]

    use super::super::bpf::machine::{Skb, check, run};
    use super::super::interfaces::{InterfaceName, Interfaces, Link};
    use super::super::options::{DirectionPolicy, Options};
    use super::super::policy::Policy;
    use super::*;
    use crate::sys::packet_socket::attach_filter;

    fn ethernet(ethertype: u16, payload: &[u8]) -> Skb {
        let mut bytes = vec![0; 12];
        bytes.extend(ethertype.to_be_bytes());
        bytes.extend(payload);
        Skb {
            bytes,
            network_at: 14,
            protocol: ethertype,
            pkttype: libc::PACKET_HOST,
            ifindex: 2,
            hatype: libc::ARPHRD_ETHER,
            vlan_tci: None,
        }
    }

    fn ipv4(protocol: u8, flags_and_fragment: u16, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45; 20];
        packet[6..8].copy_from_slice(&flags_and_fragment.to_be_bytes());
        packet[9] = protocol;
        packet.extend(payload);
        packet
    }

    fn ipv6(next_header: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60; 40];
        packet[6] = next_header;
        packet.extend(payload);
        packet
    }

    fn tcp(flags: u8) -> Vec<u8> {
        let mut header = vec![0xff; 20];
        header[13] = flags;
        header
    }

    fn egress(skb: Skb) -> Skb {
        Skb { pkttype: libc::PACKET_OUTGOING, ..skb }
    }

    fn table(links: Vec<Link>, excluded: &[&str], direction: DirectionPolicy) -> VerdictTable {
        let options = Options {
            workers: 1,
            ring_memory_bytes: 1 << 20,
            excluded_interfaces: excluded.iter().map(|&name| name.to_owned()).collect(),
            promiscuous: vec![],
            local_networks: Default::default(),
            direction,
            event_loop: Default::default(),
            wire_exact: Default::default(),
            counts_received: false,
        };
        VerdictTable::new(&Interfaces { links, ..Interfaces::default() }, &Policy::new(&options))
    }

    fn link(ifindex: u32, name: &str) -> Link {
        Link::alone(ifindex, InterfaceName::new(name), libc::ARPHRD_ETHER)
    }

    #[test]
    fn egress_frames_pass_if_they_show_whether_a_contact_is_answered() {
        let with_options = {
            let mut packet = ipv4(6, 0, &tcp(0x10));
            packet[0] = 0x46;
            packet
        };
        let (ack, syn) = (tcp(0x10), tcp(0x02));
        let cases: Vec<(&str, Skb, bool)> = vec![
            ("TCP in mid-stream", ethernet(0x0800, &ipv4(6, 0, &ack)), false),
            ("TCP with PSH and ACK", ethernet(0x0800, &ipv4(6, 0, &tcp(0x18))), false),
            ("TCP SYN", ethernet(0x0800, &ipv4(6, 0, &syn)), true),
            ("TCP RST and ACK", ethernet(0x0800, &ipv4(6, 0, &tcp(0x14))), true),
            ("TCP FIN and ACK", ethernet(0x0800, &ipv4(6, 0, &tcp(0x11))), true),
            ("first fragment of TCP in mid-stream", ethernet(0x0800, &ipv4(6, 0x2000, &ack)), false),
            ("later fragment of TCP", ethernet(0x0800, &ipv4(6, 0x0020, &ack)), true),
            ("TCP with don't fragment", ethernet(0x0800, &ipv4(6, 0x4000, &ack)), false),
            ("TCP after IPv4 options", ethernet(0x0800, &with_options), true),
            ("UDP", ethernet(0x0800, &ipv4(17, 0, &[0; 8])), true),
            ("ICMP", ethernet(0x0800, &ipv4(1, 0, &[8, 0])), true),
            ("ESP", ethernet(0x0800, &ipv4(50, 0, &[0; 8])), true),
            ("TCP over IPv6 in mid-stream", ethernet(0x86dd, &ipv6(6, &ack)), false),
            ("TCP SYN over IPv6", ethernet(0x86dd, &ipv6(6, &syn)), true),
            ("ICMPv6", ethernet(0x86dd, &ipv6(58, &[128])), true),
            ("IPv6 extension header", ethernet(0x86dd, &ipv6(0, &ack)), true),
            ("IPv6 fragment", ethernet(0x86dd, &ipv6(44, &ack)), true),
            ("a tag in the bytes", ethernet(0x8100, &[0, 5, 8, 0]), true),
            ("an older outer tag", ethernet(0x9100, &[0, 5, 8, 0]), true),
            ("LLC", Skb { protocol: 4, ..ethernet(40, &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0]) }, true),
            ("MPLS", ethernet(0x8847, &[0; 4]), true),
            ("PPPoE", ethernet(0x8864, &[0; 6]), true),
            ("ARP", ethernet(0x0806, &[0; 28]), false),
            ("TCP cut before its flags", ethernet(0x0800, &ipv4(6, 0, &ack[..12])), false),
        ];
        let observed = program(&table(vec![], &[], DirectionPolicy::In));
        let all = program(&table(vec![], &[], DirectionPolicy::Both));
        let own = program(&table(vec![], &[], DirectionPolicy::InAndOwn));
        for (name, skb, passes) in cases {
            let expected = if passes { SNAP_LEN } else { 0 };
            assert_eq!(run(&observed, &egress(skb.clone())), expected, "{name}, egress, observed");
            assert_eq!(run(&observed, &skb), SNAP_LEN, "{name}, ingress");
            assert_eq!(run(&all, &egress(skb.clone())), SNAP_LEN, "{name}, both ways");
            assert_eq!(run(&own, &egress(skb)), SNAP_LEN, "{name}, egress with an own address");
        }
    }

    #[test]
    fn every_ingress_frame_passes_however_short() {
        for direction in [DirectionPolicy::In, DirectionPolicy::Both] {
            let mut guest = link(3, "guest");
            (guest.kind, guest.lower, guest.vlan_id) = (Some("vlan".into()), Some(2), Some(7));
            let program = program(&table(vec![link(2, "eth0"), guest], &["guest"], direction));
            for len in 0..20 {
                let mut runt = ethernet(0, &[]);
                runt.bytes = vec![0xff; len];
                assert_eq!(run(&program, &runt), SNAP_LEN, "{len} bytes");
            }
        }
    }

    #[test]
    fn egress_frames_of_lo_never_pass() {
        for direction in [DirectionPolicy::In, DirectionPolicy::InAndOwn, DirectionPolicy::Both] {
            let program = program(&table(vec![], &[], direction));
            let mut skb = ethernet(0x0800, &ipv4(17, 0, &[0; 8]));
            skb.hatype = libc::ARPHRD_LOOPBACK;
            assert_eq!(run(&program, &egress(skb.clone())), 0);
            assert_eq!(run(&program, &skb), SNAP_LEN);
        }
    }

    #[test]
    fn only_frames_of_skipped_interfaces_are_dropped() {
        let names: Vec<String> = (0..INTERFACES_MAX + 1).map(|i| format!("c{i}")).collect();
        let links =
            |count: usize| -> Vec<Link> { (0..count).map(|i| link(100_000 + i as u32, &names[i])).collect() };
        let excluded: Vec<&str> = names.iter().map(String::as_str).collect();
        let full = program(&table(links(INTERFACES_MAX), &excluded, DirectionPolicy::In));
        assert!(full.len() < 1100, "{} instructions", full.len());
        let mut skb = ethernet(0x0800, &ipv4(6, 0, &tcp(0x10)));
        for i in 0..INTERFACES_MAX as u32 {
            skb.ifindex = 100_000 + i;
            assert_eq!(run(&full, &skb), 0, "interface {i}");
        }
        skb.ifindex = 100_000 + INTERFACES_MAX as u32;
        assert_eq!(run(&full, &skb), SNAP_LEN);

        let over = program(&table(links(INTERFACES_MAX + 1), &excluded, DirectionPolicy::In));
        skb.ifindex = 100_000;
        assert_eq!(run(&over, &skb), SNAP_LEN, "too many for the program: the workers skip them");
    }

    #[test]
    fn copies_are_dropped_in_their_direction() {
        use super::super::tc_filter::{MirredRule, Side};
        let rule = |target, target_side| MirredRule {
            source: 2,
            source_side: Side::Ingress,
            target,
            target_side,
            is_mirror: true,
        };
        let links = vec![link(2, "wan0"), link(3, "span0"), link(4, "span1")];
        let mirred = vec![rule(3, Side::Egress), rule(4, Side::Ingress)];
        let interfaces = Interfaces { links, mirred, ..Interfaces::default() };
        let policy = Policy { direction: DirectionPolicy::Both, ..Policy::default() };
        let program = program(&VerdictTable::new(&interfaces, &policy));
        for (ifindex, entering, leaving) in [(2, true, true), (3, true, false), (4, false, true)] {
            let skb = Skb { ifindex, ..ethernet(0x0800, &ipv4(17, 0, &[0; 8])) };
            assert_eq!(run(&program, &skb) == SNAP_LEN, entering, "interface {ifindex}, ingress");
            assert_eq!(run(&program, &egress(skb)) == SNAP_LEN, leaving, "interface {ifindex}, egress");
        }
    }

    #[test]
    fn an_excluded_vlan_is_dropped_on_the_device_below() {
        let mut guest = link(3, "guest");
        (guest.kind, guest.lower, guest.vlan_id) = (Some("vlan".into()), Some(2), Some(7));
        let program = program(&table(vec![link(2, "eth0"), guest], &["guest"], DirectionPolicy::Both));
        let packet = ipv4(17, 0, &[0; 8]);
        let in_band = |id: u16| {
            let mut payload = (0x6000 | id).to_be_bytes().to_vec();
            payload.extend([8, 0]);
            payload.extend(&packet);
            ethernet(0x8100, &payload)
        };
        let stripped = |id: u16| Skb { vlan_tci: Some(0x6000 | id), ..ethernet(0x0800, &packet) };
        let elsewhere = |skb| Skb { ifindex: 9, ..skb };
        let cases = [
            ("stripped", stripped(7), 0),
            ("another, stripped", stripped(8), SNAP_LEN),
            ("in the bytes", egress(in_band(7)), 0),
            ("another, in the bytes", egress(in_band(8)), SNAP_LEN),
            ("inside another that was stripped", Skb { vlan_tci: Some(8), ..in_band(7) }, SNAP_LEN),
            ("untagged", ethernet(0x0800, &packet), SNAP_LEN),
            ("on another interface", elsewhere(stripped(7)), SNAP_LEN),
        ];
        for (name, skb, expected) in cases {
            assert_eq!(run(&program, &skb), expected, "{name}");
        }
    }

    #[test]
    fn the_kernel_accepts_every_program() {
        let names: Vec<String> = (0..INTERFACES_MAX).map(|i| format!("c{i}")).collect();
        let excluded: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut links: Vec<Link> =
            names.iter().zip(10..).map(|(name, ifindex)| link(ifindex, name)).collect();
        for (guest, vlan_id) in links.iter_mut().zip(1..=EXCLUDED_VLANS_MAX as u16) {
            (guest.kind, guest.lower, guest.vlan_id) = (Some("vlan".into()), Some(2), Some(vlan_id));
        }
        links.push(link(2, "eth0"));
        for direction in [DirectionPolicy::In, DirectionPolicy::Both] {
            let table = table(links.clone(), &excluded, direction);
            assert_eq!(table.excluded_vlans().len(), EXCLUDED_VLANS_MAX);
            // The checker is the same for every kind of socket, and this kind needs no capability.
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            for program in [program(&table), program_for_any_interface(&table), drop_all().to_vec()] {
                check(&program).unwrap();
                // ENOMEM means too long: older kernels have less option memory, which the link monitor handles.
                let result = attach_filter(&socket, &program);
                assert!(matches!(result, Ok(()) | Err(nix::errno::Errno::ENOMEM)), "{result:?}");
            }
        }
    }

    #[test]
    fn nothing_passes_the_initial_program() {
        assert_eq!(run(&drop_all(), &ethernet(0x0800, &ipv4(6, 0, &tcp(2)))), 0);
    }
}
