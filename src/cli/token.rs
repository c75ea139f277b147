//! The command `token`: makes a token for the API, and prints it or writes it to a file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use traffic_alerted::api::new_api_token;

/// The arguments of `token`.
#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    /// Write it to this file, which its owner alone can read, and do not print it.
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// Replace the file if it exists.
    #[arg(long, requires = "file")]
    force: bool,
}

impl TokenArgs {
    /// Makes a token. Without a file it is the only text on standard output; what to do with it is on standard error.
    ///
    /// # Errors
    /// The system has no random bytes, or the file cannot be written or exists.
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let token = new_api_token().context("cannot make a token")?;
        let advice = match &self.file {
            None => {
                writeln!(io::stdout().lock(), "{token}").context("cannot print the token")?;
                "add it to the configuration as `ApiToken: ...`, or use --file and `ApiTokenFile: ...`; then reload"
                    .to_owned()
            }
            Some(path) => {
                write(path, &token, self.force)?;
                let path = path.display();
                format!(
                    "add `ApiTokenFile: {path}` to the configuration and reload; `cat {path}` shows the token"
                )
            }
        };
        // If stderr is closed, the token is made all the same.
        let _ = writeln!(io::stderr().lock(), "{advice}");
        Ok(())
    }
}

/// Writes a new file that its owner alone can read. A file that is replaced stays whole until then.
fn write(path: &Path, token: &str, replaces: bool) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    let target = if replaces { beside(path) } else { path.to_owned() };
    let options = || File::options().write(true).create_new(true).mode(0o600).clone();
    let mut file = match options().open(&target) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !replaces => {
            bail!(
                "{} exists: --force replaces it, and whoever has the old token needs the new one",
                path.display()
            );
        }
        Err(error) => return Err(error).with_context(cannot),
    };
    let written = writeln!(file, "{token}").and_then(|()| file.sync_all());
    let written = written.and_then(|()| if replaces { give_to_owner_of(path, &file) } else { Ok(()) });
    let written = written.and_then(|()| if replaces { fs::rename(&target, path) } else { Ok(()) });
    written
        .inspect_err(|_| {
            // Half a token is none; if this fails too, the next error names the file.
            let _ = fs::remove_file(&target);
        })
        .with_context(cannot)
}

/// Gives the new file to the user of the old one, who may be the program's: the program must read it at a reload.
fn give_to_owner_of(old: &Path, new: &File) -> io::Result<()> {
    let Ok(old) = fs::symlink_metadata(old) else { return Ok(()) };
    if !old.is_file() || old.uid() == new.metadata()?.uid() {
        return Ok(());
    }
    fchown(new, Some(old.uid()), Some(old.gid()))
}

/// Returns a path in the same folder for the file that replaces the one at `path`.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    path.with_file_name(name)
}
