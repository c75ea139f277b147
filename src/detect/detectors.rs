//! The list of the detectors.
//!
//! To add one, write its file in `detectors/` and its line below. `cargo fmt` finds no module that a macro declares:
//! `rustfmt src/detect/detectors/*.rs` formats them.

use crate::flow::Metric;

use super::detector::{Detector, HostLimit};

macro_rules! detectors {
    ($($kind:ident in $module:ident: $doc:literal;)*) => {
        $(mod $module;)*

        /// Which limit a finding is about. The order is the one in which several are named together.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FindingKind { $(#[doc = $doc] $kind,)* }

        impl FindingKind {
            /// Every kind, in order.
            pub const ALL: [Self; DETECTORS.len()] = [$(Self::$kind,)*];
        }

        /// By kind.
        static DETECTORS: [Detector; [$(stringify!($kind)),*].len()] = [$($module::DETECTOR,)*];
    };
}

// Each kind of finding, the file of its detector, and what that measures.
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
    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The kind whose limit of hosts has this key.
    pub fn of_limit(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.limit().is_some_and(|limit| limit.key == key))
    }

    /// What finds it.
    #[inline]
    pub fn detector(self) -> &'static Detector {
        &DETECTORS[self as usize]
    }

    /// The word of the log line and of JSON.
    pub fn name(self) -> &'static str {
        self.detector().name
    }

    /// The limit of hosts that it is about; `None` where it is about the capture itself.
    pub fn limit(self) -> Option<&'static HostLimit> {
        self.detector().limit.as_ref()
    }

    /// What is measured of a host; `None` where it is about the capture itself.
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
