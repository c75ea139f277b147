//! Seeded hashes of addresses and ports. Senders choose these, so the hashes must not be predictable.

use std::hash::{BuildHasher, Hash, Hasher};
use std::net::IpAddr;

use foldhash::fast::RandomState;

use crate::packet::Endpoints;

use super::pair_key::bits_as_they_lie;

/// The random seed of this process. Workers and analyst share one, so a hash that a worker computed is valid in every
/// table. It is secret, so senders cannot choose addresses that collide.
#[derive(Clone, Debug)]
pub struct Seed {
    state: RandomState,
    /// Secret constants of [`scramble`](Self::scramble): an initial value and two odd factors.
    start: u64,
    factors: [u64; 2],
}

impl Default for Seed {
    /// Makes a seed from the operating system's randomness.
    fn default() -> Self {
        let state = RandomState::default();
        let [start, one, other] = ["start", "one", "other"].map(|name| state.hash_one(name));
        Self { state, start, factors: [one | 1, other | 1] }
    }
}

impl Seed {
    /// Hashes a pair of hosts. Both directions have the same hash, so their entries in an index are next to each other.
    ///
    /// Two IPv4 pairs have the same hash only if they are the same or the two directions of one pair, so their
    /// addresses need not be compared.
    ///
    /// ```
    /// use traffic_alerted::{flow::Seed, packet::Endpoints};
    /// let seed = Seed::default();
    /// let there = Endpoints::V4 { src: [10, 0, 0, 1].into(), dst: [10, 0, 0, 2].into() };
    /// assert_eq!(seed.pair(&there), seed.clone().pair(&there));
    /// assert_eq!(seed.pair(&there), seed.pair(&there.reversed()));
    /// ```
    #[inline(always)]
    pub fn pair(&self, endpoints: &Endpoints) -> u64 {
        match endpoints {
            Endpoints::V4 { src, dst } => {
                let (src, dst) = (bits_as_they_lie(*src), bits_as_they_lie(*dst));
                self.scramble(u64::from(src.min(dst)) << 32 | u64::from(src.max(dst)))
            }
            Endpoints::V6 { src, dst } => self.pair_v6(src.to_bits(), dst.to_bits()),
        }
    }

    #[inline]
    fn pair_v6(&self, src: u128, dst: u128) -> u64 {
        let mut hasher = self.state.build_hasher();
        hasher.write_u128(src.min(dst));
        hasher.write_u128(src.max(dst));
        hasher.finish()
    }

    /// Hashes the ports of a packet of a pair, from the pair's hash, by one multiplication.
    #[inline]
    pub(super) fn port(&self, pair_hash: u64, protocol: u8, src_port: u16, dst_port: u16) -> u64 {
        let port = u64::from(protocol) << 32 | u64::from(src_port) << 16 | u64::from(dst_port);
        let bits = (pair_hash ^ port).wrapping_mul(self.factors[0]);
        bits ^ bits >> 32
    }

    /// Hashes one address.
    pub fn addr(&self, addr: &IpAddr) -> u64 {
        let mut hasher = self.state.build_hasher();
        match addr {
            IpAddr::V4(v4) => hasher.write_u64(u64::from(v4.to_bits())),
            IpAddr::V6(v6) => hasher.write_u128(v6.to_bits()),
        }
        hasher.finish()
    }

    /// Hashes a small key that does not contain an address.
    pub(super) fn of(&self, key: impl Hash) -> u64 {
        self.state.hash_one(key)
    }

    /// Maps 64 bits to 64 bits one to one: each step is invertible, a multiplication because its factor is odd.
    #[inline]
    pub(super) fn scramble(&self, bits: u64) -> u64 {
        let [one, other] = self.factors;
        let mut bits = (bits ^ self.start).wrapping_mul(one);
        bits = (bits ^ bits >> 32).wrapping_mul(other);
        bits ^ bits >> 32
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_pairs_of_ipv4_hosts_share_a_hash_and_every_bit_is_used() {
        let seed = Seed::default();
        let (mut hashes, mut tops, mut bottoms) = (HashSet::new(), HashSet::new(), HashSet::new());
        for n in 0..0x2_0000_u32 {
            let (src, dst) = (0x0a00_0000 + (n & 0xff), 0xc000_0200 + (n >> 8));
            let hash = seed.pair(&Endpoints::V4 { src: src.into(), dst: dst.into() });
            assert!(hashes.insert(hash), "{n}");
            tops.insert(hash >> 48);
            bottoms.insert(hash as u16);
        }
        // 2^17 random draws of 2^16 values leave out a share of e^-2 and draw 56,666 different values.
        for seen in [tops.len(), bottoms.len()] {
            assert!(seen > 50_000, "{seen}");
        }
    }
}
