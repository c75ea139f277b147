//! From a frame to a [`Summary`].

use super::{Frame, Skip, Summary};

/// Decodes one frame.
///
/// # Errors
/// The reason why the frame holds no IP packet that could be counted.
pub fn decode(frame: &Frame<'_>) -> Result<Summary, Skip> {
    let _ = frame;
    Err(Skip::NotIp)
}
