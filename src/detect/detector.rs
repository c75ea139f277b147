//! The description of one detector: the metric that it compares, the key of its limit, and its words.

use crate::flow::Metric;

/// One detector. Each has a file in `detectors/`.
#[derive(Debug)]
pub struct Detector {
    /// The name of its findings in log lines and JSON.
    pub name: &'static str,
    /// The limit of hosts that it applies; `None` if it is about the capture itself.
    pub limit: Option<HostLimit>,
    /// Which contacts are the evidence of its findings; `None` if it has no such evidence.
    pub contacts: Option<ContactKind>,
    /// The words that describe a finding.
    pub words: Words,
}

/// A limit of hosts.
#[derive(Debug)]
pub struct HostLimit {
    /// The metric that it limits.
    pub metric: Metric,
    /// Its key in the configuration, for all hosts and in `LimitFor`.
    pub key: &'static str,
}

/// Which contacts are evidence, and in which window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContactKind {
    /// Hosts in the traffic window.
    Hosts,
    /// Ports in the port window.
    Ports,
    /// Hosts in the traffic window, as the evidence of a rate: it shows what the host does, and whether the finding
    /// opens an alert does not depend on it.
    Context,
}

/// The words that describe a finding in a sentence and in the log line.
#[derive(Debug)]
pub struct Words {
    /// The verb of the sentence: `sent` in `sent 1200 bytes`.
    pub verb: &'static str,
    /// The unit of the measured value: `bytes` in `sent 1200 bytes`.
    pub unit: &'static str,
    /// The field of the host in the log line: `SRC`, or `DST` if the host is the victim.
    pub host: &'static str,
    /// The field of the measured value in the log line.
    pub value: &'static str,
    /// The fields after the host in the log line of an alert that opens.
    pub details: LogDetails,
}

/// The fields after the host in the log line of an alert that opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogDetails {
    /// The bytes that the host sent, and their destinations.
    Destinations,
    /// The measured value, the bytes that the host sent, and their destinations.
    ValueAndDestinations,
    /// The measured value.
    Value,
    /// The ports that the host contacted.
    Ports,
}
