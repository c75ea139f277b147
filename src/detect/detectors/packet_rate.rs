//! Finds hosts that send too many packets within a second.

use crate::detect::detector::{ContactKind, Detector, HostLimit, LogDetails, Words};
use crate::flow::Metric;

pub(super) const DETECTOR: Detector = Detector {
    name: "PACKET_RATE",
    limit: Some(HostLimit { metric: Metric::PacketsPerS, key: "PacketRateLimit" }),
    contacts: Some(ContactKind::Context),
    words: Words {
        verb: "sent",
        unit: "packets in a second",
        host: "SRC",
        value: "RATE",
        details: LogDetails::ValueAndDestinations,
    },
};
