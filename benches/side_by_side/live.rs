//! Live capture from a wire: compares this program with a floor that only drains the ring and with a peer, and measures
//! its responses while it captures.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::Measure;
use crate::flows::{Load, Spread};
use crate::http::get;
use crate::peers;
use crate::process::{Running, pinned};
use crate::send::Send;
use crate::table::{Bar, Table, median};
use crate::wire::{Generator, NEAR, RECEIVER_CPU, Sent, Wire};

/// The programs that receive the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Receiver {
    Ours,
    Floor,
    FloorInC,
    Nfpcapd,
}

impl Receiver {
    fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Floor => "floor",
            Self::FloorInC => "the floor in C",
            Self::Nfpcapd => "nfpcapd",
        }
    }
}

/// The cost of a receiver for a load.
#[derive(Clone, Copy, Debug)]
struct Cost {
    sent: Sent,
    /// Number of drops that the receiver reports; `None` if it does not report them.
    dropped: Option<u64>,
    /// CPU seconds per million packets sent.
    cpu: f64,
    /// Resident memory in bytes.
    memory: u64,
}

/// A load and its generator.
struct Scene<'a> {
    name: String,
    generator: Generator<'a>,
    what: Send,
    /// Limits of the ratio of CPU times to the floor, and to nfpcapd.
    bars: (Bar, Bar),
}

/// Returns a load for the wire. A `rate` of 0 means as many packets per second as possible.
pub(crate) fn load(load: Load, rate: u32, seconds: u32) -> Send {
    Send { interface: String::new(), load, rate, seconds, packets: u64::MAX }
}

/// Measures drops, CPU time and memory at the highest rate and at 300,000 packets per second.
pub(crate) fn beside_floor_and_peer(measure: &Measure, wire: &Wire, table: &mut Table) -> anyhow::Result<()> {
    const FEW: Load = Load { pairs: 1000, sources: 250, spread: Spread::Uniform };
    const MANY: Load = Load { pairs: 1_000_000, sources: 250_000, spread: Spread::Uniform };
    const RATE: u32 = 300_000;
    let most = Bar::AtMost(1.5);
    let scene = |name: &str, generator, what, bars| Scene { name: name.to_owned(), generator, what, bars };
    let mut scenes = vec![
        scene("full rate, 1,000 flows", Generator::Socket, load(FEW, 0, measure.seconds), (most, Bar::None)),
        scene(
            "300k/s, 1,000 flows",
            Generator::Socket,
            load(FEW, RATE, measure.seconds),
            (Bar::None, Bar::None),
        ),
        scene(
            "300k/s, 1 M flows",
            Generator::Socket,
            load(MANY, RATE, measure.seconds),
            (most, Bar::AtMost(0.1)),
        ),
    ];
    if let Some(lab) = &measure.lab {
        let generator = Generator::Xdp(lab);
        scenes.push(scene(
            "full rate by XDP, 1,000 flows",
            generator,
            load(FEW, 0, measure.seconds),
            (most, Bar::None),
        ));
    }
    table.heading("Live, 64-byte packets, one worker: CPU s per million packets", "ours", "other");
    for scene in &scenes {
        let mut receivers = vec![Receiver::Ours, Receiver::Floor];
        if measure.lab.is_some() {
            receivers.push(Receiver::FloorInC);
        }
        if peers::find("nfpcapd").is_some() {
            receivers.push(Receiver::Nfpcapd);
        }
        let mut costs = vec![Vec::new(); receivers.len()];
        for _ in 0..measure.runs {
            for (&receiver, costs) in receivers.iter().zip(&mut costs) {
                costs.push(receive(measure, wire, receiver, scene)?);
            }
        }
        let of = |figure: fn(&Cost) -> f64, costs: &[Cost]| median(costs.iter().map(figure).collect());
        let ours = of(|cost| cost.cpu, &costs[0]);
        for (receiver, costs) in receivers.iter().zip(&costs).skip(1) {
            let bar = match receiver {
                Receiver::Floor => scene.bars.0,
                Receiver::Nfpcapd => scene.bars.1,
                _ => Bar::None,
            };
            let other = of(|cost| cost.cpu, costs);
            let what = format!("{}, against {}", scene.name, receiver.name());
            table.row(&what, &format!("{ours:.4}"), &format!("{other:.4}"), ours / other, bar);
        }
        let drops = |costs: &[Cost]| costs.iter().filter_map(|cost| cost.dropped).sum::<u64>();
        let (ours, floor) = (drops(&costs[0]), drops(&costs[1]));
        // If the floor does not drop a frame, the program must not drop one either.
        let bar = if floor == 0 { Bar::AtMost(0.0) } else { Bar::None };
        table.row(
            &format!("{}, frames dropped in all runs", scene.name),
            &ours.to_string(),
            &floor.to_string(),
            ours as f64,
            bar,
        );
        for (receiver, costs) in receivers.iter().zip(&costs) {
            table.note(&format!(
                "{}: {:.0} packets/s sent, {:.0} MB of memory",
                receiver.name(),
                of(|cost| cost.sent.per_second(), costs),
                of(|cost| cost.memory as f64, costs) / 1e6,
            ));
        }
    }
    Ok(())
}

/// Measures one receiver under one load.
fn receive(measure: &Measure, wire: &Wire, receiver: Receiver, scene: &Scene<'_>) -> anyhow::Result<Cost> {
    let folder = measure.scratch.join("peer");
    fs::create_dir_all(&folder)?;
    let running = match receiver {
        Receiver::Ours => start_ours(measure, "MemoryLimit: 1G\n")?,
        Receiver::Floor => start_floor(pinned(RECEIVER_CPU, std::env::current_exe()?).arg("drain"))?,
        Receiver::FloorInC => start_floor_in_c(measure)?,
        Receiver::Nfpcapd => {
            let mut command = peers::nfpcapd_on(RECEIVER_CPU, NEAR, &folder).context("nfpcapd has gone")?;
            let running = Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()))?;
            // nfpcapd does not report when it is ready.
            thread::sleep(Duration::from_millis(1500));
            running
        }
    };
    let before = running.cpu()?;
    let sent = wire.send(scene.generator, &scene.what)?;
    settle();
    let cpu = running.cpu()?.saturating_sub(before).as_secs_f64() * 1e6 / sent.packets as f64;
    let memory = running.memory("VmRSS")?;
    let dropped = match receiver {
        Receiver::Ours => Some(tp_drops()?),
        Receiver::Floor => Some(number_after("dropped ", &running.stop()?)?),
        // These do not report drops. They are ended by a signal when `running` is dropped.
        Receiver::FloorInC | Receiver::Nfpcapd => None,
    };
    fs::remove_dir_all(&folder)?;
    Ok(Cost { sent, dropped, cpu, memory })
}

/// Waits until all frames in the rings are counted and handed over.
pub(crate) fn settle() {
    thread::sleep(Duration::from_millis(1500));
}

/// Starts the program with one worker on one CPU, and waits until it counts.
pub(crate) fn start_ours(measure: &Measure, config: &str) -> anyhow::Result<Running> {
    let path = measure.scratch.join("live.conf");
    fs::write(&path, format!("Workers: 1\nLossLimit: off\n{config}"))?;
    let mut command = pinned(RECEIVER_CPU, &measure.program);
    // A load that looks like a scan would cause thousands of log lines.
    command.arg(&path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let running = Running::start(&mut command)?;
    let deadline = Instant::now() + Duration::from_secs(20);
    while get("/healthz").is_err() {
        ensure!(Instant::now() < deadline, "{} does not listen", measure.program.display());
        thread::sleep(Duration::from_millis(20));
    }
    Ok(running)
}

fn start_floor(command: &mut std::process::Command) -> anyhow::Result<Running> {
    let mut running = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
    let output = running.0.stdout.as_mut().context("it was asked for")?;
    let mut line = String::new();
    BufReader::with_capacity(1, output).read_line(&mut line)?;
    ensure!(line == "ready\n", "the floor printed {line:?}");
    Ok(running)
}

fn start_floor_in_c(measure: &Measure) -> anyhow::Result<Running> {
    let lab = measure.lab.as_deref().unwrap_or(Path::new("."));
    let mut command = pinned(RECEIVER_CPU, lab.join("drain"));
    // 90 s is longer than any load; the floor is ended before.
    command.args(["-i", "any", "-T", "90", "-H", "21", "-b", "64", "-B", "1024"]);
    let running = Running::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))?;
    thread::sleep(Duration::from_millis(1500));
    Ok(running)
}

/// Returns the frames that the kernel dropped for the program's ring.
pub(crate) fn tp_drops() -> anyhow::Result<u64> {
    let accounting: Value = serde_json::from_str(&get("/api/v1/accounting")?)?;
    accounting["kernel"]["tp_drops"].as_u64().context("no drops in the accounting")
}

/// Returns the number after a word.
fn number_after(word: &str, text: &str) -> anyhow::Result<u64> {
    let number = text.split_once(word).and_then(|(_, rest)| rest.split(' ').next()?.trim().parse().ok());
    number.with_context(|| format!("no number after {word:?} in {text:?}"))
}

/// Measures how long /all takes while 100,000 pairs are captured at full rate.
pub(crate) fn answers(measure: &Measure, wire: &Wire, table: &mut Table) -> anyhow::Result<()> {
    const PAIRS: Load = Load { pairs: 100_000, sources: 250, spread: Spread::Uniform };
    const PER_SECOND: u32 = 50;
    table.heading("Answers to /all, 50 per second at full rate, 100,000 pairs", "ms", "");
    let mut tails = Vec::new();
    let mut dropped = 0;
    let mut bytes = 0;
    for _ in 0..measure.runs {
        let running = start_ours(measure, "MemoryLimit: 1G\nChartMinBytes: 1\n")?;
        let what = load(PAIRS, 0, measure.seconds + 1);
        let asking = thread::spawn({
            let asked = PER_SECOND * measure.seconds;
            move || ask(asked, PER_SECOND)
        });
        wire.send(Generator::Socket, &what)?;
        let (mut took, largest) =
            asking.join().map_err(|_| anyhow::anyhow!("the asking thread has ended"))??;
        settle();
        dropped += tp_drops()?;
        running.stop()?;
        bytes = bytes.max(largest);
        took.sort();
        tails.push(took[took.len() * 99 / 100].as_secs_f64() * 1e3);
    }
    let tail = median(tails);
    table.row("99th percentile", &format!("{tail:.1}"), "", tail, Bar::AtMost(50.0));
    table.row("frames dropped in all runs", &dropped.to_string(), "", dropped as f64, Bar::AtMost(0.0));
    table.note(&format!("the largest answer has {bytes} bytes"));
    Ok(())
}

/// Requests /all `count` times. Returns the time from when each request was due until its response was read, and the
/// bytes of the largest response.
fn ask(count: u32, per_second: u32) -> anyhow::Result<(Vec<Duration>, usize)> {
    let mut took = Vec::new();
    let mut largest = 0;
    let began = Instant::now();
    for number in 0..count {
        let due = began + Duration::from_secs(1) * number / per_second;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        largest = largest.max(get("/all")?.len());
        took.push(due.elapsed());
    }
    Ok((took, largest))
}
