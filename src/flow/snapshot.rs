//! The immutable merged view that readers hold.

use std::net::IpAddr;

use crate::packet::Skip;
use crate::time::UnixNanos;

use super::host_list::HostList;

/// The state of the windows.
///
/// Totals and losses are of the moment at which it was published. The rows were made in parts just before, each of one
/// moment since `listed_since`, so the totals are never behind a row. A row of so many destinations that it was made
/// in several parts has its sums of the moment at which it was whole.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Civil time of the last tick that is in it.
    pub taken_at: UnixNanos,
    /// What was counted since the start.
    pub accounting: Accounting,
    /// Hosts that sent at least `chart_bytes_min` in the window, most bytes first; as many as there is
    /// [room](super::ListingRoom) for.
    pub hosts: HostList,
    /// Hosts that sent as much and found no room in `hosts`.
    pub hosts_omitted: usize,
    /// When the first row was made.
    pub listed_since: UnixNanos,
    /// What the kernel offered and lost in the traffic window.
    pub loss: KernelCounts,
}

/// What one host did in the window, with its destinations or a reference to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostRow<Destinations = Vec<PeerBytes>> {
    /// Its address.
    pub addr: IpAddr,
    /// Packets sent.
    pub packets: u64,
    /// Bytes sent.
    pub ip_bytes: u64,
    /// Hosts contacted.
    pub contacted_hosts: u32,
    /// Ports contacted in the port window; 0 where ports are not analysed.
    pub contacted_ports: u32,
    /// Where the bytes went, most first; at most [`DESTINATIONS_MAX`](super::DESTINATIONS_MAX).
    pub destinations: Destinations,
}

impl<Destinations> HostRow<Destinations> {
    /// The same host with its destinations in another form.
    pub fn with<Others>(&self, destinations: Others) -> HostRow<Others> {
        let &Self { addr, packets, ip_bytes, contacted_hosts, contacted_ports, .. } = self;
        HostRow { addr, packets, ip_bytes, contacted_hosts, contacted_ports, destinations }
    }
}

impl HostRow {
    /// A host that does nothing.
    pub fn silent(addr: IpAddr) -> Self {
        let destinations = Vec::new();
        Self { addr, packets: 0, ip_bytes: 0, contacted_hosts: 0, contacted_ports: 0, destinations }
    }

    /// The same host with a reference to its destinations.
    pub fn view(&self) -> HostRow<&[PeerBytes]> {
        self.with(&self.destinations)
    }
}

/// Bytes sent to one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerBytes {
    /// The peer.
    pub addr: IpAddr,
    /// Bytes sent to it in the window.
    pub ip_bytes: u64,
}

/// Every frame in exactly one place: `frames = counted_frames + sum(skipped)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounting {
    /// Frames read from the rings or the capture.
    pub frames: u64,
    /// Frames that were counted.
    pub counted_frames: u64,
    /// IP packets of the wire that they stand for.
    pub ip_packets: u64,
    /// Their bytes.
    pub ip_bytes: u64,
    /// Frames that were not counted, by [`Skip`].
    pub skipped: [u64; Skip::COUNT],
    /// Packets whose frame was shorter than their header declared; they are counted.
    pub length_mismatch_packets: u64,
    /// Counted frames that stand for several packets of the wire.
    pub super_frames: u64,
    /// Those of them that count as one packet, because nothing said how many they are.
    pub super_frames_as_one: u64,
    /// Packets that are in the totals and that no table had room for.
    pub spilled_packets: u64,
    /// Their bytes.
    pub spilled_bytes: u64,
    /// Contacted ports that no table had room for.
    pub spilled_ports: u64,
    /// Exchanges of which nobody can say who began them.
    pub undecided_exchanges: u64,
    /// What the kernel says of the packet sockets; zeros in replay.
    pub kernel: KernelCounts,
    /// What the workers asked of the system, which is nothing for a packet; zeros in replay.
    pub worker: WorkerCounts,
}

/// What workers did beside counting, added up since the start: all system calls of theirs but one clock read per block,
/// which is none where the clock is in the vDSO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerCounts {
    /// Blocks that were read.
    pub blocks: u64,
    /// Waits, each for want of a block. Under load there is none.
    pub waits: u64,
    /// Deltas that were handed over, each with one reading of the socket's statistics.
    pub handovers: u64,
    /// Times that a delta was due and the analyst still had the other one.
    pub handovers_late: u64,
}

impl WorkerCounts {
    /// Adds another worker's, or a later tick.
    pub fn add(&mut self, other: &WorkerCounts) {
        self.blocks += other.blocks;
        self.waits += other.waits;
        self.handovers += other.handovers;
        self.handovers_late += other.handovers_late;
    }
}

/// The packet sockets' own statistics (`PACKET_STATISTICS`), added up since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelCounts {
    /// Frames that passed the filter, the dropped ones included (`tp_packets`).
    pub tp_packets: u64,
    /// Frames dropped because the ring was full (`tp_drops`).
    pub tp_drops: u64,
    /// Times the ring froze (`tp_freeze_q_cnt`).
    pub tp_freezes: u64,
}

impl KernelCounts {
    /// Adds another socket's, or a later reading.
    pub fn add(&mut self, other: &KernelCounts) {
        self.tp_packets += other.tp_packets;
        self.tp_drops += other.tp_drops;
        self.tp_freezes += other.tp_freezes;
    }

    /// Takes away what was added before.
    pub(super) fn subtract(&mut self, other: &KernelCounts) {
        self.tp_packets -= other.tp_packets;
        self.tp_drops -= other.tp_drops;
        self.tp_freezes -= other.tp_freezes;
    }

    /// The dropped share of what was offered, in frames of a million; rounded up, so that any drop shows.
    pub fn dropped_ppm(&self) -> u64 {
        match self.tp_packets {
            0 => 0,
            offered => (u128::from(self.tp_drops) * 1_000_000).div_ceil(u128::from(offered)) as u64,
        }
    }
}

impl Accounting {
    /// Adds another worker's, or a later tick.
    pub fn add(&mut self, other: &Accounting) {
        self.frames += other.frames;
        self.counted_frames += other.counted_frames;
        self.ip_packets += other.ip_packets;
        self.ip_bytes += other.ip_bytes;
        for (mine, theirs) in self.skipped.iter_mut().zip(&other.skipped) {
            *mine += theirs;
        }
        self.length_mismatch_packets += other.length_mismatch_packets;
        self.super_frames += other.super_frames;
        self.super_frames_as_one += other.super_frames_as_one;
        self.spilled_packets += other.spilled_packets;
        self.spilled_bytes += other.spilled_bytes;
        self.spilled_ports += other.spilled_ports;
        self.undecided_exchanges += other.undecided_exchanges;
        self.kernel.add(&other.kernel);
        self.worker.add(&other.worker);
    }

    /// Frames that were announced as IP and are not.
    pub fn malformed_ip_packets(&self) -> u64 {
        Skip::ALL.iter().filter(|skip| skip.is_malformed_ip()).map(|&skip| self.skipped[skip as usize]).sum()
    }

    /// Frames that the kernel took and nobody read yet, or at the end at all.
    pub fn frames_in_rings(&self) -> u64 {
        self.kernel.tp_packets.saturating_sub(self.kernel.tp_drops).saturating_sub(self.frames)
    }

    /// Frames that were not counted, for whatever reason.
    pub fn skipped_frames(&self) -> u64 {
        self.skipped.iter().sum()
    }
}
