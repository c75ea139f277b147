//! What is said, when, and to whom.
//!
//! ```text
//!   Finding (every tick) -> Ledger (when it opens, grows, closes) -> Notice -> Outlets -> each sink
//! ```
//!
//! A sink has a bounded queue and a thread of its own: one that hangs delays neither the analyst nor
//! another sink, and what it had no room for is counted. What an alert looks like is decided here once for
//! everybody: as a log line ([`Line`]), as a JSON object ([`json()`]), as a sentence.
#![forbid(unsafe_code)]

mod disk;
mod json;
mod ledger;
mod line;
mod mute;
mod notice;
mod persisted_ledger;
mod record;
pub(crate) mod sample;
mod sink;
mod state_file;
mod text;

use std::time::Duration;

pub use json::{json, json_with_origin, rfc3339};
pub use ledger::{ChangeCount, CloseTimeouts, Evidence, EvidenceNeeded, Ledger, OPEN_ALERTS_MAX};
pub use line::Line;
pub use mute::{
    MUTE_MAX, MUTES_MAX, Mute, MuteDesk, MuteReply, MuteRequest, NewMute, REASON_CHARS_MAX, TooManyMutes,
    is_reason,
};
pub use notice::Notice;
pub use persisted_ledger::{PersistedLedger, StateError};
pub use record::{Alert, AlertKind, AlertProgress, AlertState};
pub use sink::{
    CommandOptions, Counts, DeliveryTest, Facility, FileOptions, QueueReceipt, Retry, Secret,
    ShutdownTimeouts, SinkCounters, SinkName, SinkOptions, SinkResult, Sinks, SyslogOptions, SyslogTarget,
    WebhookFormat, WebhookOptions, why_no_token, why_no_webhook,
};

pub use state_file::StateFile;

/// How alerts are worded, and when one is a new one.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Options {
    /// Leave destinations out of everything that is said or served.
    pub hide_destinations: bool,
    /// An alert whose host exceeds its limit again within this time of its end opens again and is no new one.
    pub cooldown: Duration,
}
