//! The two formats of capture files as one.

use super::cooked::is_cooked;
use super::notes::Notes;
use super::pcap::Pcap;
use super::pcapng::Pcapng;
use super::record::{Fault, ReadStep};

/// The format of a file, and the state of reading it.
#[derive(Clone, Debug)]
pub(super) enum FileFormat {
    Pcap(Pcap),
    Pcapng(Pcapng),
}

impl FileFormat {
    /// Parses the record or block that `bytes` begin with.
    pub(super) fn step(&mut self, bytes: &[u8], notes: &mut Notes) -> Result<ReadStep, Fault> {
        match self {
            Self::Pcap(pcap) => pcap.step(bytes),
            Self::Pcapng(pcapng) => pcapng.step(bytes, notes),
        }
    }

    /// Returns true if the records may state directions.
    pub(super) fn may_state_directions(&self) -> bool {
        match self {
            Self::Pcap(pcap) => is_cooked(pcap.link()),
            Self::Pcapng(_) => true,
        }
    }
}
