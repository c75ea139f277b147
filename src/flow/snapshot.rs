//! The snapshot: the immutable merged state that readers get.

use std::net::IpAddr;

use crate::packet::Skip;
use crate::time::UnixNanos;

use super::host_list::HostList;

/// The state of the windows at one tick.
///
/// Totals and losses are of the time `taken_at`. The rows were made in parts between `listed_since` and `taken_at`,
/// each row at one moment, so no row exceeds the totals. If a host has so many destinations that its row took several
/// parts, its sums are of the time of the last part.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Civil time of the last tick that is included.
    pub taken_at: UnixNanos,
    /// Totals since the start.
    pub accounting: Accounting,
    /// Hosts that sent at least `chart_bytes_min` in the window, most bytes first, as many as the
    /// [room](super::ListingRoom) allows.
    pub hosts: HostList,
    /// Number of hosts that sent at least `chart_bytes_min` but found no room in `hosts`.
    pub hosts_omitted: usize,
    /// Civil time at which the first row was made.
    pub listed_since: UnixNanos,
    /// Frames that the kernel offered and dropped in the traffic window.
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
    /// Number of hosts contacted.
    pub contacted_hosts: u32,
    /// Number of ports contacted in the port window; 0 if ports are not analysed.
    pub contacted_ports: u32,
    /// Destinations by bytes, most first; at most [`DESTINATIONS_MAX`](super::DESTINATIONS_MAX).
    pub destinations: Destinations,
}

impl<Destinations> HostRow<Destinations> {
    /// Returns the same row with its destinations in another form.
    pub fn with<Others>(&self, destinations: Others) -> HostRow<Others> {
        let &Self { addr, packets, ip_bytes, contacted_hosts, contacted_ports, .. } = self;
        HostRow { addr, packets, ip_bytes, contacted_hosts, contacted_ports, destinations }
    }
}

impl HostRow {
    /// Returns the row of a host without traffic.
    pub fn silent(addr: IpAddr) -> Self {
        let destinations = Vec::new();
        Self { addr, packets: 0, ip_bytes: 0, contacted_hosts: 0, contacted_ports: 0, destinations }
    }

    /// Returns the same row with a reference to its destinations.
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

/// Totals of all frames. Each frame is counted once: `frames = counted_frames + sum(skipped)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounting {
    /// Frames read from the rings or the capture.
    pub frames: u64,
    /// Frames that were counted.
    pub counted_frames: u64,
    /// IP packets on the wire that they stand for; a frame of GRO stands for several.
    pub ip_packets: u64,
    /// Bytes of these packets.
    pub ip_bytes: u64,
    /// Frames that were not counted, by [`Skip`].
    pub skipped: [u64; Skip::COUNT],
    /// Packets whose frame was shorter than their header declared; they are counted.
    pub length_mismatch_packets: u64,
    /// Counted frames that stand for several packets on the wire.
    pub super_frames: u64,
    /// Super frames that count as one packet, because the kernel did not report their number of segments.
    pub super_frames_as_one: u64,
    /// Packets that are in the totals but for which a table had no room.
    pub spilled_packets: u64,
    /// Bytes of these packets.
    pub spilled_bytes: u64,
    /// Contacted ports for which a table had no room.
    pub spilled_ports: u64,
    /// Exchanges whose initiator could not be decided.
    pub undecided_exchanges: u64,
    /// Statistics of the packet sockets; zero in replay.
    pub kernel: KernelCounts,
    /// System calls of the workers; zero in replay.
    pub worker: WorkerCounts,
}

/// What the workers did besides counting, since the start. These are all their system calls except one clock read per
/// block, which is not a system call if the vDSO supports the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerCounts {
    /// Blocks read.
    pub blocks: u64,
    /// Waits for a block. Under load there are none.
    pub waits: u64,
    /// Deltas handed over. Each costs one read of the socket's statistics.
    pub handovers: u64,
    /// Times that a delta was due while the analyst still had the spare one.
    pub handovers_late: u64,
}

impl WorkerCounts {
    /// Adds the counts of another worker or of a later tick.
    pub fn add(&mut self, other: &WorkerCounts) {
        self.blocks += other.blocks;
        self.waits += other.waits;
        self.handovers += other.handovers;
        self.handovers_late += other.handovers_late;
    }
}

/// Statistics of the packet sockets (`PACKET_STATISTICS`), summed since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelCounts {
    /// Frames that passed the filter, the dropped ones included (`tp_packets`).
    pub tp_packets: u64,
    /// Frames dropped because the ring was full (`tp_drops`).
    pub tp_drops: u64,
    /// Times that the ring froze (`tp_freeze_q_cnt`).
    pub tp_freezes: u64,
}

impl KernelCounts {
    /// Adds the counts of another socket or of a later reading.
    pub fn add(&mut self, other: &KernelCounts) {
        self.tp_packets += other.tp_packets;
        self.tp_drops += other.tp_drops;
        self.tp_freezes += other.tp_freezes;
    }

    /// Subtracts counts that were added before.
    pub(super) fn subtract(&mut self, other: &KernelCounts) {
        self.tp_packets -= other.tp_packets;
        self.tp_drops -= other.tp_drops;
        self.tp_freezes -= other.tp_freezes;
    }

    /// Returns the share of dropped frames in parts per million, rounded up so that a single drop shows.
    #[allow(clippy::cast_possible_truncation, reason = "the share is at most 1,000,000 ppm")]
    pub fn dropped_ppm(&self) -> u64 {
        match self.tp_packets {
            0 => 0,
            offered => (u128::from(self.tp_drops) * 1_000_000).div_ceil(u128::from(offered)) as u64,
        }
    }
}

impl Accounting {
    /// Adds the counts of another worker or of a later tick.
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

    /// Returns the number of frames whose link header announced IP but that are not valid IP.
    pub fn malformed_ip_packets(&self) -> u64 {
        Skip::ALL.iter().filter(|skip| skip.is_malformed_ip()).map(|&skip| self.skipped[skip as usize]).sum()
    }

    /// Returns the number of frames that the kernel accepted but no worker has read; at the end, none will.
    pub fn frames_in_rings(&self) -> u64 {
        self.kernel.tp_packets.saturating_sub(self.kernel.tp_drops).saturating_sub(self.frames)
    }

    /// Returns the number of frames that were not counted, for any reason.
    pub fn skipped_frames(&self) -> u64 {
        self.skipped.iter().sum()
    }
}
