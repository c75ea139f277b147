//! The machine for which a configuration is checked, and the settings whose value `auto` depends on the machine.

use std::fmt;

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::sysinfo::sysinfo;

use super::cgroup::CgroupLimits;
use super::ranges::{MEMORY_BYTES, MEMORY_BYTES_AUTO, RING_MEMORY_BYTES, WORKERS};
use super::units::Bytes;
use crate::capture::RING_BYTES_MIN;

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
    ///
    /// The kernel charges rings to no control group (`alloc_one_pg_vec_page` of net/packet/af_packet.c has no
    /// `__GFP_ACCOUNT`), and mapping them takes no private memory.
    pub(super) fn allowance(&self, ring_memory_bytes: u64) -> Option<Allowance> {
        let beside_rings =
            self.address_space.map(|bytes| bytes.saturating_sub(ring_memory_bytes + ADDRESS_SPACE_RESERVED));
        let allowances = [
            (self.cgroup.memory_bytes, self.cgroup.memory_bytes, "the cgroup allows"),
            (beside_rings, self.address_space, "RLIMIT_AS allows"),
            (self.data, self.data, "RLIMIT_DATA allows"),
        ];
        let allowances = allowances.into_iter().filter_map(|(room, allowed, by)| {
            Some(Allowance { room_bytes: room?, allowed_bytes: allowed?, by })
        });
        let smallest = allowances.min_by_key(|allowance| allowance.room_bytes)?;
        let machine = if self.memory_bytes == 0 { MEMORY_UNKNOWN } else { self.memory_bytes };
        (smallest.room_bytes < machine).then_some(smallest)
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
    /// What allows no more, with the verb.
    by: &'static str,
}

impl Allowance {
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

/// Address space that mimalloc reserves without using it, and that stacks of threads take, in bytes: a process that
/// counts little has 850 MB of address space.
const ADDRESS_SPACE_RESERVED: u64 = 1_000_000_000;

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
            ("address space", Machine { address_space: Some(1_264_000_000), ..large.clone() }, 64),
            ("little address space", Machine { address_space: Some(1_144_000_000), ..large.clone() }, 40),
            ("data", Machine { data: Some(400_000_000), ..large.clone() }, 100),
            ("no limits", Machine { address_space: Some(u64::MAX), data: Some(u64::MAX), ..large }, 4_000),
        ];
        for (what, machine, want) in cases {
            assert_eq!(MemoryLimit::Auto.bytes(&machine, RING), want * 1_000_000, "{what}");
        }
        assert_eq!(MemoryLimit::Bytes(7).bytes(&in_cgroup(), RING), 7);
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
