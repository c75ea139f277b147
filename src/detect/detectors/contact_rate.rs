//! Finds hosts that contact too many new hosts within a second.

use crate::detect::detector::{ContactKind, Detector, HostLimit, LogDetails, Words};
use crate::flow::Metric;

pub(super) const DETECTOR: Detector = Detector {
    name: "CONTACT_RATE",
    limit: Some(HostLimit { metric: Metric::ContactsPerS, key: "ContactRateLimit" }),
    contacts: Some(ContactKind::Context),
    words: Words {
        verb: "contacted",
        unit: "new hosts in a second",
        host: "SRC",
        value: "RATE",
        details: LogDetails::ValueAndDestinations,
    },
};
