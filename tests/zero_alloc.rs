//! The path of a packet allocates nothing: while the engine counts a million packets, a counting allocator finds no
//! allocation of the worker's thread.
//!
//! The engine is the one that ships: a ring of the kernel, the worker that reads it, hands over and waits, and the
//! analyst that folds on a thread of its own, all started by [`Engine::start`]. Only the worker's thread is counted.
//! The test runs itself again in namespaces of its own, as those of `tests/lab` do; frames come over a veth pair from a
//! further namespace.
#![allow(unsafe_code, reason = "an allocator that counts has to be one")]

mod packets;
#[path = "lab/support"]
mod support {
    #[allow(dead_code, reason = "this test uses one of its ways to enter a namespace")]
    pub(crate) mod namespaces;
    #[allow(dead_code, reason = "the namespaces need to find unshare")]
    pub(crate) mod tool;
}

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::hint::black_box;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, sendto, socket};
use nix::unistd::gettid;
use packets::build;
use packets::catalogue::catalogue;
use support::namespaces::inside;
use traffic_alerted::alert::{PersistedLedger, Sinks};
use traffic_alerted::config::Config;
use traffic_alerted::engine::{Engine, Rules};
use traffic_alerted::flow::Accounting;
use traffic_alerted::logging::LinePrefix;
use traffic_alerted::packet::{LinkKind, Skip};

struct Counting;

/// Number of the thread whose allocations count; 0 for none.
static COUNTED_THREAD: AtomicI32 = AtomicI32::new(0);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Number of this thread, once it was queried.
    static OWN_THREAD: Cell<i32> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let counted = COUNTED_THREAD.load(Ordering::Relaxed);
        if counted != 0 {
            if OWN_THREAD.get() == 0 {
                OWN_THREAD.set(gettid().as_raw());
            }
            if OWN_THREAD.get() == counted {
                ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
            }
        }
        // SAFETY: the caller keeps the contract of `alloc`, which is that of this call.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System.alloc` with this layout, above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const PACKETS: u64 = 1_000_000;

/// How long the packets may take before the test fails, on a machine that does much else.
const DEADLINE: Duration = Duration::from_secs(300);

/// Small tables, so that deltas are also handed over before their tick; ports and received bytes are counted too.
const CONFIG: &str =
    "Workers: 1\nMemoryLimit: 64M\nRingMemory: 16M\nAnalyzePorts: true\nReceivedByteLimit: 20G\n";

#[test]
fn a_million_packets_take_no_memory() {
    inside(|| {
        // The kernel must not send anything by itself.
        let _ = fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
        // On a host that forwards, egress is observed as evidence.
        fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("the namespace is ours");
        let (peer, own) = veth();
        let config = Config::parse("zero_alloc.conf", CONFIG).expect("it is well-formed");
        let rules = Rules {
            flow: config.flow_options(),
            detect: config.detect_limits(),
            alert: config.alert_options(),
            direction: config.capture_options().direction,
        };
        let engine = Engine::open(&config.capture_options(), &config.engine_options(), rules, None)
            .expect("the kernel gives a ring");
        let report = engine.report();
        let accounting = || report.read().snapshot.accounting.clone();
        let sinks = Sinks::start(std::io::sink(), LinePrefix::Journal, &config.sink_options(), None)
            .expect("the system starts threads");
        let running = engine.start(sinks, PersistedLedger::new(), None).expect("the system starts threads");

        let mut frames = Frames::new();
        let mut send_until = |holds: &dyn Fn(&Accounting) -> bool| {
            let began = Instant::now();
            loop {
                for n in 0..1000 {
                    // Every eleventh frame is egress, the others are ingress.
                    let sender = if n % 11 == 0 { &own } else { &peer };
                    sender.send(frames.next());
                }
                let accounting = accounting();
                if holds(&accounting) {
                    return accounting;
                }
                assert!(began.elapsed() < DEADLINE, "too slow: {accounting:?}");
            }
        };
        let begun = send_until(&|accounting| accounting.ip_packets > 0);
        // The count works: a box of this thread is seen.
        COUNTED_THREAD.store(gettid().as_raw(), Ordering::Relaxed);
        drop(black_box(Box::new(1)));
        COUNTED_THREAD.store(0, Ordering::Relaxed);
        assert_eq!(ALLOCATIONS.swap(0, Ordering::Relaxed), 1, "an allocation is counted");

        COUNTED_THREAD.store(worker_thread(), Ordering::Relaxed);
        let ended = send_until(&|accounting| accounting.ip_packets >= begun.ip_packets + PACKETS);
        COUNTED_THREAD.store(0, Ordering::Relaxed);
        let handovers = ended.worker.handovers - begun.worker.handovers;
        assert_eq!(ALLOCATIONS.load(Ordering::Relaxed), 0, "allocations of the worker's");

        assert!(handovers > 10, "deltas were folded and came back: {handovers}");
        assert!(ended.spilled_packets < ended.ip_packets / 2, "most found a row: {ended:?}");
        for skip in [Skip::NotIp, Skip::Egress, Skip::MplsPseudowire, Skip::IpVersion, Skip::IpTotalLength] {
            assert!(ended.skipped[skip as usize] > 0, "{skip} occurs: {ended:?}");
        }
        let summary = running.stop();
        assert!(summary.failure.is_none(), "{:?}", summary.failure);
    });
}

/// The number of the thread that the worker runs on.
fn worker_thread() -> i32 {
    let tasks = fs::read_dir("/proc/self/task").expect("/proc is mounted");
    let names = tasks.map(|task| {
        let task = task.expect("a task");
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        (name, task.file_name().into_string().ok().and_then(|number| number.parse().ok()))
    });
    let workers: Vec<_> = names.filter(|(name, _)| name.trim_end() == "worker-0").collect();
    let [(_, Some(number))] = workers[..] else { panic!("one worker with a known thread: {workers:?}") };
    number
}

/// All frames of the catalogue that Ethernet can carry, between ever other hosts.
struct Frames {
    kinds: Vec<Kind>,
    sent: u32,
}

/// A frame, and where its hosts and ports are, whatever it has of them.
struct Kind {
    bytes: Vec<u8>,
    hosts: Vec<(usize, usize)>,
    dst_ports: Vec<usize>,
}

impl Frames {
    fn new() -> Self {
        let samples = catalogue().into_iter().filter(|sample| sample.link == LinkKind::Ethernet);
        let whole = samples.map(|mut sample| {
            sample.bytes.resize(sample.frame_len as usize, 0);
            sample.bytes
        });
        let kinds = whole.filter(|bytes| (14..=1514).contains(&bytes.len())).map(Kind::new);
        Self { kinds: kinds.collect(), sent: 0 }
    }

    fn next(&mut self) -> &[u8] {
        let n = self.sent;
        self.sent += 1;
        let kinds = self.kinds.len();
        let kind = &mut self.kinds[n as usize % kinds];
        kind.address(n / kinds as u32);
        &kind.bytes
    }
}

impl Kind {
    fn new(mut bytes: Vec<u8>) -> Self {
        bytes[..6].copy_from_slice(&MAC);
        let find = |word: &[u8]| -> Vec<usize> {
            let windows = bytes.windows(word.len()).enumerate();
            windows.filter(|(_, window)| *window == word).map(|(at, _)| at).collect()
        };
        let v4 = find(&build::V4).into_iter().map(|at| (at, at + 4));
        let v6 = find(&build::V6_SRC).into_iter().map(|at| (at + 12, at + 28));
        let back = find(&[10, 0, 0, 2, 10, 0, 0, 1]).into_iter().map(|at| (at + 4, at));
        // A packet that an ICMP error quotes may be cut short.
        let is_whole = |&(src, dst): &(usize, usize)| src.max(dst) + 4 <= bytes.len();
        let hosts = v4.chain(v6).chain(back).filter(is_whole).collect();
        let dst_ports = find(&[0x9c, 0x40, 0x01, 0xbb]).into_iter().map(|at| at + 2).collect();
        Self { bytes, hosts, dst_ports }
    }

    /// Makes it one between the hosts of round `n`: 977 sources, 251 destinations, 50 ports.
    fn address(&mut self, n: u32) {
        for &(src, dst) in &self.hosts {
            self.bytes[src..src + 4].copy_from_slice(&(0x0a00_0000 + n % 977).to_be_bytes());
            self.bytes[dst..dst + 4].copy_from_slice(&(0x0a01_0000 + n % 251).to_be_bytes());
        }
        for &port in &self.dst_ports {
            self.bytes[port..port + 2].copy_from_slice(&(n as u16 % 50).to_be_bytes());
        }
    }
}

/// Of the end of the wire that is monitored.
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

/// Sends whole frames out of one interface of the namespace it was opened in.
struct Sender {
    socket: OwnedFd,
    interface: LinkAddr,
}

impl Sender {
    fn open(name: &str) -> Self {
        let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::empty(), None)
            .expect("the test is root of its namespaces");
        let mut addresses = nix::ifaddrs::getifaddrs().expect("the kernel lists its interfaces");
        let interface = addresses.find_map(|entry| {
            let address = entry.address.filter(|_| entry.interface_name == name)?;
            address.as_link_addr().copied()
        });
        Self { socket, interface: interface.expect("the interface is there") }
    }

    fn send(&self, frame: &[u8]) {
        loop {
            match sendto(self.socket.as_raw_fd(), frame, &self.interface, MsgFlags::empty()) {
                Ok(_) => return,
                Err(Errno::ENOBUFS) => thread::yield_now(),
                Err(error) => panic!("a frame of {} bytes cannot be sent: {error}", frame.len()),
            }
        }
    }
}

/// Makes a wire to another namespace. Returns the sender at the far end and the one at this end.
fn veth() -> (Sender, Sender) {
    let here = std::process::id().to_string();
    let (made, is_made) = mpsc::channel();
    // A thread may have a network namespace of its own; the socket keeps it alive after the thread.
    let there = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a namespace inside ours");
        // No end sends anything by itself.
        let _ = fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
        ip(&["link", "add", "t0", "type", "veth", "peer", "name", "r0", "netns", &here]);
        ip(&["link", "set", "t0", "up"]);
        made.send(()).expect("the test waits");
        wait_until_up("t0");
        Sender::open("t0")
    });
    is_made.recv().expect("the pair is made");
    ip(&["link", "set", "r0", "address", "02:00:00:00:00:09"]);
    ip(&["link", "set", "r0", "up"]);
    wait_until_up("r0");
    (there.join().expect("the other end is up"), Sender::open("r0"))
}

/// Waits until a link is up. It comes up a moment after `ip link set up`, and until then the kernel discards what is
/// sent.
fn wait_until_up(name: &str) {
    let began = Instant::now();
    while !ip(&["link", "show", name]).windows(8).any(|words| words == b"state UP") {
        assert!(began.elapsed() < DEADLINE, "{name} does not come up");
    }
}

fn ip(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("ip").args(arguments).output().expect("iproute2 is installed");
    assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
