//! The running program is confined: every thread has its filter, the packet sockets are where they are needed, and what
//! it needs works inside. What an attacker in a thread finds is in `attack.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::Path;

use serde_json::{Value, json};

use crate::support::host::Host;
use crate::support::injector::{Udp, frame_from};
use crate::support::namespaces::inside;
use crate::support::program::{EVERY_HOST, Program, Signal};

const HEAVY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);

#[test]
fn every_thread_of_the_program_is_confined() {
    inside(|| {
        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        let [folder, other] = [(); 2].map(|()| tempfile::tempdir().expect("a folder for the test"));
        let (webhook, collector) = router.on(|| {
            let webhook = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
            (webhook, UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port"))
        });
        let config = |alert_file: &Path, port: u16| {
            format!(
                "{EVERY_HOST}Workers: 2\nByteLimit: 100K\nStateFile: {}\nAlertFile: {}\n\
                 WebhookURL: http://127.0.0.1:{port}/\nSyslog: udp://127.0.0.1:{}\n",
                folder.path().join("state.json").display(),
                alert_file.display(),
                collector.local_addr().expect("it is bound").port(),
            )
        };
        let port = webhook.local_addr().expect("it is bound").port();
        let program = Program::start(&router, &config(&folder.path().join("alerts.jsonl"), port));
        let expected: BTreeSet<&str> = [
            "AlertFile",
            "Syslog",
            "TrafficAlerted",
            "WebhookURL",
            "analyst",
            "api",
            "interfaces",
            "log",
            "records",
            "worker-0",
            "worker-1",
        ]
        .into();
        let threads = program.wait_for(
            "every thread has its filter",
            |program| threads(program.id()),
            |threads| threads.iter().all(|thread| thread.field("Seccomp:") == "2"),
        );
        let names: BTreeSet<&str> = threads.iter().map(|thread| thread.name.as_str()).collect();
        assert!(names.is_superset(&expected), "{names:?}");
        for thread in &threads {
            assert_eq!(thread.field("NoNewPrivs:"), "1", "{}", thread.name);
        }

        let packet_sockets = packet_sockets(program.id());
        assert_eq!(packet_sockets.len(), 2, "one for each worker: {packet_sockets:?}");
        let held: BTreeMap<&str, usize> = threads
            .iter()
            .map(|thread| (thread.name.as_str(), thread.sockets.intersection(&packet_sockets).count()))
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(held, [("interfaces", 2), ("worker-0", 1), ("worker-1", 1)].into());

        let status: Value = program.get_json("/api/v1/status");
        let wanted = json!({
            "user": 0, "no_new_privileges": true, "landlock": status["confinement"]["landlock"], "seccomp": "on",
            "io_uring": "restricted", "packet_sockets": "separate",
        });
        assert_eq!(status["confinement"], wanted, "the namespace of the test maps root alone");
        assert!(status["confinement"]["landlock"].as_str().is_some_and(|text| text.starts_with("abi ")));

        // What the kernel would refuse is refused by the reload, and the rest of it is in force.
        let outside = config(&other.path().join("alerts.jsonl"), port + 1).replace("100K", "50K");
        program.reload(&outside);
        program.wait_for_log("not before a restart: AlertFile, WebhookURL");
        assert!(program.get("/capabilities").contains(r#""ByteLimit":50000,"#));

        // An interface that appears later is followed inside.
        far.plug("far1", &router, "near1");
        far.injector("far1").send(&frame_from(HEAVY));
        program.wait_for_bytes(HEAVY, 1000);
        let packet = Udp { src: HEAVY, dst: Ipv4Addr::new(198, 18, 0, 1), dst_port: 53, ip_bytes: 1000 };
        far.injector("far0").send_at_rate(&vec![packet.frame(); 101], 50_000);
        let written =
            |_: &Program| fs::read_to_string(folder.path().join("alerts.jsonl")).unwrap_or_default();
        program.wait_for("the alert is in the file", written, |text| text.ends_with('\n'));
        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        for refusal in ["Operation not permitted", "Permission denied"] {
            assert!(!ended.text().contains(refusal), "{}", ended.text());
        }
    });
}

#[test]
fn sandbox_off_is_said() {
    inside(|| {
        let router = Host::router();
        let program = Program::start(&router, &format!("{EVERY_HOST}Sandbox: off\n"));
        program.wait_for_log("Sandbox is off");
        assert!(threads(program.id()).iter().all(|thread| thread.field("Seccomp:") == "0"));
        assert_eq!(program.stop(Signal::SIGTERM).code, Some(0));
    });
}

#[test]
fn the_socket_of_the_api_is_removed_only_from_a_folder_of_its_own() {
    inside(|| {
        let router = Host::router();
        let folder = tempfile::tempdir().expect("a folder for the test");
        let socket = folder.path().join("api.sock");
        let config = format!("{EVERY_HOST}User: root\nApiSocket: {}\n", socket.display());
        let run = || {
            let program = Program::start(&router, &config);
            assert!(socket.exists());
            program.stop(Signal::SIGTERM)
        };
        let ended = run();
        assert_eq!((ended.code, socket.exists()), (Some(0), false), "{}", ended.text());
        fs::write(folder.path().join("other"), "").expect("it is ours");
        // The second start replaces what the first has left.
        for _ in 0..2 {
            let ended = run();
            assert_eq!((ended.code, socket.exists()), (Some(0), true), "{}", ended.text());
            assert!(ended.text().contains("stays when the program ends"), "{}", ended.text());
        }
    });
}

/// A thread of a process, as proc(5) shows it.
#[derive(Debug)]
struct Thread {
    name: String,
    status: String,
    /// The inodes of the sockets in its table of descriptors.
    sockets: BTreeSet<u64>,
}

impl Thread {
    fn field(&self, name: &str) -> &str {
        let value = self.status.lines().find_map(|line| line.strip_prefix(name));
        value.unwrap_or_else(|| panic!("no {name} in {}", self.status)).trim()
    }
}

fn threads(process: u32) -> Vec<Thread> {
    let folders = fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    let read = |folder: &Path| -> io::Result<Thread> {
        let name = fs::read_to_string(folder.join("comm"))?.trim().to_owned();
        let status = fs::read_to_string(folder.join("status"))?;
        let mut sockets = BTreeSet::new();
        for entry in fs::read_dir(folder.join("fd"))? {
            let Ok(target) = fs::read_link(entry?.path()) else { continue };
            let inode = target.to_str().and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']'));
            sockets.extend(inode.and_then(|inode| inode.parse::<u64>().ok()));
        }
        Ok(Thread { name, status, sockets })
    };
    // A thread that ends meanwhile is no longer there.
    folders.filter_map(|entry| read(&entry.ok()?.path()).ok()).collect()
}

/// The inodes of the packet sockets in the network namespace of a process.
fn packet_sockets(process: u32) -> BTreeSet<u64> {
    let list =
        fs::read_to_string(format!("/proc/{process}/net/packet")).expect("the kernel has packet sockets");
    list.lines().skip(1).filter_map(|line| line.split_whitespace().last()?.parse().ok()).collect()
}
