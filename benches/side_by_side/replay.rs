//! Replay of capture files: compares this program with the floor and the peers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::Measure;
use crate::flows::{Load, Spread};
use crate::peers;
use crate::process::{pinned, run};
use crate::table::{Bar, Table, median};
use crate::wire::RECEIVER_CPU;
use crate::write::write;

/// A kind of capture, and the minimum ratios of our speed to that of the floor and of a peer.
struct Kind {
    name: &'static str,
    load: Load,
    floor: f64,
    peer: (&'static str, f64),
}

const MILLION: Load = Load { pairs: 1_000_000, sources: 250_000, spread: Spread::Uniform };
const KINDS: [Kind; 3] = [
    Kind {
        name: "1,000 flows",
        load: Load { pairs: 1000, sources: 250, spread: Spread::Uniform },
        floor: 0.4,
        peer: ("softflowd", 8.0),
    },
    Kind { name: "1 M flows, uniform", load: MILLION, floor: 0.6, peer: ("nfpcapd", 20.0) },
    Kind {
        name: "1 M flows, zipf",
        load: Load { spread: Spread::Zipf, ..MILLION },
        floor: 0.5,
        peer: ("nfpcapd", 15.0),
    },
];

/// Configuration that gives every detector a limit, far above the load.
pub(crate) const EVERY_DETECTOR: &str = "\
AnalyzePorts: true
PacketRateLimit: 1M
ContactRateLimit: 100K
ReceivedByteLimit: 100G
";

/// Capture files and the commands that run on them.
pub(crate) struct Captures<'m> {
    measure: &'m Measure,
    files: Vec<PathBuf>,
}

impl<'m> Captures<'m> {
    /// Writes one capture of each kind.
    pub(crate) fn write(measure: &'m Measure) -> anyhow::Result<Self> {
        let mut files = Vec::new();
        for (number, kind) in KINDS.iter().enumerate() {
            let file = measure.scratch.join(format!("{number}.pcap"));
            write(&file, kind.load, measure.packets)
                .with_context(|| format!("cannot write {}: is there room for 1.5 GB?", file.display()))?;
            files.push(file);
        }
        Ok(Self { measure, files })
    }

    fn ours(&self, capture: &Path) -> anyhow::Result<Command> {
        let config = self.measure.scratch.join("replay.conf");
        fs::write(&config, format!("MemoryLimit: 1G\n{EVERY_DETECTOR}"))?;
        let mut command = pinned(RECEIVER_CPU, &self.measure.program);
        command.arg("replay").arg("--config").arg(config).arg(capture);
        Ok(command)
    }

    /// Measures the whole engine with all detectors, the floor and the peers.
    pub(crate) fn beside_floor_and_peers(&self, table: &mut Table) -> anyhow::Result<()> {
        table.heading("Replay: CPU ns per packet, ratio of speeds", "ours", "other");
        for (kind, capture) in KINDS.iter().zip(&self.files) {
            let folder = self.measure.scratch.join("peer");
            fs::create_dir_all(&folder)?;
            let mut floor = pinned(RECEIVER_CPU, std::env::current_exe()?);
            floor.arg("read").arg(capture);
            let mut commands = vec![("ours", self.ours(capture)?), ("floor", floor)];
            commands.extend(peers::softflowd(RECEIVER_CPU, capture).map(|command| ("softflowd", command)));
            commands
                .extend(peers::nfpcapd(RECEIVER_CPU, capture, &folder).map(|command| ("nfpcapd", command)));
            if let Some(lab) = &self.measure.lab {
                let mut floor = pinned(RECEIVER_CPU, lab.join("readfloor"));
                floor.arg(capture).arg("2");
                commands.push(("the floor in C", floor));
            }
            let medians = self.in_turn(&mut commands)?;
            let (_, ours) = medians[0];
            for &(name, other) in &medians[1..] {
                let bar = match name {
                    "floor" => Bar::AtLeast(kind.floor),
                    _ if name == kind.peer.0 => Bar::AtLeast(kind.peer.1),
                    _ => Bar::None,
                };
                let ns = |seconds: f64| format!("{:.1}", seconds * 1e9 / self.measure.packets as f64);
                table.row(
                    &format!("{}, against {name}", kind.name),
                    &ns(ours),
                    &ns(other),
                    other / ours,
                    bar,
                );
            }
            fs::remove_dir_all(&folder)?;
        }
        for peer in ["softflowd", "nfpcapd"] {
            if peers::find(peer).is_none() {
                table.note(&format!("{peer} is not installed, so nothing is compared with it"));
            }
        }
        Ok(())
    }

    /// Runs the commands in turn, `runs` times. Returns the median of the CPU time of each, in seconds.
    fn in_turn(&self, commands: &mut [(&'static str, Command)]) -> anyhow::Result<Vec<(&'static str, f64)>> {
        let mut figures = vec![Vec::new(); commands.len()];
        for _ in 0..self.measure.runs {
            for ((_, command), figures) in commands.iter_mut().zip(&mut figures) {
                figures.push(run(command)?.as_secs_f64());
            }
        }
        Ok(commands.iter().zip(figures).map(|((name, _), figures)| (*name, median(figures))).collect())
    }
}
