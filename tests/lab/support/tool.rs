//! Commands of other packages: found wherever Debian puts them, and never waited for without end.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Returns the command `name`. Panics with the Debian package to install if there is none.
pub(crate) fn tool(name: &str, package: &str) -> Command {
    // The PATH of a user other than root may lack these.
    const ROOTS_PLACES: [&str; 2] = ["/usr/sbin", "/sbin"];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(ROOTS_PLACES.map(Into::into));
    let found = places.map(|place| place.join(name)).find(|file| file.is_file());
    match found {
        Some(file) => Command::new(file),
        None => panic!("{name} is not installed, and the lab needs it: apt-get install {package}"),
    }
}

/// Runs a command to its end and returns what it printed. Panics if it fails.
pub(crate) fn run(command: &mut Command) -> String {
    const TIMEOUT: Duration = Duration::from_secs(60);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let printed = read(child.stdout.take());
    let complained = read(child.stderr.take());
    let status = end_within(&mut child, TIMEOUT).unwrap_or_else(|| panic!("{command:?} takes too long"));
    let (printed, complained) = (printed.join().expect("it reads"), complained.join().expect("it reads"));
    assert!(status.success(), "{command:?} failed ({status}):\n{printed}{complained}");
    printed
}

/// Waits for the end of a child; kills it after `timeout`.
pub(crate) fn end_within(child: &mut Child, timeout: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return Some(status);
        }
        if Instant::now() >= deadline {
            child.kill().and_then(|()| child.wait()).expect("it is our child");
            return None;
        }
        thread::sleep(LOOK);
    }
}

/// Pause between two looks at a state that cannot be waited for.
pub(crate) const LOOK: Duration = Duration::from_millis(5);

/// Reads on a thread of its own, so that no pipe fills up.
fn read(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A server of another package. It ends with the test.
pub(crate) struct Daemon(Child);

impl Daemon {
    pub(crate) fn start(command: &mut Command) -> Self {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(quiet.spawn().expect("it starts"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already, in which case the test has failed elsewhere.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
