//! Whoever has taken over a thread of the monitor can write to the socket of the helper that runs `AlertCommand`, and
//! can have nothing run but its program with its arguments.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// Timeout, longer than any step takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The helper, and the socket as an attacker in the monitor has it.
struct Helper {
    process: Child,
    socket: UnixStream,
}

impl Helper {
    /// Starts the helper of a program that writes its variable `TA_ID` to a file.
    fn start(written: &Path) -> Self {
        let (socket, other) = UnixStream::pair().expect("descriptors");
        socket.set_read_timeout(Some(TIMEOUT)).expect("it is not 0");
        let process = Command::new(env!("CARGO_BIN_EXE_TrafficAlerted"))
            .arg("command-helper")
            .stdin(OwnedFd::from(other))
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program is built");
        let mut helper = Self { process, socket };
        let script = "env > \"$0\"";
        helper.send(&json!({
            "path": "/bin/sh", "arguments": ["-c", script, written], "time_limit_ms": 60_000,
        }));
        assert_eq!(helper.reply(), Some(json!({ "number": 0, "outcome": "Ready" })));
        helper
    }

    fn send(&mut self, message: &Value) {
        let body = message.to_string();
        let length = u32::try_from(body.len()).expect("it is short").to_le_bytes();
        let frame = [b"TAH\x02".as_slice(), &length, body.as_bytes()].concat();
        self.socket.write_all(&frame).expect("the helper reads");
    }

    /// Returns the next message; `None` if the helper has ended.
    fn reply(&mut self) -> Option<Value> {
        let mut header = [0; 8];
        self.socket.read_exact(&mut header).ok()?;
        let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
        let mut body = vec![0; length as usize];
        self.socket.read_exact(&mut body).expect("a message is whole");
        Some(serde_json::from_slice(&body).expect("JSON"))
    }
}

#[test]
fn the_helper_runs_its_own_program_and_no_other() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (own, foreign) = (folder.path().join("own"), folder.path().join("foreign"));
    let attack = ["-c", "echo > \"$0\"", foreign.to_str().expect("text")];
    let run = |call: Value| json!({ "Run": { "number": 1, "call": call } });
    let variables = json!([["TA_ID", "7"]]);

    // The program of the start is run.
    let mut helper = Helper::start(&own);
    helper.send(&run(json!({ "variables": variables, "input": "x" })));
    assert_eq!(helper.reply(), Some(json!({ "number": 1, "outcome": { "Exited": 0 } })));
    let environment = fs::read_to_string(&own).expect("it was written");
    assert!(environment.lines().any(|line| line == "TA_ID=7"), "{environment}");
    drop(helper.socket);
    assert!(helper.process.wait().expect("it is a child").success());
    fs::remove_file(&own).expect("it was written");

    let attacks = [
        // The message that the helper took before.
        run(json!({
            "program": "/bin/sh", "arguments": attack, "variables": [], "input": "", "time_limit_ms": 60_000,
        })),
        run(json!({ "arguments": attack, "variables": variables, "input": "" })),
        run(json!({ "time_limit_ms": 1, "variables": variables, "input": "" })),
        run(json!({ "variables": [["TA_ID", "7"], ["LD_PRELOAD", foreign]], "input": "" })),
        run(json!({ "variables": [["ENV", foreign]], "input": "" })),
        run(json!({ "variables": [["TA_ID\0LD_PRELOAD", foreign]], "input": "" })),
        json!({ "Check": { "number": 1, "program": "/bin/sh" } }),
        // A second start.
        json!({ "path": "/bin/sh", "arguments": attack, "time_limit_ms": 60_000 }),
    ];
    for message in attacks {
        let mut helper = Helper::start(&own);
        helper.send(&message);
        assert_eq!(helper.reply(), None, "{message}");
        let ended = helper.process.wait_with_output().expect("it is a child");
        assert!(!ended.status.success(), "{message}");
        assert!(!ended.stderr.is_empty(), "{message}: a refusal is said");
        assert!(!own.exists() && !foreign.exists(), "{message}");
    }
}
