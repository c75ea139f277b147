//! The command `token`: makes a token for the API, and prints it or writes it to a file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use traffic_alerted::api::new_api_token;
use traffic_alerted::escape::Escaped;

/// The arguments of `token`.
#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    /// Write it to this new file, which its owner alone can read, and do not print it.
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
                "this is a new token, which is kept nowhere\nadd it to the configuration as `ApiToken: ...` and reload, \
                 or write one to a file with --file"
                    .to_owned()
            }
            Some(path) => {
                // The configuration takes absolute paths only.
                let path = &std::path::absolute(path).with_context(cannot_write(path))?;
                let is_replaced = write(path, &token, self.force)?;
                written(path, is_replaced)
            }
        };
        // If stderr is closed, the token is made all the same.
        let _ = writeln!(io::stderr().lock(), "{advice}");
        Ok(())
    }
}

/// Returns what was done, where, and what to do next.
fn written(path: &Path, is_replaced: bool) -> String {
    let shown = Escaped::path(path);
    let owner = fs::metadata(path).map_or_else(
        |_| "its owner alone can read it".to_owned(),
        |file| format!("uid {} alone can read it", file.uid()),
    );
    if is_replaced {
        return format!(
            "the token in {shown} is replaced; {owner}\nreload TrafficAlerted, and give the new token to whoever has \
             the old one: `cat {shown}` shows it"
        );
    }
    let text = path.display().to_string();
    let value = if text.contains([' ', '#', '\t']) { format!("\"{text}\"") } else { text };
    format!(
        "a new token is in {shown}; {owner}\nadd `ApiTokenFile: {}` to the configuration and restart TrafficAlerted: a \
         start as root gives the file to its user\n`cat {shown}` shows the token",
        Escaped::text(&value)
    )
}

fn cannot_write(path: &Path) -> impl Fn() -> String {
    let path = Escaped::path(path).to_string();
    move || format!("cannot write {path}")
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "make its folder first",
        io::ErrorKind::PermissionDenied => "run this as root, or choose another folder",
        io::ErrorKind::IsADirectory => "give the path of a file",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on the disk",
        io::ErrorKind::ReadOnlyFilesystem => "its file system is read-only: choose another folder",
        _ => "choose another path",
    }
}

/// Checks that there is nothing but a file at the path, since --force is not meant for devices and links.
fn check_replaceable(path: &Path) -> anyhow::Result<bool> {
    let shown = Escaped::path(path);
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(true),
        Ok(metadata) if metadata.is_symlink() => {
            bail!("{shown} is a symbolic link: give the path of the file itself")
        }
        Ok(_) => bail!("{shown} is not a regular file, so it is not replaced: give the path of a file"),
        // Writing says what is wrong.
        Err(_) => Ok(false),
    }
}

/// Writes a new file that its owner alone can read. A file that is replaced stays whole until then. Returns true if one
/// was replaced.
fn write(path: &Path, token: &str, may_replace: bool) -> anyhow::Result<bool> {
    let cannot = cannot_write(path);
    let replaces = may_replace && check_replaceable(path)?;
    let target = if replaces { beside(path) } else { path.to_owned() };
    let options = || File::options().write(true).create_new(true).mode(0o600).clone();
    let mut file = match options().open(&target) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !replaces => {
            bail!(
                "{} exists: --force replaces it, and whoever has the old token needs the new one",
                Escaped::path(path)
            );
        }
        Err(error) => bail!("{}: {error}: {}", cannot(), remedy(&error)),
    };
    let written = writeln!(file, "{token}").and_then(|()| file.sync_all());
    let written = written.and_then(|()| if replaces { give_to_owner_of(path, &file) } else { Ok(()) });
    let written = written.and_then(|()| if replaces { fs::rename(&target, path) } else { Ok(()) });
    if let Err(error) = written {
        // Half a token is none; if this fails too, the next error names the file.
        let _ = fs::remove_file(&target);
        bail!("{}: {error}: {}", cannot(), remedy(&error));
    }
    Ok(replaces)
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
