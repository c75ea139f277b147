//! Files that are not captures of a format that is read: what they are, by their first bytes, and what to do.

use super::compression::Compression;
use super::name::{CONVERT, piped};

/// Returns a sentence on what a file is and on the command that makes a capture of it. `bytes` are its first bytes, of
/// which `outer` has been decompressed.
pub(super) fn remedy(name: &str, bytes: &[u8], outer: Option<Compression>) -> String {
    let piped = |command: &str| piped(name, outer, command);
    if let Some((_, what, command)) = COMPRESSED.iter().find(|(magic, ..)| bytes.starts_with(magic)) {
        return format!("it is compressed with {what}: {}", piped(command));
    }
    // Gzip and zstd are decompressed once.
    if let Some(compression) = Compression::of(bytes) {
        return format!("it is compressed twice: {}", piped(&format!("{} -dc FILE", compression.name())));
    }
    if let Some((_, what)) = FORMATS.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return format!("it is {what}: {}", piped(CONVERT));
    }
    if MANGLED_PCAPNG.iter().any(|magic| bytes.starts_with(magic)) {
        return "it is a pcapng file in which line ends were changed, as a transfer of text does: copy it again as \
                binary"
            .to_owned();
    }
    if is_erf(bytes) {
        return format!("it may be an ERF file: {}", piped(CONVERT));
    }
    if is_text(bytes) {
        return format!("it is text; if it is a hex dump of packets: {}", piped("text2pcap FILE -"));
    }
    format!("if it is a capture of another format: {}", piped(CONVERT))
}

/// Returns true if the first record is one of the Extensible Record Format, which has no magic number.
///
/// ```text
/// fraction (4) | seconds (4, little-endian) | type (1) | flags (1) | record length (2) | lost (2) | wire length (2)
/// ```
fn is_erf(bytes: &[u8]) -> bool {
    let Some(&[_, _, _, _, s0, s1, s2, s3, kind, _, l1, l0, ..]) = bytes.first_chunk::<16>() else {
        return false;
    };
    let (seconds, len) = (u32::from_le_bytes([s0, s1, s2, s3]), u16::from_be_bytes([l1, l0]));
    (1..=48).contains(&(kind & 0x7f)) && len >= 16 && (ERF_SECONDS_MIN..ERF_SECONDS_MAX).contains(&seconds)
}

/// Returns true if the bytes are text in UTF-8, which may be cut within a character.
fn is_text(bytes: &[u8]) -> bool {
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_some() => return false,
        Err(error) => std::str::from_utf8(bytes.get(..error.valid_up_to()).unwrap_or(&[])).unwrap_or(""),
    };
    !valid.is_empty() && valid.chars().all(|char| !char.is_control() || "\t\n\r\u{c}\u{1b}".contains(char))
}

/// Number of first bytes that [`remedy`] needs.
pub(super) const FIRST_BYTES: usize = 512;

/// Magic numbers of compressions, their names and the commands that decompress a file.
const COMPRESSED: &[(&[u8], &str, &str)] = &[
    (b"\xfd7zXZ\0", "xz", "xz -dc FILE"),
    (b"\x5d\0\0", "lzma", "xz -dc FILE"),
    (b"BZh", "bzip2", "bzip2 -dc FILE"),
    (b"\x04\x22\x4d\x18", "lz4", "lz4 -dc FILE"),
    (b"LZIP", "lzip", "lzip -dc FILE"),
    (b"\x89LZO\0\r\n\x1a\n", "lzop", "lzop -dc FILE"),
    (b"\x1f\x9d", "compress", "gzip -dc FILE"),
    (b"\xff\x06\0\0sNaPpY", "snappy", "snzip -dc FILE"),
    (b"7z\xbc\xaf\x27\x1c", "7z", "7z x -so FILE"),
    (b"PK\x03\x04", "zip", "unzip -p FILE"),
    (b"Rar!\x1a\x07", "rar", "unrar p -inul FILE"),
];

/// Magic numbers of formats that editcap(1) of Wireshark converts, and what they are.
const FORMATS: &[(&[u8], &str)] = &[
    (b"snoop\0\0\0", "a snoop file (RFC 1761)"),
    (b"GMBU", "a file of Microsoft Network Monitor 2"),
    (b"RTSS", "a file of Microsoft Network Monitor 1"),
    (b"TRSNIFF data    \x1a", "a file of Sniffer"),
    (b"XCP\0", "a file of NetXRay or Sniffer"),
    (b"iptrace ", "an iptrace file of AIX"),
    (b"btsnoop\0", "a btsnoop file of Bluetooth"),
    (b"ObserverPktBuffe", "a file of Observer"),
    (b"\x7fver", "a file of EtherPeek or OmniPeek"),
    (b"\x05VNF", "a file of VisualNetworks"),
    (b"\xa1\xe2\xcb\x12", "a pcap file of Navtel"),
    (b"\xd4\xcb\xe2\xa1", "a pcap file of Navtel"),
];

/// The beginning of a section header, `0a 0d 0d 0a`, after line ends were changed in three ways.
const MANGLED_PCAPNG: &[&[u8]] =
    &[b"\x0a\x0a\x0a", b"\x0d\x0a\x0d\x0d\x0a", b"\x0d\x0d\x0d\x0d", b"\x0a\x0d\x0a"];

/// Years 1995 to 2055.
const ERF_SECONDS_MIN: u32 = 788_918_400;
const ERF_SECONDS_MAX: u32 = 2_682_374_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_recognized_by_their_first_bytes() {
        let erf = [0, 0, 0, 0, 0, 0, 0, 0x60, 2, 4, 0, 80, 0, 0, 0, 60];
        for (bytes, expected) in [
            (&b"BZh91AY"[..], "compressed with bzip2: `bzip2 -dc f |"),
            (b"7z\xbc\xaf\x27\x1c\0\x04", "compressed with 7z: `7z x -so f |"),
            (b"PK\x03\x04\x14", "compressed with zip: `unzip -p f |"),
            (b"snoop\0\0\0\0\0\0\x02", "a snoop file (RFC 1761): `editcap -F pcap f - |"),
            (b"GMBU\0\x02", "Microsoft Network Monitor 2"),
            (b"\x0a\x0a\x0a\x1c", "copy it again as binary"),
            (&erf, "it may be an ERF file: `editcap"),
            ("Uhrzeit 12:00 für".as_bytes(), "it is text"),
            (&"ü".as_bytes()[..1], "if it is a capture of another format"),
            (b"\0\x01\x02\x03", "if it is a capture of another format: `editcap -F pcap f -"),
        ] {
            let said = remedy("f", bytes, None);
            assert!(said.contains(expected), "{said}");
        }
    }
}
