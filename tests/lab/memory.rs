//! Where little memory is allowed, `MemoryLimit: auto` leaves room, and a flood of spoofed sources does not end the
//! program.

use std::net::Ipv4Addr;
use std::process::Command;

use crate::support::host::Host;
use crate::support::injector::Udp;
use crate::support::namespaces::inside;
use crate::support::program::{BINARY, EVERY_HOST, Program, Signal};

/// Spoofed sources, each of which sends one packet.
const SOURCES: u32 = 3_000_000;

/// Kilobytes of private memory (RLIMIT_DATA), as a control group of 200 MiB allows; groups cannot be made everywhere.
const DATA_KB: u32 = 200 << 10;

#[test]
fn three_million_spoofed_sources_do_not_end_a_program_with_200_mib() {
    inside(|| {
        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("ulimit -d {DATA_KB}; exec \"$@\""), "sh", BINARY]);
        let program = Program::start_as(limited, &router, &format!("{EVERY_HOST}Workers: 2\n"));
        let injector = far.injector("far0");
        let first = u32::from(Ipv4Addr::new(11, 0, 0, 0));
        for source in first..first + SOURCES {
            let udp =
                Udp { src: source.into(), dst: Ipv4Addr::new(198, 18, 0, 1), dst_port: 53, ip_bytes: 40 };
            injector.send(&udp.frame());
        }
        // Some may be dropped while the machine is busy; it counts, and answers.
        assert_eq!(program.get("/healthz"), "ok");
        assert!(program.accounting().ip_packets > u64::from(SOURCES) / 10);
        let rss = program.rss();
        eprintln!("{rss} bytes of memory");
        eprintln!(
            "{}",
            std::fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap_or_default()
        );
        assert!(rss < u64::from(DATA_KB) << 10);
        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.code, Some(0), "{}", ended.text());
    });
}
