//! One shape for live capture and replay: lend the next batch of frames.

use crate::packet::Frame;

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
}
