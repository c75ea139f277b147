//! What is measured of a host: the counts that a limit can be set on.

use std::ops::{Index, IndexMut};

/// One measure of a host. The order is the one in which the keys of their limits are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Bytes sent in the traffic window.
    IpBytes,
    /// Bytes received in the traffic window, as far as they are counted.
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

    /// Returns true if it is counted over the last second; such counts are kept only where a limit needs them.
    pub(super) fn is_rate(self) -> bool {
        matches!(self, Self::PacketsPerS | Self::ContactsPerS)
    }

    /// The count from which on a host may exceed `limit`. A sum of bytes may lack as much as was counted, so half of
    /// the limit is enough there.
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
    /// The value that `of` gives for each metric.
    pub fn from_fn(of: impl FnMut(Metric) -> T) -> Self {
        Self(Metric::ALL.map(of))
    }

    /// The same with another value for one metric.
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
