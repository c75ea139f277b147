//! The values of the rows of a delta. A pair has 48 bytes, so the row of an IPv4 pair is one cache line. A port has
//! eight bytes, so its row is half a cache line.

use crate::time::UnixNanos;

use super::observations::Observations;
use super::pair_key::{PairKey, PortOf, V4Pair};
use super::port_sketch::PortSketch;
use super::table::Row;

/// Sums over the packets of one direction of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct PairDelta {
    /// Bytes of the counted packets.
    pub ip_bytes: u64,
    /// Bytes that the destination received, if received bytes are counted.
    pub received_bytes: u64,
    /// Time of the packet of [`first_packet`](Self::first_packet); [`NO_PACKET`] if there is none.
    first_at: u64,
    /// The lower 32 bits of the number of packets; `packets_carried` has the 16 bits above them.
    packets: u32,
    /// The destination ports of the packets that show an initiation by themselves.
    pub contacted: PortSketch,
    first_protocol: u8,
    first_ports: [u16; 2],
    packets_carried: u16,
    /// What the packets showed, and what ICMP errors reported about them.
    pub observations: Observations,
}

const _: () = assert!(size_of::<Row<V4Pair, PairDelta>>() == 64);
const _: () = assert!(size_of::<Row<PortOf<V4Pair>, PortDelta>>() == 32);

/// Later than any packet.
const NO_PACKET: u64 = u64::MAX;

/// The earliest packet of one direction in a protocol in which the host that sends first is the initiator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstPacket {
    /// Time at which it was seen.
    pub at: UnixNanos,
    /// Its protocol.
    pub protocol: u8,
    /// Its source port; 0 without ports.
    pub src_port: u16,
    /// Its destination port; 0 without ports.
    pub dst_port: u16,
}

/// The value of the row of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortDelta {
    /// The number of the row of its pair in the same delta. It may be wrong, so the key of that row must be compared.
    pub(super) pair_at: u32,
    /// Observations of packets that show by themselves that they are contacts, and of their answers.
    pub observations: Observations,
}

impl<P: PairKey> Row<PortOf<P>, PortDelta> {
    /// Returns the row of its pair among the rows of the same delta; `None` if `pair_at` is not the number of that row.
    #[inline]
    pub(super) fn pair_among<'a>(&self, pairs: &'a [Row<P, PairDelta>]) -> Option<&'a Row<P, PairDelta>> {
        pairs.get(self.value.pair_at as usize).filter(|pair| pair.key == self.key.pair)
    }
}

impl Default for PairDelta {
    fn default() -> Self {
        Self {
            ip_bytes: 0,
            received_bytes: 0,
            first_at: NO_PACKET,
            packets: 0,
            contacted: PortSketch::default(),
            first_ports: [0; 2],
            packets_carried: 0,
            first_protocol: 0,
            observations: Observations::default(),
        }
    }
}

impl PairDelta {
    /// Returns the number of counted packets. It is exact below 2^48, a month at 10^8 packets per second.
    pub fn packets(&self) -> u64 {
        u64::from(self.packets_carried) << 32 | u64::from(self.packets)
    }

    /// Returns the earliest packet of a protocol in which the host that sends first is the initiator; `None` if there
    /// is none.
    pub fn first_packet(&self) -> Option<FirstPacket> {
        let [src_port, dst_port] = self.first_ports;
        let packet =
            FirstPacket { at: UnixNanos(self.first_at), protocol: self.first_protocol, src_port, dst_port };
        (self.first_at != NO_PACKET).then_some(packet)
    }

    /// Counts the packets of one frame.
    #[inline(always)]
    pub(super) fn count(&mut self, packets: u32, ip_bytes: u32) {
        let (sum, carries) = self.packets.overflowing_add(packets);
        self.packets = sum;
        self.packets_carried += u16::from(carries);
        self.ip_bytes += u64::from(ip_bytes);
    }

    /// Keeps a packet if it is the earliest. Of two at the same time the one with the lower protocol and ports is kept,
    /// so the order does not matter.
    #[inline(always)]
    pub(super) fn observe(&mut self, packet: FirstPacket) {
        let FirstPacket { at, protocol, src_port, dst_port } = packet;
        // The last nanosecond is the one before [`NO_PACKET`].
        let at = at.0.min(NO_PACKET - 1);
        if at > self.first_at {
            return;
        }
        let ports = [src_port, dst_port];
        if at < self.first_at || (protocol, ports) < (self.first_protocol, self.first_ports) {
            (self.first_at, self.first_protocol, self.first_ports) = (at, protocol, ports);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packet_count_carries_into_its_upper_bits() {
        let mut pair = PairDelta::default();
        for count in 1..=6 {
            pair.count(u32::MAX, 1);
            assert_eq!((pair.packets(), pair.ip_bytes), (count * u64::from(u32::MAX), count));
        }
    }

    #[test]
    fn the_first_packet_is_the_earliest_in_any_order() {
        let packet = |at, dst_port| FirstPacket { at: UnixNanos(at), protocol: 17, src_port: 9, dst_port };
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let packets = [packet(5, 1), packet(3, 80), packet(3, 53)];
            let mut pair = PairDelta::default();
            assert_eq!(pair.first_packet(), None);
            for at in order {
                pair.observe(packets[at]);
            }
            assert_eq!(pair.first_packet(), Some(packet(3, 53)));
        }
        let mut late = PairDelta::default();
        late.observe(packet(u64::MAX, 53));
        assert!(late.first_packet().is_some(), "the latest possible time");
    }
}
