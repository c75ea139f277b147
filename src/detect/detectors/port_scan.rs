//! Finds hosts that contact too many ports within the port window: distinct pairs of protocol and port, at any host.

use crate::detect::detector::{ContactKind, Detector, HostLimit, LogDetails, Words};
use crate::flow::Metric;

pub(super) const DETECTOR: Detector = Detector {
    name: "SCANNING_PORT",
    limit: Some(HostLimit { metric: Metric::ContactedPorts, key: "NumContactedPorts" }),
    contacts: Some(ContactKind::Ports),
    words: Words {
        verb: "contacted",
        unit: "ports",
        host: "SRC",
        value: "CONTACTED",
        details: LogDetails::Ports,
    },
};
