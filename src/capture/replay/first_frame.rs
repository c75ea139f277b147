//! The time of the first frame of a capture file, by which files are put in order before they are replayed.

use std::fs;
use std::path::Path;

use super::{Replay, ReplayError};
use crate::capture::source::{Batch, FrameSource};
use crate::time::UnixNanos;

/// Returns the time of the first frame of a capture file that has one; `None` if there is none among the first
/// 4096 frames.
///
/// Only regular files are read. For standard input (`-`), a pipe or a device the result is `None`, since bytes that are
/// read from them are gone.
///
/// # Errors
/// The file cannot be opened or read, is not a capture, or is faulty before its first frame.
pub fn first_frame_time(path: &Path) -> Result<Option<UnixNanos>, ReplayError> {
    // A path without metadata cannot be opened either, and opening it returns an error that says so.
    if path == Path::new("-") || fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Ok(None);
    }
    let mut replay = Replay::open(path)?;
    let mut frames_left = FRAMES_MAX;
    while let Some(batch) = replay.next_batch()? {
        // A simple packet of pcapng has no time of its own. At the beginning of a file it has time 0.
        if let Some(frame) = batch.frames().find(|frame| frame.seen_at > UnixNanos(0)) {
            return Ok(Some(frame.seen_at));
        }
        frames_left = frames_left.saturating_sub(batch.frames().len());
        if frames_left == 0 {
            break;
        }
    }
    Ok(None)
}

/// Maximum number of frames without a time that are read.
const FRAMES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn pcap(seconds: &[u32]) -> Vec<u8> {
        let mut file =
            vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];
        for second in seconds {
            file.extend(second.to_le_bytes());
            file.extend([0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0xff]);
        }
        file
    }

    #[test]
    fn the_first_time_of_a_file_is_found_and_frames_without_a_time_are_passed_over() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("a.pcap");
        let time_of = |file: &[u8]| {
            fs::write(&path, file).expect("the folder is writable");
            first_frame_time(&path)
        };
        assert_eq!(time_of(&pcap(&[7, 3])).expect("a capture"), Some(UnixNanos(7_000_000_000)));
        assert_eq!(time_of(&pcap(&[0, 0, 3])).expect("a capture"), Some(UnixNanos(3_000_000_000)));
        assert_eq!(time_of(&pcap(&[])).expect("a capture"), None);
        assert_eq!(time_of(&pcap(&[0; 2 * FRAMES_MAX])).expect("a capture"), None);
        assert!(time_of(&pcap(&[7])[..30]).is_err(), "it is cut within the first record");
        assert!(time_of(b"no capture").is_err());
        assert!(first_frame_time(&folder.path().join("none")).is_err());
    }

    /// Opening a named pipe would wait for a writer, and reading it would consume its first bytes.
    #[test]
    fn pipes_and_standard_input_are_left_alone() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("the folder is writable");
        assert_eq!(first_frame_time(&pipe).expect("it is not opened"), None);
        assert_eq!(first_frame_time(Path::new("-")).expect("it is not read"), None);
    }
}
