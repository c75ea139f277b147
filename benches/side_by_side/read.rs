//! The floor of reading a capture: walks its records, with one table update per record.

use std::fs::File;
use std::io::{Read, Write, stdout};
use std::path::Path;

use anyhow::{Context, ensure};

use crate::pair_table::PairTable;

/// Binary logarithm of the number of slots of the table: four million slots for a million pairs.
const TABLE_BITS: u32 = 22;
/// Bytes read at once. More would not fit the second-level cache.
const BUFFER_BYTES: usize = 1 << 20;
const FILE_HEADER_BYTES: usize = 24;
const RECORD_HEADER_BYTES: usize = 16;
const ETHERNET_BYTES: usize = 14;

/// Walks a little-endian pcap of Ethernet frames, and prints the counts.
pub(crate) fn read(path: &Path) -> anyhow::Result<()> {
    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut header = [0; FILE_HEADER_BYTES];
    file.read_exact(&mut header)?;
    ensure!(header[..4] == 0xa1b2_c3d4_u32.to_le_bytes(), "{} is no pcap of ours", path.display());
    let mut table = PairTable::new(TABLE_BITS);
    let mut buffer = vec![0; BUFFER_BYTES];
    let (mut packets, mut end) = (0_u64, 0);
    loop {
        let got = file.read(&mut buffer[end..])?;
        if got == 0 {
            break;
        }
        end += got;
        let mut at = 0;
        while let Some((header, body)) = buffer[at..end].split_first_chunk::<RECORD_HEADER_BYTES>() {
            let word =
                |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
            let Some(frame) = body.get(..word(8) as usize) else { break };
            packets += 1;
            table.add(frame.get(ETHERNET_BYTES..).unwrap_or_default(), word(12));
            at += RECORD_HEADER_BYTES + frame.len();
        }
        // The rest of the buffer is the beginning of a record that was not read completely.
        buffer.copy_within(at..end, 0);
        end -= at;
    }
    let (pairs, bytes) = table.sums();
    writeln!(stdout(), "packets {packets} pairs {pairs} bytes {bytes}")?;
    Ok(())
}
