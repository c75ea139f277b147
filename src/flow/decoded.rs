//! A decoded packet on its way into a delta.

use crate::packet::Summary;
use crate::time::UnixNanos;

use super::contact::Opening;
use super::delta::Delta;
use super::interfaces::Crossing;
use super::table::Place;

/// A decoded packet, and what it is taken for. Several are counted together by [`Delta::take_all`].
#[derive(Clone, Copy, Debug)]
pub struct Decoded {
    pub(super) crossing: Crossing,
    pub(super) summary: Summary,
    pub(super) seen_at: UnixNanos,
    /// What it says about who began, once that was read.
    pub(super) opening: Opening,
    pub(super) pair_hash: u64,
    pub(super) place: Place,
    /// Of the port that it is a word to, where ports are analysed.
    pub(super) port_hash: u64,
    pub(super) port_place: Place,
    pub(super) is_evidence: bool,
    pub(super) is_received: bool,
}

impl Decoded {
    /// A packet that crossed here and was seen then, to be counted by `delta`, which has its memory be fetched.
    #[inline(always)]
    pub fn new(delta: &Delta, crossing: Crossing, summary: Summary, seen_at: UnixNanos) -> Self {
        let pair_hash = delta.expect(&summary.endpoints);
        Self {
            crossing,
            opening: Opening::None,
            summary,
            seen_at,
            pair_hash,
            place: Place::NONE,
            port_hash: 0,
            port_place: Place::NONE,
            is_evidence: false,
            is_received: false,
        }
    }

    /// Whether it is counted elsewhere, and evidence here; see [`Delta::take_all`].
    #[inline(always)]
    #[must_use]
    pub fn as_evidence(self, is_evidence: bool) -> Self {
        Self { is_evidence, ..self }
    }

    /// Whether its destination receives it, which is counted besides.
    #[inline(always)]
    #[must_use]
    pub fn as_received(self, is_received: bool) -> Self {
        Self { is_received, ..self }
    }
}
