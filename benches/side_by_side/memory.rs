//! Measures the memory of an idle process, of a million pairs, and in floods.

use crate::Measure;
use crate::flows::{Load, Spread};
use crate::live::{load, settle, start_ours};
use crate::replay::EVERY_DETECTOR;
use crate::send::Send;
use crate::table::{Bar, Table, median};
use crate::wire::{Generator, Wire};

const MIB: f64 = (1 << 20) as f64;

pub(crate) fn measure(measure: &Measure, wire: &Wire, table: &mut Table) -> anyhow::Result<()> {
    table.heading("Memory (resident)", "ours", "");
    pairs(measure, wire, table)?;
    floods(measure, wire, table)
}

/// Measures the memory of a process without traffic, and the bytes that each of a million pairs adds.
fn pairs(measure: &Measure, wire: &Wire, table: &mut Table) -> anyhow::Result<()> {
    // With slots of seventeen seconds, each pair is active in one slot, or in two if a slot begins during the load.
    let (idle, each, _) = of_pairs(measure, wire, 170, 1, 200_000)?;
    table.row("idle, without the ring, MiB", &format!("{idle:.1}"), "", idle, Bar::AtMost(16.0));
    table.row("for each of 1 M pairs, bytes", &format!("{each:.0}"), "", each, Bar::AtMost(128.0));
    // With slots of five seconds, each pair is active in every slot. More rounds are sent than there are slots.
    let (_, each, took) = of_pairs(measure, wire, 50, ROUNDS, 250_000)?;
    table.row("active in every slot, bytes", &format!("{each:.0}"), "", each, Bar::None);
    if took > 5.0 * ROUNDS as f64 {
        table.note(&format!(
            "not in every slot: the generator took {:.1} s for each round",
            took / ROUNDS as f64
        ));
    }
    Ok(())
}

/// Number of times that each pair is sent.
const ROUNDS: u64 = 14;

/// Returns the MiB of an idle process, the bytes that each of a million pairs adds, and the longest time of a load in
/// seconds. Each pair is sent `rounds` times, with `rate` packets per second.
fn of_pairs(
    measure: &Measure,
    wire: &Wire,
    interval_s: u32,
    rounds: u64,
    rate: u32,
) -> anyhow::Result<(f64, f64, f64)> {
    const PAIRS: u32 = 1_000_000;
    let (mut idle, mut each, mut took) = (Vec::new(), Vec::new(), 0.0_f64);
    for _ in 0..measure.runs {
        let running = start_ours(measure, &format!("MemoryLimit: 1G\nTrafficInterval: {interval_s}\n"))?;
        settle();
        let before = running.memory("VmRSS")?;
        idle.push((before - running.rings()?) as f64 / MIB);
        let in_turn = Load { pairs: PAIRS, sources: 250_000, spread: Spread::InTurn };
        let what = Send { packets: rounds * u64::from(PAIRS), ..load(in_turn, rate, 120) };
        took = took.max(wire.send(Generator::Socket, &what)?.seconds);
        settle();
        each.push((running.memory("VmRSS")?.saturating_sub(before)) as f64 / f64::from(PAIRS));
        running.stop()?;
    }
    Ok((median(idle), median(each), took))
}

/// Compares the peak of memory in a flood with `MemoryLimit`, once for each kind of flood. The limit is an upper bound,
/// so one run is enough.
fn floods(measure: &Measure, wire: &Wire, table: &mut Table) -> anyhow::Result<()> {
    const IN_TURN: Load = Load { pairs: 10_000_000, sources: 10_000_000, spread: Spread::InTurn };
    const SPOOFED: Load = Load { pairs: 1, sources: 1, spread: Spread::Spoofed };
    const RING_BYTES: f64 = 64e6;
    // Enough time for ten million sources.
    const SECONDS: u32 = 20;
    let kinds = [
        ("10 M sources in turn", IN_TURN, ""),
        ("random sources", SPOOFED, ""),
        ("the same, every detector", SPOOFED, EVERY_DETECTOR),
    ];
    for limit_mb in [256_u32, 64] {
        for (name, flood, detectors) in kinds {
            let config = format!("MemoryLimit: {limit_mb}M\nRingMemory: 64M\n{detectors}");
            let running = start_ours(measure, &config)?;
            wire.send(Generator::Socket, &load(flood, 0, SECONDS))?;
            settle();
            let peak = running.memory("VmHWM")? as f64;
            running.stop()?;
            let allowed = f64::from(limit_mb) * 1e6 + RING_BYTES;
            table.row(
                &format!("flood, MemoryLimit {limit_mb}M, {name}, MB"),
                &format!("{:.1}", peak / 1e6),
                &format!("{:.1}", allowed / 1e6),
                peak / allowed,
                Bar::AtMost(1.0),
            );
        }
    }
    Ok(())
}
