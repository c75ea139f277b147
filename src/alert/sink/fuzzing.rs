//! The fuzz targets of the sinks: answers of receivers; and every form in which a notice is said.

pub use super::syslog::fuzzing::syslog_answer;
pub use super::webhook::fuzzing::webhook_answer;

use super::body::{WebhookFormat, body};
use super::worker::QueuedNotice;
use crate::alert::notice::Notice;
use crate::time::UnixNanos;

/// Makes the messages of a notice for every kind of receiver.
///
/// # Panics
/// Panics if a message of syslog is not one line, or a body that should be JSON is not.
pub(in crate::alert) fn say(notice: Notice) {
    let queued = QueuedNotice::new(1, UnixNanos(1_790_000_000_000_000_000), notice);
    super::syslog::fuzzing::say(&queued);
    use WebhookFormat::{Alertmanager, Discord, Json, Mattermost, Ntfy, Slack};
    for format in [Json, Slack, Discord, Mattermost, Ntfy, Alertmanager] {
        let request = body(format, &queued, "gw");
        for (_, value) in &request.headers {
            assert!(value.bytes().all(|byte| byte == b'\t' || !byte.is_ascii_control()), "{value:?}");
        }
    }
}
