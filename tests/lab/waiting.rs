//! Workers wait on io_uring or epoll, seldom, and count the same with both.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

use crate::support::host::{Host, Sum};
use crate::support::injector::Udp;
use crate::support::namespaces::inside;
use crate::support::program::{EVERY_HOST, Program, Signal, TIMEOUT};
use crate::support::tool::{end_within, tool};

#[test]
fn epoll_counts_the_same_if_it_is_configured() {
    inside(|| {
        let router = Host::router();
        count(&router, |config| Program::start(&router, &format!("{config}EventLoop: epoll\n")), "epoll");
    });
}

#[test]
fn epoll_counts_the_same_if_io_uring_is_refused() {
    inside(|| {
        let router = Host::router();
        let start = |config: &str| {
            router.on(|| {
                refuse_io_uring();
                Program::start(&router, config)
            })
        };
        count(&router, start, "epoll (io_uring was refused: ");
    });
}

#[test]
fn an_idle_worker_wakes_at_most_twice_a_second() {
    inside(|| {
        for event_loop in EVENT_LOOPS {
            const SPAN: Duration = Duration::from_secs(4);
            const WORKERS: u64 = 2;
            let router = Host::router();
            let far = Host::new();
            far.plug("far0", &router, "near0");
            let program = Program::start(
                &router,
                &format!("{EVERY_HOST}Workers: {WORKERS}\nEventLoop: {event_loop}\n"),
            );
            // A worker is also idle after traffic.
            let src = Ipv4Addr::new(10, 0, 0, 1);
            let frames: Vec<_> = (0..100)
                .map(|n| Udp { src, dst: Ipv4Addr::new(198, 18, 0, n), dst_port: 53, ip_bytes: 100 }.frame())
                .collect();
            far.injector("far0").send_at_rate(&frames, 10_000);
            program.wait_for_counted(Sum { packets: 100, bytes: 100 * 100 });

            let workers: Vec<_> =
                (0..WORKERS).map(|worker| program.thread(&format!("worker-{worker}"))).collect();
            let before: Vec<_> = workers.iter().map(|task| wake_ups(task)).collect();
            thread::sleep(SPAN);
            for (task, before) in workers.iter().zip(before) {
                let woken = wake_ups(task) - before;
                assert!(woken <= 2 * SPAN.as_secs(), "{event_loop}: {task} woke {woken} times in {SPAN:?}");
            }
            program.stop(Signal::SIGTERM).final_counts();
        }
    });
}

/// Counts the system calls of a worker with strace(1): one when its ring is empty, a few at each tick, none per packet.
#[test]
fn under_load_a_worker_makes_no_system_call_for_a_packet() {
    inside(|| {
        for (event_loop, wait) in EVENT_LOOPS.into_iter().zip(["io_uring_enter", "epoll_"]) {
            const FRAMES: u64 = 200_000;
            let router = Host::router();
            let far = Host::new();
            far.plug("far0", &router, "near0");
            let program =
                Program::start(&router, &format!("{EVERY_HOST}Workers: 1\nEventLoop: {event_loop}\n"));
            let folder = tempfile::tempdir().expect("a folder for the test");
            let calls = folder.path().join("calls");
            let worker = program.thread("worker-0");
            let mut strace = tool("strace", "strace");
            let id = worker.rsplit('/').next().expect("the last part of a path is there");
            strace.arg("-o").arg(&calls).args(["-p", id]).stderr(Stdio::null());
            let mut strace = strace.spawn().expect("it starts");
            program.wait_for(
                "strace is attached to the worker",
                |_| status(&worker, "TracerPid:"),
                |&tracer| tracer > 0,
            );

            let frame = Udp {
                src: Ipv4Addr::new(10, 0, 0, 1),
                dst: Ipv4Addr::new(198, 18, 0, 1),
                dst_port: 53,
                ip_bytes: 100,
            };
            far.injector("far0").send_at_rate(&vec![&frame.frame(); FRAMES as usize], u32::MAX);
            program.wait_for_counted(Sum { packets: FRAMES, bytes: FRAMES * 100 });
            program.stop(Signal::SIGTERM).final_counts();
            end_within(&mut strace, TIMEOUT).expect("strace ends with the process that it traces");

            let calls = fs::read_to_string(&calls).expect("strace has written it");
            let count = |name: &str| calls.lines().filter(|call| call.starts_with(name)).count() as u64;
            let (waits, others) = (count(wait), count("") - count(wait));
            // Each hand-over reads the statistics, so these calls must be in the trace.
            assert!(waits > 0 && count("getsockopt") > 0, "{event_loop}: {calls}");
            assert!(waits < FRAMES / 200, "{event_loop}: {waits} waits for {FRAMES} packets");
            assert!(
                others < FRAMES / 200,
                "{event_loop}: {others} further calls for {FRAMES} packets: {calls}"
            );
        }
    });
}

const EVENT_LOOPS: [&str; 2] = ["io_uring", "epoll"];

/// Returns how often a thread has left the CPU to wait.
fn wake_ups(task: &str) -> u64 {
    status(task, "voluntary_ctxt_switches:")
}

/// Returns a number of proc_pid_status(5).
fn status(task: &str, field: &str) -> u64 {
    let status = fs::read_to_string(format!("{task}/status")).expect("the thread lives");
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or_else(|| panic!("no {field} in {status}"))
}

/// Starts the program, and checks the line about the event loop and what it counts.
fn count(router: &Host, start: impl FnOnce(&str) -> Program, expected: &str) {
    const FRAMES: usize = 10_000;
    const IP_BYTES: u16 = 300;
    let far = Host::new();
    far.plug("far0", router, "near0");
    let mut program = start(EVERY_HOST);
    let line = program.line("workers wait on ").expect("the event loop is logged");
    assert!(line.text.contains(&format!("workers wait on {expected}")), "{}", line.text);

    let src = Ipv4Addr::new(10, 0, 0, 1);
    let frame = Udp { src, dst: Ipv4Addr::new(198, 18, 0, 1), dst_port: 53, ip_bytes: IP_BYTES }.frame();
    far.injector("far0").send_at_rate(&vec![&frame; FRAMES], 20_000);
    let sent = Sum { packets: FRAMES as u64, bytes: FRAMES as u64 * u64::from(IP_BYTES) };
    program.wait_for_counted(sent);
    assert_eq!(program.stop(Signal::SIGTERM).final_counts(), sent);
}

/// Makes io_uring_setup(2) fail in this thread and its children, as it does in containers.
pub(crate) fn refuse_io_uring() {
    let refused = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let architecture: TargetArch = std::env::consts::ARCH.try_into().expect("seccomp knows this machine");
    let rules = BTreeMap::from([(libc::SYS_io_uring_setup, Vec::new())]);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, architecture).expect("it is valid");
    let program: BpfProgram = filter.try_into().expect("one rule makes a short program");
    seccompiler::apply_filter(&program).expect("any thread may refuse itself something");
}
