//! The filter of any table of interfaces, run on any frame, against the verdict of the table on that frame.

use super::super::bpf::machine::{Skb, check, run};
use super::super::filter::{self, EXCLUDED_VLANS_MAX, SNAP_LEN};
use super::super::interfaces::{InterfaceName, Interfaces, Link};
use super::super::name_pattern::NamePattern;
use super::super::options::DirectionPolicy;
use super::super::policy::Policy;
use super::super::routes::relevant_notices;
use super::super::source::Verdict;
use super::super::tc_filter::{MirredRule, Side};
use super::super::verdict_table::VerdictTable;
use crate::packet::{Direction, Frame, LinkKind, Segmentation, TcpFlags, Transport, decode};
use crate::time::UnixNanos;

/// Makes a policy and interfaces of the first bytes, and runs their filter on a frame of the others: the kernel accepts
/// the program, and no frame is dropped that counts, or that is observed and shows whether a contact is answered,
/// unless it belongs to an excluded VLAN. Frames of excluded VLANs are dropped.
///
/// # Panics
/// Panics if one of these does not hold.
pub fn bpf_filter(input: &[u8]) {
    let mut script = Script(input);
    let policy = script.policy();
    let interfaces = script.interfaces();
    let table = VerdictTable::new(&interfaces, &policy);
    let (skb, link_kind) = script.frame(&interfaces);

    let program = filter::program(&table);
    let any_interface = filter::program_for_any_interface(&table);
    for program in [&program[..], &any_interface, &filter::drop_all()] {
        assert_eq!(check(program), Ok(()));
    }
    assert_eq!(run(&filter::drop_all(), &skb), 0);
    let kept = [run(&program, &skb), run(&any_interface, &skb)];
    assert!(kept.iter().all(|&kept| kept == SNAP_LEN || kept == 0));
    let [passes, passes_any] = kept.map(|kept| kept == SNAP_LEN);
    assert!(!passes || passes_any, "the lists only drop more");

    let is_excluded = is_of_excluded_vlan(&table, &skb);
    if must_pass(&table, &skb, link_kind) {
        assert!(passes_any, "{skb:?} is needed and dropped: {table}");
        assert!(passes || is_excluded, "{skb:?} is needed and dropped: {table}");
    }
    let drops_vlans = table.excluded_vlans().len() <= EXCLUDED_VLANS_MAX;
    assert!(!(passes && is_excluded && drops_vlans), "{skb:?} is of an excluded VLAN and passes");

    // The filter on the notices of routes runs on a message.
    let notices = relevant_notices();
    assert_eq!(check(&notices), Ok(()));
    run(&notices, &Skb { bytes: input.to_vec(), ..Skb::default() });
}

/// Returns true if the worker needs the frame.
fn must_pass(table: &VerdictTable, skb: &Skb, link_kind: LinkKind) -> bool {
    let direction = match skb.pkttype {
        libc::PACKET_OUTGOING => Direction::Egress,
        libc::PACKET_OTHERHOST => Direction::OtherHost,
        _ => Direction::Ingress,
    };
    let verdict = table.verdict(skb.ifindex, direction);
    let verdict = verdict.unwrap_or_else(|| table.unknown_interface(skb.ifindex, &[]).verdict(direction));
    match verdict {
        Verdict::Count | Verdict::CountIfOwn | Verdict::CountForDeviceAbove => true,
        Verdict::ObserveOnly => {
            table.counts_as_received(direction) || shows_answer(skb, direction, link_kind)
        }
        Verdict::Skip(_) => false,
    }
}

/// Returns true if the decoder finds in the frame what shows whether a contact is answered.
fn shows_answer(skb: &Skb, direction: Direction, link: LinkKind) -> bool {
    let frame = Frame {
        bytes: &skb.bytes,
        frame_len: u32::try_from(skb.bytes.len()).unwrap_or(u32::MAX),
        seen_at: UnixNanos(0),
        ifindex: skb.ifindex,
        link,
        direction,
        segmentation: Segmentation::None,
    };
    let Ok(summary) = decode(&frame) else { return false };
    match summary.transport {
        Transport::Tcp { flags, .. } => {
            let signals = TcpFlags::SYN | TcpFlags::RST | TcpFlags::FIN;
            flags.is_some_and(|flags| flags.0 & signals != 0)
        }
        // TCP whose flags were not captured, or a later fragment, shows nothing.
        Transport::LaterFragment => false,
        Transport::Other => i32::from(summary.protocol) != libc::IPPROTO_TCP,
        Transport::Ports { .. } | Transport::Sctp { .. } | Transport::Icmp { .. } => true,
    }
}

/// Returns true if the frame has the tag of an excluded VLAN of its interface, stripped or in its bytes.
fn is_of_excluded_vlan(table: &VerdictTable, skb: &Skb) -> bool {
    let id = match (skb.vlan_tci, &skb.bytes[..]) {
        (Some(tci), _) => Some(tci & 0x0fff),
        (None, [_, _, _, _, _, _, _, _, _, _, _, _, 0x81, 0x00, t0, t1, _, _, ..]) => {
            Some(u16::from_be_bytes([*t0, *t1]) & 0x0fff)
        }
        _ => None,
    };
    id.is_some_and(|id| table.excluded_vlans().contains(&(skb.ifindex, id)))
}

/// Bytes that decide one choice after the other; after their end all are 0.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }

    /// The number of an interface: few, so that relations between interfaces are frequent.
    fn ifindex(&mut self) -> u32 {
        u32::from(self.byte() % 24) + 1
    }

    fn patterns(&mut self) -> Vec<NamePattern> {
        let chosen = self.byte();
        let patterns = ["lo", "eth*", "guest*", "br?", "veth*", "wg0", "ifb*", "*"];
        let is_chosen = |&(bit, _): &(usize, &str)| chosen >> bit & 1 == 1;
        patterns.into_iter().enumerate().filter(is_chosen).map(|(_, text)| NamePattern::new(text)).collect()
    }

    fn policy(&mut self) -> Policy {
        use DirectionPolicy::{Auto, Both, In, InAndOwn};
        let flags = self.byte();
        Policy {
            excluded: self.patterns(),
            promiscuous: self.patterns(),
            direction: [Auto, In, InAndOwn, Both][usize::from(flags & 3)],
            counts_received: flags & 4 != 0,
            ..Policy::default()
        }
    }

    fn interfaces(&mut self) -> Interfaces {
        let flags = self.byte();
        let links = (0..self.byte() % 96).map(|at| self.link(at)).collect();
        let rules = self.byte() % 8;
        let mirred = (0..rules).map(|_| self.rule()).collect();
        Interfaces { links, ip_forwarding: flags & 1 == 1, mirred, ..Interfaces::default() }
    }

    fn link(&mut self, at: u8) -> Link {
        const KINDS: [(&str, &str, u16); 10] = [
            ("eth", "", libc::ARPHRD_ETHER),
            ("guest", "vlan", libc::ARPHRD_ETHER),
            ("br", "bridge", libc::ARPHRD_ETHER),
            ("ovs", "openvswitch", libc::ARPHRD_ETHER),
            ("veth", "veth", libc::ARPHRD_ETHER),
            ("macvlan", "macvlan", libc::ARPHRD_ETHER),
            ("bond", "bond", libc::ARPHRD_ETHER),
            ("ifb", "ifb", libc::ARPHRD_ETHER),
            ("wg", "wireguard", libc::ARPHRD_NONE),
            ("lo", "", libc::ARPHRD_LOOPBACK),
        ];
        let (name, kind, hatype) = self.one_of(&KINDS);
        let relations = self.byte();
        let name = if name == "lo" { name.to_owned() } else { format!("{name}{at}") };
        let mut link = Link::alone(u32::from(at) + 1, InterfaceName::new(name), hatype);
        link.kind = (!kind.is_empty()).then(|| kind.to_owned());
        link.master = (relations & 1 == 1).then(|| self.ifindex());
        link.lower = (relations & 2 == 2).then(|| self.ifindex());
        link.vlan_id = (kind == "vlan").then(|| u16::from(self.byte()));
        link.passes_through = kind == "macvlan" && relations & 4 == 4;
        link.station = (relations & 8 == 8).then_some([2, 0, 0, 0, 0, at]);
        if relations & 16 == 16 {
            link.former_names = vec![InterfaceName::new(self.one_of(&["guest1", "eth0", "x"]))];
        }
        link
    }

    fn rule(&mut self) -> MirredRule {
        let (source, target, how) = (self.ifindex(), self.ifindex(), self.byte());
        let side = |bit: u8| if how >> bit & 1 == 1 { Side::Egress } else { Side::Ingress };
        MirredRule { source, source_side: side(0), target, target_side: side(1), is_mirror: how & 4 == 4 }
    }

    /// Returns a frame of one of the interfaces or of another one, as the kernel describes it to a packet socket, and
    /// the kind of its link header.
    fn frame(&mut self, interfaces: &Interfaces) -> (Skb, LinkKind) {
        let (ifindex, tag) = (self.ifindex(), self.byte());
        let pkttype = self.one_of(&[
            libc::PACKET_OUTGOING,
            libc::PACKET_HOST,
            libc::PACKET_OTHERHOST,
            libc::PACKET_BROADCAST,
            libc::PACKET_MULTICAST,
        ]);
        let vlan_tci = (tag & 1 == 1).then(|| u16::from(self.byte()) | u16::from(tag & 0xf0) << 8);
        let link = interfaces.links.iter().find(|link| link.ifindex == ifindex);
        let hatype = link.map_or(libc::ARPHRD_ETHER, |link| link.hatype);
        let bytes = self.0.to_vec();
        let (network_at, protocol, kind) = match (hatype, &bytes[..]) {
            (libc::ARPHRD_NONE, packet) => {
                let protocol = match packet.first().map(|byte| byte >> 4) {
                    Some(4) => 0x0800,
                    Some(6) => 0x86dd,
                    _ => 0,
                };
                (0, protocol, LinkKind::RawIp)
            }
            (_, [_, _, _, _, _, _, _, _, _, _, _, _, t0, t1, ..]) => {
                // `eth_type_trans`: a length stands for LLC.
                let protocol = u16::from_be_bytes([*t0, *t1]);
                (14, if protocol < 0x0600 { 4 } else { protocol }, LinkKind::Ethernet)
            }
            _ => (14, 0, LinkKind::Ethernet),
        };
        (Skb { bytes, network_at, protocol, pkttype, ifindex, hatype, vlan_tci }, kind)
    }
}
