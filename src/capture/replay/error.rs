//! Errors of replay. Each message names the file and the likely remedy.

use std::io;

/// The reason why a capture file cannot be read, or cannot be read to its end. The frames before the fault were lent.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file cannot be opened.
    #[error("cannot open capture {name}; check the path and that this user may read it")]
    Open {
        /// The path.
        name: String,
        /// The error of the system.
        #[source]
        source: io::Error,
    },
    /// The file cannot be read.
    #[error("cannot read capture {name} at byte {offset}; check that it is a file and its disk is sound")]
    Read {
        /// The path.
        name: String,
        /// Offset of the first byte that could not be read.
        offset: u64,
        /// The error of the system.
        #[source]
        source: io::Error,
    },
    /// The file is empty.
    #[error(
        "capture {name} is empty; expected a pcap or pcapng file, which has a header even without packets"
    )]
    Empty {
        /// The path.
        name: String,
    },
    /// The file does not begin with a magic number of a capture.
    #[error("{name} is no capture: expected the magic number of pcap or pcapng, found {found}; {remedy}")]
    NotACapture {
        /// The path.
        name: String,
        /// The first bytes, in hexadecimal.
        found: String,
        /// What the file is, and the command that makes a capture of it.
        remedy: String,
    },
    /// The file is of a version of pcap that is not read.
    #[error("capture {name} is of pcap version {major}.{minor}, versions 2.0 to 2.4 are read: {remedy}")]
    Version {
        /// The path.
        name: String,
        /// The command that converts the file and reads it.
        remedy: String,
        /// The version before the point.
        major: u16,
        /// The version after the point.
        minor: u16,
    },
    /// The file is compressed, and its compressed bytes are faulty.
    #[error(
        "capture {name} cannot be decompressed from byte {offset} on: {reason}; what stands before is counted, \
         `{command}` checks the file, copy it again to have the rest"
    )]
    Decompress {
        /// The path.
        name: String,
        /// Offset of the fault in the compressed bytes.
        offset: u64,
        /// What is wrong.
        reason: String,
        /// The command that checks the file.
        command: String,
    },
    /// The file ends within a header, record or block.
    #[error(
        "capture {name} is cut short at byte {offset}: expected {expected} of {needed} bytes, {left} are left; \
         what stands before is counted, capture or copy the file again to have the rest"
    )]
    CutShort {
        /// The path.
        name: String,
        /// Offset of the header, record or block.
        offset: u64,
        /// What is at that offset.
        expected: &'static str,
        /// Bytes that it needs.
        needed: usize,
        /// Bytes that are left in the file.
        left: usize,
    },
    /// A record or block violates the format.
    #[error(
        "capture {name} is corrupt at byte {offset}: expected {expected}, found {found}; \
         what stands before is counted, copy the file again or repair it to have the rest"
    )]
    Corrupt {
        /// The path.
        name: String,
        /// Offset of the record or block.
        offset: u64,
        /// What the format requires.
        expected: &'static str,
        /// What the file has.
        found: String,
    },
}
