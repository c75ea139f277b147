//! The command `replay`: reads capture files and prints totals and the alerts that the same live traffic would raise,
//! or how the alerts of two configurations differ.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use traffic_alerted::alert::{Alert, Line, Notice};
use traffic_alerted::capture::CaptureReport;
use traffic_alerted::config::Config;
use traffic_alerted::engine::{Replayed, replay, replay_alerts};
use traffic_alerted::packet::Skip;
use traffic_alerted::report::ReplayComparison;

use super::replay_json::{directions, write_compared, write_replayed};
use super::{rules, start_log};

/// The arguments of `replay`.
#[derive(Args, Debug)]
pub(super) struct ReplayArgs {
    /// The configuration file; without it, every key has its default. Given twice, what the second would say
    /// differently is said.
    #[arg(long, value_name = "CONFIG")]
    config: Vec<PathBuf>,
    /// Write the result as one JSON object to this file, or to standard output for `-`.
    #[arg(long, value_name = "OUT|-")]
    json: Option<PathBuf>,
    /// The capture files, read in this order.
    #[arg(value_name = "CAPTURE", required = true)]
    captures: Vec<PathBuf>,
}

impl ReplayArgs {
    /// Replays with one configuration, or replays with two and compares their alerts.
    ///
    /// # Errors
    /// A configuration is wrong, there are more than two, a capture cannot be read to its end, or the output cannot be
    /// written.
    pub(super) fn run(&self) -> anyhow::Result<()> {
        match &self.config[..] {
            [] | [_] => {
                let config = self.config.first().map_or(Ok(Config::default()), Config::load)?;
                start_log(&config)?;
                self.run_one(&config)
            }
            [first, second] => {
                let (first, second) = (Config::load(first)?, Config::load(second)?);
                start_log(&first)?;
                self.run_both(&first, &second)
            }
            more => {
                let text =
                    format!("--config is given {} times: two configurations can be compared", more.len());
                Err(clap::Error::raw(clap::error::ErrorKind::TooManyValues, text).into())
            }
        }
    }

    /// Replays with `config` and writes the accounting, with `--json` also hosts and pairs, and the alerts.
    fn run_one(&self, config: &Config) -> anyhow::Result<()> {
        // Only JSON shows totals of hosts and pairs, and these take memory for every pair.
        let replay = if self.json.is_some() { replay } else { replay_alerts };
        let outcome = replay(&self.captures, &rules(config))?;
        outcome.captures.iter().for_each(warn);
        let hide_destinations = config.alert_options().hide_destinations;
        self.write(
            |out| match &outcome.totals {
                Some(totals) => {
                    write_replayed(out, totals, &outcome.alerts, &outcome.captures, hide_destinations)
                }
                // Does not occur: with `--json` the totals are kept.
                None => Ok(()),
            },
            |out| print_replayed(out, &outcome),
        )?;
        outcome.broken.map_or(Ok(()), |broken| Err(broken.into()))
    }

    /// Replays with both configurations and writes which alerts only one of them raises, and which both raise.
    fn run_both(&self, first: &Config, second: &Config) -> anyhow::Result<()> {
        let first = replay_alerts(&self.captures, &rules(first))?;
        let second = replay_alerts(&self.captures, &rules(second))?;
        let comparison = ReplayComparison::of(&first.alerts, &second.alerts);
        self.write(|out| write_compared(out, &comparison), |out| self.print_compared(out, &comparison))?;
        // Both read the same captures, so both stop at the same error.
        first.broken.map_or(Ok(()), |broken| Err(broken.into()))
    }

    /// Writes `json` to the file or the output that `--json` names, or `text` to standard output if it is not given.
    fn write(
        &self,
        json: impl Fn(&mut dyn Write) -> io::Result<()>,
        text: impl Fn(&mut dyn Write) -> io::Result<()>,
    ) -> anyhow::Result<()> {
        let json = |out: &mut dyn Write| {
            json(out)?;
            writeln!(out)?;
            out.flush()
        };
        match self.json.as_deref() {
            None => text(&mut io::stdout().lock())?,
            Some(path) if path == Path::new("-") => {
                json(&mut BufWriter::new(io::stdout().lock())).context("cannot write to standard output")?;
            }
            Some(path) => File::create(path)
                .and_then(|file| json(&mut BufWriter::new(file)))
                .with_context(|| format!("cannot write {}", path.display()))?,
        }
        Ok(())
    }

    /// Prints the comparison as text.
    fn print_compared(&self, out: &mut dyn Write, comparison: &ReplayComparison<'_>) -> io::Result<()> {
        let ReplayComparison { only_first, only_second, both } = comparison;
        let line = |alert: &Alert| Line(&Notice::Opened(alert.clone())).to_string();
        for (path, alone) in self.config.iter().zip([only_first, only_second]) {
            writeln!(out, "{} alerts with {} alone:", alone.len(), path.display())?;
            alone.iter().try_for_each(|alert| writeln!(out, "  {}", line(alert)))?;
        }
        writeln!(out, "{} alerts with both:", both.len())?;
        for (first, second) in both {
            #[allow(clippy::cast_precision_loss, reason = "three decimals are printed")]
            let later = (i128::from(second.opened_at.0) - i128::from(first.opened_at.0)) as f64 / 1e9;
            writeln!(out, "  {}", line(first))?;
            if later != 0.0 {
                writeln!(out, "    {later:+.3} s with the second")?;
            }
        }
        Ok(())
    }
}

/// Logs what reading a capture met.
fn warn(capture: &CaptureReport) {
    capture.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    for link in &capture.undecoded {
        let (frames, capture) = (link.frames, &capture.capture);
        tracing::warn!("capture {capture}: {frames} frames of {link} were not understood");
    }
}

/// Prints the accounting and the alerts as text.
fn print_replayed(out: &mut dyn Write, outcome: &Replayed) -> io::Result<()> {
    let counted = &outcome.accounting;
    writeln!(
        out,
        "{} frames: {} IP packets, {} bytes",
        counted.frames, counted.ip_packets, counted.ip_bytes
    )?;
    for (reason, frames) in Skip::ALL.iter().zip(counted.skipped).filter(|(_, frames)| *frames > 0) {
        writeln!(out, "skipped as {reason}: {frames}")?;
    }
    for (capture, direction) in directions(&outcome.captures) {
        writeln!(out, "{capture}: {direction}")?;
    }
    for alert in &outcome.alerts {
        writeln!(out, "{}", Line(&Notice::Opened(alert.clone())))?;
    }
    Ok(())
}
