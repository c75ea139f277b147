//! Runs a test in namespaces of its own.
//!
//! A process with threads cannot enter a user namespace, and libtest has threads. So the test runs its own
//! executable again through `unshare`, for this one test, and checks its exit code.

use std::process::Command;
use std::sync::OnceLock;
use std::{any, env};

use crate::support::tool::tool;

/// Runs `scenario` as root of a network of its own.
pub(crate) fn inside<S: FnOnce()>(scenario: S) {
    enter(Identity::Root, scenario);
}

/// Runs `prepare` and then `scenario` as root of a network of its own.
pub(crate) fn inside_after<S: FnOnce()>(prepare: impl FnOnce(), scenario: S) {
    enter_as(Identity::Root, test_name::<S>(), || {
        prepare();
        scenario();
    });
}

/// Runs `scenario` as root of a network of its own, where there are other users too.
pub(crate) fn inside_with_users<S: FnOnce()>(scenario: S) {
    enter(Identity::RootOfMany, scenario);
}

/// Runs `scenario` as uid 65534, with all capabilities over a network of its own.
pub(crate) fn inside_unprivileged<S: FnOnce()>(scenario: S) {
    enter(Identity::Unprivileged, scenario);
}

/// Runs `scenario` as uid 65534 without any capability, on a network of its own.
pub(crate) fn inside_without_capabilities<S: FnOnce()>(scenario: S) {
    enter(Identity::Powerless, scenario);
}

/// User and group `nobody`, which own no files.
pub(crate) const UNPRIVILEGED_ID: u32 = 65534;

#[derive(Clone, Copy)]
enum Identity {
    Root,
    /// Root of a user namespace that maps many users, or of the machine.
    RootOfMany,
    Unprivileged,
    /// User `nobody`, without the capabilities over the namespaces.
    Powerless,
}

fn enter<S: FnOnce()>(identity: Identity, scenario: S) {
    enter_as(identity, test_name::<S>(), scenario);
}

fn enter_as(identity: Identity, name: &str, scenario: impl FnOnce()) {
    if is_inside() {
        return scenario();
    }
    let output = isolation()
        .command(identity)
        .arg(env::current_exe().expect("a running test has an executable"))
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, "yes")
        .output()
        .expect("unshare has just worked");
    let printed =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "inside its namespaces the test failed ({}):\n{printed}", output.status);
    // Otherwise a name that matches no test would pass.
    assert!(printed.contains("test result: ok. 1 passed"), "{name} was not run inside:\n{printed}");
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
}

/// Returns true in the process of one test, with namespaces of its own.
pub(crate) fn is_inside() -> bool {
    env::var_os(INSIDE).is_some()
}

/// Environment variable that is set in that process.
const INSIDE: &str = "TRAFFIC_ALERTED_LAB_INSIDE";

/// The name by which libtest knows the function that `S` is a closure of: `lab::scans::a_test::{{closure}}`.
fn test_name<S>() -> &'static str {
    let path = any::type_name::<S>();
    let path = path.split_once("::").map_or(path, |(_, path)| path);
    path.split_once("::{{").map_or(path, |(function, _)| function)
}

/// How a test is isolated from the machine.
#[derive(Clone, Copy)]
enum Isolation {
    /// A user namespace: needs no privilege.
    User,
    /// Namespaces without a user namespace, for root where user namespaces are refused.
    Root,
}

impl Isolation {
    fn command(self, identity: Identity) -> Command {
        let mut unshare = tool("unshare", "util-linux");
        // The process is the first one of its namespace: when it ends, the kernel ends the others.
        unshare.args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        match (self, identity) {
            (Isolation::Root, Identity::Root | Identity::RootOfMany | Identity::Unprivileged) => {}
            // Users are mapped by newuidmap(1), which root does not need.
            (Isolation::User, Identity::RootOfMany) if nix::unistd::geteuid().is_root() => {}
            (Isolation::User, Identity::RootOfMany) => {
                unshare.args(["--user", "--map-root-user", "--map-auto"]);
            }
            (Isolation::Root, Identity::Powerless) => {
                unshare.arg(format!("--setuid={UNPRIVILEGED_ID}")).arg(format!("--setgid={UNPRIVILEGED_ID}"));
            }
            (Isolation::User, Identity::Root) => {
                unshare.args(["--user", "--map-root-user"]);
            }
            (Isolation::User, Identity::Unprivileged) => {
                unshare.args(["--user", "--keep-caps"]);
                unshare
                    .arg(format!("--map-user={UNPRIVILEGED_ID}"))
                    .arg(format!("--map-group={UNPRIVILEGED_ID}"));
            }
            (Isolation::User, Identity::Powerless) => {
                unshare.arg("--user");
            }
        }
        unshare
    }

    /// Tries to make the namespaces. Returns the message of `unshare` if the machine refuses them.
    fn try_out(self) -> Result<(), String> {
        let output = match self.command(Identity::Root).arg("true").output() {
            Ok(output) => output,
            Err(error) => panic!("unshare cannot be run ({error}): apt-get install util-linux"),
        };
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        }
    }
}

/// Returns the isolation that this machine grants.
fn isolation() -> Isolation {
    static ISOLATION: OnceLock<Isolation> = OnceLock::new();
    *ISOLATION.get_or_init(|| {
        let Err(refusal) = Isolation::User.try_out() else { return Isolation::User };
        if nix::unistd::geteuid().is_root() && Isolation::Root.try_out().is_ok() {
            return Isolation::Root;
        }
        panic!(
            "this machine refuses the namespaces that the lab is made of ({refusal}). What helps: \
             sysctl user.max_user_namespaces=10000; on Ubuntu sysctl kernel.apparmor_restrict_unprivileged_userns=0; \
             on old Debian sysctl kernel.unprivileged_userns_clone=1; in a container --privileged"
        )
    })
}
