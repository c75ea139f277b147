//! Where io_uring is refused, the same is counted with epoll.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

use crate::host::{Host, Sum};
use crate::injector::Udp;
use crate::inside::inside;
use crate::program::{EVERY_HOST, Program, Signal};

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

/// Starts the program, and checks what it says it waits on and what it counts.
fn count(router: &Host, start: impl FnOnce(&str) -> Program, expected: &str) {
    const FRAMES: usize = 10_000;
    const IP_BYTES: u16 = 300;
    let far = Host::new();
    far.plug("far0", router, "near0");
    let mut program = start(EVERY_HOST);
    let line = program.line("workers wait on ").expect("it says what it waits on");
    assert!(line.text.contains(&format!("workers wait on {expected}")), "{}", line.text);

    let src = Ipv4Addr::new(10, 0, 0, 1);
    let frame = Udp { src, dst: Ipv4Addr::new(198, 18, 0, 1), dst_port: 53, ip_bytes: IP_BYTES }.frame();
    far.injector("far0").send_at_rate(&vec![&frame; FRAMES], 20_000);
    let sent = Sum { packets: FRAMES as u64, bytes: FRAMES as u64 * u64::from(IP_BYTES) };
    program.wait_for_counted(sent);
    assert_eq!(program.stop(Signal::SIGTERM).last_words(), sent);
}

/// From here on io_uring_setup(2) fails in this thread and in what it starts, as it does in containers.
pub(crate) fn refuse_io_uring() {
    let refused = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let architecture: TargetArch = std::env::consts::ARCH.try_into().expect("seccomp knows this machine");
    let rules = BTreeMap::from([(libc::SYS_io_uring_setup, Vec::new())]);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, architecture).expect("it is valid");
    let program: BpfProgram = filter.try_into().expect("one rule makes a short program");
    seccompiler::apply_filter(&program).expect("any thread may refuse itself something");
}
