//! The sinks, which deliver notices independently of each other: log, file, program, webhook, syslog.
//!
//! ```text
//!                      /--> [queue] --> thread --> stderr
//!   analyst --Notice--+---> [queue] --> thread --> AlertFile
//!                      \--> [queue] --> thread --> WebhookURL ...
//! ```
//!
//! Each sink has a bounded queue, a thread and deadlines of its own, so one that hangs or fails delays neither the
//! analyst nor another sink. The queues share one copy of each notice, so all queues together need about as much
//! memory as the longest. A delivery that fails is repeated after a pause, which doubles each time. Notices that a full
//! queue dropped or that were given up are counted ([`Counts`]) and logged.
//!
//! Program, webhook and syslog get at most so many notices a minute ([`AlertRate`]), and one summary of the rest when
//! the minute is over. The log and `AlertFile` have each notice.
//!
//! With a state directory an outbox in the state database keeps what waits. A notice is done for a sink when the sink
//! has it. So it is delivered at least once, in order, also if the process dies before; a repetition has the same id.
//!
//! [`Sinks::start`] must be called after capabilities are dropped and signals are blocked: the threads inherit both.
//! [`Sinks::reconfigure`] starts threads as well.

mod authorities;
mod body;
mod closing;
mod command;
mod counters;
mod delivery_test;
mod failure;
mod file;
#[cfg(test)]
mod flood_bytes;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod gateway;
mod health;
mod log;
mod options;
mod outbox;
mod queue;
mod queued_notice;
mod rate;
mod removed;
mod retry;
mod secret;
mod shutdown;
mod sink_log;
mod sinks;
mod summary;
mod summary_maker;
mod syslog;
#[cfg(test)]
mod tests;
mod waiting;
mod webhook;
mod worker;

pub use body::WebhookFormat;
pub use command::{CommandHelper, CommandOptions, run_helper};
pub use counters::{Counts, SinkName};
pub use delivery_test::DeliveryTest;
pub use file::FileOptions;
pub(crate) use file::{is_foreign, lock_path};
pub use health::SinkHealth;
pub use options::SinkOptions;
pub use outbox::SinkState;
pub use rate::{ALERT_RATE_MAX, AlertRate};
pub use removed::{Hurry, RemovedSinks, ShutdownTimeouts, SinkResult};
pub use retry::Retry;
pub use secret::Secret;
pub(crate) use secret::why_no_secret;
pub use sinks::{QueueReceipt, SinkUpdate, Sinks};
pub use syslog::{Facility, SyslogOptions, SyslogTarget};
pub use webhook::WebhookOptions;
pub(crate) use webhook::{why_no_token, why_no_token_in, why_no_webhook, why_no_webhook_in};
