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
    assert!(text(&written.stderr).contains(&format!("ApiTokenFile: {path_text}")));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let again = run(&["token", "--file", path_text]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("--force"), "{again:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), first);
    assert!(run(&["token", "--file", path_text, "--force"]).status.success());
    assert_ne!(fs::read_to_string(&path).unwrap(), first);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    assert_eq!(run(&["token", "--force"]).status.code(), Some(2));
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
        err.contains("`ApiToken` is known to everybody on this host") && err.contains("chmod o= "),
        "{err}"
    );
    assert!(!out.contains("ecret") && !err.contains("ecret"), "{out}{err}");
    fs::write(&path, format!("ApiToken: {token}!\nNone: 1\n")).unwrap();
    let wrong = run(&["check", path.to_str().unwrap()]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(!text(&wrong.stderr).contains("ecret") && !text(&wrong.stdout).contains("ecret"), "{wrong:?}");
}
