//! Bundles the dashboard into `$OUT_DIR/dashboard`, from where the crate embeds it.
//!
//! npm works in a copy below `OUT_DIR`, so the source tree stays as it was checked out. It installs exactly what
//! the lock file names, runs no package's scripts, and is the only thing here that uses the network.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs, io};

fn main() -> ExitCode {
    say("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_DASHBOARD").is_none() {
        return ExitCode::SUCCESS;
    }
    for input in INPUTS {
        say(&format!("cargo::rerun-if-changed={SOURCE}/{input}"));
    }
    match bundle() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            for line in [reason.as_str(), REMEDY] {
                say(&format!("cargo::error={line}"));
            }
            ExitCode::FAILURE
        }
    }
}

fn bundle() -> Result<(), String> {
    let out =
        PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: this is cargo's build script")?);
    let (work, bundle) = (out.join("dashboard-source"), out.join("dashboard"));
    for input in INPUTS {
        replace(&Path::new(SOURCE).join(input), &work.join(input))
            .map_err(|error| format!("cannot copy {SOURCE}/{input} below {}: {error}", work.display()))?;
    }
    // Development dependencies are for the tests; the bundle needs none of them.
    run(
        &work,
        "npm",
        &["ci", "--ignore-scripts", "--omit=dev", "--prefer-offline", "--no-audit", "--no-fund"],
    )?;
    if bundle.exists() {
        fs::remove_dir_all(&bundle).map_err(|error| format!("cannot clear {}: {error}", bundle.display()))?;
    }
    let target = bundle.to_str().ok_or("the target directory's name is not UTF-8")?;
    run(&work, "node", &["build.mjs", target])
}

/// Copies a file, or a directory in place of the one that is there.
fn replace(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        return fs::copy(from, to).map(|_| ());
    }
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        replace(&from.join(&name), &to.join(&name))?;
    }
    Ok(())
}

fn run(dir: &Path, program: &str, args: &[&str]) -> Result<(), String> {
    let output = Command::new(program)
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("the dashboard needs `{program}`, which cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).trim().replace('\n', "\ncargo::error=  ");
    Err(format!("`{program} {}` failed with {}:\ncargo::error=  {said}", args.join(" "), output.status))
}

#[allow(clippy::print_stdout, reason = "it is how a build script talks to cargo")]
fn say(line: &str) {
    println!("{line}");
}

/// Where the dashboard's sources are, from the package's root.
const SOURCE: &str = "src/api/dashboard";

/// What goes into the bundle. Tests and whatever an editor leaves beside them do not, and trigger no build.
const INPUTS: [&str; 6] = [".npmrc", "build.mjs", "package.json", "package-lock.json", "page", "src"];

const REMEDY: &str = "install Node.js 20 or later with npm (Debian: apt install nodejs npm), or build without the \
                      dashboard: cargo build --no-default-features";
