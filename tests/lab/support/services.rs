//! Servers and clients over real sockets: web and DNS.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};

use crate::support::host::Host;
use crate::support::tool::{Daemon, tool};

/// Timeout of a client.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Serves a page to all clients, one after the other.
pub(crate) fn serve_web(host: &Host) {
    let listener = host.on(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, HTTP)).expect("the port is free"));
    host.serve(move || {
        for stream in listener.incoming() {
            // The client reports a failure itself.
            let _ = stream.and_then(answer);
        }
    });
}

const HTTP: u16 = 80;
const PAGE_BYTES: usize = 10_000;

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut part = [0; 512];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut part)? {
            0 => return Ok(()),
            read => request.extend(&part[..read]),
        }
    }
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {PAGE_BYTES}\r\nConnection: close\r\n\r\n")?;
    stream.write_all(&[b'.'; PAGE_BYTES])
}

/// Fetches the page from `host`, as its address `from`.
pub(crate) fn fetch(host: &Host, from: Ipv4Addr, server: Ipv4Addr) {
    let answer = host.on(|| {
        let socket =
            socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).expect("TCP");
        let (from, to) = (SocketAddrV4::new(from, 0), SocketAddrV4::new(server, HTTP));
        bind(socket.as_raw_fd(), &SockaddrIn::from(from)).expect("it is an address of this host");
        connect(socket.as_raw_fd(), &SockaddrIn::from(to)).expect("the server listens");
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(TIMEOUT)).expect("not zero");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").expect("the server reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the server answers");
        answer
    });
    assert!(answer.len() > PAGE_BYTES && answer.starts_with(b"HTTP/1.1 200 OK"), "{} bytes", answer.len());
}

/// Starts dnsmasq on a host, as the authority over all names, or before the one at `upstream`.
pub(crate) fn serve_names(host: &Host, upstream: Option<Ipv4Addr>) -> Daemon {
    let mut dnsmasq = tool("dnsmasq", "dnsmasq-base");
    dnsmasq.args(["--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--cache-size=0"]);
    dnsmasq.arg(match upstream {
        None => "--address=/#/198.51.100.1".to_owned(),
        Some(upstream) => format!("--server={upstream}"),
    });
    let daemon = host.on(|| Daemon::start(&mut dnsmasq));
    // On lo, which is not monitored.
    let deadline = Instant::now() + TIMEOUT;
    while host.on(|| query(Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST, Duration::from_millis(100))).is_none() {
        assert!(Instant::now() < deadline, "dnsmasq does not answer");
    }
    daemon
}

/// Resolves a name from `host`, from its address `from` and a port that the kernel chooses.
pub(crate) fn resolve(host: &Host, from: Ipv4Addr, resolver: Ipv4Addr) {
    let answer = host.on(|| query(from, resolver, TIMEOUT));
    assert_eq!(answer, Some(Ipv4Addr::new(198, 51, 100, 1).into()), "{from} asked {resolver}");
}

/// Sends one query over UDP (RFC 1035). Returns the first address of the response, if it arrives in time.
fn query(from: Ipv4Addr, resolver: Ipv4Addr, timeout: Duration) -> Option<IpAddr> {
    const DNS: u16 = 53;
    #[rustfmt::skip]
    const QUERY: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\
                           \x04some\x04host\x07example\x00\x00\x01\x00\x01";
    let socket = UdpSocket::bind((from, 0)).expect("it is an address of this host");
    socket.connect((resolver, DNS)).expect("there is a route");
    socket.set_read_timeout(Some(timeout)).expect("not zero");
    // Refused while the server is not up yet.
    socket.send(QUERY).ok()?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer).ok()?;
    let (head, records) = answer[..length].split_at_checked(QUERY.len())?;
    // A response without error, and one record or more: name, type, class, time to live, length, address.
    let is_answer = head[..2] == QUERY[..2] && head[2] & 0x80 != 0 && head[3] & 0x0f == 0;
    let address: [u8; 4] = records.get(12..16)?.try_into().ok()?;
    is_answer.then(|| address.into())
}
