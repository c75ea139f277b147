//! The fuzz targets of the sinks: answers of receivers; and every form in which a notice is said.

pub use super::syslog::fuzzing::syslog_answer;
pub use super::webhook::fuzzing::webhook_answer;

use super::body::{WebhookFormat, body};
use super::queued_notice::{QueuedContent, QueuedNotice};
use super::summary::{summary_from_json, summary_to_json};
use crate::alert::notice::Notice;
use crate::enrich::HostDetails;
use crate::time::UnixNanos;

/// Reads a text as a stored summary. What is accepted is stored again as the same, and can be said to every sink.
///
/// # Panics
/// Panics if one of these does not hold.
pub(in crate::alert) fn stored_summary(text: &str) {
    if let Ok(summary) = summary_from_json(text) {
        assert_eq!(summary_from_json(&summary_to_json(&summary)).ok().as_ref(), Some(&summary));
        say_content(summary.into());
    }
}

/// Makes the messages of a notice for every kind of receiver.
///
/// # Panics
/// Panics if a message of syslog is not one line, or a body that should be JSON is not.
pub(in crate::alert) fn say(notice: Notice) {
    say_content(notice.into());
}

fn say_content(content: QueuedContent) {
    let queued = QueuedNotice::new(1, UnixNanos(1_790_000_000_000_000_000), content);
    assert!(!queued.json(HostDetails::default()).contains(char::is_control));
    super::syslog::fuzzing::say(&queued);
    use WebhookFormat::{Alertmanager, Discord, Json, Mattermost, Ntfy, Slack};
    for format in [Json, Slack, Discord, Mattermost, Ntfy, Alertmanager] {
        let request = body(format, &queued, "gw");
        for (_, value) in &request.headers {
            assert!(value.bytes().all(|byte| byte == b'\t' || !byte.is_ascii_control()), "{value:?}");
        }
    }
}
