//! Retention priority: the host that has used the smallest share of its limits is evicted first.

use super::hosts::Host;
use super::metric::{Metric, PerMetric};

/// The largest share of any limit that a host has used, on a scale with eight steps to a power of two. A host with a
/// higher priority is evicted later; hosts with equal priorities are evicted in the order in which the hand of the
/// [eviction](super::window) reaches them.
///
/// The first contact does not count. Each host of a SYN flood has one contact, which would be 1/15 of a limit of 15, so
/// a host that only begins to send much would be evicted before the flood.
///
/// Local hosts have higher priorities than all others. Among the local hosts and among the others, those with an open
/// alert have the highest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RetentionPriority(u16);

impl RetentionPriority {
    /// The lowest priority of local hosts.
    pub(super) const LOCAL: Self = Self(1 << 15);

    /// The bits of hosts with an open alert, which are evicted last of the local hosts or of the others.
    const WITH_ALERT: u16 = Self::LOCAL.0 - 1;

    /// Returns true if it is that of a host with an open alert.
    pub(super) fn is_with_alert(self) -> bool {
        self.0 & Self::WITH_ALERT == Self::WITH_ALERT
    }
}

/// The share of its limit that one unit of each metric is.
#[derive(Clone, Copy, Debug)]
pub(super) struct RetentionScale {
    per_byte: f32,
    per_host: f32,
    per_port: f32,
}

impl RetentionScale {
    pub(super) fn new(limits: &PerMetric<Option<u64>>) -> Self {
        let share = |limit: Option<u64>| limit.map_or(0.0, |limit| (1.0 / (limit as f64).max(1.0)) as f32);
        Self {
            // Without a limit for bytes they still order hosts whose other shares are equal.
            per_byte: share(limits[Metric::IpBytes].or(Some(u64::MAX))),
            per_host: share(limits[Metric::ContactedHosts]),
            per_port: share(limits[Metric::ContactedPorts]),
        }
    }

    /// Returns the priority of a host that has contacted this many ports.
    pub(super) fn of(&self, host: &Host, ports: u32) -> RetentionPriority {
        let class = if host.is_local() { RetentionPriority::LOCAL.0 } else { 0 };
        if host.is_protected() {
            return RetentionPriority(class | RetentionPriority::WITH_ALERT);
        }
        let share = (host.ip_bytes as f32 * self.per_byte)
            .max(host.contacted_hosts.saturating_sub(1) as f32 * self.per_host)
            .max(ports.saturating_sub(1) as f32 * self.per_port);
        // The bits of non-negative floats are in the same order as the floats. They fit: the sign bit is zero, and so
        // is the highest exponent bit of a number below 2. All shares from 1.99 on have the same priority.
        let share = (share.min(1.99).to_bits() >> (f32::MANTISSA_DIGITS - 1 - MANTISSA_BITS)) as u16;
        RetentionPriority(class | share)
    }
}

/// Mantissa bits that a priority keeps: eight steps to a power of two.
const MANTISSA_BITS: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::hash::Seed;
    use crate::flow::hosts::Hosts;

    #[test]
    fn the_largest_share_of_any_limit_is_the_priority() {
        let limits = PerMetric::default()
            .with(Metric::IpBytes, Some(1_000_000_000))
            .with(Metric::ContactedHosts, Some(15))
            .with(Metric::ContactedPorts, Some(100));
        let ranking = RetentionScale::new(&limits);
        let mut hosts = Hosts::new(9, 1, Seed::default());
        let id = hosts.refer([10, 0, 0, 1].into()).expect("room");
        let local = hosts.refer([10, 0, 1, 1].into()).expect("room");
        hosts.protect_networks(&["10.0.1.0/24".parse().expect("a network")]);
        let of_local = ranking.of(hosts.get(local), 0);
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
        assert_eq!(rank(60, 2, 0), rank(1500, 2, 0), "the share of contacts is larger than that of bytes");
        assert_eq!(rank(u64::MAX, 0, 0), rank(0, 1000, 0), "all shares far above a limit are equal");
        let largest = rank(u64::MAX, 0, 0);
        hosts.protect([[10, 0, 0, 1], [10, 0, 1, 1]].map(Into::into).into());
        let with_alert = ranking.of(hosts.get(id), 0);
        assert!(largest < with_alert && with_alert.is_with_alert() && !largest.is_with_alert());
        assert!(with_alert < of_local && of_local >= RetentionPriority::LOCAL, "a silent local host");
        let local = ranking.of(hosts.get(local), 0);
        assert!(of_local < local && local.is_with_alert());
    }
}
