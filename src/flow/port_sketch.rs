//! Which ports one host contacted at another: about how many, and the lowest. Eleven bytes, joined by OR and by
//! minimum, so that they add up in any order.

use super::container::packed::Packed;
use super::hash::Seed;

/// Bits of the set. A port sets one of them, by a hash that is seeded: nobody outside can choose ports that share.
const BITS: u32 = 64;

/// No port: protocol 255 is reserved and has none (RFC 5237).
const NONE: Packed<3> = Packed::MAX;

/// The ports that one host contacted at another. ICMP and protocols without ports show port 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortSketch {
    set: Packed<8>,
    /// Protocol and port.
    lowest: Packed<3>,
}

/// Chooses the bit of a port by a secret odd number. Scanners send to ports in a row, which one multiplication would
/// leave in a row; so their differences are spread by a second one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PortHasher(u64);

impl PortHasher {
    pub(super) fn new(seed: &Seed) -> Self {
        Self(seed.of("ports") | 1)
    }

    #[inline]
    fn bit(self, protocol_and_port: u32) -> u32 {
        // Fits: six bits are left.
        let mixed = u64::from(protocol_and_port).wrapping_mul(self.0);
        ((mixed ^ mixed >> 32).wrapping_mul(SPREAD) >> (u64::BITS - BITS.ilog2())) as u32
    }
}

/// 2^64 over the golden ratio, odd (Knuth, The Art of Computer Programming 3, 6.4).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Default for PortSketch {
    fn default() -> Self {
        Self { set: Packed::ZERO, lowest: NONE }
    }
}

impl PortSketch {
    /// Ports that can be told apart; more are as many as this.
    pub const PORTS_MAX: u32 = 266;

    #[inline]
    pub(super) fn add(&mut self, protocol: u8, port: u16, mix: PortHasher) {
        let port = u32::from(protocol) << 16 | u32::from(port);
        self.set = Packed::of(self.set.get() | 1 << mix.bit(port));
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

    /// The lowest protocol, and the lowest port of it; `None` where nothing was contacted.
    pub fn lowest(&self) -> Option<(u8, u16)> {
        let lowest = self.lowest.get();
        // Fits: they were put together from these.
        (self.lowest != NONE).then_some(((lowest >> 16) as u8, lowest as u16))
    }

    /// About how many ports they are, by linear counting (Whang et al. 1990): of 15 ports the standard error is one,
    /// of 100 it is ten. At most [`PORTS_MAX`](Self::PORTS_MAX).
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
    fn counts_ports_about_right_and_remembers_the_lowest() {
        assert_eq!((PortSketch::default().ports(), PortSketch::default().lowest()), (0, None));
        for (ports, at_least, at_most) in
            [(1, 1, 1), (2, 1, 2), (15, 8, 22), (60, 35, 90), (10_000, 266, 266)]
        {
            let (mut sum, rounds) = (0, 64);
            for round in 0..rounds {
                let mix = PortHasher(SPREAD.wrapping_mul(u64::from(round)) | 1);
                let mut contacted = PortSketch::default();
                (0..ports).for_each(|port| contacted.add(6, port * 6 + round + 1, mix));
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
    fn joining_is_the_same_in_any_order() {
        let mix = PortHasher::new(&Seed::default());
        let of = |ports: &[u16]| {
            let mut contacted = PortSketch::default();
            ports.iter().for_each(|&port| contacted.add(6, port, mix));
            contacted
        };
        let (mut one, mut other) = (of(&[22, 80]), of(&[443, 80]));
        let (first, second) = (one, other);
        one.merge(&second);
        other.merge(&first);
        assert_eq!((one, other), (of(&[22, 80, 443]), of(&[22, 80, 443])));
    }
}
