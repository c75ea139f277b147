//! Writes capture files with generated packets.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::flows::{FRAME_BYTES, Flows, Load, address, frame};

/// Packets per second of capture time.
const RATE: u64 = 200_000;
/// Each frame is longer than the smallest by a random number of bytes below this.
const PADDING_MAX: u32 = 37;

/// Writes a pcap of UDP packets of 64 to 100 bytes.
pub(crate) fn write(path: &Path, load: Load, packets: u64) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        out.write_all(&word.to_le_bytes())?;
    }
    let mut flows = Flows::new(load);
    let mut frame = frame();
    for number in 0..packets {
        let padding = flows.below(PADDING_MAX) as usize;
        let pair = flows.next();
        let bytes = FRAME_BYTES + padding;
        address(&mut frame, pair, bytes);
        let micros = number * 1_000_000 / RATE;
        let seconds = 1_790_000_000 + micros / 1_000_000;
        for word in [seconds as u32, (micros % 1_000_000) as u32, bytes as u32, bytes as u32] {
            out.write_all(&word.to_le_bytes())?;
        }
        out.write_all(&frame)?;
        out.write_all(&[0; PADDING_MAX as usize][..padding])?;
    }
    out.flush()
}
