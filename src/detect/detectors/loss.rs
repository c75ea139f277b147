//! Finds that the kernel dropped too large a share of the frames within the traffic window.

use crate::detect::detector::{Detector, LogDetails, Words};

pub(super) const DETECTOR: Detector = Detector {
    name: "LOSS",
    limit: None,
    contacts: None,
    words: Words {
        verb: "lost",
        unit: "frames of a million",
        host: "SRC",
        value: "TOTALBYTES",
        details: LogDetails::Destinations,
    },
};
