//! A map from networks to values. An address has the value of the smallest network that contains it.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

/// A map from networks to values. A lookup takes at most one hash lookup for each prefix length that occurs.
///
/// ```
/// use traffic_alerted::detect::PrefixMap;
///
/// let network = |text: &str| text.parse().expect("a network");
/// let names = PrefixMap::new([(network("10.0.0.0/8"), "all"), (network("10.0.5.0/24"), "some")]);
/// assert_eq!(names.of(&[10, 0, 5, 1].into()), Some(&"some"));
/// assert_eq!(names.of(&[10, 9, 0, 1].into()), Some(&"all"));
/// assert_eq!(names.of(&[192, 0, 2, 1].into()), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixMap<T> {
    /// A hash map for each prefix length that occurs, the longest prefix first.
    v4: Vec<(u8, HashMap<IpNet, T>)>,
    v6: Vec<(u8, HashMap<IpNet, T>)>,
}

impl<T> PrefixMap<T> {
    /// Creates a map of these values. If a network occurs twice, it has the later value. Bits after the prefix are
    /// ignored.
    pub fn new(values: impl IntoIterator<Item = (IpNet, T)>) -> Self {
        let mut all = Self::default();
        for (network, value) in values {
            let network = network.trunc();
            let family = if network.addr().is_ipv4() { &mut all.v4 } else { &mut all.v6 };
            let len = network.prefix_len();
            let at = family.partition_point(|&(longer, _)| longer > len);
            if family.get(at).is_none_or(|&(there, _)| there != len) {
                family.insert(at, (len, HashMap::new()));
            }
            family[at].1.insert(network, value);
        }
        all
    }

    /// Returns the value of the smallest network that contains the address; `None` if no network contains it.
    pub fn of(&self, addr: &IpAddr) -> Option<&T> {
        self.all_of(addr).next()
    }

    /// Returns the values of all networks that contain the address, the smallest network first.
    pub fn all_of(&self, addr: &IpAddr) -> impl Iterator<Item = &T> {
        let addr = *addr;
        let family = if addr.is_ipv4() { &self.v4 } else { &self.v6 };
        family.iter().filter_map(move |(len, networks)| networks.get(&IpNet::new(addr, *len).ok()?.trunc()))
    }

    /// Returns the values, in no order.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.v4.iter().chain(&self.v6).flat_map(|(_, networks)| networks.values())
    }

    /// Returns true if the map has no networks.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

impl<T> Default for PrefixMap<T> {
    fn default() -> Self {
        Self { v4: Vec::new(), v6: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A lookup finds the same network as a linear search.
        #[test]
        fn a_lookup_equals_a_linear_search(
            networks in prop::collection::vec((any::<bool>(), 0u32..8, 0u8..=32), 0..20),
            addr in (any::<bool>(), 0u32..8),
        ) {
            // Only three upper bits vary, so that many networks contain others.
            let place = |is_v4: bool, top: u32| -> IpAddr {
                match is_v4 {
                    true => std::net::Ipv4Addr::from_bits(top << 29 | top).into(),
                    false => std::net::Ipv6Addr::from_bits(u128::from(top) << 125 | u128::from(top)).into(),
                }
            };
            let networks: Vec<IpNet> = networks
                .into_iter()
                .map(|(is_v4, top, len)| IpNet::new(place(is_v4, top), len).expect("32 bits at most"))
                .collect();
            let addr = place(addr.0, addr.1);
            let table = PrefixMap::new(networks.iter().map(|network| (*network, network.trunc())));
            let smallest = networks.iter().map(IpNet::trunc).filter(|network| network.contains(&addr));
            prop_assert_eq!(table.of(&addr).copied(), smallest.max_by_key(IpNet::prefix_len));
            prop_assert_eq!(table.is_empty(), networks.is_empty());
        }
    }
}
