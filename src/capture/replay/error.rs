//! Why a capture cannot be read on.

use std::io;

/// Why a capture file cannot be read, or not to its end. What stood before the fault has been lent.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The system refused to open it.
    #[error("cannot open capture {name}; check the path and that this user may read it")]
    Open {
        /// The path.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The system refused to read it.
    #[error("cannot read capture {name} at byte {offset}; check that it is a file and its disk is sound")]
    Read {
        /// The path.
        name: String,
        /// Offset of the first byte that could not be read.
        offset: u64,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is nothing in it.
    #[error(
        "capture {name} is empty; expected a pcap or pcapng file, which has a header even without packets"
    )]
    Empty {
        /// The path.
        name: String,
    },
    /// It begins like no capture file.
    #[error("{name} is no capture: expected the magic number of pcap or pcapng, found {found}; {remedy}")]
    NotACapture {
        /// The path.
        name: String,
        /// The first bytes, in hexadecimal.
        found: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// It ends in the middle of something.
    #[error(
        "capture {name} is cut short at byte {offset}: expected {expected} of {needed} bytes, {left} are left; \
         what stands before is counted, capture or copy the file again to have the rest"
    )]
    CutShort {
        /// The path.
        name: String,
        /// Offset of what is cut.
        offset: u64,
        /// What stands there.
        expected: &'static str,
        /// Bytes that it needs.
        needed: usize,
        /// Bytes that are left in the file.
        left: usize,
    },
    /// Something in it cannot be what it claims.
    #[error(
        "capture {name} is corrupt at byte {offset}: expected {expected}, found {found}; \
         what stands before is counted, copy the file again or repair it to have the rest"
    )]
    Corrupt {
        /// The path.
        name: String,
        /// Offset of the record or block.
        offset: u64,
        /// What should stand there.
        expected: &'static str,
        /// What stands there instead.
        found: String,
    },
}
