//! Packet sockets that are opened before capture is: only their opening needs CAP_NET_RAW, so a process can open them,
//! start this program again without the capability, and let it adopt them.

use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::errno::Errno;
use thiserror::Error;

use super::error::{OpenError, socket_error};
use crate::sys::packet_socket::{NotAdopted, PacketSocket};

/// Packet sockets that receive nothing yet, one for each worker.
#[derive(Debug)]
pub struct PacketSockets(Vec<PacketSocket>);

/// A descriptor cannot be adopted as a packet socket.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("descriptor {number} {why}")]
pub struct AdoptError {
    /// The number of the descriptor.
    pub number: RawFd,
    why: &'static str,
}

impl PacketSockets {
    /// Opens a socket for each worker.
    ///
    /// # Errors
    /// CAP_NET_RAW is missing, or the kernel refuses a socket for another reason, which the message names.
    pub fn open(workers: usize) -> Result<Self, OpenError> {
        let open = |worker| PacketSocket::open().map_err(socket_error(worker, "socket(AF_PACKET)"));
        Ok(Self((0..workers).map(open).collect::<Result<_, _>>()?))
    }

    /// Takes over the sockets that this process had open when it was started. Call it before this process has a second
    /// thread.
    ///
    /// # Errors
    /// A descriptor is no packet socket as [`open`](Self::open) makes them, or this process has some already.
    pub fn adopt(numbers: &[RawFd]) -> Result<Self, AdoptError> {
        let refused = |NotAdopted { number, why }| AdoptError { number, why };
        PacketSocket::adopt(numbers).map(Self).map_err(refused)
    }

    /// Keeps the sockets open over execve(2), and returns their numbers.
    ///
    /// # Errors
    /// The errors of fcntl(2).
    pub fn keep_over_exec(&self) -> Result<Vec<RawFd>, Errno> {
        let keep = |socket: &PacketSocket| {
            socket.set_close_on_exec(false)?;
            Ok(socket.as_fd().as_raw_fd())
        };
        self.0.iter().map(keep).collect()
    }

    /// Returns the number of sockets.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn into_sockets(self) -> impl Iterator<Item = PacketSocket> {
        self.0.into_iter()
    }
}
