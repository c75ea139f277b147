//! The packet socket and its options, as types of [`nix`]'s option traits.
//!
//! It owns one descriptor. It does not know what is filtered or why; the order in which a ring, a filter, the
//! address and a fanout group are put on a socket is the caller's (see [`capture`](crate::capture)).
//!
//! Source: packet(7), `net/packet/af_packet.c`. Every call reports the kernel's `errno` as it is.

use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::from_ref;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, GetSockOpt, LinkAddr, SetSockOpt, SockFlag, SockType, SockaddrLike, bind, getsockopt,
    setsockopt, socket, sockopt,
};

use super::abi;

/// An `AF_PACKET` socket of type `SOCK_RAW`: frames with their link header.
#[derive(Debug)]
pub struct PacketSocket(OwnedFd);

impl PacketSocket {
    /// Opens a socket that receives nothing yet: protocol 0, so that no frame enters before the ring and the
    /// filter are in place.
    ///
    /// # Errors
    /// `EPERM` without CAP_NET_RAW.
    pub fn open() -> nix::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        Ok(Self(socket(AddressFamily::Packet, SockType::Raw, flags, None)?))
    }

    /// Chooses the layout of the ring to come.
    ///
    /// # Errors
    /// `EINVAL` before Linux 3.2, which has no TPACKET_V3; `EBUSY` when the socket has a ring.
    pub(super) fn use_tpacket_v3(&self) -> nix::Result<()> {
        setsockopt(self, PacketVersion, &abi::TPACKET_V3)
    }

    /// Has the kernel put a [`virtio_net_hdr`](abi::virtio_net_hdr) before each frame. From here on it drops, and
    /// counts as dropped, frames whose kind of segmentation that header cannot express; they leave a gap in their
    /// block.
    ///
    /// # Errors
    /// `EBUSY` when the socket has a ring.
    pub(super) fn use_vnet_headers(&self) -> nix::Result<()> {
        setsockopt(self, PacketVnetHdr, &1)
    }

    /// Has the kernel allocate a receive ring.
    ///
    /// # Errors
    /// `ENOMEM` when there is no memory for it, `EINVAL` for sizes that do not fit each other.
    pub(super) fn allocate_ring(&self, request: &abi::tpacket_req3) -> nix::Result<()> {
        setsockopt(self, PacketRxRing, request)
    }

    /// Attaches a classic BPF program in the place of the one before; no frame passes between the two.
    ///
    /// # Errors
    /// `EINVAL` for a program that the kernel's checker rejects or that is longer than 4,096 instructions,
    /// `ENOMEM` when it exceeds the option memory.
    pub fn attach_filter(&self, program: &[abi::sock_filter]) -> nix::Result<()> {
        attach_filter(self, program)
    }

    /// Starts to receive frames of every protocol from every interface, present and future.
    ///
    /// # Errors
    /// What bind(2) says.
    pub fn bind_to_all_interfaces(&self) -> nix::Result<()> {
        bind(self.0.as_raw_fd(), &all_interfaces())
    }

    /// Founds a fanout group that nobody else has, spread by flow hash, and returns its number.
    ///
    /// # Errors
    /// `EINVAL` when the socket is not bound; `ENOMEM` when no number is free.
    pub fn found_fanout_group(&self) -> nix::Result<u16> {
        let flags = abi::PACKET_FANOUT_HASH | abi::PACKET_FANOUT_FLAG_UNIQUEID;
        setsockopt(self, PacketFanout, &(flags << 16))?;
        // The kernel chose the number; it reads back in the low half.
        Ok((getsockopt(self, PacketFanout)? & 0xffff) as u16)
    }

    /// Joins a group that another socket has founded.
    ///
    /// # Errors
    /// `EINVAL` when this socket is bound otherwise than the members, `ENOSPC` when the group is full (256).
    pub fn join_fanout_group(&self, group: u16) -> nix::Result<()> {
        setsockopt(self, PacketFanout, &(u32::from(group) | abi::PACKET_FANOUT_HASH << 16))
    }

    /// Has an interface receive what is for other stations too, for as long as the socket and the interface live. Any
    /// socket will do, and no capability is needed. Twice is as good as once.
    ///
    /// # Errors
    /// `ENODEV` when there is no such interface; what its driver says.
    pub fn receive_all_of(&self, ifindex: u32) -> nix::Result<()> {
        setsockopt(self, PacketMembership(abi::PACKET_ADD_MEMBERSHIP), &promiscuous(ifindex)?)
    }

    /// Takes one [`receive_all_of`](Self::receive_all_of) back.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` where there is nothing to take back.
    pub fn receive_no_more_of(&self, ifindex: u32) -> nix::Result<()> {
        setsockopt(self, PacketMembership(abi::PACKET_DROP_MEMBERSHIP), &promiscuous(ifindex)?)
    }

    /// What the socket was offered since the last call. **Reading resets it**, so there is one reader per
    /// socket, and it adds up.
    ///
    /// # Errors
    /// What getsockopt(2) says.
    pub fn take_statistics(&self) -> nix::Result<abi::tpacket_stats_v3> {
        getsockopt(self, PacketStatistics)
    }

    /// The pending error (`SO_ERROR`), 0 for none. **Reading clears it.**
    ///
    /// # Errors
    /// What getsockopt(2) says.
    pub fn take_error(&self) -> nix::Result<i32> {
        getsockopt(self, sockopt::SocketError)
    }
}

/// Attaches a classic BPF program to a socket of any family; see [`PacketSocket::attach_filter`].
///
/// # Errors
/// As there. The kernel's checker is the same for every family and asks for no privilege.
pub fn attach_filter<F: AsFd>(socket: &F, program: &[abi::sock_filter]) -> nix::Result<()> {
    setsockopt(socket, AttachFilter, program)
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Interface 0, which stands for all, and every protocol.
fn all_interfaces() -> LinkAddr {
    let address = abi::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (abi::ETH_P_ALL as u16).to_be(),
        sll_ifindex: 0,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let len = size_of::<abi::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: `from_raw` wants a pointer to a socket address of the stated length; it is `address`, which
    // outlives the call, with its own size. `from_raw` copies it and checks the family.
    let address = unsafe { LinkAddr::from_raw(from_ref(&address).cast(), Some(len)) };
    address.expect("the family and the length are those of a link-layer address")
}

fn promiscuous(ifindex: u32) -> nix::Result<abi::packet_mreq> {
    Ok(abi::packet_mreq {
        mr_ifindex: i32::try_from(ifindex).map_err(|_| Errno::ENODEV)?,
        mr_type: abi::PACKET_MR_PROMISC as u16,
        mr_alen: 0,
        mr_address: [0; 8],
    })
}

/// `PACKET_ADD_MEMBERSHIP` or `PACKET_DROP_MEMBERSHIP`.
#[derive(Clone)]
struct PacketMembership(libc::c_int);

impl SetSockOpt for PacketMembership {
    type Val = abi::packet_mreq;

    fn set<F: AsFd>(&self, fd: &F, request: &abi::packet_mreq) -> nix::Result<()> {
        // SAFETY: `packet_mreq` is integers and an array of bytes.
        unsafe { set(fd, abi::SOL_PACKET, self.0, request) }
    }
}

/// `PACKET_VERSION`.
#[derive(Clone)]
struct PacketVersion;

impl SetSockOpt for PacketVersion {
    type Val = libc::c_int;

    fn set<F: AsFd>(&self, fd: &F, version: &libc::c_int) -> nix::Result<()> {
        // SAFETY: `c_int` holds no pointer.
        unsafe { set(fd, abi::SOL_PACKET, abi::PACKET_VERSION, version) }
    }
}

/// `PACKET_VNET_HDR`.
#[derive(Clone)]
struct PacketVnetHdr;

impl SetSockOpt for PacketVnetHdr {
    type Val = libc::c_int;

    fn set<F: AsFd>(&self, fd: &F, is_on: &libc::c_int) -> nix::Result<()> {
        // SAFETY: `c_int` holds no pointer.
        unsafe { set(fd, abi::SOL_PACKET, abi::PACKET_VNET_HDR, is_on) }
    }
}

/// `PACKET_RX_RING` in the form that TPACKET_V3 takes.
#[derive(Clone)]
struct PacketRxRing;

impl SetSockOpt for PacketRxRing {
    type Val = abi::tpacket_req3;

    fn set<F: AsFd>(&self, fd: &F, request: &abi::tpacket_req3) -> nix::Result<()> {
        // SAFETY: `tpacket_req3` is seven integers.
        unsafe { set(fd, abi::SOL_PACKET, abi::PACKET_RX_RING, request) }
    }
}

/// `PACKET_FANOUT`: the group in the low half, the mode and its flags in the high half.
#[derive(Clone, Copy)]
struct PacketFanout;

impl SetSockOpt for PacketFanout {
    type Val = u32;

    fn set<F: AsFd>(&self, fd: &F, group_and_mode: &u32) -> nix::Result<()> {
        // SAFETY: `u32` holds no pointer.
        unsafe { set(fd, abi::SOL_PACKET, abi::PACKET_FANOUT, group_and_mode) }
    }
}

impl GetSockOpt for PacketFanout {
    type Val = u32;

    fn get<F: AsFd>(&self, fd: &F) -> nix::Result<u32> {
        // SAFETY: any 4 bytes are a `u32`.
        unsafe { get(fd, abi::SOL_PACKET, abi::PACKET_FANOUT) }
    }
}

/// `PACKET_STATISTICS` of a TPACKET_V3 socket.
#[derive(Clone, Copy)]
struct PacketStatistics;

impl GetSockOpt for PacketStatistics {
    type Val = abi::tpacket_stats_v3;

    fn get<F: AsFd>(&self, fd: &F) -> nix::Result<abi::tpacket_stats_v3> {
        // SAFETY: any 12 bytes are the three integers of `tpacket_stats_v3`.
        unsafe { get(fd, abi::SOL_PACKET, abi::PACKET_STATISTICS) }
    }
}

/// `SO_ATTACH_FILTER`.
#[derive(Clone)]
struct AttachFilter;

impl SetSockOpt for AttachFilter {
    type Val = [abi::sock_filter];

    fn set<F: AsFd>(&self, fd: &F, program: &[abi::sock_filter]) -> nix::Result<()> {
        let len = u16::try_from(program.len()).map_err(|_| Errno::EINVAL)?;
        let program = abi::sock_fprog { len, filter: program.as_ptr().cast_mut() };
        // SAFETY: the kernel reads `len` instructions behind `filter`, which is the slice that the caller
        // lends for the duration of this call, and copies them; it writes nothing through the pointer.
        unsafe { set(fd, abi::SOL_SOCKET, abi::SO_ATTACH_FILTER, &program) }
    }
}

/// setsockopt(2) with the bytes of `value`.
///
/// # Safety
/// A pointer inside `value` must point to what the kernel reads there, until the call returns.
unsafe fn set<F: AsFd, T>(fd: &F, level: libc::c_int, name: libc::c_int, value: &T) -> nix::Result<()> {
    let len = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` is readable for `len` bytes by its type; pointers inside it are the caller's promise.
    let result =
        unsafe { libc::setsockopt(fd.as_fd().as_raw_fd(), level, name, from_ref(value).cast(), len) };
    Errno::result(result).map(drop)
}

/// getsockopt(2) into a value of exactly the size of `T`.
///
/// # Safety
/// Every pattern of bytes must be a `T`.
unsafe fn get<F: AsFd, T>(fd: &F, level: libc::c_int, name: libc::c_int) -> nix::Result<T> {
    let mut value = MaybeUninit::<T>::zeroed();
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes behind `value`, which has that size.
    let result = unsafe {
        libc::getsockopt(fd.as_fd().as_raw_fd(), level, name, value.as_mut_ptr().cast(), &raw mut len)
    };
    Errno::result(result)?;
    assert_eq!(len as usize, size_of::<T>(), "the kernel's option is of another size than ours");
    // SAFETY: it was zeroed and then written by the kernel, and every pattern is a `T` by the caller's promise.
    Ok(unsafe { value.assume_init() })
}
