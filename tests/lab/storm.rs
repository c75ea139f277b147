//! Two hundred interfaces come and go within seconds; most are renamed, leave for another namespace, come back and go
//! down and up. Meanwhile packets cross another one: nothing is lost there, nothing excluded is counted, nothing leaks.

use std::fs;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::host::{Host, Sum};
use crate::support::injector::{Injector, Receiver, Udp};
use crate::support::namespaces::inside;
use crate::support::over::Over;
use crate::support::program::{EVERY_HOST, Program, Signal};

const IP_BYTES: u16 = 200;
/// Source of the packets on the interface that stays.
const LOAD: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const LOAD_EVERY: Duration = Duration::from_micros(100);
/// Sources of the packets on interfaces of the excluded name, and on others that exist as short.
const SECRET: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 66);
const OPEN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 7);

const ROUNDS: u64 = 70;
/// Rounds after which memory and open files are compared with those at the end.
const WARM_UP: u64 = 15;
/// Bytes by which the memory of the process may grow meanwhile: tables of the netlink lists, and pages of the deltas
/// that are used for the first time. A hundred rounds make five hundred interfaces.
const RSS_GROWTH_MAX: u64 = 8 << 20;

#[test]
fn in_a_storm_of_interfaces_nothing_is_lost_nothing_excluded_counts_and_nothing_leaks() {
    inside(|| {
        let (router, far, elsewhere) = (Host::router(), Host::new(), Host::new());
        router.plug("stays", &far, "far0");
        let program =
            Program::start(&router, &format!("{EVERY_HOST}ExcludedInterfaces: lo, secret, secret2\n"));
        let is_over = AtomicBool::new(false);
        let (descriptors, rss) = thread::scope(|scope| {
            scope.spawn(|| send_until(&far, &is_over));
            scope.spawn(|| send_whenever_secret_exists(&router, &is_over));
            // Also when this fails: the scope waits for its threads.
            let over = Over(&is_over);
            let mut before = (0, 0);
            let began = Instant::now();
            for round in 0..ROUNDS {
                if round == WARM_UP {
                    before = (program.descriptors(), program.rss());
                }
                turn(&router, &far, &elsewhere);
            }
            let (took, cpu) = (began.elapsed(), program.cpu_of("interfaces"));
            eprintln!("{ROUNDS} rounds in {took:?}, in which following them took {cpu:?} of CPU time");
            drop(over);
            before
        });

        // Where the machine is busy, the wire itself may lose some.
        let (load, open) = (router.frames_received("stays"), ROUNDS * BURST);
        let packets = load + open;
        let expected = Sum { packets, bytes: packets * u64::from(IP_BYTES) };
        let accounting = program.wait_for_counted(expected);
        eprintln!("sent {expected:?}, counted {:?}, skipped {:?}", accounting.counted(), accounting.skipped);
        program.wait_for_bytes(LOAD, load * u64::from(IP_BYTES));
        program.wait_for_bytes(OPEN, open * u64::from(IP_BYTES));
        assert_eq!(program.bytes_of(SECRET.into()), 0);
        assert!(load >= 100 * ROUNDS, "{load} packets crossed the interface that stays");
        // Frames that came before the filter had the interface, and were skipped by its name.
        assert!(accounting.skipped["excluded_interface"] > 0, "{accounting:?}");

        let rss_now = program.rss();
        eprintln!("memory {rss} to {rss_now} bytes, {descriptors} open files");
        assert!(rss_now <= rss + RSS_GROWTH_MAX);
        // A connection that has just been closed may still be there.
        program.wait_for("as many open files as before", Program::descriptors, |&now| now == descriptors);

        router.plug("last", &far, "far9");
        let ended = program.stop_after_line("monitoring stays, last;");
        assert_eq!(ended.final_counts(), expected);
    });
}

/// Packets that cross an interface before something happens to it.
const BURST: u64 = 5;

/// One of everything that may happen to an interface. [`BURST`] packets cross one whose name is not excluded.
fn turn(router: &Host, far: &Host, elsewhere: &Host) {
    // A wire that is gone before its name can be queried, and on which packets are sent as soon as it is there.
    router.ip_batch(&[
        "link add name secret up type veth peer name secret2",
        "link set secret2 up",
        "link del secret",
    ]);
    // An interface that counts, is renamed, moves to another namespace, comes back and is deleted.
    router.plug("eth7", far, "far2");
    far.wait_until_up("far2");
    let injector = far.injector("far2");
    let receiver = router.on(|| Receiver::on("eth7"));
    (0..BURST).for_each(|_| injector.send(&packet_from(OPEN)));
    // A socket does not receive what is queued when the interface goes down, so this waits for the packets.
    (0..BURST).for_each(|_| receiver.receive());
    let (there, here) = (format!("link set eth8 netns {}", elsewhere.path()), router.path());
    router.ip_batch(&["link set eth7 down", "link set eth7 name eth8", "link set eth8 up", &there]);
    elsewhere.ip_batch(&[&format!("link set eth8 netns {here}")]);
    router.ip_batch(&["link set eth8 up", "link set eth8 down", "link del eth8"]);
    // An interface that comes back with an excluded name.
    router.plug("eth9", far, "far3");
    router.ip_batch(&[&format!("link set eth9 netns {}", elsewhere.path())]);
    elsewhere.ip_batch(&["link set eth9 name secret", &format!("link set secret netns {here}")]);
    router.ip_batch(&["link set secret up"]);
    far.wait_until_up("far3");
    let injector = far.injector("far3");
    (0..BURST).for_each(|_| injector.send(&packet_from(SECRET)));
    router.ip_batch(&["link del secret"]);
}

/// Sends from [`SECRET`] whenever there is an interface called `secret`, from its first moment on.
fn send_whenever_secret_exists(router: &Host, is_over: &AtomicBool) {
    router.on(|| {
        let frame = packet_from(SECRET);
        while !is_over.load(Ordering::Relaxed) {
            match Injector::try_on("secret") {
                // It ends with the interface.
                Some(injector) => while injector.try_send(&frame) {},
                None => thread::sleep(Duration::from_micros(50)),
            }
        }
    });
}

/// Sends from [`LOAD`] until `is_over` is set.
fn send_until(far: &Host, is_over: &AtomicBool) {
    let injector = far.injector("far0");
    let frame = packet_from(LOAD);
    while !is_over.load(Ordering::Relaxed) {
        injector.send(&frame);
        thread::sleep(LOAD_EVERY);
    }
}

fn packet_from(src: Ipv4Addr) -> Vec<u8> {
    Udp { src, dst: Ipv4Addr::new(198, 18, 0, 1), dst_port: 53, ip_bytes: IP_BYTES }.frame()
}

impl Program {
    /// Returns the number of its open files.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.id())).expect("it runs, as the same user").count()
    }

    /// Returns the bytes of its resident memory.
    pub(crate) fn rss(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).expect("it runs");
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        1024 * kib.and_then(|kib| kib.parse::<u64>().ok()).expect("proc(5)")
    }

    /// Returns the CPU time of one of its threads, by the thread's name.
    fn cpu_of(&self, thread: &str) -> Duration {
        let threads = fs::read_dir(format!("/proc/{}/task", self.id())).expect("it runs");
        let stats = threads.map(|task| {
            let stat = task.expect("its threads live as long as it does").path().join("stat");
            fs::read_to_string(stat).expect("its threads live as long as it does")
        });
        let stat = stats.into_iter().find(|stat| stat.contains(&format!("({thread})")));
        let stat = stat.unwrap_or_else(|| panic!("no thread {thread}"));
        // In user and kernel mode, in clock ticks: the 14th and 15th field of proc_pid_stat(5).
        let fields = stat.split_whitespace().skip(13).take(2);
        const TICK: Duration = Duration::from_millis(10);
        TICK * fields.map(|ticks| ticks.parse::<u32>().expect("proc(5)")).sum::<u32>()
    }

    /// Waits for a line, then stops the program.
    fn stop_after_line(mut self, needle: &str) -> crate::support::program::Ended {
        self.line(needle).unwrap_or_else(|| panic!("no {needle:?}"));
        self.stop(Signal::SIGTERM)
    }
}
