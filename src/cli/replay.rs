//! The command `replay`: reads capture files and prints totals and the alerts that the same live traffic would raise,
//! or how the alerts of two configurations differ.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use tracing::Level;
use traffic_alerted::config::Config;
use traffic_alerted::engine::{Interrupt, ReplayJob, ReplayOutcome, Replayed, Rules};
use traffic_alerted::escape::Escaped;
use traffic_alerted::report::ReplayComparison;

use super::exit::{Reported, say};
use super::replay_json::{ReadView, write_compared, write_replayed};
use super::replay_notes::{capture_notes, frames, notes};
use super::replay_progress::ReplayProgress;
use super::replay_text::{TextView, print_alert};
use super::table::output_width;
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
    /// The capture files, read in the order of their first frames; - is standard input.
    #[arg(value_name = "CAPTURE", required = true)]
    captures: Vec<PathBuf>,
}

impl ReplayArgs {
    /// Replays with one configuration, or with two at once and compares their alerts.
    ///
    /// # Errors
    /// A configuration is wrong, there are more than two, a capture cannot be read to its end or understood, or the
    /// output cannot be written.
    pub(super) fn run(&self) -> anyhow::Result<()> {
        if self.config.len() > 2 {
            let given = self.config.len();
            let text = format!("--config is given {given} times: two configurations can be compared");
            return Err(clap::Error::raw(clap::error::ErrorKind::TooManyValues, text).into());
        }
        let mut configs = self.config.iter().map(Config::load).collect::<Result<Vec<Config>, _>>()?;
        if configs.is_empty() {
            configs.push(Config::default());
        }
        self.check_output()?;
        // Signals are blocked before the first thread starts, because threads inherit the mask.
        let interrupt = Interrupt::on_signals().context("cannot take over SIGINT and SIGTERM")?;
        start_log(&configs[0])?;
        let outcome = self.replay(&configs, &interrupt)?;
        let timing = notes(&outcome);
        timing.iter().for_each(|note| say(Level::WARN, note));
        // What is said of each capture was said when it was read.
        let of_captures = outcome.captures.iter().flat_map(capture_notes).map(|note| note.text);
        let warnings: Vec<String> = of_captures.chain(timing).collect();
        let read = ReadView { outcome: &outcome, warnings: &warnings };
        match &outcome.results[..] {
            [first, second] => {
                let comparison = ReplayComparison::of(&first.alerts, &second.alerts);
                let results = [first, second];
                self.write(
                    |out| write_compared(out, &comparison, &read),
                    |out| self.print_compared(out, &outcome, results, &comparison),
                )?;
            }
            results => {
                for (result, config) in results.iter().zip(&configs) {
                    self.write_one(&outcome, result, config, &read)?;
                }
            }
        }
        self.exit(&outcome)
    }

    /// Checks before a long replay that the file of `--json` can be written, and that it is none of those that are
    /// read.
    ///
    /// # Errors
    /// It cannot be opened, or it is a capture or a configuration of this call.
    fn check_output(&self) -> anyhow::Result<()> {
        let Some(path) = self.json.as_deref().filter(|path| *path != Path::new("-")) else { return Ok(()) };
        let identity = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
        let out = identity(path);
        let read =
            self.captures.iter().chain(&self.config).find(|read| out.is_some() && identity(read) == out);
        if let Some(read) = read {
            anyhow::bail!(
                "--json {} would overwrite {}, which is read: name another file, or - for standard output",
                Escaped::path(path),
                Escaped::path(read)
            );
        }
        // It is emptied when the result is written.
        let opened = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        opened.map(drop).with_context(|| format!("cannot write {}", Escaped::path(path)))
    }

    /// Reads all captures, and says on standard error what is wrong with them.
    fn replay(&self, configs: &[Config], interrupt: &Interrupt) -> anyhow::Result<ReplayOutcome> {
        let rules: Vec<Rules> = configs.iter().map(rules).collect();
        // A comparison shows no hosts and pairs, and these take memory for every pair.
        let keeps_totals = configs.len() == 1;
        let job = ReplayJob { captures: &self.captures, keeps_totals, interrupt: Some(interrupt) };
        let mut progress = ReplayProgress::new(&self.captures);
        let outcome = job.run(&rules.iter().collect::<Vec<_>>(), &mut progress)?;
        progress.finish();
        if let Some(signal) = interrupt.signal() {
            let unread = self.captures.len() - outcome.captures.len();
            let unread =
                if unread > 0 { format!(", {unread} captures were not opened") } else { String::new() };
            let read = frames(outcome.captures.iter().map(|capture| capture.frames).sum());
            say(
                Level::WARN,
                &format!("interrupted by {signal} after {read}{unread}; the sums so far follow"),
            );
        }
        Ok(outcome)
    }

    /// Returns the error that makes the exit code 1, if captures could not be read or understood whole.
    fn exit(&self, outcome: &ReplayOutcome) -> anyhow::Result<()> {
        let captures = &outcome.captures;
        let incomplete = captures.iter().filter(|capture| capture.is_incomplete()).count();
        match captures.len() {
            _ if incomplete == 0 => Ok(()),
            // It was reported when the capture was read.
            1 => Err(Reported.into()),
            _ => anyhow::bail!(
                "{incomplete} of {} captures could not be read or understood whole; the result has the rest",
                self.captures.len()
            ),
        }
    }

    /// Writes the result of one configuration.
    fn write_one(
        &self,
        outcome: &ReplayOutcome,
        result: &Replayed,
        config: &Config,
        read: &ReadView<'_>,
    ) -> anyhow::Result<()> {
        let view = TextView {
            outcome,
            result,
            hides_destinations: config.alert_options().hide_destinations,
            counts_ports: config.flow_options().port_interval.is_some(),
            width: output_width(),
        };
        self.write(|out| write_replayed(out, result, view.hides_destinations, read), |out| view.print(out))
    }

    /// Writes `json` to the file or the output that `--json` names, or `text` to standard output if it is not given.
    /// A reader of standard output that ends early, as `head` does, is no error.
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
        let to_stdout = |result: io::Result<()>| match result {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            result => result.context("cannot write to standard output"),
        };
        match self.json.as_deref() {
            None => {
                let mut out = BufWriter::new(io::stdout().lock());
                to_stdout(text(&mut out).and_then(|()| out.flush()))
            }
            Some(path) if path == Path::new("-") => to_stdout(json(&mut BufWriter::new(io::stdout().lock()))),
            Some(path) => File::create(path)
                .and_then(|file| json(&mut BufWriter::new(file)))
                .with_context(|| format!("cannot write {}", Escaped::path(path))),
        }
    }

    /// Prints the comparison as text. The sums differ if `Direction` does.
    fn print_compared(
        &self,
        out: &mut dyn Write,
        outcome: &ReplayOutcome,
        results: [&Replayed; 2],
        comparison: &ReplayComparison<'_>,
    ) -> io::Result<()> {
        let ReplayComparison { only_first, only_second, both } = comparison;
        let width = output_width();
        for (path, alone) in self.config.iter().zip([only_first, only_second]) {
            writeln!(out, "{} alerts with {} alone:", alone.len(), Escaped::path(path))?;
            alone.iter().try_for_each(|alert| print_alert(out, alert, width, "  "))?;
        }
        writeln!(out, "{} alerts with both:", both.len())?;
        for (first, second) in both {
            #[allow(clippy::cast_precision_loss, reason = "three decimals are printed")]
            let later = (i128::from(second.opened_at.0) - i128::from(first.opened_at.0)) as f64 / 1e9;
            print_alert(out, first, width, "  ")?;
            if later != 0.0 {
                writeln!(out, "    {later:+.3} s with the second")?;
            }
        }
        let print_sums = |out: &mut dyn Write, result| {
            TextView { outcome, result, hides_destinations: true, counts_ports: false, width }.print_sums(out)
        };
        let [first, second] = results;
        if first.accounting == second.accounting && first.directions == second.directions {
            writeln!(out)?;
            return print_sums(out, first);
        }
        for (path, result) in self.config.iter().zip(results) {
            writeln!(out, "\nSums with {}:", Escaped::path(path))?;
            print_sums(out, result)?;
        }
        Ok(())
    }
}
