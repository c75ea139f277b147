//! Records the times of the packets that a host sends, to measure the delay of an alert.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, socket};

use crate::support::host::Host;
use crate::support::program::Line;

/// A limit of contacted hosts or ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// The number of hosts.
    Hosts(usize),
    /// The number of ports.
    Ports(usize),
}

/// The time of the first packet to each host and to each port.
#[derive(Default)]
struct Seen {
    hosts: BTreeMap<Ipv4Addr, Instant>,
    ports: BTreeMap<(u8, u16), Instant>,
}

/// Observes what a source sends through a host.
pub(crate) struct Observer(Arc<Mutex<Seen>>);

impl Observer {
    /// Observes from now on until the test ends.
    pub(crate) fn of(source: Ipv4Addr, router: &Host) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let socket = router.on(|| {
            let flags = SockFlag::SOCK_CLOEXEC;
            socket(AddressFamily::Packet, SockType::Datagram, flags, SockProtocol::EthIp)
                .expect("the test is root of its namespaces")
        });
        let notes = Arc::clone(&seen);
        router.serve(move || {
            let mut packet = [0; 128];
            loop {
                match recv(socket.as_raw_fd(), &mut packet, MsgFlags::empty()) {
                    Ok(len) => notes
                        .lock()
                        .expect("no thread panics while it holds the lock")
                        .note(source, &packet[..len]),
                    Err(Errno::EINTR | Errno::ENETDOWN) => {}
                    Err(error) => panic!("packets cannot be seen: {error}"),
                }
            }
        });
        Self(seen)
    }

    /// Checks that an alert came soon after the packet that crossed a limit.
    pub(crate) fn check(&self, limit: Limit, alert: &Line) {
        /// The promised second, and some time for the log and for reading it.
        const SOON: Duration = Duration::from_millis(1100);
        let seen = self.0.lock().expect("no thread panics while it holds the lock");
        let (mut at, within): (Vec<Instant>, usize) = match limit {
            Limit::Hosts(within) => (seen.hosts.values().copied().collect(), within),
            Limit::Ports(within) => (seen.ports.values().copied().collect(), within),
        };
        at.sort_unstable();
        let crossed = at.get(within).unwrap_or_else(|| panic!("only {} of {limit:?}", at.len()));
        let took = alert.at.saturating_duration_since(*crossed);
        eprintln!("the alert came {took:?} after the packet");
        assert!(took < SOON, "{took:?}");
    }
}

impl Seen {
    fn note(&mut self, source: Ipv4Addr, packet: &[u8]) {
        let now = Instant::now();
        let &[0x45, _, _, _, _, _, _, _, _, protocol, _, _, s3, s2, s1, s0, d3, d2, d1, d0, ref rest @ ..] =
            packet
        else {
            return;
        };
        if IpAddr::from([s3, s2, s1, s0]) != source {
            return;
        }
        self.hosts.entry([d3, d2, d1, d0].into()).or_insert(now);
        if let (6 | 17, &[_, _, p1, p0, ..]) = (protocol, rest) {
            self.ports.entry((protocol, u16::from_be_bytes([p1, p0]))).or_insert(now);
        }
    }
}
