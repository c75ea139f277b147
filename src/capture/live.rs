//! One ring as a source of frames: each batch is a block, and a wait ends when the ring has a block or a waker is
//! notified.
//!
//! It owns the ring, the table with the verdicts on its frames, and the wait. This file does not contain decoding,
//! accounting or threads. Between two waits [`Live`] makes no system call, except for interfaces that the table does
//! not have: it looks up the name of such an interface once for each block that has frames of the interface. For frames
//! for stations that the table does not know, it reads the addresses that an interface receives, at most ten times a
//! second; see [`stations`](super::stations).
//!
//! **Contract: take batches until there is none before waiting**; [`poller`](crate::sys::poller) has the reason.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use super::error::CaptureError;
use super::link_history::LinkHistory;
use super::mailbox::Mailbox;
use super::source::{Batch, FrameSource, Verdict};
use super::stations::ReceivedStations;
use super::verdict_table::{InterfaceVerdicts, VerdictTable};
use crate::packet::{
    Direction, Frame, LinkKind, Segmentation, Segments, Skip, Transported, is_pppoe_session,
};
use crate::sys::abi;
use crate::sys::poller::{Poller, WaitPoint};
use crate::sys::ring::{self, Block, Corrupt, RawFrame, Ring};
use crate::time::UnixNanos;

/// A ring and its wait, on the thread of its worker.
#[derive(Debug)]
pub struct Live {
    ring: Ring,
    poller: Poller,
    mailbox: Arc<Mailbox>,
    interfaces: KnownInterfaces,
}

impl Live {
    pub(super) fn new(
        ring: Ring,
        poller: Poller,
        mailbox: Arc<Mailbox>,
        interfaces: KnownInterfaces,
    ) -> Self {
        Self { ring, poller, mailbox, interfaces }
    }

    /// Waits until there is a block, the waker is notified, `timeout` has passed or a signal arrives. Without a timeout
    /// it waits without limit. It may return early. Take batches until there is none before waiting.
    ///
    /// An error of the socket, such as an interface that went down, is logged and cleared.
    ///
    /// # Errors
    /// The wait has failed, which is permanent.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<(), CaptureError> {
        let ready = self.poller.wait(timeout).map_err(|source| {
            let mechanism = self.poller.wait_point().mechanism.name();
            CaptureError::Wait { mechanism, source }
        })?;
        if ready.socket_error {
            // Reading the error clears it. The socket receives frames again when the interface is up.
            let error = self.ring.socket().take_error().map_err(option("SO_ERROR"))?;
            tracing::debug!(error, "the packet socket reported an error and goes on");
        }
        Ok(())
    }

    /// Returns what the socket has counted since the last call. Reading resets the counters, so exactly one caller must
    /// add them up. In total, `tp_packets` counts the frames of all batches, the dropped frames and the frames that are
    /// still in the ring.
    ///
    /// # Errors
    /// The socket option cannot be read.
    pub fn statistics(&mut self) -> Result<SocketStatistics, CaptureError> {
        let statistics = self.ring.socket().take_statistics().map_err(option("PACKET_STATISTICS"))?;
        Ok(SocketStatistics {
            tp_packets: u64::from(statistics.tp_packets),
            tp_drops: u64::from(statistics.tp_drops),
            tp_freezes: u64::from(statistics.tp_freeze_q_cnt),
        })
    }

    /// Returns true if interfaces were added or their verdicts changed since the last call.
    pub(crate) fn take_changed(&mut self) -> bool {
        self.interfaces.changed.take()
    }

    /// Returns the mechanism that [`wait`](Self::wait) uses, and the reason if io_uring was tried and refused.
    pub fn wait_point(&self) -> &WaitPoint {
        self.poller.wait_point()
    }

    /// Returns the table with the verdicts on frames of the last batch.
    pub fn table(&self) -> &VerdictTable {
        &self.interfaces.table
    }
}

/// The counters of one packet socket (`PACKET_STATISTICS`) since they were last read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketStatistics {
    /// Frames that passed the filter, including the dropped ones.
    pub tp_packets: u64,
    /// Frames dropped because the ring was full.
    pub tp_drops: u64,
    /// Number of times that the ring became full.
    pub tp_freezes: u64,
}

impl FrameSource for Live {
    type Batch<'s> = LiveBatch<'s>;
    type Error = CaptureError;

    /// Returns the frames of the next closed block. It never fails.
    fn next_batch(&mut self) -> Result<Option<LiveBatch<'_>>, CaptureError> {
        let Some(block) = self.ring.next_block() else { return Ok(None) };
        if let Some(table) = self.mailbox.take() {
            self.interfaces.replace(table);
        }
        self.interfaces.begin_batch();
        Ok(Some(LiveBatch { block, interfaces: &self.interfaces }))
    }
}

/// The frames of one block. Dropping it returns the block to the kernel.
#[derive(Debug)]
pub struct LiveBatch<'s> {
    block: Block<'s>,
    interfaces: &'s KnownInterfaces,
}

impl Batch for LiveBatch<'_> {
    type Frames<'b>
        = LiveFrames<'b>
    where
        Self: 'b;

    /// Returns the frames in order of arrival. A corrupt frame descriptor ends the iteration with a frame that has no
    /// bytes and interface 0; its verdict is [`Skip::RingCorrupt`].
    fn frames(&self) -> LiveFrames<'_> {
        LiveFrames(self.block.frames())
    }

    fn verdict(&self, ifindex: u32, direction: Direction) -> Verdict {
        self.interfaces.verdict(ifindex, direction)
    }

    #[inline]
    fn is_own_pppoe(&self, frame: &Frame<'_>) -> bool {
        self.interfaces.table.terminates_pppoe()
            && frame.direction != Direction::OtherHost
            && is_pppoe_session(frame)
    }

    fn is_for_device_above(&self, frame: &Frame<'_>) -> bool {
        self.interfaces.is_for_device_above(frame)
    }

    fn counts_as_received(&self, direction: Direction) -> bool {
        self.interfaces.table.counts_as_received(direction)
    }

    fn is_seen_leaving(&self, ifindex: u32, direction: Direction, dst: IpAddr) -> bool {
        self.interfaces.table.is_seen_leaving(ifindex, direction, dst)
    }

    fn is_own(&self, addr: IpAddr) -> bool {
        self.interfaces.table.is_own(addr)
    }
}

/// Iterator over the frames of a [`LiveBatch`].
#[derive(Clone, Debug)]
pub struct LiveFrames<'b>(ring::Frames<'b>);

impl<'b> Iterator for LiveFrames<'b> {
    type Item = Frame<'b>;

    #[inline]
    fn next(&mut self) -> Option<Frame<'b>> {
        Some(match self.0.next()? {
            Ok(raw) => frame(&raw),
            Err(Corrupt) => UNREADABLE,
        })
    }
}

/// Stands for a frame whose descriptor is corrupt. No other frame has interface 0.
const UNREADABLE: Frame<'static> = Frame {
    bytes: &[],
    frame_len: 0,
    seen_at: UnixNanos(0),
    ifindex: 0,
    link: LinkKind::Unsupported(libc::ARPHRD_VOID),
    direction: Direction::Ingress,
    segmentation: Segmentation::None,
};

#[inline]
fn frame<'b>(raw: &RawFrame<'b>) -> Frame<'b> {
    Frame {
        bytes: raw.bytes,
        frame_len: raw.tp_len,
        seen_at: UnixNanos(raw.seen_at_ns),
        ifindex: raw.ifindex.get(),
        link: link_kind(raw.hatype),
        direction: match raw.pkttype {
            abi::PACKET_OUTGOING => Direction::Egress,
            libc::PACKET_OTHERHOST => Direction::OtherHost,
            _ => Direction::Ingress,
        },
        segmentation: segmentation(raw),
    }
}

/// Returns the segmentation of a frame, as far as the kernel reports it.
#[inline]
fn segmentation(raw: &RawFrame<'_>) -> Segmentation {
    let Some(vnet) = &raw.vnet else {
        return if raw.is_gso_tcp { Segmentation::Unknown } else { Segmentation::None };
    };
    if vnet.gso_type == 0 {
        return Segmentation::None;
    }
    let transported = match vnet.gso_type & !abi::VIRTIO_NET_HDR_GSO_ECN {
        abi::VIRTIO_NET_HDR_GSO_TCPV4 | abi::VIRTIO_NET_HDR_GSO_TCPV6 => Transported::Tcp,
        abi::VIRTIO_NET_HDR_GSO_UDP_L4 => Transported::Udp,
        _ => return Segmentation::Unknown,
    };
    let Some(payload_bytes) = NonZeroU16::new(vnet.gso_size) else { return Segmentation::Unknown };
    let has_transport = vnet.flags & abi::VIRTIO_NET_HDR_F_NEEDS_CSUM != 0;
    let transport_at = has_transport.then_some(vnet.csum_start);
    Segmentation::Into(Segments { transported, payload_bytes, transport_at })
}

/// Returns the kind of link of a hardware type (`ARPHRD_*`) on a packet socket. On devices without a link header, PPP
/// included, frames begin with the IP packet.
#[inline]
fn link_kind(hatype: u16) -> LinkKind {
    match hatype {
        libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => LinkKind::Ethernet,
        libc::ARPHRD_NONE
        | ARPHRD_RAWIP
        | libc::ARPHRD_PPP
        | libc::ARPHRD_TUNNEL
        | libc::ARPHRD_TUNNEL6
        | libc::ARPHRD_SIT
        | libc::ARPHRD_IPGRE
        | ARPHRD_IP6GRE => LinkKind::RawIp,
        libc::ARPHRD_CISCO => LinkKind::CiscoHdlc,
        other => LinkKind::Unsupported(other),
    }
}

// include/uapi/linux/if_arp.h; libc lacks these.
const ARPHRD_RAWIP: u16 = 519;
const ARPHRD_IP6GRE: u16 = 823;

/// The table of verdicts, and the verdicts on interfaces that it does not have.
#[derive(Debug)]
pub(super) struct KnownInterfaces {
    table: Arc<VerdictTable>,
    link_history: Arc<LinkHistory>,
    /// Verdicts on interfaces that the table does not have. They hold for the present batch only: its frames were
    /// captured before the names were looked up, so under one of these names. A later frame may be of another interface
    /// with the same number.
    // A `RefCell`, since verdicts are looked up while the batch borrows the struct.
    unknown_interfaces: RefCell<HashMap<u32, InterfaceVerdicts>>,
    /// The addresses that interfaces receive besides their own, as far as frames of the last second needed them.
    received_stations: RefCell<ReceivedStations>,
    /// True if verdicts have changed since the flag was last taken. Flows may have become visible in mid-stream then.
    changed: Cell<bool>,
}

impl KnownInterfaces {
    pub(super) fn new(table: Arc<VerdictTable>, link_history: Arc<LinkHistory>) -> Self {
        Self {
            table,
            link_history,
            unknown_interfaces: RefCell::default(),
            received_stations: RefCell::default(),
            changed: Cell::default(),
        }
    }

    /// Returns the socket on which the history reads notices.
    pub(super) fn notices(&self) -> RawFd {
        self.link_history.descriptor()
    }

    /// Replaces the table. It counts as a change if the verdicts differ; a new address of this machine does not.
    fn replace(&mut self, table: Arc<VerdictTable>) {
        if !table.has_same_verdicts(&self.table) {
            self.changed.set(true);
        }
        self.table = table;
    }

    fn begin_batch(&mut self) {
        let unknown_interfaces = self.unknown_interfaces.get_mut();
        if !unknown_interfaces.is_empty() {
            unknown_interfaces.clear();
        }
        self.received_stations.get_mut().begin_batch();
    }

    fn verdict(&self, ifindex: u32, direction: Direction) -> Verdict {
        match self.table.verdict(ifindex, direction) {
            Some(verdict) => verdict,
            None if ifindex == UNREADABLE.ifindex => Verdict::Skip(Skip::RingCorrupt),
            None => self.unknown_interface(ifindex, direction),
        }
    }

    /// Returns true if a device above the interface of the frame has the destination address: a device that the table
    /// knows, or one in another namespace, for which the kernel is asked now and then.
    fn is_for_device_above(&self, frame: &Frame<'_>) -> bool {
        let Some(&station) = frame.captured().first_chunk() else { return false };
        let has = |row: &InterfaceVerdicts| row.stations.contains(&station);
        self.table.row(frame.ifindex).is_some_and(has)
            || self.unknown_interfaces.borrow().get(&frame.ifindex).is_some_and(has)
            || self.received_stations.borrow_mut().has(frame.ifindex, station)
    }

    /// Looks up the verdict on an interface that the table does not have, once per interface and batch.
    fn unknown_interface(&self, ifindex: u32, direction: Direction) -> Verdict {
        let mut unknown_interfaces = self.unknown_interfaces.borrow_mut();
        let row = unknown_interfaces.entry(ifindex).or_insert_with(|| {
            self.changed.set(true);
            // The history is read after the present name: if the interface is removed between the two, the history has
            // all of its names.
            let present = self.link_history.present_name(ifindex);
            let mut names = self.link_history.names_of(ifindex);
            names.extend(present);
            self.table.unknown_interface(ifindex, &names)
        });
        row.verdict(direction)
    }
}

/// Returns a function that turns an error of this socket option into a [`CaptureError`].
fn option(option: &'static str) -> impl Fn(nix::errno::Errno) -> CaptureError {
    move |source| CaptureError::Option { option, source }
}

#[cfg(test)]
mod tests {
    use super::super::interfaces::{Interfaces, OwnAddress};
    use super::super::options::{DirectionPolicy, Options};
    use super::super::policy::Policy;
    use super::*;

    fn raw(pkttype: u8, hatype: u16) -> RawFrame<'static> {
        RawFrame {
            bytes: b"bytes",
            tp_len: 1500,
            seen_at_ns: 7,
            ifindex: std::num::NonZeroU32::new(3).unwrap(),
            pkttype,
            hatype,
            stripped_vlan_tci: None,
            is_gso_tcp: false,
            vnet: None,
        }
    }

    fn policy(excluded: &str) -> Policy {
        let options = Options {
            workers: 1,
            ring_memory_bytes: 0,
            excluded_interfaces: vec![excluded.to_owned()],
            promiscuous: vec![],
            local_networks: Default::default(),
            direction: DirectionPolicy::In,
            event_loop: Default::default(),
            counts_received: false,
            wire_exact: Default::default(),
        };
        Policy::new(&options)
    }

    fn known(excluded: &str) -> KnownInterfaces {
        let table = VerdictTable::new(&Interfaces::default(), &policy(excluded));
        KnownInterfaces::new(Arc::new(table), Arc::new(LinkHistory::subscribe().unwrap()))
    }

    #[test]
    fn the_packet_type_is_the_direction_of_a_frame() {
        let cases = [
            (libc::PACKET_HOST, Direction::Ingress),
            (libc::PACKET_BROADCAST, Direction::Ingress),
            (libc::PACKET_MULTICAST, Direction::Ingress),
            (libc::PACKET_OTHERHOST, Direction::OtherHost),
            (libc::PACKET_OUTGOING, Direction::Egress),
        ];
        for (pkttype, direction) in cases {
            assert_eq!(frame(&raw(pkttype, 1)).direction, direction, "{pkttype}");
        }
    }

    #[test]
    fn the_hardware_type_is_the_kind_of_link() {
        let cases = [
            (libc::ARPHRD_ETHER, LinkKind::Ethernet),
            (libc::ARPHRD_LOOPBACK, LinkKind::Ethernet),
            (libc::ARPHRD_NONE, LinkKind::RawIp),
            (libc::ARPHRD_PPP, LinkKind::RawIp),
            (libc::ARPHRD_IEEE80211_RADIOTAP, LinkKind::Unsupported(803)),
        ];
        for (hatype, link) in cases {
            assert_eq!(frame(&raw(0, hatype)).link, link, "{hatype}");
        }
    }

    #[test]
    fn segments_are_those_of_the_vnet_header() {
        use abi::virtio_net_hdr;
        let header = |flags, gso_type, gso_size| {
            Some(virtio_net_hdr { flags, gso_type, hdr_len: 66, gso_size, csum_start: 34, csum_offset: 16 })
        };
        let into = |transported, transport_at| {
            let payload_bytes = NonZeroU16::new(1448).unwrap();
            Segmentation::Into(Segments { transported, payload_bytes, transport_at })
        };
        let cases = [
            ("no header", None, false, Segmentation::None),
            ("no header, GSO in the status", None, true, Segmentation::Unknown),
            ("one packet", header(1, 0, 0), false, Segmentation::None),
            ("TCP over IPv4", header(1, 1, 1448), true, into(Transported::Tcp, Some(34))),
            ("with ECN", header(1, 0x81, 1448), true, into(Transported::Tcp, Some(34))),
            ("TCP over IPv6, checked", header(0, 4, 1448), true, into(Transported::Tcp, None)),
            ("UDP", header(1, 5, 1448), false, into(Transported::Udp, Some(34))),
            ("UDP fragments", header(1, 3, 1448), false, Segmentation::Unknown),
            ("no size", header(1, 1, 0), false, Segmentation::Unknown),
        ];
        for (name, vnet, is_gso_tcp, expected) in cases {
            assert_eq!(frame(&RawFrame { vnet, is_gso_tcp, ..raw(0, 1) }).segmentation, expected, "{name}");
        }
    }

    #[test]
    fn a_frame_with_a_corrupt_descriptor_is_skipped_as_ring_corrupt() {
        let verdict = known("lo").verdict(UNREADABLE.ifindex, UNREADABLE.direction);
        assert_eq!(verdict, Verdict::Skip(Skip::RingCorrupt));
    }

    #[test]
    fn an_unknown_interface_is_excluded_by_the_name_it_has_now() {
        // Interface 1 of every namespace is lo.
        let excluded = Verdict::Skip(Skip::ExcludedInterface);
        assert_eq!(known("lo").verdict(1, Direction::Ingress), excluded);
        assert_eq!(known("eth0").verdict(1, Direction::Ingress), Verdict::Count);
        // There is no such interface, and the history does not have one.
        let unknown = Verdict::Skip(Skip::UnknownInterface);
        assert_eq!(known("eth0").verdict(u32::MAX, Direction::Ingress), unknown);
    }

    #[test]
    fn only_a_table_with_other_verdicts_is_a_change() {
        let table = |interfaces: &Interfaces, excluded: &str| {
            Arc::new(VerdictTable::new(interfaces, &policy(excluded)))
        };
        let addr = IpAddr::from([10, 0, 0, 1]);
        let own_addresses = vec![OwnAddress { addr, ifindex: 1, prefix: None }];
        let mut known = known("lo");
        known.replace(table(&Interfaces { own_addresses, ..Interfaces::default() }, "lo"));
        assert!(!known.changed.get(), "an address was added");
        known.verdict(1_000_000, Direction::Ingress);
        known.replace(table(&Interfaces::default(), "lo"));
        assert!(known.changed.take(), "a frame of an interface that the table lacks");
    }

    #[test]
    fn names_are_looked_up_again_for_each_batch() {
        let mut known = known("lo");
        known.verdict(1, Direction::Ingress);
        assert_eq!(known.unknown_interfaces.borrow().len(), 1);
        known.begin_batch();
        assert!(known.unknown_interfaces.borrow().is_empty());
    }
}
