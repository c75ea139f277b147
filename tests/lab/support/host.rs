//! A host of the lab: a network namespace, and the wires between two of them.

use std::collections::HashMap;
use std::fs::{self, File};
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::panic;
use std::process::{self, Command};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns, unshare};
use serde_json::Value;

use crate::support::injector::Injector;
use crate::support::namespaces::is_inside;
use crate::support::tool::{LOOK, run, tool};

/// A network namespace. Clones are the same host; it is gone with the last clone and the last process in it.
#[derive(Clone)]
pub(crate) struct Host(Arc<File>);

/// Packets and bytes that a host sent or that crossed an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

impl Sum {
    pub(crate) fn and(self, other: Sum) -> Sum {
        Sum { packets: self.packets + other.packets, bytes: self.bytes + other.bytes }
    }
}

impl Host {
    /// Makes a host without wires that does not forward. It has no IPv6, so that only packets of the test are on a
    /// wire.
    pub(crate) fn new() -> Self {
        assert!(
            is_inside(),
            "a scenario is written as `inside(|| ...)`: here it would be on the real machine"
        );
        let namespace = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("the test is root of its namespaces");
            File::open("/proc/thread-self/ns/net").expect("every thread has a network namespace")
        });
        let namespace = namespace.join().unwrap_or_else(|panic| panic::resume_unwind(panic));
        let host = Self(Arc::new(namespace));
        host.set("net/ipv6/conf/all/disable_ipv6", "1");
        host.set("net/ipv6/conf/default/disable_ipv6", "1");
        host.ip("link set lo up");
        host
    }

    /// Makes a host that forwards.
    pub(crate) fn router() -> Self {
        let host = Self::new();
        host.set("net/ipv4/ip_forward", "1");
        host
    }

    /// Runs `work` on this host: its sockets and the processes it starts belong to the namespace.
    pub(crate) fn on<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let visit = || {
            self.enter();
            work()
        };
        thread::scope(|scope| scope.spawn(visit).join()).unwrap_or_else(|panic| panic::resume_unwind(panic))
    }

    /// Runs `work` on a thread on this host, at most until the test ends.
    pub(crate) fn serve(&self, work: impl FnOnce() + Send + 'static) {
        let host = self.clone();
        thread::spawn(move || {
            host.enter();
            work();
        });
    }

    /// Puts the calling thread into the namespace.
    fn enter(&self) {
        setns(&*self.0, CloneFlags::CLONE_NEWNET).expect("the test is root of its namespaces");
    }

    /// Lays a wire from `end` of this host to `other_end` of another one. Both ends are up.
    pub(crate) fn plug(&self, end: &str, other: &Host, other_end: &str) {
        self.ip(&format!("link add name {end} type veth peer name {other_end} netns {}", other.path()));
        // Without segmentation offload, netfilter counts the packets of the wire.
        self.ip(&format!("link set {end} up gso_max_segs 1"));
        other.ip(&format!("link set {other_end} up gso_max_segs 1"));
    }

    /// Returns the path by which ip(8) finds the host: `host.ip(&format!("link set eth0 netns {}", other.path()))`.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", process::id(), self.0.as_raw_fd())
    }

    /// Waits until an interface is up, which is a moment after its other end came up.
    pub(crate) fn wait_until_up(&self, interface: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.link(interface)["operstate"] != "UP" {
            assert!(Instant::now() < deadline, "{interface} does not come up");
            thread::sleep(LOOK);
        }
    }

    /// Runs ip(8): `host.ip("route add default via 10.0.0.1")`.
    pub(crate) fn ip(&self, arguments: &str) {
        self.run(tool("ip", "iproute2").args(arguments.split_whitespace()));
    }

    /// Runs several commands of ip(8) in one process, only microseconds apart.
    pub(crate) fn ip_batch(&self, commands: &[&str]) {
        let file = tempfile::NamedTempFile::new().expect("a file for the test");
        fs::write(file.path(), commands.join("\n")).expect("it is ours");
        self.run(tool("ip", "iproute2").arg("-batch").arg(file.path()));
    }

    /// Sets a sysctl: `host.set("net/ipv4/ip_forward", "1")`.
    pub(crate) fn set(&self, sysctl: &str, value: &str) {
        let file = format!("/proc/sys/{sysctl}");
        self.on(|| {
            fs::write(&file, value)
                .unwrap_or_else(|error| panic!("{file} must be writable, in a container too: {error}"));
        });
    }

    /// Adds rules to nftables.
    pub(crate) fn nft(&self, rules: &str) {
        self.run(tool("nft", "nftables").arg(rules));
    }

    /// Runs a command on this host and returns what it printed.
    pub(crate) fn run(&self, command: &mut Command) -> String {
        self.on(|| run(command))
    }

    /// Returns an injector that sends frames on an interface.
    pub(crate) fn injector(&self, interface: &str) -> Injector {
        self.on(|| Injector::on(interface))
    }

    /// Begins to count what each address of this host sends.
    pub(crate) fn count_sent(&self) {
        self.nft(
            "table ip lab {
                set sent { type ipv4_addr; size 4096; flags dynamic; counter; }
                chain leaving {
                    type filter hook postrouting priority 1000; policy accept;
                    oifname != \"lo\" add @sent { ip saddr }
                }
            }",
        );
    }

    /// Begins to count what this host receives of each address.
    pub(crate) fn count_received(&self) {
        self.nft(
            "table ip lab {
                set received { type ipv4_addr; size 4096; flags dynamic; counter; }
                chain entering {
                    type filter hook prerouting priority -1000; policy accept;
                    iifname != \"lo\" add @received { ip saddr }
                }
            }",
        );
    }

    /// Returns what each address has sent since [`count_sent`](Self::count_sent): IP packets, header included.
    pub(crate) fn sent(&self) -> HashMap<IpAddr, Sum> {
        self.counted("sent")
    }

    /// Returns what was received of each address since [`count_received`](Self::count_received).
    pub(crate) fn received(&self) -> HashMap<IpAddr, Sum> {
        self.counted("received")
    }

    fn counted(&self, set: &str) -> HashMap<IpAddr, Sum> {
        let printed = self.run(tool("nft", "nftables").args(["--json", "list", "set", "ip", "lab", set]));
        let json: Value = serde_json::from_str(&printed).expect("nft prints JSON");
        let sets = json["nftables"].as_array().into_iter().flatten();
        let elements = sets.filter_map(|object| object["set"]["elem"].as_array()).flatten();
        let number = |value: &Value| value.as_u64().expect("nft counts in numbers");
        elements
            .map(|element| {
                let (addr, counter) = (&element["elem"]["val"], &element["elem"]["counter"]);
                let addr = addr.as_str().and_then(|addr| addr.parse().ok()).expect("an address");
                (addr, Sum { packets: number(&counter["packets"]), bytes: number(&counter["bytes"]) })
            })
            .collect()
    }

    /// Returns the description of an interface by ip(8).
    pub(crate) fn link(&self, interface: &str) -> Value {
        let printed = self.run(tool("ip", "iproute2").args(["-json", "link", "show", "dev", interface]));
        let mut links: Vec<Value> = serde_json::from_str(&printed).expect("ip prints JSON");
        links.pop().expect("the interface is there")
    }

    /// Returns the link address of an Ethernet interface.
    pub(crate) fn mac(&self, interface: &str) -> String {
        self.link(interface)["address"].as_str().expect("Ethernet has an address").to_owned()
    }

    /// Returns the frames that an interface has received since it was made.
    pub(crate) fn frames_received(&self, interface: &str) -> u64 {
        let table =
            self.on(|| fs::read_to_string("/proc/thread-self/net/dev").expect("the kernel has /proc"));
        let columns = table.lines().find_map(|line| {
            let (name, columns) = line.split_once(':')?;
            (name.trim() == interface).then_some(columns)
        });
        let columns = columns.unwrap_or_else(|| panic!("there is no {interface} in\n{table}"));
        columns.split_whitespace().nth(1).and_then(|packets| packets.parse().ok()).expect("proc(5)")
    }
}
