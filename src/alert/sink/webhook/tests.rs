//! Webhooks against a receiver on loopback: bodies, headers, retries, TLS.

use std::io::{BufRead, BufReader, Write, sink};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use crate::alert::sink::tests::SOON;
use crate::alert::sink::{Counts, ShutdownTimeouts, SinkOptions, Sinks};
use crate::alert::{Alert, Notice, sample};
use crate::logging::LinePrefix;
use crate::time::UnixNanos;

use super::*;

/// An HTTP receiver that reads one request per connection and sends the given responses; `None` stands for no response.
struct HttpReceiver {
    address: SocketAddr,
    requests: Receiver<Request>,
}

#[derive(Debug)]
struct Request {
    head: String,
    body: String,
}

impl HttpReceiver {
    fn start(answers: &'static [Option<&'static str>]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let (received, requests) = channel();
        thread::spawn(move || {
            let mut hanging = Vec::new();
            for answer in answers {
                let (stream, _) = listener.accept().expect("it listens");
                let _ = received.send(read_request(&stream));
                match answer {
                    Some(answer) => write!(&stream, "HTTP/1.1 {answer}\r\nConnection: close\r\n\r\n")
                        .expect("the other end waits"),
                    None => hanging.push(stream),
                }
            }
            // After the last response, connections are neither answered nor closed.
            drop(listener.accept());
        });
        Self { address, requests }
    }

    fn options(&self) -> WebhookOptions {
        let url = Secret::Here(format!("http://{}/hooks/secret", self.address));
        WebhookOptions::new(url, WebhookFormat::Json, None)
    }

    /// Returns the number of requests since the last call.
    fn count(&self) -> usize {
        self.requests.try_iter().count()
    }
}

fn read_request(stream: &TcpStream) -> Request {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).expect("a request") > 0, "{head}");
    }
    let length = head.to_lowercase();
    let length = length.lines().find_map(|line| line.strip_prefix("content-length: ").map(str::to_owned));
    let mut body = vec![0; length.and_then(|length| length.parse().ok()).expect("a length")];
    reader.read_exact(&mut body).expect("a body");
    Request { head, body: String::from_utf8(body).expect("text") }
}

fn deliver(options: WebhookOptions) -> Result<usize, Failure> {
    let queued = QueuedNotice::new(1, UnixNanos(0), Notice::Opened(sample::traffic()));
    let shutdown = Shutdown::new().expect("descriptors");
    Webhook::new(options, SOON).deliver(&[Arc::new(queued)], &shutdown)
}

/// Returns the counters of the webhook after one notice was delivered or given up.
fn settle(options: WebhookOptions, retry: Retry) -> Counts {
    settle_all(options, retry, &[Notice::Opened(sample::traffic())])
}

/// Returns the counters of the webhook after these notices were delivered or given up.
fn settle_all(options: WebhookOptions, retry: Retry, notices: &[Notice]) -> Counts {
    let options = SinkOptions { retry, webhook: Some(options), ..SinkOptions::default() };
    let sinks = Sinks::start(sink(), LinePrefix::Journal, &options, None).expect("threads");
    for notice in notices {
        sinks.notify(UnixNanos(0), notice.clone());
    }
    let of_webhook = || {
        let counts = sinks.counts();
        counts.into_iter().find(|(sink, _)| *sink == SinkName::Webhook).expect("it is configured").1
    };
    while of_webhook().waiting() > 0 {
        thread::yield_now();
    }
    let counts = of_webhook();
    let timeout = Duration::from_secs(60);
    sinks.finish(ShutdownTimeouts { log: timeout, others: timeout });
    counts
}

#[test]
fn an_alert_is_posted_with_its_token() {
    let receiver = HttpReceiver::start(&[Some("204 No Content\r\nContent-Length: 0")]);
    let token = Some(Secret::Here("abc.DEF-1".to_owned()));
    assert_eq!(deliver(WebhookOptions { token, ..receiver.options() }).ok(), Some(1));
    let Request { head, body } = receiver.requests.recv().expect("it came");
    assert!(head.starts_with("POST /hooks/secret HTTP/1.1\r\n"), "{head}");
    let head = head.to_lowercase();
    for line in ["authorization: bearer abc.def-1", "content-type: application/json"] {
        assert!(head.lines().any(|header| header == line), "{line} in {head}");
    }
    assert!(body.starts_with(r#"{"id":"test-1790000000","kind":"TRAFFIC","state":"open""#), "{body}");
}

#[test]
fn chats_are_told_of_growth_only_if_the_operator_wants_it() {
    let answers: &[Option<&str>] = &[Some("200 OK\r\nContent-Length: 0"); 3];
    let closed = Alert { closed_at: Some(UnixNanos(1_790_000_060_000_000_000)), ..sample::traffic() };
    let notices =
        [Notice::Opened(sample::traffic()), Notice::Grown(sample::traffic(), 2), Notice::Closed(closed)];
    let formats = [
        (WebhookFormat::Json, false),
        (WebhookFormat::Alertmanager, false),
        (WebhookFormat::Slack, true),
        (WebhookFormat::Discord, true),
        (WebhookFormat::Mattermost, true),
        (WebhookFormat::Ntfy, true),
    ];
    for (format, is_chat) in formats {
        for notify_growth in [false, true] {
            let receiver = HttpReceiver::start(answers);
            let webhook = WebhookOptions { format, notify_growth, ..receiver.options() };
            let counts = settle_all(webhook, SOON, &notices);
            let bodies: Vec<String> = receiver.requests.try_iter().map(|request| request.body).collect();
            let growth =
                bodies.iter().filter(|body| body.contains("TRAFFIC grows: 192.0.2.1 has sent")).count();
            let expected = if is_chat && !notify_growth { [0, 2] } else { [1, 3] };
            assert_eq!([growth, bodies.len()], expected, "{format:?} {notify_growth}: {bodies:?}");
            // A notice that is held back is neither delivered nor lost.
            let told = bodies.len() as u64;
            assert_eq!(counts, Counts { queued: told, delivered: told, ..Counts::default() });
        }
    }
}

#[test]
fn passing_failures_are_repeated_until_the_delivery() {
    let receiver = HttpReceiver::start(&[
        Some("500 Internal Server Error\r\nContent-Length: 0"),
        Some("503 Service Unavailable\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0"),
        Some("429 Too Many Requests\r\nRetry-After: 3600\r\nContent-Length: 0"),
        Some("200 OK\r\nContent-Length: 0"),
    ]);
    let want = Counts { queued: 1, delivered: 1, retried: 3, ..Counts::default() };
    assert_eq!(settle(receiver.options(), SOON), want);
    assert_eq!(receiver.count(), 4);
}

/// What is about this one notice is given up; what is about the receiver or the configuration holds all notices up
/// until somebody mends it.
#[test]
fn only_a_refusal_of_the_notice_itself_is_lasting() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    elsewhere.set_nonblocking(true).expect("a socket may");
    let port = elsewhere.local_addr().expect("it is bound").port();
    let location = format!("302 Found\r\nLocation: http://127.0.0.1:{port}/\r\nContent-Length: 0");
    let cases: [(&'static [Option<&'static str>], &str, bool); 5] = [
        (
            &[Some("404 Not Found\r\nContent-Length: 10\r\n\r\nno_\r\nhook\x07")],
            "(no_hook): check WebhookURL",
            true,
        ),
        (&[Some("403 Forbidden\r\nContent-Length: 0")], "check WebhookToken", true),
        (&[Some("400 Bad Request\r\nContent-Length: 0")], "does WebhookFormat suit", false),
        (&[Some("413 Content Too Large\r\nContent-Length: 0")], "ask whoever runs the receiver", false),
        (Box::leak(Box::new([Some(&*location.leak())])), "redirects are not followed", true),
    ];
    for (answers, want, is_passing) in cases {
        let receiver = HttpReceiver::start(answers);
        let failure = deliver(receiver.options()).expect_err("it was refused");
        assert!(failure.why.contains(want), "{}", failure.why);
        assert_eq!(failure.is_passing, is_passing, "{}", failure.why);
        assert!(!failure.why.contains("secret"), "{}", failure.why);
        assert_eq!(receiver.count(), 1);
    }
    let accepted = elsewhere.accept().map_err(|error| error.kind());
    assert_eq!(accepted.err(), Some(ErrorKind::WouldBlock), "the redirect must not be followed");
}

#[test]
fn a_receiver_that_never_responds_is_abandoned_at_the_deadline() {
    let receiver = HttpReceiver::start(&[None]);
    let answer_timeout = Duration::from_millis(200);
    let failure = deliver(WebhookOptions { answer_timeout, ..receiver.options() }).expect_err("no answer");
    assert!(failure.is_passing && failure.why.contains("did not answer in time"), "{}", failure.why);
    assert!(failure.why.contains("127.0.0.1") && !failure.why.contains("secret"), "{}", failure.why);
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let url = Secret::Here(format!("http://{}/", closed.expect("it was bound")));
    let failure = deliver(WebhookOptions { url, ..receiver.options() }).expect_err("the port is closed");
    assert!(failure.is_passing && failure.why.contains("refused"), "{}", failure.why);
}

#[test]
fn an_alert_that_is_too_old_is_given_up() {
    let receiver = HttpReceiver::start(&[Some("500 Internal Server Error\r\nContent-Length: 0")]);
    let retry = Retry { give_up_after: Some(Duration::ZERO), ..SOON };
    let want = Counts { queued: 1, failed: 1, ..Counts::default() };
    assert_eq!(settle(receiver.options(), retry), want);
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let pause = |value: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static(value));
        retry_after(&headers)
    };
    assert_eq!(pause("120"), Some(Duration::from_secs(120)));
    assert_eq!(pause("Sun, 06 Nov 1994 08:49:37 GMT"), None, "the date is over");
    assert!(pause("Thu, 31 Dec 2099 23:59:59 GMT").is_some_and(|pause| pause > Duration::from_secs(3600)));
    assert_eq!(pause("soon"), None);
    assert_eq!(retry_after(&HeaderMap::new()), None);
}

#[test]
fn urls_and_tokens_are_checked_before_use() {
    let cases = [
        ("https://hooks.example/services/T0/B0/x", None),
        ("http://[::1]:9093/api/v2/alerts", None),
        ("http://host:99999/", Some("an address whose port is none (1 to 65535)")),
        ("https://[::1]:/", Some("an address whose port is none (1 to 65535)")),
        ("ftp://example/", Some("neither http:// nor https://")),
        ("hooks.example", Some("neither http:// nor https://")),
        ("https://user:pass@example/", Some("a user name within an address")),
        ("https://", Some("not an address")),
        ("https://a b/", Some("not an address")),
    ];
    for (url, want) in cases {
        assert_eq!(why_no_webhook(url), want, "{url}");
    }
    assert_eq!(why_no_token("abc~+/=._-"), None);
    for token in ["a b", "a\r\nX: y", "ä"] {
        assert!(why_no_token(token).is_some(), "{token:?}");
    }
}
