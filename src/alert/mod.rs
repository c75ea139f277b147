//! Alerts: when a finding opens, grows or closes one, and how notices of that reach the sinks.
//!
//! ```text
//!   Finding (every tick) -> Ledger (when it opens, grows, closes) -> Notice -> Sinks -> each sink
//! ```
//!
//! * **Owns** the open and recently closed alerts and the mutes (`Ledger`), their state file ([`StateFile`]), the
//!   sinks ([`Sinks`]), and the forms of an alert that all of them share: the log line ([`Line`]), the JSON object
//!   (`json`), the sentence for people.
//! * **Refuses to know** how findings are made, and the threads and the API above it.
//! * **Fails** per sink: a sink has a bounded queue and a thread of its own, so one that hangs delays neither the
//!   analyst nor another sink. Notices that find no room are counted.
#![forbid(unsafe_code)]

mod disk;
mod evidence;
mod json;
mod ledger;
mod line;
mod mute;
mod notice;
mod open_alert;
mod persisted_ledger;
mod record;
pub(crate) mod sample;
mod sink;
mod state_file;
mod text;

use std::time::Duration;

pub(crate) use evidence::{Evidence, EvidenceNeeded};
pub use json::json;
pub(crate) use json::{json_with_origin, rfc3339};
pub(crate) use ledger::{ChangeCount, CloseTimeouts, Ledger};
pub use line::Line;
pub use mute::MuteDesk;
pub(crate) use mute::{
    MUTE_MAX, MUTES_MAX, Mute, MuteReply, MuteRequest, NewMute, REASON_CHARS_MAX, TooManyMutes, is_reason,
};
pub use notice::Notice;
pub use persisted_ledger::PersistedLedger;
pub use record::{Alert, AlertKind, AlertProgress, AlertState, OPEN_ALERTS_MAX};
pub use sink::{
    CommandOptions, Counts, DeliveryTest, Facility, FileOptions, QueueReceipt, Retry, Secret,
    ShutdownTimeouts, SinkName, SinkOptions, SinkResult, Sinks, SyslogOptions, SyslogTarget, WebhookFormat,
    WebhookOptions,
};
pub(crate) use sink::{why_no_token, why_no_webhook};
pub use state_file::StateFile;

/// What alerts show, and when one opens again under its old id.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Options {
    /// Leave destinations out of all notices and reports.
    pub hide_destinations: bool,
    /// An alert whose limit is exceeded again within this time after its end opens again under the same id.
    pub cooldown: Duration,
}
