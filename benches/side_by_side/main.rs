//! Compares this program with a floor and with its peers, in turn and under the same load. A floor is a program that
//! only reads packets and counts pairs, which every program of this kind must do.
//!
//! `scripts/bench` builds this bench and starts it in namespaces of its own. It starts itself again for each part that
//! must be a process: the generator and the two floors. So whole processes are compared, pinned to one CPU, with their
//! times as the kernel accounts them.
#![forbid(unsafe_code)]

mod drain;
mod flows;
mod http;
mod live;
mod memory;
mod pair_table;
mod peers;
mod process;
mod read;
mod replay;
mod send;
mod table;
mod wire;
mod write;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};

use flows::Load;
use table::Table;

/// Measures TrafficAlerted beside the floor and beside its peers.
#[derive(Debug, Parser)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure, and print a table. It needs its own network namespace with all capabilities over it.
    Measure(Measure),
    /// Write a capture file.
    Write {
        file: PathBuf,
        #[command(flatten)]
        load: Load,
        #[arg(long)]
        packets: u64,
    },
    /// Send packets of 64 bytes to an interface.
    Send(send::Send),
    /// The floor of reading: walk a capture file and count its pairs.
    Read { file: PathBuf },
    /// The floor of capture: read a packet ring and count its pairs, until standard input ends.
    Drain,
    /// Keep a namespace until standard input ends.
    Hold,
}

/// What to measure, and with which programs.
#[derive(Debug, clap::Args)]
pub(crate) struct Measure {
    /// Runs of each kind; the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Packets in each capture file.
    #[arg(long, default_value_t = 5_000_000)]
    packets: u64,
    /// Seconds of load in each live run.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: u32,
    /// The program to measure.
    #[arg(long)]
    program: PathBuf,
    /// A folder with the generator and the floors in C: `genxdp`, `drain`, `readfloor`.
    #[arg(long)]
    lab: Option<PathBuf>,
    /// A folder for capture files and the output of the peers; about 1.5 GB with 5,000,000 packets.
    #[arg(long)]
    scratch: PathBuf,
    /// What to measure; everything if nothing is named.
    parts: Vec<Part>,
}

/// A part of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Capture files: compared with the floor and the peers.
    Replay,
    /// A wire: drops and CPU time against the floor and a peer.
    Live,
    /// Responses to /all while capturing.
    Answers,
    /// Memory of an idle process, of a million pairs, and in a flood.
    Memory,
}

fn main() -> ExitCode {
    match run(CommandLine::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Measure(measure) => measure.run(),
        Command::Write { file, load, packets } => {
            write::write(&file, load, packets).with_context(|| format!("cannot write {}", file.display()))
        }
        Command::Send(send) => send.run(),
        Command::Read { file } => read::read(&file),
        Command::Drain => drain::drain(),
        Command::Hold => process::wait_for_end_of_input(),
    }
}

impl Measure {
    fn run(&self) -> anyhow::Result<()> {
        let wants = |part| self.parts.is_empty() || self.parts.contains(&part);
        let mut table = Table::begin(self.runs);
        if wants(Part::Replay) {
            replay::Captures::write(self)?.beside_floor_and_peers(&mut table)?;
        }
        if wants(Part::Live) || wants(Part::Answers) || wants(Part::Memory) {
            let wire = wire::Wire::lay()?;
            if wants(Part::Live) {
                live::beside_floor_and_peer(self, &wire, &mut table)?;
            }
            if wants(Part::Answers) {
                live::answers(self, &wire, &mut table)?;
            }
            if wants(Part::Memory) {
                memory::measure(self, &wire, &mut table)?;
            }
        }
        table.end();
        Ok(())
    }
}
