//! Metrics: the counts of a host that can have a limit.

use std::ops::{Index, IndexMut};

/// A count of a host that can have a limit, in the order in which the configuration lists the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Bytes sent in the traffic window.
    IpBytes,
    /// Bytes received in the traffic window, if received bytes are counted.
    ReceivedBytes,
    /// Hosts contacted in the traffic window.
    ContactedHosts,
    /// Ports contacted in the port window.
    ContactedPorts,
    /// Packets sent in the last second.
    PacketsPerS,
    /// Hosts contacted in the last second that had not been contacted in the traffic window.
    ContactsPerS,
}

impl Metric {
    /// Every metric, in order.
    pub const ALL: [Self; 6] = [
        Self::IpBytes,
        Self::ReceivedBytes,
        Self::ContactedHosts,
        Self::ContactedPorts,
        Self::PacketsPerS,
        Self::ContactsPerS,
    ];

    /// Returns true if the metric is counted over the last second. Such metrics are counted only if a limit needs them.
    pub(super) fn is_rate(self) -> bool {
        match self {
            Self::PacketsPerS | Self::ContactsPerS => true,
            Self::IpBytes | Self::ReceivedBytes | Self::ContactedHosts | Self::ContactedPorts => false,
        }
    }

    /// Returns the smallest count with which a host may exceed `limit`; `u64::MAX` without a limit. A sum of bytes may
    /// lack as much as was counted, so half of the limit is enough for it.
    pub(super) fn threshold(self, limit: Option<u64>) -> u64 {
        match (self, limit) {
            (_, None) => u64::MAX,
            (Self::IpBytes | Self::ReceivedBytes, Some(limit)) => limit / 2,
            (_, Some(limit)) => limit.saturating_add(1),
        }
    }
}

/// One value for each [`Metric`].
///
/// ```
/// use traffic_alerted::flow::{Metric, PerMetric};
///
/// let counts = PerMetric::default().with(Metric::IpBytes, 1500_u64);
/// assert_eq!((counts[Metric::IpBytes], counts[Metric::ContactedHosts]), (1500, 0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerMetric<T>([T; Metric::ALL.len()]);

impl<T> PerMetric<T> {
    /// Makes it from the value that `of` returns for each metric.
    pub fn from_fn(of: impl FnMut(Metric) -> T) -> Self {
        Self(Metric::ALL.map(of))
    }

    /// Returns the same values except for one metric.
    #[must_use]
    pub fn with(mut self, metric: Metric, value: T) -> Self {
        self[metric] = value;
        self
    }
}

impl<T> Index<Metric> for PerMetric<T> {
    type Output = T;

    #[inline]
    fn index(&self, metric: Metric) -> &T {
        &self.0[metric as usize]
    }
}

impl<T> IndexMut<Metric> for PerMetric<T> {
    #[inline]
    fn index_mut(&mut self, metric: Metric) -> &mut T {
        &mut self.0[metric as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_metric_has_a_value_of_its_own() {
        let values = PerMetric::from_fn(|metric| metric as usize);
        for (at, metric) in Metric::ALL.into_iter().enumerate() {
            assert_eq!(values[metric], at);
            let changed = values.with(metric, 99);
            assert!(
                Metric::ALL
                    .into_iter()
                    .all(|each| changed[each] == if each == metric { 99 } else { values[each] })
            );
        }
    }
}
