//! The second start of the program, without capabilities, where it cannot give them up: see
//! [`traffic_alerted::privileges`].

use anyhow::Context;
use traffic_alerted::capture::PacketSockets;
use traffic_alerted::privileges::{self, SecondStartError};

/// Returns the packet sockets that the first start has opened; `None` if this is not a second start. Call it before the
/// first thread starts.
///
/// # Errors
/// The program was started with a variable that it did not write, or it has capabilities.
pub(super) fn passed_on() -> Result<Option<PacketSockets>, SecondStartError> {
    let Some(numbers) = privileges::passed_on()? else { return Ok(None) };
    let sockets = PacketSockets::adopt(&numbers).map_err(|error| privileges::wrong_descriptor(&error))?;
    Ok(Some(sockets))
}

/// Starts the program again if it has capabilities that it cannot give up: opens a packet socket for each worker, which
/// is all that needs them, and passes these on. Returns if there is no need. Nothing may have been opened, locked or
/// logged, and no other thread may run.
///
/// # Errors
/// The kernel refuses a socket, or the start.
pub(super) fn start_again_if_needed(workers: usize) -> anyhow::Result<()> {
    if !privileges::needs_second_start() {
        return Ok(());
    }
    let sockets = PacketSockets::open(workers)?;
    let numbers = sockets.keep_over_exec().context("cannot keep the packet sockets open")?;
    match privileges::start_again(&numbers)? {}
}
