//! What an attacker tries with sockets, those that he makes and those that he finds, and with rings of io_uring.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::RawFd;

use io_uring::IoUring;
use nix::errno::Errno;
use nix::unistd::close;

use super::Attacker;
use super::outcome::{Note, closed, done, errno, path};
use crate::sys::attack::{self, Argument, FoundRing, RingRequest, call};

/// Tries everything with sockets and rings.
pub(super) fn all(attacker: &Attacker, note: Note<'_>) {
    sockets(note);
    connections(attacker, note);
    frames(attacker, note);
    rings(attacker, note);
}

/// Makes sockets.
fn sockets(note: Note<'_>) {
    const ALL: i32 = 0x300;
    const RAW: i32 = libc::SOCK_RAW;
    const STREAM: i32 = libc::SOCK_STREAM;
    const DATAGRAM: i32 = libc::SOCK_DGRAM;
    for (name, family, kind, protocol) in [
        ("socket: packet", libc::AF_PACKET, RAW, ALL),
        ("socket: packet without link headers", libc::AF_PACKET, DATAGRAM, ALL),
        ("socket: raw IPv4", libc::AF_INET, RAW, libc::IPPROTO_ICMP),
        ("socket: raw IPv6", libc::AF_INET6, RAW, libc::IPPROTO_ICMPV6),
        ("socket: echo requests", libc::AF_INET, DATAGRAM, libc::IPPROTO_ICMP),
        ("socket: UDP", libc::AF_INET, DATAGRAM, 0),
        ("socket: UDP over IPv6", libc::AF_INET6, DATAGRAM, 0),
        ("socket: TCP", libc::AF_INET, STREAM, 0),
        ("socket: TCP over IPv6", libc::AF_INET6, STREAM, 0),
        // Landlock restricts the ports of TCP alone.
        ("socket: MPTCP", libc::AF_INET, STREAM, libc::IPPROTO_MPTCP),
        ("socket: SCTP", libc::AF_INET, STREAM, libc::IPPROTO_SCTP),
        ("socket: UDP-Lite", libc::AF_INET, DATAGRAM, libc::IPPROTO_UDPLITE),
        ("socket: local", libc::AF_UNIX, STREAM, 0),
        ("socket: rtnetlink", libc::AF_NETLINK, RAW, libc::NETLINK_ROUTE),
        ("socket: generic netlink", libc::AF_NETLINK, RAW, libc::NETLINK_GENERIC),
        ("socket: netfilter", libc::AF_NETLINK, RAW, libc::NETLINK_NETFILTER),
        ("socket: audit", libc::AF_NETLINK, RAW, libc::NETLINK_AUDIT),
        ("socket: crypto", libc::AF_ALG, libc::SOCK_SEQPACKET, 0),
        ("socket: vsock", libc::AF_VSOCK, STREAM, 0),
        ("socket: XDP", libc::AF_XDP, RAW, 0),
    ] {
        note(name, closed(open_socket(family, kind, protocol)));
    }
    let mut pair = [0_u8; 8];
    let arguments = [libc::AF_UNIX.into(), STREAM.into(), 0.into(), pair.as_mut_slice().into()];
    note("socketpair", done(call(libc::SYS_socketpair, arguments)));
    for half in pair.chunks_exact(4) {
        let fd = half.try_into().map(i32::from_ne_bytes).unwrap_or_default();
        let _ = (fd > 0).then(|| close(fd));
    }
}

/// Connects and listens where the program has no business.
fn connections(attacker: &Attacker, note: Note<'_>) {
    let other = SocketAddr::from((Ipv4Addr::LOCALHOST, attacker.plan.port));
    note("connect to another port", TcpStream::connect(other).map(drop).map_err(errno));
    let [high, low] = attacker.plan.port.to_be_bytes();
    let family = u16::try_from(libc::AF_INET).unwrap_or_default().to_ne_bytes();
    let address = [&family[..], &[high, low, 127, 0, 0, 1], &[0; 8]].concat();
    let length = i64::try_from(address.len()).unwrap_or_default();
    // Data with the first segment connects without connect(2).
    let connected = open_socket(libc::AF_INET, libc::SOCK_STREAM, 0).and_then(|fd| {
        let arguments = [
            fd.into(),
            b"GET".as_slice().into(),
            3.into(),
            libc::MSG_FASTOPEN.into(),
            address.as_slice().into(),
            length.into(),
        ];
        let sent = call(libc::SYS_sendto, arguments);
        let _ = i32::try_from(fd).map(close);
        sent
    });
    note("connect to another port by TCP Fast Open", done(connected));
    note("listen", std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map(drop).map_err(errno));
    note("add an address by rtnetlink", add_address(attacker.plan.interface));
}

/// Asks the kernel for another address of an interface. Returns its answer.
fn add_address(interface: i32) -> Result<(), Errno> {
    const NEWADDR: u16 = 20;
    const REQUEST_CREATE_ACK: u16 = 0x1 | 0x400 | 0x4;
    let fd = i32::try_from(open_socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)?);
    let fd = fd.map_err(|_| Errno::EBADF)?;
    let mut message = Vec::new();
    message.extend(32_u32.to_ne_bytes());
    message.extend([NEWADDR, REQUEST_CREATE_ACK].map(u16::to_ne_bytes).concat());
    message.extend([0; 8]);
    // `struct ifaddrmsg`, and IFA_LOCAL: 192.0.2.1/24.
    message.extend([u8::try_from(libc::AF_INET).unwrap_or_default(), 24, 0, 0]);
    message.extend(interface.to_ne_bytes());
    message.extend([8, 0, 2, 0, 192, 0, 2, 1]);
    let length = i64::try_from(message.len()).unwrap_or_default();
    let mut answer = [0; 64];
    let asked = call(libc::SYS_write, [fd.into(), message.as_slice().into(), length.into()])
        .and_then(|_| call(libc::SYS_read, [fd.into(), answer.as_mut_slice().into(), 64.into()]));
    let _ = close(fd);
    asked?;
    // The header of the answer is followed by the error.
    match answer[16..20].try_into().map(i32::from_ne_bytes) {
        Ok(0) => Ok(()),
        Ok(error) => Err(Errno::from_raw(-error)),
        Err(_) => Err(Errno::EBADMSG),
    }
}

/// Tries to put a frame on the wire through every packet socket that the thread can see.
fn frames(attacker: &Attacker, note: Note<'_>) {
    let interface = attacker.plan.interface.to_ne_bytes();
    let family = u16::try_from(libc::AF_PACKET).unwrap_or_default().to_ne_bytes();
    let to = [&family[..], &ETHERTYPE, &interface, &[0, 0, 0, 6], &[0xff; 6], &[0; 2]].concat();
    for fd in packet_sockets() {
        note("a packet socket is seen", Ok(()));
        note("frame: write", either(|frame| call(libc::SYS_write, [fd.into(), frame.into(), length(frame)])));
        note("frame: send", either(|frame| send_to(fd, frame, &[])));
        note("frame: sendto an interface", either(|frame| send_to(fd, frame, &to)));
        note("frame: sendmsg to an interface", either(|frame| attack::send_message(fd, frame, &to, false)));
        note("frame: sendmmsg to an interface", either(|frame| attack::send_message(fd, frame, &to, true)));
        let write = |_| either(|frame| call(libc::SYS_write, [fd.into(), frame.into(), length(frame)]));
        let connected = call(libc::SYS_connect, [fd.into(), to.as_slice().into(), length(&to)]);
        note("frame: connect and write", connected.and_then(write));
        let bound = call(libc::SYS_bind, [fd.into(), to.as_slice().into(), length(&to)]);
        note("frame: bind and write", bound.and_then(write));
        let ring = [4096_u32, 1, 2048, 2].map(u32::to_ne_bytes).concat();
        let (level, option) = (libc::SOL_PACKET, libc::PACKET_TX_RING);
        let transmit = [fd.into(), level.into(), option.into(), ring.as_slice().into(), length(&ring)];
        note("frame: a ring to transmit", done(call(libc::SYS_setsockopt, transmit)));
        let splice = [0.into(), 0.into(), fd.into(), 0.into(), 64.into(), 0.into()];
        note("frame: splice", done(call(libc::SYS_splice, splice)));
        note("frame: sendfile", done(call(libc::SYS_sendfile, [fd.into(), 0.into(), 0.into(), 64.into()])));
        let (flags, no_name) = (i64::try_from(libc::SIOCSIFFLAGS).unwrap_or_default(), [0_u8; 40]);
        let ioctl = [fd.into(), flags.into(), no_name.as_slice().into()];
        note("take an interface down", done(call(libc::SYS_ioctl, ioctl)));
    }
}

/// Tries a frame and then, as sockets with `PACKET_VNET_HDR` expect it, with an empty header before it.
fn either(send: impl Fn(&[u8]) -> Result<i64, Errno>) -> Result<(), Errno> {
    let frame = frame();
    done(send(&frame).or_else(|_| send(&[&[0; 10], frame.as_slice()].concat())))
}

fn send_to(fd: RawFd, frame: &[u8], address: &[u8]) -> Result<i64, Errno> {
    let to = if address.is_empty() { 0.into() } else { Argument::from(address) };
    call(libc::SYS_sendto, [fd.into(), frame.into(), length(frame), 0.into(), to, length(address)])
}

fn length(bytes: &[u8]) -> Argument<'static> {
    i64::try_from(bytes.len()).unwrap_or_default().into()
}

/// Finds the packet sockets among the descriptors by a call that every thread has: a packet socket that is bound to no
/// interface refuses also to write nothing, with `ENXIO`, and no other descriptor does that.
fn packet_sockets() -> Vec<RawFd> {
    let is_one = |fd: &RawFd| {
        let written = call(libc::SYS_write, [(*fd).into(), [].as_slice().into(), 0.into()]);
        written == Err(Errno::ENXIO)
    };
    (0..DESCRIPTORS).filter(is_one).collect()
}

/// More descriptors than the program has in the test.
const DESCRIPTORS: RawFd = 256;

/// A frame to every station, by which an observer knows the attacker.
fn frame() -> Vec<u8> {
    [&[0xff; 6][..], &[2, 0, 0, 0, 0, 1], &ETHERTYPE, b"attack", &[0; 46]].concat()
}

/// The first type for experiments of IEEE 802.
const ETHERTYPE: [u8; 2] = [0x88, 0xb5];

/// Submits requests through every io_uring that the thread can see, and makes a new one.
fn rings(attacker: &Attacker, note: Note<'_>) {
    let new = IoUring::new(2).map(drop).map_err(errno);
    note("make an io_uring", new);
    let Some(layout) = attacker.rings else { return };
    let packet_socket = packet_sockets().first().copied();
    let (frame, own_name) = (frame(), path(&attacker.plan.outside.join("by-io-uring")));
    let socket = packet_socket.unwrap_or(libc::STDIN_FILENO);
    for fd in 0..DESCRIPTORS {
        let Some(ring) = FoundRing::find(fd, layout) else { continue };
        let length = u32::try_from(frame.len()).unwrap_or_default();
        let create = u32::try_from(libc::O_CREAT | libc::O_WRONLY).unwrap_or_default();
        let no_bytes = RingRequest { opcode: 0, fd: -1, bytes: &[], length: 0, flags: 0 };
        let with_frame = RingRequest { fd: socket, bytes: &frame, length, ..no_bytes };
        let name = own_name.as_bytes_with_nul();
        let open = RingRequest { fd: libc::AT_FDCWD, bytes: name, length: 0o600, flags: create, ..no_bytes };
        let stream = u32::try_from(libc::SOCK_STREAM).unwrap_or_default();
        for (attempt, request) in [
            ("io_uring: nothing", no_bytes),
            ("io_uring: open a file", RingRequest { opcode: 18, ..open }),
            ("io_uring: send a frame", RingRequest { opcode: 26, ..with_frame }),
            ("io_uring: send a frame by sendmsg", RingRequest { opcode: 9, ..with_frame }),
            (
                "io_uring: make a socket",
                RingRequest { opcode: 45, fd: libc::AF_INET, length: stream, ..no_bytes },
            ),
            ("io_uring: connect", RingRequest { opcode: 16, ..with_frame }),
            ("io_uring: splice", RingRequest { opcode: 30, ..with_frame }),
            ("io_uring: close", RingRequest { opcode: 19, fd: 1000, ..no_bytes }),
        ] {
            note(attempt, done(ring.request(request)));
        }
        // A file is written through the ring of `AlertFile`; no frame can be.
        let written = RingRequest { opcode: 23, ..with_frame };
        if packet_socket.is_some() {
            note("io_uring: write a frame", done(ring.request(written)));
        }
        let poll = RingRequest {
            opcode: 6,
            fd: libc::STDIN_FILENO,
            flags: u32::try_from(libc::POLLIN).unwrap_or_default(),
            ..no_bytes
        };
        note("io_uring: poll", done(ring.request(poll)));
        // Nothing is written to the report.
        let report = super::report_descriptor().unwrap_or(-1);
        note(
            "io_uring: write nothing",
            done(ring.request(RingRequest { opcode: 23, fd: report, ..no_bytes })),
        );
        let unregister = [fd.into(), 1.into(), 0.into(), 0.into()];
        note("io_uring: register", done(call(libc::SYS_io_uring_register, unregister)));
    }
}

fn open_socket(family: i32, kind: i32, protocol: i32) -> Result<i64, Errno> {
    call(libc::SYS_socket, [family.into(), (kind | libc::SOCK_CLOEXEC).into(), protocol.into()])
}
