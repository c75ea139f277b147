//! A wire between two network namespaces: the generator is at one end, the measured process at the other.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use nix::ifaddrs::getifaddrs;

use crate::flows::Load;
use crate::process::{Running, pinned};
use crate::send::Send;

/// The CPU of the generator. The kernel's part of receiving runs on it too.
const GENERATOR_CPU: &str = "0";
/// The CPU of the measured process.
pub(crate) const RECEIVER_CPU: &str = "1";
/// The interface at the end of the measured process, in the namespace of this process.
pub(crate) const NEAR: &str = "near0";
/// The interface at the end of the generator.
const FAR: &str = "far0";

/// A pair of veth devices. The namespace of the far end exists as long as the process `far` waits in it.
pub(crate) struct Wire {
    far: Running,
}

/// The packets that a generator sent, and the time that it took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) packets: u64,
    pub(crate) seconds: f64,
}

impl Sent {
    pub(crate) fn per_second(self) -> f64 {
        self.packets as f64 / self.seconds
    }
}

/// The generator of a load.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Generator<'a> {
    /// This program, with sendmmsg(2).
    Socket,
    /// `genxdp` of this folder, with XDP at the near end. It sends two to three times as many packets.
    Xdp(&'a Path),
}

impl Wire {
    /// Makes the wire. This process must be in a network namespace without other interfaces.
    pub(crate) fn lay() -> anyhow::Result<Self> {
        let others = getifaddrs()?.filter(|entry| entry.interface_name != "lo").count();
        ensure!(others == 0, "this is no network namespace of its own: start it through scripts/bench");
        let mut hold = Command::new("unshare");
        hold.arg("--net").arg(std::env::current_exe()?).arg("hold").stdin(Stdio::piped());
        let far = Running::start(&mut hold)?;
        let wire = Self { far };
        let ours = fs::read_link("/proc/self/ns/net")?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while fs::read_link(wire.namespace()).is_ok_and(|theirs| theirs == ours) {
            ensure!(Instant::now() < deadline, "unshare makes no network namespace");
            thread::sleep(Duration::from_millis(5));
        }
        // The kernel would send IPv6 packets of its own.
        const QUIET: &str =
            "for each in all default; do echo 1 >/proc/sys/net/ipv6/conf/$each/disable_ipv6 || exit; done";
        call(Command::new("sh").args(["-c", QUIET]))?;
        call(wire.on_far(Command::new("sh").args(["-c", QUIET])))?;
        let peer = wire.far.0.id().to_string();
        ip(&["link", "add", "name", NEAR, "type", "veth", "peer", "name", FAR, "netns", &peer])?;
        ip(&["link", "set", "lo", "up"])?;
        ip(&["link", "set", NEAR, "up"])?;
        call(wire.on_far(Command::new("ip").args(["link", "set", FAR, "up"])))?;
        Ok(wire)
    }

    fn namespace(&self) -> String {
        format!("/proc/{}/ns/net", self.far.0.id())
    }

    /// Returns a command that runs `command` in the namespace of the far end.
    fn on_far(&self, command: &Command) -> Command {
        let mut there = Command::new("nsenter");
        there.arg(format!("--net={}", self.namespace())).arg(command.get_program()).args(command.get_args());
        there
    }

    /// Sends a load until all its packets are sent or its time is over.
    pub(crate) fn send(&self, generator: Generator<'_>, what: &Send) -> anyhow::Result<Sent> {
        let Load { pairs, sources, spread } = what.load;
        let mut command = match generator {
            Generator::Socket => {
                let mut send = pinned(GENERATOR_CPU, std::env::current_exe()?);
                send.args(["send", FAR, "--pairs", &pairs.to_string(), "--sources", &sources.to_string()]);
                send.args(["--spread", spread.name(), "--rate", &what.rate.to_string()]);
                send.args(["--seconds", &what.seconds.to_string(), "--packets", &what.packets.to_string()]);
                self.on_far(&send)
            }
            Generator::Xdp(folder) => {
                let mut send = pinned(GENERATOR_CPU, folder.join("genxdp"));
                send.args(["-i", NEAR, "-f", &pairs.to_string(), "-s", &sources.to_string()]);
                send.args(["-r", &what.rate.to_string(), "-t", &what.seconds.to_string()])
                    .current_dir(folder);
                send
            }
        };
        let printed = call(&mut command)?;
        sent(&printed).with_context(|| format!("the generator printed {printed:?}"))
    }
}

/// Parses `sent N ... seconds S` or `sent=N ... secs=S`; `None` for other output.
fn sent(printed: &str) -> Option<Sent> {
    let mut words = printed.split([' ', '=', '\n']);
    let mut next_after = |names: &[&str]| {
        words.find(|word| names.contains(word))?;
        words.next()
    };
    Some(Sent {
        packets: next_after(&["sent"])?.parse().ok()?,
        seconds: next_after(&["seconds", "secs"])?.parse().ok()?,
    })
}

fn ip(arguments: &[&str]) -> anyhow::Result<String> {
    call(Command::new("ip").args(arguments))
}

/// Runs a command to its end and returns what it printed.
fn call(mut command: impl std::borrow::BorrowMut<Command>) -> anyhow::Result<String> {
    let command = command.borrow_mut();
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed ({}): {}", output.status, stderr.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
