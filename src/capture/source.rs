//! The interface that live capture and replay have in common: batches of frames, and the verdict on a frame.
//!
//! This file does not contain a source of frames, or what is counted of a frame.

use std::net::IpAddr;

use crate::packet::{Direction, Frame, Skip};

/// A source of frames, which lends one batch of them at a time.
pub trait FrameSource {
    /// A batch of frames. They are valid until the batch is dropped.
    type Batch<'s>: Batch
    where
        Self: 's;
    /// The reason why the source has failed.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Returns the next batch. In live capture `None` means that there is none now; in replay it is the end of the
    /// file.
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

    /// True if every frame counts, so that no verdict is asked for.
    const COUNTS_ALL: bool = false;

    /// Returns the frames in order of arrival.
    fn frames(&self) -> Self::Frames<'_>;

    /// Returns the verdict on frames of this batch that crossed an interface in this direction. Unless a source has
    /// other verdicts, every frame counts.
    fn verdict(&self, ifindex: u32, direction: Direction) -> Verdict {
        let _ = (ifindex, direction);
        Verdict::Count
    }

    /// Returns true if a frame of this batch is part of a PPPoE session that ends at this machine, and a PPP interface
    /// is monitored: the packet in the frame is captured on that interface too.
    fn is_own_pppoe(&self, frame: &Frame<'_>) -> bool {
        let _ = frame;
        false
    }

    /// Returns true if a frame of this direction counts towards the bytes received by its destination. Each packet has
    /// one such frame.
    fn counts_as_received(&self, direction: Direction) -> bool {
        let _ = direction;
        true
    }

    /// Returns true if a frame of this batch is for a station that a device above its interface has, for
    /// [`Verdict::CountForDeviceAbove`].
    fn is_for_device_above(&self, frame: &Frame<'_>) -> bool {
        let _ = frame;
        true
    }

    /// Returns true if the packet of a frame that enters this interface in this direction is seen again when it leaves,
    /// since this machine forwards it. `dst` is its destination.
    fn is_seen_leaving(&self, ifindex: u32, direction: Direction, dst: IpAddr) -> bool {
        let _ = (ifindex, direction, dst);
        false
    }

    /// Returns true if `addr` is an address of this machine, for [`Verdict::CountIfOwn`].
    fn is_own(&self, addr: IpAddr) -> bool {
        let _ = addr;
        false
    }
}

/// What is done with a frame; it depends on the interface and the direction of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The frame counts.
    Count,
    /// The frame counts if its source is an address of this machine ([`Batch::is_own`]); otherwise it is only observed.
    CountIfOwn,
    /// The frame is for another station. It counts if a device above the interface has that address
    /// ([`Batch::is_for_device_above`]); otherwise it is a [`Skip::OtherStation`].
    CountForDeviceAbove,
    /// The frame is only decoded to see whether a contact is answered; its packet counts on another interface. In the
    /// sums it is a [`Skip::Egress`].
    ObserveOnly,
    /// The frame is not decoded, for this reason.
    Skip(Skip),
}
