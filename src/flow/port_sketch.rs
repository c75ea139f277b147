//! A sketch of the ports that one host contacted at another: an estimate of their number, and the lowest of them.
//!
//! A sketch has eleven bytes. Merging is a bitwise OR and a minimum, so the order of merging does not matter.

use super::container::packed::Packed;
use super::hash::Seed;

/// Number of bits in the set. A port sets the bit that a seeded hash chooses, so a sender cannot choose ports that
/// share a bit.
const BITS: u32 = 64;

/// The value of `lowest` for an empty sketch: protocol 255 is reserved and has no ports (RFC 5237).
const NONE: Packed<3> = Packed::MAX;

/// The ports that one host contacted at another. ICMP and protocols without ports count as port 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortSketch {
    set: Packed<8>,
    /// Protocol and port of the lowest port.
    lowest: Packed<3>,
}

/// Maps a port to a bit by multiplying with a secret odd number. A scan of consecutive ports would keep a constant
/// difference after one multiplication, so a second one spreads the differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PortHasher(u64);

impl PortHasher {
    pub(super) fn new(seed: &Seed) -> Self {
        Self(seed.of("ports") | 1)
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "six bits remain")]
    fn bit(self, protocol_and_port: u32) -> u32 {
        let mixed = u64::from(protocol_and_port).wrapping_mul(self.0);
        ((mixed ^ mixed >> 32).wrapping_mul(SPREAD) >> (u64::BITS - BITS.ilog2())) as u32
    }
}

/// 2^64 divided by the golden ratio, made odd (Knuth, The Art of Computer Programming 3, 6.4).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Default for PortSketch {
    fn default() -> Self {
        Self { set: Packed::ZERO, lowest: NONE }
    }
}

impl PortSketch {
    /// The estimate if all bits are set; it is the largest one: 64 ln 64.
    pub const PORTS_MAX: u32 = 266;

    #[inline]
    pub(super) fn add(&mut self, protocol: u8, port: u16, port_hasher: PortHasher) {
        let port = u32::from(protocol) << 16 | u32::from(port);
        self.set = Packed::of(self.set.get() | 1 << port_hasher.bit(port));
        self.note_lowest(Packed::of(port.into()));
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.set = Packed::of(self.set.get() | other.set.get());
        self.note_lowest(other.lowest);
    }

    #[inline]
    fn note_lowest(&mut self, port: Packed<3>) {
        if port.get() < self.lowest.get() {
            self.lowest = port;
        }
    }

    /// Returns the lowest protocol with its lowest port; `None` if the sketch is empty.
    #[allow(clippy::cast_possible_truncation, reason = "`add` packed an 8-bit protocol and a 16-bit port")]
    pub fn lowest(&self) -> Option<(u8, u16)> {
        let lowest = self.lowest.get();
        (self.lowest != NONE).then_some(((lowest >> 16) as u8, lowest as u16))
    }

    /// Returns an estimate of the number of ports, by linear counting (Whang et al. 1990). The standard error is 1 for
    /// 15 ports and 10 for 100. The result is at most [`PORTS_MAX`](Self::PORTS_MAX).
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the estimate is between 0 and 266"
    )]
    pub fn ports(&self) -> u32 {
        let empty = self.set.get().count_zeros();
        if empty == 0 {
            return Self::PORTS_MAX;
        }
        let bits = f64::from(BITS);
        // Fits: it is between 0 and 266.
        (-bits * (f64::from(empty) / bits).ln()).round() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_ports_is_estimated_and_the_lowest_is_exact() {
        assert_eq!((PortSketch::default().ports(), PortSketch::default().lowest()), (0, None));
        for (ports, at_least, at_most) in
            [(1, 1, 1), (2, 1, 2), (15, 8, 22), (60, 35, 90), (10_000, 266, 266)]
        {
            let (mut sum, rounds) = (0, 64);
            for round in 0..rounds {
                let port_hasher = PortHasher(SPREAD.wrapping_mul(u64::from(round)) | 1);
                let mut contacted = PortSketch::default();
                (0..ports).for_each(|port| contacted.add(6, port * 6 + round + 1, port_hasher));
                let counted = contacted.ports();
                assert!((at_least..=at_most).contains(&counted), "{counted} of {ports}");
                assert_eq!(contacted.lowest(), Some((6, round + 1)));
                sum += counted;
            }
            let mean = f64::from(sum) / f64::from(rounds);
            assert!(
                ports > 266 || (mean / f64::from(ports) - 1.0).abs() < 0.2,
                "{mean} of {ports} on average"
            );
        }
    }

    #[test]
    fn merging_gives_the_same_in_any_order() {
        let port_hasher = PortHasher::new(&Seed::default());
        let of = |ports: &[u16]| {
            let mut contacted = PortSketch::default();
            ports.iter().for_each(|&port| contacted.add(6, port, port_hasher));
            contacted
        };
        let (mut one, mut other) = (of(&[22, 80]), of(&[443, 80]));
        let (first, second) = (one, other);
        one.merge(&second);
        other.merge(&first);
        assert_eq!((one, other), (of(&[22, 80, 443]), of(&[22, 80, 443])));
    }
}
