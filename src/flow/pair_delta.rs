//! What one delta knows of a pair and of a port: 48 bytes and eight, so that a row of two IPv4 hosts is a cache line, and
//! that of a port half of one.

use crate::time::UnixNanos;

use super::observations::Observations;
use super::pair_key::{PairKey, PortOf, V4Pair};
use super::port_sketch::PortSketch;
use super::table::Row;

/// Sums over one direction of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct PairDelta {
    /// Bytes of the packets counted.
    pub ip_bytes: u64,
    /// Bytes that arrived at the destination, where received bytes are counted.
    pub received_bytes: u64,
    /// Of the first word; [`UNHEARD`] without one.
    word_at: u64,
    /// The lower 32 bits of the packets counted, and below, the 16 that they carry over into.
    packets: u32,
    /// The ports of those that were an initiation by their own words.
    pub contacted: PortSketch,
    word_ports: [u16; 2],
    packets_carried: u16,
    word_protocol: u8,
    /// What they showed, and what was shown of them.
    pub signs: Observations,
}

const _: () = assert!(size_of::<Row<V4Pair, PairDelta>>() == 64);
const _: () = assert!(size_of::<Row<PortOf<V4Pair>, PortDelta>>() == 32);

/// Later than any word.
const UNHEARD: u64 = u64::MAX;

/// The earliest packet that began something if nobody spoke before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstPacket {
    /// When it was seen.
    pub at: UnixNanos,
    /// Its protocol.
    pub protocol: u8,
    /// Its source port; 0 without ports.
    pub src_port: u16,
    /// Its destination port; 0 without ports.
    pub dst_port: u16,
}

/// What is known of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortDelta {
    /// The row that its pair has in the same delta, where that was known; the row says whether it is.
    pub(super) pair_at: u32,
    /// Whether packets said by themselves that they are contacts, and how those were answered.
    pub signs: Observations,
}

impl<P: PairKey> Row<PortOf<P>, PortDelta> {
    /// The row of its pair among those of the same delta, where that is known.
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
            word_at: UNHEARD,
            packets: 0,
            contacted: PortSketch::default(),
            word_ports: [0; 2],
            packets_carried: 0,
            word_protocol: 0,
            signs: Observations::default(),
        }
    }
}

impl PairDelta {
    /// Packets counted. Exact up to 2^48: a month at a hundred million a second.
    pub fn packets(&self) -> u64 {
        u64::from(self.packets_carried) << 32 | u64::from(self.packets)
    }

    /// The earliest packet of a protocol in which whoever spoke first is the one who began.
    pub fn first_word(&self) -> Option<FirstPacket> {
        let [src_port, dst_port] = self.word_ports;
        let word =
            FirstPacket { at: UnixNanos(self.word_at), protocol: self.word_protocol, src_port, dst_port };
        (self.word_at != UNHEARD).then_some(word)
    }

    /// Counts what one frame stands for.
    #[inline(always)]
    pub(super) fn count(&mut self, packets: u32, ip_bytes: u32) {
        let (sum, carries) = self.packets.overflowing_add(packets);
        self.packets = sum;
        self.packets_carried += u16::from(carries);
        self.ip_bytes += u64::from(ip_bytes);
    }

    /// Takes a word, if it is the earliest. Of two at the same time the lower one is, in whatever order they come.
    #[inline(always)]
    pub(super) fn hear(&mut self, word: FirstPacket) {
        let FirstPacket { at, protocol, src_port, dst_port } = word;
        // Time ends a nanosecond before it does.
        let at = at.0.min(UNHEARD - 1);
        if at > self.word_at {
            return;
        }
        let ports = [src_port, dst_port];
        if at < self.word_at || (protocol, ports) < (self.word_protocol, self.word_ports) {
            (self.word_at, self.word_protocol, self.word_ports) = (at, protocol, ports);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_carry_over_exactly() {
        let mut pair = PairDelta::default();
        for count in 1..=6 {
            pair.count(u32::MAX, 1);
            assert_eq!((pair.packets(), pair.ip_bytes), (count * u64::from(u32::MAX), count));
        }
    }

    #[test]
    fn the_first_word_is_the_earliest_in_any_order() {
        let word = |at, dst_port| FirstPacket { at: UnixNanos(at), protocol: 17, src_port: 9, dst_port };
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let words = [word(5, 1), word(3, 80), word(3, 53)];
            let mut pair = PairDelta::default();
            assert_eq!(pair.first_word(), None);
            for at in order {
                pair.hear(words[at]);
            }
            assert_eq!(pair.first_word(), Some(word(3, 53)));
        }
        let mut late = PairDelta::default();
        late.hear(word(u64::MAX, 53));
        assert!(late.first_word().is_some(), "at the end of time");
    }
}
