//! The log line of an alert, in the form that watchers of the original's log know.

use std::fmt;

use super::record::{Alert, AlertKind, Notice};

/// Displays a notice as one line without its end.
///
/// ```text
/// EVENT=TRAFFIC SRC=10.0.0.5 TOTALBYTES=1000000123 | DSTINFO=[{10.9.0.1 999000000} {10.9.0.2 1000123}]
/// EVENT=SCANNING SRC=10.0.0.7 TOTALBYTES=4400 | DSTINFO=[{10.9.0.1 44} {10.9.0.2 44}]
/// EVENT=SCANNING_PORT SRC=10.0.0.8 PORTS=[22 23 80]
/// CLOSED=TRAFFIC SRC=10.0.0.5 PEAK=1200000000 LIMIT=1000000000 SECONDS=212
/// ```
///
/// The original never said that something ended; the line that does so begins with another word, so that
/// whoever counts `EVENT=` counts what it counted.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a>(pub &'a Notice);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Notice::Opened(alert) => opened(alert, f),
            Notice::Closed(alert) => closed(alert, f),
        }
    }
}

fn opened(alert: &Alert, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "EVENT={} SRC={}", alert.kind.name(), alert.source)?;
    match alert.kind {
        AlertKind::Traffic | AlertKind::Scanning => {
            write!(f, " TOTALBYTES={} | DSTINFO=[", alert.ip_bytes)?;
            for (at, peer) in alert.destinations.iter().enumerate() {
                let gap = if at == 0 { "" } else { " " };
                write!(f, "{gap}{{{} {}}}", peer.addr, peer.ip_bytes)?;
            }
        }
        AlertKind::ScanningPort => {
            f.write_str(" PORTS=[")?;
            for (at, port) in alert.ports.iter().enumerate() {
                let gap = if at == 0 { "" } else { " " };
                write!(f, "{gap}{port}")?;
            }
        }
    }
    f.write_str("]")
}

fn closed(alert: &Alert, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let closed_at = alert.closed_at.unwrap_or(alert.opened_at);
    let seconds = closed_at.0.saturating_sub(alert.opened_at.0) / 1_000_000_000;
    let Alert { kind, source, measured, limit, .. } = alert;
    write!(f, "CLOSED={} SRC={source} PEAK={measured} LIMIT={limit} SECONDS={seconds}", kind.name())
}

#[cfg(test)]
mod tests {
    use crate::flow::PeerBytes;
    use crate::time::UnixNanos;

    use super::*;

    #[test]
    fn lines_are_the_originals_byte_for_byte() {
        let peer = |last, ip_bytes| PeerBytes { addr: [10, 9, 8, last].into(), ip_bytes };
        let alert = |kind, destinations, ports| Alert {
            id: "1-1".to_owned(),
            kind,
            source: [10, 1, 1, 1].into(),
            opened_at: UnixNanos(1_000_000_000),
            closed_at: None,
            measured: 23_644,
            limit: 20_000,
            ip_bytes: 23_644,
            destinations,
            ports,
            scan: None,
        };
        let traffic = alert(AlertKind::Traffic, vec![peer(9, 23_644)], vec![]);
        let scanning = Alert {
            source: "fd00::1".parse().expect("an address"),
            ..alert(AlertKind::Scanning, vec![peer(0, 50), peer(2, 1), peer(1, 1)], vec![])
        };
        let closed = Alert { closed_at: Some(UnixNanos(213_900_000_000)), ..traffic.clone() };
        for (notice, want) in [
            (
                Notice::Opened(traffic.clone()),
                "EVENT=TRAFFIC SRC=10.1.1.1 TOTALBYTES=23644 | DSTINFO=[{10.9.8.9 23644}]",
            ),
            (
                Notice::Opened(Alert { destinations: vec![], ..traffic }),
                "EVENT=TRAFFIC SRC=10.1.1.1 TOTALBYTES=23644 | DSTINFO=[]",
            ),
            (
                Notice::Opened(scanning),
                "EVENT=SCANNING SRC=fd00::1 TOTALBYTES=23644 | DSTINFO=[{10.9.8.0 50} {10.9.8.2 1} {10.9.8.1 1}]",
            ),
            (
                Notice::Opened(alert(AlertKind::ScanningPort, vec![], vec![1000, 1001, 1002, 1003])),
                "EVENT=SCANNING_PORT SRC=10.1.1.1 PORTS=[1000 1001 1002 1003]",
            ),
            (Notice::Closed(closed), "CLOSED=TRAFFIC SRC=10.1.1.1 PEAK=23644 LIMIT=20000 SECONDS=212"),
        ] {
            assert_eq!(Line(&notice).to_string(), want);
        }
    }
}
