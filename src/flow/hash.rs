//! Seeded hashes of what strangers choose.

use std::hash::{BuildHasher, Hash, Hasher};
use std::net::IpAddr;

use foldhash::fast::RandomState;

use crate::packet::Endpoints;

/// The random seed of this process. Workers and analyst share one, so that a hash computed on the hot
/// path is good in every table; nobody outside can choose addresses that collide.
#[derive(Clone, Debug, Default)]
pub struct Seed(RandomState);

impl Seed {
    /// Hash of a directed pair.
    ///
    /// ```
    /// use traffic_alerted::{flow::Seed, packet::Endpoints};
    /// let seed = Seed::default();
    /// let there = Endpoints::V4 { src: [10, 0, 0, 1].into(), dst: [10, 0, 0, 2].into() };
    /// assert_eq!(seed.pair(&there), seed.clone().pair(&there));
    /// assert_ne!(seed.pair(&there), seed.pair(&there.reversed()));
    /// ```
    pub fn pair(&self, endpoints: &Endpoints) -> u64 {
        let mut hasher = self.0.build_hasher();
        match endpoints {
            Endpoints::V4 { src, dst } => {
                hasher.write_u64(u64::from(src.to_bits()) << 32 | u64::from(dst.to_bits()));
            }
            Endpoints::V6 { src, dst } => {
                hasher.write_u128(src.to_bits());
                hasher.write_u128(dst.to_bits());
            }
        }
        hasher.finish()
    }

    /// Hash of one address.
    pub fn addr(&self, addr: &IpAddr) -> u64 {
        let mut hasher = self.0.build_hasher();
        match addr {
            IpAddr::V4(v4) => hasher.write_u64(u64::from(v4.to_bits())),
            IpAddr::V6(v6) => hasher.write_u128(v6.to_bits()),
        }
        hasher.finish()
    }

    /// Hash of a small key that holds no address.
    pub(super) fn of(&self, key: impl Hash) -> u64 {
        self.0.hash_one(key)
    }
}
