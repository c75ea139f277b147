//! Which way the frames of a capture went, and which of them count because of that.
//!
//! A capture of all devices of a host (`tcpdump -i any`) has a packet that the host forwards twice: entering and
//! leaving. Cooked headers and the flags of pcapng state the direction, so that such a packet counts once, as it does
//! live. Whether the host forwards is found out from the beginning of the capture: a leaving packet that had entered
//! before was forwarded. Network address translation changes one of the two addresses, so either source or destination
//! is compared, and with it the fields that no router changes.
//!
//! A packet that passes a device on top of another one (VLAN, bond, bridge) enters by both. Where the file states
//! interfaces, the upper device is known by that: what enters by it has entered by another one at the same moment. Its
//! frames are skipped, as they are live.
//!
//! Files that state no direction are taken to have each packet once. If the first frame leaves later than at the
//! beginning, the capture is examined from there on.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::BuildHasher;
use std::net::IpAddr;

use foldhash::fast::RandomState;

use super::cooked::LOOPBACK_IFINDEX;
use super::format::FileFormat;
use super::notes::Notes;
use super::record::{CaptureRecord, ReadStep};
use crate::capture::options::DirectionPolicy;
use crate::capture::source::Verdict;
use crate::packet::{Direction, Frame, Skip, decode, outermost_packet};
use crate::time::UnixNanos;

/// Which frames of a capture count by their direction, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountedDirection {
    /// [`DirectionPolicy::In`], [`DirectionPolicy::InAndOwn`] or [`DirectionPolicy::Both`].
    pub counts: DirectionPolicy,
    /// The reason.
    pub reason: DirectionReason,
}

/// The reason of a [`CountedDirection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectionReason {
    /// The configuration demands it.
    Configured,
    /// Most packets that leave had entered before, so the host forwards.
    Forwards {
        /// Number of leaving packets at the beginning of the capture.
        leaving: u64,
        /// Number of those that had entered before.
        forwarded: u64,
    },
    /// Most packets that leave had not entered before. If only entering ones counted, more would be missing than count
    /// twice now.
    DoesNotForward {
        /// Number of leaving packets at the beginning of the capture.
        leaving: u64,
        /// Number of those that had entered before.
        forwarded: u64,
    },
    /// The host forwards, and what leaves it enters again by another interface, which is promiscuous or on the same
    /// network. So each packet enters more than once, and the direction does not tell the copies apart.
    EntersAgain {
        /// Number of forwarded packets at the beginning of the capture.
        forwarded: u64,
        /// Number of those that entered again.
        again: u64,
    },
}

impl CountedDirection {
    /// Returns the value of the setting `Direction` that has the same effect: `in`, `in+own` or `both`.
    pub fn counts_name(&self) -> &'static str {
        match self.counts {
            DirectionPolicy::In => "in",
            DirectionPolicy::InAndOwn => "in+own",
            DirectionPolicy::Auto | DirectionPolicy::Both => "both",
        }
    }
}

impl fmt::Display for CountedDirection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.counts {
            DirectionPolicy::In => "packets count entering",
            DirectionPolicy::InAndOwn => "packets count entering, and leaving from an own address",
            DirectionPolicy::Auto | DirectionPolicy::Both => "packets count entering and leaving",
        })?;
        match self.reason {
            DirectionReason::Configured => f.write_str(", since `Direction` is set"),
            DirectionReason::Forwards { leaving, forwarded } => write!(
                f,
                ", since this host forwards: of the first {leaving} leaving packets {forwarded} had entered before"
            ),
            DirectionReason::DoesNotForward { leaving, forwarded } => write!(
                f,
                ", since most packets do not pass through this host: of the first {leaving} leaving packets {forwarded} \
                 had entered before"
            ),
            DirectionReason::EntersAgain { forwarded, again } => write!(
                f,
                ", since the copies of a packet cannot be told apart: of the first {forwarded} forwarded packets \
                 {again} entered again by another interface; capture one interface to have each packet once"
            ),
        }
    }
}

/// The verdicts on the frames of a capture by their direction, for one [`DirectionPolicy`].
#[derive(Clone, Debug)]
pub struct DirectionVerdicts {
    egress: Verdict,
    /// True if frames leave at the beginning of the capture.
    states_directions: bool,
    /// Interfaces on top of others, sorted.
    upper: Vec<u32>,
    /// Addresses of the host that captured, sorted; only for [`Verdict::CountIfOwn`].
    own: Vec<IpAddr>,
}

impl DirectionVerdicts {
    /// The verdicts with which every frame counts.
    pub(super) const COUNT_ALL: Self =
        Self { egress: Verdict::Count, states_directions: false, upper: Vec::new(), own: Vec::new() };

    /// Decides by the policy and by the beginning of a capture. The direction is `None` if the beginning has no leaving
    /// frame.
    pub(super) fn decide(policy: DirectionPolicy, beginning: &Beginning) -> (Self, Option<CountedDirection>) {
        let (counts, reason) = match policy {
            DirectionPolicy::Auto => beginning.conclusion(),
            configured => (configured, DirectionReason::Configured),
        };
        let egress = match counts {
            DirectionPolicy::In => Verdict::ObserveOnly,
            DirectionPolicy::InAndOwn => Verdict::CountIfOwn,
            DirectionPolicy::Auto | DirectionPolicy::Both => Verdict::Count,
        };
        let own = if counts == DirectionPolicy::InAndOwn { beginning.own.clone() } else { Vec::new() };
        let states_directions = beginning.has_egress;
        let verdicts = Self { egress, states_directions, upper: beginning.upper.clone(), own };
        (verdicts, states_directions.then_some(CountedDirection { counts, reason }))
    }

    /// Returns the verdict on frames of this interface and direction. Leaving frames of the loopback device enter it
    /// again, so they never count.
    pub(super) fn verdict(&self, ifindex: u32, direction: Direction) -> Verdict {
        if self.upper.binary_search(&ifindex).is_ok() {
            return Verdict::Skip(Skip::UpperDevice);
        }
        match direction {
            Direction::Ingress | Direction::OtherHost => Verdict::Count,
            Direction::Egress if ifindex == LOOPBACK_IFINDEX => Verdict::Skip(Skip::Egress),
            Direction::Egress => self.egress,
        }
    }

    /// Returns true if packets of this direction count as received. The rule is that of live capture: where leaving
    /// frames are only observed, it is these.
    pub(super) fn counts_as_received(&self, direction: Direction) -> bool {
        !self.states_directions || direction == Direction::Egress || self.egress == Verdict::Count
    }

    /// Returns true if the packet of an entering frame leaves again: the host that captured forwards it.
    pub(super) fn is_seen_leaving(&self, direction: Direction, dst: IpAddr) -> bool {
        let forwards = self.states_directions && self.egress != Verdict::Count;
        forwards && direction == Direction::Ingress && !self.is_own(dst)
    }

    /// Returns true if `addr` is an address of the host that captured.
    pub(super) fn is_own(&self, addr: IpAddr) -> bool {
        self.own.binary_search(&addr).is_ok()
    }
}

/// What the beginning of a capture shows of the host that captured.
#[derive(Debug, Default)]
pub(super) struct Beginning {
    /// True if frames leave.
    has_egress: bool,
    /// Number of packets that left.
    leaving: u64,
    /// Number of those that had entered before.
    forwarded: u64,
    /// Number of packets that entered after they had left.
    again: u64,
    /// Interfaces on top of others, sorted.
    upper: Vec<u32>,
    /// The addresses from which packets left that had not entered from anywhere, sorted.
    own: Vec<IpAddr>,
}

impl Beginning {
    /// Reads the records that `bytes` begin with. `format` is the state of the reader before them.
    pub(super) fn read(format: &FileFormat, bytes: &[u8]) -> Self {
        if !records(format, bytes).any(|record| record.direction == Direction::Egress) {
            return Self::default();
        }
        let mut passed = PassedPackets::default();
        records(format, bytes).for_each(|record| passed.add(&record.frame_in(bytes)));
        let PassedPackets { leaving, forwarded, again, .. } = passed;
        let mut own: Vec<_> = passed.left_from.difference(&passed.entered_from).copied().collect();
        own.sort_unstable();
        Self { has_egress: true, leaving, forwarded, again, upper: passed.upper(), own }
    }

    /// Concludes whether leaving packets count. A few that had entered before prove nothing, since a stranger can send
    /// packets from an address of the host.
    fn conclusion(&self) -> (DirectionPolicy, DirectionReason) {
        let &Self { leaving, forwarded, again, .. } = self;
        if forwarded == 0 || forwarded < leaving - forwarded {
            (DirectionPolicy::Both, DirectionReason::DoesNotForward { leaving, forwarded })
        } else if again >= forwarded.div_ceil(2) {
            (DirectionPolicy::Both, DirectionReason::EntersAgain { forwarded, again })
        } else {
            (DirectionPolicy::In, DirectionReason::Forwards { leaving, forwarded })
        }
    }
}

/// The packets that passed the host so far, in both directions, by the keys of [`PassedPackets::add`].
#[derive(Default)]
struct PassedPackets {
    /// Packets that entered, by source and by destination.
    entered: HashSet<u64, RandomState>,
    /// Packets that entered, and those that left, by source and number of hops.
    entered_at_hop: HashSet<u64, RandomState>,
    left_at_hop: HashSet<u64, RandomState>,
    /// By source and number of hops, the interface and the time at which a packet entered last.
    entered_by: HashMap<u64, (u32, UnixNanos), RandomState>,
    interfaces: HashMap<u32, InterfaceIngress, RandomState>,
    /// Sources of the packets that entered, and of those that left.
    entered_from: HashSet<IpAddr, RandomState>,
    left_from: HashSet<IpAddr, RandomState>,
    leaving: u64,
    forwarded: u64,
    again: u64,
}

/// The packets that entered by one interface.
#[derive(Default)]
struct InterfaceIngress {
    packets: u64,
    /// Number of those that had entered by another interface at the same moment.
    copies: u64,
}

impl PassedPackets {
    /// Returns the interfaces by which hardly anything enters that has not entered by another one, sorted.
    fn upper(&self) -> Vec<u32> {
        let is_upper = |ingress: &InterfaceIngress| {
            ingress.copies >= COPIES_MIN
                && ingress.copies.saturating_mul(4) >= ingress.packets.saturating_mul(3)
        };
        let upper = self.interfaces.iter().filter(|(_, ingress)| is_upper(ingress));
        let mut upper: Vec<u32> = upper.map(|(&ifindex, _)| ifindex).collect();
        upper.sort_unstable();
        upper
    }

    /// Notes by which interface a packet enters.
    fn enters(&mut self, at_hop: u64, frame: &Frame<'_>) {
        let ingress = self.interfaces.entry(frame.ifindex).or_default();
        ingress.packets += 1;
        let before = self.entered_by.get(&at_hop);
        if before.is_some_and(|&(ifindex, seen_at)| {
            ifindex != frame.ifindex && frame.seen_at.0.abs_diff(seen_at.0) <= SAME_MOMENT_NANOS
        }) {
            ingress.copies += 1;
        } else {
            self.entered_by.insert(at_hop, (frame.ifindex, frame.seen_at));
        }
    }

    /// Adds a frame. Packets that no router forwards tell nothing: those of the loopback device, those to all or to a
    /// group, which a host with two interfaces on one network sees entering again, and those from an address that is
    /// valid on one link only.
    fn add(&mut self, frame: &Frame<'_>) {
        let Ok(summary) = decode(frame) else { return };
        let (src, dst) = (summary.endpoints.src(), summary.endpoints.dst());
        if frame.ifindex == LOOPBACK_IFINDEX || is_for_many(dst) || !is_routable(src) {
            return;
        }
        let Some(packet) = outermost_packet(frame) else { return };
        let same = (summary.protocol, summary.ip_bytes, unchanged_fields(packet, summary.protocol));
        let key = |way, hops, addr: IpAddr| self.entered.hasher().hash_one((way, hops, addr, same));
        let (from, to) = (key('s', 0, src), key('d', 0, dst));
        let at_hop = key('s', hop_limit(packet), src);
        if frame.direction == Direction::Egress {
            self.leaving += 1;
            self.forwarded += u64::from(self.entered.contains(&from) || self.entered.contains(&to));
            self.left_at_hop.insert(at_hop);
            self.left_from.insert(src);
        } else {
            // A router decrements the number of hops, so a packet that enters with the number with which it left, and
            // had not entered with it before, has left this host.
            self.enters(at_hop, frame);
            self.again += u64::from(self.entered_at_hop.insert(at_hop) && self.left_at_hop.contains(&at_hop));
            self.entered.insert(from);
            // Packets for other stations do not pass through this host by address translation.
            if frame.direction == Direction::Ingress {
                self.entered.insert(to);
            }
            self.entered_from.insert(src);
        }
    }
}

/// Returns the records that `bytes` begin with, up to the first that is incomplete or faulty.
fn records<'b>(format: &FileFormat, bytes: &'b [u8]) -> impl Iterator<Item = CaptureRecord> + 'b {
    let (mut format, mut notes, mut at) = (format.clone(), Notes::new(String::new()), 0);
    std::iter::from_fn(move || {
        loop {
            match format.step(bytes.get(at..)?, &mut notes) {
                Ok(ReadStep::CaptureRecord { record, len }) => {
                    let record = record.in_buffer(at);
                    at += len;
                    return Some(record);
                }
                Ok(ReadStep::Other { len }) => at += len,
                Ok(ReadStep::SkipBlock { .. } | ReadStep::Incomplete { .. }) | Err(_) => return None,
            }
        }
    })
}

/// Returns the fields that differ from packet to packet of a source and that neither forwarding nor network address
/// translation changes: the identification and the fragment offset of IPv4, and the two sequence numbers of TCP.
fn unchanged_fields(packet: &[u8], protocol: u8) -> ([u8; 4], [u8; 8]) {
    let field = |at: usize| packet.get(at..).and_then(<[u8]>::first_chunk::<4>).copied().unwrap_or_default();
    let (identification, header_len) = match packet.first() {
        Some(first) if first >> 4 == 4 => (field(4), usize::from(first & 0xf) * 4),
        _ => ([0; 4], IPV6_HEADER_LEN),
    };
    if i32::from(protocol) != libc::IPPROTO_TCP {
        return (identification, [0; 8]);
    }
    let [[s0, s1, s2, s3], [a0, a1, a2, a3]] = [field(header_len + 4), field(header_len + 8)];
    (identification, [s0, s1, s2, s3, a0, a1, a2, a3])
}

/// Returns the number of hops that the packet may still make.
fn hop_limit(packet: &[u8]) -> u8 {
    let at = if packet.first().is_some_and(|first| first >> 4 == 4) { 8 } else { 7 };
    packet.get(at).copied().unwrap_or_default()
}

fn is_for_many(addr: IpAddr) -> bool {
    addr.is_multicast() || addr == IpAddr::V4(std::net::Ipv4Addr::BROADCAST)
}

fn is_routable(addr: IpAddr) -> bool {
    let is_link_local = match addr {
        IpAddr::V4(addr) => addr.is_link_local(),
        IpAddr::V6(addr) => addr.is_unicast_link_local(),
    };
    !(is_link_local || addr.is_unspecified() || addr.is_loopback() || is_for_many(addr))
}

const IPV6_HEADER_LEN: usize = 40;

/// Minimum number of packets that show that an interface is on top of another one.
const COPIES_MIN: u64 = 4;
/// Maximum time from a packet on an interface to the same packet on one on top of it.
const SAME_MOMENT_NANOS: u64 = 10_000_000;

/// Number of bytes at the beginning of a capture that are searched for forwarded packets.
pub(super) const BEGINNING_BYTES: usize = 8 << 20;
