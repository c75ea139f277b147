//! What the control groups of this process allow it: memory and CPU time, of both versions of cgroups.
//!
//! A limit of a group holds for all groups below it, so the groups of the process and all groups above them are read,
//! as far as they are visible: a container sees its own group as the root. What cannot be read limits nothing.
//!
//! Sources: cgroups(7); Documentation/admin-guide/cgroup-v2.rst (`memory.max`, `memory.high`, `cpu.max`);
//! cgroup-v1/memory.rst (`memory.limit_in_bytes`); scheduler/sched-bwc.rst (`cpu.cfs_quota_us`); proc_pid_mountinfo(5).

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// The smallest limits of all groups of a process; `None` where no group has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CgroupLimits {
    /// Bytes of memory. A v1 group without a limit has a number near 2^63, which is kept.
    pub(super) memory_bytes: Option<u64>,
    /// CPU time in thousandths of a CPU.
    pub(super) cpu_milli: Option<u64>,
}

impl CgroupLimits {
    /// Reads the limits of this process.
    pub(super) fn here() -> Self {
        Self::read(Path::new("/"))
    }

    /// Reads the limits of this process below `root`, which is `/` except in tests.
    fn read(root: &Path) -> Self {
        let text = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
        let (groups, mounts) = (text("proc/self/cgroup"), text("proc/self/mountinfo"));
        let mut limits = Self::default();
        for mount in mounts.lines().filter_map(CgroupMount::parse) {
            for group in groups.lines().filter_map(CgroupPath::parse).filter(|group| mount.has(group)) {
                for folder in mount.folders(&group, root) {
                    limits.tighten(&folder, &mount);
                }
            }
        }
        limits
    }

    /// Applies the limits of the group in `folder`.
    fn tighten(&mut self, folder: &Path, mount: &CgroupMount<'_>) {
        let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
        // "max" is not a number, and neither is a file that is missing.
        let number = |name: &str| text(name).trim().parse::<u64>().ok();
        let (memory, cpu) = match mount.version {
            CgroupVersion::Two => {
                let memory = [number("memory.max"), number("memory.high")].into_iter().flatten().min();
                let quota = text("cpu.max");
                let mut words = quota.split_whitespace().map(|word| word.parse::<u64>().ok());
                (memory, words.next().flatten().zip(words.next().flatten()))
            }
            // Without a quota, its file has -1.
            CgroupVersion::One => {
                (number("memory.limit_in_bytes"), number("cpu.cfs_quota_us").zip(number("cpu.cfs_period_us")))
            }
        };
        let cpu = cpu.and_then(|(quota, period)| quota.saturating_mul(1000).checked_div(period));
        self.memory_bytes = [self.memory_bytes, memory].into_iter().flatten().min();
        self.cpu_milli = [self.cpu_milli, cpu].into_iter().flatten().min();
    }
}

/// A line of `/proc/self/cgroup`: `4:memory:/a` in version 1, `0::/a` in version 2.
struct CgroupPath<'t> {
    controllers: &'t str,
    path: &'t Path,
}

impl<'t> CgroupPath<'t> {
    fn parse(line: &'t str) -> Option<Self> {
        let mut fields = line.splitn(3, ':').skip(1);
        Some(Self { controllers: fields.next()?, path: Path::new(fields.next()?) })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CgroupVersion {
    One,
    Two,
}

/// A mounted hierarchy of groups.
struct CgroupMount<'t> {
    version: CgroupVersion,
    /// The group that is the root of the mount.
    root: PathBuf,
    point: PathBuf,
    /// The options of the file system; among them are the controllers of version 1.
    options: &'t str,
}

impl<'t> CgroupMount<'t> {
    /// Parses a line of `/proc/self/mountinfo`; `None` if it is no hierarchy of groups.
    fn parse(line: &'t str) -> Option<Self> {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut filesystem = filesystem.split(' ');
        let version = match filesystem.next()? {
            "cgroup" => CgroupVersion::One,
            "cgroup2" => CgroupVersion::Two,
            _ => return None,
        };
        let options = filesystem.nth(1).unwrap_or_default();
        let mut places = mount.split(' ').skip(3).map(unescaped);
        Some(Self { version, root: places.next()?, point: places.next()?, options })
    }

    /// Returns true if the group is in this hierarchy.
    fn has(&self, group: &CgroupPath<'_>) -> bool {
        match self.version {
            CgroupVersion::Two => group.controllers.is_empty(),
            CgroupVersion::One => {
                let own = |controller: &str| self.options.split(',').any(|option| option == controller);
                group.controllers.split(',').any(|controller| !controller.is_empty() && own(controller))
            }
        }
    }

    /// Returns the folders of the group and of those above it, up to the mount point.
    fn folders(&self, group: &CgroupPath<'_>, root: &Path) -> Vec<PathBuf> {
        let below = group.path.strip_prefix(&self.root).unwrap_or(Path::new(""));
        // A group outside of the namespace is written with `..`; then only the mount point is known.
        let is_inside = below.components().all(|part| matches!(part, Component::Normal(_)));
        let below = if is_inside { below } else { Path::new("") };
        let point = root.join(self.point.strip_prefix("/").unwrap_or(&self.point));
        below.ancestors().map(|group| point.join(group)).collect()
    }
}

/// Returns a path of mountinfo: white space and backslashes are written as three octal digits there.
fn unescaped(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let octal = (*first == b'\\').then(|| after.get(..3)).flatten();
        let byte = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[3..] } else { after };
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a root folder with these files, and returns the limits that it gives.
    fn limits(groups: &str, mounts: &str, files: &[(&str, &str)]) -> CgroupLimits {
        let root = tempfile::tempdir().expect("a folder for the test");
        let own = [("proc/self/cgroup", groups), ("proc/self/mountinfo", mounts)];
        for (path, text) in own.iter().chain(files) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("it has one")).expect("it is ours");
            fs::write(path, text).expect("it is ours");
        }
        CgroupLimits::read(root.path())
    }

    const V2: &str = "24 1 0:21 / /sys rw - sysfs sysfs rw\n31 24 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";

    const V1: &str = "\
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:10 master:1 - cgroup cgroup rw,memory
";

    fn some(memory_bytes: u64, cpu_milli: u64) -> CgroupLimits {
        CgroupLimits { memory_bytes: Some(memory_bytes), cpu_milli: Some(cpu_milli) }
    }

    #[test]
    fn the_smallest_limit_of_the_group_and_those_above_it_is_in_force() {
        let group = "0::/system.slice/a.service\n";
        let at = "sys/fs/cgroup/system.slice";
        let [own, above] = [format!("{at}/a.service/memory.max"), format!("{at}/memory.max")];
        let [high, quota] = [format!("{at}/a.service/memory.high"), format!("{at}/a.service/cpu.max")];
        let all =
            limits(group, V2, &[(&own, "300000000\n"), (&above, "200000000\n"), (&quota, "150000 100000\n")]);
        assert_eq!(all, some(200_000_000, 1500));
        let high = limits(group, V2, &[(&own, "max\n"), (&high, "100000000\n"), (&quota, "max 100000\n")]);
        assert_eq!(high, CgroupLimits { memory_bytes: Some(100_000_000), cpu_milli: None });
        assert_eq!(limits(group, V2, &[]), CgroupLimits::default());
        assert_eq!(limits("", "", &[]), CgroupLimits::default());
    }

    #[test]
    fn groups_of_version_1_and_of_both_are_read() {
        let groups = "4:memory:/docker/abc\n1:cpuacct,cpu:/docker/abc\n0::/\n";
        let files = [
            ("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "209715200\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "50000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
        ];
        assert_eq!(limits(groups, V1, &files), some(209_715_200, 500));
    }

    /// In a container the group's own folder may be the root of the mount, or lie outside of the namespace.
    #[test]
    fn a_mount_of_the_own_group_is_its_folder() {
        let inner = V1.replace(" / /sys", " /docker/abc /sys");
        let file = [("sys/fs/cgroup/memory/memory.limit_in_bytes", "209715200")];
        let found = limits("4:memory:/docker/abc\n", &inner, &file);
        assert_eq!(found.memory_bytes, Some(209_715_200));
        for group in ["4:memory:/../../other\n", "4:memory:/elsewhere\n"] {
            assert_eq!(limits(group, &inner, &file).memory_bytes, Some(209_715_200), "{group}");
        }
        let spaced = V2.replace("/sys/fs/cgroup", "/sys/a\\040b");
        assert_eq!(limits("0::/c\n", &spaced, &[("sys/a b/c/memory.max", "7")]).memory_bytes, Some(7));
    }
}
