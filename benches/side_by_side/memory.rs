//! Memory: of an idle process, of a million pairs, and in a flood that never repeats itself.

use crate::Measure;
use crate::flows::{Load, Spread};
use crate::live::{load, settle, start_ours};
use crate::send::Send;
use crate::table::{Bar, Table, median};
use crate::wire::{Generator, Wire};

const MIB: f64 = (1 << 20) as f64;

pub(crate) fn measure(measure: &Measure, wire: &Wire, table: &mut Table) -> anyhow::Result<()> {
    table.heading("Memory (resident)", "ours", "");
    pairs(measure, wire, table)?;
    floods(measure, wire, table)
}

/// What a process takes when it has seen nothing, and what each of a million pairs adds.
fn pairs(measure: &Measure, wire: &Wire, table: &mut Table) -> anyhow::Result<()> {
    const PAIRS: u32 = 1_000_000;
    let (mut idle, mut each) = (Vec::new(), Vec::new());
    for _ in 0..measure.runs {
        // Seventeen seconds for each slot: all pairs are sent in one or two.
        let running = start_ours(measure, "MemoryLimit: 1G\nTrafficInterval: 170\n")?;
        settle();
        let before = running.memory("VmRSS")?;
        idle.push((before - running.rings()?) as f64 / MIB);
        let once = Load { pairs: PAIRS, sources: 250_000, spread: Spread::InTurn };
        let what = Send { packets: u64::from(PAIRS), ..load(once, 200_000, 30) };
        wire.send(Generator::Socket, &what)?;
        settle();
        each.push((running.memory("VmRSS")?.saturating_sub(before)) as f64 / f64::from(PAIRS));
        running.stop()?;
    }
    let (idle, each) = (median(idle), median(each));
    table.row("idle, without the ring, MiB", &format!("{idle:.1}"), "", idle, Bar::AtMost(16.0));
    table.row("for each of 1 M pairs, bytes", &format!("{each:.0}"), "", each, Bar::AtMost(128.0));
    Ok(())
}

/// The peak in a flood against what was allowed, once for each kind: it is a bound and no average.
fn floods(measure: &Measure, wire: &Wire, table: &mut Table) -> anyhow::Result<()> {
    const IN_TURN: Load = Load { pairs: 10_000_000, sources: 10_000_000, spread: Spread::InTurn };
    const SPOOFED: Load = Load { pairs: 1, sources: 1, spread: Spread::Spoofed };
    const RING_BYTES: f64 = 64e6;
    // Time enough for ten million sources.
    const SECONDS: u32 = 20;
    for limit_mb in [256_u32, 64] {
        for (name, flood) in [("10 M sources in turn", IN_TURN), ("random sources", SPOOFED)] {
            let running = start_ours(measure, &format!("MemoryLimit: {limit_mb}M\nRingMemory: 64M\n"))?;
            wire.send(Generator::Socket, &load(flood, 0, SECONDS))?;
            settle();
            let peak = running.memory("VmHWM")? as f64;
            running.stop()?;
            let allowed = f64::from(limit_mb) * 1e6 + RING_BYTES;
            table.row(
                &format!("peak in a flood, MemoryLimit {limit_mb}M, {name}, MB"),
                &format!("{:.1}", peak / 1e6),
                &format!("{:.1}", allowed / 1e6),
                peak / allowed,
                Bar::AtMost(1.0),
            );
        }
    }
    Ok(())
}
