//! The kernel's structures of packet sockets from [`libc`], the constants that it lacks, and assertions that the
//! layouts are those that the walk over a ring block assumes.
//!
//! Sources: `include/uapi/linux/if_packet.h`, `Documentation/networking/packet_mmap.rst`. All of it is stable ABI in
//! host byte order, except the protocol in the socket address (network byte order). The build fails if a layout
//! differs.

use std::mem::{align_of, offset_of, size_of};

pub(crate) use libc::{
    ETH_P_ALL, PACKET_ADD_MEMBERSHIP, PACKET_DROP_MEMBERSHIP, PACKET_FANOUT, PACKET_FANOUT_FLAG_UNIQUEID,
    PACKET_FANOUT_HASH, PACKET_MR_PROMISC, PACKET_OUTGOING, PACKET_RX_RING, PACKET_STATISTICS,
    PACKET_VERSION, PACKET_VNET_HDR, SO_ATTACH_FILTER, SOL_PACKET, SOL_SOCKET, TP_STATUS_KERNEL,
    TP_STATUS_USER, TP_STATUS_VLAN_VALID, TPACKET3_HDRLEN, packet_mreq, sock_filter, sock_fprog, sockaddr_ll,
    tpacket_block_desc, tpacket_hdr_v1, tpacket_req3, tpacket_stats_v3, tpacket3_hdr,
};

/// `TPACKET_V3`, the value of the option `PACKET_VERSION`.
pub(super) const TPACKET_V3: libc::c_int = libc::tpacket_versions::TPACKET_V3 as libc::c_int;

/// `TP_STATUS_GSO_TCP`: the frame holds several TCP segments. Set since Linux 6.3.
pub(super) const TP_STATUS_GSO_TCP: u32 = 1 << 8;

/// `struct virtio_net_hdr` (`include/uapi/linux/virtio_net.h`), in the byte order of this machine, as
/// `PACKET_VNET_HDR` puts it directly before the bytes of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(non_camel_case_types, reason = "the name in the kernel header, as libc does")]
#[repr(C)]
pub struct virtio_net_hdr {
    /// `VIRTIO_NET_HDR_F_*`.
    pub flags: u8,
    /// `VIRTIO_NET_HDR_GSO_*`.
    pub gso_type: u8,
    /// Length of the linear part of the frame, as a hint.
    pub hdr_len: u16,
    /// Payload bytes of each segment except the last one, which may have fewer.
    pub gso_size: u16,
    /// Offset in the frame where checksumming starts: that of the innermost transport header.
    pub csum_start: u16,
    /// Offset of the checksum field from `csum_start`.
    pub csum_offset: u16,
}

/// `VIRTIO_NET_HDR_F_NEEDS_CSUM`: `csum_start` is valid.
pub(crate) const VIRTIO_NET_HDR_F_NEEDS_CSUM: u8 = 1;
/// `VIRTIO_NET_HDR_GSO_TCPV4`.
pub(crate) const VIRTIO_NET_HDR_GSO_TCPV4: u8 = 1;
/// `VIRTIO_NET_HDR_GSO_TCPV6`.
pub(crate) const VIRTIO_NET_HDR_GSO_TCPV6: u8 = 4;
/// `VIRTIO_NET_HDR_GSO_UDP_L4`; packet sockets support it since Linux 6.2.
pub(crate) const VIRTIO_NET_HDR_GSO_UDP_L4: u8 = 5;
/// `VIRTIO_NET_HDR_GSO_ECN`, a flag that is combined with the type.
pub(crate) const VIRTIO_NET_HDR_GSO_ECN: u8 = 0x80;

/// Bytes of the block descriptor; the first frame starts at or after its end.
pub(super) const BLOCK_HEADER_BYTES: usize = size_of::<tpacket_block_desc>();
/// Offset of `block_status`, the word that states which side owns the block.
pub(super) const BLOCK_STATUS_AT: usize = BLOCK_V1_AT + offset_of!(tpacket_hdr_v1, block_status);
/// Offset of `num_pkts`, the number of frames in the block.
pub(super) const BLOCK_FRAMES_AT: usize = BLOCK_V1_AT + offset_of!(tpacket_hdr_v1, num_pkts);
/// Offset of `offset_to_first_pkt`, from the start of the block.
pub(super) const BLOCK_FIRST_FRAME_AT: usize = BLOCK_V1_AT + offset_of!(tpacket_hdr_v1, offset_to_first_pkt);

/// Bytes of a frame descriptor: the header, then the link-layer address.
pub const FRAME_HEADER_BYTES: usize = TPACKET3_HDRLEN;
/// Offset of the link-layer address in a frame descriptor (`TPACKET_ALIGN(sizeof(struct tpacket3_hdr))`).
pub(super) const FRAME_ADDRESS_AT: usize = size_of::<tpacket3_hdr>();

const BLOCK_V1_AT: usize = offset_of!(tpacket_block_desc, hdr);

// The fields that the walk reads. `tpacket_block_desc` is version, offset_to_priv, then the union.
const _: () = {
    assert!(BLOCK_HEADER_BYTES == 48);
    assert!(BLOCK_STATUS_AT == 8);
    assert!(BLOCK_FRAMES_AT == 12);
    assert!(BLOCK_FIRST_FRAME_AT == 16);
    // The status is read and written as one atomic word; blocks start on a page.
    assert!(BLOCK_STATUS_AT.is_multiple_of(align_of::<std::sync::atomic::AtomicU32>()));

    assert!(size_of::<tpacket3_hdr>() == 48);
    assert!(FRAME_ADDRESS_AT.is_multiple_of(libc::TPACKET_ALIGNMENT));
    assert!(offset_of!(tpacket3_hdr, tp_next_offset) == 0);
    assert!(offset_of!(tpacket3_hdr, tp_sec) == 4);
    assert!(offset_of!(tpacket3_hdr, tp_nsec) == 8);
    assert!(offset_of!(tpacket3_hdr, tp_snaplen) == 12);
    assert!(offset_of!(tpacket3_hdr, tp_len) == 16);
    assert!(offset_of!(tpacket3_hdr, tp_status) == 20);
    assert!(offset_of!(tpacket3_hdr, tp_mac) == 24);
    assert!(offset_of!(tpacket3_hdr, hv1) == 28);
    assert!(offset_of!(libc::tpacket_hdr_variant1, tp_vlan_tci) == 4);

    assert!(size_of::<sockaddr_ll>() == 20);
    assert!(offset_of!(sockaddr_ll, sll_ifindex) == 4);
    assert!(offset_of!(sockaddr_ll, sll_hatype) == 8);
    assert!(offset_of!(sockaddr_ll, sll_pkttype) == 10);
    assert!(FRAME_HEADER_BYTES == FRAME_ADDRESS_AT + size_of::<sockaddr_ll>());

    assert!(size_of::<virtio_net_hdr>() == 10);
    assert!(offset_of!(virtio_net_hdr, gso_size) == 4);
    assert!(offset_of!(virtio_net_hdr, csum_start) == 6);

    assert!(size_of::<tpacket_req3>() == 28);
    assert!(size_of::<tpacket_stats_v3>() == 12);
    assert!(size_of::<packet_mreq>() == 16);
    assert!(size_of::<sock_filter>() == 8);
};
