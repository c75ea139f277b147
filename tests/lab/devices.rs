//! Devices of every kind: those whose frames are IP packets without a link header, loopback, and a tunnel above
//! Ethernet.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::process::{Child, ChildStdin, Stdio};

use crate::packets::build::{self, UDP};
use crate::support::host::{Host, Sum};
use crate::support::namespaces::inside;
use crate::support::office::{CLIENT, Office, SERVER};
use crate::support::program::{EVERY_HOST, Program, Signal};
use crate::support::tool::tool;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/tun.pl");

#[test]
fn packets_without_a_link_header_count_on_every_type_of_device() {
    // `ARPHRD_*` of linux/if_arp.h: PPP, raw IP, tunnels over IPv4 and IPv6, SIT, GRE, GRE over IPv6, and none, which
    // WireGuard and tun have.
    const TYPES: [u16; 8] = [512, 519, 768, 769, 776, 778, 823, 65_534];
    inside(|| {
        let router = Host::router();
        let program = Program::start(&router, EVERY_HOST);
        let mut expected: BTreeMap<IpAddr, u64> = BTreeMap::new();
        let mut devices = Vec::new();
        for (hatype, number) in TYPES.into_iter().zip(1..) {
            let mut device = Device::make(&router, &format!("tun{number}"), hatype);
            let udp = build::udp(40_000, 443, 100 + usize::from(number));
            let (mut v4, mut v6) = (build::ipv4(UDP, &udp), build::ipv6(UDP, &udp));
            (v4[15], v6[8 + 15]) = (number, number);
            for packet in [&v4, &v6] {
                (0..3).for_each(|_| device.receive(packet));
            }
            let mut v6_src = build::V6_SRC;
            v6_src[15] = number;
            expected.insert(Ipv4Addr::new(10, 0, 0, number).into(), 3 * v4.len() as u64);
            expected.insert(v6_src.into(), 3 * v6.len() as u64);
            devices.push(device);
        }
        let listed = |program: &Program| -> BTreeMap<IpAddr, u64> {
            program.all().into_iter().map(|host| (host.source, host.total_bytes)).collect()
        };
        let counted = program.wait_for("all are listed", listed, |listed| *listed == expected);
        eprintln!("{} sources on {} types of device: {counted:?}", counted.len(), TYPES.len());
        assert_eq!(program.accounting().skipped, BTreeMap::new());
        let packets = 6 * TYPES.len() as u64;
        let sent = Sum { packets, bytes: expected.values().sum() };
        assert_eq!(program.stop(Signal::SIGTERM).final_counts(), sent);
    });
}

#[test]
fn a_frame_that_the_kernel_cannot_describe_is_dropped_and_no_other_is_lost_or_counted_twice() {
    const BURSTS: u64 = 20;
    const EACH: u64 = 6;
    /// UDP fragmentation, which `virtio_net_hdr_from_skb` cannot describe.
    const UFO: u8 = 3;
    inside(|| {
        let router = Host::router();
        // The ring wraps several times, so a dropped frame leaves the bytes of an older frame in its place.
        let program = Program::start(&router, &format!("{EVERY_HOST}Workers: 1\nRingMemory: 1M\n"));
        let mut device = Device::with_vnet_headers(&router, "tun0");
        let packet = build::ipv4(UDP, &build::udp(40_000, 443, 100));
        let plain = [&[0; 10][..], &packet].concat();
        let large = build::ipv4(UDP, &build::udp(40_000, 443, 4000));
        let mut ufo = vec![1, UFO];
        [28_u16, 1400, 20, 6].iter().for_each(|word| ufo.extend(word.to_ne_bytes()));
        ufo.extend(large);
        for burst in 1..=BURSTS {
            for n in 0..EACH {
                device.receive(if n == 3 { &ufo } else { &plain });
            }
            // Each burst has a block of its own.
            program.wait_for("the burst is accounted for", Program::accounting, |accounting| {
                accounting.adds_up() && accounting.kernel.tp_packets == burst * EACH
            });
        }
        let counted = program.accounting();
        eprintln!(
            "{} offered = {} counted + {} dropped",
            BURSTS * EACH,
            counted.ip_packets,
            counted.kernel.tp_drops
        );
        assert_eq!(
            (counted.ip_packets, counted.kernel.tp_drops),
            (BURSTS * (EACH - 1), BURSTS),
            "{counted:?}"
        );
        let bytes = BURSTS * (EACH - 1) * packet.len() as u64;
        assert_eq!((counted.ip_bytes, &counted.skipped), (bytes, &BTreeMap::new()));
        assert_eq!(program.stop(Signal::SIGTERM).code, Some(0));
    });
}

#[test]
fn loopback_traffic_counts_once() {
    const DATAGRAMS: u64 = 50;
    inside(|| {
        let host = Host::new();
        let program = Program::start(&host, &format!("{EVERY_HOST}ExcludedInterfaces:\n"));
        host.on(|| {
            // Its own requests are on lo as well, from another address.
            let to = UdpSocket::bind("127.0.0.9:9000").expect("the port is free");
            let from = UdpSocket::bind("127.0.0.8:0").expect("lo is up");
            for _ in 0..DATAGRAMS {
                from.send_to(&[0; 100], to.local_addr().expect("it is bound")).expect("it is there");
            }
        });
        program.wait_for_bytes(Ipv4Addr::new(127, 0, 0, 8), DATAGRAMS * 128);
        assert_eq!(program.stop(Signal::SIGTERM).code, Some(0));
    });
}

#[test]
fn a_tunnel_and_what_is_in_it_are_different_packets_each_counted_once() {
    const INNER_CLIENT: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
    const INNER_SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
    const DATAGRAMS: u64 = 50;
    inside(|| {
        let office = Office::routed();
        office.vxlan(INNER_CLIENT, INNER_SERVER);
        // The tunnel ends at the server, which forwards nothing.
        let program = Program::start(&office.server, EVERY_HOST);
        let _server = office.server.on(|| UdpSocket::bind((INNER_SERVER, 9000)).expect("the port is free"));
        let client = office.client.on(|| UdpSocket::bind((INNER_CLIENT, 0)).expect("vx0 is up"));
        (0..DATAGRAMS).for_each(|_| {
            client.send_to(&[0; 100], (INNER_SERVER, 9000)).expect("there is a route");
        });
        program.wait_for_bytes(INNER_CLIENT, DATAGRAMS * 128);
        // Outer headers of each packet: IPv4, UDP, VXLAN, Ethernet. ARP requests have them too.
        let arp = 20 + 8 + 8 + 14 + 28;
        program.wait_for_bytes(CLIENT, DATAGRAMS * (128 + 14 + 8 + 8 + 20) + arp);
        program.wait_for_bytes(SERVER, arp);
        assert_eq!(program.stop(Signal::SIGTERM).code, Some(0));
    });
}

/// A device that a script provides (tun.pl), and that packets can be received on.
struct Device {
    script: Child,
    packets: ChildStdin,
}

impl Device {
    fn make(host: &Host, name: &str, hatype: u16) -> Self {
        Self::made_by(host, name, &[&hatype.to_string()])
    }

    /// Makes a device whose packets have a `virtio_net_hdr` before them.
    fn with_vnet_headers(host: &Host, name: &str) -> Self {
        const NONE: &str = "65534";
        Self::made_by(host, name, &[NONE, "vnet"])
    }

    fn made_by(host: &Host, name: &str, arguments: &[&str]) -> Self {
        let mut perl = tool("perl", "perl-base");
        perl.args([SCRIPT, name]).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut script = host.on(|| perl.spawn().expect("it starts"));
        let mut ready = String::new();
        let mut output = BufReader::new(script.stdout.take().expect("it is piped"));
        output.read_line(&mut ready).expect("it can be read");
        assert_eq!(ready, "ready\n", "is {SCRIPT} allowed to open /dev/net/tun?");
        host.ip(&format!("link set {name} up"));
        Self { packets: script.stdin.take().expect("it is piped"), script }
    }

    /// Lets the host receive a packet.
    fn receive(&mut self, packet: &[u8]) {
        let digits: String = packet.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(self.packets, "{digits}").expect("the script reads");
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // It may have ended already, in which case the test has failed elsewhere.
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}
