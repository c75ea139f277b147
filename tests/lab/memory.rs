//! Where little memory is allowed, `MemoryLimit: auto` leaves room, and a flood of spoofed sources does not end the
//! program. Where too little is allowed, it does not start.

use std::net::Ipv4Addr;
use std::process::Command;

use crate::support::host::Host;
use crate::support::injector::Udp;
use crate::support::namespaces::inside;
use crate::support::program::{EVERY_HOST, Program, Signal, binary};

/// Spoofed sources, each of which sends one packet.
const SOURCES: u32 = 3_000_000;

/// Returns the program after `ulimit` with these arguments, which are in KiB.
fn limited(ulimit: &str) -> Command {
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit {ulimit}; exec \"$@\""), "sh"]).arg(binary());
    limited
}

/// Floods a program with a limit, which allows it `allowed_kb` of resident memory.
fn survive(ulimit: &str, allowed_kb: u64, config: &str) {
    let (far, router) = (Host::new(), Host::router());
    far.plug("far0", &router, "near0");
    let config = format!("{EVERY_HOST}Workers: 2\n{config}");
    let program = Program::start_as(limited(ulimit), &router, &config);
    let injector = far.injector("far0");
    let first = u32::from(Ipv4Addr::new(11, 0, 0, 0));
    for source in first..first + SOURCES {
        let dst = Ipv4Addr::new(198, 18, 0, 1);
        injector.send(&Udp { src: source.into(), dst, dst_port: 53, ip_bytes: 40 }.frame());
    }
    // Some may be dropped while the machine is busy; it counts, and answers.
    assert_eq!(program.get("/healthz"), "ok");
    assert!(program.accounting().ip_packets > u64::from(SOURCES) / 10);
    let rss = program.rss();
    eprintln!("{rss} bytes of memory");
    assert!(rss < allowed_kb << 10, "{rss} bytes of memory");
    let ended = program.stop(Signal::SIGTERM);
    assert_eq!(ended.code, Some(0), "{}", ended.text());
}

/// As much private memory as a control group of 200 MiB allows; groups cannot be made everywhere.
#[test]
fn three_million_spoofed_sources_do_not_end_a_program_with_200_mib() {
    inside(|| survive("-d 204800", 200 << 10, ""));
}

#[test]
fn three_million_spoofed_sources_do_not_end_a_program_with_400_mb_of_address_space() {
    inside(|| survive("-v 390625", 390_625, ""));
}

#[test]
fn three_million_spoofed_sources_do_not_end_a_program_with_200_mb_of_address_space() {
    inside(|| survive("-v 195313", 195_313, "MemoryLimit: 32M\nRingMemory: 20M\n"));
}

#[test]
fn a_program_that_may_not_have_the_memory_it_needs_says_how_much_that_is() {
    inside(|| {
        let router = Host::router();
        for (ulimit, config, needs) in [
            ("-v 97657", "", "RLIMIT_AS allows 100M, and `MemoryLimit: 32M` with `RingMemory: 25M` needs "),
            ("-v 390625", "MemoryLimit: 300M\n", "RLIMIT_AS allows 400M, and `MemoryLimit: 300M` with "),
            ("-d 62500", "", "RLIMIT_DATA allows 64M, and `MemoryLimit: 32M` with "),
        ] {
            let ended = Program::fail(limited(ulimit), &router, &format!("Workers: 2\n{config}"));
            assert_eq!(ended.code, Some(2), "{ulimit}: {}", ended.text());
            assert!(ended.text().contains(needs), "{ulimit}: {}", ended.text());
        }
    });
}
