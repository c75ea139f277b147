//! What makes one detector: what it measures, the key of its limit, and its words.

use crate::flow::Metric;

/// One detector. Each is a file in `detectors/`.
#[derive(Debug)]
pub struct Detector {
    /// The word of the log line and of JSON.
    pub name: &'static str,
    /// The limit of hosts that it compares with; `None` where it is about the capture itself.
    pub limit: Option<HostLimit>,
    /// Which contacts are evidence of a scan; `None` where it is about something else.
    pub contacts: Option<ContactKind>,
    /// How a finding is worded.
    pub words: Words,
}

/// A limit of hosts.
#[derive(Debug)]
pub struct HostLimit {
    /// What it limits.
    pub metric: Metric,
    /// Its key in the configuration, for all hosts and behind `LimitFor`.
    pub key: &'static str,
}

/// What a scanner contacts many of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContactKind {
    /// Hosts in the traffic window.
    Hosts,
    /// Ports in the port window.
    Ports,
}

/// How a finding is worded, in a sentence and in the log line.
#[derive(Debug)]
pub struct Words {
    /// What the host did, as in `sent 1200 bytes`.
    pub verb: &'static str,
    /// What it did that with, as in `sent 1200 bytes`.
    pub unit: &'static str,
    /// The name of the host in the log line: `SRC`, or `DST` where it is the victim.
    pub host: &'static str,
    /// The name of the measured value in the log line.
    pub value: &'static str,
    /// What the log line has behind the host when an alert opens.
    pub details: LogDetails,
}

/// What the log line of an alert that opens has behind its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogDetails {
    /// The bytes that the host sent, and where they went.
    Destinations,
    /// The measured value, the bytes that the host sent, and where they went.
    ValueAndDestinations,
    /// The measured value.
    Value,
    /// The ports that the host contacted.
    Ports,
}
