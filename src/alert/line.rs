//! The log line of a notice. Its form is that of the original program, which log watchers parse.

use std::fmt;

use super::notice::Notice;
use super::record::{Alert, AlertProgress};
use super::storm::Storm;
use crate::detect::{LogDetails, PartsPerMillion, Words};
use crate::flow::KernelCounts;

/// Displays a notice as one line without a line end.
///
/// ```text
/// EVENT=TRAFFIC SRC=10.0.0.5 TOTALBYTES=1000000123 | DSTINFO=[{10.9.0.1 999000000} {10.9.0.2 1000123}]
/// EVENT=SCANNING SRC=10.0.0.7 TOTALBYTES=4400 | DSTINFO=[{10.9.0.1 44} {10.9.0.2 44}]
/// EVENT=SCANNING_PORT SRC=10.0.0.8 PORTS=[22 23 80]
/// EVENT=PACKET_RATE SRC=10.0.0.5 RATE=12000 TOTALBYTES=4400000 | DSTINFO=[{10.9.0.1 4400000}]
/// EVENT=CONTACT_RATE SRC=10.0.0.7 RATE=110 TOTALBYTES=4400 | DSTINFO=[{10.9.0.1 44} {10.9.0.2 44}]
/// EVENT=RECEIVED DST=10.0.0.9 TOTALBYTES=20000000123
/// EVENT=LOSS DROPPED=1234 OFFERED=56793 SHARE=2.1729% LIMIT=0.1%
/// GROWN=TRAFFIC SRC=10.0.0.5 TOTALBYTES=5000000123 LIMIT=1000000000 TIMES=5
/// GROWN=SCANNING SRC=10.0.0.7 CONTACTED=31 LIMIT=15 TIMES=2
/// CLOSED=TRAFFIC SRC=10.0.0.5 PEAK=1200000000 LIMIT=1000000000 SECONDS=212
/// CLOSED=LOSS PEAK=2.1729% LIMIT=0.1% SECONDS=340
/// CLOSED=TRAFFIC SRC=10.0.0.5 PEAK=1200000000 LIMIT=1000000000 SECONDS=2 | END=DISPLACED
/// EVENT=STORM KIND=SCANNING HOSTS=50 NETWORK=10.0.0.0/24 | NETWORKS=[{10.0.0.0/24 50}] | HOSTINFO=[10.0.0.1 ...]
/// GROWN=STORM KIND=SCANNING HOSTS=312 TARGET=10.9.0.1 | NETWORKS=[{192.0.2.0/24 7}] | HOSTINFO=[192.0.2.4 ...]
/// CLOSED=STORM KIND=SCANNING HOSTS=312 SECONDS=212
/// POSSIBLE=TRAFFIC SRC=10.0.0.5 TOTALBYTES=90000000 | DSTINFO=[{10.9.0.1 90000000}] | UPTO=120000000 LIMIT=100000000
/// ```
///
/// The original program wrote `EVENT=` lines only. Growth, ends and samples begin with other words, so a watcher that
/// counts `EVENT=` gets the same counts as before. A possible alert (`POSSIBLE=`) shows the upper bound of its value,
/// and is followed by an `EVENT=` line when it is confirmed. If frames were dropped in the window, the line of an alert
/// that opens ends with their share (`| LOST=2.1729%`): the true values are larger.
///
/// A storm has no `SRC=`, so that a program that blocks every `SRC=` blocks none of its hosts unseen.
///
/// A host that receives too much is a victim and not a source. Its lines have `DST=`, so that a program that blocks
/// every `SRC=` does not block it.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a>(pub &'a Notice);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Notice::Opened(alert) if alert.progress.is_possible => opened("POSSIBLE", alert, f),
            Notice::Opened(alert) | Notice::Confirmed(alert) => opened("EVENT", alert, f),
            Notice::Test(alert) => opened("TEST", alert, f),
            Notice::Grown(alert, times) => grown(alert, *times, f),
            Notice::Closed(alert) => closed(alert, f),
        }
    }
}

fn opened(word: &str, alert: &Alert, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if let Some(storm) = &alert.progress.storm {
        return write_storm(word, alert, storm, f);
    }
    let lost = PartsPerMillion::of_a_million(alert.loss.dropped_ppm());
    let Some(source) = alert.source else {
        let KernelCounts { tp_packets, tp_drops, .. } = alert.loss;
        let limit = PartsPerMillion::of_a_million(alert.limit);
        return write!(
            f,
            "{word}={} DROPPED={tp_drops} OFFERED={tp_packets} SHARE={lost} LIMIT={limit}",
            alert.kind.name()
        );
    };
    let &Words { host, value, details, .. } = &alert.kind.detector().words;
    write!(f, "{word}={} {host}={source}", alert.kind.name())?;
    match details {
        LogDetails::Destinations => write_destinations(alert, f)?,
        LogDetails::ValueAndDestinations => {
            write!(f, " {value}={}", alert.progress.last)?;
            write_destinations(alert, f)?;
        }
        LogDetails::Value => write!(f, " {value}={}", alert.progress.last)?,
        LogDetails::Ports => write_list(f, " PORTS=[", &alert.ports)?,
    }
    if alert.progress.is_possible {
        write!(f, " | UPTO={} LIMIT={}", alert.upper_bound(), alert.limit)?;
    }
    if lost > PartsPerMillion(0) { write!(f, " | LOST={lost}") } else { Ok(()) }
}

fn write_destinations(alert: &Alert, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, " TOTALBYTES={}", alert.ip_bytes)?;
    let peers = alert.destinations.iter().map(|peer| format!("{{{} {}}}", peer.addr, peer.ip_bytes));
    write_list(f, " | DSTINFO=[", peers)
}

/// Writes `opening`, the items with a space between them, and a bracket, as Go formats a slice.
fn write_list<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    opening: &str,
    items: impl IntoIterator<Item = T>,
) -> fmt::Result {
    f.write_str(opening)?;
    for (at, item) in items.into_iter().enumerate() {
        let gap = if at == 0 { "" } else { " " };
        write!(f, "{gap}{item}")?;
    }
    f.write_str("]")
}

/// Writes the line of a storm that opens or grows.
fn write_storm(word: &str, alert: &Alert, storm: &Storm, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write_storm_head(word, alert, storm, f)?;
    write_list(
        f,
        " | NETWORKS=[",
        storm.networks.iter().map(|(network, hosts)| format!("{{{network} {hosts}}}")),
    )?;
    write_list(f, " | HOSTINFO=[", &storm.sample)
}

fn write_storm_head(word: &str, alert: &Alert, storm: &Storm, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{word}=STORM KIND={} HOSTS={}", alert.kind.name(), storm.hosts)?;
    storm.network.map_or(Ok(()), |network| write!(f, " NETWORK={network}"))?;
    storm.target.map_or(Ok(()), |target| write!(f, " TARGET={target}"))
}

fn grown(alert: &Alert, times: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if let Some(storm) = &alert.progress.storm {
        return write_storm("GROWN", alert, storm, f);
    }
    let &Alert { kind, source, limit, progress: AlertProgress { last, .. }, .. } = alert;
    let Some(source) = source else {
        let (share, limit) = (PartsPerMillion::of_a_million(last), PartsPerMillion::of_a_million(limit));
        return write!(f, "GROWN={} SHARE={share} LIMIT={limit} TIMES={times}", kind.name());
    };
    let &Words { host, value, .. } = &kind.detector().words;
    write!(f, "GROWN={} {host}={source} {value}={last} LIMIT={limit} TIMES={times}", kind.name())
}

fn closed(alert: &Alert, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let seconds = alert.lasted().as_secs();
    if let Some(storm) = &alert.progress.storm {
        write_storm_head("CLOSED", alert, storm, f)?;
        return write!(f, " SECONDS={seconds}");
    }
    let &Alert { kind, source, measured, limit, .. } = alert;
    match source {
        Some(source) => {
            let (name, host) = (kind.name(), kind.detector().words.host);
            write!(f, "CLOSED={name} {host}={source} PEAK={measured} LIMIT={limit} SECONDS={seconds}")?;
            if alert.progress.error_bound > 0 {
                write!(f, " | UPTO={}", alert.upper_bound())?;
            }
            if alert.progress.is_displaced { f.write_str(" | END=DISPLACED") } else { Ok(()) }
        }
        None => {
            let (peak, limit) =
                (PartsPerMillion::of_a_million(measured), PartsPerMillion::of_a_million(limit));
            write!(f, "CLOSED={} PEAK={peak} LIMIT={limit} SECONDS={seconds}", kind.name())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::alert::AlertKind;
    use crate::flow::PeerBytes;
    use crate::time::UnixNanos;

    use super::*;

    #[test]
    fn lines_equal_those_of_the_original_program() {
        let peer = |last, ip_bytes| PeerBytes { addr: [10, 9, 8, last].into(), ip_bytes };
        let alert = |kind, destinations, ports| Alert {
            id: "1-1".to_owned(),
            kind,
            source: Some([10, 1, 1, 1].into()),
            opened_at: UnixNanos(1_000_000_000),
            closed_at: None,
            measured: 23_644,
            limit: 20_000,
            window: Duration::from_secs(170),
            ip_bytes: 23_644,
            destinations,
            ports,
            loss: KernelCounts::default(),
            scan: None,
            progress: AlertProgress { last: 47_288, ..AlertProgress::default() },
        };
        let traffic = alert(AlertKind::Traffic, vec![peer(9, 23_644)], vec![]);
        let scanning = Alert {
            source: "fd00::1".parse().ok(),
            ..alert(AlertKind::Scanning, vec![peer(0, 50), peer(2, 1), peer(1, 1)], vec![])
        };
        let possible = Alert {
            limit: 30_000,
            progress: AlertProgress { is_possible: true, error_bound: 8000, ..traffic.progress.clone() },
            ..traffic.clone()
        };
        let closed = Alert { closed_at: Some(UnixNanos(213_900_000_000)), ..traffic.clone() };
        let loss = KernelCounts { tp_packets: 56_793, tp_drops: 1234, tp_freezes: 1 };
        let lost = Alert {
            source: None,
            measured: 21_728,
            limit: 1_000,
            loss,
            ..alert(AlertKind::Loss, vec![], vec![])
        };
        for (notice, want) in [
            (
                Notice::Opened(traffic.clone()),
                "EVENT=TRAFFIC SRC=10.1.1.1 TOTALBYTES=23644 | DSTINFO=[{10.9.8.9 23644}]",
            ),
            (
                Notice::Grown(traffic.clone(), 2),
                "GROWN=TRAFFIC SRC=10.1.1.1 TOTALBYTES=47288 LIMIT=20000 TIMES=2",
            ),
            (
                Notice::Grown(scanning.clone(), 2),
                "GROWN=SCANNING SRC=fd00::1 CONTACTED=47288 LIMIT=20000 TIMES=2",
            ),
            (
                Notice::Opened(alert(AlertKind::PacketRate, vec![peer(9, 23_644)], vec![])),
                "EVENT=PACKET_RATE SRC=10.1.1.1 RATE=47288 TOTALBYTES=23644 | DSTINFO=[{10.9.8.9 23644}]",
            ),
            (
                Notice::Grown(alert(AlertKind::ContactRate, vec![], vec![]), 2),
                "GROWN=CONTACT_RATE SRC=10.1.1.1 RATE=47288 LIMIT=20000 TIMES=2",
            ),
            (
                Notice::Opened(alert(AlertKind::Received, vec![], vec![])),
                "EVENT=RECEIVED DST=10.1.1.1 TOTALBYTES=47288",
            ),
            (
                Notice::Closed(alert(AlertKind::Received, vec![], vec![])),
                "CLOSED=RECEIVED DST=10.1.1.1 PEAK=23644 LIMIT=20000 SECONDS=0",
            ),
            (Notice::Grown(lost.clone(), 10), "GROWN=LOSS SHARE=4.7288% LIMIT=0.1% TIMES=10"),
            (
                Notice::Test(traffic.clone()),
                "TEST=TRAFFIC SRC=10.1.1.1 TOTALBYTES=23644 | DSTINFO=[{10.9.8.9 23644}]",
            ),
            (
                Notice::Opened(Alert { destinations: vec![], ..traffic.clone() }),
                "EVENT=TRAFFIC SRC=10.1.1.1 TOTALBYTES=23644 | DSTINFO=[]",
            ),
            (
                Notice::Opened(scanning.clone()),
                "EVENT=SCANNING SRC=fd00::1 TOTALBYTES=23644 | DSTINFO=[{10.9.8.0 50} {10.9.8.2 1} {10.9.8.1 1}]",
            ),
            (
                Notice::Opened(alert(AlertKind::ScanningPort, vec![], vec![1000, 1001, 1002, 1003])),
                "EVENT=SCANNING_PORT SRC=10.1.1.1 PORTS=[1000 1001 1002 1003]",
            ),
            (
                Notice::Opened(Alert { loss, destinations: vec![], ..scanning }),
                "EVENT=SCANNING SRC=fd00::1 TOTALBYTES=23644 | DSTINFO=[] | LOST=2.1729%",
            ),
            (Notice::Opened(lost.clone()), "EVENT=LOSS DROPPED=1234 OFFERED=56793 SHARE=2.1729% LIMIT=0.1%"),
            (
                Notice::Closed(Alert { measured: 30_000, closed_at: Some(UnixNanos(2_000_000_000)), ..lost }),
                "CLOSED=LOSS PEAK=3% LIMIT=0.1% SECONDS=1",
            ),
            (
                Notice::Opened(possible.clone()),
                "POSSIBLE=TRAFFIC SRC=10.1.1.1 TOTALBYTES=23644 | DSTINFO=[{10.9.8.9 23644}] | UPTO=31644 LIMIT=30000",
            ),
            (
                Notice::Opened(Alert { kind: AlertKind::Received, loss, ..possible.clone() }),
                "POSSIBLE=RECEIVED DST=10.1.1.1 TOTALBYTES=47288 | UPTO=31644 LIMIT=30000 | LOST=2.1729%",
            ),
            // An error bound changes nothing in the line of the original program.
            (
                Notice::Confirmed(Alert {
                    progress: AlertProgress { error_bound: 8000, ..traffic.progress.clone() },
                    ..traffic.clone()
                }),
                "EVENT=TRAFFIC SRC=10.1.1.1 TOTALBYTES=23644 | DSTINFO=[{10.9.8.9 23644}]",
            ),
            (
                Notice::Closed(possible),
                "CLOSED=TRAFFIC SRC=10.1.1.1 PEAK=23644 LIMIT=30000 SECONDS=0 | UPTO=31644",
            ),
            (Notice::Closed(closed), "CLOSED=TRAFFIC SRC=10.1.1.1 PEAK=23644 LIMIT=20000 SECONDS=212"),
        ] {
            assert_eq!(Line(&notice).to_string(), want);
        }
    }
}
