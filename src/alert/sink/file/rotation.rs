//! Which rotated file gives way to a full one, so that a flood does not push out what is older.
//!
//! ```text
//!   usually   alerts.jsonl -> .1 -> .2 -> .3, and the last one goes
//!   a flood   alerts.jsonl -> .1, the others stay
//! ```
//!
//! A flood is when the file and `.1` were each filled within an hour. So a flood, however long, pushes out two files:
//! the first takes along what was in the file before, and the second is full of the flood. After a restart, `.1` counts
//! as filled since the last line of `.2`, which may push out one more. Of the flood the last two files stay.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::alert::disk::sync_folder;

/// A file that is filled within this time is one of a flood.
pub(super) const FLOOD_FILLS_WITHIN: Duration = Duration::from_secs(3600);

/// Which file gave way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rotation {
    /// The oldest, if there were as many as are kept.
    Oldest,
    /// The youngest, because a flood fills one after the other.
    Youngest,
}

/// Rotates the files of one path.
#[derive(Debug, Default)]
pub(super) struct Rotator {
    /// True if `.1` was filled within an hour; `None` before the first rotation of this process.
    filled_youngest_soon: Option<bool>,
}

impl Rotator {
    /// Renames `path` to `path.1`. Before that, renames `path.1` to `path.2` and so on, up to `keep` files, of which
    /// the last is replaced; in a flood only `path.1` is replaced. Removes `path` if `keep` is 0.
    ///
    /// # Errors
    /// The system refuses it.
    pub(super) fn rotate(&mut self, path: &Path, keep: u32) -> io::Result<Rotation> {
        let (youngest, older) = (numbered(path, 1), numbered(path, 2));
        let is_soon = is_filled_soon(path, &youngest);
        let is_flood =
            is_soon && self.filled_youngest_soon.unwrap_or_else(|| is_filled_soon(&youngest, &older));
        // Without a second rotated file there is nothing older that could stay.
        let rotation = if keep >= 2 && is_flood { Rotation::Youngest } else { Rotation::Oldest };
        if rotation == Rotation::Oldest {
            for number in (1..keep).rev() {
                match fs::rename(numbered(path, number), numbered(path, number + 1)) {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        if keep == 0 { fs::remove_file(path) } else { fs::rename(path, youngest) }?;
        self.filled_youngest_soon = Some(is_soon);
        sync_folder(path)?;
        Ok(rotation)
    }
}

/// Returns true if a file has its last line within an hour of the last line of the file before it. It is not if the
/// clock was set back between them, or if one of them is not there.
fn is_filled_soon(path: &Path, before: &Path) -> bool {
    let last_line_at = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let (Some(last), Some(before)) = (last_line_at(path), last_line_at(before)) else { return false };
    last.duration_since(before).is_ok_and(|span| span < FLOOD_FILLS_WITHIN)
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::SystemTime;

    use super::*;

    /// Rotates a file that was filled at this minute. Returns what is in the rotated files.
    fn fill(rotator: &mut Rotator, path: &Path, text: &str, minute: u64, keep: u32) -> String {
        fs::write(path, text).expect("it is ours");
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000 + minute * 60);
        File::options().append(true).open(path).and_then(|file| file.set_modified(at)).expect("it is ours");
        rotator.rotate(path, keep).expect("nothing refuses it");
        assert!(!path.exists());
        (1..=4)
            .filter_map(|number| fs::read_to_string(numbered(path, number)).ok())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn a_flood_replaces_its_own_files_and_not_older_ones() {
        const DAY: u64 = 24 * 60;
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("alerts.jsonl");
        let mut rotator = Rotator::default();
        let steps = [
            ("a", 0, "a"),
            ("b", DAY, "b a"),
            ("c", 2 * DAY, "c b a"),
            ("d", 3 * DAY, "d c b a"),
            // It has what was before the flood, and its beginning.
            ("e", 3 * DAY + 59, "e d c b"),
            ("f", 3 * DAY + 61, "f d c b"),
            ("g", 3 * DAY + 63, "g d c b"),
            ("h", 9 * DAY, "h g d c"),
            ("i", 9 * DAY + 1, "i h g d"),
            ("j", 9 * DAY + 2, "j h g d"),
            ("k", 9 * DAY + 62, "k j h g"),
            // The clock was set back.
            ("l", 9 * DAY + 61, "l k j h"),
        ];
        for (text, minute, want) in steps {
            assert_eq!(fill(&mut rotator, &path, text, minute, 4), want, "{text}");
        }
        // After a restart, the times of the files decide.
        for (text, minute, want) in [("m", 30 * DAY, "m l k j"), ("n", 30 * DAY + 1, "n m l k")] {
            assert_eq!(fill(&mut Rotator::default(), &path, text, minute, 4), want, "{text}");
        }
        assert_eq!(fill(&mut Rotator::default(), &path, "o", 30 * DAY + 2, 4), "o m l k");
        for (keep, want) in [(0, ""), (1, "d"), (2, "d a")] {
            let path = folder.path().join(format!("keep-{keep}"));
            let (mut rotator, mut last) = (Rotator::default(), String::new());
            for (minute, text) in (0..).zip(["a", "b", "c", "d"]) {
                last = fill(&mut rotator, &path, text, minute, keep);
            }
            assert_eq!(last, want, "{keep}");
        }
    }
}
