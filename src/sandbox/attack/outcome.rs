//! What came of an attempt: `done`, or the error of the system.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::close;

#[cfg(target_arch = "x86_64")]
use crate::sys::attack::call;

/// Takes the name of an attempt and what came of it.
pub(super) type Note<'n> = &'n mut dyn FnMut(&str, Result<(), Errno>);

/// Waits for a child. It fails with `EPERM` if the child could not execute.
#[cfg(target_arch = "x86_64")]
pub(super) fn wait_for(child: i64) -> Result<(), Errno> {
    let mut status = [0_u8; 4];
    call(libc::SYS_wait4, [child.into(), status.as_mut_slice().into(), 0.into(), 0.into()])?;
    if status == [0; 4] { Ok(()) } else { Err(Errno::EPERM) }
}

pub(super) fn done(result: Result<i64, Errno>) -> Result<(), Errno> {
    result.map(drop)
}

/// Closes what a call has opened.
pub(super) fn closed(result: Result<i64, Errno>) -> Result<(), Errno> {
    result.map(|fd| {
        let _ = i32::try_from(fd).map(close);
    })
}

pub(super) fn errno(error: io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// The names that a test gives have no zero byte.
pub(super) fn path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}
