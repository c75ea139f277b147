//! A whole alert, and a whole notice as JSON, in the form that the state database holds.
//!
//! The ledger and the outbox store them so: a notice that is delivered after a restart says the same as before it, with
//! all evidence. Each text carries the version of its form. The database is untrusted: unknown fields, impossible
//! values and texts that are too long are refused, and one faulty row says nothing about the others.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::notice::Notice;
use super::record::{Alert, AlertKind, AlertProgress};
use super::state_error::{STORED_BYTES_MAX, StateError};
use super::stored_storm::StormForm;
use crate::detect::{Confidence, PORTS_SHOWN, ScanClass, ScanEvidence, ScanRole};
use crate::flow::{ContactTarget, KernelCounts, Outcome, Outcomes, Pace, PeerBytes, PortHosts};
use crate::time::UnixNanos;

/// Version of the form; only one exists so far.
const VERSION: u32 = 1;

/// Maximum number of characters in an id; the ids of this program have at most 31.
const ID_CHARS_MAX: usize = 64;

/// Maximum number of characters in the sentence that explains a scan.
const WHY_CHARS_MAX: usize = 4096;

/// Maximum number of ports of an alert: there are no more port numbers.
const PORTS_MAX: usize = 1 << 16;

/// Maximum number of destinations or targets that are read; an alert has a few tens.
const PEERS_MAX: usize = 1024;

/// Returns the stored form of a notice.
pub(crate) fn notice_to_json(notice: &Notice) -> String {
    let (occasion, multiple) = match notice {
        Notice::Opened(_) => (OccasionForm::Opened, None),
        Notice::Confirmed(_) => (OccasionForm::Confirmed, None),
        Notice::Grown(_, multiple) => (OccasionForm::Grown, Some(*multiple)),
        Notice::Closed(_) => (OccasionForm::Closed, None),
        Notice::Test(_) => (OccasionForm::Test, None),
    };
    text(&StoredNotice { version: VERSION, occasion, multiple, alert: AlertForm::of(notice.alert()) })
}

/// Parses the stored form of a notice.
///
/// # Errors
/// The text has another form or version, or an impossible value.
pub(crate) fn notice_from_json(json: &str) -> Result<Notice, StateError> {
    check_version(json, VERSION)?;
    let StoredNotice { occasion, multiple, alert, .. } = serde_json::from_str(json)?;
    let alert = alert.check()?;
    if alert.closed_at.is_some() != (occasion == OccasionForm::Closed) {
        return Err(StateError::Wrong("an alert that is open and closed"));
    }
    match (occasion, multiple) {
        (OccasionForm::Opened, None) => Ok(Notice::Opened(alert)),
        (OccasionForm::Confirmed, None) => Ok(Notice::Confirmed(alert)),
        (OccasionForm::Grown, Some(multiple)) => Ok(Notice::Grown(alert, multiple)),
        (OccasionForm::Closed, None) => Ok(Notice::Closed(alert)),
        (OccasionForm::Test, None) => Ok(Notice::Test(alert)),
        _ => Err(StateError::Wrong("the multiple of the limit")),
    }
}

fn text(form: &impl Serialize) -> String {
    serde_json::to_string(form).expect("forms are structs of numbers and text with string keys")
}

/// Reads only the version, so that a text of a version after `known` is named as such and not as a fault of its form.
pub(super) fn check_version(json: &str, known: u32) -> Result<(), StateError> {
    #[derive(Deserialize)]
    struct FormVersion {
        version: u32,
    }
    if json.len() > STORED_BYTES_MAX {
        return Err(StateError::TooLong);
    }
    let FormVersion { version: found } = serde_json::from_str(json)?;
    if (1..=known).contains(&found) { Ok(()) } else { Err(StateError::Version { found, known }) }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredNotice {
    version: u32,
    occasion: OccasionForm,
    /// The multiple of the limit that a growth reached; only a growth has it.
    multiple: Option<u64>,
    alert: AlertForm,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OccasionForm {
    Opened,
    Confirmed,
    Grown,
    Closed,
    Test,
}

/// Times and spans are nanoseconds; times count from 1970-01-01 UTC. Field names are part of the form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AlertForm {
    id: String,
    kind: String,
    source: Option<IpAddr>,
    opened_at: u64,
    closed_at: Option<u64>,
    measured: u64,
    limit: u64,
    window: u64,
    ip_bytes: u64,
    destinations: Vec<(IpAddr, u64)>,
    ports: Vec<u16>,
    loss: LossForm,
    scan: Option<ScanForm>,
    progress: ProgressForm,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LossForm {
    packets: u64,
    drops: u64,
    freezes: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProgressForm {
    last: u64,
    exceeded_at: u64,
    reopened: u32,
    is_muted: bool,
    is_possible: bool,
    error: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_displaced: bool,
    /// The id of the storm that the alert is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    storm_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    storm: Option<StormForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScanForm {
    #[serde(with = "RoleForm")]
    role: ScanRole,
    class: Option<ClassForm>,
    #[serde(with = "ConfidenceForm")]
    confidence: Confidence,
    contacted: u32,
    #[serde(with = "OutcomesForm")]
    outcomes: Outcomes,
    answers_visible: bool,
    ports: Vec<PortForm>,
    ports_at_one_host: u32,
    targets: Vec<TargetForm>,
    pace_contacts: u32,
    pace_over: u64,
    why: String,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ScanRole", rename_all = "lowercase")]
enum RoleForm {
    Scanner,
    Client,
    Peer,
    Victim,
    Backscatter,
}

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct ClassForm(#[serde(with = "ScanClassForm")] ScanClass);

#[derive(Serialize, Deserialize)]
#[serde(remote = "ScanClass", rename_all = "lowercase")]
enum ScanClassForm {
    Sweep,
    Vertical,
    Mixed,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Confidence", rename_all = "lowercase")]
enum ConfidenceForm {
    Low,
    Medium,
    High,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Outcomes", deny_unknown_fields)]
struct OutcomesForm {
    answered: u32,
    refused: u32,
    expired: u32,
    silent: u32,
    unseen: u32,
    early: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct PortForm(#[serde(with = "PortHostsForm")] PortHosts);

#[derive(Serialize, Deserialize)]
#[serde(remote = "PortHosts", deny_unknown_fields)]
struct PortHostsForm {
    protocol: u8,
    port: u16,
    #[serde(with = "OutcomesForm")]
    outcomes: Outcomes,
    served: u32,
    traced: u32,
    hosts_in_one_network: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct TargetForm(#[serde(with = "ContactTargetForm")] ContactTarget);

#[derive(Serialize, Deserialize)]
#[serde(remote = "ContactTarget", deny_unknown_fields)]
struct ContactTargetForm {
    addr: IpAddr,
    port: Option<(u8, u16)>,
    #[serde(with = "OutcomeForm")]
    outcome: Outcome,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Outcome", rename_all = "lowercase")]
enum OutcomeForm {
    Answered,
    Refused,
    Expired,
    Silent,
    Unseen,
    Early,
}

impl AlertForm {
    pub(super) fn of(alert: &Alert) -> Self {
        let Alert {
            id,
            kind,
            source,
            opened_at,
            closed_at,
            measured,
            limit,
            window,
            ip_bytes,
            destinations,
            ports,
            loss: KernelCounts { tp_packets, tp_drops, tp_freezes },
            scan,
            progress,
        } = alert;
        let AlertProgress {
            last,
            exceeded_at,
            reopened,
            is_muted,
            is_possible,
            error_bound,
            is_displaced,
            storm_id,
            storm,
        } = progress;
        Self {
            id: id.clone(),
            kind: kind.name().to_owned(),
            source: *source,
            opened_at: opened_at.0,
            closed_at: closed_at.map(|at| at.0),
            measured: *measured,
            limit: *limit,
            window: nanos(*window),
            ip_bytes: *ip_bytes,
            destinations: destinations.iter().map(|peer| (peer.addr, peer.ip_bytes)).collect(),
            ports: ports.clone(),
            loss: LossForm { packets: *tp_packets, drops: *tp_drops, freezes: *tp_freezes },
            scan: scan.as_ref().map(ScanForm::of),
            progress: ProgressForm {
                last: *last,
                exceeded_at: exceeded_at.0,
                reopened: *reopened,
                is_muted: *is_muted,
                is_possible: *is_possible,
                error: *error_bound,
                is_displaced: *is_displaced,
                storm_id: storm_id.as_deref().map(str::to_owned),
                storm: storm.as_deref().map(StormForm::of),
            },
        }
    }

    pub(super) fn check(self) -> Result<Alert, StateError> {
        let kind = AlertKind::named(&self.kind).ok_or(StateError::Wrong("the kind of an alert"))?;
        let ProgressForm {
            last,
            exceeded_at,
            reopened,
            is_muted,
            is_possible,
            error,
            is_displaced,
            storm_id,
            storm,
        } = self.progress;
        if !is_id(&self.id) || storm_id.as_deref().is_some_and(|id| !is_id(id)) {
            return Err(StateError::Wrong("the id of an alert"));
        }
        let has_no_source = kind == AlertKind::Loss || storm.is_some();
        if self.source.is_none() != has_no_source || (storm.is_some() && storm_id.is_some()) {
            return Err(StateError::Wrong("the source of an alert"));
        }
        if self.limit == 0 || self.measured < last || self.measured.checked_add(error).is_none() {
            return Err(StateError::Wrong("the limit or peak of an alert"));
        }
        if self.destinations.len() > PEERS_MAX || self.ports.len() > PORTS_MAX {
            return Err(StateError::Wrong("more destinations or ports than there may be"));
        }
        let LossForm { packets, drops, freezes } = self.loss;
        if drops > packets {
            return Err(StateError::Wrong("more frames lost than there were"));
        }
        let peer = |(addr, ip_bytes)| PeerBytes { addr, ip_bytes };
        Ok(Alert {
            id: self.id,
            kind,
            source: self.source,
            opened_at: UnixNanos(self.opened_at),
            closed_at: self.closed_at.map(UnixNanos),
            measured: self.measured,
            limit: self.limit,
            window: Duration::from_nanos(self.window),
            ip_bytes: self.ip_bytes,
            destinations: self.destinations.into_iter().map(peer).collect(),
            ports: self.ports,
            loss: KernelCounts { tp_packets: packets, tp_drops: drops, tp_freezes: freezes },
            scan: self.scan.map(ScanForm::check).transpose()?,
            progress: AlertProgress {
                last,
                exceeded_at: UnixNanos(exceeded_at),
                reopened,
                is_muted,
                is_possible,
                error_bound: error,
                is_displaced,
                storm_id: storm_id.map(Arc::from),
                storm: storm.map(StormForm::check).transpose()?.map(Arc::new),
            },
        })
    }
}

fn is_id(id: &str) -> bool {
    (1..=ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

impl ScanForm {
    fn of(scan: &ScanEvidence) -> Self {
        let ScanEvidence {
            role,
            class,
            confidence,
            contacted,
            outcomes,
            answers_visible,
            ports,
            ports_at_one_host,
            targets,
            pace: Pace { contacts, over },
            why,
        } = scan;
        Self {
            role: *role,
            class: class.map(ClassForm),
            confidence: *confidence,
            contacted: *contacted,
            outcomes: *outcomes,
            answers_visible: *answers_visible,
            ports: ports.iter().copied().map(PortForm).collect(),
            ports_at_one_host: *ports_at_one_host,
            targets: targets.iter().copied().map(TargetForm).collect(),
            pace_contacts: *contacts,
            pace_over: nanos(*over),
            why: why.clone(),
        }
    }

    fn check(self) -> Result<ScanEvidence, StateError> {
        if self.ports.len() > PORTS_SHOWN || self.targets.len() > PEERS_MAX {
            return Err(StateError::Wrong("more ports or targets of a scan than there may be"));
        }
        let is_possible =
            |port: &PortForm| total(port.0.outcomes).is_some_and(|total| port.0.traced <= total);
        if total(self.outcomes).is_none() || !self.ports.iter().all(is_possible) {
            return Err(StateError::Wrong("the contacts of a scan"));
        }
        if self.why.chars().count() > WHY_CHARS_MAX || self.why.contains(char::is_control) {
            return Err(StateError::Wrong("the explanation of a scan"));
        }
        Ok(ScanEvidence {
            role: self.role,
            class: self.class.map(|class| class.0),
            confidence: self.confidence,
            contacted: self.contacted,
            outcomes: self.outcomes,
            answers_visible: self.answers_visible,
            ports: self.ports.into_iter().map(|port| port.0).collect(),
            ports_at_one_host: self.ports_at_one_host,
            targets: self.targets.into_iter().map(|target| target.0).collect(),
            pace: Pace { contacts: self.pace_contacts, over: Duration::from_nanos(self.pace_over) },
            why: self.why,
        })
    }
}

/// Returns the number of contacts; `None` if it does not fit, which would make [`Outcomes::total`] overflow.
fn total(outcomes: Outcomes) -> Option<u32> {
    let Outcomes { answered, refused, expired, silent, unseen, early } = outcomes;
    [answered, refused, expired, silent, unseen, early].into_iter().try_fold(0_u32, u32::checked_add)
}

/// Returns the span in nanoseconds; at most 584 years, and no window is as long.
fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use crate::alert::persisted_ledger::NUMBERS_MAX;
    use crate::alert::sample;
    use crate::alert::storm::CommonPort;
    use crate::alert::storm::Storm;

    use super::*;

    fn addresses() -> impl Strategy<Value = IpAddr> {
        prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from),]
    }

    fn outcomes() -> impl Strategy<Value = Outcomes> {
        let few = 0_u32..1 << 28;
        [few.clone(), few.clone(), few.clone(), few.clone(), few.clone(), few].prop_map(
            |[answered, refused, expired, silent, unseen, early]| Outcomes {
                answered,
                refused,
                expired,
                silent,
                unseen,
                early,
            },
        )
    }

    fn ports() -> impl Strategy<Value = PortHosts> {
        (any::<(u8, u16)>(), outcomes(), any::<(u32, u32, u32)>()).prop_map(
            |((protocol, port), outcomes, (served, traced, hosts_in_one_network))| PortHosts {
                protocol,
                port,
                outcomes,
                served,
                traced: traced % (outcomes.total() + 1),
                hosts_in_one_network,
            },
        )
    }

    fn targets() -> impl Strategy<Value = ContactTarget> {
        let outcome = prop::sample::select(vec![
            Outcome::Answered,
            Outcome::Refused,
            Outcome::Expired,
            Outcome::Silent,
            Outcome::Unseen,
            Outcome::Early,
        ]);
        (addresses(), any::<Option<(u8, u16)>>(), outcome).prop_map(|(addr, port, outcome)| ContactTarget {
            addr,
            port,
            outcome,
        })
    }

    fn scans() -> impl Strategy<Value = ScanEvidence> {
        let role = prop::sample::select(vec![
            ScanRole::Scanner,
            ScanRole::Client,
            ScanRole::Peer,
            ScanRole::Victim,
            ScanRole::Backscatter,
        ]);
        let class = prop::sample::select(vec![
            None,
            Some(ScanClass::Sweep),
            Some(ScanClass::Vertical),
            Some(ScanClass::Mixed),
        ]);
        let confidence = prop::sample::select(vec![Confidence::Low, Confidence::Medium, Confidence::High]);
        let lists =
            (prop::collection::vec(ports(), 0..=PORTS_SHOWN), prop::collection::vec(targets(), 0..12));
        let values = any::<(u32, u32, u32, u64, bool)>();
        (role, class, confidence, outcomes(), lists, values, "[ -~äß→]{0,80}").prop_map(
            |(role, class, confidence, outcomes, (ports, targets), values, why)| {
                let (contacted, ports_at_one_host, contacts, over, answers_visible) = values;
                let pace = Pace { contacts, over: Duration::from_nanos(over) };
                ScanEvidence {
                    role,
                    class,
                    confidence,
                    contacted,
                    outcomes,
                    answers_visible,
                    ports,
                    ports_at_one_host,
                    targets,
                    pace,
                    why,
                }
            },
        )
    }

    fn storms() -> impl Strategy<Value = Storm> {
        let network = |addr| super::super::storm::network_of(addr);
        let numbers = (1..=NUMBERS_MAX, any::<u64>(), any::<u64>());
        let sample = prop::collection::vec(addresses(), 0..5);
        let options = (proptest::option::of(addresses()), proptest::option::of(addresses()), any::<bool>());
        (numbers, sample, options).prop_map(move |((hosts, said, open), sample, (net, target, is_local))| {
            Storm {
                network: net.map(network),
                target,
                is_local,
                host_limit: target.map(|_| said),
                port: net.map(|_| CommonPort { protocol: 6, port: 445, hosts: open % hosts }),
                hosts,
                said_singly: said % hosts,
                open: open % hosts,
                networks: sample.iter().map(|&addr| (network(addr), 1)).collect(),
                sample,
            }
        })
    }

    /// Returns any alert that the ledger can hold.
    pub(in crate::alert) fn alerts() -> impl Strategy<Value = Alert> {
        let who = (prop::sample::select(AlertKind::ALL.to_vec()), addresses(), "[!-~]{1,31}");
        let times = any::<(u64, u64, u64, u64)>();
        let values = (0..u64::MAX / 2, any::<u64>(), 1..u64::MAX, any::<u64>(), 0..u64::MAX / 2);
        let peers = prop::collection::vec((addresses(), any::<u64>()), 0..30);
        let lists = (peers, prop::collection::vec(any::<u16>(), 0..50), proptest::option::of(scans()));
        let rest = any::<(u32, bool, bool, (u64, u64, u64))>();
        let storm = (any::<bool>(), proptest::option::of("[!-~]{1,31}"), proptest::option::of(storms()));
        (who, times, values, lists, rest, storm).prop_map(|(who, times, values, lists, rest, storm)| {
            let (is_displaced, storm_id, storm) = storm;
            let storm_id = storm_id.filter(|_| storm.is_none()).map(Arc::from);
            let (kind, source, id) = who;
            let (opened_at, window, exceeded_at, _) = times;
            let (measured, last, limit, ip_bytes, error_bound) = values;
            let (peers, ports, scan) = lists;
            let (reopened, is_muted, is_possible, (packets, drops, tp_freezes)) = rest;
            Alert {
                id,
                kind,
                source: (kind != AlertKind::Loss && storm.is_none()).then_some(source),
                opened_at: UnixNanos(opened_at),
                closed_at: None,
                measured,
                limit,
                window: Duration::from_nanos(window),
                ip_bytes,
                destinations: peers
                    .into_iter()
                    .map(|(addr, ip_bytes)| PeerBytes { addr, ip_bytes })
                    .collect(),
                ports,
                loss: KernelCounts { tp_packets: packets, tp_drops: drops.min(packets), tp_freezes },
                scan,
                progress: AlertProgress {
                    last: last.min(measured),
                    exceeded_at: UnixNanos(exceeded_at),
                    reopened,
                    is_muted,
                    is_possible,
                    error_bound,
                    is_displaced,
                    storm_id,
                    storm: storm.map(Arc::new),
                },
            }
        })
    }

    proptest! {
        /// Whatever the ledger says is the same after it was stored, as a notice of each occasion.
        #[test]
        fn what_is_stored_is_read_back(alert in alerts(), closed_at in any::<u64>(), multiple in any::<u64>()) {
            let closed = Alert { closed_at: Some(UnixNanos(closed_at)), ..alert.clone() };
            for notice in [
                Notice::Opened(alert.clone()),
                Notice::Confirmed(alert.clone()),
                Notice::Grown(alert.clone(), multiple),
                Notice::Test(alert),
                Notice::Closed(closed),
            ] {
                let stored = notice_to_json(&notice);
                prop_assert!(stored.len() < STORED_BYTES_MAX);
                prop_assert_eq!(notice_from_json(&stored).ok(), Some(notice));
            }
        }

        /// Any text, and any stored text that was cut or changed, gives a notice or a fault. A notice that was read can
        /// be written, shown and read again.
        #[test]
        fn any_text_is_refused_or_gives_a_valid_notice(
            alert in alerts(),
            noise in "\\PC{0,100}",
            at in any::<prop::sample::Index>(),
            byte in 0x20_u8..0x7f,
        ) {
            prop_assert!(notice_from_json(&noise).is_err());
            let stored = notice_to_json(&Notice::Opened(alert)).into_bytes();
            let at = at.index(stored.len());
            let cut = String::from_utf8_lossy(&stored[..at]).into_owned();
            prop_assert!(notice_from_json(&cut).is_err());
            let mut changed = stored;
            changed[at] = byte;
            if let Ok(notice) = notice_from_json(&String::from_utf8_lossy(&changed)) {
                let again = notice_from_json(&notice_to_json(&notice)).ok();
                prop_assert_eq!(again.as_ref(), Some(&notice));
                let _ = crate::alert::json::text(&notice, crate::enrich::HostDetails::default());
                let _ = crate::alert::Line(&notice).to_string();
            }
        }
    }

    /// A scanner with every field of its evidence.
    fn scanner() -> Notice {
        let outcomes = Outcomes { answered: 1, silent: 5, ..Outcomes::default() };
        let port =
            PortHosts { protocol: 6, port: 22, outcomes, served: 0, traced: 1, hosts_in_one_network: 2 };
        let target =
            ContactTarget { addr: [10, 9, 0, 1].into(), port: Some((6, 22)), outcome: Outcome::Silent };
        let scan = ScanEvidence {
            role: ScanRole::Scanner,
            class: Some(ScanClass::Sweep),
            confidence: Confidence::High,
            contacted: 6,
            outcomes,
            answers_visible: true,
            ports: vec![port],
            ports_at_one_host: 1,
            targets: vec![target],
            pace: Pace { contacts: 6, over: Duration::from_secs(1) },
            why: "swept port 22".to_owned(),
        };
        Notice::Opened(Alert { scan: Some(scan), ports: vec![22], ..sample::traffic() })
    }

    /// The form is that of rows that earlier versions wrote: a change of it needs another version.
    #[test]
    fn the_form_is_fixed() {
        let want = r#"{"version":1,"occasion":"opened","multiple":null,"alert":{"id":"test-1790000000","kind":"TRAFFIC","source":"192.0.2.1","opened_at":1790000000000000000,"closed_at":null,"measured":1200000000,"limit":1000000000,"window":170000000000,"ip_bytes":1200000000,"destinations":[["198.51.100.1",1200000000]],"ports":[22],"loss":{"packets":0,"drops":0,"freezes":0},"scan":{"role":"scanner","class":"sweep","confidence":"high","contacted":6,"outcomes":{"answered":1,"refused":0,"expired":0,"silent":5,"unseen":0,"early":0},"answers_visible":true,"ports":[{"protocol":6,"port":22,"outcomes":{"answered":1,"refused":0,"expired":0,"silent":5,"unseen":0,"early":0},"served":0,"traced":1,"hosts_in_one_network":2}],"ports_at_one_host":1,"targets":[{"addr":"10.9.0.1","port":[6,22],"outcome":"silent"}],"pace_contacts":6,"pace_over":1000000000,"why":"swept port 22"},"progress":{"last":1200000000,"exceeded_at":1790000000000000000,"reopened":0,"is_muted":false,"is_possible":false,"error":0}}}"#;
        assert_eq!(notice_to_json(&scanner()), want);
        assert_eq!(notice_from_json(want).ok(), Some(scanner()));
    }

    #[test]
    fn a_storm_with_impossible_numbers_is_refused() {
        let storm = Storm {
            hosts: 50,
            said_singly: 20,
            open: 40,
            networks: vec![("192.0.2.0/24".parse().expect("a network"), 30)],
            port: Some(CommonPort { protocol: 6, port: 445, hosts: 45 }),
            ..Storm::default()
        };
        let progress = AlertProgress { storm: Some(Arc::new(storm)), ..AlertProgress::default() };
        let json = notice_to_json(&Notice::Opened(Alert { source: None, progress, ..sample::traffic() }));
        assert!(notice_from_json(&json).is_ok());
        let cases = [
            (r#""hosts":50"#, r#""hosts":0"#),
            (r#""hosts":50"#, r#""hosts":29"#),
            (r#""hosts":50"#, r#""hosts":18446744073709551615"#),
            (r#""said_singly":20"#, r#""said_singly":51"#),
            (r#""open":40"#, r#""open":51"#),
            (r#"["192.0.2.0/24",30]"#, r#"["192.0.2.0/24",51]"#),
            ("[6,445,45]", "[6,445,51]"),
        ];
        for (from, to) in cases {
            assert!(json.contains(from), "{from}: {json}");
            let fault = notice_from_json(&json.replacen(from, to, 1)).expect_err(to).to_string();
            assert!(fault.contains("the number of hosts of a storm"), "{to}: {fault}");
        }
    }

    #[test]
    fn a_text_with_one_fault_is_refused() {
        let json = notice_to_json(&scanner());
        let long = format!("swept {}", "x".repeat(WHY_CHARS_MAX));
        let cases = [
            (r#""version":1"#, r#""version":2"#, "its version is 2"),
            (r#""version":1"#, r#""version":1,"more":1"#, "unknown field"),
            (r#""id""#, r#""more":1,"id""#, "unknown field"),
            (r#""served":0"#, r#""served":0,"more":1"#, "unknown field"),
            (r#""occasion":"opened""#, r#""occasion":"closed""#, "open and closed"),
            (r#""occasion":"opened""#, r#""occasion":"ended""#, "not of this form"),
            (r#""closed_at":null"#, r#""closed_at":5"#, "open and closed"),
            (r#""multiple":null"#, r#""multiple":2"#, "the multiple"),
            (r#""occasion":"opened""#, r#""occasion":"grown""#, "the multiple"),
            ("TRAFFIC", "SPAM", "the kind of an alert"),
            ("TRAFFIC", "LOSS", "the source of an alert"),
            ("test-1790000000", "", "the id of an alert"),
            ("test-1790000000", "a b", "the id of an alert"),
            (r#""192.0.2.1""#, "null", "the source of an alert"),
            (r#""192.0.2.1""#, r#""192.0.2.999""#, "not of this form"),
            (r#""limit":1000000000"#, r#""limit":0"#, "the limit or peak"),
            (r#""measured":1200000000"#, r#""measured":7"#, "the limit or peak"),
            (r#""error":0"#, r#""error":18446744073709551615"#, "the limit or peak"),
            (r#""drops":0"#, r#""drops":1"#, "more frames lost"),
            (r#""traced":1"#, r#""traced":7"#, "the contacts of a scan"),
            (r#""answered":1"#, r#""answered":4294967295"#, "the contacts of a scan"),
            ("swept port 22", "swept\\nEVENT=", "the explanation of a scan"),
            ("swept port 22", &long, "the explanation of a scan"),
            (r#""scanner""#, r#""cook""#, "not of this form"),
        ];
        for (from, to, why) in cases {
            assert!(json.contains(from), "{from}");
            let fault = notice_from_json(&json.replacen(from, to, 1)).expect_err(to).to_string();
            assert!(fault.contains(why), "{to}: {fault}");
        }
        let fault = notice_from_json(&" ".repeat(STORED_BYTES_MAX + 1)).expect_err("it is too long");
        assert!(matches!(fault, StateError::TooLong), "{fault}");
    }
}
