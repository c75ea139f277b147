//! Evidence that an alert shows beside the measured value.

use std::time::Duration;

use crate::detect::ScanEvidence;
use crate::flow::{KernelCounts, Outcomes, PeerBytes};
use crate::time::Moment;

/// What an alert shows about its host beside the measured value.
///
/// All of it is gathered when the alert opens and when it is confirmed. The scan evidence is gathered again each time
/// the value has doubled, and once more after every contact had the time to be answered. Scan evidence that rests on
/// clearly less than before does not replace what the alert has: contacts leave the traffic window before the limit of
/// ports has forgotten them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// IP bytes that the host sent in the traffic window.
    pub(crate) ip_bytes: u64,
    /// Destinations of those bytes, most bytes first.
    pub(crate) destinations: Vec<PeerBytes>,
    /// Ports contacted, ascending.
    pub(crate) ports: Vec<u16>,
    /// Frames that the kernel offered and dropped in the traffic window.
    pub(crate) loss: KernelCounts,
    /// Evidence for a scan; `None` for other kinds of alerts.
    pub(crate) scan: Option<ScanEvidence>,
}

/// The part of an [`Evidence`] that the ledger requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EvidenceNeeded {
    /// All fields.
    Everything,
    /// Only `scan`; the other fields may have their defaults.
    Scan,
}

/// Returns true if scan evidence rests on about as much as the evidence before, or on more, and has no less confidence.
///
/// The window of the ports may be longer than that of the hosts that they were contacted at. Once these have expired, a
/// host that exceeds its limit of ports all the same seems to be a client whose answers do not pass here.
pub(super) fn is_as_much(scan: &ScanEvidence, before: &ScanEvidence) -> bool {
    let amounts = |scan: &ScanEvidence| {
        let examined = scan.outcomes.total();
        let hosts: u32 = scan.ports.iter().map(|port| port.outcomes.total()).sum();
        let Outcomes { unseen, early, .. } = scan.outcomes;
        // Whether the answer to an early contact would be seen is not known yet.
        let visible = examined - unseen - early;
        [scan.contacted, examined, visible, hosts + scan.ports_at_one_host]
    };
    let is_about = |(now, before): (u32, u32)| u64::from(now) * 4 >= u64::from(before) * 3;
    scan.confidence >= before.confidence && amounts(scan).into_iter().zip(amounts(before)).all(is_about)
}

/// Returns the time at which the contacts that were too recent for this scan evidence have an outcome; `None` if there
/// were none.
pub(super) fn complete_at(scan: &ScanEvidence, now: Moment) -> Option<Moment> {
    const ANSWERED_WITHIN: Duration = Duration::from_secs(1);
    (scan.outcomes.early > 0).then(|| now.plus(ANSWERED_WITHIN))
}
