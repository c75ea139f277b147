//! Tests of the store with real files.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::time::Duration;

use super::*;

const LONG: Duration = Duration::from_secs(60);

fn alert(id: &str, body: &str) -> AlertRow {
    AlertRow { id: id.to_owned(), body: body.to_owned() }
}

fn notice(number: u64) -> NoticeRow {
    NoticeRow {
        number,
        alert_id: format!("1-{number}"),
        step: "opened".to_owned(),
        queued_at: 7,
        body: "{}".to_owned(),
    }
}

fn to(sinks: &[&str]) -> Vec<String> {
    sinks.iter().map(|&sink| sink.to_owned()).collect()
}

fn open(folder: &Path) -> (Restored, StateWriter) {
    StateDatabase::open(folder).expect("the folder is ours")
}

/// What is in the database now, read by another connection.
fn rows(folder: &Path, query: &str) -> Vec<String> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection =
        rusqlite::Connection::open_with_flags(folder.join(DATABASE), flags).expect("it is there");
    let mut statement = connection.prepare(query).expect("a query");
    let rows = statement.query_map([], |row| row.get(0)).expect("rows");
    rows.map(|row| row.expect("a text")).collect()
}

#[test]
fn what_was_submitted_is_there_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (restored, writer) = open(folder.path());
    assert_eq!(restored, Restored::default());
    let first = writer.submit(Changes {
        alerts: vec![alert("1-1", "a"), alert("1-2", "b")],
        mutes: vec![MuteRow { id: 4, body: "m".to_owned() }],
        numbers: Numbers { opened: 9, last_mute: 4, last_notice: 2 },
        notices: vec![(notice(1), to(&["webhook"])), (notice(2), to(&["log", "webhook"]))],
        counters: vec![("log".to_owned(), "c".to_owned())],
        ..Changes::default()
    });
    assert!(writer.wait_committed(first, LONG));
    writer.submit(Changes {
        alerts: vec![alert("1-2", "c")],
        alerts_removed: vec!["1-1".to_owned()],
        numbers: Numbers { opened: 3, ..Numbers::default() },
        settled: vec![("webhook".to_owned(), 1), ("log".to_owned(), 2)],
        ..Changes::default()
    });
    assert!(writer.finish(LONG));

    let (restored, writer) = open(folder.path());
    let expected = Restored {
        alerts: vec![alert("1-2", "c")],
        mutes: vec![MuteRow { id: 4, body: "m".to_owned() }],
        numbers: Some(Numbers { opened: 9, last_mute: 4, last_notice: 2 }),
        notices: vec![notice(2)],
        outbox: vec![OutboxRow { sink: "webhook".to_owned(), notice: 2 }],
        counters: vec![("log".to_owned(), "c".to_owned())],
    };
    assert_eq!(restored, expected);
    assert!(writer.is_durable());
    for name in [DATABASE, "state.db-wal", "state.db-shm", LOCK_FILE] {
        let mode = fs::metadata(folder.path().join(name)).expect("it is there").mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(writer.finish(LONG));
}

#[test]
fn the_database_is_read_by_others_while_it_is_written() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (_, writer) = open(folder.path());
    let ticket = writer.submit(Changes { alerts: vec![alert("1-1", "a")], ..Changes::default() });
    assert!(writer.wait_committed(ticket, LONG));
    assert_eq!(rows(folder.path(), "SELECT body FROM alerts"), ["a"]);
    assert!(writer.finish(LONG));
}

#[test]
fn a_second_opening_says_who_has_the_folder() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (_, writer) = open(folder.path());
    let refused = StateDatabase::open(folder.path()).expect_err("it is in use").to_string();
    assert!(refused.contains(&format!("its pid is {}", std::process::id())), "{refused}");
    assert!(writer.finish(LONG));
    let (_, writer) = open(folder.path());
    assert!(writer.finish(LONG));
}

#[test]
fn what_is_of_no_use_is_set_aside() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join(DATABASE);
    for useless in [vec![b'x'; 8192], b"SQLite format 3\0".repeat(600)] {
        fs::write(&path, &useless).expect("the folder is ours");
        let (restored, writer) = open(folder.path());
        assert_eq!(restored, Restored::default());
        assert_eq!(fs::read(folder.path().join("state.db.bad")).expect("it was set aside"), useless);
        writer.submit(Changes { alerts: vec![alert("1-1", "a")], ..Changes::default() });
        assert!(writer.finish(LONG));
        assert_eq!(rows(folder.path(), "SELECT body FROM alerts"), ["a"]);
    }
}

#[test]
fn links_and_what_is_no_file_are_refused() {
    for name in [DATABASE, "state.db-wal", "state.db-shm", LOCK_FILE] {
        let folder = tempfile::tempdir().expect("a folder for the test");
        symlink("/dev/null", folder.path().join(name)).expect("the folder is ours");
        let refused = StateDatabase::open(folder.path()).expect_err("it is a link").to_string();
        assert!(refused.contains("symbolic link") && refused.contains(name), "{refused}");
        fs::remove_file(folder.path().join(name)).expect("it is a link");
        fs::create_dir(folder.path().join(name)).expect("the folder is ours");
        let refused = StateDatabase::open(folder.path()).expect_err("it is a folder").to_string();
        assert!(refused.contains("not a regular file"), "{refused}");
    }
}
