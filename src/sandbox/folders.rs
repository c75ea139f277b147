//! The folders and ports of the running program, and the Landlock rules made of them.
//!
//! Landlock grants access to a file or to everything below a folder, and knows neither by name: a file that is replaced
//! is another one. So the folder of a file is granted where a file may be replaced by renaming. TCP ports are
//! restricted from ABI 4 on, signals and abstract sockets from ABI 6 on.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, NetPort,
    PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use nix::unistd::geteuid;

/// What the program reads, writes and connects to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Folders and files that are read.
    read: Vec<PathBuf>,
    /// Folders that are written to.
    write: Vec<PathBuf>,
    /// Folders whose files are removed.
    remove: Vec<PathBuf>,
    /// TCP ports of receivers; `None` if every port may be connected to.
    ports: Option<Vec<u16>>,
    /// True if neither folders nor ports are restricted.
    is_unlimited: bool,
    /// Device and inode of each folder of `write` when the thread was restricted; `None` if there was none.
    at_start: Vec<(PathBuf, Option<(u64, u64)>)>,
}

impl Grants {
    /// Returns what every program reads: time zones, certificates, name servers, its own state in the kernel. TCP may
    /// reach name servers.
    pub fn of_every_program() -> Self {
        let mut grants = Self { ports: Some(vec![DOMAIN]), ..Self::default() };
        for path in SYSTEM_FILES {
            grants.read.push(PathBuf::from(path));
        }
        for variable in ["SSL_CERT_FILE", "SSL_CERT_DIR", "TZDIR"] {
            grants.read.extend(std::env::var_os(variable).map(PathBuf::from));
        }
        // The files in it that others must not read are those of root. A name server that is configured anew replaces
        // a file there, which a rule for the file would not follow.
        if !geteuid().is_root() {
            grants.read.push(PathBuf::from("/etc"));
        }
        grants
    }

    /// Returns grants that forbid nothing.
    pub(super) fn unlimited() -> Self {
        Self { is_unlimited: true, ..Self::default() }
    }

    /// Lets the program read a file, also after it was replaced by another one of its name.
    pub fn read_file(&mut self, file: &Path) {
        let folder = folder_of(file);
        // Root could read every file of these. Then a file that is replaced needs a restart.
        let is_shared =
            geteuid().is_root() && SHARED_FOLDERS.iter().any(|shared| folder == Path::new(shared));
        self.read.push(if is_shared { file.to_owned() } else { folder.to_owned() });
        if let Ok(target) = file.canonicalize()
            && target != file
        {
            self.read.push(target);
        }
    }

    /// Lets the program read every file of a folder.
    pub fn read_folder(&mut self, folder: &Path) {
        self.read.push(folder.to_owned());
    }

    /// Lets the program make, change, rename and remove files in a folder.
    pub fn write_folder(&mut self, folder: &Path) {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        self.write.push(folder.to_owned());
    }

    /// Lets the program remove a file and, since that is a right to its folder, every other one in it.
    pub fn remove_file(&mut self, file: &Path) {
        self.remove.push(folder_of(file).to_owned());
    }

    /// Lets the program connect to a TCP port.
    pub fn connect_to(&mut self, port: u16) {
        if let Some(ports) = &mut self.ports {
            ports.push(port);
        }
    }

    /// Returns true if the program can read a file of this path, as far as it is restricted.
    pub fn allow_reading(&self, file: &Path) -> bool {
        self.is_unlimited || is_below(file, self.read.iter().chain(&self.write))
    }

    /// Returns true if the program can make files in this folder, as far as it is restricted.
    pub fn allow_writing(&self, folder: &Path) -> bool {
        self.is_unlimited || is_below(folder, self.write.iter())
    }

    /// Returns true if the program can connect to a TCP port, as far as it is restricted.
    pub fn allow_port(&self, port: u16) -> bool {
        self.is_unlimited || self.ports.as_ref().is_none_or(|ports| ports.contains(&port))
    }

    /// Notes which folders are there. Call it before [`restrict_this_thread`](Self::restrict_this_thread).
    pub(super) fn note_folders(&mut self) {
        self.at_start = self.write.iter().map(|folder| (folder.clone(), identity(folder))).collect();
    }

    /// Returns true if the folder is, or is below, one that may be written to, but that was not there when the thread
    /// was restricted or has been made anew since: then it can be used after a restart only.
    pub(super) fn need_restart_for(&self, folder: &Path) -> bool {
        let mut granted = self.at_start.iter().filter(|(granted, _)| folder.starts_with(granted)).peekable();
        let was_wanted = granted.peek().is_some();
        let is_same =
            |(path, then): &(PathBuf, Option<(u64, u64)>)| then.is_some() && identity(path) == *then;
        !self.is_unlimited && was_wanted && !granted.any(is_same)
    }

    /// Returns what these grants mean to a kernel with this ABI.
    pub(super) fn in_force(self, abi: i32) -> Self {
        let ports = self.ports.filter(|_| abi >= FIRST_ABI_WITH_PORTS);
        Self { ports, ..self }
    }

    /// Restricts the calling thread, and those that it starts later. Returns the ABI of Landlock.
    ///
    /// # Errors
    /// The kernel has no Landlock, or refuses; the text says which.
    pub(super) fn restrict_this_thread(&self) -> Result<i32, String> {
        let restricted = self.restrict().map_err(|error| error.to_string())?;
        match restricted.landlock {
            LandlockStatus::Available { effective_abi, .. }
                if restricted.ruleset != RulesetStatus::NotEnforced =>
            {
                Ok(effective_abi as i32)
            }
            LandlockStatus::NotEnabled => Err("Landlock is not enabled in this kernel (lsm=)".to_owned()),
            _ => Err("not in this kernel".to_owned()),
        }
    }

    fn restrict(&self) -> Result<landlock::RestrictionStatus, RulesetError> {
        let mut scopes = Scope::from_all(KNOWN);
        // The service manager of a container may listen on an abstract socket (sd_notify(3)).
        if std::env::var_os("NOTIFY_SOCKET").is_some_and(|name| name.as_encoded_bytes().starts_with(b"@")) {
            scopes.remove(Scope::AbstractUnixSocket);
        }
        let mut ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(KNOWN))?
            .handle_access(AccessNet::from_all(KNOWN))?
            .scope(scopes)?
            .create()?;
        let removing = AccessFs::RemoveFile.into();
        for (paths, access) in [(&self.read, reading()), (&self.write, writing()), (&self.remove, removing)] {
            for path in paths {
                // What is not there cannot be granted.
                let Ok(folder) = PathFd::new(path) else { continue };
                let access = if path.is_dir() { access } else { access & AccessFs::from_file(KNOWN) };
                ruleset = ruleset.add_rule(PathBeneath::new(folder, access))?;
            }
        }
        for port in self.ports.iter().flatten() {
            ruleset = ruleset.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
        }
        ruleset.restrict_self()
    }
}

fn reading() -> BitFlags<AccessFs> {
    AccessFs::ReadFile | AccessFs::ReadDir
}

/// Everything that happens to files of the state, of `AlertFile` and of a socket. No device is made and nothing is
/// executed.
fn writing() -> BitFlags<AccessFs> {
    reading()
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeSock
        | AccessFs::RemoveFile
        | AccessFs::Refer
}

fn identity(folder: &Path) -> Option<(u64, u64)> {
    folder.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) => Path::new("."),
        None => file,
    }
}

/// Returns true if a path is below one of the granted ones, with symbolic links resolved as far as the path exists.
fn is_below<'g>(path: &Path, mut granted: impl Iterator<Item = &'g PathBuf>) -> bool {
    let real = |path: &Path| path.canonicalize().or_else(|_| folder_of(path).canonicalize()).ok();
    let Some(real_path) = real(path) else { return granted.any(|granted| path.starts_with(granted)) };
    granted.any(|granted| granted.canonicalize().is_ok_and(|granted| real_path.starts_with(granted)))
}

/// The newest ABI whose meaning was tested here.
const KNOWN: ABI = ABI::V7;
/// The first ABI that restricts TCP ports.
const FIRST_ABI_WITH_PORTS: i32 = 4;
/// The port of name servers.
const DOMAIN: u16 = 53;
/// Folders in which files of many programs are.
const SHARED_FOLDERS: [&str; 6] = ["/", "/etc", "/root", "/home", "/usr", "/var"];

/// What is read while the program runs. /proc is granted as a whole, since the kernel makes its files anew when memory
/// is short, and a rule for one of them would end with it.
const SYSTEM_FILES: &[&str] = &[
    "/proc",
    "/sys/class/net",
    "/sys/devices",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/resolv.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/passwd",
    "/etc/group",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/ld.so.cache",
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/usr/share/pki",
    "/usr/lib/ssl",
    "/usr/local/ssl",
    "/var/lib/ca-certificates",
    "/usr/share/zoneinfo",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/run/connman",
];

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use super::*;

    #[test]
    fn what_is_not_granted_is_refused_and_the_rest_works() {
        let [own, other] = [(); 2].map(|()| tempfile::tempdir().expect("a folder for the test"));
        fs::write(other.path().join("secret"), "x").expect("it is ours");
        let mut grants = Grants { ports: Some(vec![DOMAIN]), ..Grants::default() };
        grants.write_folder(own.path());
        let socket = tempfile::tempdir().expect("a folder for the test");
        let socket_file = socket.path().join("socket");
        fs::write(&socket_file, "").expect("it is ours");
        grants.remove_file(&socket_file);
        let grants_of_thread = grants.clone();
        let (inside, outside) = (own.path().join("file"), other.path().join("secret"));
        let restricted = thread::spawn(move || {
            nix::sys::prctl::set_no_new_privs().expect("it only gives up");
            let abi = grants_of_thread.restrict_this_thread()?;
            fs::write(&inside, "1").expect("its own folder");
            fs::rename(&inside, inside.with_extension("1")).expect("its own folder");
            fs::remove_file(inside.with_extension("1")).expect("its own folder");
            assert!(fs::read(&outside).is_err() && fs::write(&outside, "2").is_err());
            assert!(fs::remove_file(&outside).is_err());
            assert!(fs::write(&socket_file, "2").is_err());
            fs::remove_file(&socket_file).expect("it may be removed");
            Ok::<_, String>(abi)
        });
        let abi = restricted.join().expect("no assertion failed");
        assert!(abi.is_ok(), "this kernel must have Landlock for the tests: {abi:?}");
        assert_eq!(fs::read(other.path().join("secret")).expect("it is ours"), b"x");
    }

    #[test]
    fn paths_and_ports_are_compared_with_what_is_granted() {
        let [own, other] = [(); 2].map(|()| tempfile::tempdir().expect("a folder for the test"));
        let mut grants = Grants { ports: Some(Vec::new()), ..Grants::default() };
        grants.write_folder(own.path());
        grants.connect_to(443);
        std::os::unix::fs::symlink(other.path(), own.path().join("link")).expect("it is ours");
        let cases = [("new", true), ("sub/new", true), ("link", false), ("link/new", false)];
        for (name, expected) in cases {
            assert_eq!(grants.allow_reading(&own.path().join(name)), expected, "{name}");
        }
        assert!(grants.allow_writing(own.path()) && !grants.allow_writing(other.path()));
        assert!(grants.allow_port(443) && !grants.allow_port(80));
        let old = grants.clone().in_force(3);
        assert!(old.allow_port(80) && !old.allow_writing(other.path()), "ABI 3 knows no ports");
        assert!(Grants::unlimited().allow_port(80) && Grants::unlimited().allow_writing(other.path()));
    }

    #[test]
    fn a_folder_that_is_made_after_the_start_needs_a_restart() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let [there, later] = ["there", "later"].map(|name| folder.path().join(name));
        std::fs::create_dir(&there).expect("it is ours");
        let mut grants = Grants::default();
        grants.write_folder(&there);
        grants.write_folder(&later);
        grants.note_folders();
        assert!(!grants.need_restart_for(&there) && grants.need_restart_for(&later));
        assert!(!grants.need_restart_for(folder.path()), "nothing was to be written there");
        std::fs::create_dir(&later).expect("it is ours");
        assert!(grants.need_restart_for(&later) && grants.need_restart_for(&later.join("deep")));
        // The inode of a folder that was removed may be used again, so the first one stays beside the second.
        std::fs::rename(&there, folder.path().join("moved")).expect("it is ours");
        std::fs::create_dir(&there).expect("it is ours");
        assert!(grants.need_restart_for(&there), "the folder of the start is another one");
        assert!(!Grants::unlimited().need_restart_for(&later));
    }
}
