//! The rule that derives the bytes of a packet from its declared length and the frame length; [the module](super) has a
//! drawing.

use super::summary::Skip;

/// The length of a packet by the rule, and a flag for an inconsistent header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PacketLength {
    /// Bytes of the packet that count: IP header and payload.
    pub(super) ip_bytes: u32,
    /// True if the header declares more bytes than the frame holds.
    pub(super) mismatch: bool,
}

impl PacketLength {
    /// Returns the captured bytes of the packet, without padding. `from_header` has the captured bytes of the frame
    /// from the IP header on.
    pub(super) fn clip(self, from_header: &[u8]) -> &[u8] {
        let len = usize::try_from(self.ip_bytes).unwrap_or(usize::MAX);
        from_header.get(..len).unwrap_or(from_header)
    }
}

/// Applies the rule. `declared` is the packet length that the header declares, `header_len` is the length of the header
/// itself, and `in_frame` is the number of bytes of the frame from the IP header on, captured or not. If `declared` is
/// 0, `in_frame` counts.
///
/// # Errors
/// [`Skip::IpTotalLength`] if the packet would be shorter than its header.
pub(super) fn packet_length(declared: u64, header_len: u32, in_frame: u32) -> Result<PacketLength, Skip> {
    match u32::try_from(declared) {
        // The network card will cut the packet into segments and write their lengths (TSO, BIG TCP).
        Ok(0) if in_frame >= header_len => Ok(PacketLength { ip_bytes: in_frame, mismatch: false }),
        Ok(declared) if declared < header_len => Err(Skip::IpTotalLength),
        Ok(declared) if declared <= in_frame => Ok(PacketLength { ip_bytes: declared, mismatch: false }),
        _ => Ok(PacketLength { ip_bytes: in_frame, mismatch: true }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declared_length_counts_unless_it_is_0_or_exceeds_the_frame() {
        let counted = |ip_bytes| Ok(PacketLength { ip_bytes, mismatch: false });
        let mismatched = |ip_bytes| Ok(PacketLength { ip_bytes, mismatch: true });
        for (declared, header_len, in_frame, expected) in [
            (40, 20, 46, counted(40)),
            (46, 20, 46, counted(46)),
            (47, 20, 46, mismatched(46)),
            (20, 20, 46, counted(20)),
            (19, 20, 46, Err(Skip::IpTotalLength)),
            (59, 60, 1500, Err(Skip::IpTotalLength)),
            (0, 20, 65_226, counted(65_226)),
            (0, 60, 59, Err(Skip::IpTotalLength)),
            (60, 60, 30, mismatched(30)),
            (u64::from(u32::MAX) + 40, 40, 262_130, mismatched(262_130)),
        ] {
            assert_eq!(
                packet_length(declared, header_len, in_frame),
                expected,
                "declared {declared}, header {header_len}, in frame {in_frame}"
            );
        }
    }

    #[test]
    fn padding_is_clipped_and_a_cut_packet_is_kept() {
        let length = PacketLength { ip_bytes: 3, mismatch: false };
        assert_eq!(length.clip(&[1, 2, 3, 0, 0]), [1, 2, 3]);
        assert_eq!(length.clip(&[1]), [1]);
    }
}
