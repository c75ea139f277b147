//! What a capture source hands to the decoder.

use std::num::NonZeroU16;

use crate::time::UnixNanos;

/// A captured frame: the bytes that were kept and what is known about the whole.
///
/// It borrows its bytes from a ring block or a capture file and is `Copy`: passing it on costs nothing
/// and keeps nothing alive longer than the source allows.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The captured bytes, from the link header on; at most `frame_len` of them mean anything.
    pub bytes: &'a [u8],
    /// Length of the whole frame in bytes (`tp_len`), before the filter or a snap length cut it.
    pub frame_len: u32,
    /// When the frame was seen: the kernel's stamp, or the capture file's. For display and for who spoke
    /// first; live, windows turn on another clock.
    pub seen_at: UnixNanos,
    /// Index of the interface (`sll_ifindex`, or the interface number of a capture file); 0 is unknown.
    pub ifindex: u32,
    /// How `bytes` begins.
    pub link: LinkKind,
    /// Which way the frame crossed the interface.
    pub direction: Direction,
    /// How many packets of the wire it stands for.
    pub segmentation: Segmentation,
}

impl<'a> Frame<'a> {
    /// The captured bytes that belong to the frame: `bytes` without what goes past `frame_len`.
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

/// Which way a frame crossed its interface (`sll_pkttype`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// It came in for this host, or for all: HOST, BROADCAST or MULTICAST. Capture files say nothing better.
    Ingress,
    /// It came in for another station: OTHERHOST. A bridge passes it on; a mirror port shows nothing else.
    OtherHost,
    /// It went out: OUTGOING.
    Egress,
}

/// How many packets of the wire a frame stands for. The kernel joins segments that it receives (GRO), and hands large
/// packets to the network card to be cut (TSO, UDP segmentation).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Segmentation {
    /// One. Capture files say nothing better.
    #[default]
    None,
    /// Several, and nothing says how many.
    Unknown,
    /// Several, by this measure.
    Into(Segments),
}

/// The measure by which a frame is cut into the packets of the wire (`struct virtio_net_hdr`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    /// What is cut.
    pub transported: Transported,
    /// Bytes behind the headers in each packet, the last excepted (`gso_size`).
    pub payload_bytes: NonZeroU16,
    /// Where the innermost transport header stands in the frame, if the source knows (`csum_start`).
    pub transport_at: Option<u16>,
}

/// Whose payload is cut into segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transported {
    /// The innermost transport header is TCP's.
    Tcp,
    /// It is UDP's.
    Udp,
}

/// How a frame begins: the link types of capture files (`LINKTYPE_*`, tcpdump.org/linktypes.html) and
/// the hardware types of packet sockets (`ARPHRD_*`, linux/if_arp.h), as far as IP is carried in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkKind {
    /// Ethernet: two addresses, then an EtherType or an 802.3 length. Also the loopback of Linux.
    Ethernet,
    /// No link header; the first four bits tell the IP version.
    RawIp,
    /// An IPv4 header at offset 0, whatever its version field says.
    Ipv4,
    /// An IPv6 header at offset 0, whatever its version field says.
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
    /// Anything else, by its number. Such frames are skipped and say so.
    Unsupported(u16),
}
