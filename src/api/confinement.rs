//! The `confinement` of `/api/v1/status`: what whoever takes the program over finds.

use serde::Serialize;

use crate::sandbox::{self, SandboxStatus};

/// What confines the program, as JSON.
#[derive(Debug, Serialize)]
pub(super) struct ConfinementView {
    user: u32,
    no_new_privileges: bool,
    landlock: String,
    seccomp: String,
    io_uring: String,
    packet_sockets: String,
}

impl ConfinementView {
    /// Returns what is in force in this process.
    pub(super) fn now() -> Self {
        let SandboxStatus { user, no_new_privileges, landlock, seccomp, io_uring, packet_sockets } =
            sandbox::status();
        Self { user, no_new_privileges, landlock, seccomp, io_uring, packet_sockets }
    }
}
