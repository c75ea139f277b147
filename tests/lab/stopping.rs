//! On a signal the program ends within a second, after it has counted and logged all that it has seen.

use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use crate::support::host::{Host, Sum};
use crate::support::injector::Udp;
use crate::support::namespaces::inside;
use crate::support::program::{EVERY_HOST, PORT, Program, Signal};

const SOON: Duration = Duration::from_secs(1);
const HEAVY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
const SCANNER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 6);

#[test]
fn packets_right_before_the_end_are_counted_and_logged() {
    inside(|| {
        for signal in [Signal::SIGTERM, Signal::SIGINT] {
            for workers in [1, 2] {
                last_moment(signal, workers);
            }
        }
    });
}

fn last_moment(signal: Signal, workers: usize) {
    let (far, router) = (Host::new(), Host::router());
    far.plug("far0", &router, "near0");
    let injector = far.injector("far0");
    // Contacts of the last moment are too young to look like a scan, so their number alone counts.
    let config = format!("{EVERY_HOST}ByteLimit: 100K\nWorkers: {workers}\nScanEvidence: contacts\n");
    let program = Program::start(&router, &config);

    let target = |n| Ipv4Addr::new(198, 18, 0, n);
    // One packet over the limit of bytes, and one host over the limit of hosts.
    let heavy = Udp { src: HEAVY, dst: target(1), dst_port: 53, ip_bytes: 1000 }.frame();
    let scan = |n| Udp { src: SCANNER, dst: target(n), dst_port: 53, ip_bytes: 40 }.frame();
    (1..=16).for_each(|n| injector.send(&scan(n)));
    (0..101).for_each(|_| injector.send(&heavy));
    let ended = program.stop(signal);

    eprintln!("{signal} with {workers} workers: {:?}", ended.took);
    assert!(ended.took < SOON, "{:?}\n{}", ended.took, ended.text());
    assert_eq!(ended.final_counts(), Sum { packets: 117, bytes: 101_000 + 16 * 40 }, "{}", ended.text());
    let mut alerts = ended.alerts();
    alerts.sort_unstable();
    assert_eq!(alerts.len(), 2, "{}", ended.text());
    assert!(alerts[0].starts_with(&format!("EVENT=SCANNING SRC={SCANNER} TOTALBYTES=640 ")), "{alerts:?}");
    assert!(alerts[1].starts_with(&format!("EVENT=TRAFFIC SRC={HEAVY} TOTALBYTES=101000 ")), "{alerts:?}");
}

#[test]
fn an_open_connection_does_not_delay_the_end() {
    inside(|| {
        let router = Host::router();
        let program = Program::start(&router, "");
        let mut client = router.on(|| TcpStream::connect(("127.0.0.1", PORT)).expect("it listens"));
        client.write_all(b"GET /all HTTP/1.1\r\n").expect("it reads");
        let ended = program.stop(Signal::SIGTERM);
        assert!(ended.took < SOON, "{:?}\n{}", ended.took, ended.text());
        assert_eq!(ended.final_counts(), Sum::default());
    });
}

#[test]
fn a_log_that_hangs_does_not_delay_the_end() {
    inside(|| {
        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        let config = format!("{EVERY_HOST}ByteLimit: 100K\n");
        let program = Program::start_with_hanging_log(&router, &config);
        // An alert and a change of interfaces, neither of which can be logged.
        let packet = Udp { src: HEAVY, dst: Ipv4Addr::new(198, 18, 0, 1), dst_port: 53, ip_bytes: 1000 };
        far.injector("far0").send_at_rate(&vec![packet.frame(); 101], 50_000);
        far.plug("far1", &router, "near1");
        program.wait_for("the alert is open", Program::active, |active| active.len() == 1);
        let ended = program.stop(Signal::SIGTERM);
        eprintln!("with a log that hangs: {:?}", ended.took);
        assert!(ended.took < SOON, "{:?}", ended.took);
        assert_eq!(ended.code, Some(0));
    });
}
