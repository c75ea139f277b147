//! Who is evicted first: whoever has used the least of any limit.

use super::hosts::Host;
use super::metric::{Metric, PerMetric};

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
    pub(super) fn new(limits: &PerMetric<Option<u64>>) -> Self {
        let share = |limit: Option<u64>| limit.map_or(0.0, |limit| (1.0 / (limit as f64).max(1.0)) as f32);
        Self {
            // Where nothing limits them, bytes tell the hosts apart that are otherwise of one rank.
            per_byte: share(limits[Metric::IpBytes].or(Some(u64::MAX))),
            per_host: share(limits[Metric::ContactedHosts]),
            per_port: share(limits[Metric::ContactedPorts]),
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
        let limits = PerMetric::default()
            .with(Metric::IpBytes, Some(1_000_000_000))
            .with(Metric::ContactedHosts, Some(15))
            .with(Metric::ContactedPorts, Some(100));
        let ranking = EvictionScale::new(&limits);
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
