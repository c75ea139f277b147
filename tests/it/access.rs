//! The command `token`, and what users of this host may do over the Unix socket.
#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test, in helpers as well")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_TrafficAlerted")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_token_is_printed_or_written_for_its_owner_alone() {
    let printed = run(&["token"]);
    let token = text(&printed.stdout);
    assert!(token.len() == 65 && token.trim_end().bytes().all(|b| b.is_ascii_hexdigit()), "{token}");
    assert!(text(&printed.stderr).contains("ApiToken: ..."));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let path_text = path.to_str().unwrap();
    let written = run(&["token", "--file", path_text]);
    assert!(written.status.success() && written.stdout.is_empty(), "{written:?}");
    let first = fs::read_to_string(&path).unwrap();
    assert!(first.len() == 65 && !text(&written.stderr).contains(first.trim_end()));
    let said = text(&written.stderr);
    let owner = format!("a new token is in {path_text}; uid {} alone can read it", nix::unistd::geteuid());
    assert!(said.contains(&owner) && said.contains(&format!("`ApiTokenFile: {path_text}`")), "{said}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let again = run(&["token", "--file", path_text]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("--force"), "{again:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), first);
    let forced = run(&["token", "--file", path_text, "--force"]);
    assert!(forced.status.success() && text(&forced.stderr).contains("is replaced; uid "), "{forced:?}");
    assert_ne!(fs::read_to_string(&path).unwrap(), first);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    assert_eq!(run(&["token", "--force"]).status.code(), Some(2));
}

#[test]
fn a_token_replaces_nothing_but_a_file_and_says_the_whole_path() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("file"), "x").unwrap();
    std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
    nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::create_dir(at("folder")).unwrap();
    for (name, why) in [
        ("link", "is a symbolic link: give the path of the file itself"),
        ("fifo", "is not a regular file, so it is not replaced"),
        ("folder", "is not a regular file, so it is not replaced"),
        ("none/token", "make its folder first"),
    ] {
        let refused = run(&["token", "--file", at(name).to_str().unwrap(), "--force"]);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(text(&refused.stderr).contains(why), "{refused:?}");
    }
    assert_eq!(fs::read_to_string(at("file")).unwrap(), "x");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4, "nothing else is left");
    // A configuration takes no relative path, and quotes around one with spaces.
    let mut command = Command::new(env!("CARGO_BIN_EXE_TrafficAlerted"));
    let made = command.args(["token", "--file", "my token"]).current_dir(folder.path()).output().unwrap();
    let line = format!("`ApiTokenFile: \"{}\"`", at("my token").display());
    assert!(text(&made.stderr).contains(&line), "{made:?}");
}

/// The start and a reload refuse what `check` refuses.
#[test]
fn check_refuses_a_token_that_the_start_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    run(&["token", "--file", at("token").to_str().unwrap()]);
    fs::write(at("a.conf"), format!("ApiSocket: off\nApiTokenFile: {}\n", at("token").display())).unwrap();
    let check = || run(&["check", at("a.conf").to_str().unwrap()]);
    assert!(check().status.success(), "{:?}", check());
    fs::set_permissions(at("token"), fs::Permissions::from_mode(0o644)).unwrap();
    let refused = check();
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(text(&refused.stderr).contains("(mode 0644): run `chmod 600 "), "{refused:?}");
    assert!(text(&refused.stdout).contains("\nApiTokenFile: /"), "{refused:?}");
    fs::remove_file(at("token")).unwrap();
    assert_eq!(check().status.code(), Some(1));
}

/// Only root can look with the rights of another user.
#[test]
fn check_as_root_says_what_the_user_of_the_program_cannot_read() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = folder.path().join("a.conf");
    fs::write(&path, "ApiSocket: off\nUser: 1\n").unwrap();
    for (mode, is_warned) in [(0o600, true), (0o640, true), (0o644, false)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let checked = run(&["check", path.to_str().unwrap()]);
        let err = text(&checked.stderr);
        assert!(checked.status.success(), "{err}");
        let warning = format!("cannot read {}, so a reload will fail: chgrp ", path.display());
        assert_eq!(err.contains(&warning), is_warned, "{mode:o}: {err}");
    }
}

#[test]
fn a_token_is_not_in_what_check_prints() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.conf");
    let token = "Secret-secret-0123456789abcdefghij";
    fs::write(&path, format!("ApiToken: {token}\nListenAddress: 0.0.0.0:8698\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let checked = run(&["check", path.to_str().unwrap()]);
    let (out, err) = (text(&checked.stdout), text(&checked.stderr));
    assert!(checked.status.success(), "{err}");
    assert!(out.contains("# it is set, and not shown\nApiToken:\n"), "{out}");
    assert!(
        err.contains("`ApiToken` is known to everybody on this host")
            && err.contains("write `ApiTokenFile: PATH`"),
        "{err}"
    );
    assert!(!out.contains("ecret") && !err.contains("ecret"), "{out}{err}");
    fs::write(&path, format!("ApiToken: {token}!\nNone: 1\n")).unwrap();
    let wrong = run(&["check", path.to_str().unwrap()]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(!text(&wrong.stderr).contains("ecret") && !text(&wrong.stdout).contains("ecret"), "{wrong:?}");
}
