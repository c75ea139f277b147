//! Frames made by hand, put onto a wire one by one or at a rate.

use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, recv, send, setsockopt,
    socket,
};
use nix::sys::time::{TimeVal, TimeValLike};

/// A UDP packet with a payload of zeros, in an Ethernet frame to a group of stations: every host receives it, and since
/// the packet itself is for one host, none forwards it or answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Udp {
    pub(crate) src: Ipv4Addr,
    pub(crate) dst: Ipv4Addr,
    pub(crate) dst_port: u16,
    /// Bytes of the IP packet, header included.
    pub(crate) ip_bytes: u16,
}

/// Returns a packet of 1000 bytes from `src` to an address that no host of a test has.
pub(crate) fn frame_from(src: Ipv4Addr) -> Vec<u8> {
    Udp { src, dst: Ipv4Addr::new(198, 18, 0, 1), dst_port: 53, ip_bytes: 1000 }.frame()
}

impl Udp {
    pub(crate) fn frame(&self) -> Vec<u8> {
        const GROUP: [u8; 6] = [3, 0, 0, 0, 0, 0xfe];
        const SENDER: [u8; 6] = [2, 0, 0, 0, 0, 1];
        let mut frame = Vec::with_capacity(14 + usize::from(self.ip_bytes));
        frame.extend(GROUP);
        frame.extend(SENDER);
        frame.extend(0x0800_u16.to_be_bytes());
        // Version and header length, type of service, length; identification, no fragment; TTL, UDP, no checksum.
        frame.extend([0x45, 0]);
        frame.extend(self.ip_bytes.to_be_bytes());
        frame.extend([0, 0, 0, 0, 64, 17, 0, 0]);
        frame.extend(self.src.octets());
        frame.extend(self.dst.octets());
        frame.extend(40_000_u16.to_be_bytes());
        frame.extend(self.dst_port.to_be_bytes());
        frame.extend((self.ip_bytes - 20).to_be_bytes());
        frame.extend([0, 0]);
        frame.resize(14 + usize::from(self.ip_bytes), 0);
        frame
    }
}

/// A packet socket on one interface that only receives: other sockets on that interface have received the same frames.
pub(crate) struct Receiver(OwnedFd);

impl Receiver {
    /// Opens it on an interface of the namespace of the calling thread.
    pub(crate) fn on(interface: &str) -> Self {
        let protocol = Some(SockProtocol::EthAll);
        let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)
            .expect("the test is root of its namespaces");
        setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(20)).expect("not negative");
        let link = link_address(interface).unwrap_or_else(|| panic!("there is no interface {interface}"));
        bind(socket.as_raw_fd(), &link).expect("the interface is there");
        Self(socket)
    }

    /// Waits for one more frame.
    pub(crate) fn receive(&self) {
        recv(self.0.as_raw_fd(), &mut [0], MsgFlags::empty()).expect("a frame comes");
    }
}

/// A packet socket on one interface that only sends.
pub(crate) struct Injector(OwnedFd);

impl Injector {
    /// Opens it on an interface of the namespace of the calling thread.
    pub(crate) fn on(interface: &str) -> Self {
        Self::try_on(interface).unwrap_or_else(|| panic!("there is no interface {interface}"))
    }

    /// Opens it if there is such an interface.
    pub(crate) fn try_on(interface: &str) -> Option<Self> {
        let link = link_address(interface)?;
        let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)
            .expect("the test is root of its namespaces");
        // The interface may be gone by now.
        bind(socket.as_raw_fd(), &link).ok()?;
        Some(Self(socket))
    }

    /// Sends one frame; it is on the other end of the wire when this returns.
    pub(crate) fn send(&self, frame: &[u8]) {
        loop {
            match send(self.0.as_raw_fd(), frame, MsgFlags::empty()) {
                Ok(_) => return,
                // The other end had no room and has not received it.
                Err(Errno::ENOBUFS) => {}
                Err(error) => panic!("a frame of {} bytes cannot be sent: {error}", frame.len()),
            }
        }
    }

    /// Sends one frame if the interface is up. Returns true if the interface exists, up or down.
    pub(crate) fn try_send(&self, frame: &[u8]) -> bool {
        match send(self.0.as_raw_fd(), frame, MsgFlags::empty()) {
            Ok(_) | Err(Errno::ENOBUFS | Errno::ENETDOWN) => true,
            Err(_) => false,
        }
    }

    /// Sends frames, at most `per_second` of them. Returns how long that took.
    pub(crate) fn send_at_rate(&self, frames: &[impl AsRef<[u8]>], per_second: u32) -> Duration {
        let began = Instant::now();
        for (number, frame) in frames.iter().enumerate() {
            let due = began + Duration::from_secs(1).mul_f64(number as f64 / f64::from(per_second));
            while Instant::now() < due {
                std::hint::spin_loop();
            }
            self.send(frame.as_ref());
        }
        began.elapsed()
    }
}

pub(crate) fn link_address(interface: &str) -> Option<SockaddrStorage> {
    let mut interfaces = getifaddrs().expect("the kernel lists its interfaces");
    interfaces.find_map(|entry| {
        let address = entry.address.filter(|address| address.as_link_addr().is_some())?;
        (entry.interface_name == interface).then_some(address)
    })
}
