//! One shape for live capture and replay: lend the next batch of frames.

use std::net::IpAddr;

use crate::packet::{Direction, Frame, Skip};

/// Something that lends frames, a batch at a time.
pub trait FrameSource {
    /// Some frames, valid until the batch is dropped.
    type Batch<'s>: Batch
    where
        Self: 's;
    /// Why no further batch can be had.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The next batch if one is there now, without waiting.
    ///
    /// # Errors
    /// Whatever keeps the source from ever lending another frame.
    fn next_batch(&mut self) -> Result<Option<Self::Batch<'_>>, Self::Error>;
}

/// Frames that are lent together: a ring block, or a run of records of a capture file. Dropping it hands
/// them back.
pub trait Batch {
    /// Walks the frames in order of arrival.
    type Frames<'b>: Iterator<Item = Frame<'b>>
    where
        Self: 'b;

    /// The frames; they borrow the batch, so none outlives the hand-back.
    fn frames(&self) -> Self::Frames<'_>;

    /// What frames of this batch are for that crossed an interface in this direction. A capture file has one vantage
    /// point, so there every frame counts.
    fn verdict(&self, ifindex: u32, direction: Direction) -> Verdict {
        let _ = (ifindex, direction);
        Verdict::Count
    }

    /// Whether the packet in a frame of this batch is seen once more on a PPP interface that is monitored: the frame is
    /// of a PPPoE session, and came for this host or left it.
    fn is_own_pppoe(&self, frame: &Frame<'_>) -> bool {
        let _ = frame;
        false
    }

    /// Whether frames of this direction show what their destinations receive, if that is asked for: once for each packet.
    /// In a capture file all of them do.
    fn arrives(&self, direction: Direction) -> bool {
        let _ = direction;
        true
    }

    /// Whether `addr` is an address of this host, as [`Verdict::CountIfOwn`] asks.
    fn is_own(&self, addr: IpAddr) -> bool {
        let _ = addr;
        false
    }
}

/// What a frame is for, by where and which way it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is counted.
    Count,
    /// It is counted if its source is an address of this host, and evidence otherwise; see [`Batch::is_own`].
    CountIfOwn,
    /// It tells who answered whom and is counted elsewhere: [`Skip::Egress`] in the sums.
    ObserveOnly,
    /// It is not looked at.
    Skip(Skip),
}
