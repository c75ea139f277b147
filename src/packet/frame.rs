//! The input of the decoder: captured bytes, and the properties of the frame that its source reports.
//!
//! Sources: packet(7) for lengths and directions, `include/uapi/linux/virtio_net.h` for segments.

use std::num::NonZeroU16;

use crate::time::UnixNanos;

/// A captured frame: the captured bytes, and properties of the whole frame.
///
/// It borrows its bytes from a ring block or a capture file.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The captured bytes, from the link header on. Bytes past `frame_len` are ignored.
    pub bytes: &'a [u8],
    /// Length of the whole frame in bytes (`tp_len`), before the filter or a snap length cut it.
    pub frame_len: u32,
    /// Time at which the frame was captured, as the kernel or the capture file has it. Frame times are displayed, and
    /// they order the first packets of an exchange. In live capture the windows use CLOCK_MONOTONIC instead.
    pub seen_at: UnixNanos,
    /// Number of the interface (`sll_ifindex`, or the number in a capture file); 0 if it is unknown.
    pub ifindex: u32,
    /// The kind of link header that `bytes` begins with.
    pub link: LinkKind,
    /// The direction in which the frame crossed the interface.
    pub direction: Direction,
    /// The way in which the frame is cut into packets on the wire.
    pub segmentation: Segmentation,
}

impl<'a> Frame<'a> {
    /// Returns the captured bytes that belong to the frame: `bytes` up to `frame_len`.
    ///
    /// ```
    /// use traffic_alerted::packet::{Direction, Frame, LinkKind, Segmentation};
    /// # use traffic_alerted::time::UnixNanos;
    /// let frame = Frame {
    ///     bytes: &[0x45, 0, 0],
    ///     frame_len: 2,
    ///     seen_at: UnixNanos(0),
    ///     ifindex: 1,
    ///     link: LinkKind::RawIp,
    ///     direction: Direction::Ingress,
    ///     segmentation: Segmentation::None,
    /// };
    /// assert_eq!(frame.captured(), [0x45, 0]);
    /// ```
    #[inline]
    pub fn captured(&self) -> &'a [u8] {
        let len = usize::try_from(self.frame_len).unwrap_or(usize::MAX);
        self.bytes.get(..len).unwrap_or(self.bytes)
    }
}

/// The direction in which a frame crossed its interface (`sll_pkttype`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Received and addressed to this machine or to all: HOST, BROADCAST or MULTICAST. Frames of a capture file that
    /// states no direction have this one.
    Ingress,
    /// Received and addressed to another station: OTHERHOST. A bridge forwards such frames; on a mirror port all frames
    /// are of this kind.
    OtherHost,
    /// Sent: OUTGOING.
    Egress,
}

/// The way in which a frame is cut into packets on the wire. The kernel joins segments that it receives (GRO), and
/// passes large packets to the network card to be cut (TSO, UDP segmentation).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Segmentation {
    /// The frame is one packet. All frames of a capture file are treated as one packet.
    #[default]
    None,
    /// The frame holds several packets, and their number is unknown.
    Unknown,
    /// The frame holds several packets, whose size is stated.
    Into(Segments),
}

/// The size of the segments into which a frame is cut (`struct virtio_net_hdr`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    /// The protocol whose payload is cut.
    pub transported: Transported,
    /// Payload bytes of each packet except the last one, which may have fewer (`gso_size`).
    pub payload_bytes: NonZeroU16,
    /// Offset of the innermost transport header in the frame (`csum_start`); `None` if the source does not report it.
    pub transport_at: Option<u16>,
}

/// The protocol whose payload is cut into segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transported {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// The kind of link header: the link types of capture files (`LINKTYPE_*`, tcpdump.org/linktypes.html) and the hardware
/// types of packet sockets (`ARPHRD_*`, linux/if_arp.h) that carry IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkKind {
    /// Ethernet: two addresses, then an EtherType or an 802.3 length. Also the loopback of Linux.
    Ethernet,
    /// No link header; the first four bits are the IP version.
    RawIp,
    /// An IPv4 header at offset 0. Its version field is verified.
    Ipv4,
    /// An IPv6 header at offset 0. Its version field is verified.
    Ipv6,
    /// `LINKTYPE_LINUX_SLL`, the 16-byte cooked header.
    LinuxSll,
    /// `LINKTYPE_LINUX_SLL2`, the 20-byte cooked header.
    LinuxSll2,
    /// PPP, with or without the HDLC address and control bytes (RFC 1661, RFC 1662).
    Ppp,
    /// A PPPoE session header without Ethernet (`LINKTYPE_PPP_ETHER`).
    PppoeSession,
    /// BSD loopback: a 4-byte address family in either byte order.
    BsdLoopback,
    /// Cisco HDLC: address, control, EtherType.
    CiscoHdlc,
    /// `LINKTYPE_NFLOG`: a netfilter log message, whose attributes include the packet.
    Nflog,
    /// Any other kind, with its number. Such frames are skipped as [`UnsupportedLink`](super::Skip::UnsupportedLink).
    Unsupported(u16),
}
