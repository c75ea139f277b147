//! The rows of the ledger in the state database: how alerts and mutes become rows, and which rows are believed.
//!
//! The database is untrusted. A row with one fault is refused, and the others are used. Refused rows are removed from
//! the database with the next change, so that the log says it once.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::mute::MUTES_MAX;
use super::persisted_ledger::{NUMBERS_MAX, PersistedAlert, PersistedLedger, SavedMute};
use super::record::{Alert, OPEN_ALERTS_MAX};
use super::stored_alert::{AlertForm, StoredFault, check_version};
use super::storms::STORMS_MAX;
use crate::alert::mute::Mute;
use crate::store::{AlertRow, MuteRow, Numbers, Restored};

/// Version of the forms.
const VERSION: u32 = 1;

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
            let checked = alert_of(row).and_then(|known| {
                let is_open = known.alert.closed_at.is_none();
                if known.alert.progress.storm.is_some() {
                    return match ledger.storms.len() {
                        0..STORMS_MAX if is_open => Ok(known),
                        _ => Err(StoredFault::Wrong("a storm that is closed, or more than there may be")),
                    };
                }
                let same = if is_open { ledger.open.len() } else { ledger.closed.len() };
                if same >= OPEN_ALERTS_MAX {
                    return Err(StoredFault::Wrong("more alerts than there may be"));
                }
                if !keys.insert((known.alert.source, known.alert.kind)) {
                    return Err(StoredFault::Wrong("an alert that is there twice"));
                }
                Ok(known)
            });
            match checked {
                Ok(known) if known.alert.progress.storm.is_some() => ledger.storms.push(known.alert),
                Ok(known) if known.alert.closed_at.is_none() => ledger.open.push(known),
                Ok(known) => ledger.closed.push(known.alert),
                Err(fault) => {
                    ledger.refused_alerts.push(row.id.clone());
                    first_fault.get_or_insert(format!("alert {}: {fault}", row.id));
                }
            }
        }
        for row in &restored.mutes {
            let checked = match ledger.mutes.len() {
                0..MUTES_MAX => mute_of(row),
                _ => Err(StoredFault::Wrong("more mutes than there may be")),
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
}

fn alert_of(row: &AlertRow) -> Result<PersistedAlert, StoredFault> {
    check_version(&row.body)?;
    let form: LedgerAlertForm = serde_json::from_str(&row.body)?;
    let mut alert = form.alert.check()?;
    if alert.id != row.id {
        return Err(StoredFault::Wrong("the id of an alert"));
    }
    if form.is_notified_as_possible && !form.is_notified {
        return Err(StoredFault::Wrong("what was said of an alert"));
    }
    // This is derived from the mutes.
    alert.progress.is_muted = false;
    Ok(PersistedAlert {
        alert,
        multiple_reached: form.multiple_reached,
        is_notified: form.is_notified,
        is_notified_as_possible: form.is_notified_as_possible,
        has_evidence: true,
    })
}

fn mute_of(row: &MuteRow) -> Result<Mute, StoredFault> {
    check_version(&row.body)?;
    let form: LedgerMuteForm = serde_json::from_str(&row.body)?;
    let mute = form.mute.check().map_err(|_| StoredFault::Wrong("the mute"))?;
    if mute.id != row.id {
        return Err(StoredFault::Wrong("the number of a mute"));
    }
    Ok(mute)
}
