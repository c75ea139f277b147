//! The counts of many hosts equal what was sent, to the packet and to the byte.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

use crate::support::host::{Host, Sum};
use crate::support::injector::Udp;
use crate::support::namespaces::inside;
use crate::support::program::{Accounting, EVERY_HOST, Program, Signal};

const TARGET: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

#[test]
fn twenty_thousand_sources_in_one_interval_are_all_counted_and_all_listed() {
    const SOURCES: u32 = 20_000;
    const IP_BYTES: u16 = 100;
    inside(|| {
        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        let program = Program::start(&router, EVERY_HOST);
        let sources: Vec<Ipv4Addr> = (0..SOURCES).map(nth_source).collect();
        let frames: Vec<_> = sources
            .iter()
            .map(|&src| Udp { src, dst: TARGET, dst_port: 53, ip_bytes: IP_BYTES }.frame())
            .collect();
        far.injector("far0").send_at_rate(&frames, 50_000);

        let sent = Sum { packets: frames.len() as u64, bytes: frames.len() as u64 * u64::from(IP_BYTES) };
        program.wait_for_counted(sent);
        let all = program.wait_for("all are listed", Program::all, |all| all.len() == sources.len());
        let listed: HashSet<IpAddr> = all.iter().map(|host| host.source).collect();
        let expected: HashSet<IpAddr> = sources.into_iter().map(Into::into).collect();
        assert!(listed == expected, "{} other hosts are listed", listed.difference(&expected).count());
        assert!(all.iter().all(|host| host.total_bytes == u64::from(IP_BYTES) && host.event_type.is_empty()));

        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.final_counts(), sent);
        assert!(ended.alerts().is_empty(), "{}", ended.text());
    });
}

#[test]
fn at_a_high_rate_every_frame_is_counted_or_known_to_be_dropped() {
    inside(|| [1, 2].into_iter().for_each(at_a_high_rate));
}

fn at_a_high_rate(workers: usize) {
    const FRAMES: usize = 200_000;
    const PER_SECOND: u32 = 100_000;
    const IP_BYTES: u16 = 200;
    const SOURCES: u32 = 500;
    let (far, router) = (Host::new(), Host::router());
    far.plug("far0", &router, "near0");
    let program = Program::start(&router, &format!("{EVERY_HOST}Workers: {workers}\n"));
    let frames: Vec<_> = (0..SOURCES)
        .map(|n| Udp { src: nth_source(n), dst: TARGET, dst_port: 53, ip_bytes: IP_BYTES }.frame())
        .collect();
    let stream: Vec<&[u8]> = frames.iter().map(|frame| &frame[..]).cycle().take(FRAMES).collect();
    let before = router.frames_received("near0");
    let took = far.injector("far0").send_at_rate(&stream, PER_SECOND);
    let offered = router.frames_received("near0") - before;
    assert_eq!(offered, FRAMES as u64, "the wire itself has lost some");

    let accounting = program.wait_for("all is accounted for", Program::accounting, |accounting| {
        accounting.adds_up() && accounting.kernel.tp_packets >= offered
    });
    let Accounting { ip_packets, ip_bytes, skipped, kernel, .. } = &accounting;
    eprintln!(
        "{workers} workers, {:.0} packets/s: {ip_packets} counted, {} dropped",
        FRAMES as f64 / took.as_secs_f64(),
        kernel.tp_drops
    );
    assert_eq!(ip_packets + kernel.tp_drops, offered, "{accounting:?}");
    assert_eq!(*ip_bytes, ip_packets * u64::from(IP_BYTES));
    assert!(skipped.is_empty(), "{skipped:?}");

    let shares = |program: &Program| program.all().iter().map(|host| host.total_bytes).sum::<u64>();
    program.wait_for("the hosts' shares are the whole", shares, |sum| sum == ip_bytes);
    assert_eq!(program.stop(Signal::SIGTERM).final_counts(), accounting.counted());
}

fn nth_source(n: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 1).to_bits() + n)
}
