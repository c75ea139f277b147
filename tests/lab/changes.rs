//! A change of the interfaces is in force within a tenth of a second, measured from outside: probes cross while it
//! happens, each from an address of its own, so `/all` shows which of them were counted.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::host::Host;
use crate::support::injector::{Injector, Udp};
use crate::support::namespaces::inside;
use crate::support::over::Over;
use crate::support::program::{EVERY_HOST, Program, Signal};
use crate::support::tool::{LOOK, tool};

/// The promised delay.
const IN_FORCE_WITHIN: Duration = Duration::from_millis(100);
/// An odd number of changes, whose median is compared with the promised delay.
const ROUNDS: u8 = 7;
/// Several probes per millisecond.
const PROBES_EVERY: Duration = Duration::from_micros(250);
/// Number of probes before the change, so that some have left the ring by then, and the time for which they go on.
const BEFORE: usize = 200;
const AFTER: Duration = Duration::from_millis(200);

const CONFIG: &str = "Workers: 1\nExcludedInterfaces: lo, secret\n";

#[test]
fn a_name_counts_or_does_not_within_a_tenth_of_a_second() {
    inside(|| rename_to_and_fro(0));
}

#[test]
fn a_name_does_so_among_hundreds_of_interfaces() {
    inside(|| rename_to_and_fro(400));
}

fn rename_to_and_fro(other_interfaces: usize) {
    let lab = Lab::new(other_interfaces);
    let (mut excluded, mut included) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let probes = lab.probe(lab.far.injector("far0"), 2 * round, || lab.rename("open", "secret"));
        excluded.push(probes.in_force(false));
        let probes = lab.probe(lab.far.injector("far0"), 2 * round + 1, || lab.rename("secret", "open"));
        included.push(probes.in_force(true));
    }
    judge(&format!("a name that is excluded, {other_interfaces} other interfaces"), &excluded);
    judge(&format!("a name that is no more excluded, {other_interfaces} other interfaces"), &included);
    lab.program.stop(Signal::SIGTERM).final_counts();
}

#[test]
fn what_leaves_counts_or_does_not_within_a_tenth_of_a_second() {
    inside(|| {
        let lab = Lab::new(0);
        let (mut forwards, mut does_not) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let forward = |value| lab.router.set("net/ipv4/ip_forward", value);
            let probes = lab.probe(lab.router.injector("open"), 2 * round, || forward("1"));
            forwards.push(probes.in_force(false));
            let probes = lab.probe(lab.router.injector("open"), 2 * round + 1, || forward("0"));
            does_not.push(probes.in_force(true));
        }
        judge("a host that forwards now", &forwards);
        judge("a host that forwards no more", &does_not);
        lab.program.stop(Signal::SIGTERM).final_counts();
    });
}

fn judge(what: &str, took: &[InForce]) {
    let mut after: Vec<_> = took.iter().map(|took| took.after).collect();
    after.sort_unstable();
    let (median, max) = (after[after.len() / 2], after[after.len() - 1]);
    let waited = took.iter().map(|took| took.waited).max().unwrap_or_default();
    eprintln!(
        "{what}: not in force for {median:?} after it (median of {}), {max:?} at most; what had crossed up to \
         {waited:?} before it and waited in the ring is judged by it too",
        took.len()
    );
    assert!(median < IN_FORCE_WITHIN, "{what}: {took:?}");
}

/// The time at which a change came into force for the probes.
#[derive(Debug)]
struct InForce {
    /// From the change to the last probe that the old rule applied to.
    after: Duration,
    /// From the first probe that the new rule applied to, to the change.
    waited: Duration,
}

/// A host that does not forward, with a wire on which probes cross and another one that does not change.
struct Lab {
    router: Host,
    far: Host,
    program: Program,
}

/// The probes that were sent while a change happened.
struct Probes {
    /// The time at which each was sent, and true if it was counted.
    sent: Vec<(Instant, bool)>,
    changed_at: Instant,
}

impl Lab {
    fn new(other_interfaces: usize) -> Self {
        let (router, far) = (Host::new(), Host::new());
        for pair in 0..other_interfaces / 2 {
            router.ip(&format!("link add name a{pair} type veth peer name b{pair}"));
        }
        router.plug("open", &far, "far0");
        router.plug("quiet", &far, "far1");
        let program = Program::start(&router, &format!("{EVERY_HOST}{CONFIG}"));
        Self { router, far, program }
    }

    /// Sends probes before, during and after a change, and returns which of them were counted.
    fn probe(&self, injector: Injector, round: u8, change: impl FnOnce()) -> Probes {
        let (is_over, count) = (AtomicBool::new(false), AtomicUsize::new(0));
        let (sent, changed_at) = thread::scope(|scope| {
            let over = Over(&is_over);
            let prober = scope.spawn(|| {
                let mut sent = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    injector.send(&probe_from(source(round, sent.len())).frame());
                    sent.push(Instant::now());
                    count.store(sent.len(), Ordering::Relaxed);
                    thread::sleep(PROBES_EVERY);
                }
                sent
            });
            while count.load(Ordering::Relaxed) < BEFORE && !prober.is_finished() {
                thread::sleep(LOOK);
            }
            let changed_at = Instant::now();
            change();
            thread::sleep(AFTER);
            drop(over);
            (prober.join().expect("it only sends"), changed_at)
        });
        // The ring is read in order, so all earlier probes have been counted or skipped by then.
        let last = Ipv4Addr::new(192, 0, 2, round);
        let crosses_last = probe_from(last);
        self.far.injector("far1").send(&crosses_last.frame());
        self.program.wait_for_bytes(last, crosses_last.ip_bytes.into());
        let listed: Vec<IpAddr> = self.program.all().iter().map(|host| host.source).collect();
        let is_counted = |nth: usize| listed.contains(&source(round, nth).into());
        let sent = sent.into_iter().enumerate().map(|(nth, at)| (at, is_counted(nth)));
        Probes { sent: sent.collect(), changed_at }
    }

    /// Renames an interface while it is up, which kernels before 6.2 refuse.
    fn rename(&self, from: &str, to: &str) {
        let mut ip = tool("ip", "iproute2");
        ip.args(["link", "set", from, "name", to]);
        let is_renamed = self.router.on(|| ip.output().expect("it starts").status.success());
        if !is_renamed {
            self.router.ip(&format!("link set {from} down"));
            self.router.ip(&format!("link set {from} name {to}"));
            self.router.ip(&format!("link set {to} up"));
        }
    }
}

impl Probes {
    /// `counts` is the rule after the change.
    fn in_force(&self, counts: bool) -> InForce {
        let switched = self.sent.iter().position(|&(_, is_counted)| is_counted == counts);
        let switched = switched.expect("the change is in force in the end");
        assert!(switched > 0, "the rule before was in force until then");
        let (before, after) = self.sent.split_at(switched);
        assert!(after.iter().all(|&(_, is_counted)| is_counted == counts), "once in force it stays so");
        InForce {
            after: before[switched - 1].0.saturating_duration_since(self.changed_at),
            waited: self.changed_at.saturating_duration_since(after[0].0),
        }
    }
}

/// Returns the address of a probe; none is used twice.
fn source(round: u8, nth: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, round, 0, 1).to_bits() + nth as u32)
}

fn probe_from(src: Ipv4Addr) -> Udp {
    Udp { src, dst: Ipv4Addr::new(198, 18, 0, 1), dst_port: 53, ip_bytes: 100 }
}
