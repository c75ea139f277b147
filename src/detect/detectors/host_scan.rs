//! Finds hosts that contact too many hosts within the traffic window.

use crate::detect::detector::{ContactKind, Detector, HostLimit, LogDetails, Words};
use crate::flow::Metric;

pub(super) const DETECTOR: Detector = Detector {
    name: "SCANNING",
    limit: Some(HostLimit { metric: Metric::ContactedHosts, key: "NumberContactedIPs" }),
    contacts: Some(ContactKind::Hosts),
    words: Words {
        verb: "contacted",
        unit: "hosts",
        host: "SRC",
        value: "CONTACTED",
        details: LogDetails::Destinations,
    },
};
