//! The part of the ledger that outlives the process, and the form that earlier versions saved it in: one JSON object in
//! a file, which is read once and taken over into the database.
//!
//! The file is untrusted: every value in it is checked, and a file with one fault is not used at all. It has no
//! evidence; an alert that stays open gathers it again.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::mute::{MUTES_MAX, Mute, is_reason};
use super::record::{Alert, AlertKind, AlertProgress, OPEN_ALERTS_MAX};
use super::state_error::StateError;
use super::storm::StormProgress;
use crate::flow::KernelCounts;
use crate::time::UnixNanos;

/// Version of the form; only one exists so far.
const VERSION: u32 = 1;

/// Maximum number of characters in an id; the ids of this program have at most 31.
const ID_CHARS_MAX: usize = 64;

/// Maximum number of alerts or mutes that were ever made. The numbers after it must suffice for new ones, whose ids
/// would not be unique otherwise.
pub(super) const NUMBERS_MAX: u64 = u64::MAX / 4;

/// The bits of the first number of a process that knows no earlier one.
const RANDOM_NUMBER_MASK: u64 = (1 << 32) - 1;

/// The state of a ledger that outlives the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersistedLedger {
    /// Number of alerts that ever opened under a new id; the next id contains the next number.
    pub(super) opened: u64,
    /// The number of the last mute that was made; 0 before the first.
    pub(super) last_mute: u64,
    /// Open alerts.
    pub(super) open: Vec<PersistedAlert>,
    /// Alerts that closed within the cooldown and may open again.
    pub(super) closed: Vec<Alert>,
    /// Mutes in force.
    pub(super) mutes: Vec<Mute>,
    /// Open storms. Their alerts are in `open`, with the id of the storm.
    pub(super) storms: Vec<PersistedStorm>,
    /// Alerts of a state file of earlier versions, which have no row: their ids.
    pub(super) taken_over: Vec<String>,
    /// Ids of alerts in the database that are of no use.
    pub(super) refused_alerts: Vec<String>,
    /// Numbers of mutes in the database that are of no use.
    pub(super) refused_mutes: Vec<u64>,
}

/// An open alert, and which of its notices were queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PersistedAlert {
    pub(super) alert: Alert,
    /// Largest multiple of the limit reached, notified or not; growth up to it causes no notice.
    pub(super) multiple_reached: u64,
    pub(super) is_notified: bool,
    pub(super) is_notified_as_possible: bool,
    /// False if the evidence was not saved and has to be gathered again.
    pub(super) has_evidence: bool,
}

/// An open storm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PersistedStorm {
    pub(super) alert: Alert,
    pub(super) progress: StormProgress,
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

// `expecting` keeps the words of the messages about a file that is not of this form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "struct View")]
struct SavedState {
    version: u32,
    opened: u64,
    last_mute: u64,
    open: Vec<SavedAlert>,
    closed: Vec<SavedAlert>,
    mutes: Vec<SavedMute>,
}

/// Times are nanoseconds since 1970-01-01 UTC. Field names are part of the form of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "struct AlertView")]
struct SavedAlert {
    id: String,
    kind: String,
    source: Option<IpAddr>,
    opened_at: u64,
    closed_at: Option<u64>,
    measured: u64,
    limit: u64,
    ip_bytes: u64,
    last: u64,
    exceeded_at: u64,
    reopened: u32,
    #[serde(rename = "times_said")]
    multiple_reached: u64,
    #[serde(rename = "is_said")]
    is_notified: bool,
    /// Some versions saved the window, which is that of the configuration.
    #[serde(rename = "window_s", default, skip_serializing)]
    _window_s: Option<IgnoredAny>,
    // These fields are left out if they have their defaults, so that earlier versions of the program, which do not have
    // them, can read a file about alerts that are certain. A file without them is read as well.
    #[serde(default, skip_serializing_if = "is_zero")]
    error: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_possible: bool,
    #[serde(rename = "is_said_as_possible", default, skip_serializing_if = "std::ops::Not::not")]
    is_notified_as_possible: bool,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "struct MuteView")]
pub(super) struct SavedMute {
    id: u64,
    source: String,
    kind: Option<String>,
    made_at: u64,
    until: u64,
    reason: String,
}

impl PersistedLedger {
    /// Returns the ledger of a process that restores nothing.
    pub fn new() -> Self {
        let mut ledger = Self::default();
        ledger.begin_numbers();
        ledger
    }

    /// Lets the ids of alerts begin at a random number if no earlier number is known, so that no id is used twice
    /// although a database was lost and the clock went back.
    pub fn begin_numbers(&mut self) {
        if self.opened == 0 {
            // Hashers of the standard library begin with random keys.
            self.opened = RandomState::new().build_hasher().finish() & RANDOM_NUMBER_MASK;
        }
    }

    /// Returns true if no row was refused.
    #[cfg(any(test, fuzzing))]
    pub(super) fn are_all_used(&self) -> bool {
        self.refused_alerts.is_empty() && self.refused_mutes.is_empty()
    }

    /// Returns in words how much there is of what: alerts, storms, and the mutes that are still in force at `now`.
    pub fn summary(&self, now: UnixNanos) -> String {
        let mutes = self.mutes.iter().filter(|mute| mute.until > now).count();
        format!(
            "{} open alerts, {} storms, {} alerts that may open again, {mutes} mutes",
            self.open.len(),
            self.storms.len(),
            self.closed.len()
        )
    }

    /// Removes the addresses of peers from all alerts.
    pub(crate) fn hide_destinations(&mut self) {
        let open = self.open.iter_mut().map(|known| &mut known.alert);
        let storms = self.storms.iter_mut().map(|storm| &mut storm.alert);
        open.chain(&mut self.closed).chain(storms).for_each(Alert::hide_destinations);
    }

    /// Adds the alerts and mutes of a state file. What is known already stays as it is.
    pub fn take_over(&mut self, earlier: PersistedLedger) {
        let known = self.open.iter().map(|known| &known.alert).chain(&self.closed);
        let known: Vec<_> = known.map(|alert| (alert.id.clone(), (alert.source, alert.kind))).collect();
        let (ids, keys): (BTreeSet<_>, BTreeSet<_>) = known.into_iter().unzip();
        let is_new = |alert: &Alert| !ids.contains(&alert.id) && !keys.contains(&(alert.source, alert.kind));
        let open: Vec<_> = earlier.open.into_iter().filter(|known| is_new(&known.alert)).collect();
        let closed: Vec<_> = earlier.closed.into_iter().filter(is_new).collect();
        self.taken_over
            .extend(open.iter().map(|known| &known.alert).chain(&closed).map(|alert| alert.id.clone()));
        self.open.extend(open);
        self.closed.extend(closed);
        let mutes: BTreeSet<u64> = self.mutes.iter().map(|mute| mute.id).collect();
        self.mutes.extend(earlier.mutes.into_iter().filter(|mute| !mutes.contains(&mute.id)));
        self.opened = self.opened.max(earlier.opened);
        self.last_mute = self.last_mute.max(earlier.last_mute);
    }

    /// Returns the content of the file.
    #[cfg(test)]
    pub(super) fn to_json(&self) -> Vec<u8> {
        let open = |known: &PersistedAlert| SavedAlert {
            is_notified_as_possible: known.is_notified_as_possible,
            ..SavedAlert::of(&known.alert, known.multiple_reached, known.is_notified)
        };
        let view = SavedState {
            version: VERSION,
            opened: self.opened,
            last_mute: self.last_mute,
            open: self.open.iter().map(open).collect(),
            // The last two fields of a closed alert are not read; the form requires them.
            closed: self.closed.iter().map(|alert| SavedAlert::of(alert, 1, true)).collect(),
            mutes: self.mutes.iter().map(SavedMute::of).collect(),
        };
        serde_json::to_vec(&view).expect("views are structs of numbers and text with string keys")
    }

    /// Parses the content of the file.
    ///
    /// # Errors
    /// The content has another form or version, or an impossible value.
    pub fn from_json(json: &[u8]) -> Result<Self, StateError> {
        let Versioned { version: found } = serde_json::from_slice(json)?;
        if found != VERSION {
            return Err(StateError::Version { found, known: VERSION });
        }
        let SavedState { opened, last_mute, open, closed, mutes, .. } = serde_json::from_slice(json)?;
        if opened.max(last_mute) > NUMBERS_MAX {
            return Err(StateError::Wrong("the number of alerts or mutes"));
        }
        if open.len() > OPEN_ALERTS_MAX || closed.len() > OPEN_ALERTS_MAX || mutes.len() > MUTES_MAX {
            return Err(StateError::Wrong("more alerts or mutes than there may be"));
        }
        let mut keys = BTreeSet::new();
        let mut ids = BTreeSet::new();
        let mut check = |view: SavedAlert, is_open: bool| {
            let known = view.check()?;
            if known.alert.closed_at.is_none() != is_open {
                return Err(StateError::Wrong("an alert that is open and closed"));
            }
            let is_new = keys.insert((known.alert.source, known.alert.kind));
            if !is_new || !ids.insert(known.alert.id.clone()) {
                return Err(StateError::Wrong("an alert that is there twice"));
            }
            Ok(known)
        };
        let open = open.into_iter().map(|view| check(view, true)).collect::<Result<_, _>>()?;
        let closed = closed.into_iter().map(|view| check(view, false).map(|known| known.alert));
        let closed = closed.collect::<Result<_, _>>()?;
        let mutes: Vec<Mute> = mutes.into_iter().map(SavedMute::check).collect::<Result<_, _>>()?;
        let numbers: BTreeSet<u64> = mutes.iter().map(|mute| mute.id).collect();
        if numbers.len() < mutes.len() || numbers.last().is_some_and(|&id| id > last_mute) {
            return Err(StateError::Wrong("the numbers of mutes"));
        }
        Ok(Self { opened, last_mute, open, closed, mutes, ..Self::default() })
    }
}

impl SavedAlert {
    #[cfg(test)]
    fn of(alert: &Alert, multiple_reached: u64, is_notified: bool) -> Self {
        Self {
            id: alert.id.clone(),
            kind: alert.kind.name().to_owned(),
            source: alert.source,
            opened_at: alert.opened_at.0,
            closed_at: alert.closed_at.map(|at| at.0),
            measured: alert.measured,
            limit: alert.limit,
            ip_bytes: alert.ip_bytes,
            last: alert.progress.last,
            exceeded_at: alert.progress.exceeded_at.0,
            reopened: alert.progress.reopened,
            multiple_reached,
            is_notified,
            _window_s: None,
            error: alert.progress.error_bound,
            is_possible: alert.progress.is_possible,
            is_notified_as_possible: false,
        }
    }

    fn check(self) -> Result<PersistedAlert, StateError> {
        let kind = AlertKind::named(&self.kind).ok_or(StateError::Wrong("the kind of an alert"))?;
        if !is_id(&self.id) {
            return Err(StateError::Wrong("the id of an alert"));
        }
        if self.source.is_none() != (kind == AlertKind::Loss) {
            return Err(StateError::Wrong("the source of an alert"));
        }
        if self.limit == 0 || self.measured < self.last || self.measured.checked_add(self.error).is_none() {
            return Err(StateError::Wrong("the limit or peak of an alert"));
        }
        if self.is_notified_as_possible && !self.is_notified {
            return Err(StateError::Wrong("what was said of an alert"));
        }
        let progress = AlertProgress {
            last: self.last,
            exceeded_at: UnixNanos(self.exceeded_at),
            reopened: self.reopened,
            is_muted: false,
            is_possible: self.is_possible,
            error_bound: self.error,
            ..AlertProgress::default()
        };
        let alert = Alert {
            id: self.id,
            kind,
            source: self.source,
            opened_at: UnixNanos(self.opened_at),
            closed_at: self.closed_at.map(UnixNanos),
            measured: self.measured,
            limit: self.limit,
            // The ledger knows the windows of the configuration.
            window: Duration::ZERO,
            ip_bytes: self.ip_bytes,
            destinations: Vec::new(),
            scan: None,
            ports: Vec::new(),
            loss: KernelCounts::default(),
            progress,
        };
        Ok(PersistedAlert {
            alert,
            multiple_reached: self.multiple_reached,
            is_notified: self.is_notified,
            is_notified_as_possible: self.is_notified_as_possible,
            has_evidence: false,
        })
    }
}

/// Returns true if the text can be the id of an alert.
fn is_id(text: &str) -> bool {
    (1..=ID_CHARS_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

impl SavedMute {
    pub(super) fn of(mute: &Mute) -> Self {
        Self {
            id: mute.id,
            source: mute.source.to_string(),
            kind: mute.kind.map(|kind| kind.name().to_owned()),
            made_at: mute.made_at.0,
            until: mute.until.0,
            reason: mute.reason.clone(),
        }
    }

    pub(super) fn check(self) -> Result<Mute, StateError> {
        let kind = match self.kind.as_deref().map(AlertKind::named) {
            None => None,
            Some(Some(kind)) => Some(kind),
            Some(None) => return Err(StateError::Wrong("the kind of a mute")),
        };
        let source: IpNet = self.source.parse().map_err(|_| StateError::Wrong("the source of a mute"))?;
        if source.trunc() != source {
            return Err(StateError::Wrong("the source of a mute"));
        }
        if !is_reason(&self.reason) {
            return Err(StateError::Wrong("the reason of a mute"));
        }
        if self.until < self.made_at {
            return Err(StateError::Wrong("a mute that ends before it was made"));
        }
        let (made_at, until) = (UnixNanos(self.made_at), UnixNanos(self.until));
        Ok(Mute { id: self.id, source, kind, made_at, until, reason: self.reason })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::alert) fn sample() -> PersistedLedger {
        let alert = |id: &str, kind: AlertKind, source: Option<[u8; 4]>| Alert {
            id: id.to_owned(),
            kind,
            source: source.map(IpAddr::from),
            opened_at: UnixNanos(1_790_000_000_000_000_001),
            closed_at: None,
            measured: 300,
            limit: 100,
            window: Duration::ZERO,
            ip_bytes: 300,
            destinations: Vec::new(),
            scan: None,
            ports: Vec::new(),
            loss: KernelCounts::default(),
            progress: AlertProgress {
                last: 200,
                exceeded_at: UnixNanos(7),
                reopened: 1,
                ..AlertProgress::default()
            },
        };
        let open = PersistedAlert {
            alert: alert("1790000000-1", AlertKind::Traffic, Some([10, 0, 0, 1])),
            multiple_reached: 2,
            is_notified: true,
            is_notified_as_possible: false,
            has_evidence: false,
        };
        let loss = PersistedAlert {
            alert: alert("1790000000-2", AlertKind::Loss, None),
            multiple_reached: 1,
            is_notified: true,
            is_notified_as_possible: false,
            has_evidence: false,
        };
        let received = alert("1790000000-4", AlertKind::Received, Some([10, 0, 0, 1]));
        let possible = PersistedAlert {
            alert: Alert {
                measured: 80,
                progress: AlertProgress { last: 80, is_possible: true, error_bound: 50, ..received.progress },
                ..received
            },
            multiple_reached: 1,
            is_notified: true,
            is_notified_as_possible: true,
            has_evidence: false,
        };
        let closed = Alert {
            closed_at: Some(UnixNanos(9)),
            ..alert("1790000000-3", AlertKind::Scanning, Some([10, 0, 0, 1]))
        };
        let mute = Mute {
            id: 4,
            source: "10.0.0.0/24".parse().expect("a network"),
            kind: Some(AlertKind::Received),
            made_at: UnixNanos(1),
            until: UnixNanos(2),
            reason: "the backup".to_owned(),
        };
        PersistedLedger {
            opened: 4,
            last_mute: 4,
            open: vec![open, loss, possible],
            closed: vec![closed],
            mutes: vec![mute],
            ..PersistedLedger::default()
        }
    }

    #[test]
    fn a_ledger_that_is_written_is_read_back() {
        for persisted in [PersistedLedger::default(), sample()] {
            assert_eq!(PersistedLedger::from_json(&persisted.to_json()).ok(), Some(persisted));
        }
    }

    /// An alert that is certain and has no error bound has the form of earlier versions.
    #[test]
    fn files_of_earlier_versions_are_read() {
        let mut persisted = sample();
        persisted.open.retain(|known| !known.alert.progress.is_possible);
        let json = String::from_utf8(persisted.to_json()).expect("JSON is text");
        assert!(json.contains(r#""times_said":2,"is_said":true}"#) && !json.contains("possible"), "{json}");
        assert!(!json.contains("window"), "{json}");
        assert_eq!(PersistedLedger::from_json(json.as_bytes()).ok(), Some(persisted));
    }

    #[test]
    fn the_summary_counts_the_mutes_in_force() {
        for (now, mutes) in [(1, 1), (2, 0)] {
            let expected = format!("3 open alerts, 0 storms, 1 alerts that may open again, {mutes} mutes");
            assert_eq!(sample().summary(UnixNanos(now)), expected);
        }
    }

    #[test]
    fn what_is_taken_over_replaces_nothing_that_is_known() {
        let json = String::from_utf8(sample().to_json()).expect("JSON is text");
        let json = json.replacen("\"is_said\":true", "\"is_said\":true,\"window_s\":300", 1);
        let earlier = || PersistedLedger::from_json(json.as_bytes()).expect("earlier versions wrote it");
        let mut ledger = PersistedLedger::default();
        ledger.take_over(earlier());
        assert_eq!(std::mem::take(&mut ledger.taken_over).len(), 4, "they have no row");
        assert_eq!(ledger, sample());
        ledger.open.remove(0);
        ledger.open[0].alert.measured = 400;
        ledger.mutes[0].reason = "known".to_owned();
        ledger.opened = 9;
        ledger.take_over(earlier());
        let of = |id: &str| ledger.open.iter().find(|known| known.alert.id == id);
        assert_eq!((ledger.open.len(), ledger.closed.len(), ledger.mutes.len()), (3, 1, 1));
        assert_eq!(of("1790000000-2").map(|known| known.alert.measured), Some(400));
        assert_eq!((ledger.mutes[0].reason.as_str(), ledger.opened), ("known", 9));
        ledger.begin_numbers();
        assert_eq!(ledger.opened, 9, "numbers go on");
    }

    #[test]
    fn a_file_with_one_fault_is_refused() {
        let json = String::from_utf8(sample().to_json()).expect("JSON is text");
        let cases = [
            (r#""version":1"#, r#""version":2"#, "its version is 2"),
            (r#""opened":4"#, r#""opened":-3"#, "not of this form"),
            (r#""opened":4"#, r#""opened":4,"more":1"#, "unknown field"),
            (r#""kind":"TRAFFIC""#, r#""kind":"SPAM""#, "the kind of an alert"),
            ("1790000000-1", "", "the id of an alert"),
            ("1790000000-1", "a b", "the id of an alert"),
            ("1790000000-1", "1790000000-2", "there twice"),
            (r#""source":"10.0.0.1""#, r#""source":null"#, "the source of an alert"),
            (r#""source":"10.0.0.1""#, r#""source":"10.0.0.999""#, "not of this form"),
            (r#""closed_at":null"#, r#""closed_at":5"#, "open and closed"),
            (r#""closed_at":9"#, r#""closed_at":null"#, "open and closed"),
            (r#""limit":100"#, r#""limit":0"#, "the limit or peak"),
            (r#""measured":300"#, r#""measured":199"#, "the limit or peak"),
            (r#""error":50"#, r#""error":18446744073709551615"#, "the limit or peak"),
            (r#""is_said":true,"error""#, r#""is_said":false,"error""#, "what was said"),
            ("10.0.0.0/24", "10.0.0.1/24", "the source of a mute"),
            ("the backup", "the\\nbackup", "the reason of a mute"),
            (r#""last_mute":4"#, r#""last_mute":3"#, "the numbers of mutes"),
            (r#""last_mute":4"#, r#""last_mute":18446744073709551615"#, "the number of alerts or mutes"),
            (r#""opened":4"#, r#""opened":18446744073709551615"#, "the number of alerts or mutes"),
            (r#""opened":4"#, r#""opened":18446744073709551616"#, "not of this form"),
            (r#""made_at":1,"until":2"#, r#""made_at":2,"until":1"#, "ends before it was made"),
            (r#""made_at":1,"until":2"#, r#""made_at":-1,"until":2"#, "not of this form"),
            (r#""made_at":1,"until":2"#, r#""made_at":1,"until":1e300"#, "not of this form"),
            (r#"{"version""#, r#"[{"version""#, "not of this form"),
        ];
        for (from, to, why) in cases {
            assert!(json.contains(from), "{from}");
            let fault =
                PersistedLedger::from_json(json.replacen(from, to, 1).as_bytes()).expect_err(to).to_string();
            assert!(fault.contains(why), "{to}: {fault}");
        }
    }

    proptest! {
        /// Any bytes, and any file that was cut or changed, give a ledger or an error. A ledger that was read can be
        /// written and read again.
        #[test]
        fn any_bytes_are_refused_or_give_a_valid_ledger(
            noise in prop::collection::vec(any::<u8>(), 0..200),
            at in 0usize..1200,
            byte in any::<u8>(),
            cut in 0usize..1200,
        ) {
            prop_assert!(PersistedLedger::from_json(&noise).is_err());
            let mut json = sample().to_json();
            let (at, cut) = (at % json.len(), cut % json.len());
            prop_assert!(PersistedLedger::from_json(&json[..cut]).is_err());
            json[at] = byte;
            if let Ok(persisted) = PersistedLedger::from_json(&json) {
                prop_assert_eq!(PersistedLedger::from_json(&persisted.to_json()).ok(), Some(persisted));
            }
        }
    }
}
