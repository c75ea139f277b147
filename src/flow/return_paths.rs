//! Networks that traffic goes to: whether the answers to a host pass here at all.
//!
//! On an asymmetric path the questions of a network pass and its answers take another way. Then silence proves nothing.

use std::net::IpAddr;

use hashbrown::HashTable;

use super::hash::Seed;

/// The longest prefixes that networks announce to each other (RFC 7454, 6.1.3): what lies within goes one way.
const IPV4_PREFIX_LEN: u32 = 24;
const IPV6_PREFIX_LEN: u32 = 48;

/// One network, by the bits of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum NetworkPrefix {
    V4(u32),
    V6(u64),
}

impl NetworkPrefix {
    fn of(addr: &IpAddr) -> Self {
        match addr {
            IpAddr::V4(addr) => Self::V4(addr.to_bits() >> (u32::BITS - IPV4_PREFIX_LEN)),
            // Fits: the prefix is shorter than 64 bits.
            IpAddr::V6(addr) => Self::V6((addr.to_bits() >> (u128::BITS - IPV6_PREFIX_LEN)) as u64),
        }
    }
}

/// Whether two addresses are of one network.
pub(super) fn are_neighbours(one: &IpAddr, other: &IpAddr) -> bool {
    NetworkPrefix::of(one) == NetworkPrefix::of(other)
}

/// How many hosts of each network are sent to from elsewhere. As many networks as there are such hosts at most.
#[derive(Debug)]
pub(super) struct ReturnPaths {
    heard: HashTable<(NetworkPrefix, u32)>,
    seed: Seed,
}

impl ReturnPaths {
    pub(super) fn new(seed: Seed) -> Self {
        Self { heard: HashTable::new(), seed }
    }

    /// One more host of this network is sent to.
    pub(super) fn add(&mut self, addr: &IpAddr) {
        let prefix = NetworkPrefix::of(addr);
        let hash = self.seed.of(prefix);
        match self.heard.find_mut(hash, |(known, _)| *known == prefix) {
            Some((_, hosts)) => *hosts += 1,
            None => {
                let seed = &self.seed;
                self.heard.insert_unique(hash, (prefix, 1), |(known, _)| seed.of(known));
            }
        }
    }

    /// One host less.
    pub(super) fn subtract(&mut self, addr: &IpAddr) {
        let prefix = NetworkPrefix::of(addr);
        let mut entry = self
            .heard
            .find_entry(self.seed.of(prefix), |(known, _)| *known == prefix)
            .expect("every host that is sent to is in its network");
        entry.get_mut().1 -= 1;
        if entry.get().1 == 0 {
            entry.remove();
        }
    }

    /// Whether anything is sent to this network.
    pub(super) fn hears(&self, addr: &IpAddr) -> bool {
        let prefix = NetworkPrefix::of(addr);
        self.heard.find(self.seed.of(prefix), |(known, _)| *known == prefix).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_hears_as_long_as_one_of_its_hosts_does() {
        let addr = |text: &str| text.parse::<IpAddr>().expect("an address");
        let mut networks = ReturnPaths::new(Seed::default());
        networks.add(&addr("192.0.2.1"));
        networks.add(&addr("192.0.2.2"));
        networks.add(&addr("2001:db8:1::1"));
        networks.subtract(&addr("192.0.2.1"));
        assert!(networks.hears(&addr("192.0.2.77")) && networks.hears(&addr("2001:db8:1:2::3")));
        assert!(!networks.hears(&addr("192.0.3.1")) && !networks.hears(&addr("2001:db8:2::1")));
        networks.subtract(&addr("192.0.2.2"));
        assert!(!networks.hears(&addr("192.0.2.2")));
    }
}
