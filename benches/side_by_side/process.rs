//! Runs the measured processes and reads their CPU time and memory as the kernel accounts them.

use std::fs;
use std::io::{Read, stdin};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeValLike;
use nix::unistd::Pid;

/// Returns a command that runs `program` pinned to these CPUs.
pub(crate) fn pinned(cpus: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", cpus]).arg(program);
    command
}

/// Runs a command to its end and returns its CPU time: user and system time of all threads. No other child may end in
/// that time.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<Duration> {
    let before = time_of_children()?;
    let output = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?} failed ({}): {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(time_of_children()? - before)
}

/// Returns the CPU time of all children that have ended.
fn time_of_children() -> anyhow::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(micros.try_into().context("the kernel reported a negative time")?))
}

/// A process that runs until it is stopped; dropping this kills it.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        Ok(Self(command.spawn().with_context(|| format!("cannot run {command:?}"))?))
    }

    /// Returns the CPU time of all live threads. `schedstat` has nanoseconds; the ticks of `stat` are too coarse for a
    /// load of seconds.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let tasks = format!("/proc/{}/task", self.0.id());
        let mut nanos = 0;
        for task in fs::read_dir(&tasks).with_context(|| format!("cannot read {tasks}"))? {
            let path = task?.path().join("schedstat");
            let text = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}: is CONFIG_SCHED_INFO off?", path.display()))?;
            let run = text.split(' ').next().and_then(|run| run.parse::<u64>().ok());
            nanos += run.with_context(|| format!("no time in {text:?}"))?;
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Returns the resident memory in bytes, including rings: the current (`VmRSS`) or the peak so far (`VmHWM`).
    pub(crate) fn memory(&self, field: &str) -> anyhow::Result<u64> {
        let status = self.proc("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let kib = line.and_then(|kib| kib.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        Ok(1024 * kib.with_context(|| format!("no {field} in {status:?}"))?)
    }

    /// Returns the bytes of packet rings in its resident memory.
    pub(crate) fn rings(&self) -> anyhow::Result<u64> {
        let mut is_ring = false;
        let mut kib = 0;
        for line in self.proc("smaps")?.lines() {
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["Rss:", rss, "kB"] if is_ring => kib += rss.parse::<u64>()?,
                [range, _, _, _, _, ref name @ ..] if range.contains('-') => {
                    is_ring = name.first().is_some_and(|name| name.starts_with("socket:"));
                }
                _ => {}
            }
        }
        Ok(1024 * kib)
    }

    fn proc(&self, file: &str) -> anyhow::Result<String> {
        let path = format!("/proc/{}/{file}", self.0.id());
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}: has the process ended?"))
    }

    /// Stops it and returns what it printed.
    pub(crate) fn stop(mut self) -> anyhow::Result<String> {
        // A process that reads standard input ends when that is closed, the others by the signal.
        if self.0.stdin.take().is_none() {
            kill(Pid::from_raw(self.0.id().try_into()?), Signal::SIGTERM)?;
        }
        let mut printed = String::new();
        if let Some(mut output) = self.0.stdout.take() {
            output.read_to_string(&mut printed)?;
        }
        self.0.wait()?;
        Ok(printed)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // `stop` has ended it already, unless it was not called because of an error.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until the process that started this one ends.
pub(crate) fn wait_for_end_of_input() -> anyhow::Result<()> {
    stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
