//! The sample that `test-alert` sends, about an address reserved for documentation (RFC 5737).

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::flow::{KernelCounts, PeerBytes};
use crate::time::UnixNanos;

use super::record::{Alert, AlertKind, AlertProgress};

const SOURCE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const DESTINATION: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

/// Returns an alert that opened at `at`; its id begins with `test-`, and the ids of other alerts do not.
pub(crate) fn alert(at: UnixNanos) -> Alert {
    let ip_bytes = 1_200_000_000;
    Alert {
        id: format!("test-{}", at.0 / 1_000_000_000),
        kind: AlertKind::Traffic,
        source: Some(SOURCE.into()),
        opened_at: at,
        closed_at: None,
        measured: ip_bytes,
        limit: 1_000_000_000,
        window: Duration::from_secs(170),
        ip_bytes,
        destinations: vec![PeerBytes { addr: DESTINATION.into(), ip_bytes }],
        ports: Vec::new(),
        loss: KernelCounts::default(),
        scan: None,
        progress: AlertProgress { last: ip_bytes, exceeded_at: at, ..AlertProgress::default() },
    }
}

/// Returns the sample with a fixed time, for tests that compare texts.
#[cfg(test)]
pub(crate) fn traffic() -> Alert {
    alert(UnixNanos(1_790_000_000_000_000_000))
}
