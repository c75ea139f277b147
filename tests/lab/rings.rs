//! Live capture on a real kernel: real rings, real interfaces, known frames.
//!
//! The library is under test here, not the program: rings, filters and the list of interfaces, in the test's own
//! process. Frames are sent from a further namespace over a veth pair. Each wait ends when its condition holds, or
//! fails at [`DEADLINE`].
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers outside #[test] included")]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt::Debug;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, sendto, socket};
use traffic_alerted::capture::{
    self, Batch, DirectionPolicy, EventLoop, FrameSource, KernelStats, LinkMonitor, LinkStats, Live,
    LocalNetworks, MonitorHandle, Options, SocketStatistics, Verdict, Waker, WireExact,
};
use traffic_alerted::packet::{Direction, Skip};
use traffic_alerted::privileges;
use traffic_alerted::published::Published;
use traffic_alerted::sys::packet_socket::PacketSocket;
use traffic_alerted::sys::poller::{Poller, PollerChoice};
use traffic_alerted::sys::ring::{Ring, RingSize, VnetHeader};

use crate::support::namespaces::{inside_after, inside_without_capabilities};

/// How long a condition may take to hold before the test fails.
const DEADLINE: Duration = Duration::from_secs(20);
/// Frames that may be under way at once: beyond 1,000 (`net.core.netdev_max_backlog`) the kernel may lose some before
/// any socket sees them.
const BACKLOG_SAFE: u32 = 500;
/// One turn of waiting for a condition.
const TURN: Duration = Duration::from_millis(25);

#[test]
fn the_ring_hands_over_what_was_sent() {
    in_namespace(|| {
        let peer = Peer::new("r0");
        for choice in [PollerChoice::Auto, PollerChoice::Epoll] {
            let mut ring = bare_ring();
            let waker = Waker::new().unwrap();
            let mut poller = Poller::new(Arc::clone(ring.socket()), waker, choice).unwrap();

            let own = mac_of("r0");
            let addresses = [own, [0xff; 6], [0x01, 0, 0x5e, 0, 0, 1], [0x02, 9, 9, 9, 9, 9]];
            let pkttypes =
                [libc::PACKET_HOST, libc::PACKET_BROADCAST, libc::PACKET_MULTICAST, libc::PACKET_OTHERHOST];
            let frames: Vec<Vec<u8>> =
                (0..1472).map(|n| udp_frame(addresses[n % 4], n as u32, 42 + n)).collect();

            let r0 = nix::net::if_::if_nametoindex("r0").unwrap();
            let mut seen = BTreeMap::new();
            for batch in frames.chunks(BACKLOG_SAFE as usize) {
                batch.iter().for_each(|frame| peer.send(frame));
                let sent = seen.len() + batch.len();
                until("every frame is read", || {
                    while let Some(block) = ring.next_block() {
                        for frame in block.frames() {
                            let frame = frame.expect("the kernel's own blocks are sound");
                            let Some(number) = number_of(frame.bytes) else { continue };
                            assert_eq!(frame.bytes, frames[number as usize], "frame {number}");
                            assert_eq!(frame.tp_len as usize, frame.bytes.len());
                            assert_eq!(frame.pkttype, pkttypes[number as usize % 4], "frame {number}");
                            assert_eq!((frame.ifindex.get(), frame.hatype), (r0, libc::ARPHRD_ETHER));
                            assert_eq!(frame.stripped_vlan_tci, None);
                            assert_eq!(seen.insert(number, frame.seen_at_ns), None, "frame {number} twice");
                        }
                    }
                    let done = seen.len() == sent;
                    if !done {
                        poller.wait(Some(TURN)).unwrap();
                    }
                    done
                });
            }
            let now = traffic_alerted::time::unix_now().0;
            assert!(
                seen.values().all(|&at| at <= now && now - at < 60_000_000_000),
                "stamps are the clock's"
            );
        }
    });
}

#[test]
fn an_outer_tag_is_removed_and_reported() {
    in_namespace(|| {
        let peer = Peer::new("r0");
        let mut ring = bare_ring();
        let plain = udp_frame([0x03, 9, 9, 9, 9, 9], 7, 100);
        let mut tagged = plain.clone();
        tagged.splice(12..12, [0x81, 0x00, 0x60, 0x64]);
        peer.send(&tagged);
        until("the tagged frame is read", || {
            while let Some(block) = ring.next_block() {
                for frame in block.frames().map(Result::unwrap) {
                    if number_of(frame.bytes) == Some(7) {
                        assert_eq!(frame.stripped_vlan_tci, Some(0x6064));
                        assert_eq!(frame.bytes, plain);
                        return true;
                    }
                }
            }
            thread::yield_now();
            false
        });
    });
}

#[test]
fn two_rings_share_the_frames_and_the_sums_agree() {
    in_namespace(|| {
        let peer = Peer::new("r0");
        let mut capture = Capture::open(&options(2, 16 << 20));
        let count = 4000;
        for number in 0..count {
            // A frame that is cut, one that just fits and a short one: the length is that of the whole.
            peer.send(&udp_frame([0x03, 9, 9, 9, 9, 9], number, [1514, 192, 60][number as usize % 3]));
            if (number + 1) % BACKLOG_SAFE == 0 {
                let sent = number as usize + 1;
                capture.until("every frame is read", |capture| capture.numbers().len() == sent);
            }
        }

        for frame in capture.seen.iter().filter(|frame| frame.number.is_some()) {
            let number = frame.number.unwrap();
            let len = [1514, 192, 60][number as usize % 3];
            assert_eq!((frame.frame_len, frame.captured_len), (len, len.min(192)), "frame {number}");
            assert_eq!((frame.direction, frame.verdict), (Direction::Ingress, Verdict::Count));
        }
        let shares: Vec<usize> = (0..2)
            .map(|ring| capture.seen.iter().filter(|f| f.ring == ring && f.number.is_some()).count())
            .collect();
        assert_eq!(shares.iter().sum::<usize>(), count as usize, "each frame is on one ring only");
        assert!(shares.iter().all(|&share| share > count as usize / 4), "flows spread: {shares:?}");
        capture.assert_sums_agree();
        assert_eq!(capture.statistics.tp_drops, 0);
    });
}

#[test]
fn a_full_ring_counts_its_drops() {
    in_namespace(|| {
        let peer = Peer::new("r0");
        let mut capture = Capture::open(&options(1, 512 << 10));
        // Without a reader the ring overflows.
        let mut number = 0;
        until("the kernel has dropped", || {
            (0..BACKLOG_SAFE).for_each(|n| peer.send(&udp_frame([0x03, 9, 9, 9, 9, 9], number + n, 200)));
            number += BACKLOG_SAFE;
            capture.add_statistics();
            capture.statistics.tp_drops > 100
        });
        capture.assert_sums_agree();
        assert!(!capture.seen.is_empty() && capture.statistics.tp_freezes > 0);

        // It goes on where there is room again.
        peer.send(&udp_frame([0x03, 9, 9, 9, 9, 9], 1_000_000, 200));
        capture.until("a later frame is read", |capture| capture.numbers().contains(&1_000_000));
    });
}

#[test]
fn an_excluded_interface_is_not_offered() {
    in_namespace(|| {
        let (kept, excluded) = (Peer::new("r0"), Peer::new("x0"));
        let mut options = options(2, 8 << 20);
        options.excluded_interfaces = vec!["lo".into(), "x0".into()];
        let mut capture = Capture::open(&options);
        for number in 0..200 {
            excluded.send(&udp_frame([0x03, 9, 9, 9, 9, 9], 1000 + number, 100));
            kept.send(&udp_frame([0x03, 9, 9, 9, 9, 9], number, 100));
        }
        capture.until("every frame of the other one is read", |capture| {
            (0..200).all(|number| capture.numbers().contains(&number))
        });
        assert_eq!(capture.numbers(), (0..200).collect::<BTreeSet<_>>());
        capture.assert_sums_agree();
    });
}

#[test]
fn interfaces_come_and_go_while_it_runs() {
    in_namespace(|| {
        let first = Peer::new("r0");
        let mut options = options(2, 8 << 20);
        options.excluded_interfaces = vec!["lo".into(), "x0".into()];
        let mut capture = Capture::open(&options);
        capture.start_monitor();

        first.send(&udp_frame([0x03, 9, 9, 9, 9, 9], 1, 100));
        capture.until("the first interface is seen", |capture| capture.numbers().contains(&1));
        ip(["link", "set", "r0", "down"]);
        ip(["link", "del", "r0"]);

        // A name that is not UTF-8, and one that is excluded before it exists.
        let odd = Peer::new(OsStr::from_bytes(b"r\xfe\x01"));
        let excluded = Peer::new("x0");
        let mut number = 10;
        capture.until("workers know all interfaces", |capture| {
            number += 1;
            excluded.send(&udp_frame([0x03, 9, 9, 9, 9, 9], 100_000 + number, 100));
            odd.send(&udp_frame([0x03, 9, 9, 9, 9, 9], number, 100));
            capture.lives.iter().all(|live| {
                let names: Vec<_> = live
                    .table()
                    .interfaces()
                    .iter()
                    .filter_map(|(_, row)| row.name.as_ref().map(|name| name.as_bytes().to_vec()))
                    .collect();
                names.contains(&b"r\xfe\x01".to_vec())
                    && names.contains(&b"x0".to_vec())
                    && !names.contains(&b"r0".to_vec())
            })
        });
        capture.until("every frame of the new one is read", |capture| {
            (11..=number).all(|number| capture.numbers().contains(&number))
        });
        for frame in &capture.seen {
            let expected = match frame.number {
                // Before the filter has the interface, the worker queries its name.
                Some(100_000..) => Verdict::Skip(Skip::ExcludedInterface),
                _ => Verdict::Count,
            };
            assert_eq!(frame.verdict, expected, "{frame:?}");
        }
        capture.assert_sums_agree();
    });
}

#[test]
fn an_interface_that_is_gone_is_judged_by_the_names_that_it_had() {
    in_namespace(|| {
        let mut options = options(1, 8 << 20);
        options.excluded_interfaces = vec!["lo".into(), "x0".into()];
        const PROBE: u32 = 1_000_000;
        // Without a link monitor: the worker knows only what it queries itself.
        let mut capture = Capture::open(&options);
        let show = |number: u32, names: &[&str]| {
            let [first, later @ ..] = names else { panic!("a name") };
            let peer = Peer::new(first);
            let mut now = *first;
            for name in later {
                ip(["link", "set", now, "down"]);
                ip(["link", "set", now, "name", name]);
                ip(["link", "set", name, "up"]);
                now = name;
            }
            // The other end of the wire comes up by itself, a moment later.
            let before = frames_received(now);
            until("frames pass", || {
                peer.send(&udp_frame([0x03, 9, 9, 9, 9, 9], PROBE, 100));
                frames_received(now) > before
            });
            (0..10).for_each(|n| peer.send(&udp_frame([0x03, 9, 9, 9, 9, 9], number + n, 100)));
            ip(["link", "del", now]);
        };
        const EXCLUDED: Verdict = Verdict::Skip(Skip::ExcludedInterface);
        let cases: [(&[&str], Verdict); 5] = [
            (&["x0"], EXCLUDED),
            (&["y0"], Verdict::Count),
            (&["y0", "x0"], EXCLUDED),
            (&["x0", "y0"], EXCLUDED),
            (&["y0", "z0"], Verdict::Count),
        ];
        for ((names, _), number) in cases.iter().zip((0..).step_by(10)) {
            show(number, names);
        }
        capture.until("all is read", |capture| (0..50).all(|number| capture.numbers().contains(&number)));
        for ((names, expected), number) in cases.iter().zip((0..).step_by(10)) {
            for number in number..number + 10 {
                assert_eq!(capture.verdict_of(number).1, *expected, "{names:?}");
            }
        }
    });
}

#[test]
fn an_interface_that_is_renamed_at_once_is_judged_by_its_first_name_for_a_while() {
    in_namespace(|| {
        let mut options = options(1, 8 << 20);
        options.excluded_interfaces = vec!["lo".into(), "x0".into()];
        let mut capture = Capture::open(&options);
        let views = Arc::clone(&capture.views);
        let peer = Peer::new("x0");
        peer.send(&udp_frame([0x03, 9, 9, 9, 9, 9], 1, 100));
        ip(["link", "set", "x0", "down"]);
        ip(["link", "set", "x0", "name", "y0"]);
        ip(["link", "set", "y0", "up"]);
        // Only now: no table ever had the name under which the frame came.
        capture.start_monitor();
        let skipped = || {
            let view = views.read();
            view.interfaces.iter().find(|link| link.name.as_bytes() == b"y0").map(|link| link.skipped)
        };
        until("the table has the interface", || skipped().is_some());
        capture.until("the frame is read", |capture| capture.numbers().contains(&1));
        assert_eq!(capture.verdict_of(1).1, Verdict::Skip(Skip::ExcludedInterface));

        until("it is monitored", || {
            thread::sleep(TURN);
            skipped() == Some(None)
        });
        let mut number = 1;
        capture.until("its frames count", |capture| {
            number += 1;
            peer.send(&udp_frame([0x03, 9, 9, 9, 9, 9], number, 100));
            capture.seen.iter().any(|frame| frame.verdict == Verdict::Count)
        });
    });
}

#[test]
fn every_kind_of_interface_is_known_from_its_first_frame() {
    in_namespace(|| {
        let _peer = Peer::new("r0");
        let mut options = options(1, 8 << 20);
        options.excluded_interfaces = vec!["lo".into(), "x0".into()];
        let mut capture = Capture::open(&options);
        let kinds = [
            "type veth peer name other0\nlink set other0 up",
            "link r0 type macvlan",
            "type bridge\nlink set r0 master NAME",
            "type vxlan id 5 dstport 4789",
            "type ifb",
        ];
        let excluded = Verdict::Skip(Skip::ExcludedInterface);
        for (kind, number) in kinds.iter().zip((0..).step_by(2)) {
            for (name, number, expected) in [("x0", number, excluded), ("y0", number + 1, Verdict::Count)] {
                ip_batch(&format!("link add name NAME up {kind}\n").replace("NAME", name));
                wait_until_it_sends(name);
                Sender::open(name).send(&udp_frame([0x03, 9, 9, 9, 9, 9], number, 100));
                ip(["link", "del", name]);
                capture.until("the frame is read", |capture| capture.numbers().contains(&number));
                assert_eq!(capture.verdict_of(number).1, expected, "{name} {kind}");
            }
        }
    });
}

#[test]
fn after_lost_notices_an_interface_that_may_be_excluded_does_not_count() {
    in_namespace(|| {
        let changes: Vec<String> = (0..2000).map(|n| format!("link set lo mtu {}\n", 1500 + n)).collect();
        for (excluded, expected) in [("x0", Verdict::Skip(Skip::UnknownInterface)), ("lo", Verdict::Count)] {
            let mut options = options(1, 8 << 20);
            options.excluded_interfaces = vec!["lo".into(), excluded.into()];
            let mut capture = Capture::open(&options);
            let peer = Peer::new("x0");
            // More notices than any queue of this process holds.
            ip_batch(&changes.concat());
            peer.send(&udp_frame([0x03, 9, 9, 9, 9, 9], 1, 100));
            ip(["link", "del", "x0"]);
            capture.until("the frame is read", |capture| capture.numbers().contains(&1));
            assert_eq!(capture.verdict_of(1).1, expected, "{excluded}");

            // Later interfaces are known again.
            let peer = Peer::new("y0");
            peer.send(&udp_frame([0x03, 9, 9, 9, 9, 9], 2, 100));
            ip(["link", "del", "y0"]);
            capture.until("the frame is read", |capture| capture.numbers().contains(&2));
            assert_eq!(capture.verdict_of(2).1, Verdict::Count, "{excluded}");
        }
    });
}

#[test]
fn egress_is_evidence_once_the_host_forwards() {
    in_namespace(|| {
        let peer = Peer::new("r0");
        let egress = Sender::open("r0");
        let mut capture = Capture::open(&options(1, 8 << 20));
        capture.start_monitor();
        assert!(!capture.lives[0].table().forwards());
        egress.send(&udp_frame([0x03, 9, 9, 9, 9, 9], 1, 100));
        capture.until("a leaving frame is read", |capture| capture.numbers().contains(&1));
        assert_eq!(capture.verdict_of(1), (Direction::Egress, Verdict::Count));

        std::fs::write("/proc/sys/net/ipv4/conf/r0/forwarding", "1").unwrap();
        let mut number = 10;
        capture.until("the worker knows that the host forwards", |capture| {
            number += 1;
            peer.send(&udp_frame([0x03, 9, 9, 9, 9, 9], number, 100));
            capture.lives[0].table().forwards()
        });

        // The table reached the worker, and the filter follows it: send until the filter has changed.
        const ACK: u8 = 0x10;
        const SYN: u8 = 0x02;
        let mut number = 1000;
        capture.until("mid-stream segments are left out", |capture| {
            let before = capture.numbers().range(1000..).count();
            assert!(before <= 2 * (number as usize - 1000));
            number += 2;
            egress.send(&tcp_frame(number, ACK));
            egress.send(&tcp_frame(number + 1, SYN));
            capture.numbers().contains(&(number - 1)) && !capture.numbers().contains(&(number - 2))
        });
        for ending in [SYN, 0x14, 0x11] {
            number += 2;
            egress.send(&tcp_frame(number, ACK));
            egress.send(&tcp_frame(number + 1, ending));
            let expected = number + 1;
            capture
                .until("the segment with evidence is read", |capture| capture.numbers().contains(&expected));
            assert_eq!(capture.verdict_of(expected), (Direction::Egress, Verdict::ObserveOnly));
            assert!(!capture.numbers().contains(&number), "a segment in mid-stream was offered");
        }
        // Ingress frames count as before.
        peer.send(&tcp_frame(5000, ACK));
        capture.until("the entering segment is read", |capture| capture.numbers().contains(&5000));
        assert_eq!(capture.verdict_of(5000), (Direction::Ingress, Verdict::Count));
        capture.assert_sums_agree();
    });
}

#[test]
fn hundreds_of_interfaces_are_distinguished_by_the_filter_or_by_the_worker() {
    in_namespace(|| {
        let peer = Peer::new("r0");
        // Wires inside: 260 pairs are 520 interfaces, more than the filter holds; with 249 it holds them, and lo.
        let pairs: Vec<String> =
            (0..260).map(|pair| format!("link add a{pair} type veth peer name b{pair}\n")).collect();
        ip_batch(&pairs.concat());
        ip_batch("link set a0 up\nlink set b0 up\n");
        wait_until_up("a0");
        let wire = Sender::open("a0");
        let mut capture = Capture::open(&options(1, 8 << 20));
        assert_eq!(capture.lives[0].table().interfaces().len(), 522);
        assert_eq!(capture.lives[0].table().monitored(), 1, "{}", capture.lives[0].table());

        wire.send(&udp_frame([0x03, 9, 9, 9, 9, 9], 1, 100));
        capture.until("both ends of the wire show the frame", |capture| {
            capture.seen.iter().filter(|frame| frame.number == Some(1)).count() == 2
        });
        for frame in capture.seen.iter().filter(|frame| frame.number == Some(1)) {
            assert_eq!(frame.verdict, Verdict::Skip(Skip::InternalWire));
        }

        capture.start_monitor();
        let removed: Vec<String> = (249..260).map(|pair| format!("link del a{pair}\n")).collect();
        ip_batch(&removed.concat());
        let mut number = 10;
        capture.until("the kernel leaves out what is on the wire", |capture| {
            // Frames cross in order, so what is missing before one that came was filtered.
            let came = capture.numbers();
            let filtered = number > 10 && came.contains(&(number + 1)) && !came.contains(&number);
            number += 2;
            wire.send(&udp_frame([0x03, 9, 9, 9, 9, 9], number, 100));
            peer.send(&udp_frame([0x03, 9, 9, 9, 9, 9], number + 1, 100));
            filtered
        });
        capture.assert_sums_agree();
    });
}

#[test]
fn what_the_kernel_counts_is_shown() {
    in_namespace(|| {
        let peer = Peer::new("r0");
        (0..5).for_each(|number| peer.send(&udp_frame([0x03, 9, 9, 9, 9, 9], number, 100)));
        let mut capture = Capture::open(&options(1, 8 << 20));
        let views = Arc::clone(&capture.views);
        let find = |view: &KernelStats, name: &str| -> Option<LinkStats> {
            view.interfaces.iter().find(|link| link.name.as_bytes() == name.as_bytes()).cloned()
        };
        let first = views.read();
        assert_eq!((first.changes.count, first.forwards), (0, false));
        assert!(first.softnet.is_some(), "this machine has /proc");
        assert_eq!(find(&first, "lo").unwrap().skipped, Some(Skip::ExcludedInterface));
        let r0 = find(&first, "r0").unwrap();
        assert_eq!((r0.skipped, r0.egress), (None, Verdict::Count));
        assert_eq!((r0.counters.rx_packets, r0.since_start().rx_packets), (5, 0));

        capture.start_monitor();
        (0..200).for_each(|number| peer.send(&udp_frame([0x03, 9, 9, 9, 9, 9], number, 100)));
        let later = |name: &str, packets: u64| {
            until("the view shows what was sent", || {
                thread::sleep(TURN);
                find(&views.read(), name).is_some_and(|link| link.since_start().rx_packets == packets)
            });
            views.read()
        };
        let second = later("r0", 200);
        assert_eq!(find(&second, "r0").unwrap().counters.rx_packets, 205);
        assert!(second.read_at > first.read_at);

        let newer = Peer::new("new0");
        later("new0", 0);
        ip(["link", "set", "r0", "down"]);
        ip(["link", "set", "r0", "name", "old0"]);
        (0..50).for_each(|number| newer.send(&udp_frame([0x03, 9, 9, 9, 9, 9], number, 100)));
        let third = later("new0", 50);
        assert_eq!(find(&third, "r0"), None);
        assert_eq!(find(&third, "old0").unwrap().ifindex, r0.ifindex);
        let changes = third.changes;
        assert!(changes.count >= 2 && !changes.max.is_zero() && changes.last <= changes.max, "{changes:?}");
    });
}

#[test]
fn local_networks_follow_addresses_and_routes() {
    in_namespace(|| {
        let _peers = [Peer::new("lan"), Peer::new("wan")];
        ip(["addr", "add", "192.168.7.1/24", "dev", "lan"]);
        ip(["addr", "add", "203.0.113.9/24", "dev", "wan"]);
        ip(["route", "add", "default", "via", "203.0.113.1"]);
        let mut capture = Capture::open(&options(1, 8 << 20));
        let views = Arc::clone(&capture.views);
        let local = || views.read().local_networks.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(local(), ["192.168.7.0/24", "203.0.113.9/32"], "before anything is read");

        capture.start_monitor();
        let wait_for = |expected: &[&str]| {
            until("the networks are known", || {
                thread::sleep(TURN);
                local() == expected
            });
        };
        // Routes that matter among others that do not.
        for route in [
            "10.1.0.0/16 via 192.168.7.2",
            "198.18.0.0/15 via 192.168.7.2",
            "10.2.0.0/16 via 203.0.113.1",
            "198.51.100.0/24 dev lan",
            "blackhole 10.9.0.0/16",
            "10.3.0.0/16 dev lan table 100",
        ] {
            ip(["route", "add"].into_iter().chain(route.split(' ')));
        }
        wait_for(&["10.1.0.0/16", "192.168.7.0/24", "198.51.100.0/24", "203.0.113.9/32"]);
        ip(["route", "del", "10.1.0.0/16"]);
        wait_for(&["192.168.7.0/24", "198.51.100.0/24", "203.0.113.9/32"]);
        // The kernel removes its routes without a notice.
        ip(["link", "set", "lan", "down"]);
        wait_for(&["192.168.7.0/24", "203.0.113.9/32"]);
        ip(["addr", "del", "203.0.113.9/24", "dev", "wan"]);
        wait_for(&["192.168.7.0/24"]);
        drop(capture);

        let configured = Options {
            local_networks: LocalNetworks::List(vec![
                "10.0.0.0/9".parse().unwrap(),
                "10.128.0.0/9".parse().unwrap(),
            ]),
            ..options(1, 8 << 20)
        };
        let capture = Capture::open(&configured);
        let table = capture.lives[0].table();
        assert_eq!(table.local_networks(), ["10.0.0.0/8".parse().unwrap()]);
        assert!(table.is_local([10, 200, 1, 1].into()) && !table.is_local([192, 168, 7, 1].into()));
    });
}

#[test]
fn a_mirror_port_receives_what_is_for_others() {
    in_namespace(|| {
        let _plain = Peer::new("r0");
        let _first = Peer::new("span0");
        let options = Options { promiscuous: vec!["span0".into(), "later0".into()], ..options(2, 8 << 20) };
        let mut capture = Capture::open(&options);
        let is_promiscuous = |name: &str| {
            let shown = ip(["-details", "link", "show", name]);
            !String::from_utf8_lossy(&shown).contains("promiscuity 0 ")
        };
        assert!(is_promiscuous("span0") && !is_promiscuous("r0"));

        capture.start_monitor();
        ip(["link", "set", "r0", "name", "later0"]);
        until("the renamed one receives all", || is_promiscuous("later0"));
        ip(["link", "set", "span0", "name", "r0"]);
        until("what is called otherwise does no more", || !is_promiscuous("r0"));
    });
}

#[test]
fn a_wait_ends_by_its_eventfd_or_its_timeout() {
    in_namespace(|| {
        for event_loop in [EventLoop::Auto, EventLoop::Epoll] {
            // A thread for each, as a worker has: an io_uring that is taken down interrupts its thread's next wait.
            thread::spawn(move || wait_ends(event_loop)).join().unwrap();
        }
    });
}

fn wait_ends(event_loop: EventLoop) {
    let opened = capture::open(&Options { event_loop, ..options(1, 1 << 20) }).unwrap();
    let waker = Waker::new().unwrap();
    let mut live = opened.rings.into_iter().next().unwrap().start(waker.clone()).unwrap();

    let begun = Instant::now();
    live.wait(Some(Duration::from_millis(30))).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(30), "{}", live.wait_point());

    // Notified before the wait, twice: it ends at once, and the next one does not.
    waker.wake();
    waker.wake();
    live.wait(None).unwrap();
    let begun = Instant::now();
    live.wait(Some(Duration::from_millis(30))).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(30), "{}", live.wait_point());

    // Notified from another thread repeatedly: each notification ends a wait that has no timeout.
    for _ in 0..100 {
        let waker = waker.clone();
        let ringer = thread::spawn(move || waker.wake());
        live.wait(None).unwrap();
        ringer.join().unwrap();
    }
    if event_loop == EventLoop::Epoll {
        assert_eq!(live.wait_point().to_string(), "epoll");
    }
}

#[test]
fn too_little_ring_memory_is_named() {
    in_namespace(|| {
        let error = capture::open(&options(1, 100_000)).err().unwrap();
        assert!(error.to_string().contains("Raise RingMemory to 131072"), "{error}");
    });
}

#[test]
fn a_missing_capability_is_named() {
    inside_without_capabilities(|| {
        let error = capture::open(&options(1, 1 << 20)).err().unwrap();
        let program = std::env::current_exe().unwrap();
        assert!(
            error.to_string().contains(&format!("setcap cap_net_raw+ep {}", program.display())),
            "{error}"
        );
    });
}

/// A frame as it came out of a batch.
#[derive(Debug)]
struct Seen {
    ring: usize,
    number: Option<u32>,
    frame_len: u32,
    captured_len: u32,
    direction: Direction,
    verdict: Verdict,
}

/// Live capture on this thread: all rings in turn.
struct Capture {
    lives: Vec<Live>,
    link_monitor: Option<LinkMonitor>,
    views: Arc<Published<KernelStats>>,
    following: Option<(MonitorHandle, thread::JoinHandle<()>)>,
    seen: Vec<Seen>,
    statistics: SocketStatistics,
}

impl Capture {
    fn open(options: &Options) -> Self {
        let opened = capture::open(options).unwrap_or_else(|error| panic!("{error}"));
        let start = |seed: capture::LiveSeed| seed.start(Waker::new().unwrap()).unwrap();
        Self {
            lives: opened.rings.into_iter().map(start).collect(),
            link_monitor: Some(opened.link_monitor),
            views: opened.kernel_stats,
            following: None,
            seen: Vec::new(),
            statistics: SocketStatistics::default(),
        }
    }

    /// Starts the link monitor, without a capability as in the program.
    fn start_monitor(&mut self) {
        let link_monitor = self.link_monitor.take().expect("it runs once");
        let orders = MonitorHandle::new().unwrap();
        let given = orders.clone();
        let thread = thread::spawn(move || {
            privileges::drop_all().unwrap();
            link_monitor.run(&given).unwrap();
        });
        self.following = Some((orders, thread));
    }

    /// Reads the rings until the condition holds. The condition may send frames each time it is evaluated.
    fn until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        until(what, || {
            self.read();
            let holds = holds(self);
            if !holds {
                // Several rings on one thread: the wait on one must not keep the others from being read.
                let timeout = if self.lives.len() == 1 { TURN } else { Duration::from_millis(1) };
                self.lives.iter_mut().for_each(|live| live.wait(Some(timeout)).unwrap());
            }
            holds
        });
    }

    fn read(&mut self) {
        for (ring, live) in self.lives.iter_mut().enumerate() {
            while let Some(batch) = live.next_batch().unwrap() {
                for frame in batch.frames() {
                    self.seen.push(Seen {
                        ring,
                        number: number_of(frame.bytes),
                        frame_len: frame.frame_len,
                        captured_len: frame.bytes.len() as u32,
                        direction: frame.direction,
                        verdict: batch.verdict(frame.ifindex, frame.direction),
                    });
                }
            }
        }
        self.add_statistics();
    }

    fn add_statistics(&mut self) {
        for live in &mut self.lives {
            let more = live.statistics().unwrap();
            self.statistics.tp_packets += more.tp_packets;
            self.statistics.tp_drops += more.tp_drops;
            self.statistics.tp_freezes += more.tp_freezes;
        }
    }

    fn numbers(&self) -> BTreeSet<u32> {
        self.seen.iter().filter_map(|frame| frame.number).collect()
    }

    fn verdict_of(&self, number: u32) -> (Direction, Verdict) {
        let frame = self.seen.iter().find(|frame| frame.number == Some(number)).unwrap();
        (frame.direction, frame.verdict)
    }

    /// Checks that the frames offered to the sockets were read or dropped, once the rings are empty.
    fn assert_sums_agree(&mut self) {
        self.until("tp_packets = read + dropped", |capture| {
            capture.statistics.tp_packets == capture.seen.len() as u64 + capture.statistics.tp_drops
        });
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.following.take() {
            stop.stop();
            let ended = thread.join();
            if !thread::panicking() {
                ended.expect("the link monitor ends at the signal");
            }
        }
    }
}

/// The far end of a veth pair, in a namespace of its own; what it sends enters here.
struct Peer(Sender);

impl Peer {
    /// Makes the pair; the end in this namespace has the given name.
    fn new(name: impl AsRef<OsStr>) -> Self {
        let name = name.as_ref().to_owned();
        let here = std::process::id().to_string();
        let (made, is_made) = mpsc::channel();
        // A thread may have a network namespace of its own; the socket keeps it alive after the thread.
        let sender = thread::spawn({
            let name = name.clone();
            move || {
                unshare(CloneFlags::CLONE_NEWNET).expect("a namespace inside ours");
                disable_ipv6();
                let pair = ["link", "add", "t0", "type", "veth", "peer", "name"].map(OsStr::new);
                ip(pair.into_iter().chain([name.as_os_str(), OsStr::new("netns"), OsStr::new(&here)]));
                ip(["link", "set", "t0", "up"]);
                made.send(()).unwrap();
                wait_until_up("t0");
                Sender::open("t0")
            }
        });
        is_made.recv().expect("the pair is made");
        ip([OsStr::new("link"), OsStr::new("set"), &name, OsStr::new("up")]);
        wait_until_up(&name);
        Self(sender.join().unwrap())
    }

    fn send(&self, frame: &[u8]) {
        self.0.send(frame);
    }
}

/// Sends whole frames out of one interface of the namespace it was opened in.
struct Sender {
    socket: OwnedFd,
    interface: LinkAddr,
}

impl Sender {
    fn open(name: &str) -> Self {
        let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::empty(), None).unwrap();
        Self { socket, interface: link_address(name) }
    }

    fn send(&self, frame: &[u8]) {
        let sent = sendto(self.socket.as_raw_fd(), frame, &self.interface, MsgFlags::empty()).unwrap();
        assert_eq!(sent, frame.len());
    }
}

fn link_address(name: &str) -> LinkAddr {
    nix::ifaddrs::getifaddrs()
        .unwrap()
        .filter(|address| address.interface_name == name)
        .find_map(|address| address.address?.as_link_addr().copied())
        .unwrap_or_else(|| panic!("{name} has no link address"))
}

/// Frames that an interface has received since it was made.
fn frames_received(name: &str) -> u64 {
    let table = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let line = table.lines().find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix(':'));
    let columns = line.unwrap_or_else(|| panic!("there is no {name}"));
    columns.split_whitespace().nth(1).and_then(|packets| packets.parse().ok()).unwrap()
}

fn mac_of(name: &str) -> [u8; 6] {
    link_address(name).addr().unwrap()
}

/// A packet socket with a ring and nothing else: every frame, whole.
fn bare_ring() -> Ring {
    let socket = Arc::new(PacketSocket::open().unwrap());
    let size = RingSize { block_bytes: (256 << 10).try_into().unwrap(), blocks: 16.try_into().unwrap() };
    let ring = Ring::allocate(socket, size, 20, VnetHeader::None).unwrap();
    ring.socket().bind_to_all_interfaces().unwrap();
    ring
}

fn options(workers: usize, ring_memory_bytes: u64) -> Options {
    Options {
        workers,
        ring_memory_bytes,
        excluded_interfaces: vec!["lo".into()],
        promiscuous: vec![],
        local_networks: LocalNetworks::Auto,
        direction: DirectionPolicy::Auto,
        event_loop: EventLoop::Auto,
        counts_received: false,
        wire_exact: WireExact::Off,
    }
}

/// Marks the test's frames among those that the kernel sends by itself.
const MARK: [u8; 4] = *b"mark";
/// Offset of the mark: behind Ethernet and IPv4, in the place of the ports; the number follows.
const NUMBER_AT: usize = 14 + 20 + 8;

/// A UDP packet of `len` bytes on the wire; every number is a flow of its own.
fn udp_frame(to: [u8; 6], number: u32, len: usize) -> Vec<u8> {
    let mut frame = ipv4_frame(to, 17, number, len.max(NUMBER_AT + 8));
    frame[34..38].copy_from_slice(&number.to_be_bytes());
    frame
}

fn tcp_frame(number: u32, flags: u8) -> Vec<u8> {
    // The number overwrites the acknowledgment number and more, which no assertion reads.
    let mut frame = ipv4_frame([0x03, 9, 9, 9, 9, 9], 6, number, 100);
    frame[14 + 20 + 13] = flags;
    frame
}

fn ipv4_frame(to: [u8; 6], protocol: u8, number: u32, len: usize) -> Vec<u8> {
    let mut frame = to.to_vec();
    frame.extend([0x02, 0, 0, 0, 0, 1, 0x08, 0x00]);
    frame.extend([0x45, 0]);
    frame.extend((len as u16 - 14).to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, protocol, 0, 0]);
    // 198.18.0.0/15 is for benchmarks (RFC 2544) and is not routed.
    frame.extend([198, 18, 0, 1, 198, 19, 0, 1]);
    frame.resize(len, 0);
    frame[38..42].copy_from_slice(&MARK);
    frame[NUMBER_AT..NUMBER_AT + 4].copy_from_slice(&number.to_be_bytes());
    frame
}

fn number_of(bytes: &[u8]) -> Option<u32> {
    let body = bytes.get(38..NUMBER_AT + 4)?;
    let number = body.strip_prefix(&MARK)?;
    number.first_chunk().map(|&number| u32::from_be_bytes(number))
}

/// Runs a condition until it holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < DEADLINE, "after {DEADLINE:?} it still does not hold that {what}");
    }
}

/// Runs `body` as root of a new user and network namespace in which nothing sends by itself.
fn in_namespace<B: FnOnce()>(body: B) {
    let prepare = || {
        disable_ipv6();
        ip(["link", "set", "lo", "up"]);
    };
    inside_after(prepare, body);
}

/// Turns off IPv6, if the kernel has it, so that it sends nothing by itself.
fn disable_ipv6() {
    for which in ["all", "default"] {
        let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6"), "1");
    }
}

/// Waits until a link is up. It comes up a moment after `ip link set up`, and until then the kernel discards what is
/// sent.
fn wait_until_up(name: impl AsRef<OsStr>) {
    until("the link is up", || {
        let shown = ip([OsStr::new("link"), OsStr::new("show"), name.as_ref()]);
        shown.windows(8).any(|words| words == b"state UP")
    });
}

/// As [`wait_until_up`], for devices that do not report their state.
fn wait_until_it_sends(name: &str) {
    until("the link sends", || {
        let shown = ip(["-details", "link", "show", name]);
        let shown = String::from_utf8_lossy(&shown);
        shown.contains("LOWER_UP") && !shown.contains("qdisc noop ")
    });
}

fn ip<S: AsRef<OsStr> + Debug>(arguments: impl IntoIterator<Item = S>) -> Vec<u8> {
    let mut ip = Command::new("ip");
    let output = ip.args(arguments).output().expect("iproute2 is installed");
    assert!(output.status.success(), "{ip:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn ip_batch(commands: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), commands).unwrap();
    ip([OsStr::new("-batch"), file.path().as_os_str()]);
}
