//! The machine for which a configuration is checked, and the settings whose value `auto` depends on the machine.

use std::fmt;

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::sysinfo::sysinfo;

use super::cgroup::CgroupLimits;
use super::ranges::{MEMORY_BYTES, MEMORY_BYTES_AUTO, RING_MEMORY_BYTES, WORKERS};
use super::units::Bytes;
use crate::capture::RING_BYTES_MIN;
use crate::sys::allocator::ADDRESS_SPACE_NEEDED;

/// The CPUs and the memory that this process may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Machine {
    /// Numbers of the CPUs in the affinity mask, ascending, at least one.
    pub(super) cores: Vec<usize>,
    /// Number of bytes of memory of the whole machine; 0 if it cannot be read.
    pub(super) memory_bytes: u64,
    /// What its control groups allow this process.
    pub(super) cgroup: CgroupLimits,
    /// Bytes of address space that this process may use (RLIMIT_AS of setrlimit(2)), which rings take as well.
    pub(super) address_space: Option<u64>,
    /// Bytes of private memory that this process may write to (RLIMIT_DATA).
    pub(super) data: Option<u64>,
}

impl Machine {
    /// Reads the affinity mask, the size of the memory, and the limits of this process.
    pub(super) fn here() -> Self {
        let mask = core_affinity::get_core_ids().unwrap_or_default();
        let mut cores: Vec<usize> = mask.into_iter().map(|core| core.id).collect();
        if cores.is_empty() {
            // The mask cannot be read if there are more CPUs than a `cpu_set_t` holds.
            let count = std::thread::available_parallelism().map_or(1, usize::from);
            cores = (0..count).collect();
        }
        // RLIM_INFINITY is the largest number, so it is never the smallest limit.
        let limit = |resource| getrlimit(resource).ok().map(|(soft, _)| soft);
        Self {
            memory_bytes: sysinfo().map_or(0, |machine| machine.ram_total()),
            cgroup: CgroupLimits::here(),
            address_space: limit(Resource::RLIMIT_AS),
            data: limit(Resource::RLIMIT_DATA),
            ..Self::with_cores(cores)
        }
    }

    /// Returns a machine with these CPUs, of whose memory nothing is known.
    pub(super) fn with_cores(cores: Vec<usize>) -> Self {
        Self { cores, memory_bytes: 0, cgroup: CgroupLimits::default(), address_space: None, data: None }
    }

    /// Returns the bytes that the tables and the rest of the program may take together, beside rings of
    /// `ring_memory_bytes`, and what allows no more. Returns `None` if nothing allows less than the machine has.
    pub(super) fn allowance(&self, ring_memory_bytes: u64) -> Option<Allowance> {
        let smallest = self.allowances(ring_memory_bytes).min_by_key(|allowance| allowance.room_bytes)?;
        let machine = if self.memory_bytes == 0 { MEMORY_UNKNOWN } else { self.memory_bytes };
        (smallest.room_bytes < machine).then_some(smallest)
    }

    /// Returns the limit of the process under which tables of `table_bytes` leave too little for the rest of the
    /// program: the kernel would refuse it memory, which ends it. `None` if there is no such limit.
    pub(super) fn refusal(&self, table_bytes: u64, ring_memory_bytes: u64) -> Option<Allowance> {
        let of_process =
            self.allowances(ring_memory_bytes).filter(|allowance| allowance.by != Allower::Cgroup);
        of_process
            .min_by_key(|allowance| allowance.room_bytes)
            .filter(|allowance| table_bytes > allowance.sensible_bytes_max())
    }

    /// Returns what each limit allows beside rings of `ring_memory_bytes`.
    ///
    /// The kernel charges rings to no control group (`alloc_one_pg_vec_page` of net/packet/af_packet.c has no
    /// `__GFP_ACCOUNT`), and mapping them takes address space and no private memory.
    fn allowances(&self, ring_memory_bytes: u64) -> impl Iterator<Item = Allowance> {
        let of = |allowed: Option<u64>, reserved_bytes, by| {
            let room = |allowed_bytes: u64| allowed_bytes.saturating_sub(reserved_bytes);
            let with_room =
                |bytes| Allowance { room_bytes: room(bytes), allowed_bytes: bytes, reserved_bytes, by };
            allowed.map(with_room)
        };
        // A worker for each CPU.
        let stacks = STACK_BYTES.saturating_mul(self.cores.len() as u64);
        let address_space = ring_memory_bytes
            .saturating_add(stacks)
            .saturating_add(address_space_reserved(self.address_space));
        let allowances = [
            of(self.cgroup.memory_bytes, 0, Allower::Cgroup),
            of(self.address_space, address_space, Allower::AddressSpace),
            of(self.data, DATA_RESERVED.saturating_add(stacks), Allower::Data),
        ];
        allowances.into_iter().flatten()
    }

    /// Returns the most that `RingMemory` may be, and the memory that it is a quarter of: that of the machine, of the
    /// control group or of the address space. Returns `None` if none of them is known.
    pub(super) fn ring_memory(&self, workers: usize) -> Option<RingMemoryMax> {
        let machine = (self.memory_bytes > 0).then_some((self.memory_bytes, "this machine has"));
        let cgroup = self.cgroup.memory_bytes.map(|bytes| (bytes, "the cgroup allows"));
        let address_space = self.address_space.map(|bytes| (bytes, "RLIMIT_AS allows"));
        let (of_bytes, by) =
            [machine, cgroup, address_space].into_iter().flatten().min_by_key(|(bytes, _)| *bytes)?;
        // Each worker needs a ring, however small the machine is.
        let needed = RING_BYTES_MIN.saturating_mul(workers as u64).max(*RING_MEMORY_BYTES.start());
        Some(RingMemoryMax { bytes: megabytes(of_bytes / 4).max(needed), of_bytes, by })
    }

    /// Returns the default of `RingMemory`: `bytes`, or less on a small machine.
    pub(super) fn ring_memory_default(&self, bytes: u64, workers: usize) -> u64 {
        self.ring_memory(workers).map_or(bytes, |max| max.bytes.min(bytes))
    }
}

/// Memory that this process may use, which is less than the machine has. Displayed as `the cgroup allows 200M`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    /// The bytes that may be used beside the rings.
    pub(super) room_bytes: u64,
    /// The bytes that are allowed, with the rings if these count.
    allowed_bytes: u64,
    /// The bytes of what is allowed that are for rings, stacks and code.
    reserved_bytes: u64,
    /// What allows no more.
    by: Allower,
}

/// What allows a process only a part of the memory. Displayed with its verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Allower {
    /// A control group. Where it allows no more, the kernel writes pages back and ends a process at last.
    Cgroup,
    /// RLIMIT_AS: where it allows no more, the kernel refuses memory.
    AddressSpace,
    /// RLIMIT_DATA: the same.
    Data,
}

impl fmt::Display for Allower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cgroup => "the cgroup allows",
            Self::AddressSpace => "RLIMIT_AS allows",
            Self::Data => "RLIMIT_DATA allows",
        })
    }
}

impl Allowance {
    /// Returns what tables of `table_bytes` and all else need to be allowed, in bytes.
    pub(super) fn needed_bytes(&self, table_bytes: u64) -> u64 {
        self.reserved_bytes.saturating_add(table_bytes.div_ceil(3).saturating_mul(4))
    }

    /// Returns the key of the unit of systemd that sets this limit.
    pub(super) fn unit_key(&self) -> &'static str {
        match self.by {
            Allower::Cgroup => "MemoryMax=",
            Allower::AddressSpace => "LimitAS=",
            Allower::Data => "LimitDATA=",
        }
    }

    /// Returns the largest sensible `MemoryLimit`. A quarter is left for the program, for databases of countries, and
    /// for alerts that wait.
    pub(super) fn sensible_bytes_max(&self) -> u64 {
        self.room_bytes / 4 * 3
    }
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.by, Bytes(megabytes(self.allowed_bytes)))
    }
}

/// The most that `RingMemory` may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RingMemoryMax {
    pub(super) bytes: u64,
    /// The memory of which it is a quarter.
    pub(super) of_bytes: u64,
    /// What has this memory, with the verb.
    pub(super) by: &'static str,
}

impl fmt::Display for RingMemoryMax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.by, Bytes(megabytes(self.of_bytes)))
    }
}

/// How many workers there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Workers {
    /// One for each CPU of the affinity mask, up to the maximum of [`WORKERS`], and up to the CPU time that the control
    /// group allows.
    Auto,
    /// This many.
    Count(usize),
}

impl Workers {
    /// Returns the number of workers on `machine`.
    pub(super) fn count(self, machine: &Machine) -> usize {
        match self {
            Workers::Auto => {
                let usable = machine.cores.len().min(*WORKERS.end());
                // Whole CPUs, so that the rest is left for the analyst.
                let allowed = machine.cgroup.cpu_milli.map_or(u64::MAX, |milli| milli / 1000).max(1);
                usize::try_from(allowed).map_or(usable, |allowed| allowed.min(usable))
            }
            Workers::Count(count) => count,
        }
    }
}

/// How much memory the tables may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MemoryLimit {
    /// A quarter of the memory that this process may use, within [`MEMORY_BYTES_AUTO`]. Where less is allowed than the
    /// machine has, at most half of that.
    Auto,
    /// These bytes.
    Bytes(u64),
}

impl MemoryLimit {
    /// Returns the number of bytes on `machine`, beside rings of `ring_memory_bytes`; for `auto` it is rounded down to
    /// whole megabytes.
    pub(super) fn bytes(self, machine: &Machine, ring_memory_bytes: u64) -> u64 {
        let (min, max) = MEMORY_BYTES_AUTO.into_inner();
        match (self, machine.allowance(ring_memory_bytes)) {
            (MemoryLimit::Bytes(bytes), _) => bytes,
            (MemoryLimit::Auto, None) => megabytes((machine.memory_bytes / 4).clamp(min, max)),
            (MemoryLimit::Auto, Some(Allowance { room_bytes, .. })) => {
                let quarter = (room_bytes / 4).clamp(min, max);
                megabytes(quarter.min(room_bytes / 2).max(*MEMORY_BYTES.start()))
            }
        }
    }
}

/// Bytes of the stack of a thread, as the standard library makes it.
const STACK_BYTES: u64 = 2_000_000;

/// Private memory that the program takes beside tables, alerts and workers, most of it for the stacks of its other
/// threads, in bytes: without a sink but the log it takes 13 MB.
const DATA_RESERVED: u64 = 28_000_000;

/// Returns the address space that the program takes beside rings, tables, alerts and workers where it may have
/// `allowed` bytes of it.
fn address_space_reserved(allowed: Option<u64>) -> u64 {
    match allowed {
        // Its code, libraries, and the stacks of its other threads: without a sink but the log it takes 38 MB.
        Some(bytes) if bytes < ADDRESS_SPACE_NEEDED => 60_000_000,
        // mimalloc reserves a gigabyte that it does not use.
        _ => 1_000_000_000,
    }
}

/// The memory of a machine of which nothing is known, for comparisons: none has more. A v1 group without a limit allows
/// the largest number of pages, some bytes below 2^63.
const MEMORY_UNKNOWN: u64 = 1 << 62;

fn megabytes(bytes: u64) -> u64 {
    bytes / 1_000_000 * 1_000_000
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns a machine with the CPUs 2 and 3, so that tests do not depend on the machine that runs them.
    pub(in crate::config) fn two_cores() -> Machine {
        Machine { memory_bytes: 512_000_000, ..Machine::with_cores(vec![2, 3]) }
    }

    /// Returns the same machine with a control group of 200 MiB and 1.5 CPUs.
    pub(in crate::config) fn in_cgroup() -> Machine {
        Machine {
            cgroup: CgroupLimits { memory_bytes: Some(200 << 20), cpu_milli: Some(1_500) },
            ..two_cores()
        }
    }

    const RING: u64 = 64_000_000;

    #[test]
    fn auto_is_a_quarter_of_what_is_allowed_and_leaves_half_of_it() {
        let large = Machine { memory_bytes: 24_000_000_000, ..two_cores() };
        let group = |bytes| Machine {
            cgroup: CgroupLimits { memory_bytes: Some(bytes), cpu_milli: None },
            ..large.clone()
        };
        let cases = [
            ("a machine of 512 MB", two_cores(), 128),
            ("a large machine", large.clone(), 4_000),
            ("an unknown machine", Machine::with_cores(vec![0]), 64),
            ("a v1 group without a limit", group(9_223_372_036_854_771_712), 4_000),
            ("a group that allows more than there is", group(25_000_000_000), 4_000),
            ("a large group", group(8_000_000_000), 2_000),
            ("200 MiB", group(200 << 20), 64),
            ("100 MB", group(100_000_000), 50),
            ("40 MB", group(40_000_000), 32),
            ("much address space", Machine { address_space: Some(5_068_000_000), ..large.clone() }, 1_000),
            ("address space", Machine { address_space: Some(400_000_000), ..large.clone() }, 68),
            ("little address space", Machine { address_space: Some(208_000_000), ..large.clone() }, 40),
            ("data", Machine { data: Some(400_000_000), ..large.clone() }, 92),
            ("no limits", Machine { address_space: Some(u64::MAX), data: Some(u64::MAX), ..large }, 4_000),
        ];
        for (what, machine, want) in cases {
            assert_eq!(MemoryLimit::Auto.bytes(&machine, RING), want * 1_000_000, "{what}");
        }
        assert_eq!(MemoryLimit::Bytes(7).bytes(&in_cgroup(), RING), 7);
    }

    /// The rings do not count as private memory, and a control group ends no process for its address space.
    #[test]
    fn tables_that_leave_less_than_a_quarter_of_what_the_process_may_have_are_refused() {
        let limited = |address_space, data| Machine { address_space, data, ..two_cores() };
        let cases = [
            ("no limit", two_cores(), u64::MAX, None),
            ("a group", in_cgroup(), u64::MAX, None),
            ("address space", limited(Some(228_000_000), None), 75_000_000, None),
            ("one byte more", limited(Some(228_000_000), None), 75_000_001, Some(228_000_004)),
            ("less than the rings", limited(Some(50_000_000), None), 32_000_000, Some(170_666_668)),
            ("data", limited(None, Some(132_000_000)), 75_000_000, None),
            ("too little data", limited(None, Some(132_000_000)), 96_000_000, Some(160_000_000)),
            ("both", limited(Some(228_000_000), Some(32_000_000)), 32_000_000, Some(74_666_668)),
        ];
        for (what, machine, table_bytes, want) in cases {
            let refusal = machine.refusal(table_bytes, RING);
            assert_eq!(refusal.map(|refusal| refusal.needed_bytes(table_bytes)), want, "{what}");
        }
    }

    #[test]
    fn there_are_no_more_workers_than_the_group_has_whole_cpus() {
        let count = |cpu_milli| {
            let cgroup = CgroupLimits { memory_bytes: None, cpu_milli };
            Workers::Auto.count(&Machine { cgroup, ..two_cores() })
        };
        assert_eq!([None, Some(5_000), Some(2_000), Some(1_999), Some(300)].map(count), [2, 2, 2, 1, 1]);
        assert_eq!(Workers::Count(7).count(&in_cgroup()), 7);
    }

    #[test]
    fn rings_take_at_most_a_quarter() {
        let max = |machine: &Machine, workers| machine.ring_memory(workers).map(|max| max.bytes);
        assert_eq!(max(&two_cores(), 2), Some(128_000_000));
        assert_eq!(max(&in_cgroup(), 2), Some(52_000_000));
        assert_eq!(max(&Machine { address_space: Some(100_000_000), ..in_cgroup() }, 2), Some(25_000_000));
        assert_eq!(max(&Machine::with_cores(vec![0]), 1), None);
        assert_eq!(two_cores().ring_memory_default(RING, 2), RING);
        assert_eq!(in_cgroup().ring_memory_default(RING, 2), 52_000_000);
        let tiny = Machine { memory_bytes: 16_000_000, ..two_cores() };
        assert_eq!(tiny.ring_memory_default(RING, 256), 256 * RING_BYTES_MIN, "each worker needs a ring");
    }
}
