//! Closes descriptors of a table that no longer is the table of the thread that uses them (`CLONE_FILES` of clone(2)).
//!
//! A thread with a table of its own has copies of all descriptors of the table before, under the same numbers. The
//! owner of a descriptor in Rust belongs to one of these tables; the functions here close the copies in the other one,
//! which has no owner. The caller guarantees that no thread of the table uses them.
//!
//! Sources: close_range(2), unshare(2).

use std::os::fd::RawFd;

/// Closes all descriptors of the table of this thread but those in `kept`, which are sorted. On a kernel before Linux
/// 5.9 they stay open.
pub(crate) fn close_all_but(kept: &[RawFd]) {
    let mut first: libc::c_uint = 0;
    for &fd in kept {
        let Ok(fd) = libc::c_uint::try_from(fd) else { continue };
        if fd > first {
            close_range(first, fd - 1);
        }
        first = fd + 1;
    }
    close_range(first, libc::c_uint::MAX);
}

/// Closes these descriptors in the table of this thread.
pub(crate) fn close_copies(copies: &[RawFd]) {
    for &fd in copies {
        // It fails if it is closed already, so nothing is left to do.
        let _ = nix::unistd::close(fd);
    }
}

fn close_range(first: libc::c_uint, last: libc::c_uint) {
    const NO_FLAGS: libc::c_uint = 0;
    // SAFETY: close_range(2) takes three numbers and no pointer. The module's contract is that no thread of this table
    // uses a descriptor in the range.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, NO_FLAGS) };
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::os::fd::AsRawFd;
    use std::thread;

    use nix::sched::{CloneFlags, unshare};

    use super::*;

    #[test]
    fn a_thread_with_a_table_of_its_own_keeps_what_it_names_and_closes_nothing_of_others() {
        let (mut reader, mut kept) = io::pipe().expect("a pipe");
        let (_other_reader, mut other) = io::pipe().expect("a pipe");
        let (kept_fd, other_fd) = (kept.as_raw_fd(), other.as_raw_fd());
        let is_open = |fd: RawFd| nix::fcntl::fcntl(borrowed(fd), nix::fcntl::FcntlArg::F_GETFD).is_ok();
        thread::scope(|scope| {
            scope.spawn(|| {
                unshare(CloneFlags::CLONE_FILES).expect("no privilege is needed");
                close_all_but(&[0, 1, 2, kept_fd]);
                assert!(is_open(kept_fd) && !is_open(other_fd));
            });
        });
        assert!(is_open(kept_fd) && is_open(other_fd));
        other.write_all(b"x").expect("it is open here");
        kept.write_all(b"y").expect("it is open here");
        drop(kept);
        assert_eq!(io::read_to_string(&mut reader).expect("it is open here"), "y");
    }

    fn borrowed(fd: RawFd) -> std::os::fd::BorrowedFd<'static> {
        // SAFETY: `borrow_raw` requires an open descriptor; this one is only asked for its flags, and whether it is
        // open is what the test finds out.
        unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) }
    }
}
