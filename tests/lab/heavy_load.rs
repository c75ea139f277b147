//! Everything at once: packets at a steady rate, two thousand slow clients, a thousand reloads, and clients that
//! connect and reset. Every frame is accounted for, the health is answered all the time, and afterwards nothing is left
//! of it.
//!
//! `scripts/load` runs it in full on the optimised program, which needs two free CPUs and must then drop no frame and
//! answer in time. With `cargo test` it is a tenth of that or less, beside other tests, and neither is required.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::sockopt::{IpBindAddressNoPort, Linger, SendTimeout};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::support::host::Host;
use crate::support::injector::Udp;
use crate::support::namespaces::inside;
use crate::support::over::Over;
use crate::support::program::{Accounting, PORT, Program, Signal, TOKEN_LINE, WITH_TOKEN, is_optimised};

/// How much of each there is.
struct Amounts {
    packets_per_s: u32,
    /// Slow clients, half of them on the host of the program.
    clients: usize,
    reloads: u32,
    resets: u32,
}

/// Maximum time of an answer of `/healthz` of the optimised program. The packets, the clients and the program share the
/// CPUs, so that it is longer here than where connections are merely held.
const HEALTHY_WITHIN: Duration = Duration::from_millis(500);

impl Amounts {
    fn here() -> Self {
        match is_optimised() {
            true => Self { packets_per_s: 40_000, clients: 2_000, reloads: 1_000, resets: 20_000 },
            false => Self { packets_per_s: 4_000, clients: 200, reloads: 60, resets: 1_000 },
        }
    }
}

/// The source of the packets, and their bytes.
const LOAD: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 1);
const IP_BYTES: u16 = 200;

/// The address of the program for other hosts.
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// Addresses of the other host, from which clients connect.
const REMOTE_ADDRESSES: u8 = 20;

/// Bytes by which the resident memory may have grown afterwards: tables and buffers that are used for the first time.
const RSS_GROWTH_MAX: u64 = 16 << 20;

#[test]
fn under_slow_clients_reloads_and_resets_no_frame_is_dropped_and_nothing_is_left() {
    inside(|| {
        let amounts = Amounts::here();
        let (router, far) = (Host::router(), Host::new());
        router.plug("near0", &far, "far0");
        router.ip(&format!("addr add {SERVER}/24 dev near0"));
        (0..REMOTE_ADDRESSES).for_each(|n| far.ip(&format!("addr add {}/24 dev far0", remote(n))));
        let program = Program::start(&router, &config(0));
        // Each kind of work has been done once before memory and descriptors are looked at.
        (1..4).for_each(|n| program.reload(&config(n)));
        (0..20).for_each(|_| drop(program.get("/all")));
        let (descriptors, rss) = (program.descriptors(), program.rss());

        let here = SocketAddr::from(([127, 0, 0, 1], PORT));
        let there = SocketAddr::from((SERVER, PORT));
        let clients = amounts.clients / 2;
        let is_over = AtomicBool::new(false);
        let (resets, sent) = (AtomicU64::new(0), AtomicU64::new(0));
        let worst = thread::scope(|scope| {
            let over = Over(&is_over);
            scope.spawn(|| sent.store(send_until(&far, amounts.packets_per_s, &is_over), Ordering::Relaxed));
            scope.spawn(|| router.on(|| SlowClients::new(here, false).run(clients, &is_over)));
            scope.spawn(|| far.on(|| SlowClients::new(there, true).run(clients, &is_over)));
            let reset = scope.spawn(|| {
                let half = amounts.resets / 2;
                router.on(|| (0..half).for_each(|_| reset_once(here, None, &resets)));
                far.on(|| (0..half).for_each(|n| reset_once(there, Some(remote(n as u8)), &resets)));
            });
            let health = scope.spawn(|| router.on(|| slowest_health(here, &is_over)));
            for n in 0..amounts.reloads {
                program.reload(&config(n));
            }
            reset.join().expect("the connections are reset");
            drop(over);
            health.join().expect("the health is answered")
        });
        let (sent, resets) = (sent.into_inner(), resets.into_inner());
        eprintln!(
            "{sent} packets, {resets} connections reset; the slowest answer of /healthz took {worst:?}"
        );
        assert_eq!(resets, u64::from(amounts.resets / 2 * 2));

        // Frames that the rings had no room for are counted as dropped.
        let is_whole = |now: &Accounting| now.adds_up() && now.kernel.tp_packets >= sent;
        let accounting = program.wait_for("every frame is accounted for", Program::accounting, is_whole);
        if is_optimised() {
            program.wait_for_bytes(LOAD, sent * u64::from(IP_BYTES));
            assert_eq!(accounting.kernel.tp_drops, 0, "{accounting:?}");
            assert!(worst <= HEALTHY_WITHIN, "{worst:?}");
        }
        // Connections that close wait for their other side for a moment.
        program.wait_for("as many open files as before", Program::descriptors, |&now| now <= descriptors);
        let rss_now = program.rss();
        eprintln!("memory {rss} to {rss_now} bytes, {descriptors} open files");
        assert!(rss_now <= rss + RSS_GROWTH_MAX, "{rss} to {rss_now} bytes");
        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.code, Some(0));
        let says_none = ended.text().contains(" 0 dropped by the kernel");
        assert!(says_none || !is_optimised(), "{}", ended.text());
    });
}

/// All of them connect while the program does not run, so that it finds them all at once.
#[test]
fn who_asks_for_the_health_amid_a_crowd_of_idle_connections_gets_an_answer() {
    const CROWD: usize = 400;
    inside(|| {
        let router = Host::router();
        let program = Program::start(&router, "");
        let server = SocketAddr::from(([127, 0, 0, 1], PORT));
        router.on(|| {
            let crowd = || -> Vec<TcpStream> { (0..CROWD).map(|_| connect_from(server, None)).collect() };
            let mut held = Vec::new();
            let mut asking = None;
            program.while_stopped(|| {
                held.extend(crowd());
                let mut stream = connect_from(server, None);
                stream.write_all(HEALTH).expect("the kernel takes it");
                asking = Some(stream);
                held.extend(crowd());
            });
            let mut answer = String::new();
            let read = asking.expect("it has connected").read_to_string(&mut answer);
            assert!(answer.ends_with("\r\n\r\nok"), "{read:?} {answer:?}");
        });
        assert_eq!(program.stop(Signal::SIGTERM).code, Some(0));
    });
}

/// Returns a configuration of which each number changes other keys.
fn config(n: u32) -> String {
    let mut config =
        format!("{TOKEN_LINE}ListenAddress: 0.0.0.0:{PORT}\nChartMinBytes: 1\nTrafficInterval: 3600\n");
    let changes = [
        format!("ByteLimit: {}G", 10 + n % 7),
        format!("NumberContactedIPs: {}", 20_000 + n % 11),
        format!("AlertCooldown: {}", n % 5),
        format!("AlertBurst: {}", 10 + n % 3),
        format!("IgnoredSources: 192.0.2.{}", n % 250),
        "ReverseDNS: true".to_owned(),
        format!("Syslog: udp://127.0.0.1:{}", 514 + n % 2),
    ];
    for (bit, line) in changes.iter().enumerate() {
        if n >> bit & 1 == 0 || bit == 0 {
            writeln!(config, "{line}").expect("a string takes all");
        }
    }
    config
}

fn remote(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, 100 + n % REMOTE_ADDRESSES)
}

/// Sends packets at a rate until it is over. Returns their number.
fn send_until(far: &Host, per_second: u32, is_over: &AtomicBool) -> u64 {
    let frame =
        Udp { src: LOAD, dst: Ipv4Addr::new(198, 18, 0, 1), dst_port: 53, ip_bytes: IP_BYTES }.frame();
    let injector = far.injector("far0");
    let (began, mut sent) = (Instant::now(), 0_u64);
    while !is_over.load(Ordering::Relaxed) {
        let due = (began.elapsed().as_secs_f64() * f64::from(per_second)) as u64;
        (sent..due).for_each(|_| injector.send(&frame));
        sent = sent.max(due);
        thread::sleep(Duration::from_millis(1));
    }
    sent
}

/// Connects, from an address if one is given, and resets the connection at once.
fn reset_once(server: SocketAddr, from: Option<Ipv4Addr>, resets: &AtomicU64) {
    let stream = connect_from(server, from);
    let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(&stream, Linger, &at_once).expect("it is a stream");
    resets.fetch_add(1, Ordering::Relaxed);
}

fn connect_from(server: SocketAddr, from: Option<Ipv4Addr>) -> TcpStream {
    let stream =
        socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).expect("a socket");
    // Also to connect.
    setsockopt(&stream, SendTimeout, &TimeVal::seconds(20)).expect("not negative");
    if let Some(from) = from {
        // The port is chosen when it connects, so that each address has all ports for itself.
        setsockopt(&stream, IpBindAddressNoPort, &true).expect("ip(7)");
        let from = SockaddrIn::from(SocketAddrV4::new(from, 0));
        bind(stream.as_raw_fd(), &from).expect("it is an address of this host");
    }
    let SocketAddr::V4(server) = server else { panic!("the lab has no IPv6") };
    connect(stream.as_raw_fd(), &SockaddrIn::from(server)).expect("it listens");
    stream.into()
}

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Asks for the health until it is over. Returns the time of the slowest answer.
fn slowest_health(server: SocketAddr, is_over: &AtomicBool) -> Duration {
    let mut slowest = Duration::ZERO;
    while !is_over.load(Ordering::Relaxed) {
        let began = Instant::now();
        let mut stream = TcpStream::connect(server).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("not zero");
        let mut answer = String::new();
        let exchanged = stream.write_all(HEALTH).and_then(|()| stream.read_to_string(&mut answer));
        assert!(answer.ends_with("\r\n\r\nok"), "{exchanged:?} {answer:?}");
        slowest = slowest.max(began.elapsed());
        thread::sleep(Duration::from_millis(20));
    }
    slowest
}

/// Clients that are idle, send a head byte by byte, or read byte by byte. Whoever is turned away connects again.
struct SlowClients {
    server: SocketAddr,
    is_remote: bool,
    connected: usize,
}

/// The request of a slow client; it is sent at once by those that read slowly.
fn request() -> String {
    format!("GET /all HTTP/1.1\r\nHost: {SERVER}:{PORT}\r\n{WITH_TOKEN}X-Slow: {}\r\n\r\n", "x".repeat(4_000))
}

impl SlowClients {
    fn new(server: SocketAddr, is_remote: bool) -> Self {
        Self { server, is_remote, connected: 0 }
    }

    /// Keeps `number` clients connected until it is over.
    fn run(mut self, number: usize, is_over: &AtomicBool) {
        let request = request();
        let mut clients: Vec<(TcpStream, usize)> = Vec::new();
        while !is_over.load(Ordering::Relaxed) {
            // Whoever is turned away comes again after a second or so.
            let wanted = number.min(clients.len() + number / 20);
            while clients.len() < wanted && !is_over.load(Ordering::Relaxed) {
                let mut client = self.connect();
                // A third reads slowly.
                if clients.len().is_multiple_of(3) {
                    // It may have been turned away already.
                    let _ = client.write_all(request.as_bytes());
                }
                client.set_nonblocking(true).expect("it is a socket");
                clients.push((client, 0));
            }
            let mut place = 0;
            clients.retain_mut(|(client, step)| {
                *step += 1;
                place += 1;
                is_open(client) && (place % 3 != 1 || send_byte(client, &request, *step))
            });
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn connect(&mut self) -> TcpStream {
        self.connected += 1;
        connect_from(self.server, self.is_remote.then(|| remote((self.connected % 251) as u8)))
    }
}

/// Reads at most one byte. Returns false if the connection has ended.
fn is_open(client: &mut TcpStream) -> bool {
    match client.read(&mut [0]) {
        Ok(read) => read > 0,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}

/// Sends the byte of a step. Returns false if the connection has ended.
fn send_byte(client: &mut TcpStream, request: &str, step: usize) -> bool {
    let byte = &request.as_bytes()[step % request.len()..][..1];
    match client.write(byte) {
        Ok(written) => written == 1,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}
