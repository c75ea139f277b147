//! What an attacker tries to become more than he is: identity, other processes, the kernel.

use std::fs::File;

use nix::errno::Errno;
use nix::unistd::getpid;

#[cfg(target_arch = "x86_64")]
use super::outcome::wait_for;
use super::outcome::{Note, closed, done, errno, path};
use super::{Attacker, HELPER};
use crate::sys::attack::{self, Argument, call};

/// Tries everything of this kind.
pub(super) fn all(attacker: &Attacker, kind: &str, note: Note<'_>) {
    privileges(note);
    namespaces(note);
    processes(attacker, kind, note);
    administration(attacker, note);
    machine(note);
    terminals(note);
}

/// User, capabilities and what protects them.
fn privileges(note: Note<'_>) {
    note("setuid", done(call(libc::SYS_setuid, [0.into()])));
    note("setgid", done(call(libc::SYS_setgid, [0.into()])));
    note("setresuid", done(call(libc::SYS_setresuid, [0.into(), 0.into(), 0.into()])));
    note("setresgid", done(call(libc::SYS_setresgid, [0.into(), 0.into(), 0.into()])));
    let root = 0_u32.to_ne_bytes();
    note("setgroups", done(call(libc::SYS_setgroups, [1.into(), root.as_slice().into()])));
    note(
        "setfsuid",
        match call(libc::SYS_setfsuid, [0.into()]) {
            // It returns the id of before in any case.
            Ok(_) if nix::unistd::setfsuid(nix::unistd::Uid::from_raw(u32::MAX)).is_root() => Ok(()),
            Ok(_) => Err(Errno::EPERM),
            Err(error) => Err(error),
        },
    );
    // _LINUX_CAPABILITY_VERSION_3, this thread; every capability in each set.
    let mut header = [0x2008_0522_u32, 0].map(u32::to_ne_bytes).concat();
    let sets = [u32::MAX, u32::MAX, u32::MAX, 0x1ff, 0x1ff, 0x1ff].map(u32::to_ne_bytes).concat();
    note("capset", done(call(libc::SYS_capset, [header.as_mut_slice().into(), sets.as_slice().into()])));
    const RAISE: i64 = 2;
    const NET_RAW: i64 = 13;
    let prctl = |option: i32, second: i64, third: i64| {
        done(call(libc::SYS_prctl, [option.into(), second.into(), third.into(), 0.into(), 0.into()]))
    };
    note("prctl: raise an ambient capability", prctl(libc::PR_CAP_AMBIENT, RAISE, NET_RAW));
    note("prctl: securebits", prctl(libc::PR_SET_SECUREBITS, 0, 0));
    note("prctl: keep capabilities", prctl(libc::PR_SET_KEEPCAPS, 1, 0));
    note("prctl: dumpable", prctl(libc::PR_SET_DUMPABLE, 1, 0));
    note("prctl: may be traced by all", prctl(libc::PR_SET_PTRACER, -1, 0));
    note("prctl: move the end of the heap", prctl(libc::PR_SET_MM, 7, 0));
}

/// Typing into the terminal or the console of somebody else. Standard input is none here: a call that gets through says
/// so (`ENOTTY`).
fn terminals(note: Note<'_>) {
    for (name, request) in [
        ("type into a terminal", libc::TIOCSTI),
        ("paste into a console", libc::TIOCLINUX),
        ("take a terminal", libc::TIOCSCTTY),
    ] {
        let request = i64::try_from(request).unwrap_or_default();
        note(name, done(call(libc::SYS_ioctl, [0.into(), request.into(), c"\n".into()])));
    }
}

/// Namespaces, in which capabilities could be gained.
fn namespaces(note: Note<'_>) {
    for (name, flag) in [
        ("unshare: user", libc::CLONE_NEWUSER),
        ("unshare: network", libc::CLONE_NEWNET),
        ("unshare: mounts", libc::CLONE_NEWNS),
    ] {
        note(name, done(call(libc::SYS_unshare, [flag.into()])));
    }
    #[cfg(target_arch = "x86_64")]
    for (name, flag) in
        [("clone: user namespace", libc::CLONE_NEWUSER), ("clone: network namespace", libc::CLONE_NEWNET)]
    {
        let started = attack::start_process(libc::SYS_clone, i64::from(libc::SIGCHLD | flag));
        note(name, started.and_then(wait_for));
    }
    note("clone3", done(attack::clone3_of_no_size()));
    note("setns", done(call(libc::SYS_setns, [0.into(), libc::CLONE_NEWNET.into()])));
}

/// Other processes.
fn processes(attacker: &Attacker, kind: &str, note: Note<'_>) {
    let sibling = i64::from(getpid().as_raw());
    let mut targets =
        vec![("the decoy", i64::from(attacker.plan.decoy)), ("the parent", i64::from(attacker.parent))];
    targets.extend(attacker.children.first().map(|&helper| ("the helper", i64::from(helper))));
    if kind != HELPER {
        targets.push(("a sibling", sibling));
    }
    for (name, id) in targets {
        let process = i32::try_from(id).unwrap_or_default();
        note(
            &format!("ptrace {name}"),
            done(call(libc::SYS_ptrace, [SEIZE.into(), id.into(), 0.into(), 0.into()])),
        );
        if name == "a sibling" {
            continue;
        }
        let read = attack::touch_memory_of(process, libc::SYS_process_vm_readv);
        note(&format!("read the memory of {name}"), done(read));
        let written = attack::touch_memory_of(process, libc::SYS_process_vm_writev);
        note(&format!("write the memory of {name}"), done(written));
        note(&format!("kill {name}"), done(call(libc::SYS_kill, [id.into(), 0.into()])));
        note(&format!("tkill {name}"), done(call(libc::SYS_tkill, [id.into(), 0.into()])));
        note(&format!("tgkill {name}"), done(call(libc::SYS_tgkill, [id.into(), id.into(), 0.into()])));
        let environment = format!("/proc/{id}/environ");
        note(&format!("read the environment of {name}"), File::open(environment).map(drop).map_err(errno));
        let opened = call(libc::SYS_pidfd_open, [id.into(), 0.into()]);
        if let Ok(fd) = opened {
            let copied = call(libc::SYS_pidfd_getfd, [fd.into(), 0.into(), 0.into()]);
            note(&format!("copy a descriptor of {name}"), closed(copied));
            let sent = call(libc::SYS_pidfd_send_signal, [fd.into(), 0.into(), 0.into(), 0.into()]);
            note(&format!("signal {name} by a descriptor"), done(sent));
        }
        let _ = closed(opened);
        let limits = [id.into(), i64::from(libc::RLIMIT_CORE).into(), 0.into(), 0.into()];
        note(&format!("read the limits of {name}"), done(call(libc::SYS_prlimit64, limits)));
    }
}

/// `PTRACE_SEIZE`, which stops nobody.
const SEIZE: i64 = 0x4206;

/// What only the administrator, or nobody, needs of the kernel.
fn administration(attacker: &Attacker, note: Note<'_>) {
    let outside = path(&attacker.plan.outside);
    let (folder, none) = (outside.as_c_str(), [0_u8; 128]);
    let zeros = || Argument::from(none.as_slice());
    let mounted = call(libc::SYS_mount, [c"none".into(), folder.into(), c"tmpfs".into(), 0.into(), 0.into()]);
    note("mount", done(mounted));
    note("umount2", done(call(libc::SYS_umount2, [folder.into(), 0.into()])));
    note("pivot_root", done(call(libc::SYS_pivot_root, [folder.into(), folder.into()])));
    note("open_tree", closed(call(libc::SYS_open_tree, [libc::AT_FDCWD.into(), folder.into(), 1.into()])));
    note("fsopen", closed(call(libc::SYS_fsopen, [c"tmpfs".into(), 0.into()])));
    const ARRAY_MAP: [u32; 4] = [2, 4, 4, 1];
    let map = [ARRAY_MAP.map(u32::to_ne_bytes).concat(), vec![0; 112]].concat();
    note("bpf", closed(call(libc::SYS_bpf, [0.into(), map.as_slice().into(), 128.into()])));
    // PERF_TYPE_SOFTWARE, size 128, PERF_COUNT_SW_CPU_CLOCK, without the kernel.
    let mut event = [0_u8; 4096];
    event[0] = 1;
    event[4] = 128;
    event[40] = 0b110_0000;
    let arguments = [event.as_mut_slice().into(), 0.into(), (-1).into(), (-1).into(), 0.into()];
    note("perf_event_open", closed(call(libc::SYS_perf_event_open, arguments)));
    const USER_MODE_ONLY: i64 = 1;
    note("userfaultfd", closed(call(libc::SYS_userfaultfd, [USER_MODE_ONLY.into()])));
    const GET_KEYRING_ID: i64 = 0;
    const PROCESS_KEYRING: i64 = -2;
    let keyring = call(libc::SYS_keyctl, [GET_KEYRING_ID.into(), PROCESS_KEYRING.into(), 1.into()]);
    note("keyctl", done(keyring));
    let key = [c"user".into(), c"attack".into(), zeros(), 1.into(), PROCESS_KEYRING.into()];
    note("add_key", done(call(libc::SYS_add_key, key)));
    let request = [c"user".into(), c"attack".into(), 0.into(), 0.into()];
    note("request_key", done(call(libc::SYS_request_key, request)));
}

/// The kernel as a whole.
fn machine(note: Note<'_>) {
    let none = [0_u8; 128];
    note("init_module", done(call(libc::SYS_init_module, [none.as_slice().into(), 128.into(), c"".into()])));
    note("finit_module", done(call(libc::SYS_finit_module, [0.into(), c"".into(), 0.into()])));
    note("delete_module", done(call(libc::SYS_delete_module, [c"attack".into(), 0.into()])));
    note("kexec_load", done(call(libc::SYS_kexec_load, [0.into(), 0.into(), 0.into(), 0.into()])));
    // Neither a name nor a time: nothing is set where it is allowed.
    note("sethostname", done(call(libc::SYS_sethostname, [0.into(), (-1).into()])));
    let no_time = [0xff_u8; 16];
    let clock = [libc::CLOCK_REALTIME.into(), no_time.as_slice().into()];
    note("set the clock", done(call(libc::SYS_clock_settime, clock)));
    const READ_ALL: i64 = 3;
    let mut text = [0_u8; 64];
    let read = call(libc::SYS_syslog, [READ_ALL.into(), text.as_mut_slice().into(), 64.into()]);
    note("read the log of the kernel", done(read));
    note("fanotify_init", closed(call(libc::SYS_fanotify_init, [0.into(), 0.into()])));
    note("quotactl", done(call(libc::SYS_quotactl, [0x80_0001.into(), 0.into(), 0.into(), 0.into()])));
    note("acct", done(call(libc::SYS_acct, [0.into()])));
    note("swapoff", done(call(libc::SYS_swapoff, [c"/dev/attack".into()])));
    // Without its magic numbers it never restarts the machine.
    note("reboot", done(call(libc::SYS_reboot, [0.into(), 0.into(), 0.into(), 0.into()])));
    #[cfg(target_arch = "x86_64")]
    note("iopl", done(call(libc::SYS_iopl, [3.into()])));
}
