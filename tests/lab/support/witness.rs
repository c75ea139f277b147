//! Somebody who sees every packet that a host sends, and remembers when: what an alert is late or early against.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, socket};

use crate::support::host::Host;
use crate::support::program::Line;

/// What a limit is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// So many hosts.
    Hosts(usize),
    /// So many ports.
    Ports(usize),
}

/// When each host and each port was first sent to.
#[derive(Default)]
struct Seen {
    hosts: BTreeMap<Ipv4Addr, Instant>,
    ports: BTreeMap<(u8, u16), Instant>,
}

/// Sees what `source` sends through a host.
pub(crate) struct Witness(Arc<Mutex<Seen>>);

impl Witness {
    /// Looks from now on until the test ends.
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
                    Ok(len) => notes.lock().expect("nobody panics with it").note(source, &packet[..len]),
                    Err(Errno::EINTR | Errno::ENETDOWN) => {}
                    Err(error) => panic!("packets cannot be seen: {error}"),
                }
            }
        });
        Self(seen)
    }

    /// Checks that an alert came soon after the packet that crossed a limit.
    pub(crate) fn check(&self, limit: Limit, alert: &Line) {
        /// What the product promises, and what its log and our reading of it may take.
        const SOON: Duration = Duration::from_millis(1100);
        let seen = self.0.lock().expect("nobody panics with it");
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
