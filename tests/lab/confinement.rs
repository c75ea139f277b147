//! What a break-in finds: each kind of thread is taken over by an attacker, who can do nothing beyond the work of that
//! thread. And the running program: every thread has its filter, and the packet sockets are where they are needed.
//!
//! The attacker runs in threads of the test that confine themselves by the functions that the program's threads call,
//! so no hook is in the program. `every_thread_of_the_program_is_confined` shows that the program's threads call them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::process::Command;
use std::thread;

use io_uring::IoUring;
use memmap2::MmapMut;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_no_new_privs;
use nix::sys::signal::kill;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, recv, send, sendto,
    socket,
};
use nix::unistd::{execv, getppid, write};
use serde_json::{Value, json};
use traffic_alerted::sandbox::{self, Grants, ThreadKind};
use traffic_alerted::sys::packet_socket::PacketSocket;

use crate::support::host::Host;
use crate::support::injector::{Udp, frame_from, link_address};
use crate::support::namespaces::inside;
use crate::support::program::{EVERY_HOST, Program, Signal};

const HEAVY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);

/// What an attacker tries, with what the thread has and with what is around.
struct Attacker<'a> {
    folder_of_others: &'a Path,
    /// A port that the program has no business with.
    port: u16,
    /// The loopback interface, as an address of a packet socket.
    link: SockaddrStorage,
    /// The packet socket of a thread that has one.
    packet_socket: Option<&'a PacketSocket>,
}

type Attempt = (&'static str, fn(&Attacker<'_>) -> bool);

/// Each attempt returns true if it succeeded. Without confinement all of them do.
const ATTEMPTS: &[Attempt] = &[
    ("run a program", |_| Command::new("/bin/true").status().is_ok()),
    ("read a file of others", |attacker| File::open(attacker.folder_of_others.join("secret")).is_ok()),
    ("write a file of others", |attacker| {
        fs::OpenOptions::new().append(true).open(attacker.folder_of_others.join("secret")).is_ok()
    }),
    ("make a file elsewhere", |attacker| {
        File::create(attacker.folder_of_others.join(format!("{:?}", thread::current().id()))).is_ok()
    }),
    ("open a packet socket", |_| open_socket(AddressFamily::Packet, None)),
    ("open a raw socket", |_| open_socket(AddressFamily::Inet, Some(SockProtocol::Icmp))),
    ("connect to another port", |attacker| TcpStream::connect((Ipv4Addr::LOCALHOST, attacker.port)).is_ok()),
    ("listen", |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).is_ok()),
    ("make an io_uring", |_| IoUring::new(2).is_ok()),
    ("make memory executable", |_| MmapMut::map_anon(4096).and_then(MmapMut::make_exec).is_ok()),
    ("signal another process", |_| kill(getppid(), None).is_ok()),
    ("make a namespace", |_| unshare(CloneFlags::CLONE_NEWNET).is_ok()),
];

/// What needs a packet socket.
const ATTEMPTS_TO_SEND: &[Attempt] = &[
    ("write a frame to the ring", |attacker| {
        attacker.packet_socket.is_some_and(|socket| write(socket, &frame_from(HEAVY)).is_ok())
    }),
    ("send a frame", |attacker| {
        let flags = MsgFlags::empty();
        attacker
            .packet_socket
            .is_some_and(|socket| send(socket.as_fd().as_raw_fd(), &frame_from(HEAVY), flags).is_ok())
    }),
    ("send a frame to an interface", |attacker| {
        let Some(socket) = attacker.packet_socket else { return false };
        sendto(socket.as_fd().as_raw_fd(), &frame_from(HEAVY), &attacker.link, MsgFlags::empty()).is_ok()
    }),
    ("bind the ring to an interface and write to it", |attacker| {
        let Some(socket) = attacker.packet_socket else { return false };
        bind(socket.as_fd().as_raw_fd(), &attacker.link).is_ok() && write(socket, &frame_from(HEAVY)).is_ok()
    }),
];

fn open_socket(family: AddressFamily, protocol: Option<SockProtocol>) -> bool {
    socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol).is_ok()
}

impl Attacker<'_> {
    fn successes(&self) -> Vec<&'static str> {
        let attempts = ATTEMPTS.iter().chain(ATTEMPTS_TO_SEND);
        attempts.filter(|(_, attempt)| attempt(self)).map(|(name, _)| *name).collect()
    }
}

#[test]
fn an_attacker_in_any_kind_of_thread_gets_nowhere() {
    inside(|| {
        Host::new().on(|| {
            let [own, other] = [(); 2].map(|()| tempfile::tempdir().expect("a folder for the test"));
            fs::write(other.path().join("secret"), "x").expect("it is ours");
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
            let port = listener.local_addr().expect("it is bound").port();
            let folder_of_others = other.path();
            let link = link_address("lo").expect("every namespace has it");
            let packet_socket = || {
                let socket = PacketSocket::open().expect("the test is root of its namespaces");
                socket.bind_to_all_interfaces().expect("it is not bound yet");
                socket
            };

            // The attempts are real: without confinement every one but the write to an unbound socket succeeds.
            let socket = packet_socket();
            let unconfined = thread::scope(|scope| {
                let attack =
                    || Attacker { folder_of_others, port, link, packet_socket: Some(&socket) }.successes();
                scope.spawn(attack).join().expect("no attempt panics")
            });
            let all = ATTEMPTS.iter().chain(ATTEMPTS_TO_SEND).map(|(name, _)| *name);
            let unbound = ["write a frame to the ring", "send a frame"];
            assert_eq!(unconfined, all.filter(|name| !unbound.contains(name)).collect::<Vec<_>>());

            let observer = packet_socket();
            set_no_new_privs().expect("it only gives up");
            let mut grants = Grants::of_every_program();
            grants.write_folder(own.path());
            sandbox::begin(grants);
            let status = sandbox::status();
            assert!(status.landlock.starts_with("abi "), "{status:?}: the tests need Landlock");
            for kind in ThreadKind::ALL {
                let has_packet_socket = matches!(kind, ThreadKind::Worker | ThreadKind::LinkMonitor);
                let socket = has_packet_socket.then(packet_socket);
                let own_file = own.path().join(format!("{kind:?}"));
                let attack = || {
                    if let Some(socket) = &socket {
                        let kept = vec![socket.as_fd().as_raw_fd()];
                        assert!(sandbox::own_descriptors(kept).expect("no privilege is needed"));
                    }
                    sandbox::enter(kind);
                    let attacker = Attacker { folder_of_others, port, link, packet_socket: socket.as_ref() };
                    let mut successes = attacker.successes();
                    if File::open("/etc/shadow").is_ok() {
                        successes.push("open /etc/shadow");
                    }
                    // If this succeeded, the test would be gone and its name would not be among those that passed.
                    let executed = execv(c"/bin/true", &[c"/bin/true"]);
                    assert_eq!(executed, Err(Errno::EPERM));
                    (successes, fs::write(&own_file, "1").is_ok())
                };
                let (successes, writes) = thread::scope(|scope| scope.spawn(attack).join())
                    .unwrap_or_else(|_| panic!("{kind:?} panicked"));
                assert_eq!(successes, [""; 0], "{kind:?}");
                let is_writer = matches!(kind, ThreadKind::Main | ThreadKind::FileSink | ThreadKind::Store);
                assert_eq!(writes, is_writer, "{kind:?} writes its own folder");
            }
            assert_eq!(sandbox::status().seccomp, "on");
            let seen = recv(observer.as_fd().as_raw_fd(), &mut [0; 64], MsgFlags::MSG_DONTWAIT);
            assert_eq!(seen, Err(Errno::EAGAIN), "a frame is on a wire");
        });
    });
}

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
