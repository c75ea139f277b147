//! The rows of the ledger in the state database: how alerts and mutes become rows, and which rows are believed.
//!
//! The database is untrusted. A row with one fault is refused, and the others are used. Refused rows are removed from
//! the database with the next change, so that the log says it once.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::mute::MUTES_MAX;
use super::persisted_ledger::{NUMBERS_MAX, PersistedAlert, PersistedLedger, PersistedStorm, SavedMute};
use super::record::{Alert, AlertKey, OPEN_ALERTS_MAX};
use super::state_error::StateError;
use super::stored_alert::{AlertForm, check_version};
use super::stored_storm::StormProgressForm;
use super::storm::StormProgress;
use super::storms::STORMS_MAX;
use crate::alert::mute::Mute;
use crate::store::{AlertRow, MuteRow, Numbers, Restored};

/// Version of the forms of alerts of hosts and of mutes.
const VERSION: u32 = 1;

/// Version of the form of a storm, which has `storm` from 2 on. Rows of version 1, which lack it, are read as well.
const STORM_VERSION: u32 = 2;

/// An alert of the ledger. Field names are part of the form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LedgerAlertForm {
    version: u32,
    /// Largest multiple of the limit reached; growth up to it causes no notice.
    multiple_reached: u64,
    is_notified: bool,
    is_notified_as_possible: bool,
    alert: AlertForm,
    /// What a storm needs to go on; alerts of hosts lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    storm: Option<StormProgressForm>,
}

/// A mute of the ledger.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LedgerMuteForm {
    version: u32,
    mute: SavedMute,
}

/// Returns the row of an open alert, or of one that may open again.
pub(super) fn alert_row(
    alert: &Alert,
    multiple_reached: u64,
    is_notified: bool,
    is_notified_as_possible: bool,
) -> AlertRow {
    let alert_form = AlertForm::of(alert);
    let form = LedgerAlertForm {
        version: VERSION,
        multiple_reached,
        is_notified,
        is_notified_as_possible,
        alert: alert_form,
        storm: None,
    };
    AlertRow { id: alert.id.clone(), body: text(&form) }
}

/// Returns the row of an open storm.
pub(super) fn storm_row(alert: &Alert, progress: StormProgress) -> AlertRow {
    let form = LedgerAlertForm {
        version: STORM_VERSION,
        multiple_reached: 1,
        is_notified: true,
        is_notified_as_possible: false,
        alert: AlertForm::of(alert),
        storm: Some(StormProgressForm::of(progress)),
    };
    AlertRow { id: alert.id.clone(), body: text(&form) }
}

/// Returns the row of a mute.
pub(super) fn mute_row(mute: &Mute) -> MuteRow {
    MuteRow { id: mute.id, body: text(&LedgerMuteForm { version: VERSION, mute: SavedMute::of(mute) }) }
}

fn text(form: &impl Serialize) -> String {
    serde_json::to_string(form).expect("forms are structs of numbers and text with string keys")
}

impl PersistedLedger {
    /// Reads the rows that an earlier process left. Rows that cannot be true are logged and left out.
    pub fn from_rows(restored: &Restored) -> Self {
        let mut ledger = Self::default();
        let Numbers { opened, last_mute, .. } = restored.numbers.unwrap_or_default();
        (ledger.opened, ledger.last_mute) = (opened.min(NUMBERS_MAX), last_mute.min(NUMBERS_MAX));
        let mut keys = BTreeSet::new();
        let mut first_fault = None;
        for row in &restored.alerts {
            if let Err(fault) = row_of(row).and_then(|row| ledger.add_row(row, &mut keys)) {
                ledger.refused_alerts.push(row.id.clone());
                first_fault.get_or_insert(format!("alert {}: {fault}", row.id));
            }
        }
        for row in &restored.mutes {
            let checked = match ledger.mutes.len() {
                0..MUTES_MAX => mute_of(row),
                _ => Err(StateError::Wrong("more mutes than there may be")),
            };
            match checked {
                Ok(mute) => ledger.mutes.push(mute),
                Err(fault) => {
                    ledger.refused_mutes.push(row.id);
                    first_fault.get_or_insert(format!("mute {}: {fault}", row.id));
                }
            }
        }
        if let Some(first) = first_fault {
            warn!(
                "{} alerts and {} mutes of the state are of no use and are left out; the first is {first}",
                ledger.refused_alerts.len(),
                ledger.refused_mutes.len()
            );
        }
        ledger
    }

    /// Adds an alert or a storm, unless there are too many or one of its host and kind is there.
    fn add_row(&mut self, row: CheckedRow, keys: &mut BTreeSet<AlertKey>) -> Result<(), StateError> {
        let known = match row {
            CheckedRow::Storm(storm) if storm.alert.closed_at.is_none() && self.storms.len() < STORMS_MAX => {
                self.storms.push(storm);
                return Ok(());
            }
            CheckedRow::Storm(_) => {
                return Err(StateError::Wrong("a storm that is closed, or more than there may be"));
            }
            CheckedRow::Alert(known) => known,
        };
        let (key, is_open) = ((known.alert.source, known.alert.kind), known.alert.closed_at.is_none());
        let same = if is_open { self.open.len() } else { self.closed.len() };
        // An alert about lost frames takes no place.
        if same >= OPEN_ALERTS_MAX + usize::from(key.0.is_none()) {
            return Err(StateError::Wrong("more alerts than there may be"));
        }
        if !keys.insert(key) {
            return Err(StateError::Wrong("an alert that is there twice"));
        }
        if is_open {
            self.open.push(known);
        } else {
            self.closed.push(known.alert);
        }
        Ok(())
    }
}

/// What a row of an alert stands for.
enum CheckedRow {
    Alert(PersistedAlert),
    Storm(PersistedStorm),
}

fn row_of(row: &AlertRow) -> Result<CheckedRow, StateError> {
    check_version(&row.body, STORM_VERSION)?;
    let form: LedgerAlertForm = serde_json::from_str(&row.body)?;
    if form.storm.is_some() != (form.version == STORM_VERSION) {
        return Err(StateError::Version { found: form.version, known: VERSION });
    }
    let mut alert = form.alert.check()?;
    if alert.id != row.id {
        return Err(StateError::Wrong("the id of an alert"));
    }
    if form.is_notified_as_possible && !form.is_notified {
        return Err(StateError::Wrong("what was said of an alert"));
    }
    // This is derived from the mutes.
    alert.progress.is_muted = false;
    if let Some(storm) = alert.progress.storm.clone() {
        let progress = match form.storm {
            Some(progress) => progress.check(&storm)?,
            None => StormProgress::of_alert_alone(&storm, alert.progress.exceeded_at),
        };
        return Ok(CheckedRow::Storm(PersistedStorm { alert, progress }));
    }
    if form.storm.is_some() {
        return Err(StateError::Wrong("an alert of a host that is a storm"));
    }
    Ok(CheckedRow::Alert(PersistedAlert {
        alert,
        multiple_reached: form.multiple_reached,
        is_notified: form.is_notified,
        is_notified_as_possible: form.is_notified_as_possible,
        has_evidence: true,
    }))
}

fn mute_of(row: &MuteRow) -> Result<Mute, StateError> {
    check_version(&row.body, VERSION)?;
    let form: LedgerMuteForm = serde_json::from_str(&row.body)?;
    let mute = form.mute.check().map_err(|_| StateError::Wrong("the mute"))?;
    if mute.id != row.id {
        return Err(StateError::Wrong("the number of a mute"));
    }
    Ok(mute)
}
