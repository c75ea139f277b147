//! The list of the detectors.
//!
//! To add one, write its file in `detectors/` and its line below. `cargo fmt` does not find modules that a macro
//! declares; `rustfmt src/detect/detectors/*.rs` formats them.

use crate::flow::Metric;

use super::detector::{Detector, HostLimit};

macro_rules! detectors {
    ($($kind:ident in $module:ident: $doc:literal;)*) => {
        $(mod $module;)*

        /// The limit that a finding is about. Kinds that are listed together are in this order.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FindingKind { $(#[doc = $doc] $kind,)* }

        impl FindingKind {
            /// Every kind, in order.
            pub const ALL: [Self; DETECTORS.len()] = [$(Self::$kind,)*];
        }

        /// The detectors, indexed by kind.
        static DETECTORS: [Detector; [$(stringify!($kind)),*].len()] = [$($module::DETECTOR,)*];
    };
}

// Each line is a kind of finding, the file of its detector, and the doc comment of the kind.
detectors! {
    Traffic in volume: "Bytes sent in the traffic window.";
    Scanning in host_scan: "Hosts contacted in the traffic window.";
    ScanningPort in port_scan: "Ports contacted in the port window.";
    PacketRate in packet_rate: "Packets sent in a second.";
    ContactRate in contact_rate: "Hosts newly contacted in a second.";
    Received in received: "Bytes received in the traffic window.";
    Loss in loss: "Frames that the kernel dropped in the traffic window, because a ring was full.";
}

impl FindingKind {
    /// Returns the kind of this name; `None` if no kind has it.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Returns the kind whose limit of hosts has this key; `None` if no limit has it.
    pub fn of_limit(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.limit().is_some_and(|limit| limit.key == key))
    }

    /// Returns the detector of this kind.
    #[inline]
    pub fn detector(self) -> &'static Detector {
        &DETECTORS[self as usize]
    }

    /// Returns the name of the kind in log lines and JSON.
    pub fn name(self) -> &'static str {
        self.detector().name
    }

    /// Returns the limit of hosts that it is about; `None` if it is about the capture itself.
    pub fn limit(self) -> Option<&'static HostLimit> {
        self.detector().limit.as_ref()
    }

    /// Returns the metric of a host that it is about; `None` if it is about the capture itself.
    #[inline]
    pub fn metric(self) -> Option<Metric> {
        self.limit().map(|limit| limit.metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_name_and_a_key_of_its_own() {
        for kind in FindingKind::ALL {
            assert_eq!(FindingKind::named(kind.name()), Some(kind));
            if let Some(limit) = kind.limit() {
                assert_eq!(FindingKind::of_limit(limit.key), Some(kind));
            }
        }
        assert_eq!((FindingKind::named("traffic"), FindingKind::of_limit("LossLimit")), (None, None));
    }
}
