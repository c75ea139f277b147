//! The system calls that the helper process, and the programs that it runs, may not make; see [`super::helper`].

#![allow(
    clippy::cast_possible_truncation,
    reason = "requests of ioctl(2) have 32 bits; libc gives them a type of 64"
)]

use super::system_call::{SystemCall, bits, calls, is};

/// The calls; each condition refuses a call for itself. The filter makes `clone3` unknown here as well.
pub(super) const REFUSED_TO_HELPER: &[SystemCall] = calls![
    // Namespaces.
    SYS_unshare when [bits(0, libc::CLONE_NEWNS, libc::CLONE_NEWNS)],
    SYS_unshare when [bits(0, libc::CLONE_NEWCGROUP, libc::CLONE_NEWCGROUP)],
    SYS_unshare when [bits(0, libc::CLONE_NEWUTS, libc::CLONE_NEWUTS)],
    SYS_unshare when [bits(0, libc::CLONE_NEWIPC, libc::CLONE_NEWIPC)],
    SYS_unshare when [bits(0, libc::CLONE_NEWUSER, libc::CLONE_NEWUSER)],
    SYS_unshare when [bits(0, libc::CLONE_NEWPID, libc::CLONE_NEWPID)],
    SYS_unshare when [bits(0, libc::CLONE_NEWNET, libc::CLONE_NEWNET)],
    SYS_clone when [bits(0, libc::CLONE_NEWNS, libc::CLONE_NEWNS)],
    SYS_clone when [bits(0, libc::CLONE_NEWCGROUP, libc::CLONE_NEWCGROUP)],
    SYS_clone when [bits(0, libc::CLONE_NEWUTS, libc::CLONE_NEWUTS)],
    SYS_clone when [bits(0, libc::CLONE_NEWIPC, libc::CLONE_NEWIPC)],
    SYS_clone when [bits(0, libc::CLONE_NEWUSER, libc::CLONE_NEWUSER)],
    SYS_clone when [bits(0, libc::CLONE_NEWPID, libc::CLONE_NEWPID)],
    SYS_clone when [bits(0, libc::CLONE_NEWNET, libc::CLONE_NEWNET)],
    SYS_setns,
    // Mounts.
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_fsopen,
    SYS_fspick,
    SYS_open_tree,
    SYS_move_mount,
    SYS_mount_setattr,
    // Typing into a terminal or a console, and taking a terminal.
    SYS_ioctl when [is(1, libc::TIOCSTI as i32)],
    SYS_ioctl when [is(1, libc::TIOCLINUX as i32)],
    SYS_ioctl when [is(1, libc::TIOCSCTTY as i32)],
    // Other processes.
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_pidfd_getfd,
    SYS_kcmp,
    // The kernel and its keys.
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_quotactl,
    SYS_syslog,
    SYS_fanotify_init,
    SYS_open_by_handle_at,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_sethostname,
    SYS_setdomainname,
];
