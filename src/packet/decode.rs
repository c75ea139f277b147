//! Decodes a frame to a [`Summary`], on the fast path if the frame is plain and on the general path otherwise.

use super::frame::{Frame, LinkKind, Segmentation};
use super::link::{IpVersion, locate_ip};
use super::summary::{Skip, Summary, SummarySink};
use super::{fast, ipv4, ipv6, segments};

/// Decodes one frame.
///
/// ```
/// use std::net::IpAddr;
/// use traffic_alerted::packet::{Direction, Frame, LinkKind, Segmentation, Skip, Transport, decode};
/// use traffic_alerted::time::UnixNanos;
///
/// let dns_query = [
///     0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, // IPv4, 28 bytes, UDP
///     10, 0, 0, 1, 10, 0, 0, 2, // from, to
///     0x90, 0x01, 0, 53, 0, 8, 0, 0, // ports 36865 and 53
/// ];
/// let mut frame = Frame {
///     bytes: &dns_query,
///     frame_len: 28,
///     seen_at: UnixNanos(0),
///     ifindex: 1,
///     link: LinkKind::RawIp,
///     direction: Direction::Ingress,
///     segmentation: Segmentation::None,
/// };
/// let summary = decode(&frame)?;
/// assert_eq!(summary.endpoints.src(), IpAddr::from([10, 0, 0, 1]));
/// assert_eq!(summary.ip_bytes, 28);
/// assert_eq!(summary.transport, Transport::Ports { src_port: 36865, dst_port: 53 });
///
/// // If a snap length cuts the frame, it counts the same; without its fixed IP header it does not count.
/// frame.bytes = &dns_query[..24];
/// assert_eq!(decode(&frame), Ok(summary));
/// frame.bytes = &dns_query[..19];
/// assert_eq!(decode(&frame), Err(Skip::IpTruncated));
/// # Ok::<(), Skip>(())
/// ```
///
/// # Errors
/// The reason why the frame holds no IP packet that could be counted.
#[inline]
pub fn decode(frame: &Frame<'_>) -> Result<Summary, Skip> {
    let mut summary = None;
    decode_into(frame, &mut summary)?;
    Ok(summary.expect("a frame without a reason to skip it has a summary"))
}

/// Decodes one frame and passes its summary to `sink`. The hot path uses it instead of [`decode`], to save a copy of
/// the summary.
///
/// # Errors
/// The reason why the frame holds no IP packet that could be counted; `sink` is not called then.
#[inline(always)]
pub(crate) fn decode_into(frame: &Frame<'_>, sink: &mut impl SummarySink) -> Result<(), Skip> {
    if fast::summarize(frame, sink).is_none() {
        let Frame { frame_len, link, segmentation, .. } = *frame;
        sink.take(decode_parts(frame.captured(), frame_len, link, segmentation)?);
    }
    Ok(())
}

/// Decodes one frame on the general path, which handles every frame. The result equals that of [`decode`], which the
/// tests and the fuzzer verify.
///
/// ```
/// # use traffic_alerted::packet::{Direction, Frame, LinkKind, Segmentation, decode, decode_general};
/// # use traffic_alerted::time::UnixNanos;
/// # let frame = Frame {
/// #     bytes: &[0; 60],
/// #     frame_len: 60,
/// #     seen_at: UnixNanos(0),
/// #     ifindex: 1,
/// #     link: LinkKind::Ethernet,
/// #     direction: Direction::Ingress,
/// #     segmentation: Segmentation::None,
/// # };
/// assert_eq!(decode_general(&frame), decode(&frame));
/// ```
///
/// # Errors
/// The reason why the frame holds no IP packet that could be counted.
pub fn decode_general(frame: &Frame<'_>) -> Result<Summary, Skip> {
    decode_parts(frame.captured(), frame.frame_len, frame.link, frame.segmentation)
}

/// Decodes a frame on the general path. It takes the fields of the frame and not a reference, so that the frame stays
/// in registers on the fast path.
#[inline(never)]
fn decode_parts(
    captured: &[u8],
    frame_len: u32,
    link: LinkKind,
    segmentation: Segmentation,
) -> Result<Summary, Skip> {
    let (ip_version, from_header) = locate_ip(link, captured)?;
    #[allow(
        clippy::cast_possible_truncation,
        reason = "`captured` is at most as long as the frame, whose length is a u32"
    )]
    let link_len = (captured.len() - from_header.len()) as u32;
    let in_frame = frame_len - link_len;
    let summary = match ip_version {
        IpVersion::V4 => ipv4::summarize(from_header, in_frame),
        IpVersion::V6 => ipv6::summarize(from_header, in_frame),
    }?;
    Ok(match &segmentation {
        Segmentation::None => summary,
        Segmentation::Unknown => Summary { segments_unknown: true, ..summary },
        Segmentation::Into(cut) => {
            segments::on_the_wire(summary, cut, ip_version, from_header, link_len as usize)
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::cast_possible_truncation, reason = "the frames of these tests are short")]

    use super::*;
    use crate::packet::Direction;
    use crate::time::UnixNanos;

    /// An Ethernet frame of 60 bytes: a TCP packet of 40 bytes and 6 bytes of padding.
    const ACK: [u8; 60] = {
        let mut frame = [0; 60];
        let header = [
            2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00, // Ethernet
            0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, // IPv4, total length 40
            192, 0, 2, 1, 198, 51, 100, 1, // addresses
            0xc0, 0x00, 0x01, 0xbb, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 1, 0, 0, 0, 0, 0, // TCP, ACK
        ];
        let mut at = 0;
        while at < header.len() {
            frame[at] = header[at];
            at += 1;
        }
        frame
    };

    fn frame(bytes: &[u8]) -> Frame<'_> {
        Frame {
            bytes,
            frame_len: bytes.len() as u32,
            seen_at: UnixNanos(7),
            ifindex: 3,
            link: LinkKind::Ethernet,
            direction: Direction::Egress,
            segmentation: Segmentation::None,
        }
    }

    #[test]
    fn padding_does_not_count_on_either_path() {
        assert_eq!(decode(&frame(&ACK)).map(|summary| summary.ip_bytes), Ok(40));
        assert_eq!(decode(&frame(&ACK)), decode_general(&frame(&ACK)));
        assert!(fast::summarize(&frame(&ACK), &mut None).is_some(), "a plain frame takes the fast path");
    }

    #[test]
    fn cut_frames_count_in_full_on_both_paths() {
        for captured in 0..=ACK.len() {
            let cut = Frame { frame_len: 60, ..frame(&ACK[..captured]) };
            assert_eq!(decode(&cut), decode_general(&cut), "{captured} bytes captured");
            match captured {
                0..14 => assert_eq!(decode(&cut), Err(Skip::LinkTruncated)),
                14..34 => assert_eq!(decode(&cut), Err(Skip::IpTruncated)),
                _ => assert_eq!(decode(&cut).map(|summary| summary.ip_bytes), Ok(40)),
            }
        }
    }

    #[test]
    fn bytes_past_the_frame_are_ignored() {
        for frame_len in 0..60 {
            let longer = Frame { frame_len, ..frame(&ACK) };
            let exact = frame(&ACK[..frame_len as usize]);
            assert_eq!(decode(&longer), decode(&exact), "frame of {frame_len} bytes");
        }
    }
}
