//! The sentence about an alert: who did what, how sure that is, and which limit it exceeds. It is short enough for a
//! notification on a telephone.

use std::fmt;

use serde::{Serialize, Serializer};

use super::notice::Notice;
use super::record::{Alert, AlertState};
use super::storm::Storm;
use crate::detect::{PartsPerMillion, ScanEvidence, ScanRole, port_name};
use crate::enrich::HostDetails;
use crate::flow::Metric;
use crate::human::{HumanBytes, HumanCount, HumanDuration, rounded_up};

/// Displays what a notice says, or the state of an alert, as one sentence without a full stop.
///
/// ```text
/// TRAFFIC: 10.0.0.5 (laptop.lan, NL, AS64500) sent 1.2 GB in 170 s, the limit is 1 GB
/// TRAFFIC is possible: 10.0.0.5 sent 900 MB, perhaps up to 1.2 GB, in 170 s, the limit is 1 GB
/// TRAFFIC is certain now: 10.0.0.5 sent 1.1 GB, perhaps up to 1.3 GB, in 170 s, the limit is 1 GB
/// TRAFFIC again: 10.0.0.5 sent 1.2 GB in 170 s, the limit is 1 GB
/// TRAFFIC grows: 10.0.0.5 has sent 5 GB in 170 s, 5 times the limit of 1 GB
/// TRAFFIC is over after 3 min 32 s: 10.0.0.5 sent at most 5.1 GB in 170 s, the limit is 1 GB
/// SCANNING: 10.0.0.7 <why>; scanner, confidence high; 253 hosts in 170 s, the limit is 15
/// PACKET_RATE: 10.0.0.5 sent 12K packets in a second, the limit is 10K; it <why>; <role, confidence>
/// TRAFFIC is displaced after 2 s: 10.0.0.5 sent at most 1.2 GB in 170 s, the limit is 1 GB; <consequence>
/// SCANNING storm: 50 hosts of 10.0.0.0/24 exceed the limit of 15 hosts, all at TCP port 445 (SMB), the latest: ...
/// TRAFFIC storm grows: 312 hosts have exceeded their limits so far, all towards 10.9.0.1, the latest: 192.0.2.4, ...
/// SCANNING storm is over after 3 min 32 s: 312 hosts exceeded their limits
/// LOSS: this gateway lost 2.1729% of the frames it should have counted in 170 s, the limit is 0.1%; <consequence>
/// TEST, nothing happened: 192.0.2.1 sent 1.2 GB in 170 s, the limit is 1 GB
/// ```
///
/// `<why>` is [`ScanEvidence::why`], a verb with its objects. An opening, a confirmation and a growth show the latest
/// value, the state of an open alert and its end the largest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sentence<'a> {
    alert: &'a Alert,
    occasion: Occasion,
    source: HostDetails<'a>,
}

/// What a sentence is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Occasion {
    /// The alert opened just now.
    Opening,
    /// The alert was possible and is certain now.
    Confirmation,
    /// The value reached a further multiple of the limit.
    Growth,
    /// The alert is in this state, since just now or for long.
    State(AlertState),
}

/// Returns the sentence about an alert in this state, without the name of its host.
pub fn sentence(alert: &Alert, state: AlertState) -> impl fmt::Display + '_ {
    Sentence::of(alert, state, HostDetails::default())
}

impl<'a> Sentence<'a> {
    /// Creates the sentence about an alert in this state; `source` is the name and origin of its host.
    pub(super) fn of(alert: &'a Alert, state: AlertState, source: HostDetails<'a>) -> Self {
        Self { alert, occasion: Occasion::State(state), source }
    }

    /// Creates the sentence of a notice; `source` is the name and origin of its host.
    pub(super) fn about(notice: &'a Notice, source: HostDetails<'a>) -> Self {
        let occasion = match notice {
            Notice::Opened(_) => Occasion::Opening,
            Notice::Confirmed(_) => Occasion::Confirmation,
            Notice::Grown(..) => Occasion::Growth,
            Notice::Closed(_) | Notice::Test(_) => Occasion::State(notice.state()),
        };
        Self { alert: notice.alert(), occasion, source }
    }

    /// Returns the words after the colon.
    pub(super) fn body(self) -> impl fmt::Display + 'a {
        Body(self)
    }

    fn title(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Alert { kind, ref progress, .. } = self.alert;
        let storm = if progress.storm.is_some() { " storm" } else { "" };
        let name = format!("{}{storm}", kind.name());
        match self.occasion {
            Occasion::State(AlertState::Test) => f.write_str("TEST, nothing happened"),
            Occasion::State(AlertState::Closed) => {
                let possible = if progress.is_possible { "possible " } else { "" };
                let over = if progress.is_displaced { "displaced" } else { "over" };
                write!(f, "{possible}{name} is {over} after {}", HumanDuration(self.alert.lasted()))
            }
            Occasion::Growth => write!(f, "{name} grows"),
            Occasion::Confirmation => write!(f, "{name} is certain now"),
            Occasion::Opening | Occasion::State(AlertState::Open | AlertState::Possible) => {
                let possible = if progress.is_possible { " is possible" } else { "" };
                let again = if progress.reopened > 0 { " again" } else { "" };
                write!(f, "{name}{possible}{again}")
            }
        }
    }
}

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.title(f)?;
        write!(f, ": {}", self.body())
    }
}

impl Serialize for Sentence<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Displays the words after the colon: the host, what it did, and the limit.
struct Body<'a>(Sentence<'a>);

impl fmt::Display for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Sentence { alert, occasion, source }) = self;
        if let Some(storm) = &alert.progress.storm {
            return write_storm(alert, storm, *occasion, f);
        }
        match alert.source {
            Some(address) => write!(f, "{address}{source} ")?,
            None => f.write_str("this gateway ")?,
        }
        match occasion {
            Occasion::Growth => write_growth(alert, f),
            Occasion::State(AlertState::Closed) => write_end(alert, f),
            Occasion::Opening | Occasion::Confirmation => write_opening(alert, alert.progress.last, f),
            Occasion::State(_) => write_opening(alert, alert.measured, f),
        }
    }
}

/// Number of hosts that the sentence about a storm names.
const STORM_HOSTS_NAMED: usize = 5;

/// Writes how many hosts a storm has, which limit they exceed, what they have in common, and some of them by address.
fn write_storm(alert: &Alert, storm: &Storm, occasion: Occasion, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let local = if storm.is_local { "local " } else { "" };
    let is_one = storm.hosts == 1;
    write!(f, "{} {local}{}", storm.hosts, if is_one { "host" } else { "hosts" })?;
    storm.network.map_or(Ok(()), |network| write!(f, " of {network}"))?;
    f.write_str(match (occasion, is_one) {
        (Occasion::State(AlertState::Closed), _) => " exceeded ",
        (Occasion::Growth, true) => " has exceeded ",
        (Occasion::Growth, false) => " have exceeded ",
        (_, true) => " exceeds ",
        (_, false) => " exceed ",
    })?;
    match storm.host_limit {
        Some(limit) => write!(f, "the limit of {}", HumanAmount::of(alert, limit))?,
        None => f.write_str(if is_one { "its limit" } else { "their limits" })?,
    }
    let has_unit = !matches!(alert.kind.metric(), None | Some(Metric::IpBytes | Metric::ReceivedBytes));
    if storm.host_limit.is_some() && has_unit {
        write!(f, " {}", alert.kind.detector().words.unit)?;
    }
    if occasion == Occasion::Growth {
        f.write_str(" so far")?;
    }
    if let Some(port) = storm.port {
        let share =
            if port.hosts >= storm.hosts { "all".to_owned() } else { format!("{} of them", port.hosts) };
        write!(f, ", {share} {}", port_name(port.protocol, port.port))?;
    }
    storm.target.map_or(Ok(()), |target| write!(f, ", all towards {target}"))?;
    if occasion == Occasion::State(AlertState::Closed) {
        return Ok(());
    }
    let named: Vec<String> =
        storm.sample.iter().rev().take(STORM_HOSTS_NAMED).map(ToString::to_string).collect();
    write!(f, ", the latest: {}", named.join(", "))?;
    match storm.hosts.saturating_sub(named.len() as u64) {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}

fn write_opening(alert: &Alert, value: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let value = ShownValue { alert, value };
    let limit = ShownLimit(alert);
    match &alert.scan {
        // The evidence about contacts explains the value itself, so it comes first. It is not gathered
        // again with each contact, so the value may be larger by now.
        Some(scan) if is_about_contacts(alert) => {
            let later = if value.value > u64::from(scan.contacted) { "later " } else { "" };
            write!(
                f,
                "{}{}; {later}{value}{}, the limit is {limit}",
                scan.why,
                Judgement(scan),
                InWindow(alert)
            )?;
        }
        scan => {
            let verb = alert.kind.detector().words.verb;
            write!(f, "{verb} {value}{}, the limit is {limit}", InWindow(alert))?;
            if let Some(scan) = scan {
                write!(f, "; it {}{}", scan.why, Judgement(scan))?;
            }
        }
    }
    if alert.progress.is_possible {
        f.write_str("; not all of it was counted, since MemoryLimit is too low")?;
    }
    match PartsPerMillion::of_a_million(alert.loss.dropped_ppm()) {
        _ if alert.source.is_none() => {
            f.write_str("; all counts are too low, and more RingMemory or Workers may help")
        }
        PartsPerMillion(0) => Ok(()),
        lost => write!(f, "; {lost} of all frames were lost, so it may be more"),
    }
}

/// Returns true if the limit is one of contacts in a window. The evidence of a rate explains what the host does
/// besides.
fn is_about_contacts(alert: &Alert) -> bool {
    matches!(alert.kind.metric(), Some(Metric::ContactedHosts | Metric::ContactedPorts))
}

fn write_growth(alert: &Alert, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let value = ShownValue { alert, value: alert.progress.last };
    let (verb, times) = (alert.kind.detector().words.verb, alert.progress.last / alert.limit.max(1));
    write!(f, "has {verb} {value}{}, {times} times the limit of {}", InWindow(alert), ShownLimit(alert))?;
    write_judgement(alert, f)
}

fn write_end(alert: &Alert, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let value = ShownValue { alert, value: alert.measured };
    let verb = alert.kind.detector().words.verb;
    write!(f, "{verb} at most {value}{}, the limit is {}", InWindow(alert), ShownLimit(alert))?;
    write_judgement(alert, f)?;
    if alert.progress.is_displaced {
        f.write_str("; an alert of more weight took its place, so it may go on")?;
    }
    Ok(())
}

fn write_judgement(alert: &Alert, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    alert.scan.as_ref().map_or(Ok(()), |scan| write!(f, "{}", Judgement(scan)))
}

/// Displays a value of an alert with its unit, and its upper bound if that is larger.
struct ShownValue<'a> {
    alert: &'a Alert,
    value: u64,
}

impl fmt::Display for ShownValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Self { alert, value } = self;
        let shown = HumanAmount::of(alert, value).to_string();
        // A value is often just over the limit, since an alert opens within a second.
        let is_close = value > alert.limit && shown == ShownLimit(alert).to_string();
        let just_over = if is_close { "just over " } else { "" };
        write!(f, "{just_over}{shown}")?;
        match alert.kind.metric() {
            Some(Metric::IpBytes | Metric::ReceivedBytes) => {}
            Some(_) => write!(f, " {}", alert.kind.detector().words.unit)?,
            None => f.write_str(" of the frames it should have counted")?,
        }
        if alert.progress.error_bound > 0 {
            write!(f, ", perhaps up to {},", HumanAmount::upper(alert, alert.upper_bound()))?;
        }
        Ok(())
    }
}

/// Displays the limit of an alert without its unit, except that of bytes.
struct ShownLimit<'a>(&'a Alert);

impl fmt::Display for ShownLimit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", HumanAmount::of(self.0, self.0.limit))
    }
}

/// A value in the unit of its kind.
enum HumanAmount {
    Bytes(HumanBytes),
    Count(HumanCount),
    Share(PartsPerMillion),
}

impl HumanAmount {
    fn of(alert: &Alert, value: u64) -> Self {
        match alert.kind.metric() {
            Some(Metric::IpBytes | Metric::ReceivedBytes) => Self::Bytes(HumanBytes(value)),
            Some(_) => Self::Count(HumanCount(value)),
            None => Self::Share(PartsPerMillion::of_a_million(value)),
        }
    }
}

impl HumanAmount {
    /// Returns an upper bound in the unit of its kind, which is not displayed smaller than it is.
    fn upper(alert: &Alert, bound: u64) -> Self {
        match Self::of(alert, bound) {
            Self::Bytes(HumanBytes(bytes)) => Self::Bytes(HumanBytes(rounded_up(bytes))),
            Self::Count(count) => Self::Count(count.rounded_up()),
            share @ Self::Share(_) => share,
        }
    }
}

impl fmt::Display for HumanAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => bytes.fmt(f),
            Self::Count(count) => count.fmt(f),
            Self::Share(share) => share.fmt(f),
        }
    }
}

/// Displays the window of the limit: ` in 170 s`. It is empty for rates, whose unit contains the second.
struct InWindow<'a>(&'a Alert);

impl fmt::Display for InWindow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.kind.metric() {
            Some(Metric::PacketsPerS | Metric::ContactsPerS) => Ok(()),
            _ => write!(f, " in {}", HumanDuration(self.0.window)),
        }
    }
}

/// Displays what the host is and how sure that is: `; scanner, confidence high`. The confidence is that of a scan, also
/// if the host is something else.
struct Judgement<'a>(&'a ScanEvidence);

impl fmt::Display for Judgement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &ScanEvidence { role, confidence, .. } = self.0;
        let of_what = if role == ScanRole::Scanner { "" } else { " that it scans" };
        write!(f, "; {}, confidence {}{of_what}", role.name(), confidence.name())
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use crate::alert::record::{AlertKind, AlertProgress};
    use crate::alert::sample;
    use crate::detect::Confidence;
    use crate::flow::{KernelCounts, Outcomes, Pace};
    use crate::time::UnixNanos;

    use super::*;

    /// Returns an alert about 10.0.0.7 whose latest value is also its largest.
    fn alert(kind: AlertKind, value: u64, limit: u64) -> Alert {
        let window = match kind {
            AlertKind::ScanningPort => 600,
            AlertKind::PacketRate | AlertKind::ContactRate => 1,
            _ => 170,
        };
        let progress = AlertProgress { last: value, ..AlertProgress::default() };
        Alert {
            kind,
            source: Some([10, 0, 0, 7].into()),
            measured: value,
            limit,
            window: Duration::from_secs(window),
            progress,
            ..sample::traffic()
        }
    }

    fn evidence(role: ScanRole, confidence: Confidence, why: &str) -> Option<ScanEvidence> {
        Some(ScanEvidence {
            role,
            class: None,
            confidence,
            contacted: 253,
            outcomes: Outcomes::default(),
            answers_visible: true,
            ports: Vec::new(),
            ports_at_one_host: 1,
            targets: Vec::new(),
            pace: Pace::default(),
            why: why.to_owned(),
        })
    }

    /// Returns the sentences of an opening, a growth to twice the value, and the end after that.
    fn sentences(alert: Alert) -> [String; 3] {
        let twice = alert.measured * 2;
        let grown = Alert {
            measured: twice,
            progress: AlertProgress { last: twice, ..alert.progress.clone() },
            ..alert.clone()
        };
        let closed = Alert {
            closed_at: Some(alert.opened_at.plus(Duration::from_millis(212_900))),
            progress: AlertProgress { last: 1, ..grown.progress.clone() },
            ..grown.clone()
        };
        [Notice::Opened(alert), Notice::Grown(grown, 2), Notice::Closed(closed)]
            .map(|notice| Sentence::about(&notice, HostDetails::default()).to_string())
    }

    #[test]
    fn each_kind_opens_grows_and_ends_with_a_sentence_of_its_own() {
        let sweep = "tried 253 hosts at TCP port 445 in 9 s, 12 answered";
        let victim = "answers 12 hosts that went no further";
        let cases = [
            (
                alert(AlertKind::Traffic, 1_200_000_123, 1_000_000_000),
                [
                    "TRAFFIC: 10.0.0.7 sent 1.2 GB in 170 s, the limit is 1 GB",
                    "TRAFFIC grows: 10.0.0.7 has sent 2.4 GB in 170 s, 2 times the limit of 1 GB",
                    "TRAFFIC is over after 3 min 32 s: 10.0.0.7 sent at most 2.4 GB in 170 s, the limit is 1 GB",
                ],
            ),
            (
                alert(AlertKind::Received, 20_000_000_123, 20_000_000_000),
                [
                    "RECEIVED: 10.0.0.7 received just over 20 GB in 170 s, the limit is 20 GB",
                    "RECEIVED grows: 10.0.0.7 has received 40 GB in 170 s, 2 times the limit of 20 GB",
                    "RECEIVED is over after 3 min 32 s: 10.0.0.7 received at most 40 GB in 170 s, the limit is 20 GB",
                ],
            ),
            (
                Alert {
                    scan: evidence(ScanRole::Scanner, Confidence::High, sweep),
                    ..alert(AlertKind::Scanning, 253, 15)
                },
                [
                    "SCANNING: 10.0.0.7 tried 253 hosts at TCP port 445 in 9 s, 12 answered; scanner, confidence high; \
                     253 hosts in 170 s, the limit is 15",
                    "SCANNING grows: 10.0.0.7 has contacted 506 hosts in 170 s, 33 times the limit of 15; scanner, \
                     confidence high",
                    "SCANNING is over after 3 min 32 s: 10.0.0.7 contacted at most 506 hosts in 170 s, the limit is \
                     15; scanner, confidence high",
                ],
            ),
            (
                // Evidence is not kept over a restart.
                alert(AlertKind::ScanningPort, 12_345, 100),
                [
                    "SCANNING_PORT: 10.0.0.7 contacted 12.3K ports in 10 min, the limit is 100",
                    "SCANNING_PORT grows: 10.0.0.7 has contacted 24.6K ports in 10 min, 246 times the limit of 100",
                    "SCANNING_PORT is over after 3 min 32 s: 10.0.0.7 contacted at most 24.6K ports in 10 min, the \
                     limit is 100",
                ],
            ),
            (
                Alert {
                    scan: evidence(ScanRole::Victim, Confidence::Low, victim),
                    ..alert(AlertKind::PacketRate, 12_000, 10_000)
                },
                [
                    "PACKET_RATE: 10.0.0.7 sent 12K packets in a second, the limit is 10K; it answers 12 hosts that \
                     went no further; victim, confidence low that it scans",
                    "PACKET_RATE grows: 10.0.0.7 has sent 24K packets in a second, 2 times the limit of 10K; victim, \
                     confidence low that it scans",
                    "PACKET_RATE is over after 3 min 32 s: 10.0.0.7 sent at most 24K packets in a second, the limit is \
                     10K; victim, confidence low that it scans",
                ],
            ),
            (
                alert(AlertKind::ContactRate, 110, 50),
                [
                    "CONTACT_RATE: 10.0.0.7 contacted 110 new hosts in a second, the limit is 50",
                    "CONTACT_RATE grows: 10.0.0.7 has contacted 220 new hosts in a second, 4 times the limit of 50",
                    "CONTACT_RATE is over after 3 min 32 s: 10.0.0.7 contacted at most 220 new hosts in a second, the \
                     limit is 50",
                ],
            ),
            (
                Alert { source: None, ..alert(AlertKind::Loss, 21_729, 1_000) },
                [
                    "LOSS: this gateway lost 2.1729% of the frames it should have counted in 170 s, the limit is 0.1%; all \
                     counts are too low, and more RingMemory or Workers may help",
                    "LOSS grows: this gateway has lost 4.3458% of the frames it should have counted in 170 s, 43 times the \
                     limit of 0.1%",
                    "LOSS is over after 3 min 32 s: this gateway lost at most 4.3458% of the frames it should have counted \
                     in 170 s, the limit is 0.1%",
                ],
            ),
        ];
        for kind in AlertKind::ALL {
            assert!(cases.iter().any(|(alert, _)| alert.kind == kind), "{kind:?} has a case");
        }
        for (alert, expected) in cases {
            assert_eq!(sentence(&alert, AlertState::Open).to_string(), expected[0]);
            assert_eq!(sentences(alert), expected);
        }
    }

    #[test]
    fn a_sentence_says_how_sure_it_is() {
        let sure = alert(AlertKind::Traffic, 900_000_000, 1_000_000_000);
        let unsure = AlertProgress { is_possible: true, error_bound: 300_000_000, ..sure.progress.clone() };
        let possible = Alert { progress: unsure.clone(), ..sure.clone() };
        let confirmed = Alert {
            measured: 1_100_000_000,
            progress: AlertProgress { last: 1_100_000_000, is_possible: false, ..unsure },
            ..possible.clone()
        };
        let again = Alert {
            measured: 5_000_000_000,
            progress: AlertProgress { last: 1_000_000_001, reopened: 1, ..sure.progress.clone() },
            ..sure
        };
        let loss = KernelCounts { tp_packets: 100, tp_drops: 3, tp_freezes: 0 };
        let closed = Alert { closed_at: Some(possible.opened_at), ..possible.clone() };
        let cases = [
            (
                Notice::Opened(possible),
                "TRAFFIC is possible: 10.0.0.7 sent 900 MB, perhaps up to 1.2 GB, in 170 s, the limit is 1 GB; not \
                 all of it was counted, since MemoryLimit is too low",
            ),
            (
                Notice::Confirmed(confirmed.clone()),
                "TRAFFIC is certain now: 10.0.0.7 sent 1.1 GB, perhaps up to 1.4 GB, in 170 s, the limit is 1 GB",
            ),
            (
                Notice::Closed(closed),
                "possible TRAFFIC is over after 0 s: 10.0.0.7 sent at most 900 MB, perhaps up to 1.2 GB, in 170 s, the \
                 limit is 1 GB",
            ),
            (
                Notice::Opened(again.clone()),
                "TRAFFIC again: 10.0.0.7 sent just over 1 GB in 170 s, the limit is 1 GB",
            ),
            (
                Notice::Opened(Alert { loss, ..again.clone() }),
                "TRAFFIC again: 10.0.0.7 sent just over 1 GB in 170 s, the limit is 1 GB; 3% of all frames were lost, \
                 so it may be more",
            ),
            (
                Notice::Test(sample::traffic()),
                "TEST, nothing happened: 192.0.2.1 sent 1.2 GB in 170 s, the limit is 1 GB",
            ),
        ];
        for (notice, expected) in cases {
            assert_eq!(Sentence::about(&notice, HostDetails::default()).to_string(), expected);
        }
        // Evidence is older than the value that has grown since.
        let scan = evidence(ScanRole::Client, Confidence::Low, "contacted 253 hosts");
        let grown = Alert { scan, ..alert(AlertKind::Scanning, 400, 15) };
        let state = "SCANNING: 10.0.0.7 contacted 253 hosts; client, confidence low that it scans; later 400 hosts in \
                     170 s, the limit is 15";
        assert_eq!(sentence(&grown, AlertState::Open).to_string(), state);
        // The state of an open alert shows its largest value.
        let state = "TRAFFIC again: 10.0.0.7 sent 5 GB in 170 s, the limit is 1 GB";
        assert_eq!(sentence(&again, AlertState::Open).to_string(), state);
    }

    #[test]
    fn upper_bounds_are_rounded_up_and_other_values_cut() {
        let cases = [
            (AlertKind::Traffic, 1_999_999_999, "sent 1.99 GB, perhaps up to 2.01 GB, in 170 s"),
            (AlertKind::PacketRate, 12_399, "sent 12.3K packets in a second, perhaps up to 1.01M,"),
            (AlertKind::Scanning, 9_998, "contacted 9998 hosts, perhaps up to 9999, in 170 s"),
        ];
        for ((kind, value, expected), error_bound) in cases.into_iter().zip([1_000_002, 990_000, 1]) {
            let mut imprecise = alert(kind, value, 1);
            imprecise.progress.error_bound = error_bound;
            let sentence = sentence(&imprecise, AlertState::Open).to_string();
            assert!(sentence.contains(expected), "{sentence}");
        }
    }

    #[test]
    fn a_sentence_names_the_host_and_its_origin() {
        let name = HostDetails { name: Some("a.example"), ..HostDetails::default() };
        let origin = HostDetails { country: Some("NL"), asn: Some(64_500), ..HostDetails::default() };
        let cases = [
            (name, "192.0.2.1 (a.example) sent"),
            (origin, "192.0.2.1 (NL, AS64500) sent"),
            (HostDetails { as_organization: Some("@all"), ..HostDetails::default() }, "192.0.2.1 sent"),
            (HostDetails { name: name.name, ..origin }, "192.0.2.1 (a.example, NL, AS64500) sent"),
        ];
        let opened = Notice::Opened(sample::traffic());
        for (source, who) in cases {
            let sentence = Sentence::about(&opened, source);
            assert_eq!(sentence.to_string(), format!("TRAFFIC: {who} 1.2 GB in 170 s, the limit is 1 GB"));
            assert_eq!(sentence.body().to_string(), format!("{who} 1.2 GB in 170 s, the limit is 1 GB"));
        }
    }

    #[test]
    fn extreme_values_have_a_sentence() {
        let progress =
            AlertProgress { last: u64::MAX, error_bound: 0, reopened: u32::MAX, ..AlertProgress::default() };
        for kind in AlertKind::ALL {
            let source = (kind != AlertKind::Loss).then_some(IpAddr::from([10, 0, 0, 7]));
            for limit in [0, 1, u64::MAX] {
                let extreme = Alert {
                    source,
                    measured: u64::MAX,
                    window: Duration::MAX,
                    closed_at: Some(UnixNanos(u64::MAX)),
                    progress: progress.clone(),
                    ..alert(kind, 1, limit)
                };
                for notice in [Notice::Grown(extreme.clone(), 2), Notice::Closed(extreme)] {
                    let sentence = Sentence::about(&notice, HostDetails::default()).to_string();
                    assert!(sentence.starts_with(kind.name()), "{sentence}");
                }
            }
        }
    }
}
