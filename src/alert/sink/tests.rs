//! Sinks side by side: what one does must not matter to another.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use jiff::tz::TimeZone;

use crate::alert::{Alert, AlertKind, sample};
use crate::enrich::geoip_sample;

use super::log::LOCAL_QUEUE_MAX;
use super::shutdown::Shutdown;
use super::worker::{Failure, REMOTE_QUEUE_MAX};
use super::*;

const PATIENT: ShutdownTimeouts =
    ShutdownTimeouts { log: Duration::from_secs(60), others: Duration::from_secs(60) };

/// Pauses that a test does not notice.
pub(super) const SOON: Retry = Retry {
    first_pause: Duration::from_millis(1),
    longest_pause: Duration::from_millis(1),
    longest_asked_for: Duration::from_millis(1),
    give_up_after: Some(Duration::from_secs(3600)),
};

/// A log that takes nothing while its lock is held.
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

/// A sink that tells of each attempt and does as it is told.
struct Told {
    attempts: Sender<u64>,
    orders: Receiver<Result<usize, Failure>>,
    retry: Retry,
}

impl Told {
    fn new(retry: Retry) -> (Self, Receiver<u64>, Sender<Result<usize, Failure>>) {
        let (attempts, attempted) = channel();
        let (give, orders) = channel();
        (Self { attempts, orders, retry }, attempted, give)
    }
}

impl Sink for Told {
    fn name(&self) -> SinkName {
        SinkName::File
    }

    fn retry(&self) -> Retry {
        self.retry
    }

    fn deliver(&mut self, batch: &[Arc<QueuedNotice>], _: &Shutdown) -> Result<usize, Failure> {
        let _ = self.attempts.send(batch[0].number);
        self.orders.recv().unwrap_or_else(|_| Err(Failure::lasting("the test is over")))
    }
}

fn log(log: &Slow, prefix: LinePrefix) -> Box<dyn Sink> {
    Box::new(LogSink::new(log.clone(), prefix))
}

/// No file tells where anybody comes from.
fn nowhere() -> GeoIp {
    GeoIp::read(GeoIpOptions::default())
}

fn notice(n: u64) -> Notice {
    let alert = sample::traffic();
    Notice::Opened(Alert { kind: AlertKind::ScanningPort, measured: n, ports: vec![n as u16], ..alert })
}

fn counts(sinks: &Sinks, sink: SinkName) -> Counts {
    sinks.counters().each().find(|(name, _)| *name == sink).expect("it is configured").1
}

#[test]
fn a_log_that_hangs_delays_nobody_and_what_it_lost_is_known() {
    let slow = Slow::default();
    let prefix = LinePrefix::Clock(TimeZone::UTC);
    let mut sinks = Sinks::start_sinks(vec![log(&slow, prefix)], None, nowhere()).expect("a thread");
    let held = slow.0.lock().expect("no writer panicked");
    // One line may be in the writer's hands; the queue holds the rest.
    for n in 0..LOCAL_QUEUE_MAX as u64 + 10 {
        sinks.say(UnixNanos(1_136_214_245_000_000_000), notice(n));
    }
    let dropped = counts(&sinks, SinkName::Log).dropped;
    assert!((9..=10).contains(&dropped), "{dropped}");
    drop(held);
    let written = LOCAL_QUEUE_MAX as u64 + 10 - dropped;
    let counts = Counts { queued: written, delivered: written, dropped, ..Counts::default() };
    assert_eq!(sinks.finish(PATIENT), [SinkResult { sink: SinkName::Log, counts, in_time: true }]);
    assert_eq!(slow.text().lines().count() as u64, written);
    assert_eq!(
        slow.text().lines().next(),
        Some("2006/01/02 15:04:05 EVENT=SCANNING_PORT SRC=192.0.2.1 PORTS=[0]")
    );
}

#[test]
fn a_log_for_programs_has_the_object_of_the_alert() {
    let slow = Slow::default();
    let prefix = LinePrefix::Json { for_journal: true };
    let mut sinks = Sinks::start_sinks(vec![log(&slow, prefix)], None, nowhere()).expect("a thread");
    sinks.say(UnixNanos(0), notice(7));
    sinks.finish(PATIENT);
    let text = slow.text();
    assert!(
        text.starts_with(r#"<4>{"id":"test-1790000000","kind":"SCANNING_PORT","state":"open""#),
        "{text}"
    );
    assert!(text.ends_with("}\n"), "{text}");
}

#[test]
fn the_end_waits_for_a_hanging_log_only_so_long() {
    let slow = Slow::default();
    let mut sinks =
        Sinks::start_sinks(vec![log(&slow, LinePrefix::Journal)], None, nowhere()).expect("a thread");
    let _held = slow.0.lock().expect("no writer panicked");
    sinks.say(UnixNanos(0), notice(1));
    let finished = sinks.finish(ShutdownTimeouts { log: Duration::from_millis(1), ..PATIENT });
    assert_eq!((finished[0].in_time, finished[0].counts.waiting()), (false, 1));
}

#[test]
fn while_one_hangs_the_others_deliver_and_memory_has_a_bound() {
    let slow = Slow::default();
    let (told, attempted, orders) = Told::new(SOON);
    let sinks = vec![log(&slow, LinePrefix::Journal), Box::new(told) as Box<dyn Sink>];
    let mut sinks = Sinks::start_sinks(sinks, None, nowhere()).expect("threads");
    sinks.say(UnixNanos(0), notice(0));
    assert_eq!(attempted.recv(), Ok(1), "it is in its hands, where it stays");
    let said = REMOTE_QUEUE_MAX as u64 + 5;
    let taken: Vec<bool> = (0..said).map(|n| sinks.say(UnixNanos(0), notice(n)).is_for_file).collect();
    assert_eq!(taken.iter().filter(|is_taken| **is_taken).count(), REMOTE_QUEUE_MAX);
    assert!(!taken[REMOTE_QUEUE_MAX], "the newest are dropped");
    let hanging = counts(&sinks, SinkName::File);
    assert_eq!((hanging.queued, hanging.dropped, hanging.waiting()), (1 + said - 5, 5, 1 + said - 5));
    while counts(&sinks, SinkName::Log).waiting() > 0 {
        std::thread::yield_now();
    }
    assert_eq!(slow.text().lines().count() as u64, 1 + said);
    assert_eq!(sinks.filed(), 0);
    drop(orders);
    let finished = sinks.finish(PATIENT);
    assert_eq!((finished[1].counts.failed, finished[1].counts.lost()), (1 + said - 5, 1 + said));
}

#[test]
fn what_fails_is_tried_again_in_order_and_acknowledged_when_it_arrived() {
    let (told, attempted, orders) = Told::new(SOON);
    let mut sinks = Sinks::start_sinks(vec![Box::new(told)], None, nowhere()).expect("a thread");
    for n in 1..=3 {
        assert_eq!(sinks.say(UnixNanos(0), notice(n)), QueueReceipt { number: n, is_for_file: true });
    }
    let order = |order, number| {
        assert_eq!(attempted.recv(), Ok(number));
        orders.send(order).expect("it waits for orders");
    };
    order(Err(Failure::passing("full")), 1);
    order(Err(Failure::passing("full")), 1);
    order(Ok(1), 1);
    order(Err(Failure::lasting("no such thing")), 2);
    assert_eq!(attempted.recv(), Ok(3));
    assert_eq!(sinks.filed(), 1);
    orders.send(Ok(1)).expect("it waits for orders");
    let want = Counts { queued: 3, delivered: 2, retried: 2, failed: 1, dropped: 0 };
    let cell = sinks.filed.clone().expect("there is a file");
    let finished = sinks.finish(PATIENT);
    assert_eq!(finished, [SinkResult { sink: SinkName::File, counts: want, in_time: true }]);
    assert_eq!(cell.load(Ordering::Acquire), 1, "the third is there, and the second is not");
}

#[test]
fn what_is_too_old_is_given_up() {
    let (told, attempted, orders) = Told::new(Retry { give_up_after: Some(Duration::ZERO), ..SOON });
    let mut sinks = Sinks::start_sinks(vec![Box::new(told)], None, nowhere()).expect("a thread");
    sinks.say(UnixNanos(0), notice(1));
    assert_eq!(attempted.recv(), Ok(1));
    orders.send(Err(Failure::passing("busy"))).expect("it waits for orders");
    let want = Counts { queued: 1, failed: 1, ..Counts::default() };
    assert_eq!(sinks.finish(PATIENT)[0].counts, want);
}

#[test]
fn the_end_cuts_a_pause_short_and_allows_one_attempt_each() {
    let hour = Duration::from_secs(3600);
    let (told, attempted, orders) =
        Told::new(Retry { first_pause: hour, longest_pause: hour, give_up_after: None, ..SOON });
    let mut sinks = Sinks::start_sinks(vec![Box::new(told)], None, nowhere()).expect("a thread");
    sinks.say(UnixNanos(0), notice(1));
    sinks.say(UnixNanos(0), notice(2));
    assert_eq!(attempted.recv(), Ok(1));
    orders.send(Err(Failure::passing("busy"))).expect("it waits for orders");
    while counts(&sinks, SinkName::File).retried == 0 {
        std::thread::yield_now();
    }
    for order in [Err(Failure::passing("still busy")), Ok(1)] {
        orders.send(order).expect("it will ask for orders");
    }
    let want = Counts { queued: 2, delivered: 1, retried: 1, failed: 1, dropped: 0 };
    assert_eq!(sinks.finish(PATIENT), [SinkResult { sink: SinkName::File, counts: want, in_time: true }]);
}

#[test]
fn a_name_server_that_is_deaf_delays_a_sink_and_not_the_log() {
    let slow = Slow::default();
    let deaf = std::net::UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
    let servers = Some(vec![deaf.local_addr().expect("it is bound")]);
    let (told, attempted, orders) = Told::new(SOON);
    let sinks = vec![log(&slow, LinePrefix::Journal), Box::new(told) as Box<dyn Sink>];
    let within = Duration::from_secs(3600);
    let mut sinks =
        Sinks::start_sinks(sinks, Some(ReverseDnsOptions { servers, within }), nowhere()).expect("threads");
    sinks.say(UnixNanos(0), notice(1));
    while counts(&sinks, SinkName::Log).delivered == 0 {
        std::thread::yield_now();
    }
    // It has asked, and waits for its hour.
    deaf.recv(&mut [0; 512]).expect("a question");
    assert_eq!(attempted.try_recv().ok(), None);
    drop(orders);
    let finished = sinks.finish(ShutdownTimeouts { others: Duration::ZERO, ..PATIENT });
    assert_eq!((finished[0].in_time, finished[1].in_time), (true, false));
}

#[test]
fn a_sink_is_told_where_the_source_comes_from_and_the_log_is_not() {
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
    let mut sinks = Sinks::start(slow.clone(), LinePrefix::Json { for_journal: false }, &options)
        .expect("the system gives threads");
    let filed = |sinks: &mut Sinks, n| {
        let number = sinks.say(UnixNanos(0), notice(n)).number;
        while sinks.filed() < number {
            std::thread::yield_now();
        }
        std::fs::read_to_string(&alerts).expect("it is ours").lines().last().map(str::to_owned)
    };
    let field = r#""source_country":"NL""#;
    assert!(filed(&mut sinks, 1).is_some_and(|line| line.contains(field)));
    std::fs::remove_file(countries).expect("it is ours");
    sinks.geoip().read_again();
    assert!(filed(&mut sinks, 2).is_some_and(|line| !line.contains("source_country")));
    sinks.finish(PATIENT);
    assert_eq!(slow.text().lines().count(), 2);
    assert!(!slow.text().contains("source_country"), "{}", slow.text());
}
