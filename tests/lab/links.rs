//! A packet counts the same in every encapsulation, live and in replay of what was on the wire.
//!
//! The kernel removes the outermost VLAN tag at ingress and leaves it in the frame at egress; a capture file has it in
//! both.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use serde_json::Value;

use crate::packets::build::{self, IPV4, IPV6, UDP, join};
use crate::packets::capture_file::{LITTLE, NANOSECONDS};
use crate::support::host::Host;
use crate::support::injector::Injector;
use crate::support::namespaces::inside;
use crate::support::program::{BINARY, EVERY_HOST, Program, Signal};
use crate::support::tool::run;

/// Bytes of UDP payload: enough that only the frames that test padding are padded.
const PAYLOAD: usize = 100;
const IPV4_BYTES: u64 = 20 + 8 + PAYLOAD as u64;
const IPV6_BYTES: u64 = 40 + 8 + PAYLOAD as u64;

/// Returns the packet in every encapsulation, each from a source of its own, with the bytes that it must count for.
fn wrapped() -> Vec<(IpAddr, u64, Vec<u8>)> {
    let udp = build::udp(40_000, 443, PAYLOAD);
    let v4 = |host: u8| {
        let mut packet = build::ipv4(UDP, &udp);
        packet[12..16].copy_from_slice(&[10, 0, 0, host]);
        packet
    };
    let v6 = build::ipv6(UDP, &udp);
    let small = |host: u8| {
        let mut packet = build::ipv4(UDP, &build::udp(40_000, 443, 1));
        packet[12..16].copy_from_slice(&[10, 0, 0, host]);
        packet
    };
    let pppoe = |packet: &[u8]| build::pppoe(&join(&[&[0, 0x21], packet]));
    type Wrap<'a> = Box<dyn Fn(&[u8]) -> Vec<u8> + 'a>;
    let wraps: Vec<Wrap<'_>> = vec![
        Box::new(|packet| build::ethernet(IPV4, packet)),
        Box::new(|packet| build::ethernet(0x8100, &build::vlan(7, IPV4, packet))),
        // A tag of priority alone.
        Box::new(|packet| build::ethernet(0x8100, &build::vlan(0x6000, IPV4, packet))),
        Box::new(|packet| build::ethernet(0x88a8, &build::vlan(7, 0x8100, &build::vlan(8, IPV4, packet)))),
        Box::new(|packet| build::ethernet(0x8100, &build::vlan(7, 0x8100, &build::vlan(8, IPV4, packet)))),
        Box::new(|packet| build::ethernet(0x8847, &build::mpls(16, true, packet))),
        Box::new(|packet| build::ethernet(0x8100, &build::vlan(7, 0x8847, &build::mpls(16, true, packet)))),
        Box::new(|packet| build::ethernet(0x8864, &pppoe(packet))),
        Box::new(|packet| build::ethernet(0x8100, &build::vlan(7, 0x8864, &pppoe(packet)))),
        Box::new(|packet| join(&[&build::ethernet(IPV4, packet), &[0x5a; 4]])),
    ];
    let mut all: Vec<_> = wraps
        .iter()
        .zip(1..)
        .map(|(wrap, host)| (Ipv4Addr::new(10, 0, 0, host).into(), IPV4_BYTES, wrap(&v4(host))))
        .collect();
    // Frames shorter than the minimum of Ethernet are padded, with the tag or without.
    for (host, frame) in [
        (101, build::ethernet(IPV4, &small(101))),
        (102, build::ethernet(0x8100, &build::vlan(7, IPV4, &small(102)))),
    ] {
        all.push((Ipv4Addr::new(10, 0, 0, host).into(), 29, build::padded(frame)));
    }
    for (host, wrap) in [(1, [].as_slice()), (2, &[0x81, 0, 0, 7]), (3, &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 8])] {
        let mut frame = build::ethernet(IPV6, &v6);
        frame[14 + 8 + 15] = host;
        frame.splice(12..12, wrap.iter().copied());
        let mut src = build::V6_SRC;
        src[15] = host;
        all.push((src.into(), IPV6_BYTES, frame));
    }
    all
}

#[test]
fn ingress_counts_the_same_in_every_encapsulation() {
    inside(|| count(|far, _| far.injector("far0")));
}

#[test]
fn egress_counts_the_same_in_every_encapsulation() {
    // A host that does not forward counts egress, where the kernel leaves the tags in.
    inside(|| count(|_, host| host.injector("near0")));
}

/// Sends every encapsulation to or from a host, by the given injector, and compares the counts with those of a replay.
fn count(injector: impl FnOnce(&Host, &Host) -> Injector) {
    let (far, host) = (Host::new(), Host::new());
    far.plug("far0", &host, "near0");
    // The frames are for a station that does not exist.
    let program = Program::start(&host, &format!("{EVERY_HOST}Promiscuous: near?\n"));
    let injector = injector(&far, &host);
    let frames = wrapped();
    let mut capture = tempfile::NamedTempFile::new().expect("a file for the test");
    capture.write_all(&LITTLE.pcap_header(NANOSECONDS, 1)).expect("it is ours");
    for (_, _, frame) in &frames {
        injector.send(frame);
        let record = LITTLE.pcap_record(1_000, 0, frame.len() as u32, frame);
        capture.write_all(&record).expect("it is ours");
    }
    let expected: BTreeMap<IpAddr, u64> = frames.iter().map(|&(addr, bytes, _)| (addr, bytes)).collect();
    let listed = |program: &Program| -> BTreeMap<IpAddr, u64> {
        program.all().into_iter().map(|host| (host.source, host.total_bytes)).collect()
    };
    let live = program.wait_for("all are listed", listed, |listed| listed.len() == expected.len());
    assert_eq!(live, expected, "live");
    assert_eq!(replayed(capture.path()), expected, "in replay");
    assert_eq!(program.stop(Signal::SIGTERM).final_counts().packets, frames.len() as u64);
}

/// Bytes sent by each host of a capture.
fn replayed(capture: &std::path::Path) -> BTreeMap<IpAddr, u64> {
    let printed = run(Command::new(BINARY).args(["replay", "--json", "-"]).arg(capture));
    let json: Value = serde_json::from_str(&printed).expect("it prints JSON");
    let hosts = json["hosts"].as_array().expect("hosts are a list").iter();
    let sent = hosts.filter_map(|host| {
        let bytes = host["ip_bytes"].as_u64().filter(|&bytes| bytes > 0)?;
        Some((host["ip"].as_str()?.parse().ok()?, bytes))
    });
    sent.collect()
}
