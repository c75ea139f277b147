//! `AlertFile` on a full disk and without io_uring: no alert is lost, nothing else waits, and the log reports when the
//! disk is full and when it has room again.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::net::Ipv4Addr;
use std::path::Path;

use serde_json::Value;

use crate::support::host::Host;
use crate::support::injector::Udp;
use crate::support::namespaces::inside;
use crate::support::program::{EVERY_HOST, Program, Signal};
use crate::support::tool::{run, tool};
use crate::waiting::refuse_io_uring;

const HEAVY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);

#[test]
fn a_full_disk_delays_the_file_and_nothing_else() {
    inside(|| {
        let disk = tempfile::tempdir().expect("a folder for the test");
        run(tool("mount", "mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(disk.path()));
        let ballast = disk.path().join("ballast");
        fill(&ballast);

        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        let path = disk.path().join("alerts.jsonl");
        let config = format!("{EVERY_HOST}ByteLimit: 100K\nAlertFile: {}\n", path.display());
        let mut program = Program::start(&router, &config);
        let packet = Udp { src: HEAVY, dst: Ipv4Addr::new(198, 18, 0, 1), dst_port: 53, ip_bytes: 1000 };
        far.injector("far0").send_at_rate(&vec![packet.frame(); 101], 50_000);

        let line = program.line("make room on the disk").expect("the log has that the disk is full");
        assert!(line.text.contains("warning: AlertFile: cannot write"), "{}", line.text);
        program.alert("TRAFFIC", HEAVY);
        assert_eq!(fs::read_to_string(&path).expect("it was made"), "");
        fs::remove_file(&ballast).expect("it is ours");
        program.line("AlertFile: delivers again").expect("the log has that there is room");
        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        assert_eq!(ended.text().matches("make room").count(), 1, "{}", ended.text());
        let text = fs::read_to_string(&path).expect("it was made");
        let alert: Value = serde_json::from_str(&text).expect("one line, whole");
        assert_eq!((&alert["source"], &alert["state"]), (&HEAVY.to_string().into(), &"open".into()));
    });
}

#[test]
fn the_file_is_written_without_io_uring() {
    inside(|| {
        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("alerts.jsonl");
        // A line that a crash left incomplete.
        fs::write(&path, "{\"id\":\"1-1\"}\n{\"id\":\"1-").expect("it is ours");
        let config = format!("{EVERY_HOST}ByteLimit: 100K\nAlertFile: {}\n", path.display());
        let mut program = router.on(|| {
            refuse_io_uring();
            Program::start(&router, &config)
        });
        program.line("AlertFile is written without io_uring: ").expect("it is logged");
        program.line("AlertFile: cut off 9 bytes").expect("it is logged");
        let packet = Udp { src: HEAVY, dst: Ipv4Addr::new(198, 18, 0, 1), dst_port: 53, ip_bytes: 1000 };
        far.injector("far0").send_at_rate(&vec![packet.frame(); 101], 50_000);
        program.alert("TRAFFIC", HEAVY);
        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        let text = fs::read_to_string(&path).expect("it is there");
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!((&lines[0]["id"], &lines[1]["source"]), (&"1-1".into(), &HEAVY.to_string().into()));
    });
}

/// Writes until the disk is full.
fn fill(path: &Path) {
    let mut ballast = File::create(path).expect("the disk is empty");
    let refusal = loop {
        if let Err(error) = ballast.write_all(&[b'.'; 4096]) {
            break error;
        }
    };
    assert_eq!(refusal.kind(), ErrorKind::StorageFull);
}
