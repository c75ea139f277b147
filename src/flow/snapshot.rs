//! The immutable merged view that readers hold.

use std::net::IpAddr;

use crate::packet::Skip;
use crate::time::UnixNanos;

/// The state of the windows at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Civil time of the last tick that is in it.
    pub taken_at: UnixNanos,
    /// What was counted since the start.
    pub accounting: Accounting,
    /// Hosts that sent at least `chart_bytes_min` in the window, most bytes first; at most
    /// [`SNAPSHOT_HOSTS_MAX`](super::SNAPSHOT_HOSTS_MAX).
    pub hosts: Vec<HostRow>,
    /// Hosts that sent as much and found no room in `hosts`.
    pub hosts_omitted: usize,
    /// What the kernel offered and lost in the traffic window.
    pub loss: KernelCounts,
}

/// What one host did in the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRow {
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
    pub destinations: Vec<PeerBytes>,
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
