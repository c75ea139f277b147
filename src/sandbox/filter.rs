//! Makes the seccomp filter of a kind of thread and applies it to the calling thread.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "flags and numbers of the kernel's interface have 32 bits; libc gives them several types"
)]

use std::collections::BTreeMap;
use std::env::consts::ARCH;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter, sock_filter,
};

use super::calls::lists;
use super::kind::ThreadKind;
use super::system_call::{Condition, Expected, SystemCall};

/// Limits this thread to the calls of its kind.
///
/// # Errors
/// The kernel refuses the filter, or this architecture is unknown; the text says which.
pub(super) fn enter(kind: ThreadKind) -> Result<(), String> {
    let program = program(kind)?;
    apply_filter(&program).map_err(|error| error.to_string())
}

/// Refuses these calls to this thread, and to the threads and processes that it starts.
///
/// # Errors
/// As [`enter`].
pub(super) fn refuse(calls: &[SystemCall]) -> Result<(), String> {
    let program = compile(calls.iter(), SeccompAction::Allow, refusal())?;
    apply_filter(&other_numbers().into_iter().chain(program).collect::<BpfProgram>())
        .map_err(|error| error.to_string())
}

fn program(kind: ThreadKind) -> Result<BpfProgram, String> {
    compile(lists(kind).iter().copied().flatten(), refusal(), SeccompAction::Allow)
}

fn refusal() -> SeccompAction {
    SeccompAction::Errno(libc::EPERM as u32)
}

/// Makes the filter that takes one action for calls that are listed, and the other one for the rest.
fn compile<'c>(
    calls: impl Iterator<Item = &'c SystemCall>,
    rest: SeccompAction,
    listed: SeccompAction,
) -> Result<BpfProgram, String> {
    let architecture = TargetArch::try_from(ARCH).map_err(|_| format!("no list of calls for {ARCH}"))?;
    let compiled =
        rules(calls).and_then(|rules| SeccompFilter::new(rules, rest, listed, architecture)?.try_into());
    let compiled: BpfProgram = compiled.map_err(|error: BackendError| error.to_string())?;
    Ok(unknown_clone3().into_iter().chain(compiled).collect())
}

/// Returns the rules of the library: no rule for a call that is allowed with all arguments.
fn rules<'c>(
    calls: impl Iterator<Item = &'c SystemCall>,
) -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let mut rules: BTreeMap<i64, Option<Vec<SeccompRule>>> = BTreeMap::new();
    for call in calls {
        let limited = rules.entry(call.number).or_insert_with(|| Some(Vec::new()));
        if call.when.is_empty() {
            *limited = None;
        } else if let Some(rules) = limited {
            let conditions: Result<Vec<_>, _> = call.when.iter().map(condition).collect();
            rules.push(SeccompRule::new(conditions?)?);
        }
    }
    Ok(rules.into_iter().map(|(number, rules)| (number, rules.unwrap_or_default())).collect())
}

fn condition(condition: &Condition) -> Result<SeccompCondition, BackendError> {
    let expected = match condition.expected {
        Expected::Value(value) => value,
        Expected::OwnProcess => u64::from(std::process::id()),
    };
    // The kernel ignores the upper half of arguments that are 32 bits wide, so it must not matter here.
    let length =
        if condition.mask > u64::from(u32::MAX) { SeccompCmpArgLen::Qword } else { SeccompCmpArgLen::Dword };
    SeccompCondition::new(condition.argument, length, SeccompCmpOp::MaskedEq(condition.mask), expected)
}

/// The first instructions of a filter: `clone3` fails with `ENOSYS`, after which glibc uses `clone`, whose flags a
/// filter can examine. The number of the call is the same on every architecture.
fn unknown_clone3() -> [sock_filter; 3] {
    let instruction = |code: u32, jf, k| sock_filter { code: code as u16, jt: 0, jf, k };
    [
        // `nr` is the first field of `struct seccomp_data`.
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, libc::SYS_clone3 as u32),
        instruction(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
    ]
}

/// The first instructions of a filter that lists what is refused: the other numbers that x86-64 has for the same calls
/// (`__X32_SYSCALL_BIT`) are refused altogether.
#[cfg(target_arch = "x86_64")]
fn other_numbers() -> [sock_filter; 3] {
    let instruction = |code: u32, jf, k| sock_filter { code: code as u16, jt: 0, jf, k };
    [
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 1, 0x4000_0000),
        instruction(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
    ]
}

#[cfg(not(target_arch = "x86_64"))]
fn other_numbers() -> [sock_filter; 0] {
    []
}

#[cfg(test)]
mod tests {
    use super::super::refused_calls::REFUSED_TO_HELPER;
    use super::*;

    /// What threads that `main` or a sink starts may do, the starter may do as well, since the kernel applies both
    /// filters.
    #[test]
    fn a_thread_that_starts_others_has_their_calls() {
        use ThreadKind::*;
        let main_starts = [FileSink, CommandSink, WebhookSink, SyslogSink, LogSink, ConfigReader, Lookup];
        let starts: &[(ThreadKind, &[ThreadKind])] =
            &[(Main, &main_starts), (WebhookSink, &[Lookup]), (SyslogSink, &[Lookup])];
        for (starter, started) in starts {
            let has: Vec<&SystemCall> = lists(*starter).iter().copied().flatten().collect();
            for kind in *started {
                for call in lists(*kind).iter().copied().flatten() {
                    let covers = |own: &&SystemCall| {
                        own.number == call.number && (own.when.is_empty() || own.when == call.when)
                    };
                    assert!(has.iter().any(covers), "{starter:?} lacks {call:?} of {kind:?}");
                }
            }
        }
    }

    #[test]
    fn every_kind_has_a_filter_that_the_kernel_accepts() {
        for kind in ThreadKind::ALL {
            let program = program(kind).unwrap_or_else(|error| panic!("{kind:?}: {error}"));
            // BPF_MAXINSNS.
            assert!(program.len() < 4096, "{kind:?}: {}", program.len());
        }
        let program = compile(REFUSED_TO_HELPER.iter(), SeccompAction::Allow, refusal());
        assert!(program.is_ok_and(|program| program.len() < 4096));
    }

    /// Landlock looks at connect(2) of TCP sockets alone.
    #[test]
    fn no_kind_connects_by_another_protocol_or_by_sending() {
        let is_zero = |call: &SystemCall, argument: u8, mask: u64| {
            let bits = Condition { argument, mask, expected: Expected::Value(0) };
            call.when.contains(&bits)
        };
        for kind in ThreadKind::ALL {
            for call in lists(kind).iter().copied().flatten() {
                let fast_open = u64::from(libc::MSG_FASTOPEN as u32);
                let others = [libc::AF_NETLINK, libc::AF_UNIX].map(|family| Expected::Value(family as u64));
                let other_family =
                    call.when.iter().any(|when| when.argument == 0 && others.contains(&when.expected));
                let is_harmless = match call.number {
                    libc::SYS_socket => other_family || is_zero(call, 2, u64::from(u32::MAX)),
                    libc::SYS_sendto => is_zero(call, 4, u64::MAX) || is_zero(call, 3, fast_open),
                    libc::SYS_sendmsg => is_zero(call, 2, fast_open),
                    libc::SYS_sendmmsg => is_zero(call, 3, fast_open),
                    _ => true,
                };
                assert!(is_harmless, "{kind:?}: {call:?}");
            }
        }
    }

    #[test]
    fn no_kind_makes_a_setuid_file() {
        #[cfg(target_arch = "x86_64")]
        const OLD: &[(i64, u8)] = &[(libc::SYS_open, 2), (libc::SYS_mkdir, 1)];
        #[cfg(not(target_arch = "x86_64"))]
        const OLD: &[(i64, u8)] = &[];
        let modes = [(libc::SYS_openat, 3), (libc::SYS_mkdirat, 2), (libc::SYS_fchmod, 1)];
        let has_zeros = |call: &SystemCall, bits: i32| {
            call.when
                .iter()
                .any(|when| when.expected == Expected::Value(0) && when.mask & bits as u64 == bits as u64)
        };
        for kind in ThreadKind::ALL {
            for call in lists(kind).iter().copied().flatten() {
                let Some(&(_, argument)) = modes.iter().chain(OLD).find(|(number, _)| *number == call.number)
                else {
                    continue;
                };
                let has_no_bit = call.when.iter().any(|when| {
                    (when.argument, when.mask, when.expected) == (argument, 0o7000, Expected::Value(0))
                });
                let makes_nothing = has_zeros(call, libc::O_CREAT | libc::O_ACCMODE);
                assert!(has_no_bit || makes_nothing, "{kind:?}: {call:?}");
            }
            let others = [libc::SYS_fchmodat, libc::SYS_fchmodat2, libc::SYS_mknodat, libc::SYS_openat2];
            let has = |number: &i64| lists(kind).iter().copied().flatten().any(|call| call.number == *number);
            assert!(!others.iter().any(has), "{kind:?}");
        }
    }

    #[test]
    fn no_kind_may_execute_or_leave() {
        let never = [
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_bpf,
            libc::SYS_userfaultfd,
            libc::SYS_keyctl,
            libc::SYS_mount,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_io_uring_setup,
            libc::SYS_io_uring_register,
            libc::SYS_kill,
            libc::SYS_tkill,
            libc::SYS_pidfd_getfd,
            libc::SYS_setuid,
            libc::SYS_setresuid,
            libc::SYS_capset,
            libc::SYS_clone3,
        ];
        let no_frames = [
            libc::SYS_sendto,
            libc::SYS_sendmsg,
            libc::SYS_sendmmsg,
            libc::SYS_sendfile,
            libc::SYS_splice,
            libc::SYS_bind,
        ];
        for kind in ThreadKind::ALL {
            let numbers: Vec<i64> = lists(kind).iter().copied().flatten().map(|call| call.number).collect();
            let has_packet_sockets = matches!(kind, ThreadKind::Worker | ThreadKind::LinkMonitor);
            for number in never.iter().chain(no_frames.iter().filter(|_| has_packet_sockets)) {
                assert!(!numbers.contains(number), "{kind:?} has call {number}");
            }
        }
    }
}
