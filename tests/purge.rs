//! Freed memory of an idle thread goes back to the system, under the allocator of the program.

use std::thread;

use nix::unistd::{SysconfVar, sysconf};
use traffic_alerted::sys::allocator;

#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::Allocator;

const PIECE: usize = 256 << 10;
const PIECES: usize = 256;

/// Returns the resident bytes of this process, by proc(5).
fn resident() -> usize {
    let page = sysconf(SysconfVar::PAGE_SIZE).expect("a page has a size").expect("and the system has it");
    let statm = std::fs::read_to_string("/proc/self/statm").expect("/proc is there");
    let pages: usize =
        statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number of pages");
    pages * page as usize
}

#[test]
fn what_was_freed_goes_back_and_what_is_in_use_stays() {
    // A new thread has no memory from before, and the harness waits meanwhile.
    thread::spawn(|| {
        let before = resident();
        let mut pieces: Vec<Vec<u8>> = (0..PIECES).map(|n| vec![n as u8; PIECE]).collect();
        let grown = resident() - before;
        assert!(grown >= PIECES * PIECE, "{grown} bytes for {PIECES} pieces");

        let kept = pieces.split_off(PIECES / 2);
        drop(pieces);
        allocator::purge();
        let left = resident() - before;
        assert!(left <= PIECES / 2 * PIECE * 11 / 10, "{left} bytes are left of {grown}");
        assert!(kept.iter().zip(PIECES / 2..).all(|(piece, n)| piece.iter().all(|&byte| byte == n as u8)));
    })
    .join()
    .expect("the thread ends well");
}
