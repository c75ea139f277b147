//! Frames that `tc mirred` sends from one interface to another count once: shapers on an ifb, mirrors, redirections.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use serde_json::Value;

use crate::support::exactly::{TEN_MILLION, send_exactly, take, wait_for_ten_million};
use crate::support::host::{Host, Sum};
use crate::support::injector::frame_from;
use crate::support::namespaces::inside;
use crate::support::office::{CLIENT, Office, SERVER};
use crate::support::program::{BINARY, EVERY_HOST, Program, Signal};
use crate::support::tool::tool;

const RECEIVED: &str = "ReceivedByteLimit: 5M\n";

#[test]
fn a_shaper_on_an_ifb_counts_once_on_a_router() {
    inside(|| {
        let routed = Office::routed();
        let _taker = take(&routed.client, CLIENT);
        shape(&routed.router, "wan", "ingress");
        count_once("router", &routed.router, (&routed.server, SERVER), CLIENT);

        let masqueraded = Office::masqueraded();
        let _taker = take(&masqueraded.server, SERVER);
        shape(&masqueraded.router, "lan", "ingress");
        shape(&masqueraded.router, "wan", "egress");
        count_once(
            "router that hides its clients",
            &masqueraded.router,
            (&masqueraded.client, CLIENT),
            SERVER,
        );
    });
}

#[test]
fn a_shaper_on_an_ifb_counts_once_on_a_host_that_does_not_forward() {
    inside(|| {
        let office = Office::routed();
        let _takers = [take(&office.server, SERVER), take(&office.client, CLIENT)];
        shape(&office.server, "wan0", "ingress");
        shape(&office.server, "wan0", "egress");
        count_once("what it receives", &office.server, (&office.client, CLIENT), SERVER);
        count_once("what it sends", &office.server, (&office.server, SERVER), CLIENT);
    });
}

/// A router that does not monitor its WAN counts what leaves there by the LAN alone, and no copy of it.
#[test]
fn the_copies_of_an_excluded_interface_are_excluded_too() {
    inside(|| {
        let office = Office::routed();
        let _taker = take(&office.client, CLIENT);
        shape(&office.router, "wan", "ingress");
        let config = format!("{EVERY_HOST}{RECEIVED}ExcludedInterfaces: lo,wan\n");
        let program = Program::start(&office.router, &config);
        send_exactly(&office.server, SERVER, CLIENT);
        program.wait_for("all frames have passed the ifb", frames_of_ifbs, |&frames| frames >= 10_000);
        wait_for_received(&program, CLIENT, TEN_MILLION.bytes);
        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.final_counts().bytes, 0, "nothing entered a monitored interface:\n{}", ended.text());
    });
}

/// Sends the frames of one side of an interface through an ifb, which is made unless it is there.
fn shape(host: &Host, interface: &str, side: &str) {
    let number = if side == "ingress" { 0 } else { 1 };
    host.ip(&format!("link add ifb{number} up type ifb"));
    mirred(host, interface, side, &format!("egress redirect dev ifb{number}"));
}

/// Adds a filter for all frames of one side of an interface.
fn mirred(host: &Host, interface: &str, side: &str, action: &str) {
    tc(host, &format!("qdisc replace dev {interface} clsact"));
    tc(host, &filter(&format!("dev {interface} {side}"), &format!("action mirred {action}")));
}

fn filter(at: &str, action: &str) -> String {
    format!("filter add {at} protocol all prio 10 u32 match u32 0 0 {action}")
}

/// Runs tc(8).
fn tc(host: &Host, arguments: &str) {
    host.run(tool("tc", "iproute2").args(arguments.split_whitespace()));
}

/// Sends ten million bytes past the program on `observer`: they count once as sent and once as received, and an ifb is
/// compared with nothing.
fn count_once(what: &str, observer: &Host, (sender, from): (&Host, Ipv4Addr), to: Ipv4Addr) {
    let program = Program::start(observer, &format!("{EVERY_HOST}{RECEIVED}"));
    send_exactly(sender, from, to);
    wait_for_ten_million(&program, what, &[from.into()]);
    program.wait_for_counted(TEN_MILLION);
    wait_for_received(&program, to, TEN_MILLION.bytes);
    program.wait_for("the kernel has counted them on an ifb", frames_of_ifbs, |&frames| frames >= 10_000);
    let ended = program.stop(Signal::SIGTERM);
    assert_eq!(ended.final_counts(), TEN_MILLION, "{what}");
    assert!(!ended.text().contains("offload"), "{what}: {}", ended.text());
}

/// Returns the number of frames that the kernel has counted on ifbs, none of which is monitored.
fn frames_of_ifbs(program: &Program) -> u64 {
    let interfaces = program.accounting().interfaces;
    let ifbs = interfaces.iter().filter(|interface| is_ifb(interface.name.as_ref()));
    ifbs.inspect(|ifb| {
        assert_eq!((ifb.monitored, ifb.reason.as_deref()), (false, Some("upper_device")));
        assert_eq!(ifb.entering.unexplained, None);
    })
    .map(|ifb| ifb.kernel.rx_packets)
    .sum()
}

fn is_ifb(name: Option<&String>) -> bool {
    name.is_some_and(|name| name.starts_with("ifb"))
}

/// Waits for the alert about bytes that a host has received, until it has this figure.
fn wait_for_received(program: &Program, host: Ipv4Addr, bytes: u64) {
    let measured = |program: &Program| {
        let alerts: Vec<Value> = program.get_json("/api/v1/alerts");
        let is_about = |alert: &&Value| alert["kind"] == "RECEIVED" && alert["source"] == host.to_string();
        alerts.iter().find(is_about).and_then(|alert| alert["measured"].as_u64())
    };
    program.wait_for(&format!("{bytes} bytes received"), measured, |&measured| measured == Some(bytes));
}

#[test]
fn what_leaves_the_port_of_a_mirror_is_a_copy_and_what_enters_there_counts() {
    inside(|| {
        // What passes the router, in both directions.
        let office = Office::routed();
        mirror("router", &office.router, ["lan", "lan"], &office);
        // What the server receives and sends. It does not forward.
        mirror("host", &office.server, ["wan0", "wan0"], &office);
    });
}

fn mirror(what: &str, observer: &Host, sources: [&str; 2], office: &Office) {
    let probe = Host::new();
    observer.plug("span0", &probe, "probe0");
    for (source, side) in sources.into_iter().zip(["ingress", "egress"]) {
        mirred(observer, source, side, "egress mirror dev span0");
    }
    let _takers = [take(&office.server, SERVER), take(&office.client, CLIENT)];
    let program = Program::start(observer, &format!("{EVERY_HOST}{RECEIVED}"));
    send_exactly(&office.client, CLIENT, SERVER);
    send_exactly(&office.server, SERVER, CLIENT);
    wait_for_ten_million(&program, what, &[CLIENT.into(), SERVER.into()]);
    for host in [CLIENT, SERVER] {
        wait_for_received(&program, host, TEN_MILLION.bytes);
    }
    // What the probe sends has not been anywhere else.
    let prober = Ipv4Addr::new(10, 0, 0, 9);
    probe.injector("probe0").send(&frame_from(prober));
    program.wait_for_bytes(prober, 1000);
    let expected = TEN_MILLION.and(TEN_MILLION).and(Sum { packets: 1, bytes: 1000 });
    program.wait_for_counted(expected);
    assert!(!program.log_text().contains("offload"), "{}", program.log_text());

    // Without the filters the port is an interface as any other.
    tc(observer, &format!("qdisc del dev {} clsact", sources[0]));
    let sender = Ipv4Addr::new(10, 0, 0, 8);
    let injector = observer.injector("span0");
    let counted = |program: &Program| {
        injector.send(&frame_from(sender));
        (program.bytes_of(sender.into()), program.accounting().skipped)
    };
    program.wait_for("what leaves is no copy any more", counted, |(bytes, skipped)| {
        // On the router such a frame is observed.
        if what == "router" { skipped.contains_key("leaving") } else { *bytes > 0 }
    });
    program.stop(Signal::SIGTERM).final_counts();
    observer.ip("link del span0");
}

#[test]
fn a_redirection_from_one_interface_out_of_another_counts_once() {
    const LEFT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const RIGHT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    const BETWEEN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);
    inside(|| {
        let (left, between, right) = (Host::new(), Host::new(), Host::new());
        for (port, host, addr) in [("port1", &left, LEFT), ("port2", &right, RIGHT)] {
            between.plug(port, host, "eth0");
            host.ip(&format!("addr add {addr}/24 dev eth0"));
        }
        mirred(&between, "port1", "ingress", "egress redirect dev port2");
        mirred(&between, "port2", "ingress", "egress redirect dev port1");
        between.ip(&format!("addr add {BETWEEN}/24 dev port2"));
        between.ip(&format!("neigh add {RIGHT} lladdr {} dev port2", right.mac("eth0")));
        let _takers = [take(&left, LEFT), take(&right, RIGHT)];
        // Frames for the other end are frames for another station here.
        let config = format!("{EVERY_HOST}{RECEIVED}Promiscuous: port*\n");
        let program = Program::start(&between, &config);
        send_exactly(&left, LEFT, RIGHT);
        send_exactly(&right, RIGHT, LEFT);
        let sources: [IpAddr; 3] = [LEFT.into(), RIGHT.into(), BETWEEN.into()];
        wait_for_ten_million(&program, "redirection", &sources[..2]);
        wait_for_received(&program, RIGHT, TEN_MILLION.bytes);
        wait_for_received(&program, LEFT, TEN_MILLION.bytes);
        // The host does not forward, so what it sends itself counts too.
        send_exactly(&between, BETWEEN, RIGHT);
        wait_for_ten_million(&program, "own packets", &sources);
        wait_for_received(&program, RIGHT, 2 * TEN_MILLION.bytes);
        let all = TEN_MILLION.and(TEN_MILLION).and(TEN_MILLION);
        program.wait_for_counted(all);
        assert_eq!(program.stop(Signal::SIGTERM).final_counts(), all);
    });
}

#[test]
fn a_target_whose_entering_frames_are_not_counted_is_said_once() {
    inside(|| {
        let office = Office::routed();
        let router = &office.router;
        mirred(router, "wan", "ingress", "ingress redirect dev lan");
        let said = |target: &str, source: &str| {
            format!("entering frames of {target} are not counted, since a tc filter on {source} ")
        };
        let program = Program::start(router, EVERY_HOST);
        assert!(program.log_text().contains(&said("lan", "wan")), "{}", program.log_text());
        // The second one appears while the program runs; the shaper is as it should be.
        shape(router, "lan", "egress");
        let probe = Host::new();
        router.plug("late0", &probe, "probe0");
        mirred(router, "lan", "ingress", "ingress mirror dev late0");
        program.wait_for_log(&said("late0", "lan"));
        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.text().matches("entering frames of ").count(), 2, "{}", ended.text());
    });
}

#[test]
fn check_says_which_interfaces_would_be_monitored_and_why() {
    inside(|| {
        let office = Office::routed();
        shape(&office.router, "wan", "ingress");
        office.router.ip("link add link lan name mv0 type macvlan");
        // A filter on a class with a class below it, in the tree of a shaper.
        let probe = Host::new();
        office.router.plug("span0", &probe, "probe0");
        tc(&office.router, "qdisc add dev lan root handle 1: htb default 2");
        tc(&office.router, "class add dev lan parent 1: classid 1:1 htb rate 1gbit");
        tc(&office.router, "class add dev lan parent 1:1 classid 1:2 htb rate 1gbit");
        tc(&office.router, &filter("dev lan parent 1:1", "action mirred egress mirror dev span0"));
        let file = tempfile::NamedTempFile::new().expect("a file for the test");
        fs::write(file.path(), "ExcludedInterfaces: lo,wg*\n").expect("it is ours");
        let printed = office.router.run(Command::new(BINARY).arg("check").arg(file.path()));
        for line in [
            "# lo: not monitored: excluded by `lo`",
            "# lan: monitored",
            "# wan: monitored",
            "# mv0: not monitored: upper device of lan",
            "# ifb0: not monitored: receives copies from wan by tc mirred",
            "# span0: monitored, except leaving frames: copies from lan by tc mirred",
            "# this host forwards, packets count entering",
        ] {
            assert!(printed.lines().any(|printed| printed == line), "{line:?} is not in\n{printed}");
        }
        assert!(printed.contains("# warning: no interface here is named `wg*`"), "{printed}");
    });
}
