//! The fuzz targets of this room: stored rows, and what the receivers of alerts answer.

use std::collections::BTreeSet;
use std::time::Duration;

pub use super::sink::fuzzing::{syslog_answer, webhook_answer};

use super::ledger::{CloseTimeouts, Ledger, PeakSave};
use super::line::Line;
use super::persisted_ledger::PersistedLedger;
use super::sentence::sentence;
use super::stored_alert::{notice_from_json, notice_to_json};
use crate::enrich::HostDetails;
use crate::store::{AlertRow, Changes, MuteRow, Numbers, Restored};
use crate::time::{Moment, UnixNanos};

/// Reads bytes as a stored notice, a state file and rows of the ledger. What is accepted is stored again as the same,
/// can be said to every sink, each line of it in one line, and a ledger continues from it.
///
/// # Panics
/// Panics if one of these does not hold.
pub fn state_rows(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes)
        && let Ok(notice) = notice_from_json(text)
    {
        assert_eq!(notice_from_json(&notice_to_json(&notice)).ok().as_ref(), Some(&notice));
        is_one_line(&Line(&notice).to_string());
        is_one_line(&sentence(notice.alert(), notice.state()).to_string());
        is_one_line(&super::json::text(&notice, HostDetails::default()));
        super::sink::fuzzing::say(notice);
    }
    if let Ok(text) = str::from_utf8(bytes) {
        super::sink::fuzzing::stored_summary(text);
    }
    if let Ok(persisted) = PersistedLedger::from_json(bytes) {
        continue_from(&persisted);
    }
    if let Ok(text) = str::from_utf8(bytes) {
        continue_from(&PersistedLedger::from_rows(&rows(text)));
    }
}

/// Reads each line as the body of a row, whose key is the one in it.
fn rows(text: &str) -> Restored {
    let mut restored = Restored { numbers: Some(Numbers::default()), ..Restored::default() };
    for line in text.lines() {
        let Ok(value) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        let body = line.to_owned();
        if let Some(id) = value.pointer("/alert/id").and_then(|id| id.as_str()) {
            restored.alerts.push(AlertRow { id: id.to_owned(), body });
        } else if let Some(id) = value.pointer("/mute/id").and_then(serde_json::Value::as_u64) {
            restored.mutes.push(MuteRow { id, body });
        }
    }
    // Keys are unique in the database.
    let mut ids = BTreeSet::new();
    restored.alerts.retain(|row| ids.insert(row.id.clone()));
    let mut ids = BTreeSet::new();
    restored.mutes.retain(|row| ids.insert(row.id));
    restored
}

/// Continues with a ledger and saves it: each row is one that a start uses, and each notice is one line.
fn continue_from(persisted: &PersistedLedger) {
    let hour = Duration::from_secs(3600);
    let mut ledger = Ledger::new(CloseTimeouts { traffic: hour, ports: hour }, hour);
    ledger.keep_changes();
    let mut notices = Vec::new();
    // The second time is before any real alert, as after a start with a wrong clock.
    for wall_clock in [UnixNanos(1_790_000_000_000_000_000), UnixNanos(1_000_000_000)] {
        ledger.restore(persisted.clone(), Moment(1), wall_clock, &mut notices);
        ledger.note_everything();
        let Changes { alerts, mutes, numbers, .. } = ledger.take_changes(PeakSave::All);
        let rows = Restored { alerts, mutes, numbers: Some(numbers), ..Restored::default() };
        let read = PersistedLedger::from_rows(&rows);
        assert!(read.are_all_used(), "a ledger continues with what can be saved: {read:?}");
    }
    for notice in &notices {
        is_one_line(&Line(notice).to_string());
    }
}

/// # Panics
/// Panics if the text has a control character, with which it would be more than one line or write on a terminal.
fn is_one_line(text: &str) {
    assert!(!text.contains(char::is_control), "{text:?}");
}
