//! Opens live capture: sockets, rings, filters and the fanout group, in an order in which no frame is captured twice.
//!
//! 1. A netlink socket subscribes to changes of interfaces. The table and the filter are made of the present
//!    interfaces.
//! 2. For each worker: a packet socket that receives nothing (protocol 0), opened here or before; its ring, with a
//!    `virtio_net_hdr` per frame if the kernel supports it; a filter that drops everything. The kernel allocates the
//!    pages of a ring on the memory node of the calling CPU, so the ring is allocated on the core of its worker, if it
//!    has one.
//! 3. Each socket is bound to all interfaces and joins one fanout group. Between these two calls a socket would receive
//!    every frame instead of its share; the filter of step 2 prevents that. Binding after joining is an error.
//! 4. When all sockets have joined, the content of the rings is discarded, the statistics are reset, and each socket
//!    gets the real filter.
//!
//! The sockets need CAP_NET_RAW to be opened, and nothing else does. These steps may be done on any thread. A
//! [`LiveSeed`] moves to the thread of its worker and becomes a [`Live`] there. The caller runs these threads.
//!
//! Sources: packet(7), `net/packet/af_packet.c` (`fanout_add`, `packet_set_ring`).

use std::num::NonZeroU32;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::utsname::uname;
use nix::unistd::Pid;
use tracing::{debug, info};

use super::error::{CaptureError, OpenError, socket_error};
use super::filter;
use super::kernel_stats::KernelStats;
use super::link_monitor::LinkMonitor;
use super::live::{KnownInterfaces, Live};
use super::mailbox::Mailbox;
use super::options::{EventLoop, Options, WireExact};
use super::packet_sockets::PacketSockets;
use super::policy::Policy;
use crate::published::Published;
use crate::sys::poller::{self, Poller};
use crate::sys::ring::{Ring, RingSize, VnetHeader};
use crate::sys::waker::Waker;

/// Live capture after all steps that need a capability.
pub struct OpenedCapture {
    /// One per worker.
    pub rings: Vec<LiveSeed>,
    /// Follows the interfaces; run it on a thread of its own.
    pub link_monitor: LinkMonitor,
    /// True if the kernel reports how frames are cut into packets on the wire.
    pub is_wire_exact: bool,
    /// The counters of the kernel; the link monitor publishes new ones every second.
    pub kernel_stats: Arc<Published<KernelStats>>,
}

/// A ring that has not reached the thread of its worker yet. It captures frames already.
#[derive(Debug)]
pub struct LiveSeed {
    ring: Ring,
    mailbox: Arc<Mailbox>,
    interfaces: KnownInterfaces,
    event_loop: EventLoop,
}

impl LiveSeed {
    /// Returns the descriptors that the worker uses: the packet socket, and the notices about interfaces.
    pub fn descriptors(&self) -> Vec<RawFd> {
        vec![self.ring.socket().as_fd().as_raw_fd(), self.interfaces.notices()]
    }

    /// Sets up the wait. Call it on the thread of the worker. Other threads end the wait with `waker`, which must not
    /// be shared with another worker.
    ///
    /// # Errors
    /// Neither io_uring nor epoll can be set up, or the mechanism that the options require cannot be set up.
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
/// CAP_NET_RAW is missing, the ring memory is too small, or a system call failed. The message names the remedy.
pub fn open(options: &Options) -> Result<OpenedCapture, OpenError> {
    open_on(options, &[], None)
}

/// Opens live capture like [`open`], with each ring on the memory node of its worker's core. `cores` has the core of
/// each worker, or `None` if the worker is not pinned. With `sockets`, which were opened before, no capability is
/// needed.
///
/// # Errors
/// The errors of [`open`]. There are fewer sockets than workers. If a core cannot be used, that is not an error: the
/// ring is allocated where this thread runs.
pub(crate) fn open_on(
    options: &Options,
    cores: &[Option<usize>],
    sockets: Option<PacketSockets>,
) -> Result<OpenedCapture, OpenError> {
    let size = ring_size(options)?;
    let sockets = match sockets {
        Some(sockets) if sockets.count() < options.workers => {
            return Err(OpenError::FewSockets { sockets: sockets.count(), workers: options.workers });
        }
        Some(sockets) => sockets,
        None => PacketSockets::open(options.workers)?,
    };
    let mut link_monitor = LinkMonitor::open(Policy::new(options))?;
    let vnet_header = vnet_header(options.wire_exact);

    let mut rings = Vec::with_capacity(options.workers);
    let mut group = None;
    for (worker, socket) in sockets.into_sockets().take(options.workers).enumerate() {
        let socket = Arc::new(socket);
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
        let mailbox = link_monitor.subscribe(socket);
        rings.push((ring, mailbox));
    }

    for (worker, (ring, _)) in rings.iter_mut().enumerate() {
        while ring.next_block().is_some() {}
        ring.socket().take_statistics().map_err(socket_error(worker, "getsockopt(PACKET_STATISTICS)"))?;
    }
    link_monitor.attach_filters().map_err(socket_error(0, "setsockopt(SO_ATTACH_FILTER)"))?;
    link_monitor.set_promiscuous();

    let seed = |(ring, mailbox): (Ring, Arc<Mailbox>)| LiveSeed {
        interfaces: KnownInterfaces::new(
            Arc::clone(link_monitor.table()),
            Arc::clone(link_monitor.link_history()),
        ),
        ring,
        mailbox,
        event_loop: options.event_loop,
    };
    let rings = rings.into_iter().map(seed).collect();
    let kernel_stats = link_monitor.kernel_stats();
    let is_wire_exact = vnet_header == VnetHeader::Present;
    Ok(OpenedCapture { rings, link_monitor, is_wire_exact, kernel_stats })
}

/// Calls `work` on a core, then restores the affinity of the thread. Without a core, or if the thread cannot be moved,
/// `work` runs where the thread is.
fn on_core<T>(core: Option<usize>, work: impl FnOnce() -> T) -> T {
    const THIS_THREAD: Pid = Pid::from_raw(0);
    let Some(core) = core else { return work() };
    let moved = sched_getaffinity(THIS_THREAD).and_then(|before| {
        let mut target = CpuSet::new();
        target.set(core)?;
        sched_setaffinity(THIS_THREAD, &target)?;
        Ok(before)
    });
    let result = work();
    // A failure makes reading slower but does not change counts. A worker that cannot be pinned logs that itself.
    if let Err(error) = moved.and_then(|before| sched_setaffinity(THIS_THREAD, &before)) {
        debug!("a ring was not made on core {core}: {error}");
    }
    result
}

/// Selects the header before each frame.
fn vnet_header(wire_exact: WireExact) -> VnetHeader {
    match wire_exact {
        WireExact::Off => VnetHeader::None,
        WireExact::Auto if kernel_expresses_every_frame() => VnetHeader::Present,
        WireExact::Auto => {
            info!("the kernel is older than Linux 6.2: frames joined by GRO count as one packet");
            VnetHeader::None
        }
    }
}

/// Returns true if a `virtio_net_hdr` can express the segmentation of every frame that GRO makes of TCP or UDP, since
/// the kernel drops frames that it cannot express. That is so from Linux 6.2 on (`VIRTIO_NET_HDR_GSO_UDP_L4` in
/// `virtio_net_hdr_from_skb`).
fn kernel_expresses_every_frame() -> bool {
    let release = uname().map(|names| names.release().to_string_lossy().into_owned()).unwrap_or_default();
    version(&release) >= Some((6, 2))
}

/// Parses the first two numbers of a kernel release; returns `None` if there are fewer.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|digits| digits.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// Milliseconds after which the kernel closes a block that is not full. This bounds the delay of a frame, which must be
/// small compared with a tick, and the rate at which a gateway with little traffic wakes a worker, which is 50 times a
/// second. It does not affect drops: under the same load there were none at 10, 20 and 60 ms.
const BLOCK_RETIRE_MS: u32 = 20;

/// Maximum number of sockets in a fanout group of the kernel (`PACKET_FANOUT_MAX`).
const WORKERS_MAX: usize = 256;
/// Minimum bytes of a block. It holds more than 200 frames, which the filter cuts to [`filter::SNAP_LEN`] bytes, so
/// that a wake-up is worth its cost.
const BLOCK_BYTES_MIN: u32 = 64 << 10;
/// Maximum bytes of a block. Larger blocks save no more time, and contiguous memory of their size is harder to
/// allocate.
const BLOCK_BYTES_MAX: u32 = 1 << 20;
/// Number of blocks below which smaller blocks are used. The kernel cannot use the free part of a block that its
/// timeout has closed, so a ring needs several blocks.
const BLOCKS_GOOD: u64 = 8;
/// Minimum number of blocks: the kernel fills one while the worker reads the other one.
const BLOCKS_MIN: u32 = 2;
/// Minimum bytes of a worker's ring.
pub(crate) const RING_BYTES_MIN: u64 = BLOCK_BYTES_MIN as u64 * BLOCKS_MIN as u64;
/// Maximum bytes of a ring; the kernel computes with 32 bits.
const RING_BYTES_MAX: u64 = 1 << 31;

/// Divides the ring memory among the workers and returns the blocks of each share.
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

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

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
    fn a_kernel_release_is_compared_by_its_first_two_numbers() {
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
    fn work_runs_on_the_given_core_and_the_affinity_is_restored() {
        const THIS_THREAD: Pid = Pid::from_raw(0);
        let allowed = sched_getaffinity(THIS_THREAD).unwrap();
        let is_allowed = |&core: &usize| allowed.is_set(core).unwrap_or_default();
        for core in (0..CpuSet::count()).filter(is_allowed) {
            assert_eq!(on_core(Some(core), || nix::sched::sched_getcpu().unwrap()), core);
            assert_eq!(sched_getaffinity(THIS_THREAD).unwrap(), allowed);
        }
        // No machine has this core, so the work runs where the thread is.
        assert_eq!(on_core(Some(CpuSet::count() - 1), || 7), 7);
        assert_eq!(on_core(None, || sched_getaffinity(THIS_THREAD).unwrap()), allowed);
        assert_eq!(sched_getaffinity(THIS_THREAD).unwrap(), allowed);
    }

    #[test]
    fn the_parts_of_opened_capture_can_move_to_other_threads() {
        fn is_send<T: Send + 'static>() {}
        is_send::<LiveSeed>();
        is_send::<LinkMonitor>();
        is_send::<Waker>();
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
    fn too_little_memory_is_an_error_with_the_bytes_needed() {
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
    fn without_the_capability_the_error_explains_how_to_grant_it() {
        let error = socket_error(0, "socket(AF_PACKET)")(Errno::EPERM).to_string();
        assert!(error.contains("CAP_NET_RAW"), "{error}");
        assert!(error.contains("setcap cap_net_raw+ep /"), "{error}");
        assert!(error.contains("AmbientCapabilities=CAP_NET_RAW"), "{error}");
    }
}
