//! Builds ring blocks as the kernel writes them, for tests, benches and the seeds of the fuzzer.
//!
//! The layout is that of `prb_open_block` and `tpacket_rcv` (`net/packet/af_packet.c`) for a socket of type `SOCK_RAW`.

use super::abi;
use super::ring::{RawFrame, field};

/// Builds one block with these frames. It has `block_bytes` bytes, or more if the frames do not fit. A frame with a
/// [`vnet`](RawFrame::vnet) header has that header before its bytes.
///
/// ```
/// use traffic_alerted::sys::{ring::{VnetHeader, frames_in_block}, synthetic};
///
/// let frame = synthetic::frame(&[0xff; 60]);
/// let block = synthetic::block(&[frame, frame], 4096);
/// assert!(frames_in_block(&block, VnetHeader::None).eq([Ok(frame), Ok(frame)]));
/// ```
#[allow(clippy::cast_possible_truncation, reason = "the blocks of tests and benches are shorter than 4 GiB")]
pub fn block(frames: &[RawFrame<'_>], block_bytes: usize) -> Vec<u8> {
    let mut block = vec![0; abi::BLOCK_HEADER_BYTES];
    put(&mut block, abi::BLOCK_STATUS_AT, abi::TP_STATUS_USER);
    put(&mut block, abi::BLOCK_FRAMES_AT, frames.len() as u32);
    put(&mut block, abi::BLOCK_FIRST_FRAME_AT, abi::BLOCK_HEADER_BYTES as u32);
    for (index, frame) in frames.iter().enumerate() {
        let start = block.len();
        block.resize(start + usize::from(mac_at(frame)), 0);
        block.extend_from_slice(frame.bytes);
        block.resize(block.len().next_multiple_of(FRAME_ALIGNMENT), 0);
        let distance = block.len() - start;
        let is_last = index + 1 == frames.len();
        describe(&mut block[start..], frame, if is_last { 0 } else { distance as u32 });
    }
    block.resize(block.len().max(block_bytes), 0);
    block
}

/// Returns an Ethernet frame, captured in full on interface 2 at one second after 1970-01-01 UTC.
#[allow(clippy::cast_possible_truncation, reason = "the frames of tests and benches are shorter than 4 GiB")]
pub fn frame(bytes: &[u8]) -> RawFrame<'_> {
    RawFrame {
        bytes,
        tp_len: bytes.len() as u32,
        seen_at_ns: 1_000_000_000,
        ifindex: std::num::NonZeroU32::MIN.saturating_add(1),
        pkttype: libc::PACKET_HOST,
        hatype: libc::ARPHRD_ETHER,
        stripped_vlan_tci: None,
        is_gso_tcp: false,
        vnet: None,
    }
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "the ABI has 32 bits for seconds and lengths; tests and benches stay within"
)]
fn describe(out: &mut [u8], frame: &RawFrame<'_>, distance: u32) {
    let (seconds, nanoseconds) = (frame.seen_at_ns / 1_000_000_000, frame.seen_at_ns % 1_000_000_000);
    put(out, field::TP_NEXT_OFFSET, distance);
    put(out, field::TP_SEC, seconds as u32);
    put(out, field::TP_NSEC, nanoseconds as u32);
    put(out, field::TP_SNAPLEN, frame.bytes.len() as u32);
    put(out, field::TP_LEN, frame.tp_len);
    let tag_status = if frame.stripped_vlan_tci.is_some() { abi::TP_STATUS_VLAN_VALID } else { 0 };
    let gso_status = if frame.is_gso_tcp { abi::TP_STATUS_GSO_TCP } else { 0 };
    put(out, field::TP_STATUS, abi::TP_STATUS_USER | tag_status | gso_status);
    put(out, field::TP_VLAN_TCI, u32::from(frame.stripped_vlan_tci.unwrap_or(0)));
    put(out, field::SLL_IFINDEX, frame.ifindex.get());
    let mac_at = mac_at(frame);
    out[field::TP_MAC..][..2].copy_from_slice(&mac_at.to_ne_bytes());
    if let Some(vnet) = &frame.vnet {
        out[usize::from(mac_at - VNET_BYTES)..][..2].copy_from_slice(&[vnet.flags, vnet.gso_type]);
        let words = [vnet.hdr_len, vnet.gso_size, vnet.csum_start, vnet.csum_offset];
        for (word, at) in words.into_iter().zip((usize::from(mac_at - VNET_BYTES) + 2..).step_by(2)) {
            out[at..][..2].copy_from_slice(&word.to_ne_bytes());
        }
    }
    out[field::SLL_HATYPE..][..2].copy_from_slice(&frame.hatype.to_ne_bytes());
    out[field::SLL_PKTTYPE] = frame.pkttype;
}

fn put(out: &mut [u8], at: usize, value: u32) {
    out[at..][..4].copy_from_slice(&value.to_ne_bytes());
}

/// The offset at which the kernel puts the link header of an Ethernet frame: it aligns the IP header to 16 bytes. A
/// `virtio_net_hdr` moves both.
fn mac_at(frame: &RawFrame<'_>) -> u16 {
    const MAC_AT: u16 = 82;
    if frame.vnet.is_some() { MAC_AT + VNET_BYTES } else { MAC_AT }
}

#[allow(clippy::cast_possible_truncation, reason = "the header has 10 bytes")]
const VNET_BYTES: u16 = size_of::<abi::virtio_net_hdr>() as u16;
/// `V3_ALIGNMENT`.
const FRAME_ALIGNMENT: usize = 8;

#[cfg(test)]
mod tests {
    use super::super::ring::{Corrupt, VnetHeader, frames_in_block};
    use super::*;
    use proptest::prelude::*;
    use std::num::NonZeroU32;

    proptest! {
        #[test]
        fn the_walk_over_a_built_block_yields_its_frames(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..40),
            seen_at_ns in 0..u64::from(u32::MAX) * 1_000_000_000,
            tp_len: u32, ifindex: NonZeroU32, pkttype: u8, hatype: u16, stripped_vlan_tci: Option<u16>,
            is_gso_tcp: bool, vnet: Option<[u16; 5]>,
        ) {
            let vnet = vnet.map(|[kind, hdr_len, gso_size, csum_start, csum_offset]| {
                let [flags, gso_type] = kind.to_be_bytes();
                abi::virtio_net_hdr { flags, gso_type, hdr_len, gso_size, csum_start, csum_offset }
            });
            let vnet_header = if vnet.is_some() { VnetHeader::Present } else { VnetHeader::None };
            let like = RawFrame {
                bytes: &[], tp_len, seen_at_ns, ifindex, pkttype, hatype, stripped_vlan_tci, is_gso_tcp, vnet,
            };
            let frames: Vec<_> = bodies.iter().map(|bytes| RawFrame { bytes, ..like }).collect();
            let block = block(&frames, 0);
            let walked: Result<Vec<_>, Corrupt> = frames_in_block(&block, vnet_header).map(|f| f.map(own)).collect();
            prop_assert_eq!(walked, Ok(frames.iter().copied().map(own).collect()));
        }

        #[test]
        fn the_walk_over_a_damaged_block_ends(
            len in 0..3000usize, damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..40),
        ) {
            let mut bytes = seeds().remove(2).1;
            bytes.truncate(len);
            for (at, value) in damage {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = value;
                }
            }
            for vnet_header in [VnetHeader::None, VnetHeader::Present] {
                let walked: Vec<_> = frames_in_block(&bytes, vnet_header).collect();
                prop_assert!(walked.len() <= bytes.len() / abi::FRAME_HEADER_BYTES + 1);
                prop_assert!(walked.iter().rev().skip(1).all(Result::is_ok), "only the last item may be an error");
            }
        }
    }

    /// Returns the fields and a copy of the bytes, which can be compared after the block was dropped.
    fn own(frame: RawFrame<'_>) -> (Vec<u8>, String) {
        (frame.bytes.to_vec(), format!("{:?}", RawFrame { bytes: &[], ..frame }))
    }

    /// Returns the seeds of the fuzzer: valid blocks, and one that declares more frames than it has.
    fn seeds() -> Vec<(&'static str, Vec<u8>)> {
        let short = [0x5a; 60];
        let long = [0xa5; 192];
        let tagged = RawFrame { stripped_vlan_tci: Some(0x6064), ..frame(&short) };
        let cut = RawFrame { tp_len: 65_000, pkttype: abi::PACKET_OUTGOING, ..frame(&long) };
        let raw_ip = RawFrame { hatype: libc::ARPHRD_NONE, ..frame(&long[..40]) };
        let vnet = abi::virtio_net_hdr { flags: 1, gso_type: 1, gso_size: 1448, ..Default::default() };
        let joined = RawFrame { tp_len: 65_000, is_gso_tcp: true, vnet: Some(vnet), ..frame(&long) };
        let mut too_many = block(&[frame(&short)], 0);
        put(&mut too_many, abi::BLOCK_FRAMES_AT, u32::MAX);
        vec![
            ("empty", block(&[], 0)),
            ("one", block(&[frame(&short)], 0)),
            ("mixed", block(&[frame(&short), tagged, cut, raw_ip, frame(&[])], 2048)),
            ("joined", block(&[joined, joined], 0)),
            ("too_many", too_many),
        ]
    }

    #[test]
    fn the_seeds_of_the_fuzzer_are_the_blocks_of_this_file() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/block");
        for (name, bytes) in seeds() {
            let path = folder.join(name);
            if std::env::var_os("WRITE_FUZZ_SEEDS").is_some() {
                std::fs::write(&path, &bytes).unwrap();
            }
            let hint = "run this test with WRITE_FUZZ_SEEDS=1 to write them anew";
            assert!(std::fs::read(&path).is_ok_and(|seed| seed == bytes), "{}: {hint}", path.display());
        }
    }
}
