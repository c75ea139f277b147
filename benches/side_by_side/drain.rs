//! The floor of capture: reads every block of a packet ring, with one table update per frame.

use std::io::{Write, stdin, stdout};
use std::num::NonZeroU32;
use std::os::fd::AsFd;
use std::sync::Arc;

use anyhow::Context;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use traffic_alerted::sys::packet_socket::PacketSocket;
use traffic_alerted::sys::ring::{Ring, RingSize, VnetHeader};

use crate::pair_table::PairTable;

/// Binary logarithm of the number of slots of the table: two million slots for a million pairs.
const TABLE_BITS: u32 = 21;
const RING: RingSize = RingSize {
    block_bytes: NonZeroU32::MIN.saturating_add((1 << 20) - 1),
    blocks: NonZeroU32::MIN.saturating_add(63),
};
/// The same timeout as the program's.
const BLOCK_RETIRE_MS: u32 = 20;
const ETHERNET_BYTES: usize = 14;

/// Counts pairs until standard input ends, then prints the counts and what the kernel dropped.
pub(crate) fn drain() -> anyhow::Result<()> {
    let socket = Arc::new(PacketSocket::open().context("cannot open a packet socket")?);
    let mut ring = Ring::allocate(Arc::clone(&socket), RING, BLOCK_RETIRE_MS, VnetHeader::None)
        .context("cannot allocate a ring of 64 MiB")?;
    socket.bind_to_all_interfaces()?;
    let mut table = PairTable::new(TABLE_BITS);
    let input = stdin();
    writeln!(stdout(), "ready")?;
    let mut seen = 0_u64;
    loop {
        while let Some(block) = ring.next_block() {
            for frame in block.frames().map_while(Result::ok) {
                table.add(frame.bytes.get(ETHERNET_BYTES..).unwrap_or_default(), frame.tp_len);
                seen += 1;
            }
        }
        let mut waits =
            [PollFd::new(socket.as_fd(), PollFlags::POLLIN), PollFd::new(input.as_fd(), PollFlags::POLLIN)];
        poll(&mut waits, PollTimeout::NONE)?;
        if waits[1].any() == Some(true) {
            let statistics = socket.take_statistics()?;
            let (pairs, bytes) = table.sums();
            writeln!(stdout(), "seen {seen} dropped {} pairs {pairs} bytes {bytes}", statistics.tp_drops)?;
            return Ok(());
        }
    }
}
