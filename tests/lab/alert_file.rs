//! `AlertFile` on a disk that is full: nothing is lost, nothing else waits, and both ends are said.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::net::Ipv4Addr;
use std::path::Path;

use serde_json::Value;

use crate::host::Host;
use crate::injector::Udp;
use crate::inside::inside;
use crate::program::{EVERY_HOST, Program, Signal};
use crate::tool::{run, tool};

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

        let said = program.line("make room on the disk").expect("it says that the disk is full");
        assert!(said.text.contains("warning: AlertFile: cannot write"), "{}", said.text);
        program.alert("TRAFFIC", HEAVY);
        assert_eq!(fs::read_to_string(&path).expect("it was made"), "");
        fs::remove_file(&ballast).expect("it is ours");
        program.line("AlertFile: delivers again").expect("it says that there is room");
        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        assert_eq!(ended.text().matches("make room").count(), 1, "{}", ended.text());
        let text = fs::read_to_string(&path).expect("it was made");
        let alert: Value = serde_json::from_str(&text).expect("one line, whole");
        assert_eq!((&alert["source"], &alert["state"]), (&HEAVY.to_string().into(), &"open".into()));
    });
}

/// Writes until nothing more is taken.
fn fill(path: &Path) {
    let mut ballast = File::create(path).expect("the disk is empty");
    let refusal = loop {
        if let Err(error) = ballast.write_all(&[b'.'; 4096]) {
            break error;
        }
    };
    assert_eq!(refusal.kind(), ErrorKind::StorageFull);
}
