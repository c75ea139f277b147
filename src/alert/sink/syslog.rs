//! `Syslog`: the log lines of each notice, each a message to a log collector.
//!
//! ```text
//! udp, tcp   <28>1 2026-09-21T14:13:20.000000Z gw TrafficAlerted 42 TRAFFIC [alert@32473 id="..."] EVENT=TRAFFIC ...
//!            <28>1 2026-09-21T14:13:20.000000Z gw TrafficAlerted 42 TRAFFIC [alert@32473 id="..."] WHY=TRAFFIC ...
//! unix       <28>Sep 21 14:13:20 TrafficAlerted[42]: EVENT=TRAFFIC ...
//!            <28>Sep 21 14:13:20 TrafficAlerted[42]: WHY=TRAFFIC ...
//! ```
//!
//! The sentence of each notice, also of a growth and an end, is a message of its own, as that of an opening is a line
//! of its own in the log: the list of destinations before it may fill a datagram, and many collectors store the text
//! of a message without its structured data.
//!
//! Over a network the form is RFC 5424, with one message per datagram (RFC 5426) or octet counting on a connection (RFC
//! 6587, section 3.4.1). Readers of `/dev/log` (journald, rsyslog, busybox) expect the form that `syslog(3)` of the C
//! library writes, and treat the version and date of RFC 5424 as text. So messages to a local socket have the form of
//! `syslog(3)`.
//!
//! No syslog protocol acknowledges messages. A port at which no process listens, and a connection that the receiver has
//! closed, are usually detected before a message is lost. A collector that disappears from the network is not.

#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use nix::sys::socket::{setsockopt, sockopt};
use ureq::http::Uri;

use crate::alert::json::timestamp;
use crate::alert::line::Line;
use crate::alert::notice::Notice;
use crate::alert::record::AlertState;
use crate::alert::why_line::WhyLine;

use super::counters::SinkName;
use super::gateway::gateway_name;
use super::queued_notice::QueuedContent;
use super::retry::Retry;
use super::shutdown::Shutdown;
use super::summary::{
    NoticeSummary, SUMMARY_KIND, SUMMARY_STATE, StepCounts, SummaryLine, SummarySentence, summary_id,
};
use super::worker::{Failure, QueuedNotice, Sink};
use crate::enrich::resolve;

/// The collector and how messages are sent to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogOptions {
    /// The collector.
    pub target: SyslogTarget,
    /// The facility of the messages (RFC 5424, table 1).
    pub facility: Facility,
    /// Timeout of a lookup, a connection or a write.
    pub timeout: Duration,
}

impl SyslogOptions {
    /// Creates options with a timeout of 5 seconds, which suits a network.
    pub fn new(target: SyslogTarget, facility: Facility) -> Self {
        Self { target, facility, timeout: Duration::from_secs(5) }
    }
}

/// The address of a log collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogTarget {
    /// UDP datagrams to this `host:port`.
    Udp(String),
    /// A TCP connection to this `host:port`.
    Tcp(String),
    /// Datagrams to the Unix socket of this path.
    Unix(PathBuf),
}

impl SyslogTarget {
    /// Parses `udp://host:port`, `tcp://host:port` or `unix:/path`. The default port is 514.
    ///
    /// # Errors
    /// The text has another form; the error names the fault.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.starts_with('/') {
                Ok(Self::Unix(path.into()))
            } else {
                Err("not an absolute path")
            };
        }
        let kind = match text.split_once("://") {
            Some(("udp", _)) => Self::Udp,
            Some(("tcp", _)) => Self::Tcp,
            _ => return Err("neither udp://, tcp:// nor unix:"),
        };
        let uri: Uri = text.parse().map_err(|_| "not an address")?;
        let authority = uri.authority().ok_or("no host")?;
        if authority.as_str().contains('@') || uri.path().len() > 1 || uri.query().is_some() {
            return Err("more than a host and a port");
        }
        if authority.host().is_empty() {
            return Err("no host");
        }
        // `port_u16` is `None` as well if the port is not a number of 16 bits.
        let has_port = authority.as_str().len() > authority.host().len();
        match authority.port_u16() {
            None if has_port => Err("not a port"),
            port => Ok(kind(format!("{}:{}", authority.host(), port.unwrap_or(PORT)))),
        }
    }
}

/// The port that IANA assigned to syslog over UDP; collectors use it for TCP as well.
const PORT: u16 = 514;

impl fmt::Display for SyslogTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(to) => write!(f, "udp://{to}"),
            Self::Tcp(to) => write!(f, "tcp://{to}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A facility (RFC 5424, table 1), with its name in `syslog.conf(5)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facility {
    code: u8,
    name: &'static str,
}

impl Facility {
    /// `daemon`.
    pub const DAEMON: Self = Self { code: 3, name: "daemon" };

    /// The facilities that a program may use.
    pub const ALL: &'static [Self] = &[
        Self { code: 1, name: "user" },
        Self::DAEMON,
        Self { code: 4, name: "auth" },
        Self { code: 10, name: "authpriv" },
        Self { code: 16, name: "local0" },
        Self { code: 17, name: "local1" },
        Self { code: 18, name: "local2" },
        Self { code: 19, name: "local3" },
        Self { code: 20, name: "local4" },
        Self { code: 21, name: "local5" },
        Self { code: 22, name: "local6" },
        Self { code: 23, name: "local7" },
    ];

    /// Returns the name of the facility.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// Returns `PRI` (RFC 5424, section 6.2.1): facility and severity in one number.
    fn priority(self, state: AlertState) -> u8 {
        let severity = match state {
            AlertState::Open => WARNING,
            AlertState::Possible | AlertState::Closed => NOTICE,
            AlertState::Test => INFORMATIONAL,
        };
        self.code * 8 + severity
    }

    fn summary_priority(self, summary: &NoticeSummary) -> u8 {
        self.priority(if summary.steps().opened > 0 { AlertState::Open } else { AlertState::Closed })
    }
}

const WARNING: u8 = 4;
const NOTICE: u8 = 5;
const INFORMATIONAL: u8 = 6;

pub(super) struct Syslog {
    options: SyslogOptions,
    retry: Retry,
    gateway: String,
    connection: Option<Connection>,
    /// The notice of which some messages were sent and the next one failed, and the number of those that were sent.
    partly_sent: Option<(u64, usize)>,
}

enum Connection {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Unix(UnixDatagram),
}

impl Syslog {
    pub(super) fn new(options: SyslogOptions, retry: Retry) -> Self {
        Self { options, retry, gateway: gateway_name(), connection: None, partly_sent: None }
    }

    /// Returns the messages of a notice: its log line, and the line with its sentence.
    fn messages(&self, queued: &QueuedNotice) -> [String; 2] {
        let texts = match &queued.content {
            QueuedContent::Notice(notice) => {
                [Line(notice).to_string(), WhyLine::with(notice, queued.source()).to_string()]
            }
            QueuedContent::Summary(summary) => {
                let why = format!("WHY={SUMMARY_KIND} | {}", SummarySentence(summary).body());
                [SummaryLine(summary).to_string(), why]
            }
        };
        texts.map(|text| self.message(queued, &text))
    }

    fn message(&self, queued: &QueuedNotice, text: &str) -> String {
        let facility = self.options.facility;
        let priority = match &queued.content {
            QueuedContent::Notice(notice) => facility.priority(notice.state()),
            QueuedContent::Summary(summary) => facility.summary_priority(summary),
        };
        match self.options.target {
            SyslogTarget::Unix(_) => local_message(priority, queued, text, &TimeZone::system()),
            SyslogTarget::Udp(_) => {
                bounded(network_message(priority, queued, text, &self.gateway), DATAGRAM_MAX)
            }
            SyslogTarget::Tcp(_) => network_message(priority, queued, text, &self.gateway),
        }
    }

    /// Sends the messages of a notice that an earlier attempt has not sent.
    fn send_all(&mut self, queued: &QueuedNotice) -> io::Result<()> {
        let sent = self.partly_sent.take().filter(|&(number, _)| number == queued.number);
        let sent = sent.map_or(0, |(_, sent)| sent);
        for (at, message) in self.messages(queued).iter().enumerate().skip(sent) {
            self.send(message).inspect_err(|_| self.partly_sent = Some((queued.number, at)))?;
        }
        Ok(())
    }

    /// Sends over the open connection if [`Connection::is_alive`], otherwise over a new one.
    fn send(&mut self, message: &str) -> io::Result<()> {
        let connection = match self.connection.take().filter(Connection::is_alive) {
            Some(connection) => connection,
            None => Connection::open(&self.options)?,
        };
        connection.send(message)?;
        self.connection = Some(connection);
        Ok(())
    }
}

impl Sink for Syslog {
    fn name(&self) -> SinkName {
        SinkName::Syslog
    }

    fn retry(&self) -> Retry {
        self.retry
    }

    fn wants_growth(&self) -> bool {
        true
    }

    fn caveat(&self) -> Option<&'static str> {
        match self.options.target {
            SyslogTarget::Udp(_) => Some("sent; nothing tells whether a datagram arrives"),
            SyslogTarget::Tcp(_) | SyslogTarget::Unix(_) => None,
        }
    }

    fn deliver(&mut self, batch: &[Arc<QueuedNotice>], _: &Shutdown) -> Result<usize, Failure> {
        match self.send_all(&batch[0]) {
            Ok(()) => Ok(1),
            Err(error) => {
                let remedy = match error.kind() {
                    ErrorKind::NotFound => "no daemon has made this socket",
                    ErrorKind::ConnectionRefused => "no daemon listens there",
                    ErrorKind::PermissionDenied => "let the user that runs TrafficAlerted write there",
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => "it does not answer in time",
                    _ => "check the address and the collector",
                };
                Err(Failure::passing(format!("{} takes nothing: {error}: {remedy}", self.options.target)))
            }
        }
    }
}

impl Connection {
    fn open(options: &SyslogOptions) -> io::Result<Self> {
        let timeout = options.timeout;
        match &options.target {
            SyslogTarget::Udp(to) => first(&resolve(to, timeout)?, connect_udp).map(Self::Udp),
            SyslogTarget::Tcp(to) => {
                first(&resolve(to, timeout)?, |to| connect_tcp(to, timeout)).map(Self::Tcp)
            }
            SyslogTarget::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.set_write_timeout(Some(timeout))?;
                socket.connect(path)?;
                Ok(Self::Unix(socket))
            }
        }
    }

    /// Returns true if the receiver has neither closed the connection nor refused the last datagram.
    fn is_alive(&self) -> bool {
        match self {
            Self::Udp(socket) => socket.take_error().is_ok_and(|error| error.is_none()),
            Self::Unix(_) => true,
            Self::Tcp(stream) => is_open(stream).unwrap_or(false),
        }
    }

    fn send(&self, message: &str) -> io::Result<()> {
        match self {
            Self::Udp(socket) => {
                socket.send(message.as_bytes())?;
                // An ICMP refusal by this machine is received at once, and one by a near machine often is.
                socket.take_error()?.map_or(Ok(()), Err)
            }
            Self::Unix(socket) => socket.send(message.as_bytes()).map(drop),
            Self::Tcp(stream) => {
                let mut stream = stream;
                stream.write_all(format!("{} {message}", message.len()).as_bytes())
            }
        }
    }
}

/// Opens a connection to each address in turn until one succeeds. Returns that one.
///
/// # Errors
/// The error of the last address.
fn first<T>(addresses: &[SocketAddr], open: impl Fn(&SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let mut last = Err(io::Error::new(ErrorKind::NotFound, "the name has no address"));
    for address in addresses {
        last = open(address);
        if last.is_ok() {
            break;
        }
    }
    last
}

fn connect_udp(to: &SocketAddr) -> io::Result<UdpSocket> {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.connect(to)?;
    Ok(socket)
}

fn connect_tcp(to: &SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(to, timeout)?;
    stream.set_write_timeout(Some(timeout))?;
    // The kernel closes the connection if data is not acknowledged within this time (TCP_USER_TIMEOUT of tcp(7)), so
    // that the next message is sent over a new one.
    let ms = u32::try_from(UNACKNOWLEDGED_MAX.as_millis()).unwrap_or(u32::MAX);
    setsockopt(&stream, sockopt::TcpUserTimeout, &ms)?;
    Ok(stream)
}

/// Maximum time that sent data may be unacknowledged.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(30);

/// Returns false if the receiver has closed the connection. Discards bytes that the receiver sent.
fn is_open(stream: &TcpStream) -> io::Result<bool> {
    stream.set_nonblocking(true)?;
    let is_open = is_still_open(stream);
    stream.set_nonblocking(false)?;
    Ok(is_open)
}

/// Reads and discards what has arrived, up to the end of the connection, which is seen only after it. Returns false if
/// the end was reached. `from` must not block. A receiver that sends more than [`READS_MAX`] reads take is alive.
fn is_still_open(mut from: impl Read) -> bool {
    let mut ignored = [0; 4096];
    for _ in 0..READS_MAX {
        match from.read(&mut ignored) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
    true
}

/// Maximum number of reads before a message: up to 256 KiB of what a receiver sent.
const READS_MAX: usize = 64;

/// Maximum length of a datagram in bytes (RFC 5426, section 3.2: a receiver SHOULD accept 2048).
const DATAGRAM_MAX: usize = 2048;

/// The SD-ID of the structured data, with the enterprise number for documentation (RFC 5612).
const STRUCTURED: &str = "alert@32473";

/// Formats a message as RFC 5424, section 6.
fn network_message(priority: u8, queued: &QueuedNotice, text: &str, gateway: &str) -> String {
    let at = timestamp(queued.at).strftime("%Y-%m-%dT%H:%M:%S.%6fZ");
    let (kind, data) = match &queued.content {
        QueuedContent::Notice(notice) => (notice.alert().kind.name(), notice_data(notice)),
        QueuedContent::Summary(summary) => {
            (SUMMARY_KIND, summary_data(summary, summary_id(queued.number, queued.at)))
        }
    };
    let data: String =
        data.into_iter().map(|(name, value)| format!(" {name}=\"{}\"", escaped(&value))).collect();
    let id = process::id();
    format!("<{priority}>1 {at} {gateway} TrafficAlerted {id} {kind} [{STRUCTURED}{data}] {text}")
}

/// Returns the structured data of a notice.
fn notice_data(notice: &Notice) -> Vec<(&'static str, String)> {
    let alert = notice.alert();
    let mut data = vec![("id", alert.id.clone()), ("state", notice.state().word().to_owned())];
    data.extend(alert.source.map(|source| ("source", source.to_string())));
    data.extend([("measured", alert.measured.to_string()), ("limit", alert.limit.to_string())]);
    data.extend((alert.progress.error_bound > 0).then(|| ("up_to", alert.upper_bound().to_string())));
    data
}

/// Returns the structured data of a summary.
fn summary_data(summary: &NoticeSummary, id: String) -> Vec<(&'static str, String)> {
    let StepCounts { opened, confirmed, grown, closed } = summary.steps();
    let counts = [
        ("notices", summary.notices()),
        ("opened", opened),
        ("confirmed", confirmed),
        ("grown", grown),
        ("closed", closed),
    ];
    let mut data = vec![("id", id), ("state", SUMMARY_STATE.to_owned())];
    data.extend(counts.map(|(name, count)| (name, count.to_string())));
    data
}

/// Escapes a value of structured data (RFC 5424, section 6.3.3).
fn escaped(value: &str) -> String {
    value.chars().flat_map(|c| matches!(c, '"' | '\\' | ']').then_some('\\').into_iter().chain([c])).collect()
}

/// Formats a message as `syslog(3)` of the C library does.
fn local_message(priority: u8, queued: &QueuedNotice, text: &str, zone: &TimeZone) -> String {
    let at = timestamp(queued.at).to_zoned(zone.clone()).strftime("%b %e %H:%M:%S").to_string();
    format!("<{priority}>{at} TrafficAlerted[{}]: {text}", process::id())
}

/// Cuts a message to `bytes_max` bytes, at a character boundary.
fn bounded(mut message: String, bytes_max: usize) -> String {
    message.truncate(message.floor_char_boundary(bytes_max));
    message
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use crate::alert::record::{Alert, AlertProgress};
    use crate::alert::sample;
    use crate::time::UnixNanos;

    use super::*;

    const AT: UnixNanos = UnixNanos(1_790_000_000_250_000_000);

    fn queued(notice: Notice) -> QueuedNotice {
        QueuedNotice::new(1, AT, notice)
    }

    fn syslog(target: SyslogTarget) -> Syslog {
        let options = SyslogOptions {
            timeout: Duration::from_secs(60),
            ..SyslogOptions::new(target, Facility::DAEMON)
        };
        Syslog { gateway: "gw".to_owned(), ..Syslog::new(options, Retry::default()) }
    }

    fn deliver(syslog: &mut Syslog) -> Result<usize, Failure> {
        let queued = queued(Notice::Opened(sample::traffic()));
        syslog.deliver(&[Arc::new(queued)], &Shutdown::new().expect("descriptors"))
    }

    fn want() -> [String; 2] {
        let line = "EVENT=TRAFFIC SRC=192.0.2.1 TOTALBYTES=1200000000 | DSTINFO=[{198.51.100.1 1200000000}]";
        let why = "WHY=TRAFFIC SRC=192.0.2.1 | 192.0.2.1 sent 1.2 GB in 170 s, the limit is 1 GB";
        [line, why].map(want_with)
    }

    fn want_with(text: &str) -> String {
        format!(
            "<28>1 2026-09-21T14:13:20.250000Z gw TrafficAlerted {} TRAFFIC [alert@32473 id=\"test-1790000000\" \
             state=\"open\" source=\"192.0.2.1\" measured=\"1200000000\" limit=\"1000000000\"] {text}",
            process::id()
        )
    }

    #[test]
    fn a_datagram_is_one_message_of_rfc_5424() {
        let receiver = UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
        receiver.set_read_timeout(Some(Duration::from_secs(60))).expect("not zero");
        let to = receiver.local_addr().expect("it is bound").to_string();
        let mut syslog = syslog(SyslogTarget::Udp(to));
        let mut bytes = [0; 4096];
        for _ in 0..2 {
            deliver(&mut syslog).unwrap_or_else(|failure| panic!("{}", failure.why));
            for want in want() {
                let length = receiver.recv(&mut bytes).expect("it came");
                assert_eq!(String::from_utf8_lossy(&bytes[..length]), want);
            }
        }
        drop(receiver);
        let failure = deliver(&mut syslog).expect_err("the port is closed");
        assert!(failure.why.contains("no daemon listens there") && failure.is_passing, "{}", failure.why);
    }

    #[test]
    fn a_growth_and_an_end_have_a_sentence_as_well() {
        let syslog = syslog(SyslogTarget::Udp("127.0.0.1:514".to_owned()));
        let progress = AlertProgress { last: 5_000_000_000, ..AlertProgress::default() };
        let grown = Alert { measured: 5_000_000_000, progress, ..sample::traffic() };
        let closed =
            Alert { closed_at: Some(grown.opened_at.plus(Duration::from_secs(212))), ..grown.clone() };
        let cases = [
            (
                Notice::Grown(grown, 5),
                "] WHY=TRAFFIC SRC=192.0.2.1 | TRAFFIC grows: 192.0.2.1 has sent 5 GB in 170 s, 5 times the limit \
                 of 1 GB",
            ),
            (
                Notice::Closed(closed),
                "] WHY=TRAFFIC SRC=192.0.2.1 | TRAFFIC is over after 3 min 32 s: 192.0.2.1 sent at most 5 GB in \
                 170 s, the limit is 1 GB",
            ),
        ];
        for (notice, end) in cases {
            let [_, why] = syslog.messages(&queued(notice));
            assert!(why.ends_with(end), "{why}");
        }
    }

    #[test]
    fn a_connection_carries_lengths_and_messages_and_is_reopened() {
        let receiver = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let to = receiver.local_addr().expect("it is bound").to_string();
        let mut syslog = syslog(SyslogTarget::Tcp(to));
        let frame: String = want().map(|want| format!("{} {want}", want.len())).concat();
        let read = |stream: &mut TcpStream| {
            let mut bytes = vec![0; frame.len()];
            stream.set_read_timeout(Some(Duration::from_secs(60))).expect("not zero");
            stream.read_exact(&mut bytes).expect("it came");
            assert_eq!(String::from_utf8_lossy(&bytes), frame);
        };
        deliver(&mut syslog).unwrap_or_else(|failure| panic!("{}", failure.why));
        let (mut first, _) = receiver.accept().expect("it listens");
        read(&mut first);
        deliver(&mut syslog).unwrap_or_else(|failure| panic!("{}", failure.why));
        read(&mut first);
        // The collector closes the connection before the next message, as if it restarted.
        drop(first);
        deliver(&mut syslog).unwrap_or_else(|failure| panic!("{}", failure.why));
        let (mut second, _) = receiver.accept().expect("it listens");
        read(&mut second);
        drop((second, receiver));
        let failure = deliver(&mut syslog).expect_err("the port is closed");
        assert!(failure.why.contains("no daemon listens there") && failure.is_passing, "{}", failure.why);
    }

    #[test]
    fn a_collector_that_reads_nothing_is_abandoned_at_the_deadline() {
        let receiver = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let to = receiver.local_addr().expect("it is bound").to_string();
        let mut syslog = syslog(SyslogTarget::Tcp(to));
        syslog.options.timeout = Duration::from_millis(50);
        let delivered = (0..1_000_000).map(|_| deliver(&mut syslog)).find_map(Result::err);
        let failure = delivered.expect("no buffer has room for all messages");
        assert!(failure.why.contains("it does not answer in time"), "{}", failure.why);
    }

    #[test]
    fn the_local_socket_gets_the_form_of_syslog_3() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("log");
        let failure = deliver(&mut syslog(SyslogTarget::Unix(path.clone()))).expect_err("the port is closed");
        assert!(failure.why.contains("no daemon has made this socket"), "{}", failure.why);
        let receiver = UnixDatagram::bind(&path).expect("the folder is ours");
        deliver(&mut syslog(SyslogTarget::Unix(path))).unwrap_or_else(|failure| panic!("{}", failure.why));
        let mut bytes = [0; 4096];
        let length = receiver.recv(&mut bytes).expect("it came");
        let text = String::from_utf8_lossy(&bytes[..length]);
        let end = format!(" TrafficAlerted[{}]: EVENT=TRAFFIC SRC=192.0.2.1", process::id());
        assert!(text.starts_with("<28>Sep 2") && text.contains(&end), "{text}");
        let length = receiver.recv(&mut bytes).expect("it came");
        let text = String::from_utf8_lossy(&bytes[..length]);
        let end = format!(" TrafficAlerted[{}]: WHY=TRAFFIC SRC=192.0.2.1 | 192.0.2.1 sent", process::id());
        assert!(text.starts_with("<28>Sep 2") && text.contains(&end), "{text}");
        let opened = queued(Notice::Opened(sample::traffic()));
        let message = local_message(28, &opened, "EVENT=TRAFFIC", &TimeZone::UTC);
        assert!(message.starts_with("<28>Sep 21 14:13:20 TrafficAlerted["), "{message}");
    }

    #[test]
    fn a_repeated_attempt_sends_only_the_message_that_failed() {
        let receiver = UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
        receiver.set_read_timeout(Some(Duration::from_secs(60))).expect("not zero");
        let to = receiver.local_addr().expect("it is bound").to_string();
        let mut syslog = syslog(SyslogTarget::Udp(to));
        let mut bytes = [0; 4096];
        let mut next = || {
            let length = receiver.recv(&mut bytes).expect("it came");
            String::from_utf8_lossy(&bytes[..length]).into_owned()
        };
        let [line, why] = want();
        syslog.partly_sent = Some((1, 1));
        deliver(&mut syslog).unwrap_or_else(|failure| panic!("{}", failure.why));
        assert_eq!(next(), why);
        // What was sent of another notice says nothing about this one.
        syslog.partly_sent = Some((7, 1));
        deliver(&mut syslog).unwrap_or_else(|failure| panic!("{}", failure.why));
        assert_eq!([next(), next()], [line, why]);
        drop(receiver);
        deliver(&mut syslog).expect_err("the port is closed");
        let failed = syslog.partly_sent.expect("a message was refused");
        assert_eq!(failed.0, 1);
    }

    #[test]
    fn a_possible_alert_shows_its_upper_bound() {
        let progress =
            AlertProgress { is_possible: true, error_bound: 300_000_000, ..AlertProgress::default() };
        let possible = Notice::Opened(Alert { limit: 1_400_000_000, progress, ..sample::traffic() });
        let message = network_message(29, &queued(possible.clone()), &Line(&possible).to_string(), "gw");
        let end = "state=\"possible\" source=\"192.0.2.1\" measured=\"1200000000\" limit=\"1400000000\" \
                   up_to=\"1500000000\"] POSSIBLE=TRAFFIC SRC=192.0.2.1 TOTALBYTES=1200000000 | \
                   DSTINFO=[{198.51.100.1 1200000000}] | UPTO=1500000000 LIMIT=1400000000";
        assert!(message.ends_with(end), "{message}");
    }

    #[test]
    fn severities_follow_the_state_and_long_datagrams_lose_their_end() {
        let priority = |state| Facility::ALL[11].priority(state);
        assert_eq!(
            [AlertState::Open, AlertState::Possible, AlertState::Closed, AlertState::Test].map(priority),
            [188, 189, 189, 190]
        );
        assert_eq!(bounded("é".repeat(5), 5), "éé");
        assert_eq!(escaped(r#"a"b\c]d"#), r#"a\"b\\c\]d"#);
    }

    #[test]
    fn collectors_are_named_by_kind_and_address() {
        let cases = [
            ("udp://127.0.0.1:5514", Ok("udp://127.0.0.1:5514")),
            ("udp://[2001:db8::1]", Ok("udp://[2001:db8::1]:514")),
            ("tcp://logs.example/", Ok("tcp://logs.example:514")),
            ("unix:/dev/log", Ok("unix:/dev/log")),
            ("unix:///dev/log", Ok("unix:/dev/log")),
            ("unix:dev/log", Err("not an absolute path")),
            ("/dev/log", Err("neither udp://, tcp:// nor unix:")),
            ("tls://logs.example", Err("neither udp://, tcp:// nor unix:")),
            ("udp://", Err("not an address")),
            ("udp://:514", Err("no host")),
            ("udp://a:65536", Err("not a port")),
            ("udp://a@b", Err("more than a host and a port")),
            ("udp://a/b", Err("more than a host and a port")),
        ];
        for (text, want) in cases {
            let read = SyslogTarget::parse(text).map(|target| target.to_string());
            assert_eq!(read, want.map(str::to_owned), "{text}");
        }
    }
}
