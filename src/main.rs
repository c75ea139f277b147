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
use traffic_alerted::logging;

use cli::{CommandLine, exit};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // mimalloc asks for huge pages for all of its memory, and an idle program touches little of each: it takes 36 MiB
    // with them and 8 MiB without. A million pairs take 4 % longer without them. A kernel that refuses the call costs
    // memory and nothing else.
    let _ = nix::sys::prctl::set_thp_disable(true);
    let code = match cli::run(CommandLine::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error),
    };
    // If stderr takes no more records, nothing is left to report that to.
    let _ = logging::finish(LAST_RECORDS_TIMEOUT);
    code
}

/// How long the end waits for stderr to take the last log records.
const LAST_RECORDS_TIMEOUT: Duration = Duration::from_millis(100);
