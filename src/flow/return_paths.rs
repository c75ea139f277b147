//! Return paths: decides whether the answers to a host pass this gateway.
//!
//! If a network is routed asymmetrically, its requests pass here and the answers take another path. A missing answer
//! then proves nothing.

use std::net::IpAddr;

use hashbrown::HashTable;

use super::hash::Seed;

/// The longest prefixes that networks announce to each other (RFC 7454, 6.1.3). All addresses of one prefix have the
/// same path.
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

/// Returns true if two addresses belong to one network.
pub(super) fn are_neighbours(one: &IpAddr, other: &IpAddr) -> bool {
    NetworkPrefix::of(one) == NetworkPrefix::of(other)
}

/// The number of hosts in each network that receive traffic from other networks. It has at most as many entries as
/// there are such hosts.
#[derive(Debug)]
pub(super) struct ReturnPaths {
    prefixes: HashTable<(NetworkPrefix, u32)>,
    seed: Seed,
}

impl ReturnPaths {
    pub(super) fn new(seed: Seed) -> Self {
        Self { prefixes: HashTable::new(), seed }
    }

    /// Adds a host that receives traffic from another network.
    pub(super) fn add(&mut self, addr: &IpAddr) {
        let prefix = NetworkPrefix::of(addr);
        let hash = self.seed.of(prefix);
        match self.prefixes.find_mut(hash, |(known, _)| *known == prefix) {
            Some((_, hosts)) => *hosts += 1,
            None => {
                let seed = &self.seed;
                self.prefixes.insert_unique(hash, (prefix, 1), |(known, _)| seed.of(known));
            }
        }
    }

    /// Subtracts a host that was added and no longer receives traffic from another network.
    ///
    /// # Panics
    /// Panics if no host of its network was added.
    pub(super) fn subtract(&mut self, addr: &IpAddr) {
        let prefix = NetworkPrefix::of(addr);
        let mut entry = self
            .prefixes
            .find_entry(self.seed.of(prefix), |(known, _)| *known == prefix)
            .expect("each host that was added is in its network");
        entry.get_mut().1 -= 1;
        if entry.get().1 == 0 {
            entry.remove();
        }
    }

    /// Returns true if a host of this network receives traffic from another network.
    pub(super) fn is_sent_to(&self, addr: &IpAddr) -> bool {
        let prefix = NetworkPrefix::of(addr);
        self.prefixes.find(self.seed.of(prefix), |(known, _)| *known == prefix).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_a_return_path_while_one_of_its_hosts_receives_traffic() {
        let addr = |text: &str| text.parse::<IpAddr>().expect("an address");
        let mut networks = ReturnPaths::new(Seed::default());
        networks.add(&addr("192.0.2.1"));
        networks.add(&addr("192.0.2.2"));
        networks.add(&addr("2001:db8:1::1"));
        networks.subtract(&addr("192.0.2.1"));
        assert!(networks.is_sent_to(&addr("192.0.2.77")) && networks.is_sent_to(&addr("2001:db8:1:2::3")));
        assert!(!networks.is_sent_to(&addr("192.0.3.1")) && !networks.is_sent_to(&addr("2001:db8:2::1")));
        networks.subtract(&addr("192.0.2.2"));
        assert!(!networks.is_sent_to(&addr("192.0.2.2")));
    }
}
