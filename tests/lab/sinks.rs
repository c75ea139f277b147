//! All kinds of sinks at once, on the running program: one that hangs does not delay the others or the end, and none
//! has a privilege. The log has a sentence about each alert, or is one object per line.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::host::Host;
use crate::support::injector::Udp;
use crate::support::namespaces::inside;
use crate::support::program::{BINARY, EVERY_HOST, Program, Signal, TIMEOUT};

const HEAVY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
/// The promised second, and some time for the log and for reading it.
const SOON: Duration = Duration::from_millis(1100);
/// Time that the shutdown waits for sinks that hang.
const END: Duration = Duration::from_secs(5);

#[test]
fn a_sink_that_hangs_delays_no_other_and_ends_with_the_program() {
    inside(|| {
        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = |name: &str| folder.path().join(name);
        let script = path("hangs");
        fs::write(
            &script,
            "#!/bin/sh\ncat /proc/self/status > \"$1\"\nsleep 3600 &\necho $! > \"$2\"\nwait\n",
        )
        .and_then(|()| fs::set_permissions(&script, fs::Permissions::from_mode(0o755)))
        .expect("it is ours");
        // Accepts, reads, and never answers.
        let (silent, collector) = router.on(|| {
            let silent = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
            (silent, UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port"))
        });
        let port = |address: std::io::Result<std::net::SocketAddr>| address.expect("it is bound").port();
        let config = format!(
            "{EVERY_HOST}ByteLimit: 100K\nAlertFile: {file}\nAlertCommand: {script} {status} {id}\n\
             AlertCommandTimeout: 600\nWebhookURL: http://127.0.0.1:{webhook}/\nSyslog: udp://127.0.0.1:{syslog}\n",
            file = path("alerts.jsonl").display(),
            script = script.display(),
            status = path("status").display(),
            id = path("id").display(),
            webhook = port(silent.local_addr()),
            syslog = port(collector.local_addr()),
        );
        let (sender, posted) = channel();
        std::thread::spawn(move || {
            let (mut stream, _) = silent.accept().expect("it listens");
            let mut bytes = [0; 16_384];
            let length = stream.read(&mut bytes).expect("a request");
            let _ = sender.send(String::from_utf8_lossy(&bytes[..length]).into_owned());
            // Until the program closes the connection.
            let _ = stream.read_to_end(&mut Vec::new());
        });

        let mut program = Program::start(&router, &config);
        let packet = Udp { src: HEAVY, dst: Ipv4Addr::new(198, 18, 0, 1), dst_port: 53, ip_bytes: 1000 };
        let sent_at = Instant::now();
        far.injector("far0").send_at_rate(&vec![packet.frame(); 101], 50_000);
        let line = program.alert("TRAFFIC", HEAVY);
        assert!(line.at - sent_at < SOON, "{:?}", line.at - sent_at);

        assert!(posted.recv_timeout(TIMEOUT).expect("it is posted").starts_with("POST / HTTP/1.1\r\n"));
        let file = wait_for(&program, &path("alerts.jsonl"));
        let alert: Value = serde_json::from_str(&file).expect("one line, whole");
        assert_eq!((&alert["source"], &alert["state"]), (&HEAVY.to_string().into(), &"open".into()));
        let mut datagram = [0; 4096];
        collector.set_read_timeout(Some(Duration::from_secs(30))).expect("not zero");
        let length = collector.recv(&mut datagram).expect("it came");
        assert!(
            String::from_utf8_lossy(&datagram[..length]).contains(&format!("EVENT=TRAFFIC SRC={HEAVY} "))
        );

        // Root executes it here, which would give it all capabilities without `no_new_privs`: capabilities(7).
        let id = wait_for(&program, &path("id"));
        let status = fs::read_to_string(path("status")).expect("it was written before");
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
            let line = status.lines().find_map(|line| line.strip_prefix(set)).expect("the kernel has them");
            assert_eq!(line.trim(), "0".repeat(16), "{set}");
        }

        let ended = program.stop(Signal::SIGTERM);
        eprintln!("with a webhook and a program that hang: {:?}", ended.took);
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        assert!(ended.took < END, "{:?}\n{}", ended.took, ended.text());
        for present in
            ["AlertCommand: 1 alerts were not delivered", "WebhookURL: 1 alerts were still waiting"]
        {
            assert!(ended.text().contains(present), "{present} in\n{}", ended.text());
        }
        for absent in ["AlertFile: ", "Syslog: ", "the log took nothing"] {
            assert!(!ended.text().contains(absent), "{absent} in\n{}", ended.text());
        }
        let stat = fs::read_to_string(format!("/proc/{}/stat", id.trim()));
        assert!(!stat.is_ok_and(|stat| stat.contains("(sleep) S")), "what it started has ended too");
    });
}

#[test]
fn the_sentence_follows_the_line_of_an_opening_and_no_other_line() {
    inside(|| {
        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        let mut program =
            Program::start(&router, &format!("{EVERY_HOST}ByteLimit: 100K\nTrafficInterval: 5\n"));
        let packet = Udp { src: HEAVY, dst: Ipv4Addr::new(198, 18, 0, 1), dst_port: 53, ip_bytes: 1000 };
        far.injector("far0").send_at_rate(&vec![packet.frame(); 101], 50_000);
        program.line("CLOSED=TRAFFIC ").expect("it closes after five seconds without traffic");
        let ended = program.stop(Signal::SIGTERM);
        let text = ended.text();
        let lines: Vec<&str> = text.lines().collect();
        let opened = lines.iter().position(|line| line.contains("EVENT=TRAFFIC ")).expect("it has opened");
        let (time, _) = lines[opened].split_once("EVENT=").expect("it is there");
        let sentence = "10.0.0.5 sent 101 kB in 5 s, the limit is 100 kB";
        assert_eq!(lines[opened + 1], format!("{time}WHY=TRAFFIC SRC=10.0.0.5 | {sentence}"), "{text}");
        assert_eq!((text.matches("WHY=").count(), text.matches("EVENT=").count()), (1, 1), "{text}");
    });
}

#[test]
fn each_line_of_a_json_log_is_an_object() {
    inside(|| {
        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        let config = |limit: &str| format!("{EVERY_HOST}LogFormat: json\nByteLimit: {limit}\n");
        let mut program = Program::start(&router, &config("100K"));
        let packet = Udp { src: HEAVY, dst: Ipv4Addr::new(198, 18, 0, 1), dst_port: 53, ip_bytes: 1000 };
        far.injector("far0").send_at_rate(&vec![packet.frame(); 101], 50_000);
        program.line("\"kind\":\"TRAFFIC\"").expect("it opens");
        program.reload(&format!("{}Workers: none\n", config("5T")));
        let ended = program.stop(Signal::SIGTERM);
        let records = objects(&ended.text());
        let [alert] = records.iter().filter(|record| record["kind"] == "TRAFFIC").collect::<Vec<_>>()[..]
        else {
            panic!("{}", ended.text())
        };
        let sentence = "TRAFFIC: 10.0.0.5 sent 101 kB in 170 s, the limit is 100 kB";
        assert_eq!((&alert["sentence"], &alert["window_seconds"]), (&sentence.into(), &170.into()));
        let errors: Vec<_> = records.iter().filter(|record| record["level"] == "error").collect();
        let [error] = errors[..] else { panic!("{}", ended.text()) };
        let message = error["message"].as_str().expect("text");
        for part in [
            "lab.conf is wrong, so nothing changes: ",
            "bad value for `ByteLimit`",
            "bad value for `Workers`",
        ] {
            assert!(message.contains(part) && !message.contains('\n'), "{message}");
        }

        // A start with a wrong file is reported in the format that the file asks for.
        let ended = Program::fail(Command::new(BINARY), &router, &config("5T"));
        assert_eq!(ended.code, Some(2), "{}", ended.text());
        let [error] = &objects(&ended.text())[..] else { panic!("{}", ended.text()) };
        assert!(
            error["message"].as_str().is_some_and(|text| text.contains("bad value for `ByteLimit`")),
            "{error}"
        );
    });
}

/// Parses each line of a log as a JSON object.
fn objects(log: &str) -> Vec<Value> {
    let parse = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
        assert!(value.is_object(), "{line}");
        value
    };
    log.lines().map(parse).collect()
}

/// Waits until a file has a line, and returns its content.
fn wait_for(program: &Program, path: &Path) -> String {
    let what = path.display().to_string();
    program.wait_for(&what, |_| fs::read_to_string(path).unwrap_or_default(), |text| text.ends_with('\n'))
}
