//! Packet sockets that this process had open when it was started by another program, or by itself.
//!
//! Sources: execve(2), socket(7), getsockname(2).

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::Ordering;

use nix::errno::Errno;
use nix::sys::socket::{GetSockOpt, getsockopt};

use crate::sys::abi;

use super::{HAS_OWN, PacketSocket, get, socklen};

/// Why a descriptor is not adopted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAdopted {
    /// The number of the descriptor.
    pub(crate) number: RawFd,
    /// The rest of a sentence about it.
    pub(crate) why: &'static str,
}

impl PacketSocket {
    /// Takes over sockets that this process had open when it was started (execve(2)), and closes them at the next
    /// start of a program. Each must be as [`open`](Self::open) returns it: not bound, and no two numbers the same.
    /// Call it before this process has a second thread.
    ///
    /// # Errors
    /// The first descriptor that is no such socket. Any, if this process has opened or adopted a packet socket before.
    pub(crate) fn adopt(numbers: &[RawFd]) -> Result<Vec<Self>, NotAdopted> {
        for (index, &number) in numbers.iter().enumerate() {
            let refused = |why| NotAdopted { number, why };
            if numbers[..index].contains(&number) {
                return Err(refused("is named twice"));
            }
            why_not_adopted(number).map_or(Ok(()), |why| Err(refused(why)))?;
        }
        if HAS_OWN.swap(true, Ordering::Relaxed) {
            let number = numbers.first().copied().unwrap_or_default();
            return Err(NotAdopted { number, why: "is not the first packet socket of this process" });
        }
        let adopt = |&number: &RawFd| {
            // SAFETY: `from_raw_fd` requires an open descriptor that nothing else owns. It is an open packet socket by
            // the check above. This process has made none, or `HAS_OWN` would be set, so it was open when the process
            // was started, and such a descriptor has no owner. No number is there twice, and `HAS_OWN` lets this
            // happen once.
            Self(unsafe { OwnedFd::from_raw_fd(number) })
        };
        let sockets: Vec<Self> = numbers.iter().map(adopt).collect();
        let failed = sockets.iter().find(|socket| socket.set_close_on_exec(true).is_err());
        match failed {
            Some(socket) => {
                Err(NotAdopted { number: socket.0.as_raw_fd(), why: "cannot be closed at execve(2)" })
            }
            None => Ok(sockets),
        }
    }
}

/// Returns why the descriptor is no packet socket as [`PacketSocket::open`] makes it, as the rest of a sentence; `None`
/// if it is one.
fn why_not_adopted(number: RawFd) -> Option<&'static str> {
    if number <= libc::STDERR_FILENO {
        return Some("is a standard stream");
    }
    // SAFETY: `borrow_raw` requires an open descriptor. This one is passed to getsockopt(2) and getsockname(2) alone,
    // which answer EBADF if it is not open; nothing closes it meanwhile, since no other thread runs.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    let option = |name| getsockopt(&descriptor, SocketNumber(name));
    match (option(libc::SO_DOMAIN), option(libc::SO_TYPE), option(libc::SO_PROTOCOL)) {
        (Err(Errno::EBADF), ..) => Some("is not open"),
        (Ok(libc::AF_PACKET), Ok(libc::SOCK_RAW), Ok(0)) => {
            let is_unused = |address: abi::sockaddr_ll| address.sll_protocol == 0 && address.sll_ifindex == 0;
            (!own_address(&descriptor).is_ok_and(is_unused)).then_some("receives packets already")
        }
        _ => Some("is no packet socket (AF_PACKET, SOCK_RAW, protocol 0)"),
    }
}

/// Returns the protocol and the interface that a packet socket is bound to. The kernel's address is shorter than the
/// type, since an interface need not have a hardware address; what is missing stays zero.
fn own_address(socket: &BorrowedFd<'_>) -> nix::Result<abi::sockaddr_ll> {
    let mut address = MaybeUninit::<abi::sockaddr_ll>::zeroed();
    let mut len = socklen::<abi::sockaddr_ll>();
    // SAFETY: the kernel writes at most `len` bytes to `address`, which has that size.
    let result = unsafe { libc::getsockname(socket.as_raw_fd(), address.as_mut_ptr().cast(), &raw mut len) };
    Errno::result(result)?;
    // SAFETY: it was zeroed, and any 20 bytes are the integers and the array of a `sockaddr_ll`.
    Ok(unsafe { address.assume_init() })
}

/// An option of `SOL_SOCKET` that is a number: `SO_DOMAIN`, `SO_TYPE`, `SO_PROTOCOL`.
#[derive(Clone, Copy)]
struct SocketNumber(libc::c_int);

impl GetSockOpt for SocketNumber {
    type Val = libc::c_int;

    fn get<F: AsFd>(&self, fd: &F) -> nix::Result<libc::c_int> {
        // SAFETY: any 4 bytes are a `c_int`.
        unsafe { get(fd, abi::SOL_SOCKET, self.0) }
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn only_a_packet_socket_is_adopted() {
        let why = |numbers: &[RawFd]| PacketSocket::adopt(numbers).err().map(|refused| refused.why);
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
        let number = udp.as_raw_fd();
        assert_eq!(why(&[number]), Some("is no packet socket (AF_PACKET, SOCK_RAW, protocol 0)"));
        let (reader, _writer) = std::io::pipe().expect("a pipe");
        assert_eq!(why(&[reader.as_raw_fd()]), Some("is no packet socket (AF_PACKET, SOCK_RAW, protocol 0)"));
        assert_eq!(why(&[0]), Some("is a standard stream"));
        assert_eq!(why(&[-1]), Some("is a standard stream"));
        // No process has so many descriptors.
        assert_eq!(why(&[RawFd::MAX]), Some("is not open"));
        assert!(udp.local_addr().is_ok(), "it is still open");
    }
}
