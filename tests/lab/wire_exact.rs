//! Frames that the kernel joins at ingress (GRO), or does not segment before the wire (TSO, UDP segmentation), count as
//! the packets of the wire, to the packet and to the byte.
//!
//! Netfilter counts the packets of the wire, on a host without GRO and segmentation offload.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;
use std::process::{Child, Stdio};

use nix::sys::socket::{setsockopt, sockopt};

use crate::support::host::{Host, Sum};
use crate::support::namespaces::inside;
use crate::support::office::{CLIENT, Office, SERVER};
use crate::support::program::{Accounting, EVERY_HOST, Program, Signal};
use crate::support::tool::{end_within, tool};

const GIBIBYTE: u64 = 1 << 30;

#[test]
fn a_gibibyte_that_gro_has_joined_counts_as_the_packets_of_the_wire() {
    inside(|| {
        let office = Office::routed();
        // The client cuts right before the wire, so that segments come in bursts, and the router joins them again.
        uncut(&office.client, "lan0");
        offload(&office.client, "lan0", &["tso", "off"]);
        offload(&office.router, "lan", &["gro", "on"]);
        let before = office.router.frames_received("lan");
        let (program, counted) = transfer_counted_behind(&office, SERVER, GIBIBYTE);
        let on_the_wire = office.router.frames_received("lan") - before;
        assert!(
            counted.frames < on_the_wire / 2,
            "little was joined: {on_the_wire} frames became {counted:?}"
        );
        assert_eq!(program.stop(Signal::SIGTERM).final_counts(), counted.counted());
    });
}

#[test]
fn tcp_with_segmentation_offload_counts_as_the_packets_of_the_wire() {
    inside(|| {
        let office = Office::routed();
        uncut(&office.client, "lan0");
        let (program, counted) = transfer_counted_behind(&office, SERVER, GIBIBYTE / 4);
        assert!(counted.super_frames > 100, "nothing was left uncut: {counted:?}");
        assert_eq!(program.stop(Signal::SIGTERM).final_counts(), counted.counted());
    });
}

#[test]
fn tcp_in_a_tunnel_is_cut_with_the_headers_of_the_tunnel() {
    const INNER_CLIENT: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
    const INNER_SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
    inside(|| {
        let office = Office::routed();
        uncut(&office.client, "lan0");
        office.vxlan(INNER_CLIENT, INNER_SERVER);
        let (program, counted) = transfer_counted_behind(&office, INNER_SERVER, GIBIBYTE / 8);
        assert!(counted.super_frames > 100, "nothing was left uncut: {counted:?}");
        assert_eq!(program.stop(Signal::SIGTERM).final_counts(), counted.counted());
    });
}

#[test]
fn datagrams_that_were_sent_as_one_are_counted_one_by_one() {
    const SENDS: u64 = 50;
    const EACH: u64 = 40;
    const PAYLOAD: u64 = 1000;
    inside(|| {
        let office = Office::routed();
        uncut(&office.client, "lan0");
        let _server = office.server.on(|| UdpSocket::bind((SERVER, 9000)).expect("the port is free"));
        let program = Program::start(&office.router, EVERY_HOST);
        let client = office.client.on(|| UdpSocket::bind((CLIENT, 0)).expect("the port is free"));
        client.connect((SERVER, 9000)).expect("there is a route");
        setsockopt(&client.as_fd(), sockopt::UdpGsoSegment, &(PAYLOAD as i32)).expect("Linux 4.18");
        // The last one of each is half as long.
        let together = vec![0; (EACH * PAYLOAD - PAYLOAD / 2) as usize];
        (0..SENDS).for_each(|_| assert_eq!(client.send(&together).expect("it is sent"), together.len()));

        let (packets, bytes) = (SENDS * EACH, SENDS * (together.len() as u64 + EACH * 28));
        let counted = program.wait_for_counted(Sum { packets, bytes });
        assert_eq!((counted.super_frames, counted.super_frames_as_one), (SENDS, 0), "{counted:?}");
        assert_eq!(program.stop(Signal::SIGTERM).final_counts(), Sum { packets, bytes });
    });
}

#[test]
fn without_wire_exact_a_joined_frame_is_one_packet_and_the_log_has_it() {
    // Headers of IPv4, and of TCP with timestamps (RFC 7323).
    const HEADERS_BYTES: u64 = 20 + 32;
    inside(|| {
        let office = Office::routed();
        uncut(&office.client, "lan0");
        office.server.count_received();
        office.server.count_sent();
        let program =
            Program::start(&office.router, &format!("{EVERY_HOST}WireExact: off\nRingMemory: 512M\n"));
        transfer(&office, SERVER, 16 << 20);
        let counted = program.wait_for("joined frames are counted", Program::accounting, |accounting| {
            accounting.adds_up() && accounting.super_frames > 10
        });
        assert!(!counted.wire_exact, "{counted:?}");
        assert_eq!(counted.super_frames, counted.super_frames_as_one, "{counted:?}");
        assert_eq!(counted.counted_frames, counted.ip_packets, "{counted:?}");
        let wire = office.server.received()[&CLIENT.into()].and(office.server.sent()[&SERVER.into()]);
        let counted = program.stop(Signal::SIGTERM).final_counts();
        assert!(counted.packets < wire.packets, "{counted:?} of {wire:?}");
        let missing_headers = (wire.packets - counted.packets) * HEADERS_BYTES;
        assert_eq!(wire.bytes - counted.bytes, missing_headers, "{counted:?} of {wire:?}");
    });
}

/// Sends `bytes` to `server` and waits until what crossed the router is what the server's wire had: the router cuts
/// what it forwards, and the server joins nothing. Returns the counts.
fn transfer_counted_behind(office: &Office, server: Ipv4Addr, bytes: u64) -> (Program, Accounting) {
    office.server.count_received();
    office.server.count_sent();
    // Rings large enough for most of the transfer, since the scheduling of a busy machine is not tested here.
    let program = Program::start(&office.router, &format!("{EVERY_HOST}RingMemory: 512M\n"));
    transfer(office, server, bytes);
    let up = office.server.received()[&CLIENT.into()];
    let down = office.server.sent()[&SERVER.into()];
    let counted = program.wait_for_counted(up.and(down));
    program.wait_for_bytes(CLIENT, up.bytes);
    eprintln!(
        "the wire had {up:?} and {down:?}; here were {} frames, of them {} of several packets",
        counted.frames, counted.super_frames
    );
    assert!(counted.wire_exact && counted.super_frames_as_one == 0, "{counted:?}");
    (program, counted)
}

/// Sends `bytes` over TCP from the client to `server`, and waits for the end of both connections.
fn transfer(office: &Office, server: Ipv4Addr, bytes: u64) {
    let mut listener = office.server.on(listen);
    let mut client = tool("iperf3", "iperf3");
    let amount = bytes.to_string();
    office.client.run(client.args(["-c", &server.to_string(), "-n", &amount, "-l", "1M"]));
    assert!(end_within(&mut listener, TIMEOUT).is_some_and(|status| status.success()), "iperf3 ends");
}

/// Starts a server for one transfer, and waits until it listens.
fn listen() -> Child {
    let mut server = tool("iperf3", "iperf3");
    server.args(["-s", "-1", "--forceflush"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut server = server.spawn().expect("it starts");
    let output = BufReader::new(server.stdout.take().expect("it is piped"));
    let mut lines = output.lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("Server listening")), "iperf3 does not listen");
    // Its output is longer than a pipe holds, and it would end if the pipe were closed.
    std::thread::spawn(move || lines.for_each(drop));
    server
}

const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

/// Turns segmentation offloads of an interface on or off.
fn offload(host: &Host, interface: &str, switches: &[&str]) {
    host.run(tool("ethtool", "ethtool").args(["-K", interface]).args(switches));
}

/// Lets an interface send large packets unsegmented.
fn uncut(host: &Host, interface: &str) {
    host.ip(&format!("link set {interface} gso_max_segs 65535"));
}
