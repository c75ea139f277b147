//! The machine for which a configuration is checked, and the settings whose value `auto` depends on the machine.

use nix::sys::sysinfo::sysinfo;

use super::ranges::{MEMORY_BYTES_AUTO, WORKERS};

/// The CPUs and the memory that this process may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Machine {
    /// Numbers of the CPUs in the affinity mask, ascending, at least one.
    pub(super) cores: Vec<usize>,
    /// Number of bytes of memory of the whole machine; 0 if it cannot be read.
    pub(super) memory_bytes: u64,
}

impl Machine {
    /// Reads the affinity mask and the size of the memory.
    pub(super) fn here() -> Self {
        let mask = core_affinity::get_core_ids().unwrap_or_default();
        let mut cores: Vec<usize> = mask.into_iter().map(|core| core.id).collect();
        if cores.is_empty() {
            // The mask cannot be read if there are more CPUs than a `cpu_set_t` holds.
            let count = std::thread::available_parallelism().map_or(1, usize::from);
            cores = (0..count).collect();
        }
        Self { cores, memory_bytes: sysinfo().map_or(0, |machine| machine.ram_total()) }
    }
}

/// How many workers there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Workers {
    /// One for each CPU of the affinity mask, up to the maximum of [`WORKERS`].
    Auto,
    /// This many.
    Count(usize),
}

impl Workers {
    /// Returns the number of workers on `machine`.
    pub(super) fn count(self, machine: &Machine) -> usize {
        match self {
            Workers::Auto => machine.cores.len().min(*WORKERS.end()),
            Workers::Count(count) => count,
        }
    }
}

/// How much memory the tables may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MemoryLimit {
    /// A quarter of the machine's memory, within [`MEMORY_BYTES_AUTO`].
    Auto,
    /// These bytes.
    Bytes(u64),
}

impl MemoryLimit {
    /// Returns the number of bytes on `machine`; for `auto` it is rounded down to whole megabytes.
    pub(super) fn bytes(self, machine: &Machine) -> u64 {
        match self {
            MemoryLimit::Auto => {
                let (min, max) = MEMORY_BYTES_AUTO.into_inner();
                (machine.memory_bytes / 4).clamp(min, max) / 1_000_000 * 1_000_000
            }
            MemoryLimit::Bytes(bytes) => bytes,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns a machine with the CPUs 2 and 3, so that tests do not depend on the machine that runs them.
    pub(in crate::config) fn two_cores() -> Machine {
        Machine { cores: vec![2, 3], memory_bytes: 512_000_000 }
    }
}
