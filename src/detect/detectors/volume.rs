//! Finds hosts that send too many bytes within the traffic window.

use crate::detect::detector::{Detector, HostLimit, LogDetails, Words};
use crate::flow::Metric;

pub(super) const DETECTOR: Detector = Detector {
    name: "TRAFFIC",
    limit: Some(HostLimit { metric: Metric::IpBytes, key: "ByteLimit" }),
    contacts: None,
    words: Words {
        verb: "sent",
        unit: "bytes",
        host: "SRC",
        value: "TOTALBYTES",
        details: LogDetails::Destinations,
    },
};
