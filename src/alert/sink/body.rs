//! The headers and the body of a webhook request, in the format of each kind of receiver.
//!
//! Sources: api.slack.com/messaging/webhooks, discord.com/developers/docs/resources/webhook,
//! developers.mattermost.com/integrate/webhooks/incoming, docs.ntfy.sh/publish, Alertmanager's `api/v2/openapi.yaml`.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::queued_notice::{QueuedContent, QueuedNotice};
use super::summary::{NoticeSummary, SUMMARY_KIND, summary_id};
use crate::alert::json;
use crate::alert::notice::Notice;
use crate::alert::record::AlertState;

/// The kind of receiver of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WebhookFormat {
    /// A program that reads the JSON object of the alert.
    #[default]
    Json,
    /// Slack, which shows a line of text.
    Slack,
    /// Discord, which shows a line of text.
    Discord,
    /// Mattermost, which shows a line of text.
    Mattermost,
    /// ntfy, which shows a notification with title and priority; the address ends with the topic.
    Ntfy,
    /// Alertmanager of Prometheus; the address ends with `/api/v2/alerts`.
    Alertmanager,
}

impl WebhookFormat {
    /// Returns true if people read the text at once: growth then disturbs more than it helps.
    pub fn is_chat(self) -> bool {
        match self {
            Self::Slack | Self::Discord | Self::Mattermost | Self::Ntfy => true,
            Self::Json | Self::Alertmanager => false,
        }
    }
}

/// Headers and body of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WebhookRequest {
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) text: String,
}

/// Returns the request that delivers a notice or a summary. `gateway` is the name of this machine.
pub(super) fn body(format: WebhookFormat, queued: &QueuedNotice, gateway: &str) -> WebhookRequest {
    let sentence = queued.sentence();
    let line = format!("{gateway}: {sentence}");
    let of_json = |value: Value| WebhookRequest {
        headers: vec![("Content-Type", "application/json".to_owned())],
        text: value.to_string(),
    };
    match format {
        WebhookFormat::Json => WebhookRequest { text: queued.json(queued.source()), ..of_json(Value::Null) },
        WebhookFormat::Slack => of_json(json!({ "text": escaped(&line) })),
        WebhookFormat::Mattermost => of_json(json!({ "username": NAME, "text": line })),
        WebhookFormat::Discord => {
            // With an empty list, no mention in the text notifies a user.
            of_json(json!({ "username": NAME, "content": line, "allowed_mentions": { "parse": [] } }))
        }
        WebhookFormat::Ntfy => {
            let (priority, tag) = priority_and_tag(&queued.content);
            let headers = [
                ("Content-Type", "text/plain; charset=utf-8"),
                ("Title", &format!("{NAME} on {gateway}")),
                ("Priority", priority),
                ("Tags", tag),
            ];
            let headers = headers.map(|(name, value)| (name, value.to_owned())).to_vec();
            WebhookRequest { headers, text: sentence }
        }
        WebhookFormat::Alertmanager => {
            let alert = match &queued.content {
                QueuedContent::Notice(notice) => alertmanager(notice, &sentence, gateway),
                QueuedContent::Summary(summary) => {
                    let id = summary_id(queued.number, queued.at);
                    alertmanager_summary(summary, &id, &sentence, gateway)
                }
            };
            of_json(Value::Array(vec![alert]))
        }
    }
}

/// Returns the priority and the tag of a notification of ntfy.
fn priority_and_tag(content: &QueuedContent) -> (&'static str, &'static str) {
    match content {
        QueuedContent::Notice(notice) => match notice.state() {
            AlertState::Open => ("high", "warning"),
            AlertState::Possible => ("default", "grey_question"),
            AlertState::Closed => ("default", "white_check_mark"),
            AlertState::Test => ("low", "test_tube"),
        },
        QueuedContent::Summary(summary) if summary.steps().opened > 0 => ("high", "warning"),
        QueuedContent::Summary(_) => ("default", "information_source"),
    }
}

/// The name that receivers show as the sender.
const NAME: &str = "TrafficAlerted";

/// Returns the alert in the form of Alertmanager. The labels identify it there, so they are the same when it opens and
/// when it closes.
fn alertmanager(notice: &Notice, sentence: &str, gateway: &str) -> Value {
    let alert = notice.alert();
    let text = |value: &str| Value::String(value.to_owned());
    let mut labels = labels(
        gateway,
        match notice.state() {
            AlertState::Test => "TEST",
            AlertState::Open | AlertState::Possible | AlertState::Closed => alert.kind.name(),
        },
    );
    labels.extend(alert.source.map(|source| ("source".to_owned(), text(&source.to_string()))));
    // Storms have no source, and several of one kind may be open.
    labels.extend(alert.progress.storm.as_ref().map(|_| ("storm".to_owned(), text(&alert.id))));
    let ends_at = alert.closed_at.unwrap_or_else(|| {
        let lasts = if notice.state() == AlertState::Test { TEST_LASTS } else { OPEN_LASTS };
        alert.opened_at.plus(lasts)
    });
    let mut annotations = Map::new();
    annotations.insert("summary".to_owned(), text(sentence));
    annotations.insert("id".to_owned(), text(&alert.id));
    annotations.insert("measured".to_owned(), text(&alert.measured.to_string()));
    annotations.insert("limit".to_owned(), text(&alert.limit.to_string()));
    if alert.progress.error_bound > 0 {
        annotations.insert("up_to".to_owned(), text(&alert.upper_bound().to_string()));
    }
    json!({
        "labels": labels,
        "annotations": annotations,
        "startsAt": json::rfc3339(alert.opened_at),
        "endsAt": json::rfc3339(ends_at),
    })
}

fn labels(gateway: &str, name: &str) -> Map<String, Value> {
    let labels = [("alertname", name), ("job", NAME), ("instance", gateway), ("severity", "warning")];
    labels.into_iter().map(|(label, value)| (label.to_owned(), Value::String(value.to_owned()))).collect()
}

/// Returns a summary in the form of Alertmanager. All summaries have the same labels, so that those of a long flood are
/// one alert there, which lasts until none has come for a while.
fn alertmanager_summary(summary: &NoticeSummary, id: &str, sentence: &str, gateway: &str) -> Value {
    json!({
        "labels": labels(gateway, SUMMARY_KIND),
        "annotations": { "summary": sentence, "id": id, "notices": summary.notices().to_string() },
        "startsAt": json::rfc3339(summary.from),
        "endsAt": json::rfc3339(summary.to.plus(SUMMARY_LASTS)),
    })
}

/// Time from the last notice in a summary to the end of the summary in Alertmanager.
const SUMMARY_LASTS: Duration = Duration::from_secs(600);

/// Time from the opening of an alert to its end in Alertmanager while it is open. Alertmanager resolves an alert
/// without an end if it is not repeated within five minutes (`resolve_timeout`), and this program sends it once. The
/// time is longer than most alerts, and ends alerts whose end was not delivered.
const OPEN_LASTS: Duration = Duration::from_secs(7 * 24 * 3600);
/// Time from the opening of a sample to its end in Alertmanager.
const TEST_LASTS: Duration = Duration::from_secs(60);

/// Escapes the three characters that Slack interprets.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use crate::alert::record::AlertProgress;
    use crate::alert::{Alert, sample};
    use crate::enrich::HostDetails;
    use crate::time::UnixNanos;

    use super::*;

    fn queued(notice: &Notice) -> QueuedNotice {
        QueuedNotice::new(1, UnixNanos(0), notice.clone())
    }

    #[test]
    fn each_receiver_gets_its_format() {
        let open = Notice::Opened(sample::traffic());
        let closed = Notice::Closed(Alert {
            closed_at: Some(UnixNanos(1_790_000_060_000_000_000)),
            ..sample::traffic()
        });
        let sentence = "TRAFFIC: 192.0.2.1 sent 1.2 GB in 170 s, the limit is 1 GB";
        let closing = "TRAFFIC is over after 60 s: 192.0.2.1 sent at most 1.2 GB in 170 s, the limit is 1 GB";
        let manager = |notice: &Notice, name: &str, summary: String, ends_at: &str| {
            let body = json!([{
                "labels": {"alertname": name, "instance": "gw", "job": "TrafficAlerted", "severity": "warning", "source": "192.0.2.1"},
                "annotations": {"summary": summary, "id": "test-1790000000", "measured": "1200000000", "limit": "1000000000"},
                "startsAt": "2026-09-21T14:13:20Z",
                "endsAt": ends_at,
            }]);
            (WebhookFormat::Alertmanager, notice.clone(), body)
        };
        let test = Notice::Test(sample::traffic());
        let tested = queued(&test).sentence();
        let cases = [
            (
                WebhookFormat::Json,
                open.clone(),
                serde_json::from_str(&json::text(&open, HostDetails::default())).expect("JSON"),
            ),
            (WebhookFormat::Slack, open.clone(), json!({"text": format!("gw: {sentence}")})),
            (WebhookFormat::Slack, closed.clone(), json!({"text": format!("gw: {closing}")})),
            (
                WebhookFormat::Mattermost,
                open.clone(),
                json!({"username": "TrafficAlerted", "text": format!("gw: {sentence}")}),
            ),
            (
                WebhookFormat::Discord,
                open.clone(),
                json!({"username": "TrafficAlerted", "content": format!("gw: {sentence}"), "allowed_mentions": {"parse": []}}),
            ),
            manager(&open, "TRAFFIC", sentence.to_owned(), "2026-09-28T14:13:20Z"),
            manager(&closed, "TRAFFIC", closing.to_owned(), "2026-09-21T14:14:20Z"),
            manager(&test, "TEST", tested, "2026-09-21T14:14:20Z"),
        ];
        for (format, notice, want) in cases {
            let WebhookRequest { headers, text } = body(format, &queued(&notice), "gw");
            assert_eq!(headers, [("Content-Type", "application/json".to_owned())]);
            assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), want, "{format:?}");
        }
        // A possible alert has the same labels, so that it stays the same alert when it is confirmed.
        let progress =
            AlertProgress { is_possible: true, error_bound: 300_000_000, ..AlertProgress::default() };
        let possible = Notice::Opened(Alert { limit: 1_400_000_000, progress, ..sample::traffic() });
        let alert = |notice: &Notice| -> Value {
            let text = body(WebhookFormat::Alertmanager, &queued(notice), "gw").text;
            serde_json::from_str::<Value>(&text).expect("JSON")[0].take()
        };
        assert_eq!(alert(&possible)["labels"], alert(&open)["labels"]);
        let annotations = json!({
            "summary": queued(&possible).sentence(), "id": "test-1790000000", "measured": "1200000000",
            "limit": "1400000000", "up_to": "1500000000",
        });
        assert_eq!(alert(&possible)["annotations"], annotations);
        let WebhookRequest { headers, .. } = body(WebhookFormat::Ntfy, &queued(&possible), "gw");
        assert_eq!(headers[2..], [("Priority", "default".to_owned()), ("Tags", "grey_question".to_owned())]);
        assert_eq!(escaped("<!here> & co"), "&lt;!here&gt; &amp; co");
        let WebhookRequest { headers, text } = body(WebhookFormat::Ntfy, &queued(&open), "gw");
        assert_eq!(text, sentence);
        assert_eq!(
            headers[1..3],
            [("Title", "TrafficAlerted on gw".to_owned()), ("Priority", "high".to_owned())]
        );
    }
}
