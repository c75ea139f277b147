//! Capture files from their fields, in either byte order.

/// The order in which numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) big_endian: bool,
}

pub(crate) const LITTLE: Order = Order { big_endian: false };
pub(crate) const BIG: Order = Order { big_endian: true };

/// Magic numbers of pcap.
pub(crate) const MICROSECONDS: u32 = 0xa1b2_c3d4;
pub(crate) const NANOSECONDS: u32 = 0xa1b2_3c4d;
pub(crate) const MODIFIED: u32 = 0xa1b2_cd34;

impl Order {
    pub(crate) fn u16(self, value: u16) -> [u8; 2] {
        if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    pub(crate) fn u32(self, value: u32) -> [u8; 4] {
        if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    pub(crate) fn i64(self, value: i64) -> [u8; 8] {
        if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    pub(crate) fn u32s(self, values: &[u32]) -> Vec<u8> {
        values.iter().flat_map(|&value| self.u32(value)).collect()
    }

    pub(crate) fn pcap_header(self, magic: u32, link_type: u32) -> Vec<u8> {
        let version = [self.u16(2), self.u16(4)].concat();
        [self.u32(magic).to_vec(), version, self.u32s(&[0, 0, 65_535, link_type])].concat()
    }

    pub(crate) fn pcap_record(self, seconds: u32, fraction: u32, original: u32, bytes: &[u8]) -> Vec<u8> {
        [self.u32s(&[seconds, fraction, bytes.len() as u32, original]), bytes.to_vec()].concat()
    }

    pub(crate) fn block(self, kind: u32, content: &[u8]) -> Vec<u8> {
        let padded = content.len().next_multiple_of(4);
        let len = self.u32(padded as u32 + 12);
        let mut block = [self.u32(kind), len].concat();
        block.extend(content);
        block.resize(8 + padded, 0);
        block.extend(len);
        block
    }

    pub(crate) fn section(self) -> Vec<u8> {
        let version = [self.u16(1), self.u16(0)].concat();
        self.block(0x0a0d_0d0a, &[self.u32(0x1a2b_3c4d).to_vec(), version, vec![0xff; 8]].concat())
    }

    pub(crate) fn interface(self, link_type: u16, snap_len: u32, options: &[u8]) -> Vec<u8> {
        let fixed = [self.u16(link_type), self.u16(0)].concat();
        self.block(1, &[&fixed, &self.u32(snap_len)[..], options].concat())
    }

    pub(crate) fn option(self, code: u16, value: &[u8]) -> Vec<u8> {
        let mut option = [self.u16(code), self.u16(value.len() as u16)].concat();
        option.extend(value);
        option.resize(4 + value.len().next_multiple_of(4), 0);
        option
    }

    pub(crate) fn enhanced(self, interface: u32, time: u64, original: u32, bytes: &[u8]) -> Vec<u8> {
        let words = [interface, (time >> 32) as u32, time as u32, bytes.len() as u32, original];
        self.block(6, &[&self.u32s(&words), bytes].concat())
    }

    pub(crate) fn simple(self, original: u32, bytes: &[u8]) -> Vec<u8> {
        self.block(3, &[&self.u32(original), bytes].concat())
    }

    pub(crate) fn obsolete(self, interface: u16, time: u64, original: u32, bytes: &[u8]) -> Vec<u8> {
        let head = [self.u16(interface), self.u16(0xffff)].concat();
        let words = [(time >> 32) as u32, time as u32, bytes.len() as u32, original];
        self.block(2, &[&head, &self.u32s(&words), bytes].concat())
    }
}

/// A gzip file of one member whose blocks are stored as they are, so that no version of a compressor changes it.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut chunks = bytes.chunks(u16::MAX.into()).peekable();
    while let Some(chunk) = chunks.next() {
        let len = chunk.len() as u16;
        file.push(u8::from(chunks.peek().is_none()));
        file.extend([len.to_le_bytes(), (!len).to_le_bytes()].concat());
        file.extend(chunk);
    }
    file.extend([crc32(bytes).to_le_bytes(), (bytes.len() as u32).to_le_bytes()].concat());
    file
}

/// The checksum of RFC 1952, 8.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
    })
}

/// A zstd frame with a window of 1 KiB and blocks that are stored as they are (RFC 8878, 3.1.1).
pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0];
    let mut chunks = bytes.chunks(1024).peekable();
    while let Some(chunk) = chunks.next() {
        let header = (chunk.len() as u32) << 3 | u32::from(chunks.peek().is_none());
        file.extend(&header.to_le_bytes()[..3]);
        file.extend(chunk);
    }
    file
}
