//! What a break-in finds: the program, started as root with every kind of thread, is attacked from within each of its
//! threads and from its helper, and nobody gets beyond the work of the thread.
//!
//! The attacker is in the program that is tested (`src/sandbox/attack`), in builds with the feature `attack-tests`
//! alone:
//!
//! ```text
//! cargo test --no-default-features --features attack-tests --test lab attack::
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, socket};
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

use crate::privileges::{assert_unprivileged, heavy, helper_of, open_folder, script, statuses, wait_for};
use crate::support::host::Host;
use crate::support::injector::{Injector, link_address};
use crate::support::namespaces::inside_with_users;
use crate::support::program::{BINARY, EVERY_HOST, Program, Signal};
use crate::support::tool::tool;

/// A user id that no user has, and another one for the command.
const USER: u32 = 61_710;
const COMMAND_USER: u32 = 61_711;

const HEAVY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);

/// The threads that attack, and their kinds.
const THREADS: &[(&str, &str)] = &[
    ("main", "Main"),
    ("worker-0", "Worker"),
    ("worker-1", "Worker"),
    ("interfaces", "LinkMonitor"),
    ("analyst", "Analyst"),
    ("api", "Api"),
    ("log", "LogSink"),
    ("AlertFile", "FileSink"),
    ("AlertCommand", "CommandSink"),
    ("WebhookURL", "WebhookSink"),
    ("Syslog", "SyslogSink"),
    ("store", "Store"),
    ("records", "Records"),
    ("command-stderr", "Records"),
    ("main", "Helper"),
];

/// The threads that begin later: with the first alert, and at a reload.
const LATER: &[(&str, &str)] = &[("lookup", "Lookup"), ("config", "ConfigReader")];

#[test]
fn an_attacker_in_any_thread_of_the_program_gets_nowhere() {
    inside_with_users(|| {
        let scene = Scene::new(USER);
        let config = scene.config(&format!("User: {USER}\nAlertCommandUser: {COMMAND_USER}\n"));
        let program = scene.start(&config, true);
        scene.wait_for_attacks(&program, THREADS);
        let (threads, helper) = (statuses(program.id()), statuses(helper_of(&program)));

        // What was attacked still does its work: an alert goes to each sink.
        scene.injector.send_at_rate(&heavy(HEAVY), 50_000);
        wait_for(&program, &scene.path("own/alerts.jsonl"));
        wait_for(&program, &scene.path("outside/command"));
        program.wait_for("the webhook has it", |_| scene.posts.load(Ordering::Relaxed), |&posts| posts > 0);
        program.reload(&config.replace("100K", "110K"));
        scene.wait_for_attacks(&program, LATER);
        let frames = scene.frames(&program);
        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        let report = scene.report();
        let mut wrong = Vec::new();
        for (&(thread, kind), attempts) in &report.by_thread() {
            let allowed: BTreeSet<&str> = attempts
                .iter()
                .filter(|attempt| !attempt.is_refused())
                .map(|attempt| attempt.attempt.as_str())
                .collect();
            let expected: BTreeSet<&str> = allowed_to(kind).collect();
            wrong.extend(allowed.difference(&expected).map(|name| format!("{thread} ({kind}) may: {name}")));
            // What else its user may do differs between kernels.
            let missing = expected.difference(&allowed).filter(|name| kind != "Helper" || **name == SPAWN);
            wrong.extend(missing.map(|name| format!("{thread} ({kind}) may not: {name}")));
            let sockets =
                attempts.iter().filter(|attempt| attempt.attempt == "a packet socket is seen").count();
            let expected = match kind {
                "Worker" => 1,
                "LinkMonitor" => 2,
                _ => 0,
            };
            if sockets != expected {
                wrong.push(format!("{thread} ({kind}) sees {sockets} packet sockets"));
            }
        }
        assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), report.text());
        assert_eq!(frames, 0, "a frame of the attacker is on the wire");
        // Nobody has gained anything.
        assert!(threads.len() >= THREADS.len() - 1, "{}", threads.len());
        threads.iter().for_each(|status| assert_unprivileged(status, USER));
        helper.iter().for_each(|status| assert_unprivileged(status, COMMAND_USER));
        for status in threads.iter().chain(&helper) {
            assert!(status.contains("\nSeccomp:\t2\n"), "{status}");
        }
    });
}

/// What this test would say of a program that is not confined.
#[test]
fn the_same_attacker_succeeds_without_confinement() {
    inside_with_users(|| {
        let scene = Scene::new(0);
        let config = scene.config("User: root\nSandbox: off\n");
        let program = scene.start(&config, false);
        scene.wait_for_attacks(&program, THREADS);
        let (frames, report) = (scene.frames(&program), scene.report());
        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        for (&(thread, kind), attempts) in &report.by_thread() {
            // In a user namespace root is another user to the files of the machine.
            let is_root = fs::File::open("/etc/shadow").is_ok();
            let is_of_machine = |name: &str| name.contains("/etc") || name.contains("sysctl");
            for name in WITHOUT_CONFINEMENT.iter().filter(|name| is_root || !is_of_machine(name)) {
                let is_allowed = |tried: &&Attempt| tried.attempt == *name && !tried.is_refused();
                // The helper has no packet socket in any case.
                let is_exempt = kind == "Helper" && name.starts_with("frame: ");
                assert!(
                    is_exempt || attempts.iter().any(is_allowed),
                    "{thread} ({kind}) may not: {name}\n{}",
                    report.text()
                );
            }
        }
        assert!(frames > 0, "no frame of the attacker is on the wire");
    });
}

#[test]
fn a_build_that_can_be_attacked_says_so() {
    let output = Command::new(BINARY).arg("--version").output().expect("it runs");
    let version = String::from_utf8_lossy(&output.stdout);
    assert!(version.contains("attack-tests: for tests only"), "{version}");
}

/// Returns the attempts that are the work of a kind of thread, and nothing else.
fn allowed_to(kind: &str) -> impl Iterator<Item = &'static str> {
    const UDP: &[&str] = &["socket: UDP", "socket: UDP over IPv6"];
    const TCP: &[&str] = &["socket: TCP", "socket: TCP over IPv6"];
    const LOCAL: &[&str] = &["socket: local"];
    const WRITES: &[&str] = &["make a file in the own folder"];
    const CAPTURES: &[&str] = &["a packet socket is seen", "socket: rtnetlink"];
    let lists: &[&[&str]] = match kind {
        "Main" => &[UDP, TCP, LOCAL, WRITES],
        "Worker" => &[CAPTURES, &["io_uring: poll"]],
        "LinkMonitor" => &[CAPTURES],
        "Analyst" | "Api" | "LogSink" | "Records" => &[],
        "FileSink" => &[UDP, WRITES, &["io_uring: write nothing"]],
        "CommandSink" => &[UDP],
        "WebhookSink" | "Lookup" => &[UDP, TCP],
        "SyslogSink" => &[UDP, TCP, LOCAL],
        "Store" => &[WRITES],
        "ConfigReader" => &[UDP, LOCAL],
        "Helper" => &[HELPER],
        other => panic!("{other} is no kind of thread"),
    };
    lists.iter().copied().flatten().copied().chain(["end"])
}

/// What the helper is for.
const SPAWN: &str = "spawn a program";

/// What the helper may do as any process of its user: it runs the operator's programs, which need no less.
const HELPER: &[&str] = &[
    "execve of a text",
    "execveat of a text",
    SPAWN,
    "fork and execve",
    "vfork and execve",
    "clone and execve",
    "mmap executable memory",
    "mprotect memory to be executable",
    "personality",
    "memfd_create",
    "openat2",
    "write a file of others",
    "make a file in /tmp",
    "make a file outside",
    "make a folder outside",
    "mknod a FIFO outside",
    "symlink outside",
    "truncate a file of others",
    "remove a file of others",
    "change the working folder",
    "socket: UDP",
    "socket: UDP over IPv6",
    "socket: TCP",
    "socket: TCP over IPv6",
    "socket: MPTCP",
    "socket: SCTP",
    "socket: UDP-Lite",
    "socket: local",
    "socket: rtnetlink",
    "socket: generic netlink",
    "socket: netfilter",
    "socket: audit",
    "socket: crypto",
    "socket: vsock",
    "socketpair",
    "connect to another port",
    "connect to another port by TCP Fast Open",
    "listen",
    "make an io_uring",
    "prctl: dumpable",
    "prctl: may be traced by all",
];

/// What each thread of an unconfined program of root succeeds with, among other things.
const WITHOUT_CONFINEMENT: &[&str] = &[
    "execve of a text",
    "execveat of a text",
    SPAWN,
    "mmap executable memory",
    "mprotect memory to be executable",
    "personality",
    "read /etc/shadow",
    "read a secret of root",
    "write a file of others",
    "make a file in /tmp",
    "make a file in /etc",
    "make a file in the working folder",
    "make a file outside",
    "rename a file out of the own folder",
    "link a file out of the own folder",
    "link a file of others into the own folder",
    "symlink in the own folder",
    "mknod a FIFO in the own folder",
    "truncate a file of others",
    "change the mode of a file of others",
    "make a setuid file",
    "make a setgid file",
    "make a file setuid",
    "make a file setgid",
    "type into a terminal",
    "paste into a console",
    "take a terminal",
    "remove a file of others",
    "write /proc/self/mem",
    "write a sysctl",
    "socket: UDP",
    "socket: TCP",
    "socket: local",
    "socket: rtnetlink",
    "socketpair",
    "connect to another port",
    "connect to another port by TCP Fast Open",
    "listen",
    "make an io_uring",
    "frame: sendto an interface",
    "frame: sendmsg to an interface",
    "frame: sendmmsg to an interface",
    "setuid",
    "setresuid",
    "prctl: dumpable",
    "clone3",
    "kill the decoy",
    "tgkill the decoy",
    "kill the parent",
    "read the limits of the parent",
    "keyctl",
];

/// The type and the payload of the frame that the test sends at the end.
const LAST: &[u8; 8] = b"\x88\xb5finish";
/// Set in the number of frames once that frame was received.
const IS_OVER: u64 = 1 << 63;

/// The network, the files and the receivers of a test.
struct Scene {
    router: Host,
    _far: Host,
    injector: Injector,
    folder: TempDir,
    decoy: Child,
    webhook: u16,
    other_port: u16,
    _other: TcpListener,
    collector: UdpSocket,
    /// The number of requests that the webhook has answered.
    posts: Arc<AtomicU64>,
    /// The number of frames of the attacker that the other end of the wire has received.
    frames: Arc<AtomicU64>,
}

impl Scene {
    /// Prepares everything for a program of this user.
    fn new(user: u32) -> Self {
        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        let folder = open_folder();
        let path = |name: &str| folder.path().join(name);
        for (name, mode) in [("own", 0o755), ("outside", 0o777), ("run", 0o755)] {
            fs::create_dir(path(name)).expect("it is ours");
            fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).expect("it is ours");
        }
        for (name, mode) in
            [("report", 0o600), ("secret", 0o600), ("outside/existing", 0o666), ("outside/no-program", 0o755)]
        {
            fs::write(path(name), [0; 16]).expect("it is ours");
            fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).expect("it is ours");
        }
        fs::write(path("report"), "").expect("it is ours");
        for (thread, kind) in THREADS.iter().chain(LATER) {
            fs::write(path("outside").join(format!("removable-{kind}-{thread}")), "").expect("it is ours");
        }
        script(&path("command"), &format!("cat > {}", path("outside/command").display()));
        let mut setpriv = tool("setpriv", "util-linux");
        let decoy = setpriv
            .args([format!("--reuid={user}"), format!("--regid={user}")])
            .args(["--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "sleep", "600"])
            .spawn()
            .expect("it has just worked");
        let [webhook, other] = [(); 2].map(|()| {
            router.on(|| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port"))
        });
        let collector = router.on(|| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has one"));
        let port_of = |listener: &TcpListener| listener.local_addr().expect("it is bound").port();
        let (webhook_port, other_port) = (port_of(&webhook), port_of(&other));
        let posts = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&posts);
        router.serve(move || answer_posts(&webhook, &counted));
        let frames = Arc::new(AtomicU64::new(0));
        let socket = far.on(|| {
            let address = link_address("far0").expect("it was just plugged");
            let socket =
                socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)
                    .expect("the test is root of its namespaces");
            nix::sys::socket::bind(socket.as_raw_fd(), &address).expect("it is up");
            socket
        });
        let seen = Arc::clone(&frames);
        far.serve(move || {
            let mut frame = [0; 64];
            loop {
                match recv(socket.as_raw_fd(), &mut frame, MsgFlags::empty()) {
                    Ok(_) if frame[12..20] == *b"\x88\xb5attack" => _ = seen.fetch_add(1, Ordering::Relaxed),
                    Ok(_) if frame[12..20] == *LAST => _ = seen.fetch_or(IS_OVER, Ordering::Relaxed),
                    Ok(_) | Err(Errno::EINTR | Errno::ENETDOWN) => {}
                    Err(error) => panic!("frames cannot be seen: {error}"),
                }
            }
        });
        Self {
            injector: far.injector("far0"),
            _far: far,
            router,
            folder,
            decoy,
            webhook: webhook_port,
            other_port,
            _other: other,
            collector,
            posts,
            frames,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns a configuration with every sink, both ways to the API and two workers.
    fn config(&self, lines: &str) -> String {
        let path = |name: &str| self.path(name).display().to_string();
        format!(
            "{EVERY_HOST}{lines}Workers: 2\nByteLimit: 100K\nReverseDNS: true\nApiSocket: {}\nStateDirectory: {}\n\
             AlertFile: {}\nAlertCommand: {}\nWebhookURL: http://localhost:{}/\nSyslog: udp://127.0.0.1:{}\n",
            path("run/api.sock"),
            path("own"),
            path("own/alerts.jsonl"),
            path("command"),
            self.webhook,
            self.collector.local_addr().expect("it is bound").port(),
        )
    }

    /// Starts the program with the attacker in it.
    fn start(&self, config: &str, may_end: bool) -> Program {
        let interface = self.router.on(|| if_nametoindex("near0").expect("it was plugged"));
        let plan = json!({
            "report": self.path("report"), "secret": self.path("secret"), "outside": self.path("outside"),
            "own_folder": self.path("own"), "decoy": self.decoy.id(), "interface": interface,
            "port": self.other_port, "may_end": may_end,
        });
        fs::write(self.path("plan"), plan.to_string()).expect("it is ours");
        let mut command = Command::new(BINARY);
        command.env("TRAFFIC_ALERTED_ATTACK", self.path("plan"));
        Program::start_as(command, &self.router, config)
    }

    /// Waits until these threads have attacked.
    fn wait_for_attacks(&self, program: &Program, threads: &[(&str, &str)]) {
        let missing = |_: &Program| {
            let report = self.report();
            let done: BTreeSet<(&str, &str)> = report.by_thread().into_keys().collect();
            threads.iter().filter(|thread| !done.contains(*thread)).map(|(name, _)| *name).collect::<Vec<_>>()
        };
        program.wait_for("these threads have attacked", missing, |missing| missing.is_empty());
    }

    fn report(&self) -> Report {
        let text = fs::read_to_string(self.path("report")).expect("it was made before");
        Report(text.lines().map_while(|line| serde_json::from_str(line).ok()).collect())
    }

    /// Returns the number of frames of the attacker on the wire, after all that were sent before.
    fn frames(&self, program: &Program) -> u64 {
        self.router.injector("near0").send(&[&[0xff; 6][..], &[2, 0, 0, 0, 0, 1], LAST, &[0; 46]].concat());
        let seen = |_: &Program| self.frames.load(Ordering::Relaxed);
        program.wait_for("the last frame is seen", seen, |seen| seen & IS_OVER > 0) & !IS_OVER
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.decoy.kill();
        let _ = self.decoy.wait();
    }
}

/// Answers every request with 200, one connection at a time.
fn answer_posts(listener: &TcpListener, posts: &AtomicU64) {
    for stream in listener.incoming() {
        let mut reader = BufReader::new(stream.expect("it listens"));
        let mut length = 0;
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
            let (name, value) = line.trim().split_once(": ").unwrap_or_default();
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse().expect("a number");
            }
            line.clear();
        }
        let mut body = vec![0; length];
        let has_body = reader.read_exact(&mut body).is_ok();
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        if has_body && reader.get_mut().write_all(answer).is_ok() {
            posts.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A line of the report.
#[derive(Clone, Debug, Deserialize)]
struct Attempt {
    thread: String,
    kind: String,
    attempt: String,
    outcome: String,
}

impl Attempt {
    fn is_refused(&self) -> bool {
        match self.outcome.as_str() {
            "EPERM" | "EACCES" | "ENOSYS" => true,
            // A packet socket that is bound to no interface refuses a write, and none can be connected.
            "ENXIO" | "EOPNOTSUPP" => self.attempt.starts_with("frame: "),
            // The helper has no file in the folder of the program. What this kernel does not have nobody opens.
            "ENOENT" => ["rename a file out of the own folder", "link a file out of the own folder"]
                .into_iter()
                .chain(["open /dev/mem", "write /proc/sysrq-trigger"])
                .any(|attempt| attempt == self.attempt),
            _ => false,
        }
    }
}

/// What all threads have tried.
struct Report(Vec<Attempt>);

impl Report {
    /// Returns the attempts of each thread that is done.
    fn by_thread(&self) -> BTreeMap<(&str, &str), Vec<&Attempt>> {
        let mut threads: BTreeMap<(&str, &str), Vec<&Attempt>> = BTreeMap::new();
        for attempt in &self.0 {
            threads.entry((&attempt.thread, &attempt.kind)).or_default().push(attempt);
        }
        threads.retain(|_, attempts| attempts.last().is_some_and(|last| last.attempt == "end"));
        threads
    }

    fn text(&self) -> String {
        let line = |attempt: &Attempt| {
            format!("{} ({}): {}: {}\n", attempt.thread, attempt.kind, attempt.attempt, attempt.outcome)
        };
        self.0.iter().map(line).collect()
    }
}
