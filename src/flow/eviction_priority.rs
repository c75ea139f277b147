//! Who is evicted first: whoever has used the least of any limit.

use super::hosts::Host;

/// The least that anybody may do, by which hosts are told apart of which no limit can speak; `None` where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Bytes sent in the traffic window.
    pub ip_bytes: Option<u64>,
    /// Bytes received in the traffic window.
    pub received_bytes: Option<u64>,
    /// Hosts contacted in the traffic window.
    pub contacted_hosts: Option<u32>,
    /// Ports contacted in the port window.
    pub contacted_ports: Option<u32>,
    /// Packets sent in a second.
    pub packets_per_s: Option<u32>,
    /// Hosts contacted in a second that were not contacted in the traffic window before.
    pub contacts_per_s: Option<u32>,
}

impl Allowed {
    /// Whether anything is limited that is measured over a second.
    pub(super) fn needs_rates(&self) -> bool {
        self.packets_per_s.is_some() || self.contacts_per_s.is_some()
    }
}

/// A rank: the largest share of any limit that a host has used, on a scale with eight steps to a power of two. Among
/// those of one rank, whoever came first goes first.
///
/// The first contact weighs nothing: each host of a SYN flood has one, and with a share of a limit of fifteen for it, a
/// host that begins to send much would go before the flood does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EvictionPriority(u16);

impl EvictionPriority {
    /// That of a host that is evicted last of all.
    pub(super) const HIGHEST: Self = Self(u16::MAX);
}

/// What a unit of each measure is of its limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct EvictionScale {
    per_byte: f32,
    per_host: f32,
    per_port: f32,
}

impl EvictionScale {
    pub(super) fn new(allowed: &Allowed) -> Self {
        let share = |limit: Option<f64>| limit.map_or(0.0, |limit| (1.0 / limit.max(1.0)) as f32);
        Self {
            // Where nothing limits them, bytes tell the hosts apart that are otherwise of one rank.
            per_byte: share(Some(allowed.ip_bytes.unwrap_or(u64::MAX) as f64)),
            per_host: share(allowed.contacted_hosts.map(f64::from)),
            per_port: share(allowed.contacted_ports.map(f64::from)),
        }
    }

    /// The rank of a host that has so many ports.
    pub(super) fn of(&self, host: &Host, ports: u32) -> EvictionPriority {
        if host.is_protected() {
            return EvictionPriority::HIGHEST;
        }
        let share = (host.ip_bytes as f32 * self.per_byte)
            .max(host.contacted_hosts.saturating_sub(1) as f32 * self.per_host)
            .max(ports.saturating_sub(1) as f32 * self.per_port);
        // Of numbers that are not negative the bits are in order too. Fits: the sign is zero, and so is the next bit of
        // numbers below two; shares above that are all the same.
        EvictionPriority((share.min(1.99).to_bits() >> (f32::MANTISSA_DIGITS - 1 - MANTISSA_BITS)) as u16)
    }
}

const MANTISSA_BITS: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::hash::Seed;
    use crate::flow::hosts::Hosts;

    #[test]
    fn the_largest_share_of_any_limit_is_the_rank() {
        let allowed = Allowed {
            ip_bytes: Some(1_000_000_000),
            contacted_hosts: Some(15),
            contacted_ports: Some(100),
            ..Allowed::default()
        };
        let ranking = EvictionScale::new(&allowed);
        let mut hosts = Hosts::new(9, 1, Seed::default());
        let id = hosts.refer([10, 0, 0, 1].into()).expect("room");
        let mut rank = |ip_bytes, contacted_hosts, ports| {
            let host = hosts.get_mut(id);
            (host.ip_bytes, host.contacted_hosts) = (ip_bytes, contacted_hosts);
            ranking.of(hosts.get(id), ports)
        };
        let ascending = [
            rank(0, 1, 1),
            rank(60, 1, 1),
            rank(1500, 0, 0),
            rank(1500, 0, 2),
            rank(60, 2, 0),
            rank(60, 3, 0),
            rank(500_000_000, 0, 0),
            rank(60, 16, 0),
            rank(1_900_000_000, 0, 0),
        ];
        assert!(ascending.is_sorted_by(|lower, higher| lower < higher), "{ascending:?}");
        assert_eq!(rank(60, 2, 0), rank(1500, 2, 0), "bytes count where they are the larger share");
        assert_eq!(rank(u64::MAX, 0, 0), rank(0, 1000, 0), "far over a limit is over it");
        assert!(rank(u64::MAX, 0, 0) < EvictionPriority::HIGHEST);
    }
}
