//! The process: its allocator, its command line and its exit code.
#![forbid(unsafe_code)]
#![warn(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss
)]

mod cli;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use traffic_alerted::sys::allocator::Allocator;
use traffic_alerted::{engine, logging};

use cli::{CommandLine, exit};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    // mimalloc requests huge pages for all of its memory, and an idle program touches only a little of each: it takes
    // 36 MiB with huge pages and 8 MiB without. A million pairs take 4 % longer without huge pages. If the kernel
    // refuses the call, the program only takes more memory.
    let _ = nix::sys::prctl::set_thp_disable(true);
    // Before the first thread starts, because threads inherit the mask. It fails for no valid set.
    let _ = engine::block_stray_signals();
    let code = match cli::run(CommandLine::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error),
    };
    // If stderr does not accept the last records, there is no other place to report it.
    let _ = logging::finish(LAST_RECORDS_TIMEOUT);
    code
}

/// Maximum time that the program waits at its end until the last log records are written to stderr.
const LAST_RECORDS_TIMEOUT: Duration = Duration::from_millis(100);
