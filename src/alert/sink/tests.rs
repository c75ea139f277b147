//! All sinks together: a sink that hangs or fails must not affect another.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::alert::{Alert, AlertKind, Notice, sample};
use crate::enrich::{GeoIp, GeoIpOptions, ReverseDnsOptions, geoip_sample};
use crate::logging::LinePrefix;
use crate::store::{Changes, Restored, StateDatabase, StateWriter};
use crate::time::UnixNanos;

use super::log::{LOCAL_QUEUE_MAX, LogSink};
use super::shutdown::Shutdown;
use super::waiting::REMOTE_QUEUE_MAX;
use super::worker::{Failure, QueuedNotice, Sink};
use super::*;

const TIMEOUTS: ShutdownTimeouts =
    ShutdownTimeouts { log: Duration::from_secs(60), others: Duration::from_secs(60) };

/// Pauses that are too short to delay a test.
pub(super) const SOON: Retry = Retry {
    first_pause: Duration::from_millis(1),
    longest_pause: Duration::from_millis(1),
    longest_retry_after: Duration::from_millis(1),
    give_up_after: Some(Duration::from_secs(3600)),
};

/// A log to which writes block while its lock is held.
#[derive(Clone, Default)]
struct Slow(Arc<Mutex<Vec<u8>>>);

impl Slow {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no writer panicked").clone()).expect("text")
    }
}

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no writer panicked").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A sink that reports each attempt and returns the outcomes that the test sends.
struct Scripted {
    attempts: Sender<u64>,
    outcomes: Receiver<Result<usize, Failure>>,
    retry: Retry,
    wants_growth: bool,
    rate: Option<AlertRate>,
}

impl Scripted {
    fn new(retry: Retry) -> (Self, Receiver<u64>, Sender<Result<usize, Failure>>) {
        let (attempts, attempted) = channel();
        let (outcome, outcomes) = channel();
        (Self { attempts, outcomes, retry, wants_growth: true, rate: None }, attempted, outcome)
    }
}

impl Sink for Scripted {
    fn name(&self) -> SinkName {
        SinkName::File
    }

    fn retry(&self) -> Retry {
        self.retry
    }

    fn wants_growth(&self) -> bool {
        self.wants_growth
    }

    fn rate(&self) -> Option<AlertRate> {
        self.rate
    }

    fn deliver(&mut self, batch: &[Arc<QueuedNotice>], _: &Shutdown) -> Result<usize, Failure> {
        let _ = self.attempts.send(batch[0].number);
        self.outcomes.recv().unwrap_or_else(|_| Err(Failure::lasting("the test is over")))
    }
}

fn log(log: &Slow, prefix: LinePrefix) -> Box<dyn Sink> {
    Box::new(LogSink::new(log.clone(), prefix))
}

/// Returns no GeoIP databases.
fn no_geoip() -> GeoIp {
    GeoIp::read(GeoIpOptions::default())
}

fn notice(n: u64) -> Notice {
    let alert = sample::traffic();
    Notice::Opened(Alert {
        kind: AlertKind::ScanningPort,
        measured: n,
        ports: vec![u16::try_from(n).expect("there are fewer notices")],
        ..alert
    })
}

fn counts(sinks: &Sinks, sink: SinkName) -> Counts {
    sinks.counts().into_iter().find(|(name, _)| *name == sink).expect("it is configured").1
}

#[test]
fn a_log_that_hangs_delays_nothing_and_its_losses_are_counted() {
    let slow = Slow::default();
    let prefix = LinePrefix::Clock(TimeZone::UTC);
    let sinks = Sinks::start_sinks(vec![log(&slow, prefix)], None, no_geoip(), None).expect("a thread");
    let held = slow.0.lock().expect("no writer panicked");
    // The thread may have taken one notice from the queue.
    for n in 0..LOCAL_QUEUE_MAX as u64 + 10 {
        sinks.notify(UnixNanos(1_136_214_245_000_000_000), notice(n));
    }
    let dropped = counts(&sinks, SinkName::Log).dropped;
    assert!((9..=10).contains(&dropped), "{dropped}");
    drop(held);
    let written = LOCAL_QUEUE_MAX as u64 + 10 - dropped;
    let dropped_openings = dropped;
    let counts =
        Counts { queued: written, delivered: written, dropped, dropped_openings, ..Counts::default() };
    assert_eq!(
        sinks.finish(TIMEOUTS),
        [SinkResult { sink: SinkName::Log, counts, in_time: true, is_kept: false }]
    );
    assert_eq!(slow.text().lines().count() as u64, 2 * written);
    assert_eq!(
        slow.text().lines().next(),
        Some("2006/01/02 15:04:05 EVENT=SCANNING_PORT SRC=192.0.2.1 PORTS=[0]")
    );
}

/// The sentence follows the line of an opening, with the same prefix, and no other line.
#[test]
fn an_opening_has_a_second_line_with_its_sentence() {
    let alert = sample::traffic;
    let closed = Alert { closed_at: Some(alert().opened_at), ..alert() };
    let notices = [Notice::Opened(alert()), Notice::Grown(alert(), 2), Notice::Closed(closed)];
    for (prefix, start) in
        [(LinePrefix::Clock(TimeZone::UTC), "2006/01/02 15:04:05 "), (LinePrefix::Journal, "<4>")]
    {
        let slow = Slow::default();
        let sinks = Sinks::start_sinks(vec![log(&slow, prefix)], None, no_geoip(), None).expect("a thread");
        for notice in &notices {
            sinks.notify(UnixNanos(1_136_214_245_000_000_000), notice.clone());
        }
        sinks.finish(TIMEOUTS);
        let text = slow.text();
        let lines: Vec<&str> = text.lines().map(|line| line.strip_prefix(start).expect(start)).collect();
        let [event, why, grown, closed] = lines.as_slice() else { panic!("{text}") };
        assert!(event.starts_with("EVENT=TRAFFIC SRC=192.0.2.1 ") && !event.contains("WHY="), "{text}");
        let sentence = "192.0.2.1 sent 1.2 GB in 170 s, the limit is 1 GB";
        assert_eq!(*why, format!("WHY=TRAFFIC SRC=192.0.2.1 | {sentence}"));
        assert!(grown.starts_with("GROWN=TRAFFIC ") && closed.starts_with("CLOSED=TRAFFIC "), "{text}");
    }
}

#[test]
fn a_log_for_programs_has_the_object_of_the_alert() {
    let slow = Slow::default();
    let prefix = LinePrefix::Json { for_journal: true };
    let sinks = Sinks::start_sinks(vec![log(&slow, prefix)], None, no_geoip(), None).expect("a thread");
    sinks.notify(UnixNanos(0), notice(7));
    sinks.finish(TIMEOUTS);
    let text = slow.text();
    assert!(
        text.starts_with(r#"<4>{"id":"test-1790000000","kind":"SCANNING_PORT","state":"open""#),
        "{text}"
    );
    assert!(text.ends_with("}\n") && text.lines().count() == 1, "{text}");
    assert!(text.contains(r#""sentence":"SCANNING_PORT: 192.0.2.1 contacted "#), "{text}");
}

#[test]
fn finish_waits_for_a_hanging_log_until_its_timeout() {
    let slow = Slow::default();
    let sinks =
        Sinks::start_sinks(vec![log(&slow, LinePrefix::Journal)], None, no_geoip(), None).expect("a thread");
    let _held = slow.0.lock().expect("no writer panicked");
    sinks.notify(UnixNanos(0), notice(1));
    let finished = sinks.finish(ShutdownTimeouts { log: Duration::from_millis(1), ..TIMEOUTS });
    assert_eq!((finished[0].in_time, finished[0].counts.waiting()), (false, 1));
}

#[test]
fn while_one_sink_hangs_the_others_deliver_and_queues_are_bounded() {
    let slow = Slow::default();
    let (scripted, attempted, outcomes) = Scripted::new(SOON);
    let sinks = vec![log(&slow, LinePrefix::Journal), Box::new(scripted) as Box<dyn Sink>];
    let sinks = Sinks::start_sinks(sinks, None, no_geoip(), None).expect("threads");
    sinks.notify(UnixNanos(0), notice(0));
    assert_eq!(attempted.recv(), Ok(1), "the first notice is being delivered");
    let queued = REMOTE_QUEUE_MAX as u64 + 5;
    let taken: Vec<bool> = (0..queued).map(|n| sinks.notify(UnixNanos(0), notice(n)).is_for_file).collect();
    assert_eq!(taken.iter().filter(|is_taken| **is_taken).count(), REMOTE_QUEUE_MAX);
    assert!(!taken[REMOTE_QUEUE_MAX], "the newest notices are dropped");
    let hanging = counts(&sinks, SinkName::File);
    assert_eq!((hanging.queued, hanging.dropped, hanging.waiting()), (1 + queued - 5, 5, 1 + queued - 5));
    while counts(&sinks, SinkName::Log).waiting() > 0 {
        std::thread::yield_now();
    }
    assert_eq!(slow.text().lines().count() as u64, 2 * (1 + queued));
    assert_eq!(sinks.filed(), 0);
    drop(outcomes);
    let finished = sinks.finish(TIMEOUTS);
    assert_eq!((finished[1].counts.failed, finished[1].counts.lost()), (1 + queued - 5, 1 + queued));
}

#[test]
fn failed_deliveries_are_repeated_in_order_and_acknowledged_once_delivered() {
    let (scripted, attempted, outcomes) = Scripted::new(SOON);
    let sinks = Sinks::start_sinks(vec![Box::new(scripted)], None, no_geoip(), None).expect("a thread");
    for n in 1..=3 {
        assert_eq!(sinks.notify(UnixNanos(0), notice(n)), QueueReceipt { number: n, is_for_file: true });
    }
    let attempt = |outcome, number| {
        assert_eq!(attempted.recv(), Ok(number));
        outcomes.send(outcome).expect("it waits for an outcome");
    };
    attempt(Err(Failure::passing("full")), 1);
    attempt(Err(Failure::passing("full")), 1);
    attempt(Ok(1), 1);
    attempt(Err(Failure::lasting("no such thing")), 2);
    assert_eq!(attempted.recv(), Ok(3));
    assert_eq!(sinks.filed(), 1);
    outcomes.send(Ok(1)).expect("it waits for an outcome");
    let want = Counts { queued: 3, delivered: 2, retried: 2, failed: 1, ..Counts::default() };
    while counts(&sinks, SinkName::File).waiting() > 0 {
        std::thread::yield_now();
    }
    assert_eq!(sinks.filed(), 1, "the third is not acknowledged, since the second was given up");
    let finished = sinks.finish(TIMEOUTS);
    assert_eq!(finished, [SinkResult { sink: SinkName::File, counts: want, in_time: true, is_kept: false }]);
}

#[test]
fn a_notice_that_is_too_old_is_given_up() {
    let (scripted, attempted, outcomes) =
        Scripted::new(Retry { give_up_after: Some(Duration::ZERO), ..SOON });
    let sinks = Sinks::start_sinks(vec![Box::new(scripted)], None, no_geoip(), None).expect("a thread");
    sinks.notify(UnixNanos(0), notice(1));
    assert_eq!(attempted.recv(), Ok(1));
    outcomes.send(Err(Failure::passing("busy"))).expect("it waits for an outcome");
    let want = Counts { queued: 1, failed: 1, ..Counts::default() };
    assert_eq!(sinks.finish(TIMEOUTS)[0].counts, want);
}

#[test]
fn finish_ends_a_pause_and_allows_one_attempt_each() {
    let hour = Duration::from_secs(3600);
    let (scripted, attempted, outcomes) =
        Scripted::new(Retry { first_pause: hour, longest_pause: hour, give_up_after: None, ..SOON });
    let sinks = Sinks::start_sinks(vec![Box::new(scripted)], None, no_geoip(), None).expect("a thread");
    sinks.notify(UnixNanos(0), notice(1));
    sinks.notify(UnixNanos(0), notice(2));
    assert_eq!(attempted.recv(), Ok(1));
    outcomes.send(Err(Failure::passing("busy"))).expect("it waits for an outcome");
    while counts(&sinks, SinkName::File).retried == 0 {
        std::thread::yield_now();
    }
    for outcome in [Err(Failure::passing("still busy")), Ok(1)] {
        outcomes.send(outcome).expect("it will wait for an outcome");
    }
    let want = Counts { queued: 2, delivered: 1, retried: 1, failed: 1, ..Counts::default() };
    assert_eq!(
        sinks.finish(TIMEOUTS),
        [SinkResult { sink: SinkName::File, counts: want, in_time: true, is_kept: false }]
    );
}

#[test]
fn a_name_server_without_answers_delays_a_sink_and_not_the_log() {
    let slow = Slow::default();
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
    let servers = Some(vec![silent.local_addr().expect("it is bound")]);
    let (scripted, attempted, outcomes) = Scripted::new(SOON);
    let sinks = vec![log(&slow, LinePrefix::Journal), Box::new(scripted) as Box<dyn Sink>];
    let timeout = Duration::from_secs(3600);
    let sinks = Sinks::start_sinks(sinks, Some(ReverseDnsOptions { servers, timeout }), no_geoip(), None)
        .expect("threads");
    sinks.notify(UnixNanos(0), notice(1));
    while counts(&sinks, SinkName::Log).delivered == 0 {
        std::thread::yield_now();
    }
    // The sink has sent its query and waits for an answer.
    silent.recv(&mut [0; 512]).expect("a query");
    assert_eq!(attempted.try_recv().ok(), None);
    drop(outcomes);
    let finished = sinks.finish(ShutdownTimeouts { others: Duration::ZERO, ..TIMEOUTS });
    assert_eq!((finished[0].in_time, finished[1].in_time), (true, false));
}

#[test]
fn notices_to_a_sink_show_the_origin_of_the_source_and_log_lines_do_not() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (countries, alerts) = (folder.path().join("country.mmdb"), folder.path().join("alerts.jsonl"));
    let database = geoip_sample::database(&geoip_sample::country("NL"));
    std::fs::write(&countries, database).expect("it is ours");
    let options = SinkOptions {
        geoip: GeoIpOptions { country_database: Some(countries.clone()), asn_database: None },
        file: Some(FileOptions { path: alerts.clone(), bytes_max: 1_000_000, keep: 0 }),
        ..SinkOptions::default()
    };
    let slow = Slow::default();
    let sinks = Sinks::start(slow.clone(), LinePrefix::Json { for_journal: false }, &options, None)
        .expect("the system gives threads");
    let filed = |sinks: &Sinks, n| {
        let number = sinks.notify(UnixNanos(0), notice(n)).number;
        while sinks.filed() < number {
            std::thread::yield_now();
        }
        std::fs::read_to_string(&alerts).expect("it is ours").lines().last().map(str::to_owned)
    };
    let field = r#""source_country":"NL""#;
    assert!(filed(&sinks, 1).is_some_and(|line| line.contains(field)));
    std::fs::remove_file(countries).expect("it is ours");
    sinks.geoip().read_again(&[]);
    assert!(filed(&sinks, 2).is_some_and(|line| !line.contains("source_country")));
    sinks.finish(TIMEOUTS);
    assert_eq!(slow.text().lines().count(), 2);
    assert!(!slow.text().contains("source_country"), "{}", slow.text());
}

/// Ends the last attempt of a scripted sink when a test has seen enough.
fn passing() -> Result<usize, Failure> {
    Err(Failure::passing("down"))
}

#[test]
fn a_sink_that_is_replaced_keeps_its_queue_its_order_and_its_counters() {
    let hour = Duration::from_secs(3600);
    let pauses = Retry { first_pause: hour, longest_pause: hour, give_up_after: None, ..SOON };
    let (old, attempted, outcomes) = Scripted::new(pauses);
    let sinks = Sinks::start_sinks(vec![Box::new(old)], None, no_geoip(), None).expect("a thread");
    for n in 1..=3 {
        sinks.notify(UnixNanos(0), notice(n));
    }
    outcomes.send(Ok(1)).and_then(|()| outcomes.send(passing())).expect("it waits for an outcome");
    assert_eq!((attempted.recv(), attempted.recv()), (Ok(1), Ok(2)));
    while counts(&sinks, SinkName::File).retried == 0 {
        std::thread::yield_now();
    }
    // The pause of an hour ends, and the new sink makes the next attempt for the same notice.
    let (new, attempted, outcomes) = Scripted::new(SOON);
    let removed = sinks
        .reconfigure(SinkUpdate { sinks: vec![Box::new(new)], names: None, geoip: no_geoip() })
        .expect("no thread is needed");
    assert!(removed.is_empty());
    sinks.notify(UnixNanos(0), notice(4));
    for number in 2..=4 {
        assert_eq!(attempted.recv(), Ok(number));
        outcomes.send(Ok(1)).expect("it waits for an outcome");
    }
    let counts = Counts { queued: 4, delivered: 4, retried: 1, ..Counts::default() };
    let want = SinkResult { sink: SinkName::File, counts, in_time: true, is_kept: false };
    assert_eq!(sinks.finish(TIMEOUTS), [want]);
}

#[test]
fn a_sink_that_is_removed_makes_its_last_attempts_and_a_new_one_begins_empty() {
    let (old, attempted, outcomes) = Scripted::new(SOON);
    let slow = Slow::default();
    let started = vec![log(&slow, LinePrefix::Journal), Box::new(old) as Box<dyn Sink>];
    let sinks = Sinks::start_sinks(started, None, no_geoip(), None).expect("threads");
    sinks.notify(UnixNanos(0), notice(1));
    sinks.notify(UnixNanos(0), notice(2));
    outcomes.send(Ok(1)).and_then(|()| outcomes.send(passing())).expect("it waits for an outcome");
    assert_eq!(attempted.recv(), Ok(1));
    drop(outcomes);
    let removed = sinks
        .reconfigure(SinkUpdate { sinks: Vec::new(), names: None, geoip: no_geoip() })
        .expect("no thread is needed")
        .wait(TIMEOUTS);
    let [SinkResult { sink: SinkName::File, counts: gone, in_time: true, is_kept: false }] = removed[..]
    else {
        panic!("{removed:?}")
    };
    assert_eq!((gone.delivered, gone.failed, gone.waiting()), (1, 1, 0));
    let (new, attempted, outcomes) = Scripted::new(SOON);
    sinks
        .reconfigure(SinkUpdate { sinks: vec![Box::new(new)], names: None, geoip: no_geoip() })
        .expect("a thread");
    sinks.notify(UnixNanos(0), notice(3));
    assert_eq!(attempted.recv(), Ok(3));
    outcomes.send(Ok(1)).expect("it waits for an outcome");
    sinks.finish(TIMEOUTS);
    assert_eq!(slow.text().matches("EVENT=").count(), 3, "the log stays in any case");
}

#[test]
fn a_removed_sink_that_hangs_can_be_hurried_and_its_notices_are_counted() {
    let (hangs, attempted, outcomes) = Scripted::new(SOON);
    let sinks = Sinks::start_sinks(vec![Box::new(hangs)], None, no_geoip(), None).expect("a thread");
    sinks.notify(UnixNanos(0), notice(1));
    assert_eq!(attempted.recv(), Ok(1));
    let hour = Duration::from_secs(3600);
    let removed = sinks
        .reconfigure(SinkUpdate { sinks: Vec::new(), names: None, geoip: no_geoip() })
        .expect("no thread is needed");
    let hurry = removed.hurry();
    let waiting = std::thread::spawn(move || removed.wait(ShutdownTimeouts { log: hour, others: hour }));
    hurry.now();
    hurry.now();
    let results = waiting.join().expect("it returns long before an hour is over");
    let [SinkResult { sink: SinkName::File, counts, in_time: false, .. }] = results[..] else {
        panic!("{results:?}")
    };
    assert_eq!((counts.queued, counts.waiting()), (1, 1));
    drop(outcomes);
}

fn open(folder: &tempfile::TempDir) -> (Restored, StateWriter) {
    StateDatabase::open(folder.path()).expect("the folder is ours")
}

fn opening(id: &str) -> Notice {
    Notice::Opened(Alert { id: id.to_owned(), ..sample::traffic() })
}

#[test]
fn what_a_sink_has_not_delivered_waits_for_the_next_start_with_its_counters() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let start = |retry| {
        let (mut restored, writer) = open(&folder);
        let (scripted, attempted, outcomes) = Scripted::new(retry);
        let state = SinkState::take(&mut restored, writer.clone());
        let sinks =
            Sinks::start_sinks(vec![Box::new(scripted)], None, no_geoip(), Some(state)).expect("a thread");
        (sinks, writer, attempted, outcomes)
    };
    let hour = Duration::from_secs(3600);
    let (sinks, writer, attempted, outcomes) =
        start(Retry { first_pause: hour, longest_pause: hour, give_up_after: None, ..SOON });
    let notices = ["a-1", "a-2", "a-3"].map(opening);
    let receipts = sinks.notify_all(UnixNanos(7), notices, Changes::default());
    let first = receipts[0].number;
    assert_eq!(receipts.iter().map(|receipt| receipt.number - first).collect::<Vec<_>>(), [0, 1, 2]);
    for outcome in [Ok(1), passing(), passing()] {
        outcomes.send(outcome).expect("it waits for an outcome");
    }
    assert_eq!((attempted.recv(), attempted.recv()), (Ok(first), Ok(first + 1)));
    while counts(&sinks, SinkName::File).retried == 0 {
        std::thread::yield_now();
    }
    // One last attempt fails, and the others are not made.
    let finished = sinks.finish(TIMEOUTS);
    let left = Counts { queued: 3, delivered: 1, retried: 1, ..Counts::default() };
    assert_eq!(finished, [SinkResult { sink: SinkName::File, counts: left, in_time: true, is_kept: true }]);
    assert!(writer.finish(TIMEOUTS.others));

    let (sinks, writer, attempted, outcomes) = start(SOON);
    assert_eq!(counts(&sinks, SinkName::File), left, "the retry is kept too");
    assert_eq!(sinks.notify(UnixNanos(9), opening("a-4")).number, first + 3, "no number is used twice");
    for number in first + 1..=first + 3 {
        assert_eq!(attempted.recv(), Ok(number));
        outcomes.send(Ok(1)).expect("it waits for an outcome");
    }
    let finished = sinks.finish(TIMEOUTS);
    assert_eq!((finished[0].counts.delivered, finished[0].counts.waiting()), (3, 0));
    assert!(writer.finish(TIMEOUTS.others));
    let (restored, writer) = open(&folder);
    assert_eq!((&restored.notices[..], &restored.outbox[..]), (&[][..], &[][..]));
    let counters = r#"{"delivered":4,"retried":1,"failed":0,"dropped":0,"dropped_openings":0}"#;
    assert_eq!(restored.counters, [("AlertFile".to_owned(), counters.to_owned())]);
    assert!(writer.finish(TIMEOUTS.others));
}

/// A kill leaves what was not settled. What waits for a sink that is gone, and rows of no use, go.
#[test]
fn a_restart_without_a_sink_drops_what_waited_for_it() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (mut restored, writer) = open(&folder);
    let (scripted, attempted, _outcomes) = Scripted::new(SOON);
    let slow = Slow::default();
    let started = vec![log(&slow, LinePrefix::Journal), Box::new(scripted) as Box<dyn Sink>];
    let state = SinkState::take(&mut restored, writer.clone());
    let sinks = Sinks::start_sinks(started, None, no_geoip(), Some(state)).expect("threads");
    let held = slow.0.lock().expect("no writer panicked");
    let receipts = sinks.notify_all(UnixNanos(7), ["a-1", "a-2"].map(opening), Changes::default());
    assert_eq!(attempted.recv(), Ok(receipts[0].number));
    assert!(writer.finish(TIMEOUTS.others));
    drop((sinks, held));

    let (mut restored, writer) = open(&folder);
    assert_eq!((restored.notices.len(), restored.outbox.len()), (2, 4));
    restored.notices[1].body.truncate(20);
    let slow = Slow::default();
    let state = SinkState::take(&mut restored, writer.clone());
    let sinks = Sinks::start_sinks(vec![log(&slow, LinePrefix::Journal)], None, no_geoip(), Some(state));
    let finished = sinks.expect("a thread").finish(TIMEOUTS);
    assert_eq!((finished[0].counts.delivered, finished[0].counts.waiting()), (1, 0));
    assert_eq!(slow.text().matches("EVENT=").count(), 1);
    assert!(writer.finish(TIMEOUTS.others));
    let (restored, writer) = open(&folder);
    assert_eq!((&restored.notices[..], &restored.outbox[..]), (&[][..], &[][..]));
    assert!(writer.finish(TIMEOUTS.others));
}

/// The receiver is down when the program ends and when it starts again, so nothing is delivered.
#[test]
fn failed_attempts_are_counted_on_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    for before in [0, 5] {
        let (mut restored, writer) = open(&folder);
        let (scripted, attempted, outcomes) = Scripted::new(SOON);
        let state = SinkState::take(&mut restored, writer.clone());
        let sinks =
            Sinks::start_sinks(vec![Box::new(scripted)], None, no_geoip(), Some(state)).expect("a thread");
        assert_eq!(counts(&sinks, SinkName::File).retried, before);
        if before == 0 {
            sinks.notify(UnixNanos(7), opening("a-1"));
        }
        for _ in 0..5 {
            attempted.recv().expect("it attempts");
            outcomes.send(Err(Failure::passing("the receiver is down"))).expect("the sink waits");
        }
        // A failure is counted and submitted before the next attempt.
        attempted.recv().expect("it attempts");
        let health = sinks.health().remove(0).1;
        assert!(health.failing_since.is_some(), "{health:?}");
        assert_eq!(health.last_error.map(|(_, why)| why).as_deref(), Some("the receiver is down"));
        assert!(writer.finish(TIMEOUTS.others));
        drop((sinks, outcomes));
    }
}

/// The options of a sink change between two starts, so that it takes no growths any more.
#[test]
fn a_growth_that_the_sink_no_longer_takes_does_not_wait_for_ever() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (mut restored, writer) = open(&folder);
    let (scripted, attempted, _outcomes) = Scripted::new(SOON);
    let state = SinkState::take(&mut restored, writer.clone());
    let sinks =
        Sinks::start_sinks(vec![Box::new(scripted)], None, no_geoip(), Some(state)).expect("a thread");
    let grown = Notice::Grown(sample::traffic(), 5);
    sinks.notify_all(UnixNanos(7), [opening("a-1"), grown], Changes::default());
    attempted.recv().expect("it attempts");
    assert!(writer.finish(TIMEOUTS.others));
    drop(sinks);

    let (mut restored, writer) = open(&folder);
    assert_eq!(restored.outbox.len(), 2);
    let (scripted, attempted, outcomes) = Scripted::new(SOON);
    let state = SinkState::take(&mut restored, writer.clone());
    let scripted = Scripted { wants_growth: false, ..scripted };
    let sinks =
        Sinks::start_sinks(vec![Box::new(scripted)], None, no_geoip(), Some(state)).expect("a thread");
    attempted.recv().expect("it attempts");
    outcomes.send(Ok(1)).expect("it waits for an outcome");
    let finished = sinks.finish(TIMEOUTS);
    assert_eq!((finished[0].counts.delivered, finished[0].counts.queued), (1, 1));
    assert!(writer.finish(TIMEOUTS.others));
    let (restored, writer) = open(&folder);
    assert_eq!((&restored.notices[..], &restored.outbox[..]), (&[][..], &[][..]));
    assert!(writer.finish(TIMEOUTS.others));
}

/// The first of two notices is being delivered when the database is removed, to one of two sinks that have both to
/// deliver.
#[test]
fn a_database_that_was_removed_has_everything_that_waits_again() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (mut restored, writer) = open(&folder);
    let (scripted, attempted, outcomes) = Scripted::new(SOON);
    let slow = Slow::default();
    let started = vec![log(&slow, LinePrefix::Journal), Box::new(scripted) as Box<dyn Sink>];
    let state = SinkState::take(&mut restored, writer.clone());
    let sinks = Sinks::start_sinks(started, None, no_geoip(), Some(state)).expect("threads");
    let held = slow.0.lock().expect("no writer panicked");
    sinks.notify_all(UnixNanos(7), ["a-1", "a-2", "a-3"].map(opening), Changes::default());
    attempted.recv().expect("it attempts");
    outcomes.send(Ok(1)).expect("it waits for an outcome");
    attempted.recv().expect("it attempts the next");
    assert!(writer.flush(TIMEOUTS.others));
    assert!(!writer.take_lost());

    for suffix in ["", "-wal", "-shm"] {
        std::fs::remove_file(folder.path().join(format!("state.db{suffix}"))).expect("it was made");
    }
    sinks.notify_all(UnixNanos(8), [opening("a-4")], Changes::default());
    assert!(writer.flush(TIMEOUTS.others));
    assert!(writer.take_lost(), "it was made anew");
    sinks.keep_everything();
    // The notice that is being delivered is settled after it was submitted again.
    outcomes.send(Ok(1)).expect("it waits for an outcome");
    attempted.recv().expect("it attempts the next");
    assert!(writer.finish(TIMEOUTS.others));
    drop((sinks, held));

    let (restored, writer) = open(&folder);
    let ids: Vec<_> = restored.notices.iter().map(|row| row.alert_id.as_str()).collect();
    assert_eq!(ids, ["a-1", "a-2", "a-3", "a-4"]);
    let waiting = |sink: &str| restored.outbox.iter().filter(|row| row.sink == sink).count();
    assert_eq!((waiting("log"), waiting("AlertFile")), (4, 2));
    let counters = r#"{"delivered":2,"retried":0,"failed":0,"dropped":0,"dropped_openings":0}"#;
    assert!(restored.counters.contains(&("AlertFile".to_owned(), counters.to_owned())), "{restored:?}");
    assert!(writer.finish(TIMEOUTS.others));
}

/// Takes no growths, unlike the sink in it.
struct WithoutGrowth(Scripted);

impl Sink for WithoutGrowth {
    fn name(&self) -> SinkName {
        self.0.name()
    }

    fn retry(&self) -> Retry {
        self.0.retry()
    }

    fn wants_growth(&self) -> bool {
        false
    }

    fn deliver(&mut self, batch: &[Arc<QueuedNotice>], shutdown: &Shutdown) -> Result<usize, Failure> {
        self.0.deliver(batch, shutdown)
    }
}

#[test]
fn a_growth_that_waited_for_a_sink_that_takes_none_any_more_leaves_the_outbox() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (mut restored, writer) = open(&folder);
    let (scripted, attempted, outcomes) = Scripted::new(SOON);
    let state = SinkState::take(&mut restored, writer.clone());
    let sinks =
        Sinks::start_sinks(vec![Box::new(scripted)], None, no_geoip(), Some(state)).expect("a thread");
    let growth = Notice::Grown(Alert { id: "a-1".to_owned(), ..sample::traffic() }, 2);
    sinks.notify(UnixNanos(7), growth);
    attempted.recv().expect("it attempts");
    assert!(writer.finish(TIMEOUTS.others));
    drop((sinks, outcomes));

    let (mut restored, writer) = open(&folder);
    assert_eq!(restored.outbox.len(), 1);
    let (scripted, _attempted, _outcomes) = Scripted::new(SOON);
    let state = SinkState::take(&mut restored, writer.clone());
    let started = vec![Box::new(WithoutGrowth(scripted)) as Box<dyn Sink>];
    let sinks = Sinks::start_sinks(started, None, no_geoip(), Some(state)).expect("a thread");
    assert!(writer.finish(TIMEOUTS.others));
    drop(sinks);
    let (restored, writer) = open(&folder);
    assert_eq!((&restored.notices[..], &restored.outbox[..]), (&[][..], &[][..]));
    assert!(writer.finish(TIMEOUTS.others));
}

/// Starts a scripted sink that takes some notices within a time, with the state in a folder.
fn start_limited(folder: &tempfile::TempDir, max: u32, within: Duration) -> LimitedSink {
    let (mut restored, writer) = open(folder);
    let (scripted, attempted, outcomes) = Scripted::new(SOON);
    let scripted = Scripted { rate: Some(AlertRate { max, within }), ..scripted };
    let state = SinkState::take(&mut restored, writer.clone());
    let sinks =
        Sinks::start_sinks(vec![Box::new(scripted)], None, no_geoip(), Some(state)).expect("a thread");
    LimitedSink { sinks, writer, attempted, outcomes }
}

struct LimitedSink {
    sinks: Sinks,
    writer: StateWriter,
    attempted: Receiver<u64>,
    outcomes: Sender<Result<usize, Failure>>,
}

impl LimitedSink {
    /// Lets the next attempt succeed. Returns the number of its notice.
    fn deliver(&self) -> u64 {
        self.outcomes.send(Ok(1)).expect("it waits for an outcome");
        self.attempted.recv().expect("it attempts")
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn what_exceeds_the_rate_survives_a_kill_and_is_summarised_after_it() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let limited = start_limited(&folder, 2, HOUR);
    let receipts =
        limited.sinks.notify_all(UnixNanos(7), ["a", "b", "c", "d", "e"].map(opening), Changes::default());
    let first = receipts[0].number;
    assert_eq!([limited.deliver(), limited.deliver()], [first, first + 1]);
    while counts(&limited.sinks, SinkName::File).delivered < 2 {
        std::thread::yield_now();
    }
    assert!(limited.writer.finish(TIMEOUTS.others));
    // What is done from here on is not in the state, as after a kill.
    let LimitedSink { sinks, attempted, outcomes, .. } = limited;
    drop(outcomes);
    sinks.finish(TIMEOUTS);
    let later: Vec<u64> = attempted.iter().collect();
    assert_eq!(later, [first + 5], "of the others only the summary was attempted, at the end");

    let (restored, writer) = open(&folder);
    let ids: Vec<_> = restored.notices.iter().map(|row| row.alert_id.as_str()).collect();
    assert_eq!(ids, ["c", "d", "e"]);
    assert!(writer.finish(TIMEOUTS.others));
    let limited = start_limited(&folder, 1, HOUR);
    assert_eq!(limited.deliver(), first + 2);
    // The end of the program does not wait for that of the hour. The summary has a number of its own.
    limited.outcomes.send(Ok(1)).expect("it will wait for an outcome");
    let finished = limited.sinks.finish(TIMEOUTS);
    assert_eq!(limited.attempted.recv(), Ok(first + 5));
    let want = Counts { queued: 4, delivered: 2, summarised: 2, ..Counts::default() };
    assert_eq!(finished, [SinkResult { sink: SinkName::File, counts: want, in_time: true, is_kept: true }]);
    assert!(limited.writer.finish(TIMEOUTS.others));
    let (restored, writer) = open(&folder);
    assert_eq!((&restored.notices[..], &restored.outbox[..]), (&[][..], &[][..]));
    let counters =
        r#"{"delivered":4,"retried":0,"failed":0,"dropped":0,"dropped_openings":0,"summarised":2}"#;
    assert_eq!(restored.counters, [("AlertFile".to_owned(), counters.to_owned())]);
    assert!(writer.finish(TIMEOUTS.others));
}

/// The program is killed while it delivers a summary.
#[test]
fn a_summary_takes_the_place_of_its_notices_in_the_state_and_comes_again_as_the_same() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    // The thread wakes up at the end of the window, and summarises what waited when it began.
    let limited = start_limited(&folder, 1, Duration::from_millis(50));
    let receipts = limited.sinks.notify_all(UnixNanos(7), ["a", "b", "c"].map(opening), Changes::default());
    let first = receipts[0].number;
    assert_eq!(limited.deliver(), first);
    assert_eq!(limited.attempted.recv(), Ok(first + 3));
    assert!(limited.writer.finish(TIMEOUTS.others));

    let rows = || {
        let (restored, writer) = open(&folder);
        assert!(writer.finish(TIMEOUTS.others));
        restored.notices
    };
    let [row] = &rows()[..] else { panic!("{:?}", rows()) };
    assert_eq!((row.step.as_str(), row.number), ("summary", first + 3));
    assert!(row.alert_id.starts_with("summary-") && row.alert_id.ends_with(&format!("-{}", first + 3)));
    let again = start_limited(&folder, 1, Duration::ZERO);
    assert_eq!(counts(&again.sinks, SinkName::File).waiting(), 1);
    assert_eq!(again.deliver(), first + 3);
    let finished = again.sinks.finish(TIMEOUTS);
    assert_eq!((finished[0].counts.delivered, finished[0].counts.waiting()), (1, 0));
    assert!(again.writer.finish(TIMEOUTS.others));
    assert_eq!(rows(), []);
}

#[test]
fn a_rate_that_is_turned_off_by_a_reload_lets_everything_through_in_order() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let limited = start_limited(&folder, 1, HOUR);
    limited.sinks.notify_all(UnixNanos(7), ["a", "b", "c"].map(opening), Changes::default());
    let first = limited.deliver();
    while counts(&limited.sinks, SinkName::File).delivered < 1 {
        std::thread::yield_now();
    }
    let (scripted, attempted, outcomes) = Scripted::new(SOON);
    let update = SinkUpdate { sinks: vec![Box::new(scripted)], names: None, geoip: no_geoip() };
    limited.sinks.reconfigure(update).expect("no thread is needed");
    for number in [first + 1, first + 2] {
        assert_eq!(attempted.recv(), Ok(number));
        outcomes.send(Ok(1)).expect("it waits for an outcome");
    }
    let want = Counts { queued: 3, delivered: 3, ..Counts::default() };
    assert_eq!(limited.sinks.finish(TIMEOUTS)[0].counts, want);
    assert!(limited.writer.finish(TIMEOUTS.others));
}

/// The log and `AlertFile` have each notice.
#[test]
fn the_rate_applies_to_program_webhook_and_syslog() {
    let rate = Some(AlertRate::per_minute(3));
    let options = SinkOptions {
        rate,
        file: Some(FileOptions { path: "/none/alerts.jsonl".into(), bytes_max: 1_000_000, keep: 0 }),
        command: Some(CommandOptions { program: "/none".into(), arguments: Vec::new(), time_limit: HOUR }),
        webhook: Some(WebhookOptions::new(Secret::InFile("/none".into()), WebhookFormat::Json, None)),
        syslog: Some(SyslogOptions::new(SyslogTarget::Unix("/none".into()), Facility::DAEMON)),
        ..SinkOptions::default()
    };
    let sinks = options.sinks(Vec::new(), LinePrefix::Journal);
    let rates: Vec<_> = sinks.iter().map(|sink| (sink.name(), sink.rate())).collect();
    let want = [
        (SinkName::Log, None),
        (SinkName::File, None),
        (SinkName::Command, rate),
        (SinkName::Webhook, rate),
        (SinkName::Syslog, rate),
    ];
    assert_eq!(rates, want);
}
