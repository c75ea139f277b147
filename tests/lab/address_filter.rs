//! Addresses that the unit refuses (`IPAddressDeny=`) are named with the remedy, by a real filter at a cgroup.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use crate::support::program::BINARY;

/// What the script exits with where the kernel refuses a filter.
const NOT_CHECKED: i32 = 77;

#[test]
fn what_the_unit_refuses_is_said_with_the_remedy() {
    let Some(root) = cgroups() else {
        return eprintln!("NOT CHECKED: a filter at a cgroup takes root and a cgroup of version 2");
    };
    // No user database names it, and its own addresses are those of the script.
    let config = "ListenAddress: 192.168.7.1:8698\nApiToken: 0123456789abcdef0123456789abcdef\nUser: 61700\n\
                  WebhookURL: http://192.0.2.7/x\nSyslog: udp://[2001:db8::8]:514\nReverseDNS: true\nApiSocket: off\n";
    let start = |number: u32, allowed: &str| run(&root, number, allowed, config);
    let Some(said) = start(1, "") else { return };
    let remedy = |what: &str, allow: &str| {
        format!(
            "{what}: IPAddressDeny= of TrafficAlerted.service refuses its packets. Run `systemctl edit TrafficAlerted`, \
             write `[Service]` and `IPAddressAllow={allow}`, and restart TrafficAlerted"
        )
    };
    let listen = "ListenAddress 192.168.7.1:8698: clients that no IPAddressAllow= names get no answer";
    let v6 = "Syslog: 2001:db8::8 is not reached unless IPAddressAllow= names it, since even this host's own \
              2001:db8:7::1 is refused";
    for line in [
        remedy(listen, "192.168.7.0/24"),
        remedy("WebhookURL: 192.0.2.7 is not reached", "192.0.2.7"),
        remedy(v6, "2001:db8::8"),
        remedy("ReverseDNS: the name server 192.0.2.53 is not reached", "192.0.2.53"),
    ] {
        assert_eq!(said.matches(&line).count(), 1, "{line}: {said}");
    }
    assert!(said.contains("sent 0 frames"), "nothing was put on the wire: {said}");

    let said = start(2, "192.168.7.1 192.0.2.7 192.0.2.53").expect("it worked before");
    assert!(said.contains("sent 0 frames"), "nothing was put on the wire: {said}");
    assert_eq!(said.matches("IPAddressDeny=").count(), 1, "{said}");
    assert!(said.contains(v6), "{said}");
}

/// Runs the program in a network of its own, in a cgroup whose filter refuses all but this host and `allowed`, until it
/// has said what it does not reach. Returns its log, and how many frames left the host over IPv4.
fn run(root: &Path, number: u32, allowed: &str, config: &str) -> Option<String> {
    let folder = tempfile::tempdir().expect("a folder for the test");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
    fs::write(folder.path().join("lab.conf"), config).expect("it is ours");
    fs::write(folder.path().join("resolv.conf"), "nameserver 192.0.2.53\n").expect("it is ours");
    let slice = root.join(format!("ta-lab-{}-{number}", std::process::id()));
    fs::create_dir(&slice).expect("root makes cgroups");
    let cgroup = slice.join("TrafficAlerted.service");
    // IPv6 has a wire of its own, since the kernel itself sends frames there. Without ARP, whatever has a route leaves.
    let script = "mount --bind resolv.conf /etc/resolv.conf && ip link set lo up && \
         ip link add own0 type veth peer name far0 && ip link add own6 type veth peer name far6 && \
         echo 1 >/proc/sys/net/ipv6/conf/own0/disable_ipv6 && \
         for end in own0 far0 own6 far6; do ip link set $end arp off up; done && \
         ip addr add 192.168.7.1/24 dev own0 && ip route add default via 192.168.7.2 && \
         ip addr add 2001:db8:7::1/64 dev own6 nodad && ip -6 route add default via 2001:db8:7::2 && \
         perl \"$1\" \"$2\" \"$3\" \"$4\" lab.conf; code=$?; \
         awk '$1 == \"own0:\" { print \"sent \" $11 \" frames\" }' /proc/net/dev >&2; exit $code";
    let pl = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/address_filter.pl");
    let mut child = Command::new("unshare")
        .args(["--net", "--mount", "sh", "-c", script, "sh"])
        .args([pl.as_os_str(), cgroup.as_os_str(), allowed.as_ref(), BINARY.as_ref()])
        .current_dir(folder.path())
        .env_remove("JOURNAL_STREAM")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("unshare is part of util-linux");
    let log = BufReader::new(child.stderr.take().expect("it is piped"));
    let mut said = String::new();
    for line in log.lines().map_while(Result::ok) {
        said.push_str(&line);
        said.push('\n');
        // The receivers are looked at in this order, and the last one is refused in both runs.
        let is_last =
            if allowed.is_empty() { line.contains("ReverseDNS: ") } else { line.contains("Syslog: 2001") };
        if is_last {
            let processes = fs::read_to_string(cgroup.join("cgroup.procs")).expect("it runs");
            let first = processes.lines().next().and_then(|line| line.parse().ok()).expect("it runs");
            kill(Pid::from_raw(first), Signal::SIGTERM).expect("it runs");
        }
    }
    let code = child.wait().expect("it was started").code();
    let _ = fs::remove_dir(&cgroup);
    fs::remove_dir(&slice).expect("it is empty");
    if code == Some(NOT_CHECKED) {
        eprint!("{said}");
        return None;
    }
    assert_eq!(code, Some(0), "{said}");
    Some(said)
}

/// Returns the folder of cgroups of version 2; `None` if this is not root or there is none.
fn cgroups() -> Option<PathBuf> {
    if !geteuid().is_root() {
        return None;
    }
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let fields = |line: &'_ str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let folder =
        mounts.lines().map(fields).find(|fields| fields.get(2).is_some_and(|kind| kind == "cgroup2"));
    Some(folder?.get(1)?.into())
}
