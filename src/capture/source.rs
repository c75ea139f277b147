//! The interface that live capture and replay have in common: batches of frames, and the verdict on a frame.
//!
//! It knows nothing of where frames come from or what is counted.

use std::net::IpAddr;

use crate::packet::{Direction, Frame, Skip};

/// A source of frames, which lends them a batch at a time.
pub trait FrameSource {
    /// A batch of frames. They are valid until the batch is dropped.
    type Batch<'s>: Batch
    where
        Self: 's;
    /// Why there is no further batch.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Returns the next batch, or `None` if there is none now.
    ///
    /// # Errors
    /// The source has failed and will lend no further frame.
    fn next_batch(&mut self) -> Result<Option<Self::Batch<'_>>, Self::Error>;
}

/// Frames that are lent together: a ring block, or consecutive records of a capture file. Dropping it returns them.
pub trait Batch {
    /// Iterator over the frames in order of arrival.
    type Frames<'b>: Iterator<Item = Frame<'b>>
    where
        Self: 'b;

    /// Returns the frames in order of arrival.
    fn frames(&self) -> Self::Frames<'_>;

    /// Returns the verdict on frames of this batch that crossed an interface in this direction. Every frame of a
    /// capture file counts, since it was captured at one point.
    fn verdict(&self, ifindex: u32, direction: Direction) -> Verdict {
        let _ = (ifindex, direction);
        Verdict::Count
    }

    /// Returns true if the packet in a frame of this batch is captured on a monitored PPP interface too: the frame is
    /// part of a PPPoE session that ends at this host.
    fn is_own_pppoe(&self, frame: &Frame<'_>) -> bool {
        let _ = frame;
        false
    }

    /// Returns true if frames of this direction count as received by their destination, once for each packet. All
    /// frames of a capture file do.
    fn arrives(&self, direction: Direction) -> bool {
        let _ = direction;
        true
    }

    /// Returns true if `addr` is an address of this host, for [`Verdict::CountIfOwn`].
    fn is_own(&self, addr: IpAddr) -> bool {
        let _ = addr;
        false
    }
}

/// What becomes of a frame, by its interface and direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The frame counts.
    Count,
    /// The frame counts if its source is an address of this host; otherwise it is only observed. See
    /// [`Batch::is_own`].
    CountIfOwn,
    /// The frame shows whether a contact is answered, and its packet counts on another interface. It is
    /// [`Skip::Egress`] in the sums.
    ObserveOnly,
    /// The frame is not decoded, for this reason.
    Skip(Skip),
}
