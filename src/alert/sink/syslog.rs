//! `Syslog`: the log line of each alert, for a collector of logs.
//!
//! ```text
//! udp, tcp   <28>1 2026-09-21T14:13:20.000000Z gw TrafficAlerted 42 TRAFFIC [alert@32473 id="..." ...] EVENT=TRAFFIC ...
//! unix       <28>Sep 21 14:13:20 TrafficAlerted[42]: EVENT=TRAFFIC ...
//! ```
//!
//! Over a network it is RFC 5424: one message per datagram (RFC 5426), or its length before each message
//! (RFC 6587, section 3.4.1). What reads `/dev/log` (journald, rsyslog, busybox) expects what `syslog(3)` of the C
//! library writes, and takes the version and the date of RFC 5424 for text; so it gets that.
//!
//! No syslog acknowledges. A datagram to where nobody listens, and a connection that the other end has closed, are
//! noticed before anything is lost; a collector that vanishes without a word is not.

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
use crate::alert::record::AlertState;

use super::counters::SinkName;
use super::gateway_name;
use super::retry::Retry;
use super::shutdown::Shutdown;
use super::worker::{Failure, QueuedNotice, Sink};
use crate::enrich::resolve;

/// Where messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogOptions {
    /// The collector.
    pub target: SyslogTarget,
    /// Which part of a system this program is said to be.
    pub facility: Facility,
    /// How long a connection or a write may take.
    pub within: Duration,
}

impl SyslogOptions {
    /// With a deadline that suits a network.
    pub fn new(target: SyslogTarget, facility: Facility) -> Self {
        Self { target, facility, within: Duration::from_secs(5) }
    }
}

/// A collector of logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogTarget {
    /// Datagrams to this `host:port`.
    Udp(String),
    /// A connection to this `host:port`.
    Tcp(String),
    /// Datagrams to this socket.
    Unix(PathBuf),
}

impl SyslogTarget {
    /// Reads `udp://host:port`, `tcp://host:port` or `unix:/path`; without a port it is 514.
    ///
    /// # Errors
    /// What is wrong with the text.
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
        // What is no number there is no port either.
        let has_port = authority.as_str().len() > authority.host().len();
        match authority.port_u16() {
            None if has_port => Err("not a port"),
            port => Ok(kind(format!("{}:{}", authority.host(), port.unwrap_or(PORT)))),
        }
    }
}

/// IANA's for syslog over UDP; collectors use it for TCP as well.
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

/// A part of a system (RFC 5424, table 1), by the name that `syslog.conf(5)` has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facility {
    code: u8,
    name: &'static str,
}

impl Facility {
    /// `daemon`.
    pub const DAEMON: Self = Self { code: 3, name: "daemon" };

    /// All that are not the kernel's.
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

    /// Its name.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// `PRI`: facility and severity in one number.
    fn priority(self, state: AlertState) -> u8 {
        let severity = match state {
            AlertState::Open => WARNING,
            AlertState::Possible | AlertState::Closed => NOTICE,
            AlertState::Test => INFORMATIONAL,
        };
        self.code * 8 + severity
    }
}

const WARNING: u8 = 4;
const NOTICE: u8 = 5;
const INFORMATIONAL: u8 = 6;

pub(super) struct Syslog {
    options: SyslogOptions,
    retry: Retry,
    gateway: String,
    link: Option<Connection>,
}

enum Connection {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Unix(UnixDatagram),
}

impl Syslog {
    pub(super) fn new(options: SyslogOptions, retry: Retry) -> Self {
        Self { options, retry, gateway: gateway_name(), link: None }
    }

    fn message(&self, said: &QueuedNotice) -> String {
        let priority = self.options.facility.priority(said.notice.state());
        match self.options.target {
            SyslogTarget::Unix(_) => local_message(priority, said, &TimeZone::system()),
            SyslogTarget::Udp(_) => bounded(network_message(priority, said, &self.gateway), DATAGRAM_MAX),
            SyslogTarget::Tcp(_) => network_message(priority, said, &self.gateway),
        }
    }

    /// Sends over the link that stands, if the other end still holds it, or over a new one.
    fn send(&mut self, message: &str) -> io::Result<()> {
        let link = match self.link.take().filter(Connection::is_alive) {
            Some(link) => link,
            None => Connection::open(&self.options)?,
        };
        link.send(message)?;
        self.link = Some(link);
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

    fn caveat(&self) -> Option<&'static str> {
        match self.options.target {
            SyslogTarget::Udp(_) => Some("sent; nothing tells whether a datagram arrives"),
            SyslogTarget::Tcp(_) | SyslogTarget::Unix(_) => None,
        }
    }

    fn deliver(&mut self, batch: &[Arc<QueuedNotice>], _: &Shutdown) -> Result<usize, Failure> {
        let message = self.message(&batch[0]);
        match self.send(&message) {
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
        let within = options.within;
        match &options.target {
            SyslogTarget::Udp(to) => first(&resolve(to, within)?, connect_udp).map(Self::Udp),
            SyslogTarget::Tcp(to) => {
                first(&resolve(to, within)?, |to| connect_tcp(to, within)).map(Self::Tcp)
            }
            SyslogTarget::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.set_write_timeout(Some(within))?;
                socket.connect(path)?;
                Ok(Self::Unix(socket))
            }
        }
    }

    /// Whether the other end has neither closed the connection nor refused the last datagram.
    fn is_alive(&self) -> bool {
        match self {
            Self::Udp(socket) => socket.take_error().is_ok_and(|error| error.is_none()),
            Self::Unix(_) => true,
            Self::Tcp(stream) => has_not_ended(stream).unwrap_or(false),
        }
    }

    fn send(&self, message: &str) -> io::Result<()> {
        match self {
            Self::Udp(socket) => {
                socket.send(message.as_bytes())?;
                // On this machine and often on the next the refusal is there at once.
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

/// The first of the addresses that can be used.
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

fn connect_tcp(to: &SocketAddr, within: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(to, within)?;
    stream.set_write_timeout(Some(within))?;
    // What is not acknowledged after this time ends the connection, so that the next message is not sent in vain.
    let ms = u32::try_from(UNACKNOWLEDGED.as_millis()).unwrap_or(u32::MAX);
    setsockopt(&stream, sockopt::TcpUserTimeout, &ms)?;
    Ok(stream)
}

const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Reads what the other end may have said, which is nothing or the end.
fn has_not_ended(mut stream: &TcpStream) -> io::Result<bool> {
    stream.set_nonblocking(true)?;
    let mut ignored = [0; 1024];
    let read = stream.read(&mut ignored);
    stream.set_nonblocking(false)?;
    match read {
        Ok(0) => Ok(false),
        Ok(_) => Ok(true),
        Err(error) => Ok(error.kind() == ErrorKind::WouldBlock),
    }
}

/// Bytes that every collector takes in a datagram (RFC 5426, section 3.2: it SHOULD take 2048).
const DATAGRAM_MAX: usize = 2048;

/// The name of the structured data. The number is that of RFC 5612, for whoever has none of his own.
const STRUCTURED: &str = "alert@32473";

/// RFC 5424, section 6.
fn network_message(priority: u8, said: &QueuedNotice, gateway: &str) -> String {
    let alert = said.notice.alert();
    let at = timestamp(said.at).strftime("%Y-%m-%dT%H:%M:%S.%6fZ");
    let data: String = [
        Some(("id", alert.id.clone())),
        Some(("state", said.notice.state().word().to_owned())),
        alert.source.map(|source| ("source", source.to_string())),
        Some(("measured", alert.measured.to_string())),
        Some(("limit", alert.limit.to_string())),
        (alert.life.error > 0).then(|| ("up_to", alert.up_to().to_string())),
    ]
    .into_iter()
    .flatten()
    .map(|(name, value)| format!(" {name}=\"{}\"", escaped(&value)))
    .collect();
    let (id, kind, line) = (process::id(), alert.kind.name(), Line(&said.notice));
    format!("<{priority}>1 {at} {gateway} TrafficAlerted {id} {kind} [{STRUCTURED}{data}] {line}")
}

/// RFC 5424, section 6.3.3.
fn escaped(value: &str) -> String {
    value.chars().flat_map(|c| matches!(c, '"' | '\\' | ']').then_some('\\').into_iter().chain([c])).collect()
}

/// What `syslog(3)` of the C library writes.
fn local_message(priority: u8, said: &QueuedNotice, zone: &TimeZone) -> String {
    let at = timestamp(said.at).to_zoned(zone.clone()).strftime("%b %e %H:%M:%S").to_string();
    format!("<{priority}>{at} TrafficAlerted[{}]: {}", process::id(), Line(&said.notice))
}

/// A message without its end, if it is too long; it is ASCII.
fn bounded(mut message: String, bytes_max: usize) -> String {
    message.truncate(message.floor_char_boundary(bytes_max));
    message
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use crate::alert::notice::Notice;
    use crate::alert::record::{Alert, AlertProgress};
    use crate::alert::sample;
    use crate::time::UnixNanos;

    use super::*;

    const AT: UnixNanos = UnixNanos(1_790_000_000_250_000_000);

    fn said(notice: Notice) -> QueuedNotice {
        QueuedNotice::new(1, AT, notice)
    }

    fn syslog(target: SyslogTarget) -> Syslog {
        let options =
            SyslogOptions { within: Duration::from_secs(60), ..SyslogOptions::new(target, Facility::DAEMON) };
        Syslog { gateway: "gw".to_owned(), ..Syslog::new(options, Retry::default()) }
    }

    fn deliver(syslog: &mut Syslog) -> Result<usize, Failure> {
        let said = said(Notice::Opened(sample::traffic()));
        syslog.deliver(&[Arc::new(said)], &Shutdown::new().expect("descriptors"))
    }

    fn want() -> String {
        format!(
            "<28>1 2026-09-21T14:13:20.250000Z gw TrafficAlerted {} TRAFFIC [alert@32473 id=\"test-1790000000\" \
             state=\"open\" source=\"192.0.2.1\" measured=\"1200000000\" limit=\"1000000000\"] EVENT=TRAFFIC \
             SRC=192.0.2.1 TOTALBYTES=1200000000 | DSTINFO=[{{198.51.100.1 1200000000}}]",
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
            let length = receiver.recv(&mut bytes).expect("it came");
            assert_eq!(String::from_utf8_lossy(&bytes[..length]), want());
        }
        drop(receiver);
        let failure = deliver(&mut syslog).expect_err("nobody listens");
        assert!(failure.why.contains("no daemon listens there") && failure.is_passing, "{}", failure.why);
    }

    #[test]
    fn a_connection_carries_lengths_and_messages_and_is_made_again() {
        let receiver = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let to = receiver.local_addr().expect("it is bound").to_string();
        let mut syslog = syslog(SyslogTarget::Tcp(to));
        let frame = format!("{} {}", want().len(), want());
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
        // The collector starts again: its end of the connection is closed before the next message.
        drop(first);
        deliver(&mut syslog).unwrap_or_else(|failure| panic!("{}", failure.why));
        let (mut second, _) = receiver.accept().expect("it listens");
        read(&mut second);
        drop((second, receiver));
        let failure = deliver(&mut syslog).expect_err("nobody listens");
        assert!(failure.why.contains("no daemon listens there") && failure.is_passing, "{}", failure.why);
    }

    #[test]
    fn a_collector_that_reads_nothing_is_left_at_the_deadline() {
        let receiver = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let to = receiver.local_addr().expect("it is bound").to_string();
        let mut syslog = syslog(SyslogTarget::Tcp(to));
        syslog.options.within = Duration::from_millis(50);
        let delivered = (0..1_000_000).map(|_| deliver(&mut syslog)).find_map(Result::err);
        let failure = delivered.expect("no buffer holds all that");
        assert!(failure.why.contains("it does not answer in time"), "{}", failure.why);
    }

    #[test]
    fn the_socket_of_this_machine_gets_what_its_readers_expect() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("log");
        let failure = deliver(&mut syslog(SyslogTarget::Unix(path.clone()))).expect_err("nobody listens");
        assert!(failure.why.contains("no daemon has made this socket"), "{}", failure.why);
        let receiver = UnixDatagram::bind(&path).expect("the folder is ours");
        deliver(&mut syslog(SyslogTarget::Unix(path))).unwrap_or_else(|failure| panic!("{}", failure.why));
        let mut bytes = [0; 4096];
        let length = receiver.recv(&mut bytes).expect("it came");
        let text = String::from_utf8_lossy(&bytes[..length]);
        let end = format!(" TrafficAlerted[{}]: EVENT=TRAFFIC SRC=192.0.2.1", process::id());
        assert!(text.starts_with("<28>Sep 2") && text.contains(&end), "{text}");
        let message = local_message(28, &said(Notice::Opened(sample::traffic())), &TimeZone::UTC);
        assert!(message.starts_with("<28>Sep 21 14:13:20 TrafficAlerted["), "{message}");
    }

    #[test]
    fn what_is_only_possible_says_how_much_it_is_at_most() {
        let life = AlertProgress { is_possible: true, error: 300_000_000, ..AlertProgress::default() };
        let possible = said(Notice::Opened(Alert { limit: 1_400_000_000, life, ..sample::traffic() }));
        let message = network_message(29, &possible, "gw");
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
