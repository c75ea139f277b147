//! Ten million bytes of IP, sent by a host's own stack: a figure that shows at a glance how often it was counted.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::host::{Host, Sum};
use crate::support::program::Program;

/// What [`send_exactly`] sends: IP headers and payload.
pub(crate) const TEN_MILLION: Sum = Sum { packets: 10_000, bytes: 10_000_000 };

/// Sends [`TEN_MILLION`] over UDP, at 20,000 packets per second. The receiver does not answer.
pub(crate) fn send_exactly(host: &Host, from: impl Into<IpAddr>, to: impl Into<IpAddr>) {
    const PER_SECOND: u32 = 20_000;
    const UDP_HEADER: u64 = 8;
    let (from, to) = (from.into(), to.into());
    let ip_header = if from.is_ipv4() { 20 } else { 40 };
    let payload = vec![0; (TEN_MILLION.bytes / TEN_MILLION.packets - UDP_HEADER - ip_header) as usize];
    host.on(|| {
        let socket = UdpSocket::bind(SocketAddr::new(from, 0)).expect("it is an address of this host");
        let began = Instant::now();
        for number in 0..TEN_MILLION.packets {
            let due = began + Duration::from_secs(number) / PER_SECOND;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let sent = socket.send_to(&payload, SocketAddr::new(to, DISCARD)).expect("there is a route");
            assert_eq!(sent, payload.len());
        }
    });
}

/// Opens the port that [`send_exactly`] sends to, so that the host sends no ICMP errors.
pub(crate) fn take(host: &Host, at: impl Into<IpAddr>) -> UdpSocket {
    let at = SocketAddr::new(at.into(), DISCARD);
    host.on(|| UdpSocket::bind(at).expect("the port is free"))
}

/// The discard port (RFC 863).
const DISCARD: u16 = 9;

/// Waits until the program has counted [`TEN_MILLION`] for each of `sources`. `what` is in the message of a failure.
pub(crate) fn wait_for_ten_million(program: &Program, what: &str, sources: &[IpAddr]) {
    for &source in sources {
        program.wait_for_bytes(source, TEN_MILLION.bytes);
        eprintln!("{what}: sent {}, counted {} for {source}", TEN_MILLION.bytes, program.bytes_of(source));
    }
}
