//! The receive ring: blocks of frames in memory that the kernel fills and a worker reads.
//!
//! ```text
//!        next_block()                     Block dropped
//!   KERNEL ----------> (not ours: None)
//!   USER   ----------> Block --frames()-->  status := KERNEL, the kernel may refill it
//!
//!   block:  | tpacket_block_desc (48) | frame | frame | ... |          status at byte 8
//!   frame:  | tpacket3_hdr (48) | sockaddr_ll (20) | pad | virtio_net_hdr (10), optional | link header, packet | pad |
//!             tp_next_offset: from this frame to the next         tp_mac: from the frame to its link header
//! ```
//!
//! This file contains the mapping and the protocol of block ownership; it does not read the bytes of frames. After
//! [`Ring::allocate`] it neither allocates nor makes a system call. Lengths are bytes, times are nanoseconds since
//! 1970-01-01 UTC.
//!
//! **Who owns a block.** The kernel writes to a block while its status is KERNEL, then stores USER and does not touch
//! the block again (`net/packet/af_packet.c`: `prb_flush_block` with its write barrier; `prb_dispatch_next_block`
//! freezes the queue if the next block is USER). This process reads after an Acquire load of USER and returns the block
//! with a Release store of KERNEL. Between the two there are only shared reads, so a `&[u8]` to the block is sound.

use std::marker::PhantomData;
use std::mem::offset_of;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use memmap2::{MmapOptions, MmapRaw};
use nix::errno::Errno;

use super::abi;
use super::packet_socket::PacketSocket;
use super::prefetch::prefetch;

/// Sizes of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingSize {
    /// Bytes of a block; a multiple of the page size and of 2,048.
    pub block_bytes: NonZeroU32,
    /// Number of blocks.
    pub blocks: NonZeroU32,
}

impl RingSize {
    /// Bytes of all blocks together.
    pub fn bytes(self) -> u64 {
        u64::from(self.block_bytes.get()) * u64::from(self.blocks.get())
    }
}

/// The header that the kernel writes right before the bytes of each frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VnetHeader {
    /// No header.
    #[default]
    None,
    /// A [`virtio_net_hdr`](abi::virtio_net_hdr), which states how the frame is cut into packets (`PACKET_VNET_HDR`).
    Present,
}

/// A packet socket with its receive ring mapped into this process.
#[derive(Debug)]
pub struct Ring {
    // Declared before the socket, so that it is unmapped first: the kernel frees a ring when its socket closes.
    memory: MmapRaw,
    socket: Arc<PacketSocket>,
    block_bytes: usize,
    blocks: usize,
    vnet_header: VnetHeader,
    /// Index of the block that is read next; it wraps around.
    next: usize,
}

impl Ring {
    /// Allocates a ring for `socket` and maps it. The kernel closes a block when it is full, and at the latest
    /// `block_retire_ms` milliseconds after it opened the block, unless the block is empty.
    ///
    /// # Errors
    /// `ENOMEM` if there is no memory for the ring; `EINVAL` for sizes that the kernel does not accept; `EBUSY` if the
    /// socket has a ring already.
    pub fn allocate(
        socket: Arc<PacketSocket>,
        size: RingSize,
        block_retire_ms: u32,
        vnet_header: VnetHeader,
    ) -> nix::Result<Self> {
        let request = request(size, block_retire_ms).ok_or(Errno::EINVAL)?;
        let bytes = usize::try_from(size.bytes()).map_err(|_| Errno::EINVAL)?;
        socket.use_tpacket_v3()?;
        if vnet_header == VnetHeader::Present {
            socket.use_vnet_headers()?;
        }
        socket.allocate_ring(&request)?;
        // The mapping is not locked: pages of the kernel are never swapped out, and locking would count against
        // RLIMIT_MEMLOCK.
        let memory = MmapOptions::new().len(bytes).map_raw(socket.as_fd().as_raw_fd()).map_err(|error| {
            // memmap2 returns the error of mmap(2).
            Errno::from_raw(error.raw_os_error().unwrap_or(libc::EINVAL))
        })?;
        Ok(Self {
            memory,
            socket,
            block_bytes: size.block_bytes.get() as usize,
            blocks: size.blocks.get() as usize,
            vnet_header,
            next: 0,
        })
    }

    /// Returns the socket, for its options and for waiting on it.
    pub fn socket(&self) -> &Arc<PacketSocket> {
        &self.socket
    }

    /// Returns the oldest block that the kernel has closed and that was not returned before, or `None` if there is
    /// none. It never waits.
    ///
    /// Take blocks until there is none before waiting with a [`Poller`](super::poller::Poller): a multishot poll
    /// completes when a block closes, not while a closed block is unread.
    pub fn next_block(&mut self) -> Option<Block<'_>> {
        let offset = self.next * self.block_bytes;
        // SAFETY: `next` is below `blocks`, so the offset stays inside the `blocks * block_bytes` bytes of the
        // mapping, which is one allocation.
        let start = unsafe { self.memory.as_mut_ptr().add(offset) };
        let start = NonNull::new(start).expect("a mapping does not lie at address 0");
        let location =
            BlockLocation { start, len: self.block_bytes, vnet_header: self.vnet_header, ring: PhantomData };
        // Acquire: pairs with the kernel's write barrier before it stores USER, so that its writes are visible.
        if location.status().load(Ordering::Acquire) & abi::TP_STATUS_USER == 0 {
            return None;
        }
        self.next = (self.next + 1) % self.blocks;
        Some(Block(location))
    }
}

/// A closed block of the ring. Dropping it returns the block to the kernel.
///
/// A block that is leaked (`mem::forget`) is never returned: the kernel drops frames when it reaches the block again.
/// That costs frames but is not unsound.
#[derive(Debug)]
pub struct Block<'ring>(BlockLocation<'ring>);

impl Block<'_> {
    /// Returns the frames in order of arrival. They borrow the block, so none can be used after it was returned.
    pub fn frames(&self) -> Frames<'_> {
        frames_in_block(self.bytes(), self.0.vnet_header)
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: `start` and `len` are one block of the mapping that this `Block` borrows. This process owns the
        // block, since the status was USER when the `Block` was made: until `drop` neither side writes to it.
        unsafe { std::slice::from_raw_parts(self.0.start.as_ptr(), self.0.len) }
    }
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        // Release: the reads of the frames end before the kernel sees KERNEL and refills the block. Pairs with the
        // barrier after its read of the status in `prb_curr_blk_in_use`.
        self.0.status().store(abi::TP_STATUS_KERNEL, Ordering::Release);
    }
}

/// The location of a block in memory, whichever side owns the block. Only [`Ring::next_block`] creates one.
#[derive(Debug)]
struct BlockLocation<'ring> {
    start: NonNull<u8>,
    len: usize,
    vnet_header: VnetHeader,
    // Borrows the ring mutably: there is one `Block` at a time, and it does not outlive the mapping.
    ring: PhantomData<&'ring mut Ring>,
}

impl BlockLocation<'_> {
    fn status(&self) -> &AtomicU32 {
        // SAFETY: every block is longer than its 48-byte description, so byte 8 is inside it.
        let status = unsafe { self.start.as_ptr().add(abi::BLOCK_STATUS_AT) };
        // SAFETY: blocks start on a page and the offset is a multiple of 4 (asserted in abi.rs); the mapping outlives
        // `self`. The kernel accesses this word only as a whole. This process also reads it as part of the byte slice,
        // but only while it owns the block and the word does not change.
        unsafe { AtomicU32::from_ptr(status.cast()) }
    }
}

/// One frame with the fields of its descriptor in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawFrame<'a> {
    /// The captured bytes, from the link header on; `tp_snaplen` bytes.
    pub bytes: &'a [u8],
    /// Length of the whole frame in bytes, before the filter cut it.
    pub tp_len: u32,
    /// Time at which the frame was received or sent: nanoseconds since 1970-01-01 UTC.
    pub seen_at_ns: u64,
    /// Number of the interface (`sll_ifindex`); never 0.
    pub ifindex: NonZeroU32,
    /// `PACKET_HOST` to `PACKET_OUTGOING` (`sll_pkttype`).
    pub pkttype: u8,
    /// `ARPHRD_*` (`sll_hatype`): the kind of link header that the bytes begin with.
    pub hatype: u16,
    /// The outermost VLAN tag, if the kernel took it out of the bytes: priority, DEI and VLAN ID.
    pub stripped_vlan_tci: Option<u16>,
    /// True if the frame holds several TCP segments. Linux before 6.3 does not report this, so it is `false` there.
    pub is_gso_tcp: bool,
    /// The header before the bytes; `None` unless the ring was allocated with [`VnetHeader::Present`].
    pub vnet: Option<abi::virtio_net_hdr>,
}

/// The error that a frame descriptor points outside its block or is invalid. The kernel never writes such a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// Walks the frames of a block; see [`frames_in_block`].
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    block: &'a [u8],
    vnet_header: VnetHeader,
    /// Offset of the next frame descriptor.
    at: usize,
    /// Number of frames that were not walked yet, according to the block descriptor.
    left: u32,
}

/// Walks the frames of a block given as bytes, which start with the block descriptor.
///
/// If a `virtio_net_hdr` cannot express the segmentation of a frame, the kernel drops the frame but has counted it in
/// the block already and reserved its room. The room holds bytes of an earlier frame, but its status lacks
/// `TP_STATUS_USER`, so the walk skips it: the kernel overwrites the status with the VLAN bits or 0 when it reserves
/// the room (`prb_fill_vlan_info`), and sets `TP_STATUS_USER` only after `virtio_net_hdr_from_skb` has succeeded
/// (`tpacket_rcv`). It counts the frame in `tp_drops`.
///
/// Every offset is checked, so any bytes may be given. A descriptor that points outside the block ends the walk with
/// one [`Corrupt`]. The walk only moves forward: `n` bytes yield at most `n / 68` frames.
///
/// ```
/// use traffic_alerted::sys::ring::{Corrupt, VnetHeader, frames_in_block};
///
/// assert_eq!(frames_in_block(&[0; 4096], VnetHeader::None).count(), 0);
/// assert_eq!(frames_in_block(&[1; 4096], VnetHeader::Present).next(), Some(Err(Corrupt)));
/// assert_eq!(frames_in_block(&[1; 4096], VnetHeader::Present).count(), 1);
/// ```
pub fn frames_in_block(block: &[u8], vnet_header: VnetHeader) -> Frames<'_> {
    let Some(description) = block.first_chunk::<{ abi::BLOCK_HEADER_BYTES }>() else {
        // Too short for a block descriptor: yields one `Corrupt`.
        return Frames { block: &[], vnet_header, at: 0, left: 1 };
    };
    Frames {
        block,
        vnet_header,
        at: u32_at(description, abi::BLOCK_FIRST_FRAME_AT) as usize,
        left: u32_at(description, abi::BLOCK_FRAMES_AT),
    }
}

/// Number of frames from the one that is read to the one whose descriptor and headers are prefetched. They are usually
/// not in the cache of this core, since the kernel wrote them on another one.
const FRAMES_AHEAD: usize = 12;

impl<'a> Frames<'a> {
    /// Prefetches the descriptor and the headers of a later frame. `at` is a guess of the offset where it begins.
    #[inline(always)]
    fn prefetch(&self, at: usize) {
        const LINES: usize = 3;
        // The sum may wrap, since a wrong guess costs only time.
        if let Some(lines) = self.block.get(at..at.wrapping_add(LINES * 64)) {
            for line in 0..LINES {
                prefetch(&lines[line * 64]);
            }
        }
    }

    /// Reads the frame at offset `at`, and its distance to the next frame in bytes. The frame is `None` if the kernel
    /// dropped it. The outer `None` means that the descriptor points outside the block or is invalid: the block is
    /// corrupt.
    #[inline(always)]
    fn read(&self) -> Option<(Option<RawFrame<'a>>, usize)> {
        let frame = self.block.get(self.at..)?;
        let header = frame.first_chunk::<{ abi::FRAME_HEADER_BYTES }>()?;
        let distance = u32_at(header, field::TP_NEXT_OFFSET) as usize;
        let status = u32_at(header, field::TP_STATUS);
        if status & abi::TP_STATUS_USER == 0 {
            return Some((None, distance));
        }
        let mac = usize::from(u16_at(header, field::TP_MAC));
        let bytes = frame.get(mac..)?.get(..u32_at(header, field::TP_SNAPLEN) as usize)?;
        let vnet = match self.vnet_header {
            VnetHeader::None => None,
            VnetHeader::Present => Some(vnet_header(frame.get(..mac)?.last_chunk()?)),
        };
        let has_tag = status & abi::TP_STATUS_VLAN_VALID != 0;
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the field has 32 bits, of which the lower 16 are the tag"
        )]
        let stripped_vlan_tci = has_tag.then(|| u32_at(header, field::TP_VLAN_TCI) as u16);
        let raw = RawFrame {
            bytes,
            tp_len: u32_at(header, field::TP_LEN),
            seen_at_ns: u64::from(u32_at(header, field::TP_SEC)) * 1_000_000_000
                + u64::from(u32_at(header, field::TP_NSEC)),
            ifindex: NonZeroU32::new(u32_at(header, field::SLL_IFINDEX))?,
            pkttype: header[field::SLL_PKTTYPE],
            hatype: u16_at(header, field::SLL_HATYPE),
            stripped_vlan_tci,
            is_gso_tcp: status & abi::TP_STATUS_GSO_TCP != 0,
            vnet,
        };
        Some((Some(raw), distance))
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<RawFrame<'a>, Corrupt>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.left = self.left.checked_sub(1)?;
            let Some((frame, distance)) = self.read() else {
                self.left = 0;
                return Some(Err(Corrupt));
            };
            // The last frame of a block has the distance 0, which is not followed. In any other frame a distance below
            // the length of a frame descriptor is invalid, so the offset becomes one at which the next step reports a
            // corrupt block. The prefetch assumes that the frames ahead are as far apart as these two.
            self.at = if distance >= abi::FRAME_HEADER_BYTES {
                self.prefetch(self.at.wrapping_add(FRAMES_AHEAD.wrapping_mul(distance)));
                self.at.saturating_add(distance)
            } else {
                usize::MAX
            };
            if let Some(frame) = frame {
                return Some(Ok(frame));
            }
        }
    }
}

fn vnet_header(bytes: &[u8; size_of::<abi::virtio_net_hdr>()]) -> abi::virtio_net_hdr {
    abi::virtio_net_hdr {
        flags: bytes[offset_of!(abi::virtio_net_hdr, flags)],
        gso_type: bytes[offset_of!(abi::virtio_net_hdr, gso_type)],
        hdr_len: u16_at(bytes, offset_of!(abi::virtio_net_hdr, hdr_len)),
        gso_size: u16_at(bytes, offset_of!(abi::virtio_net_hdr, gso_size)),
        csum_start: u16_at(bytes, offset_of!(abi::virtio_net_hdr, csum_start)),
        csum_offset: u16_at(bytes, offset_of!(abi::virtio_net_hdr, csum_offset)),
    }
}

/// The frame size of the request, in bytes. The kernel requires that blocks are multiples of it, although TPACKET_V3
/// packs frames of any size.
const NOMINAL_FRAME_BYTES: u32 = 2048;

/// Returns the request for a ring; `None` if the number of frames exceeds 32 bits.
fn request(size: RingSize, block_retire_ms: u32) -> Option<abi::tpacket_req3> {
    let frames_per_block = size.block_bytes.get() / NOMINAL_FRAME_BYTES;
    Some(abi::tpacket_req3 {
        tp_block_size: size.block_bytes.get(),
        tp_block_nr: size.blocks.get(),
        tp_frame_size: NOMINAL_FRAME_BYTES,
        tp_frame_nr: frames_per_block.checked_mul(size.blocks.get())?,
        tp_retire_blk_tov: block_retire_ms,
        tp_sizeof_priv: 0,
        tp_feature_req_word: 0,
    })
}

/// Offsets of the fields of a frame descriptor.
pub(super) mod field {
    use std::mem::offset_of;

    use super::abi;

    pub(in crate::sys) const TP_NEXT_OFFSET: usize = offset_of!(abi::tpacket3_hdr, tp_next_offset);
    pub(in crate::sys) const TP_SEC: usize = offset_of!(abi::tpacket3_hdr, tp_sec);
    pub(in crate::sys) const TP_NSEC: usize = offset_of!(abi::tpacket3_hdr, tp_nsec);
    pub(in crate::sys) const TP_SNAPLEN: usize = offset_of!(abi::tpacket3_hdr, tp_snaplen);
    pub(in crate::sys) const TP_LEN: usize = offset_of!(abi::tpacket3_hdr, tp_len);
    pub(in crate::sys) const TP_STATUS: usize = offset_of!(abi::tpacket3_hdr, tp_status);
    pub(in crate::sys) const TP_MAC: usize = offset_of!(abi::tpacket3_hdr, tp_mac);
    pub(in crate::sys) const TP_VLAN_TCI: usize =
        offset_of!(abi::tpacket3_hdr, hv1) + offset_of!(libc::tpacket_hdr_variant1, tp_vlan_tci);
    pub(in crate::sys) const SLL_IFINDEX: usize =
        abi::FRAME_ADDRESS_AT + offset_of!(abi::sockaddr_ll, sll_ifindex);
    pub(in crate::sys) const SLL_HATYPE: usize =
        abi::FRAME_ADDRESS_AT + offset_of!(abi::sockaddr_ll, sll_hatype);
    pub(in crate::sys) const SLL_PKTTYPE: usize =
        abi::FRAME_ADDRESS_AT + offset_of!(abi::sockaddr_ll, sll_pkttype);
}

/// Reads a field in host byte order. The offsets are constants below `N`, so the compiler removes the bounds check.
#[inline]
fn u32_at<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[inline]
fn u16_at<const N: usize>(bytes: &[u8; N], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame descriptor with its bytes, padded to the kernel's alignment.
    fn frame(next_offset: u32, mac: u16, snaplen: u32, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![0; abi::FRAME_HEADER_BYTES];
        out[field::TP_NEXT_OFFSET..][..4].copy_from_slice(&next_offset.to_ne_bytes());
        out[field::TP_SEC..][..4].copy_from_slice(&3u32.to_ne_bytes());
        out[field::TP_NSEC..][..4].copy_from_slice(&7u32.to_ne_bytes());
        out[field::TP_SNAPLEN..][..4].copy_from_slice(&snaplen.to_ne_bytes());
        out[field::TP_LEN..][..4].copy_from_slice(&1514u32.to_ne_bytes());
        out[field::TP_STATUS..][..4].copy_from_slice(&abi::TP_STATUS_USER.to_ne_bytes());
        out[field::TP_MAC..][..2].copy_from_slice(&mac.to_ne_bytes());
        out[field::SLL_IFINDEX..][..4].copy_from_slice(&70_000u32.to_ne_bytes());
        out[field::SLL_HATYPE..][..2].copy_from_slice(&libc::ARPHRD_ETHER.to_ne_bytes());
        out[field::SLL_PKTTYPE] = abi::PACKET_OUTGOING;
        out.resize(usize::from(mac).max(out.len()), 0);
        out.extend_from_slice(bytes);
        out.resize(out.len().next_multiple_of(8), 0);
        out
    }

    fn block(frames: u32, first: u32, body: &[u8]) -> Vec<u8> {
        let mut out = vec![0; abi::BLOCK_HEADER_BYTES];
        out[abi::BLOCK_FRAMES_AT..][..4].copy_from_slice(&frames.to_ne_bytes());
        out[abi::BLOCK_FIRST_FRAME_AT..][..4].copy_from_slice(&first.to_ne_bytes());
        out.extend_from_slice(body);
        out
    }

    #[test]
    fn every_field_of_a_frame_is_read() {
        let mut body = frame(0, 82, 3, b"abc");
        body[field::TP_STATUS..][..4]
            .copy_from_slice(&(abi::TP_STATUS_USER | abi::TP_STATUS_VLAN_VALID).to_ne_bytes());
        body[field::TP_VLAN_TCI..][..4].copy_from_slice(&0x6064u32.to_ne_bytes());
        let block = block(1, 48, &body);
        let frames: Vec<_> = frames_in_block(&block, VnetHeader::None).collect();
        assert_eq!(
            frames,
            [Ok(RawFrame {
                bytes: b"abc",
                tp_len: 1514,
                seen_at_ns: 3_000_000_007,
                ifindex: NonZeroU32::new(70_000).unwrap(),
                pkttype: abi::PACKET_OUTGOING,
                hatype: libc::ARPHRD_ETHER,
                stripped_vlan_tci: Some(0x6064),
                is_gso_tcp: false,
                vnet: None,
            })]
        );
    }

    #[test]
    fn the_vnet_header_is_read_from_before_the_bytes() {
        let mut body = frame(0, 92, 3, b"abc");
        body[field::TP_STATUS..][..4]
            .copy_from_slice(&(abi::TP_STATUS_USER | abi::TP_STATUS_GSO_TCP).to_ne_bytes());
        let vnet = [1, 0x81, 66, 0, 0xb0, 0x05, 34, 0, 16, 0];
        body[82..92].copy_from_slice(&vnet);
        let block = block(1, 48, &body);
        let first_frame = |vnet_header| frames_in_block(&block, vnet_header).next().and_then(Result::ok);
        let raw = first_frame(VnetHeader::Present).unwrap();
        assert_eq!((raw.bytes, raw.is_gso_tcp), (b"abc".as_slice(), true));
        let read = |at: usize| u16::from_ne_bytes([vnet[at], vnet[at + 1]]);
        let (hdr_len, gso_size, csum_start, csum_offset) = (read(2), read(4), read(6), read(8));
        let header =
            abi::virtio_net_hdr { flags: 1, gso_type: 0x81, hdr_len, gso_size, csum_start, csum_offset };
        assert_eq!(raw.vnet, Some(header));
        assert_eq!(first_frame(VnetHeader::None).unwrap().vnet, None);
    }

    #[test]
    fn a_frame_without_room_for_its_vnet_header_is_corrupt() {
        let mut body = frame(0, 82, 0, b"");
        body[field::TP_MAC..][..2].copy_from_slice(&9u16.to_ne_bytes());
        let block = block(1, 48, &body);
        assert_eq!(frames_in_block(&block, VnetHeader::Present).next(), Some(Err(Corrupt)));
    }

    #[test]
    fn a_frame_that_the_kernel_has_dropped_is_skipped() {
        let mut body = frame(96, 82, 5, b"first");
        body.resize(96, 0);
        // The bytes of an earlier frame are still there.
        let mut dropped = frame(96, 82, 5, b"ghost");
        dropped[field::TP_STATUS..][..4].copy_from_slice(&abi::TP_STATUS_VLAN_VALID.to_ne_bytes());
        dropped.resize(96, 0);
        body.extend(dropped);
        body.extend(frame(0, 82, 5, b"third"));
        let block = block(3, 48, &body);
        let seen: Vec<_> =
            frames_in_block(&block, VnetHeader::None).map(|frame| frame.unwrap().bytes).collect();
        assert_eq!(seen, [b"first", b"third"]);
    }

    #[test]
    fn the_walk_follows_distances_for_the_declared_number_of_frames() {
        let one = frame(96, 82, 5, b"first");
        assert_eq!(one.len(), 88);
        let mut body = one;
        body.resize(96, 0);
        // The kernel writes 0 as the distance of the last frame.
        body.extend(frame(0, 82, 6, b"second"));
        let block = block(2, 48, &body);
        let seen: Vec<_> =
            frames_in_block(&block, VnetHeader::None).map(|frame| frame.unwrap().bytes).collect();
        assert_eq!(seen, [b"first".as_slice(), b"second"]);
    }

    #[test]
    fn a_frame_that_points_outside_ends_the_walk_with_one_error() {
        let cases: [(&str, Vec<u8>, usize); 9] = [
            ("empty memory", vec![], 0),
            ("half a block descriptor", vec![0; 40], 0),
            ("first frame past the block", block(1, 1 << 20, &frame(0, 82, 0, b"")), 0),
            ("first frame at the very end", block(1, 48 + 82 + 6, &frame(0, 82, 0, b"")), 0),
            ("captured length beyond the block", block(1, 48, &frame(0, 82, u32::MAX, b"abc")), 0),
            ("bytes beyond the block", block(1, 48, &frame(0, 82, 3, b"")[..70]), 0),
            ("a distance into itself", block(u32::MAX, 48, &frame(8, 82, 3, b"abc")), 1),
            ("a distance of nothing", block(2, 48, &frame(0, 82, 3, b"abc")), 1),
            ("a distance beyond everything", block(2, 48, &frame(u32::MAX, 82, 3, b"abc")), 1),
        ];
        for (name, block, good) in cases {
            let frames: Vec<_> = frames_in_block(&block, VnetHeader::None).collect();
            assert_eq!(frames.len(), good + 1, "{name}");
            assert!(frames[..good].iter().all(Result::is_ok), "{name}");
            assert_eq!(frames[good], Err(Corrupt), "{name}");
        }
    }

    #[test]
    fn a_frame_of_interface_0_is_corrupt() {
        let mut body = frame(0, 82, 3, b"abc");
        body[field::SLL_IFINDEX..][..4].fill(0);
        assert_eq!(frames_in_block(&block(1, 48, &body), VnetHeader::None).next(), Some(Err(Corrupt)));
    }

    #[test]
    fn the_request_is_consistent_as_the_kernel_requires() {
        let size = |block_bytes, blocks| RingSize {
            block_bytes: NonZeroU32::new(block_bytes).unwrap(),
            blocks: NonZeroU32::new(blocks).unwrap(),
        };
        let fits = request(size(1 << 20, 64), 20).unwrap();
        assert_eq!(fits.tp_frame_nr, fits.tp_block_size / fits.tp_frame_size * fits.tp_block_nr);
        assert!(request(size(1 << 20, u32::MAX), 20).is_none(), "more frames than fit in 32 bits");
    }
}
