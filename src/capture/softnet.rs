//! Counts the frames that the kernel drops between a driver and the packet sockets. No counter of a socket has them.
//!
//! Each CPU queues received frames before it processes them; a full queue (`net.core.netdev_max_backlog`) drops frames.
//! `/proc/net/softnet_stat` has a line of hexadecimal columns for each CPU. The second column counts these drops, the
//! third one counts how often the CPU stopped while frames were left (`net.core.netdev_budget`). Both cover the whole
//! machine, all namespaces included.
//!
//! Source: `softnet_seq_show` of `net/core/net-procfs.c`.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileExt;

/// Drops and postponed work of the whole machine since the file was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SoftnetStats {
    /// Frames dropped before the packet sockets, of all interfaces and namespaces.
    pub drops: u64,
    /// Number of times that a CPU stopped receiving while frames were left, since its budget was used up.
    pub time_squeezes: u64,
}

/// Sums the counters of all CPUs. In the kernel they have 32 bits and wrap.
#[derive(Debug)]
pub(super) struct SoftnetPoller {
    // The file is kept open, since the process may not be allowed to open it later.
    file: File,
    /// The last reading of each CPU: drops and squeezes.
    cpus: HashMap<u32, [u32; 2]>,
    counts: SoftnetStats,
}

impl SoftnetPoller {
    /// Opens the file and counts from its present values.
    pub(super) fn open() -> io::Result<Self> {
        // This path is used instead of /proc/net, which a unit with ProcSubset=pid lacks.
        let file = File::open("/proc/self/net/softnet_stat")?;
        let mut poller = Self { file, cpus: HashMap::new(), counts: SoftnetStats::default() };
        poller.cpus = lines(&poller.text()?).collect();
        Ok(poller)
    }

    /// Returns the number of its descriptor.
    pub(super) fn descriptor(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Reads the counters and adds the differences.
    pub(super) fn read(&mut self) -> io::Result<()> {
        let text = self.text()?;
        self.add(&text);
        Ok(())
    }

    /// Returns the sums up to the last reading.
    pub(super) fn counts(&self) -> SoftnetStats {
        self.counts
    }

    fn add(&mut self, text: &str) {
        for (cpu, counters @ [drops, squeezes]) in lines(text) {
            // A CPU that was added after the start begins at zero.
            let [drops_before, squeezes_before] = self.cpus.insert(cpu, counters).unwrap_or_default();
            self.counts.drops += u64::from(drops.wrapping_sub(drops_before));
            self.counts.time_squeezes += u64::from(squeezes.wrapping_sub(squeezes_before));
        }
    }

    fn text(&self) -> io::Result<String> {
        let mut text = Vec::new();
        let mut part = [0; 4096];
        loop {
            match self.file.read_at(&mut part, text.len() as u64) {
                Ok(0) => return Ok(String::from_utf8_lossy(&text).into_owned()),
                Ok(count) => text.extend_from_slice(&part[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Parses number, drops and squeezes of each CPU. Linux before 5.10 does not write the number of the CPU, so the number
/// of the line is used. A CPU that is offline has no line.
fn lines(text: &str) -> impl Iterator<Item = (u32, [u32; 2])> {
    text.lines().zip(0..).filter_map(|(line, nth)| {
        let mut columns = line.split_ascii_whitespace().map(|column| u32::from_str_radix(column, 16).ok());
        let (_, drops, squeezes) = (columns.next()?, columns.next()??, columns.next()??);
        let cpu = columns.nth(CPU_COLUMN - 3).flatten().unwrap_or(nth);
        Some((cpu, [drops, squeezes]))
    })
}

/// Index of the column with the number of the CPU, from 0.
const CPU_COLUMN: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn line(drops: u32, squeezes: u32, cpu: Option<u32>) -> String {
        let cpu = cpu.map_or_else(String::new, |cpu| format!(" {cpu:08x} 00000007 00000000"));
        format!("ffffffff {drops:08x} {squeezes:08x}{}{cpu}\n", " 00000000".repeat(9))
    }

    #[test]
    fn the_counters_of_each_cpu_wrap_separately_and_are_summed() {
        let mut poller = SoftnetPoller::open().unwrap();
        poller.cpus = lines(&[line(u32::MAX, 0x10, Some(0)), line(3, 0, Some(2))].concat()).collect();
        poller.counts = SoftnetStats::default();
        // The first one wraps, another one is online now, the last one has not changed.
        poller.add(&[line(1, 0x12, Some(0)), line(5, 1, Some(1)), line(3, 0, Some(2))].concat());
        assert_eq!(poller.counts, SoftnetStats { drops: 7, time_squeezes: 3 });
        // The first two are offline for a while, after which their counters continue.
        poller.add(&line(4, 0, Some(2)));
        poller.add(&[line(1, 0x12, Some(0)), line(6, 1, Some(1))].concat());
        assert_eq!(poller.counts, SoftnetStats { drops: 9, time_squeezes: 3 });
    }

    #[test]
    fn without_numbers_cpus_are_identified_by_their_line() {
        let text = [line(1, 2, None), "".to_owned(), line(3, 4, None)].concat();
        assert_eq!(lines(&text).collect::<Vec<_>>(), [(0, [1, 2]), (1, [3, 4])]);
        assert_eq!(lines("no numbers at all\n\n00 01\n").count(), 0);
    }

    #[test]
    fn this_machine_has_one_line_for_each_cpu() {
        let mut poller = SoftnetPoller::open().unwrap();
        let cpus = poller.cpus.len();
        assert!(cpus >= 1);
        poller.read().unwrap();
        assert_eq!(poller.cpus.len(), cpus);
    }
}
