//! Alerts: which findings open, confirm and grow them, when they close, and how their notices reach the sinks.
//!
//! ```text
//!   Finding (every tick) -> Ledger (alert opens, grows, closes) -> Notice -> Sinks -> each sink
//! ```
//!
//! * **Owns** the open and recently closed alerts and the mutes (`Ledger`), their rows in
//!   the state database ([`PersistedLedger`]), the
//!   sinks ([`Sinks`]), and the forms of an alert that all of them share: the log lines ([`Line`], [`WhyLine`]),
//!   the JSON object (`json`), the [`sentence()`] for people.
//! * **Does not contain** the detectors, the threads of the engine, or the API.
//! * **Fails** per sink: a sink has a bounded queue and a thread of its own, so a sink that hangs delays neither
//!   the analyst nor another sink. Notices that a full queue drops are counted.
#![forbid(unsafe_code)]

mod closed;
mod cooldowns;
mod disk;
mod evidence;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod json;
mod ledger;
mod line;
mod mute;
mod notice;
mod open_alert;
mod open_storm;
mod persisted_ledger;
mod rate_limited_warning;
mod record;
mod room;
pub(crate) mod sample;
mod sentence;
mod sink;
mod state_error;
mod stored_alert;
mod stored_ledger;
mod stored_storm;
mod storm;
mod storms;
mod wall_clock;
mod why_line;

use std::time::Duration;

pub use closed::{CLOSED_ALERTS_MAX, ClosedList};
pub(crate) use evidence::{Evidence, EvidenceNeeded};
pub use json::json;
pub(crate) use json::{json_with_origin, rfc3339};
pub(crate) use ledger::{CloseTimeouts, Ledger, PeakSave};
pub use line::Line;
pub use mute::MuteHandle;
pub(crate) use mute::{
    MUTE_MAX, MUTES_MAX, Mute, MuteReply, MuteRequest, NewMute, REASON_CHARS_MAX, TooManyMutes, is_reason,
    is_wide_network,
};
pub use notice::Notice;
pub use persisted_ledger::PersistedLedger;
pub use record::{Alert, AlertKind, AlertProgress, AlertState, OPEN_ALERTS_MAX};
pub use sentence::sentence;
pub use sink::{
    ALERT_RATE_MAX, AlertRate, CommandHelper, CommandOptions, Counts, DeliveryTest, Facility, FileOptions,
    Hurry, QueueReceipt, RemovedSinks, Retry, Secret, ShutdownTimeouts, SinkHealth, SinkName, SinkOptions,
    SinkResult, SinkState, SinkUpdate, Sinks, SyslogOptions, SyslogTarget, WebhookFormat, WebhookOptions,
    run_helper,
};
pub(crate) use sink::{
    is_foreign, lock_path, why_no_secret, why_no_token, why_no_token_in, why_no_webhook, why_no_webhook_in,
};
pub use state_error::StateError;
pub use storm::{CommonPort, STORM_HOSTS_MAX, STORM_NETWORKS_MAX, Storm};
pub use why_line::WhyLine;

/// Whether alerts show destinations, how long an alert may open again under its id, and how many make a storm.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Options {
    /// True if all notices and reports leave destinations out.
    pub hide_destinations: bool,
    /// An alert whose limit is exceeded again within this time after its end opens again under the same id.
    pub cooldown: Duration,
    /// Number of alerts of a kind that may open within a minute and are notified one by one; more of them are a storm.
    /// `None` turns storms off.
    pub burst: Option<u32>,
}
