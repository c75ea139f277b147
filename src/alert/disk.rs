//! Directory entries that survive a crash.

use std::fs::File;
use std::io;
use std::path::Path;

/// Syncs the folder of `path`. A file that was created, renamed or removed is sure to be so after a crash only if its
/// folder was synced since (fsync(2)).
///
/// # Errors
/// The folder cannot be opened or synced.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
