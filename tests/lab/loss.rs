//! A ring that is too small: the frames offered are exactly the frames counted and dropped, and log and API report it.

use std::net::Ipv4Addr;

use crate::support::host::{Host, Sum};
use crate::support::injector::Udp;
use crate::support::namespaces::inside;
use crate::support::program::{EVERY_HOST, Program, Signal};

const HEAVY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
const IP_BYTES: u16 = 500;

#[test]
fn drops_are_counted_logged_and_shown() {
    const OFFERED: u64 = 20_000;
    inside(|| {
        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        let config = format!("{EVERY_HOST}Workers: 1\nRingMemory: 1M\nByteLimit: 100K\nTrafficInterval: 3\n");
        let mut program = Program::start(&router, &config);
        let injector = far.injector("far0");
        let frame =
            Udp { src: HEAVY, dst: Ipv4Addr::new(198, 18, 0, 1), dst_port: 53, ip_bytes: IP_BYTES }.frame();
        // While it cannot read, its ring runs full.
        program.while_stopped(|| {
            injector.send_at_rate(&vec![&frame; OFFERED as usize], 1_000_000);
        });

        let counted = program.wait_for("all is accounted for", Program::accounting, |accounting| {
            accounting.adds_up() && accounting.kernel.tp_packets >= OFFERED
        });
        let dropped = counted.kernel.tp_drops;
        eprintln!("offered {OFFERED} = counted {} + dropped {dropped}", counted.ip_packets);
        assert!(dropped > 0 && counted.ip_packets > 0, "{counted:?}");
        assert_eq!(counted.ip_packets + dropped, OFFERED, "{counted:?}");
        assert_eq!(counted.ip_bytes, counted.ip_packets * u64::from(IP_BYTES));

        let line = program.line("EVENT=LOSS ").expect("a loss is logged");
        for part in [format!("DROPPED={dropped} "), format!("OFFERED={OFFERED} "), "LIMIT=0.1%".to_owned()] {
            assert!(line.text.contains(&part), "{part} is not in {}", line.text);
        }
        let alert = program.alert("TRAFFIC", HEAVY);
        assert!(
            alert.text.contains(" | LOST="),
            "its number is too small, and it is not marked as such: {}",
            alert.text
        );
        let counted = program.wait_for("the API has it", Program::accounting, |accounting| {
            accounting.loss.alert_since.is_some()
        });
        assert_eq!((counted.loss.tp_drops, counted.loss.tp_packets), (dropped, OFFERED), "{counted:?}");
        assert_eq!(program.active().len(), 1, "a loss is of no host");

        // The alert closes after a window without further drops.
        let line = program.line("CLOSED=LOSS ").expect("the loss is over");
        assert!(line.text.contains("PEAK="), "{}", line.text);
        let expected = Sum { packets: counted.ip_packets, bytes: counted.ip_bytes };
        assert_eq!(program.stop(Signal::SIGTERM).final_counts(), expected);
    });
}

#[test]
fn the_row_of_an_interface_equals_the_kernel_s_counters() {
    inside(|| {
        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        far.plug("far1", &router, "near1");
        far.plug("far2", &router, "secret");
        let program = Program::start(&router, &format!("{EVERY_HOST}ExcludedInterfaces: lo,secret\n"));
        let frame =
            Udp { src: HEAVY, dst: Ipv4Addr::new(198, 18, 0, 1), dst_port: 53, ip_bytes: IP_BYTES }.frame();
        for (interface, frames) in [("far0", 300), ("far1", 200), ("far2", 100)] {
            far.injector(interface).send_at_rate(&vec![&frame; frames], 100_000);
        }
        // An 802.3 frame of spanning tree, which is seen and skipped.
        let spanning_tree =
            [&[1, 0x80, 0xc2, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0, 38, 0x42, 0x42, 3][..], &[0; 43]].concat();
        far.injector("far1").send(&spanning_tree);

        let counted = program.wait_for("both sides have counted", Program::accounting, |accounting| {
            accounting.counted().packets == 500
                && accounting.interface("near1").kernel.rx_packets >= 201
                && accounting.interface("secret").kernel.rx_packets >= 100
        });
        for (name, frames, not_ip) in [("near0", 300, 0), ("near1", 201, 1)] {
            let interface = counted.interface(name);
            let way = &interface.entering;
            assert!(interface.monitored && interface.reason.is_none(), "{interface:?}");
            assert_eq!((way.frames, way.counted_frames), (frames, frames - not_ip), "{interface:?}");
            assert_eq!(way.skipped.get("not_ip").copied().unwrap_or(0), not_ip, "{interface:?}");
            assert_eq!((interface.kernel.rx_packets, way.unexplained), (frames, Some(0)), "{interface:?}");
            assert_eq!(way.ip_bytes, (frames - not_ip) * u64::from(IP_BYTES), "{interface:?}");
        }
        let secret = counted.interface("secret");
        assert_eq!((secret.monitored, secret.reason.as_deref()), (false, Some("excluded_interface")));
        assert_eq!((secret.kernel.rx_packets, secret.entering.unexplained), (100, None), "{secret:?}");
        assert_eq!(program.stop(Signal::SIGTERM).code, Some(0));
    });
}
