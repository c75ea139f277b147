//! What an attacker tries with files.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::gettid;

use super::Attacker;
use super::outcome::{Note, closed, done, errno, path};
use crate::sys::attack::call;

/// Tries everything with files. `removable` is the name of one that is made for this thread, among those of others.
pub(super) fn all(attacker: &Attacker, removable: &str, note: Note<'_>) {
    contents(attacker, note);
    names(attacker, note);
    changes(attacker, removable, note);
    setuid_files(attacker, note);
    kernel_files(note);
}

/// Opens and makes files.
fn contents(attacker: &Attacker, note: Note<'_>) {
    let plan = &attacker.plan;
    note("read /etc/shadow", read(Path::new("/etc/shadow")));
    note("read a secret of root", read(&plan.secret));
    note("write a file of others", write(&plan.outside.join("existing")));
    for (name, folder) in [
        ("make a file in /tmp", Path::new("/tmp")),
        ("make a file in /etc", Path::new("/etc")),
        ("make a file in the working folder", Path::new(".")),
        ("make a file outside", &plan.outside),
        ("make a file in the own folder", &plan.own_folder),
    ] {
        let file = folder.join(format!("attack-{}", gettid()));
        note(name, File::create_new(&file).map(drop).map_err(errno));
        // It is not there if it was not made.
        let _ = fs::remove_file(file);
    }
    let how = [0_u64; 3].map(u64::to_ne_bytes).concat();
    let open_how = [
        libc::AT_FDCWD.into(),
        c"/etc/passwd".into(),
        how.as_slice().into(),
        i64::try_from(how.len()).unwrap_or_default().into(),
    ];
    note("openat2", closed(call(libc::SYS_openat2, open_how)));
}

/// Gives files other names, and makes what is no regular file.
fn names(attacker: &Attacker, note: Note<'_>) {
    let plan = &attacker.plan;
    let inside = |name: &str| plan.own_folder.join(format!("{name}-{}", gettid()));
    let outside = |name: &str| plan.outside.join(format!("{name}-{}", gettid()));
    let own = inside("moved");
    let has_file = File::create_new(&own).is_ok();
    note("link a file of others into the own folder", {
        fs::hard_link(plan.outside.join("existing"), inside("linked")).map_err(errno)
    });
    note("link a file out of the own folder", fs::hard_link(&own, outside("linked")).map_err(errno));
    note("rename a file out of the own folder", fs::rename(&own, outside("moved")).map_err(errno));
    for file in [own, outside("moved"), inside("linked"), outside("linked")] {
        if has_file || file.exists() {
            let _ = fs::remove_file(file);
        }
    }
    for (name, link) in
        [("symlink in the own folder", inside("symbolic")), ("symlink outside", outside("symbolic"))]
    {
        note(name, std::os::unix::fs::symlink("/etc/shadow", &link).map_err(errno));
        let _ = fs::remove_file(link);
    }
    for (name, folder) in
        [("make a folder outside", outside("folder")), ("make a folder in the own one", inside("folder"))]
    {
        note(name, fs::create_dir(&folder).map_err(errno));
        let _ = fs::remove_dir(folder);
    }
    for (name, file, mode) in [
        ("mknod a FIFO in the own folder", inside("fifo"), libc::S_IFIFO),
        ("mknod a FIFO outside", outside("fifo"), libc::S_IFIFO),
        ("mknod a device in the own folder", inside("device"), libc::S_IFCHR),
    ] {
        // The memory of the machine.
        let (mode, device) = (i64::from(mode | 0o600), 0x101_i64);
        let text = path(&file);
        let arguments = [libc::AT_FDCWD.into(), text.as_c_str().into(), mode.into(), device.into()];
        note(name, done(call(libc::SYS_mknodat, arguments)));
        let _ = fs::remove_file(file);
    }
}

/// Changes files of others without opening them.
fn changes(attacker: &Attacker, removable: &str, note: Note<'_>) {
    let plan = &attacker.plan;
    let existing = path(&plan.outside.join("existing"));
    note("truncate a file of others", done(call(libc::SYS_truncate, [existing.as_c_str().into(), 0.into()])));
    let change_mode = [libc::AT_FDCWD.into(), existing.as_c_str().into(), 0o666.into()];
    note("change the mode of a file of others", done(call(libc::SYS_fchmodat, change_mode)));
    note("remove a file of others", fs::remove_file(plan.outside.join(removable)).map_err(errno));
}

/// Makes files that would run as the user of this thread, whoever starts them.
fn setuid_files(attacker: &Attacker, note: Note<'_>) {
    let file = attacker.plan.own_folder.join(format!("setuid-{}", gettid()));
    let text = path(&file);
    let flags = i64::from(libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL);
    for (name, mode) in [("make a setuid file", 0o4755_i64), ("make a setgid file", 0o2755)] {
        let arguments = [libc::AT_FDCWD.into(), text.as_c_str().into(), flags.into(), mode.into()];
        note(name, closed(call(libc::SYS_openat, arguments)));
        let _ = fs::remove_file(&file);
    }
    #[cfg(target_arch = "x86_64")]
    {
        note("creat a setuid file", closed(call(libc::SYS_creat, [text.as_c_str().into(), 0o4755.into()])));
        let _ = fs::remove_file(&file);
        let arguments = [text.as_c_str().into(), flags.into(), 0o4755.into()];
        note("open a setuid file", closed(call(libc::SYS_open, arguments)));
        let _ = fs::remove_file(&file);
    }
    let report = attacker.report.as_raw_fd();
    for (name, mode) in [("make a file setuid", 0o4600_i64), ("make a file setgid", 0o2600)] {
        note(name, done(call(libc::SYS_fchmod, [report.into(), mode.into()])));
        let _ = call(libc::SYS_fchmod, [report.into(), 0o600.into()]);
    }
}

/// Opens what the kernel shows as files, and leaves the folder.
fn kernel_files(note: Note<'_>) {
    for (name, file) in [
        ("write /proc/self/mem", "/proc/self/mem"),
        ("write /proc/sysrq-trigger", "/proc/sysrq-trigger"),
        ("write a sysctl", "/proc/sys/net/ipv4/ip_forward"),
        ("write /proc/self/oom_score_adj", "/proc/self/oom_score_adj"),
        ("write /dev/kmsg", "/dev/kmsg"),
    ] {
        note(name, write(Path::new(file)));
    }
    note("read /proc/self/mem", read(Path::new("/proc/self/mem")));
    note("open /dev/mem", read(Path::new("/dev/mem")));
    note("change the working folder", done(call(libc::SYS_chdir, [c"/".into()])));
    note("chroot", done(call(libc::SYS_chroot, [c"/".into()])));
    let handle = [0_u8; 136];
    note(
        "open_by_handle_at",
        closed(call(
            libc::SYS_open_by_handle_at,
            [libc::AT_FDCWD.into(), handle.as_slice().into(), 0.into()],
        )),
    );
}

fn read(file: &Path) -> Result<(), Errno> {
    File::open(file).map(drop).map_err(errno)
}

fn write(file: &Path) -> Result<(), Errno> {
    File::options().write(true).open(file).map(drop).map_err(errno)
}
