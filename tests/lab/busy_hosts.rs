//! Hosts with many contacts that are no scanners exceed every limit and are not accused with `ScanEvidence:
//! suspicious`.

use std::io::{IoSlice, IoSliceMut, Read};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use nix::sys::socket::sockopt::Ipv4PacketInfo;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg, setsockopt,
};

use crate::support::host::Host;
use crate::support::namespaces::inside;
use crate::support::office::{CLIENT, Office, SERVER};
use crate::support::program::{Program, Signal};
use crate::support::services::{fetch, resolve, serve_names, serve_web};

const CONFIG: &str =
    "ScanEvidence: suspicious\nNumberContactedIPs: 15\nAnalyzePorts: true\nNumContactedPorts: 15\n";

/// An alert would come within this time after the last packet.
pub(crate) const OVERDUE: Duration = Duration::from_millis(1200);

#[test]
fn a_browser_of_two_hundred_sites_is_no_scanner() {
    inside(|| {
        let office = office();
        serve_web(&office.server);
        let program = Program::start(&office.router, CONFIG);
        (0..200).for_each(|n| fetch(&office.client, CLIENT, outside(n)));
        no_alert(program);
    });
}

#[test]
fn two_hundred_clients_that_browse_are_no_scanners() {
    inside(|| {
        let office = office();
        serve_web(&office.server);
        let program = Program::start(&office.router, CONFIG);
        for client in 0..200 {
            fetch(&office.client, local(client), SERVER);
            fetch(&office.client, local(client), outside(client));
        }
        // One of them has more than the limit.
        (0..30).for_each(|n| fetch(&office.client, local(7), outside(n)));
        no_alert(program);
    });
}

#[test]
fn a_resolver_with_five_hundred_clients_is_no_scanner() {
    inside(|| {
        let office = office();
        let _resolver = serve_names(&office.server, None);
        let _authorities = serve_names(&office.client, None);
        let program = Program::start(&office.router, CONFIG);
        for n in 0..500 {
            resolve(&office.client, local(n), SERVER);
            if n % 5 == 0 {
                // The server that has the answer is another host than the client.
                resolve(&office.server, SERVER, local(500 + n));
            }
        }
        no_alert(program);
    });
}

#[test]
fn a_mail_relay_with_three_hundred_peers_is_no_scanner() {
    inside(|| {
        let office = office();
        greet(&office.server, 25);
        let program = Program::start(&office.router, CONFIG);
        office.client.on(|| (0..300).for_each(|n| assert!(greeted(outside(n), 25))));
        no_alert(program);
    });
}

/// More than any limit allows, at ports that only such pollers use.
#[test]
fn a_poller_whose_targets_answer_is_no_scanner() {
    inside(|| {
        let office = office();
        greet(&office.server, 9100);
        serve_echo(&office.server, 161);
        let program = Program::start(&office.router, CONFIG);
        office.client.on(|| {
            for _ in 0..2 {
                // Exporters of metrics, and agents of SNMP.
                (0..400).for_each(|n| assert!((0..20).any(|_| greeted(outside(n), 9100)), "{n}"));
                (0..400).for_each(|n| assert!((0..20).any(|_| echoed(outside(n), 161)), "{n}"));
            }
        });
        no_alert(program);
    });
}

/// It asks its servers which of them is near, and most of them have gone.
#[test]
fn a_speed_meter_with_dead_servers_is_no_scanner() {
    inside(|| {
        let office = office();
        greet(&office.server, 8080);
        // The servers are scattered over the Internet.
        office.router.ip("route add default via 203.0.113.2");
        for n in [3, 9] {
            office.server.ip(&format!("addr add {}/32 dev lo", scattered(n)));
        }
        office.server.ip("route add blackhole 100.0.0.0/8");
        let program = Program::start(&office.router, CONFIG);
        office.client.on(|| {
            let answered = (0..29).filter(|&n| greeted(scattered(n), 8080)).count();
            assert_eq!(answered, 2);
            (0..29).for_each(|n| assert!(!echoed(scattered(n), 8080)));
            // Then it measures.
            (0..1000).for_each(|_| assert!(greeted(scattered(9), 8080)));
        });
        no_alert(program);
    });
}

/// Each peer has a port of its own. A third of the peers answers, a third refuses, and a third does not respond.
#[test]
fn a_peer_of_many_ports_is_no_scanner() {
    inside(|| {
        let office = office();
        greet(&office.server, 9000);
        serve_echo(&office.server, 9000);
        // Those below .128 answer at every port of a peer; the rest of the first network refuses.
        office.server.nft(
            "table ip peers {
                chain entering {
                    type nat hook prerouting priority dstnat; policy accept;
                    ip daddr 198.51.100.0/25 meta l4proto { tcp, udp } th dport 10000-65535 redirect to :9000
                }
            }",
        );
        office.server.ip("route add blackhole 192.0.2.0/24");
        office.router.ip("route add 192.0.2.0/24 via 203.0.113.2");
        let program = Program::start(&office.router, CONFIG);
        office.client.on(|| {
            let mut answered = 0;
            for n in 0..100 {
                let peers = [outside(n), outside(128 + n), Ipv4Addr::new(192, 0, 2, n as u8)];
                for (peer, port) in peers.into_iter().zip([10_007, 20_011, 30_013]) {
                    let port = port + n * 97;
                    answered += u32::from(greeted(peer, port)) + u32::from(echoed(peer, port));
                }
            }
            assert!(answered >= 190, "{answered} of 200 answers");
        });
        no_alert(program);
    });
}

fn no_alert(program: Program) {
    thread::sleep(OVERDUE);
    let ended = program.stop(Signal::SIGTERM);
    assert!(ended.final_counts().packets > 1000, "{}", ended.text());
    assert!(ended.alerts().is_empty(), "{}", ended.text());
}

/// An office whose client has 1024 addresses more, and whose server 512.
fn office() -> Office {
    let office = Office::routed();
    office.client.ip("route add local 192.168.8.0/22 dev lo");
    office.router.ip("route add 192.168.8.0/22 via 192.168.7.2");
    office.server.ip("route add local 198.51.100.0/23 dev lo");
    office.router.ip("route add 198.51.100.0/23 via 203.0.113.2");
    office
}

fn local(n: u16) -> Ipv4Addr {
    let [high, low] = n.to_be_bytes();
    Ipv4Addr::new(192, 168, 8 + high, low)
}

fn outside(n: u16) -> Ipv4Addr {
    let [high, low] = n.to_be_bytes();
    Ipv4Addr::new(198, 51, 100 + high, low)
}

fn scattered(n: u16) -> Ipv4Addr {
    Ipv4Addr::new(100, 64 + n as u8, 0, 7)
}

/// Starts a server that sends each datagram back, from the address that it was sent to.
fn serve_echo(host: &Host, port: u16) {
    let echo = host.on(|| UdpSocket::bind(("0.0.0.0", port)).expect("the port is free"));
    setsockopt(&echo, Ipv4PacketInfo, &true).expect("the kernel has it");
    host.serve(move || {
        let mut datagram = [0; 64];
        let fd = echo.as_raw_fd();
        loop {
            let (len, from, to) = {
                let mut control = nix::cmsg_space!(nix::libc::in_pktinfo);
                let mut parts = [IoSliceMut::new(&mut datagram)];
                let received = recvmsg::<SockaddrIn>(fd, &mut parts, Some(&mut control), MsgFlags::empty());
                let Ok(received) = received else { return };
                let mut messages = received.cmsgs().expect("the control buffer is large enough");
                let to = messages.find_map(|message| match message {
                    ControlMessageOwned::Ipv4PacketInfo(info) => Some(info),
                    _ => None,
                });
                (received.bytes, received.address.expect("an address"), to.expect("the kernel tells it"))
            };
            let info = nix::libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: to.ipi_addr, ..to };
            let control = [ControlMessage::Ipv4PacketInfo(&info)];
            // A client may have closed the socket.
            let _ = sendmsg(fd, &[IoSlice::new(&datagram[..len])], &control, MsgFlags::empty(), Some(&from));
        }
    });
}

/// Starts a server that greets each client.
fn greet(host: &Host, port: u16) {
    let listener = host.on(|| TcpListener::bind(("0.0.0.0", port)).expect("the port is free"));
    host.serve(move || {
        for stream in listener.incoming() {
            let greeting = b"220 lab\r\n";
            // A client may have closed the connection.
            let _ = stream.and_then(|mut stream| std::io::Write::write_all(&mut stream, greeting));
        }
    });
}

/// Time that a client waits for a peer that does not respond.
const TIMEOUT: Duration = Duration::from_millis(20);

/// Returns true if a server greets the client.
fn greeted(peer: Ipv4Addr, port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&SocketAddrV4::new(peer, port).into(), TIMEOUT) else {
        return false;
    };
    let mut greeting = [0; 3];
    stream.read_exact(&mut greeting).is_ok()
}

fn echoed(peer: Ipv4Addr, port: u16) -> bool {
    let socket = UdpSocket::bind((CLIENT, 0)).expect("it is an address of this host");
    socket.set_read_timeout(Some(TIMEOUT)).expect("not zero");
    socket.connect((peer, port)).expect("there is a route");
    // An error is about an earlier datagram.
    let _ = socket.send(b"peer");
    socket.recv(&mut [0; 64]).is_ok()
}
