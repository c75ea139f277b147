//! Interfaces go down, go away and come while the program runs: nothing stops, and nothing is lost on the others.

use std::net::Ipv4Addr;

use crate::support::host::{Host, Sum};
use crate::support::injector::Udp;
use crate::support::namespaces::inside;
use crate::support::program::{EVERY_HOST, Program, Signal};

const IP_BYTES: u16 = 500;
const FRAMES: u64 = 1000;

#[test]
fn interfaces_come_and_go_and_what_stays_is_counted() {
    inside(|| {
        let (router, far) = (Host::router(), Host::new());
        for (near, far_end) in [("stays", "far0"), ("falls", "far1"), ("leaves", "far2")] {
            router.plug(near, &far, far_end);
        }
        let config = format!("{EVERY_HOST}ExcludedInterfaces: lo, \"secret\"\n");
        let program = Program::start(&router, &config);
        let mut expected = Sum::default();
        let mut send = |from: &str, source: u8, counts: bool| {
            let src = Ipv4Addr::new(10, 0, 0, source);
            let packet = Udp { src, dst: Ipv4Addr::new(198, 18, 0, 1), dst_port: 53, ip_bytes: IP_BYTES };
            let injector = far.injector(from);
            let frame = packet.frame();
            injector.send_at_rate(&vec![&frame; FRAMES as usize], 100_000);
            if counts {
                expected.packets += FRAMES;
                expected.bytes += FRAMES * u64::from(IP_BYTES);
            }
            program.wait_for_bytes(src, if counts { FRAMES * u64::from(IP_BYTES) } else { 0 });
            program.wait_for_counted(expected);
        };
        send("far0", 1, true);
        send("far1", 2, true);
        send("far2", 3, true);

        router.ip("link set falls down");
        send("far0", 4, true);
        router.ip("link del leaves");
        send("far0", 5, true);
        // New ones, one after the other: the first frames may come before the notice about the interface.
        router.plug("comes", &far, "far3");
        router.plug("secret", &far, "far4");
        send("far4", 6, false);
        send("far3", 7, true);
        send("far0", 8, true);
        router.ip("link set falls up");
        send("far1", 9, true);
        // The last monitored ones go. The program keeps running without any.
        for last in ["stays", "falls", "comes"] {
            router.ip(&format!("link del {last}"));
        }
        router.plug("stays", &far, "far5");
        send("far5", 10, true);

        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.final_counts(), expected);
    });
}
