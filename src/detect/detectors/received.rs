//! Finds hosts that receive too many bytes within the traffic window: victims, not sources.

use crate::detect::detector::{Detector, HostLimit, LogDetails, Words};
use crate::flow::Metric;

pub(super) const DETECTOR: Detector = Detector {
    name: "RECEIVED",
    limit: Some(HostLimit { metric: Metric::ReceivedBytes, key: "ReceivedByteLimit" }),
    contacts: None,
    words: Words {
        verb: "received",
        unit: "bytes",
        host: "DST",
        value: "TOTALBYTES",
        details: LogDetails::Value,
    },
};
