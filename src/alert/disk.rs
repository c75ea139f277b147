//! What has to be on the disk, whatever happens next.

use std::fs::File;
use std::io;
use std::path::Path;

/// Writes down which names the folder of `path` has: a file that was created, renamed or removed is so after a crash
/// only once its folder is on the disk (fsync(2)).
///
/// # Errors
/// What the system says of the folder.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
