//! The sentence about an alert. It is short enough for a notification on a telephone.

use std::fmt;

use super::notice::Notice;
use super::record::{Alert, AlertState};
use crate::detect::{PartsPerMillion, Words};
use crate::enrich::HostDetails;

/// Displays the kind and state of the alert, its host, its value and its limit.
///
/// ```text
/// TRAFFIC: 10.0.0.5 (laptop.lan, NL, AS64500) sent 1200000000 bytes, the limit is 1000000000
/// SCANNING is over: 10.0.0.7 contacted up to 40 hosts, the limit is 15
/// LOSS: this gateway lost 2.1729% of the frames it was to watch, the limit is 0.1%
/// TRAFFIC is possible: 10.0.0.5 sent 900000000 bytes (1200000000 at most), the limit is 1000000000
/// TEST, nothing happened: 192.0.2.1 sent 1200000000 bytes, the limit is 1000000000
/// ```
#[derive(Clone, Copy, Debug)]
pub(super) struct Sentence<'a> {
    pub(super) notice: &'a Notice,
    /// Name and origin of the host.
    pub(super) source: HostDetails<'a>,
}

/// Displays the words before the colon.
#[derive(Clone, Copy, Debug)]
struct Title<'a>(&'a Notice);

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Alert { kind, source, measured, limit, .. } = self.notice.alert();
        let up_to = if self.notice.state() == AlertState::Closed { "up to " } else { "" };
        let Some(source) = source else {
            let (lost, limit) =
                (PartsPerMillion::of_a_million(measured), PartsPerMillion::of_a_million(limit));
            let what = "of the frames it was to watch";
            return write!(
                f,
                "{}: this gateway lost {up_to}{lost} {what}, the limit is {limit}",
                Title(self.notice)
            );
        };
        let known = self.source;
        let &Words { verb, unit, .. } = &kind.detector().words;
        write!(f, "{}: {source}{known} {verb} {up_to}{measured} {unit}", Title(self.notice))?;
        let alert = self.notice.alert();
        if alert.progress.error_bound > 0 {
            write!(f, " ({} at most)", alert.upper_bound())?;
        }
        write!(f, ", the limit is {limit}")
    }
}

impl fmt::Display for Title<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Alert { kind, ref progress, .. } = self.0.alert();
        match self.0.state() {
            AlertState::Open => f.write_str(kind.name()),
            AlertState::Possible => write!(f, "{} is possible", kind.name()),
            AlertState::Closed if progress.is_possible => write!(f, "possible {} is over", kind.name()),
            AlertState::Closed => write!(f, "{} is over", kind.name()),
            AlertState::Test => f.write_str("TEST, nothing happened"),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::alert::record::{AlertKind, AlertProgress};
    use crate::alert::sample;

    use super::*;

    #[test]
    fn sentences_say_who_did_how_much_and_whether_it_is_over() {
        let scan = Alert { kind: AlertKind::Scanning, measured: 40, limit: 15, ..sample::traffic() };
        let ports = Alert { kind: AlertKind::ScanningPort, ..scan.clone() };
        let loss =
            Alert { kind: AlertKind::Loss, source: None, measured: 21_729, limit: 1_000, ..scan.clone() };
        let bytes = "192.0.2.1 sent 1200000000 bytes, the limit is 1000000000";
        let possible = Alert {
            measured: 900_000_000,
            progress: AlertProgress {
                is_possible: true,
                error_bound: 300_000_000,
                ..AlertProgress::default()
            },
            ..sample::traffic()
        };
        let at_most = "192.0.2.1 sent 900000000 bytes (1200000000 at most), the limit is 1000000000";
        let cases = [
            (Notice::Opened(sample::traffic()), format!("TRAFFIC: {bytes}")),
            (Notice::Test(sample::traffic()), format!("TEST, nothing happened: {bytes}")),
            (
                Notice::Closed(scan),
                "SCANNING is over: 192.0.2.1 contacted up to 40 hosts, the limit is 15".to_owned(),
            ),
            (
                Notice::Opened(loss),
                "LOSS: this gateway lost 2.1729% of the frames it was to watch, the limit is 0.1%".to_owned(),
            ),
            (Notice::Opened(possible.clone()), format!("TRAFFIC is possible: {at_most}")),
            (
                Notice::Closed(possible.clone()),
                format!("possible TRAFFIC is over: {}", at_most.replace("sent", "sent up to")),
            ),
            (
                Notice::Confirmed(Alert {
                    progress: AlertProgress { is_possible: false, ..possible.progress.clone() },
                    ..possible
                }),
                format!("TRAFFIC: {at_most}"),
            ),
            (
                Notice::Opened(ports),
                "SCANNING_PORT: 192.0.2.1 contacted 40 ports, the limit is 15".to_owned(),
            ),
        ];
        for (notice, want) in cases {
            let sentence = Sentence { notice: &notice, source: HostDetails::default() };
            assert_eq!(sentence.to_string(), want);
            let name = HostDetails { name: Some("a.example"), ..HostDetails::default() };
            let origin = HostDetails { country: Some("NL"), asn: Some(64_500), ..HostDetails::default() };
            let cases = [
                (name, "192.0.2.1 (a.example)"),
                (origin, "192.0.2.1 (NL, AS64500)"),
                (HostDetails { as_organization: Some("@all"), ..HostDetails::default() }, "192.0.2.1"),
                (HostDetails { name: name.name, ..origin }, "192.0.2.1 (a.example, NL, AS64500)"),
            ];
            for (source, who) in cases {
                assert_eq!(Sentence { source, ..sentence }.to_string(), want.replace("192.0.2.1", who));
            }
        }
    }
}
