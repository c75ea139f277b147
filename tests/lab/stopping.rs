//! On a signal the program ends within a second, after it has counted and logged all that it has seen.

use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::host::{Host, Sum};
use crate::support::injector::Udp;
use crate::support::namespaces::inside;
use crate::support::program::{BINARY, EVERY_HOST, PORT, Program, Signal};

const SOON: Duration = Duration::from_secs(1);
const HEAVY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
const SCANNER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 6);

#[test]
fn packets_right_before_the_end_are_counted_and_logged() {
    inside(|| {
        for signal in [Signal::SIGTERM, Signal::SIGINT] {
            for workers in [1, 2] {
                last_moment(signal, workers);
            }
        }
    });
}

fn last_moment(signal: Signal, workers: usize) {
    let (far, router) = (Host::new(), Host::router());
    far.plug("far0", &router, "near0");
    let injector = far.injector("far0");
    // Contacts of the last moment are too young to look like a scan, so their number alone counts.
    let config = format!("{EVERY_HOST}ByteLimit: 100K\nWorkers: {workers}\nScanEvidence: contacts\n");
    let program = Program::start(&router, &config);

    let target = |n| Ipv4Addr::new(198, 18, 0, n);
    // One packet over the limit of bytes, and one host over the limit of hosts.
    let heavy = Udp { src: HEAVY, dst: target(1), dst_port: 53, ip_bytes: 1000 }.frame();
    let scan = |n| Udp { src: SCANNER, dst: target(n), dst_port: 53, ip_bytes: 40 }.frame();
    (1..=16).for_each(|n| injector.send(&scan(n)));
    (0..101).for_each(|_| injector.send(&heavy));
    let ended = program.stop(signal);

    eprintln!("{signal} with {workers} workers: {:?}", ended.took);
    assert!(ended.took < SOON, "{:?}\n{}", ended.took, ended.text());
    assert_eq!(ended.final_counts(), Sum { packets: 117, bytes: 101_000 + 16 * 40 }, "{}", ended.text());
    let mut alerts = ended.alerts();
    alerts.sort_unstable();
    assert_eq!(alerts.len(), 2, "{}", ended.text());
    assert!(alerts[0].starts_with(&format!("EVENT=SCANNING SRC={SCANNER} TOTALBYTES=640 ")), "{alerts:?}");
    assert!(alerts[1].starts_with(&format!("EVENT=TRAFFIC SRC={HEAVY} TOTALBYTES=101000 ")), "{alerts:?}");
}

#[test]
fn an_open_connection_does_not_delay_the_end() {
    inside(|| {
        let router = Host::router();
        let program = Program::start(&router, "");
        let mut client = router.on(|| TcpStream::connect(("127.0.0.1", PORT)).expect("it listens"));
        client.write_all(b"GET /all HTTP/1.1\r\n").expect("it reads");
        let ended = program.stop(Signal::SIGTERM);
        assert!(ended.took < SOON, "{:?}\n{}", ended.took, ended.text());
        assert_eq!(ended.final_counts(), Sum::default());
    });
}

#[test]
fn a_log_that_hangs_does_not_delay_the_end() {
    inside(|| {
        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        let config = format!("{EVERY_HOST}ByteLimit: 100K\n");
        let program = Program::start_with_hanging_log(&router, &config);
        // An alert and a change of interfaces, neither of which can be logged.
        let packet = Udp { src: HEAVY, dst: Ipv4Addr::new(198, 18, 0, 1), dst_port: 53, ip_bytes: 1000 };
        far.injector("far0").send_at_rate(&vec![packet.frame(); 101], 50_000);
        far.plug("far1", &router, "near1");
        program.wait_for("the alert is open", Program::active, |active| active.len() == 1);
        let ended = program.stop(Signal::SIGTERM);
        eprintln!("with a log that hangs: {:?}", ended.took);
        assert!(ended.took < SOON, "{:?}", ended.took);
        assert_eq!(ended.code, Some(0));
    });
}

#[test]
fn a_removed_sink_that_hangs_delays_neither_the_reload_nor_the_end() {
    inside(|| {
        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        // Accepts, and never answers.
        let silent = router.on(|| TcpListener::bind("127.0.0.1:0").expect("loopback has a free port"));
        let port = silent.local_addr().expect("it is bound").port();
        let config = format!("{EVERY_HOST}ByteLimit: 100K\n");
        let hanging = format!("{config}WebhookURL: http://127.0.0.1:{port}/\n");
        let packet = Udp { src: HEAVY, dst: Ipv4Addr::new(198, 18, 0, 1), dst_port: 53, ip_bytes: 1000 };
        let lost = "WebhookURL: 1 alerts were still waiting at the end";

        let program = Program::start(&router, &hanging);
        far.injector("far0").send_at_rate(&vec![packet.frame(); 101], 50_000);
        let _held = silent.accept().expect("it listens");
        let asked = Instant::now();
        program.reload(&config);
        assert!(asked.elapsed() < SOON, "{:?}\n{}", asked.elapsed(), program.log_text());
        // The next one comes after it, so that the sink does not overtake itself.
        program.reload(&hanging);
        assert!(program.log_text().contains(lost), "{}", program.log_text());
        program.reload(&config);
        let ended = program.stop(Signal::SIGTERM);
        assert!(ended.took < SOON, "{:?}\n{}", ended.took, ended.text());
        assert_eq!(ended.code, Some(0), "{}", ended.text());

        let program = Program::start(&router, &hanging);
        far.injector("far0").send_at_rate(&vec![packet.frame(); 101], 50_000);
        let _held = silent.accept().expect("it listens");
        program.reload(&config);
        let ended = program.stop(Signal::SIGTERM);
        assert!(ended.took < SOON, "{:?}\n{}", ended.took, ended.text());
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        assert!(ended.text().contains(lost), "{}", ended.text());
    });
}

/// What is put in the place of a file.
type Replacement = (&'static str, fn(&Path));

const REPLACEMENTS: &[Replacement] = &[
    ("a pipe", |path| mkfifo(path, Mode::S_IRWXU).expect("the folder is ours")),
    ("a folder", |path| fs::create_dir(path).expect("the folder is ours")),
    ("a link to a device without an end", |path| symlink("/dev/zero", path).expect("the folder is ours")),
    ("a link to a full device", |path| symlink("/dev/full", path).expect("the folder is ours")),
    ("a link to itself", |path| symlink(path, path).expect("the folder is ours")),
    ("a file of 10 GB", |path| {
        File::create(path).and_then(|file| file.set_len(10_000_000_000)).expect("it takes no room");
    }),
];

/// Nothing that the program reads or writes may keep a signal waiting.
#[test]
fn files_that_became_something_else_do_not_delay_the_end() {
    inside(|| {
        let router = Host::router();
        let folder = tempfile::tempdir().expect("a folder for the test");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("state")).expect("the folder is ours");
        let files = [
            ("ApiTokenFile", "api-token", "stopping-token-0123456789-abcdefg\n"),
            ("WebhookTokenFile", "webhook-token", "token\n"),
            ("WebhookURL", "url", "http://127.0.0.1:9/\n"),
            ("CountryDatabase", "country.mmdb", ""),
            ("AsnDatabase", "asn.mmdb", ""),
            ("StateFile", "state/state.json", ""),
            ("AlertFile", "alerts.jsonl", ""),
        ];
        let lines = files.map(|(key, name, _)| format!("{key}: {}\n", at(name).display()));
        let config = lines.concat();
        let remove = |name: &str| {
            if fs::remove_file(at(name)).is_err() {
                // It is a folder, or it is not there.
                let _ = fs::remove_dir(at(name));
            }
        };
        let make = |name: &str, text: &str| {
            remove(name);
            fs::write(at(name), text).expect("the folder is ours");
            fs::set_permissions(at(name), fs::Permissions::from_mode(0o600)).expect("it is ours");
        };
        for (what, replace) in REPLACEMENTS {
            files.iter().for_each(|(_, name, text)| make(name, text));
            let program = Program::start(&router, &config);
            for (_, name, _) in files {
                remove(name);
                replace(&at(name));
            }
            program.reload(&config);
            program.replace_config(replace);
            program.signal(Signal::SIGHUP);
            let ended = program.stop(Signal::SIGTERM);
            assert!(ended.took < SOON, "{what}: {:?}\n{}", ended.took, ended.text());
            assert_eq!(ended.code, Some(0), "{what}: {}", ended.text());
            assert!(
                ended.text().contains("the API token and its users stay as they were"),
                "{}",
                ended.text()
            );

            // The start refuses such a token, and says of each of the others that it cannot be used.
            make("api-token", files[0].2);
            let ended = Program::start(&router, &config).stop(Signal::SIGTERM);
            assert!(ended.took < SOON, "{what}: {:?}\n{}", ended.took, ended.text());
            assert_eq!(ended.code, Some(0), "{what}: {}", ended.text());
            for key in ["WebhookTokenFile", "WebhookURL", "AlertFile"] {
                let warning = format!("`{key}` cannot be used now");
                assert!(ended.text().contains(&warning), "{what}: {warning}\n{}", ended.text());
            }
        }
    });
}

#[test]
fn authorities_and_names_that_are_never_read_do_not_delay_the_end() {
    inside(|| {
        let router = Host::router();
        let folder = tempfile::tempdir().expect("a folder for the test");
        let pipe = folder.path().join("pipe");
        mkfifo(&pipe, Mode::S_IRWXU).expect("the folder is ours");
        let mut command = Command::new(BINARY);
        command.env("SSL_CERT_FILE", &pipe).env_remove("SSL_CERT_DIR");
        let program = Program::start_as(command, &router, "WebhookURL: https://127.0.0.1:9/\n");
        program.wait_for_log("the certificate authorities of this system are not read");
        let ended = program.stop(Signal::SIGTERM);
        assert!(ended.took < SOON, "{:?}\n{}", ended.took, ended.text());
        assert_eq!(ended.code, Some(0), "{}", ended.text());

        // The same while the sinks still wait for them.
        for config in ["WebhookURL: https://127.0.0.1:9/\n", "Syslog: tcp://collector.example:601\n"] {
            let mut command = Command::new("unshare");
            command
                .args(["--mount", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\""])
                .args([pipe.as_os_str(), BINARY.as_ref()])
                .env("SSL_CERT_FILE", &pipe)
                .env_remove("SSL_CERT_DIR");
            let ended = Program::start_as(command, &router, config).stop(Signal::SIGTERM);
            assert!(ended.took < SOON, "{config}: {:?}\n{}", ended.took, ended.text());
            assert_eq!(ended.code, Some(0), "{config}: {}", ended.text());
        }
    });
}
