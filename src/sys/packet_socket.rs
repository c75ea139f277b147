//! The packet socket and its options, as types of [`nix`]'s option traits.
//!
//! A socket owns one descriptor. The caller assembles the filter, and decides in which order a socket gets its ring,
//! its filter, its address and its fanout group.
//!
//! Sources: packet(7), `net/packet/af_packet.c`. Every call returns the kernel's `errno` unchanged.

mod adoption;

use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::from_ref;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{
    AddressFamily, GetSockOpt, LinkAddr, SetSockOpt, SockFlag, SockType, SockaddrLike, bind, getsockopt,
    setsockopt, socket, sockopt,
};

use super::abi;

pub(crate) use adoption::NotAdopted;

/// An `AF_PACKET` socket of type `SOCK_RAW`, which receives frames with their link header.
#[derive(Debug)]
pub struct PacketSocket(OwnedFd);

/// True once this process has opened or adopted a packet socket.
static HAS_OWN: AtomicBool = AtomicBool::new(false);

impl PacketSocket {
    /// Opens a socket that receives nothing yet: with protocol 0 no frame is queued before the ring and the filter
    /// are in place.
    ///
    /// # Errors
    /// `EPERM` if the thread lacks CAP_NET_RAW.
    pub fn open() -> nix::Result<Self> {
        HAS_OWN.store(true, Ordering::Relaxed);
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        Ok(Self(socket(AddressFamily::Packet, SockType::Raw, flags, None)?))
    }

    /// Sets whether the next start of a program (execve(2)) closes the socket.
    ///
    /// # Errors
    /// The errors of fcntl(2).
    pub(crate) fn set_close_on_exec(&self, is_closed: bool) -> nix::Result<()> {
        let flags = if is_closed { FdFlag::FD_CLOEXEC } else { FdFlag::empty() };
        fcntl(self, FcntlArg::F_SETFD(flags)).map(drop)
    }

    /// Selects TPACKET_V3 as the layout of the ring that is allocated later.
    ///
    /// # Errors
    /// `EINVAL` before Linux 3.2, which has no TPACKET_V3; `EBUSY` when the socket has a ring.
    pub(super) fn use_tpacket_v3(&self) -> nix::Result<()> {
        setsockopt(self, PacketVersion, &abi::TPACKET_V3)
    }

    /// Makes the kernel put a [`virtio_net_hdr`](abi::virtio_net_hdr) before each frame. Frames whose kind of
    /// segmentation that header cannot express are then dropped and counted as dropped; they leave a gap in their
    /// block.
    ///
    /// # Errors
    /// `EBUSY` when the socket has a ring.
    pub(super) fn use_vnet_headers(&self) -> nix::Result<()> {
        setsockopt(self, PacketVnetHdr, &1)
    }

    /// Allocates a receive ring in the kernel.
    ///
    /// # Errors
    /// `ENOMEM` if there is no memory for it, `EINVAL` for sizes that are inconsistent.
    pub(super) fn allocate_ring(&self, request: &abi::tpacket_req3) -> nix::Result<()> {
        setsockopt(self, PacketRxRing, request)
    }

    /// Attaches a classic BPF program. It replaces the previous one atomically.
    ///
    /// # Errors
    /// `EINVAL` for a program that the kernel's checker rejects or that is longer than 4,096 instructions,
    /// `ENOMEM` if it exceeds the option memory of the socket (`net.core.optmem_max`).
    pub(crate) fn attach_filter(&self, program: &[abi::sock_filter]) -> nix::Result<()> {
        attach_filter(self, program)
    }

    /// Starts to receive frames of every protocol from every interface, present and future.
    ///
    /// # Errors
    /// The errors of bind(2).
    pub fn bind_to_all_interfaces(&self) -> nix::Result<()> {
        bind(self.0.as_raw_fd(), &all_interfaces())
    }

    /// Creates a fanout group with an unused number, spread by flow hash, and returns the number.
    ///
    /// # Errors
    /// `EINVAL` if the socket is not bound; `ENOMEM` if no number is free.
    pub(crate) fn create_fanout_group(&self) -> nix::Result<u16> {
        let flags = abi::PACKET_FANOUT_HASH | abi::PACKET_FANOUT_FLAG_UNIQUEID;
        setsockopt(self, PacketFanout, &(flags << 16))?;
        // The kernel chose the number and returns it in the low half.
        Ok((getsockopt(self, PacketFanout)? & 0xffff) as u16)
    }

    /// Joins a group that another socket has created.
    ///
    /// # Errors
    /// `EINVAL` if this socket is bound to another interface or protocol than the members, `ENOSPC` if the group is
    /// full (256 members).
    pub(crate) fn join_fanout_group(&self, group: u16) -> nix::Result<()> {
        setsockopt(self, PacketFanout, &(u32::from(group) | abi::PACKET_FANOUT_HASH << 16))
    }

    /// Puts an interface into promiscuous mode until the socket is closed or the interface is removed. This requires no
    /// capability. The kernel counts the calls: each needs a [`drop_promiscuous`](Self::drop_promiscuous).
    ///
    /// # Errors
    /// `ENODEV` if there is no such interface, or the error of its driver.
    pub(crate) fn add_promiscuous(&self, ifindex: u32) -> nix::Result<()> {
        setsockopt(self, PacketMembership(abi::PACKET_ADD_MEMBERSHIP), &promiscuous(ifindex)?)
    }

    /// Reverts one [`add_promiscuous`](Self::add_promiscuous).
    ///
    /// # Errors
    /// On older kernels, `EADDRNOTAVAIL` if this socket has not put the interface into promiscuous mode.
    pub(crate) fn drop_promiscuous(&self, ifindex: u32) -> nix::Result<()> {
        setsockopt(self, PacketMembership(abi::PACKET_DROP_MEMBERSHIP), &promiscuous(ifindex)?)
    }

    /// Returns what the socket has counted since the last call. **Reading resets the counters**, so each socket needs
    /// exactly one reader, which adds them up.
    ///
    /// # Errors
    /// The errors of getsockopt(2).
    pub fn take_statistics(&self) -> nix::Result<abi::tpacket_stats_v3> {
        getsockopt(self, PacketStatistics)
    }

    /// Returns the pending error (`SO_ERROR`) as an `errno`, or 0 if there is none. **Reading clears it.**
    ///
    /// # Errors
    /// The errors of getsockopt(2).
    pub(crate) fn take_error(&self) -> nix::Result<i32> {
        getsockopt(self, sockopt::SocketError)
    }
}

/// Attaches a classic BPF program to a socket of any family; see [`PacketSocket::attach_filter`].
///
/// # Errors
/// The errors of that method. The kernel's checker is the same for every family and requires no privilege.
pub(crate) fn attach_filter<F: AsFd>(socket: &F, program: &[abi::sock_filter]) -> nix::Result<()> {
    setsockopt(socket, AttachFilter, program)
}

/// Returns the name of the interface that has this number now (`SIOCGIFNAME` of netdevice(7)), by a socket of any
/// family. `if_indextoname(3)` would open a socket for it.
///
/// # Errors
/// `ENODEV` if there is none.
pub(crate) fn name_of_interface<F: AsFd>(socket: &F, ifindex: u32) -> nix::Result<Vec<u8>> {
    let ifru_ifindex = i32::try_from(ifindex).map_err(|_| Errno::ENODEV)?;
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_ifindex },
    };
    // SAFETY: SIOCGIFNAME reads `ifru_ifindex` of an `ifreq` and writes its `ifr_name`; `request` is one.
    let result = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::SIOCGIFNAME, &raw mut request) };
    Errno::result(result)?;
    // `c_char` is signed on some architectures.
    let name = request.ifr_name.iter().map(|byte| byte.to_ne_bytes()[0]).take_while(|&byte| byte != 0);
    Ok(name.collect())
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The address that binds to all interfaces (index 0) and every protocol.
fn all_interfaces() -> LinkAddr {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the address family and the protocol are constants of 16 bits"
    )]
    let address = abi::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (abi::ETH_P_ALL as u16).to_be(),
        sll_ifindex: 0,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: `from_raw` requires a pointer to a socket address of the stated length; it is `address`, which
    // outlives the call, with its own size. `from_raw` copies it and checks the family.
    let address =
        unsafe { LinkAddr::from_raw(from_ref(&address).cast(), Some(socklen::<abi::sockaddr_ll>())) };
    address.expect("the family and the length are those of a link-layer address")
}

#[allow(clippy::cast_possible_truncation, reason = "`PACKET_MR_PROMISC` is 1")]
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
        // SAFETY: the kernel reads and copies `len` instructions at `filter`, which is the slice that the caller
        // borrows for the duration of this call; it writes nothing through the pointer.
        unsafe { set(fd, abi::SOL_SOCKET, abi::SO_ATTACH_FILTER, &program) }
    }
}

/// Returns the size of `T` as the socket calls take it.
#[allow(clippy::cast_possible_truncation, reason = "no socket address or option has 4 GiB")]
const fn socklen<T>() -> libc::socklen_t {
    size_of::<T>() as libc::socklen_t
}

/// Calls setsockopt(2) with the bytes of `value`.
///
/// # Safety
/// A pointer inside `value` must point to what the kernel reads there, until the call returns.
unsafe fn set<F: AsFd, T>(fd: &F, level: libc::c_int, name: libc::c_int, value: &T) -> nix::Result<()> {
    let len = socklen::<T>();
    // SAFETY: `value` is readable for `len` bytes by its type; the caller guarantees the pointers inside it.
    let result =
        unsafe { libc::setsockopt(fd.as_fd().as_raw_fd(), level, name, from_ref(value).cast(), len) };
    Errno::result(result).map(drop)
}

/// Calls getsockopt(2) for an option of exactly the size of `T`.
///
/// # Safety
/// Every pattern of bytes must be a `T`.
unsafe fn get<F: AsFd, T>(fd: &F, level: libc::c_int, name: libc::c_int) -> nix::Result<T> {
    let mut value = MaybeUninit::<T>::zeroed();
    let mut len = socklen::<T>();
    // SAFETY: the kernel writes at most `len` bytes to `value`, which has that size.
    let result = unsafe {
        libc::getsockopt(fd.as_fd().as_raw_fd(), level, name, value.as_mut_ptr().cast(), &raw mut len)
    };
    Errno::result(result)?;
    assert_eq!(len as usize, size_of::<T>(), "the kernel's option is of another size than ours");
    // SAFETY: it was zeroed and then written by the kernel, and the caller guarantees that every pattern is a `T`.
    Ok(unsafe { value.assume_init() })
}
