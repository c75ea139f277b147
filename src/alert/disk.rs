//! Directory entries that survive a crash.

use std::fs::File;
use std::io;
use std::path::Path;

/// Syncs the folder of `path`: a file that was created, renamed or removed is so after a crash only once its folder was
/// synced (fsync(2)).
///
/// # Errors
/// The folder cannot be opened or synced.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
