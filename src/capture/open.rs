//! Opens live capture: sockets, rings, filters and the fanout group, in the order in which no stray frame gets in.
//!
//! 1. A netlink socket follows the interfaces; the table and the filter are made from what is there.
//! 2. For each worker: a packet socket that receives nothing (protocol 0); its ring, with what the kernel knows of
//!    segments if that is to be had; a filter that drops everything. The kernel takes a ring's pages from the memory
//!    node of the CPU that asks for them, so the ring is made on the core of its worker, if it has one.
//! 3. Each is bound to all interfaces and joins one fanout group. Between these two steps a socket would receive every
//!    frame and not only its share, which is what the filter of step 2 is for. Binding after joining is an error.
//! 4. Once all have joined, what is in the rings is discarded, the statistics begin at zero, and each socket gets the
//!    real filter.
//!
//! All of it needs CAP_NET_RAW and may be done on any thread. Afterwards nothing needs the capability. A
//! [`LiveSeed`] goes to its worker's thread and becomes a [`Live`] there.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::utsname::uname;
use nix::unistd::Pid;
use tracing::{debug, info};

use super::error::{CaptureError, OpenError};
use super::filter;
use super::kernel_stats::KernelStats;
use super::link_monitor::LinkMonitor;
use super::live::{KnownInterfaces, Live};
use super::mailbox::Mailbox;
use super::options::{EventLoop, Options, WireExact};
use super::policy::Policy;
use crate::published::Published;
use crate::sys::packet_socket::PacketSocket;
use crate::sys::poller::{self, Poller};
use crate::sys::ring::{Ring, RingSize, VnetHeader};
use crate::sys::waker::Waker;

/// Everything that needed a capability, done.
pub struct OpenedCapture {
    /// One per worker.
    pub rings: Vec<LiveSeed>,
    /// Follows the interfaces; run it on a thread of its own.
    pub link_monitor: LinkMonitor,
    /// Whether frames that stand for several packets are told apart.
    pub is_wire_exact: bool,
    /// What the kernel says of the interfaces and of its losses; the watcher publishes a new view every second.
    pub kernel_stats: Arc<Published<KernelStats>>,
}

/// A ring on the way to the thread of its worker. Frames gather in it already.
#[derive(Debug)]
pub struct LiveSeed {
    ring: Ring,
    mailbox: Arc<Mailbox>,
    interfaces: KnownInterfaces,
    event_loop: EventLoop,
}

impl LiveSeed {
    /// Sets up the wait, which belongs to the thread that calls this. `waker` ends it from other threads and must be
    /// this worker's alone.
    ///
    /// # Errors
    /// Neither io_uring nor epoll can be had, or the one that the options demand cannot.
    pub fn start(self, waker: Waker) -> Result<Live, CaptureError> {
        let (choice, wanted) = match self.event_loop {
            EventLoop::Auto => (poller::PollerChoice::Auto, "io_uring or epoll"),
            EventLoop::IoUring => (poller::PollerChoice::IoUring, "io_uring"),
            EventLoop::Epoll => (poller::PollerChoice::Epoll, "epoll"),
        };
        let poller = Poller::new(Arc::clone(self.ring.socket()), waker, choice)
            .map_err(|source| CaptureError::WaitSetUp { wanted, source })?;
        Ok(Live::new(self.ring, poller, self.mailbox, self.interfaces))
    }
}

/// Opens live capture on all interfaces, present and future.
///
/// # Errors
/// CAP_NET_RAW is missing, the ring memory does not suffice, or a call failed; the message names the remedy.
pub fn open(options: &Options) -> Result<OpenedCapture, OpenError> {
    open_on(options, &[])
}

/// The same, with each ring in the memory that is nearest to the core of its worker; a worker without a core here runs
/// anywhere.
///
/// # Errors
/// As [`open`]. That a core cannot be used is none: the ring is then wherever this thread runs.
pub fn open_on(options: &Options, cores: &[Option<usize>]) -> Result<OpenedCapture, OpenError> {
    let size = ring_size(options)?;
    let mut link_monitor = LinkMonitor::open(Policy::new(options))?;
    let vnet_header = vnet_header(options.wire_exact);

    let mut rings = Vec::with_capacity(options.workers);
    let mut group = None;
    for worker in 0..options.workers {
        let socket = Arc::new(PacketSocket::open().map_err(socket_error(worker, "socket(AF_PACKET)"))?);
        let core = cores.get(worker).copied().flatten();
        let ring = on_core(core, || Ring::allocate(Arc::clone(&socket), size, BLOCK_RETIRE_MS, vnet_header))
            .map_err(socket_error(worker, "setsockopt(PACKET_RX_RING)"))?;
        socket
            .attach_filter(&filter::drop_all())
            .map_err(socket_error(worker, "setsockopt(SO_ATTACH_FILTER)"))?;
        socket.bind_to_all_interfaces().map_err(socket_error(worker, "bind"))?;
        let fanout = socket_error(worker, "setsockopt(PACKET_FANOUT)");
        match group {
            None => group = Some(socket.create_fanout_group().map_err(fanout)?),
            Some(group) => socket.join_fanout_group(group).map_err(fanout)?,
        }
        let mailbox = link_monitor.inform(socket);
        rings.push((ring, mailbox));
    }

    for (worker, (ring, _)) in rings.iter_mut().enumerate() {
        while ring.next_block().is_some() {}
        ring.socket().take_statistics().map_err(socket_error(worker, "getsockopt(PACKET_STATISTICS)"))?;
    }
    link_monitor.attach_filters().map_err(socket_error(0, "setsockopt(SO_ATTACH_FILTER)"))?;
    link_monitor.ask_for_all();

    let seed = |(ring, mailbox)| LiveSeed {
        ring,
        mailbox,
        interfaces: KnownInterfaces::new(
            Arc::clone(link_monitor.table()),
            Arc::clone(link_monitor.link_history()),
        ),
        event_loop: options.event_loop,
    };
    let rings = rings.into_iter().map(seed).collect();
    let kernel_stats = link_monitor.views();
    let is_wire_exact = vnet_header == VnetHeader::Vnet;
    Ok(OpenedCapture { rings, link_monitor, is_wire_exact, kernel_stats })
}

/// Does `work` on a core, and leaves the thread where it was allowed to run before.
fn on_core<T>(core: Option<usize>, work: impl FnOnce() -> T) -> T {
    const THIS_THREAD: Pid = Pid::from_raw(0);
    let Some(core) = core else { return work() };
    let moved = sched_getaffinity(THIS_THREAD).and_then(|before| {
        let mut there = CpuSet::new();
        there.set(core)?;
        sched_setaffinity(THIS_THREAD, &there)?;
        Ok(before)
    });
    let done = work();
    // What fails here costs speed, not counts; a worker that cannot be pinned says so itself.
    if let Err(error) = moved.and_then(|before| sched_setaffinity(THIS_THREAD, &before)) {
        debug!("a ring was not made on core {core}: {error}");
    }
    done
}

/// What every ring has before its frames.
fn vnet_header(wire_exact: WireExact) -> VnetHeader {
    match wire_exact {
        WireExact::Off => VnetHeader::None,
        WireExact::Auto if kernel_expresses_every_frame() => VnetHeader::Vnet,
        WireExact::Auto => {
            info!("the kernel is older than Linux 6.2: frames joined by GRO count as one packet");
            VnetHeader::None
        }
    }
}

/// A kernel that cannot say how a frame is cut drops it once it is asked to. Since 6.2 all that GRO makes of TCP and
/// UDP can be said (`VIRTIO_NET_HDR_GSO_UDP_L4` in `virtio_net_hdr_from_skb`).
fn kernel_expresses_every_frame() -> bool {
    let release = uname().map(|names| names.release().to_string_lossy().into_owned()).unwrap_or_default();
    version(&release) >= Some((6, 2))
}

/// The first two numbers of a kernel's release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|digits| digits.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// How long the kernel keeps a block that is not full. It bounds how late a frame is seen, which is to be little
/// against the tick of the merge, and how often a quiet gateway wakes a worker: 50 times a second. For loss it does
/// not matter: under the same load there was none at 10, 20 and 60 ms.
const BLOCK_RETIRE_MS: u32 = 20;

/// The kernel's bound on a fanout group (`PACKET_FANOUT_MAX`).
const WORKERS_MAX: usize = 256;
/// A block must be worth its wake-up: one of this size holds more than 200 frames, of which no filter keeps more
/// than [`filter::SNAP_LEN`] bytes.
const BLOCK_BYTES_MIN: u32 = 64 << 10;
/// Larger blocks save nothing more, and memory in one piece is harder to find.
const BLOCK_BYTES_MAX: u32 = 1 << 20;
/// With fewer blocks than this they are made smaller: one that its timeout closes is taken whole, however empty.
const BLOCKS_GOOD: u64 = 8;
/// One to fill while the other is read.
const BLOCKS_MIN: u32 = 2;
/// The least that a worker's ring takes.
pub const RING_BYTES_MIN: u64 = BLOCK_BYTES_MIN as u64 * BLOCKS_MIN as u64;
/// The kernel counts the bytes of a ring in 32 bits.
const RING_BYTES_MAX: u64 = 1 << 31;

/// Divides the memory among the workers, and each share into blocks.
fn ring_size(options: &Options) -> Result<RingSize, OpenError> {
    let workers = options.workers;
    if !(1..=WORKERS_MAX).contains(&workers) {
        return Err(OpenError::Workers { workers, workers_max: WORKERS_MAX });
    }
    let share = (options.ring_memory_bytes / workers as u64).min(RING_BYTES_MAX);
    let mut block_bytes = BLOCK_BYTES_MAX;
    while block_bytes > BLOCK_BYTES_MIN && share / u64::from(block_bytes) < BLOCKS_GOOD {
        block_bytes /= 2;
    }
    let blocks = u32::try_from(share / u64::from(block_bytes)).expect("a share is below 4 GiB");
    match (NonZeroU32::new(block_bytes), NonZeroU32::new(blocks)) {
        (Some(block_bytes), Some(blocks)) if blocks.get() >= BLOCKS_MIN => {
            Ok(RingSize { block_bytes, blocks })
        }
        _ => {
            let needed_bytes = RING_BYTES_MIN;
            Err(OpenError::RingMemoryTooSmall {
                ring_memory_bytes: options.ring_memory_bytes,
                workers,
                needed_bytes,
                total_bytes: needed_bytes * workers as u64,
            })
        }
    }
}

/// Explains what a packet socket said.
fn socket_error(worker: usize, call: &'static str) -> impl Fn(Errno) -> OpenError {
    move |source| {
        let remedy = match source {
            Errno::EPERM | Errno::EACCES => return OpenError::NoCapability { program: program() },
            Errno::ENOMEM => "there is not enough kernel memory; lower RingMemory or Workers",
            Errno::ENOBUFS => "there is not enough kernel memory; lower RingMemory",
            Errno::EMFILE | Errno::ENFILE => "too many files are open; raise LimitNOFILE in the service unit",
            Errno::EAFNOSUPPORT => {
                "the kernel has no packet sockets (CONFIG_PACKET), or RestrictAddressFamilies in the service unit \
                 lacks AF_PACKET"
            }
            Errno::EINVAL | Errno::ENOPROTOOPT => "the kernel is too old; Linux 5.10 or later is needed",
            _ => "the kernel gives no reason that could be acted upon",
        };
        OpenError::Socket { call, worker, remedy, source }
    }
}

/// The binary that runs, for the command that grants it the capability.
fn program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/usr/local/bin/TrafficAlerted"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(workers: usize, ring_memory_bytes: u64) -> Options {
        Options {
            workers,
            ring_memory_bytes,
            excluded_interfaces: vec![],
            promiscuous: vec![],
            local_networks: Default::default(),
            direction: Default::default(),
            event_loop: Default::default(),
            counts_received: false,
            wire_exact: Default::default(),
        }
    }

    #[test]
    fn kernels_are_told_apart_by_their_first_two_numbers() {
        for (release, expected) in [
            ("6.18.5", Some((6, 18))),
            ("5.10.0-33-amd64", Some((5, 10))),
            ("6.2-rc1", Some((6, 2))),
            ("6", None),
            ("", None),
            ("next", None),
        ] {
            assert_eq!(version(release), expected, "{release}");
        }
        assert!(Some((6, 18)) >= Some((6, 2)) && Some((5, 19)) < Some((6, 2)) && None < Some((6, 2)));
    }

    #[test]
    fn a_ring_is_made_on_its_core_and_the_thread_is_free_again() {
        const THIS_THREAD: Pid = Pid::from_raw(0);
        let allowed = sched_getaffinity(THIS_THREAD).unwrap();
        let is_allowed = |&core: &usize| allowed.is_set(core).unwrap_or_default();
        for core in (0..CpuSet::count()).filter(is_allowed) {
            assert_eq!(on_core(Some(core), || nix::sched::sched_getcpu().unwrap()), core);
            assert_eq!(sched_getaffinity(THIS_THREAD).unwrap(), allowed);
        }
        // No machine has it: the ring is made all the same.
        assert_eq!(on_core(Some(CpuSet::count() - 1), || 7), 7);
        assert_eq!(on_core(None, || sched_getaffinity(THIS_THREAD).unwrap()), allowed);
        assert_eq!(sched_getaffinity(THIS_THREAD).unwrap(), allowed);
    }

    #[test]
    fn what_is_opened_can_go_to_other_threads() {
        fn goes<T: Send + 'static>() {}
        goes::<LiveSeed>();
        goes::<LinkMonitor>();
        goes::<Waker>();
    }

    #[test]
    fn memory_is_divided_into_blocks() {
        const KIB: u64 = 1 << 10;
        const MIB: u64 = 1 << 20;
        let cases = [
            (1, 64 * MIB, 1024, 64),
            (4, 64 * MIB, 1024, 16),
            (1, 64_000_000, 1024, 61),
            (1, 8 * MIB, 1024, 8),
            (1, 7 * MIB, 512, 14),
            (1, 3 * MIB, 256, 12),
            (1, 512 * KIB, 64, 8),
            (256, 64_000_000, 64, 3),
            (1, 128 * KIB, 64, 2),
            (1, 100 << 30, 1024, 2048),
        ];
        for (workers, bytes, block_kib, blocks) in cases {
            let size = ring_size(&options(workers, bytes)).unwrap();
            assert_eq!(
                (size.block_bytes.get() / 1024, size.blocks.get()),
                (block_kib, blocks),
                "{workers} {bytes}"
            );
            assert!(size.bytes() * workers as u64 <= bytes);
        }
    }

    #[test]
    fn too_little_memory_is_an_error_that_says_how_much() {
        let error = ring_size(&options(4, (1 << 19) - 1)).unwrap_err().to_string();
        assert_eq!(
            error,
            "524287 bytes of ring memory are too few for 4 workers: each needs at least 131072. \
             Raise RingMemory to 524288, or lower Workers"
        );
        assert!(ring_size(&options(4, 1 << 19)).is_ok());
    }

    #[test]
    fn the_number_of_workers_is_bounded() {
        for workers in [0, 257] {
            let error = ring_size(&options(workers, 1 << 40)).unwrap_err().to_string();
            assert!(error.contains("from 1 to 256"), "{error}");
        }
    }

    #[test]
    fn without_the_capability_the_error_tells_how_to_grant_it() {
        let error = socket_error(0, "socket(AF_PACKET)")(Errno::EPERM).to_string();
        assert!(error.contains("CAP_NET_RAW"), "{error}");
        assert!(error.contains("setcap cap_net_raw+ep /"), "{error}");
        assert!(error.contains("AmbientCapabilities=CAP_NET_RAW"), "{error}");
    }
}
