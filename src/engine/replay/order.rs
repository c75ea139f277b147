//! The order in which captures are read: that of their first frames.

use std::path::PathBuf;

use crate::capture::first_frame_time;

/// Returns the captures in the order of the times of their first frames. Captures with equal times keep their order.
/// Standard input, pipes, and files that have no frame or cannot be read keep their place.
pub(super) fn by_first_frame(captures: &[PathBuf]) -> Vec<PathBuf> {
    if captures.len() < 2 {
        return captures.to_vec();
    }
    // An error is reported when the capture is read.
    let times: Vec<_> = captures.iter().map(|path| first_frame_time(path).ok().flatten()).collect();
    let mut timed: Vec<_> =
        times.iter().zip(captures).filter_map(|(&time, path)| Some((time?, path))).collect();
    timed.sort_by_key(|&(time, _)| time);
    let mut timed = timed.into_iter().map(|(_, path)| path);
    let in_order = times.iter().zip(captures).map(|(time, path)| match time {
        Some(_) => timed.next().unwrap_or(path),
        None => path,
    });
    in_order.cloned().collect()
}
