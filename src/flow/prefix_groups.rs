//! Groups of hosts. The addresses of one IPv6 prefix count as one host, since one machine may use many of them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use super::addressee::is_no_host;
use super::hosts::HostId;

/// The prefix length that groups IPv6 hosts, and the destinations that the members of each group contacted.
#[derive(Debug)]
pub(super) struct PrefixGroups {
    prefix_len: Option<u8>,
    /// The number of pairs of members with a live contact, by group and destination.
    contacts: HashMap<(HostId, HostId), u32, foldhash::fast::FixedState>,
}

impl PrefixGroups {
    /// Makes groups by this prefix length; with `None`, no addresses are grouped.
    pub(super) fn new(prefix_len: Option<u8>) -> Self {
        Self { prefix_len, contacts: HashMap::default() }
    }

    /// Returns the address that the sums of `addr` belong to: the prefix of its group, or `addr` itself. Link-local
    /// addresses are not grouped, since all of them share one prefix; nor are addresses of no host and `::1`, which
    /// belong to no prefix of a network.
    pub(super) fn owner(&self, addr: IpAddr) -> IpAddr {
        match (self.prefix_len, addr) {
            (Some(prefix_len), IpAddr::V6(addr)) if has_prefix(&addr) => {
                let host_bits = u128::BITS - u32::from(prefix_len);
                IpAddr::V6(Ipv6Addr::from_bits(
                    addr.to_bits() & u128::MAX.checked_shl(host_bits).unwrap_or(0),
                ))
            }
            _ => addr,
        }
    }

    /// Returns true if the sums of this address belong to a group.
    pub(super) fn is_group(&self, addr: IpAddr) -> bool {
        matches!((self.prefix_len, addr), (Some(_), IpAddr::V6(addr)) if has_prefix(&addr))
    }

    /// Adds a member's contact with `dst`. Returns true if it is the first contact of the group with that host.
    pub(super) fn add_contact(&mut self, group: HostId, dst: HostId) -> bool {
        let members = self.contacts.entry((group, dst)).or_default();
        *members += 1;
        *members == 1
    }

    /// Subtracts a member's contact with `dst`. Returns true if it was the last contact of the group with that host.
    pub(super) fn remove_contact(&mut self, group: HostId, dst: HostId) -> bool {
        let Some(members) = self.contacts.get_mut(&(group, dst)) else { return false };
        *members -= 1;
        let is_last = *members == 0;
        if is_last {
            self.contacts.remove(&(group, dst));
        }
        is_last
    }
}

/// Returns true if the address belongs to the prefix of a network.
fn has_prefix(addr: &Ipv6Addr) -> bool {
    !(addr.is_unicast_link_local() || addr.is_loopback() || is_no_host(&IpAddr::V6(*addr)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_prefix_are_one_host() {
        let groups = PrefixGroups::new(Some(64));
        for (addr, owner) in [
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2::", "2001:db8:1:2::"),
            ("2001:db8:1:3::6", "2001:db8:1:3::"),
            ("fe80::1", "fe80::1"),
            ("ff02::1:2", "ff02::1:2"),
            ("::", "::"),
            ("::1", "::1"),
            ("10.0.0.1", "10.0.0.1"),
        ] {
            let addr: IpAddr = addr.parse().expect("an address");
            assert_eq!(groups.owner(addr).to_string(), owner);
            assert_eq!(PrefixGroups::new(None).owner(addr), addr);
        }
    }
}
