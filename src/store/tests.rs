//! Tests of the store with real files.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::pending::{Pending, REMOVALS_MAX};
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

/// Returns a folder that no other user can open.
fn private_folder() -> tempfile::TempDir {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    tempfile::Builder::new().permissions(mode).tempdir().expect("a folder for the test")
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
    for name in [DATABASE, "state.db-wal", "state.db-shm", "state.db-journal", LOCK_FILE] {
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

#[test]
fn a_folder_that_all_may_write_to_is_refused_and_tmp_is_not() {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().expect("a folder for the test");
    for mode in [0o777, 0o1777] {
        fs::set_permissions(folder.path(), Permissions::from_mode(mode)).expect("it is ours");
        let refused = StateDatabase::open(folder.path()).expect_err("others may write there").to_string();
        assert!(refused.contains("chmod o-w"), "{refused}");
    }
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("it is ours");
    let path = folder.path().join("new");
    let (_, writer) = open(&path);
    assert!(writer.finish(LONG));
    assert_eq!(fs::metadata(path).expect("it was made").mode() & 0o777, 0o700);
}

#[test]
fn a_database_of_a_later_version_is_refused_and_stays_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (_, writer) = open(folder.path());
    writer.submit(Changes { alerts: vec![alert("1-1", "a")], ..Changes::default() });
    assert!(writer.finish(LONG));
    let path = folder.path().join(DATABASE);
    let connection = rusqlite::Connection::open(&path).expect("it is there");
    connection.pragma_update(None, "user_version", 2).expect("it is ours");
    connection.close().expect("nothing holds it");
    let refused = StateDatabase::open(folder.path()).expect_err("it is newer").to_string();
    assert!(refused.contains("later version") && refused.contains("its schema is 2"), "{refused}");
    assert_eq!(rows(folder.path(), "SELECT body FROM alerts"), ["a"]);
}

#[test]
fn a_database_of_another_program_or_with_other_tables_is_set_aside() {
    let statements = [
        "PRAGMA application_id = 7",
        "ALTER TABLE alerts ADD COLUMN more TEXT",
        "DROP TABLE outbox",
        "CREATE TRIGGER t AFTER INSERT ON alerts BEGIN DELETE FROM mutes; END",
        "CREATE VIEW v AS SELECT 1",
    ];
    for statement in statements {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let (_, writer) = open(folder.path());
        writer.submit(Changes { alerts: vec![alert("1-1", "a")], ..Changes::default() });
        assert!(writer.finish(LONG));
        let connection = rusqlite::Connection::open(folder.path().join(DATABASE)).expect("it is there");
        connection.execute_batch(statement).expect("it is ours");
        connection.close().expect("nothing holds it");
        let (restored, writer) = open(folder.path());
        assert_eq!(restored, Restored::default(), "{statement}");
        assert!(folder.path().join("state.db.bad").exists(), "{statement}");
        assert!(writer.finish(LONG));
    }
}

#[test]
fn damaged_pages_and_wrong_rows_never_panic() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (_, writer) = open(folder.path());
    let alerts = (0..200).map(|n| alert(&format!("1-{n}"), &"x".repeat(300))).collect();
    writer.submit(Changes { alerts, notices: vec![(notice(1), to(&["log"]))], ..Changes::default() });
    assert!(writer.finish(LONG));
    let path = folder.path().join(DATABASE);
    let whole = fs::read(&path).expect("it is there");
    let mut used = 0;
    for at in (0..whole.len()).step_by(997) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        fs::write(&path, damaged).expect("the folder is ours");
        match StateDatabase::open(folder.path()) {
            Ok((restored, writer)) => {
                used += usize::from(!restored.alerts.is_empty());
                assert!(writer.finish(LONG));
            }
            Err(error) => assert!(matches!(error, StoreError::Newer { .. }), "{at}: {error}"),
        }
    }
    assert!(used > 0, "texts are checked by those who read them");
    for cut in [1, 100, 4095, 4096, whole.len() / 2] {
        fs::write(&path, &whole[..cut]).expect("the folder is ours");
        let (_, writer) = open(folder.path());
        writer.submit(Changes { alerts: vec![alert("1-1", "a")], ..Changes::default() });
        assert!(writer.finish(LONG), "{cut}");
    }
}

#[test]
fn rows_that_no_program_wrote_are_left_out() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (_, writer) = open(folder.path());
    writer.submit(Changes { notices: vec![(notice(1), to(&["log"]))], ..Changes::default() });
    assert!(writer.finish(LONG));
    let connection = rusqlite::Connection::open(folder.path().join(DATABASE)).expect("it is there");
    connection
        .execute_batch(
            "INSERT INTO alerts VALUES ('', 'a'), ('a' || char(10), 'a'), ('long' || hex(zeroblob(99)), 'a'), \
             (CAST(x'ff' AS TEXT), 'a'), ('1-1', hex(zeroblob(600000))), ('1-2', 'b'); \
             INSERT INTO mutes VALUES (-1, 'm'), (9223372036854775807, 'm'), (3, 'm'); \
             INSERT INTO meta VALUES ('other', 1), ('last_notice_2', -1); \
             UPDATE meta SET value = -5 WHERE name = 'opened'; \
             INSERT INTO outbox VALUES (77, 'log'); \
             INSERT INTO notices VALUES (5, '1-1', 'opened', -1, '{}')",
        )
        .expect("it is ours");
    connection.close().expect("nothing holds it");
    let (restored, writer) = open(folder.path());
    assert_eq!(restored.alerts, [alert("1-2", "b")]);
    assert_eq!(restored.mutes, [MuteRow { id: 3, body: "m".to_owned() }]);
    assert_eq!(restored.notices, [notice(1)]);
    assert_eq!(restored.outbox, [OutboxRow { sink: "log".to_owned(), notice: 1 }]);
    assert_eq!(restored.numbers, Some(Numbers { opened: 0, last_mute: 3, last_notice: 1 }));
    assert!(writer.finish(LONG));
}

#[test]
fn a_database_that_is_removed_while_it_is_in_use_is_made_anew_and_that_is_told() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (_, writer) = open(folder.path());
    let ticket = writer.submit(Changes { alerts: vec![alert("1-1", "a")], ..Changes::default() });
    assert!(writer.wait_committed(ticket, LONG) && !writer.take_lost());
    for name in [DATABASE, "state.db-wal", "state.db-shm"] {
        fs::remove_file(folder.path().join(name)).expect("it is there");
    }
    let ticket = writer.submit(Changes { alerts: vec![alert("1-2", "b")], ..Changes::default() });
    assert!(writer.wait_committed(ticket, LONG));
    assert!(!writer.is_durable(), "the other alert is in no database");
    assert!(writer.take_lost() && !writer.take_lost());
    assert_eq!(rows(folder.path(), "SELECT body FROM alerts"), ["b"]);
    assert!(!writer.is_durable(), "the other alert has still to be submitted again");
    let ticket = writer.submit(Changes { alerts: vec![alert("1-1", "a")], ..Changes::default() });
    writer.note_resubmitted();
    assert!(writer.wait_committed(ticket, LONG) && writer.is_durable());
    assert!(writer.finish(LONG));
}

#[test]
fn what_the_disk_does_not_take_waits_by_key_and_is_written_later() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (_, writer) = open(folder.path());
    // Another program that holds the database stands for a disk that takes nothing.
    let other = rusqlite::Connection::open(folder.path().join(DATABASE)).expect("it is there");
    other.execute_batch("BEGIN IMMEDIATE").expect("nobody writes");
    for round in 0..100 {
        writer.submit(Changes {
            alerts: vec![alert("1-1", &round.to_string())],
            notices: vec![(notice(round + 1), to(&["log", "webhook"]))],
            ..Changes::default()
        });
        writer.submit(Changes {
            settled: vec![("log".to_owned(), round + 1), ("webhook".to_owned(), round)],
            ..Changes::default()
        });
    }
    assert!(!writer.flush(Duration::from_millis(900)), "the write waits for 500 ms and fails");
    let StateStatus { is_durable, waiting_changes, error, .. } = writer.status();
    assert!(!is_durable && waiting_changes <= 4, "{waiting_changes}");
    assert!(error.is_some_and(|error| error.contains("another program")));
    other.execute_batch("COMMIT").expect("it is ours");
    assert!(writer.flush(LONG));
    assert_eq!(rows(folder.path(), "SELECT body FROM alerts"), ["99"]);
    assert_eq!(rows(folder.path(), "SELECT notice || sink FROM outbox"), ["100webhook"]);
    assert!(writer.is_durable());
    assert!(writer.finish(LONG));
}

#[test]
fn pages_of_removed_rows_go_back_to_the_file_system() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (_, writer) = open(folder.path());
    let ids: Vec<String> = (0..6000).map(|n| format!("1-{n}")).collect();
    let alerts = ids.iter().map(|id| alert(id, &"x".repeat(3000))).collect();
    writer.submit(Changes { alerts, ..Changes::default() });
    assert!(writer.finish(LONG));
    let size = || fs::metadata(folder.path().join(DATABASE)).expect("it is there").len();
    let before = size();
    let (_, writer) = open(folder.path());
    let ticket = writer.submit(Changes { alerts_removed: ids, ..Changes::default() });
    assert!(writer.wait_committed(ticket, LONG));
    for n in 0..40 {
        let ticket =
            writer.submit(Changes { alerts: vec![alert("1-1", &n.to_string())], ..Changes::default() });
        assert!(writer.wait_committed(ticket, LONG));
    }
    assert!(writer.finish(LONG));
    assert!(size() < before / 2, "{before} {}", size());
}

#[test]
fn a_database_in_place_of_the_one_in_use_is_set_aside_and_that_is_told() {
    let (folder, other) =
        (tempfile::tempdir().expect("a folder for the test"), tempfile::tempdir().expect("another"));
    let (_, writer) = open(other.path());
    writer.submit(Changes { alerts: vec![alert("1-7", "of a backup")], ..Changes::default() });
    assert!(writer.finish(LONG));
    let (_, writer) = open(folder.path());
    let ticket = writer.submit(Changes { alerts: vec![alert("1-1", "a")], ..Changes::default() });
    assert!(writer.wait_committed(ticket, LONG) && !writer.take_lost());
    // The WAL of the earlier one stays at its name.
    fs::rename(other.path().join(DATABASE), folder.path().join(DATABASE)).expect("the folders are ours");
    let ticket = writer.submit(Changes { alerts: vec![alert("1-2", "b")], ..Changes::default() });
    assert!(writer.wait_committed(ticket, LONG));
    assert!(writer.take_lost() && !writer.take_lost());
    assert_eq!(rows(folder.path(), "SELECT body FROM alerts"), ["b"]);
    assert!(writer.finish(LONG));
    assert!(!folder.path().join("state.db.unread-wal").exists(), "it is not the one of the backup");
    fs::rename(folder.path().join("state.db.unread"), folder.path().join(DATABASE)).expect("it was kept");
    assert_eq!(rows(folder.path(), "SELECT body FROM alerts"), ["of a backup"]);
}

#[test]
fn a_wal_that_is_removed_while_it_is_in_use_loses_nothing() {
    for name in ["state.db-wal", "state.db-shm"] {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let (_, writer) = open(folder.path());
        let ticket = writer.submit(Changes { alerts: vec![alert("1-1", "a")], ..Changes::default() });
        assert!(writer.wait_committed(ticket, LONG) && !writer.take_lost());
        fs::remove_file(folder.path().join(name)).expect("it is there");
        let ticket = writer.submit(Changes { alerts: vec![alert("1-2", "b")], ..Changes::default() });
        assert!(writer.wait_committed(ticket, LONG));
        assert!(writer.take_lost() && !writer.take_lost(), "{name}");
        assert_eq!(rows(folder.path(), "SELECT body FROM alerts ORDER BY id"), ["a", "b"], "{name}");
        assert!(writer.finish(LONG));
    }
}

#[test]
fn a_database_that_can_be_read_only_after_the_start_is_set_aside() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (_, writer) = open(folder.path());
    writer.submit(Changes {
        alerts: vec![alert("1-1", "earlier")],
        mutes: vec![MuteRow { id: 1, body: "earlier".to_owned() }],
        ..Changes::default()
    });
    assert!(writer.finish(LONG));
    let other = rusqlite::Connection::open(folder.path().join(DATABASE)).expect("it is there");
    other
        .execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; DELETE FROM counters; COMMIT")
        .expect("nobody has it");
    let (restored, writer) = open(folder.path());
    assert_eq!(restored, Restored::default());
    other.close().expect("nothing holds it");
    let mutes = vec![MuteRow { id: 1, body: "new".to_owned() }];
    let ticket = writer.submit(Changes { mutes, ..Changes::default() });
    assert!(writer.wait_committed(ticket, LONG));
    assert!(writer.take_lost());
    assert_eq!(rows(folder.path(), "SELECT body FROM mutes UNION SELECT body FROM alerts"), ["new"]);
    assert!(writer.finish(LONG));
    fs::rename(folder.path().join("state.db.unread"), folder.path().join(DATABASE)).expect("it was kept");
    assert_eq!(
        rows(folder.path(), "SELECT body FROM mutes UNION ALL SELECT body FROM alerts"),
        ["earlier"; 2]
    );
}

#[test]
fn removals_that_wait_are_limited() {
    let removal = |number: usize| Changes {
        alerts_removed: vec![format!("1-{number}")],
        mutes_removed: vec![number as u64],
        ..Changes::default()
    };
    let mut pending = Pending::default();
    (0..REMOVALS_MAX / 2).for_each(|number| pending.add(removal(number)));
    assert!(!pending.limit_removals());
    assert_eq!(pending.rows(), REMOVALS_MAX);
    pending.add(Changes { alerts: vec![alert("2-1", "a")], ..removal(REMOVALS_MAX) });
    assert!(pending.limit_removals(), "everything has to be submitted again");
    assert_eq!(pending.rows(), 1);
    pending.add(removal(REMOVALS_MAX + 1));
    assert!(!pending.limit_removals(), "that was said");
    assert_eq!(pending.rows(), 1);
    let mut earlier = Pending::default();
    earlier.add(Changes { alerts: vec![alert("1-5", "b")], ..removal(1) });
    earlier.append(pending);
    assert!(earlier.is_cleared);
    assert_eq!(earlier.alerts.into_keys().collect::<Vec<_>>(), ["2-1"]);
}

#[test]
fn rows_whose_removal_did_not_wait_are_removed_when_the_disk_takes_changes_again() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (_, writer) = open(folder.path());
    let ticket = writer.submit(Changes { alerts: vec![alert("1-1", "a")], ..Changes::default() });
    assert!(writer.wait_committed(ticket, LONG));
    let other = rusqlite::Connection::open(folder.path().join(DATABASE)).expect("it is there");
    other.execute_batch("BEGIN IMMEDIATE").expect("nobody writes");
    let alerts_removed = (0..=REMOVALS_MAX).map(|number| format!("1-{number}")).collect();
    writer.submit(Changes { alerts_removed, ..Changes::default() });
    assert!(writer.take_lost() && !writer.take_lost());
    writer.submit(Changes { alerts: vec![alert("1-99999", "b")], ..Changes::default() });
    other.execute_batch("COMMIT").expect("it is ours");
    assert!(writer.finish(LONG));
    assert_eq!(rows(folder.path(), "SELECT body FROM alerts"), ["b"]);
}

#[test]
fn nothing_is_written_without_the_lock() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let parent = folder.path().join("parent");
    let state = parent.join("state");
    fs::create_dir_all(&state).expect("the folder is ours");
    let (_, database) = database::Database::open(&state).expect("it is ours");
    let writer = StateWriter::start(database, None, 0).expect("a thread");
    fs::remove_dir_all(&parent).expect("it is ours");
    writer.submit(Changes { alerts: vec![alert("1-1", "a")], ..Changes::default() });
    assert!(!writer.finish(LONG));
    let error = writer.status().error.expect("it failed");
    assert!(error.contains(LOCK_FILE) && error.contains("cannot be opened"), "{error}");
}

#[test]
fn a_check_finds_that_the_database_was_removed_although_nothing_waits() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (_, writer) = open(folder.path());
    writer.check(LONG);
    assert!(!writer.take_lost());
    fs::remove_file(folder.path().join(DATABASE)).expect("it is there");
    writer.check(LONG);
    assert!(writer.take_lost());
    assert!(writer.finish(LONG));
}

/// Overwrites a file in place, as cp(1) and dd(1) do: it stays the same file.
fn overwrite(path: &Path, bytes: &[u8]) {
    let mut file = fs::OpenOptions::new().write(true).truncate(true).open(path).expect("the folder is ours");
    file.write_all(bytes).expect("there is room");
    // The clock of the file system may stand still for some milliseconds.
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).expect("it is ours");
}

#[test]
fn a_database_that_is_overwritten_in_place_is_set_aside_as_it_is() {
    let other = tempfile::tempdir().expect("a folder for the test");
    let (_, writer) = open(other.path());
    writer.submit(Changes { alerts: vec![alert("1-7", "of a backup")], ..Changes::default() });
    assert!(writer.finish(LONG));
    let backup = fs::read(other.path().join(DATABASE)).expect("it is there");
    let with = |change: fn(&mut Vec<u8>)| {
        let mut bytes = backup.clone();
        change(&mut bytes);
        bytes
    };
    for bytes in [
        backup.clone(),
        b"no database at all".to_vec(),
        with(|bytes| bytes.truncate(5000)),
        with(|bytes| bytes[4096..].fill(0)),
        with(|bytes| bytes.resize(bytes.len() * 2, 7)),
        Vec::new(),
    ] {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join(DATABASE);
        let unread = folder.path().join("state.db.unread");
        let (_, writer) = open(folder.path());
        let ticket = writer.submit(Changes { alerts: vec![alert("1-1", "a")], ..Changes::default() });
        assert!(writer.wait_committed(ticket, LONG) && !writer.take_lost());
        overwrite(&path, &bytes);
        let ticket = writer.submit(Changes { alerts: vec![alert("1-2", "b")], ..Changes::default() });
        assert!(writer.wait_committed(ticket, LONG));
        assert!(writer.take_lost() && !writer.take_lost());
        assert_eq!(rows(folder.path(), "SELECT body FROM alerts"), ["b"]);
        assert_eq!(fs::read(&unread).unwrap_or_default(), bytes, "it is as it was");
        assert!(!folder.path().join("state.db.unread-wal").exists(), "the WAL was not its own");
        // The end of the program leaves what it finds as well.
        overwrite(&path, &bytes);
        assert!(writer.finish(LONG));
        assert_eq!(fs::read(&path).expect("it is there"), bytes);
    }
}

#[test]
fn a_wal_that_is_overwritten_and_tables_that_others_change_are_set_aside() {
    let cut: fn(&Path) = |folder| overwrite(&folder.join("state.db-wal"), b"");
    let zero: fn(&Path) = |folder| {
        let wal = folder.join("state.db-wal");
        let len = fs::metadata(&wal).expect("it is there").len();
        overwrite(&wal, &vec![0; usize::try_from(len).expect("it is small")]);
    };
    let drop_table: fn(&Path) = |folder| {
        let other = rusqlite::Connection::open(folder.join(DATABASE)).expect("it is there");
        other.execute_batch("DROP TABLE mutes; PRAGMA application_id = 7").expect("nobody writes");
    };
    let cut_index: fn(&Path) = |folder| overwrite(&folder.join("state.db-shm"), b"");
    for change in [cut, zero, drop_table, cut_index] {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let (_, writer) = open(folder.path());
        let ticket = writer.submit(Changes { alerts: vec![alert("1-1", "a")], ..Changes::default() });
        assert!(writer.wait_committed(ticket, LONG) && !writer.take_lost());
        change(folder.path());
        let mutes = vec![MuteRow { id: 1, body: "m".to_owned() }];
        let ticket = writer.submit(Changes { alerts: vec![alert("1-2", "b")], mutes, ..Changes::default() });
        assert!(writer.wait_committed(ticket, LONG));
        assert!(writer.take_lost() && !writer.take_lost());
        assert_eq!(
            rows(folder.path(), "SELECT body FROM alerts UNION ALL SELECT body FROM mutes"),
            ["b", "m"]
        );
        assert!(folder.path().join("state.db.unread").exists());
        assert!(writer.finish(LONG));
    }
}

#[test]
fn a_file_that_others_only_read_or_whose_mode_they_change_stays_in_use() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join(DATABASE);
    let (_, writer) = open(folder.path());
    for round in 0..3 {
        let ticket =
            writer.submit(Changes { alerts: vec![alert("1-1", &round.to_string())], ..Changes::default() });
        assert!(writer.wait_committed(ticket, LONG));
        let other = rusqlite::Connection::open(&path).expect("it is there");
        let count: i64 = other.query_row("SELECT count(*) FROM alerts", [], |row| row.get(0)).expect("a row");
        assert_eq!(count, 1);
        other.close().expect("nothing holds it");
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o640)).expect("it is ours");
    }
    assert!(!writer.take_lost());
    // Another process that reads must not take itself for the last one, and remove the WAL when it closes.
    let inode = fs::metadata(&path).expect("it is there").ino();
    let locks = fs::read_to_string("/proc/locks").expect("the kernel has it");
    let own = format!(" {} ", std::process::id());
    let of_file = format!(":{inode} ");
    assert!(locks.lines().any(|line| line.contains(&own) && line.contains(&of_file)), "{locks}");
    assert!(writer.finish(LONG));
}

/// The lock file may be removed by somebody who cleans up.
#[test]
fn one_process_has_the_folder_although_its_lock_file_was_removed() {
    // The folder itself is locked where nobody else can open it.
    let folder = private_folder();
    let (_, writer) = open(folder.path());
    fs::remove_file(folder.path().join(LOCK_FILE)).expect("it is there");
    let refused = StateDatabase::open(folder.path()).expect_err("another has it").to_string();
    assert!(refused.contains("another process keeps its state in"), "{refused}");
    assert!(!folder.path().join(LOCK_FILE).exists(), "a file without the lock would name nobody");
    assert!(writer.finish(LONG));
    let (_, writer) = open(folder.path());
    assert!(writer.finish(LONG));
}

/// Whoever can open a folder can lock it, and so could keep the program from starting.
#[test]
fn a_folder_that_others_can_open_is_not_locked_by_them() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().expect("a folder for the test");
    let of_others = fs::File::open(folder.path()).expect("it is ours");
    of_others.lock_shared().expect("nobody has it");
    for mode in [0o755, 0o750, 0o701 | 0o004] {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).expect("it is ours");
        let (_, writer) = open(folder.path());
        let refused = StateDatabase::open(folder.path()).expect_err("another has it").to_string();
        assert!(refused.contains(&format!("its pid is {}.", std::process::id())), "{refused}");
        assert!(writer.finish(LONG), "{mode:o}");
        assert!(refusal(folder.path(), &[]).is_none(), "{mode:o}");
    }
}

/// The pid in the lock file is that of a process that has ended: a stranger holds the lock.
#[test]
fn a_lock_of_a_process_that_is_no_traffic_alerted_is_said_at_check_and_start() {
    use std::os::unix::fs::PermissionsExt;

    let folder = private_folder();
    let lock = folder.path().join(LOCK_FILE);
    fs::write(&lock, "4194305\n").expect("it is ours");
    fs::set_permissions(&lock, fs::Permissions::from_mode(0o644)).expect("it is ours");
    for locked in [folder.path(), &lock] {
        let of_stranger = fs::File::open(locked).expect("it is ours");
        of_stranger.lock_shared().expect("nobody has it");
        let own = std::process::id();
        let at_start = StateDatabase::open(folder.path()).expect_err("a stranger has it").to_string();
        let at_check = refusal(folder.path(), &[]).map(|error| error.to_string());
        assert!(
            at_start.contains(&format!("the process {own} (")) && at_start.contains("no TrafficAlerted"),
            "{at_start}"
        );
        assert_eq!(at_check.as_ref(), Some(&at_start));
    }
    assert_eq!(
        fs::metadata(&lock).expect("it is there").mode() & 0o777,
        0o600,
        "others cannot lock it any more"
    );
    let (_, writer) = open(folder.path());
    assert!(writer.finish(LONG));
}

/// The sandbox lets nobody rename a link or a FIFO, and SQLite would follow the one and wait at the other.
#[test]
fn links_and_fifos_that_others_put_in_place_of_the_files_are_removed() {
    let elsewhere = tempfile::tempdir().expect("a folder for the test");
    let target = elsewhere.path().join("target");
    fs::write(&target, "not ours").expect("it is ours");
    for name in [DATABASE, "state.db-wal", "state.db-shm", "state.db-journal"] {
        for is_fifo in [false, true] {
            let folder = tempfile::tempdir().expect("a folder for the test");
            let (_, mut database) = database::Database::open(folder.path()).expect("it is ours");
            let _ = database.take_lost();
            let file = folder.path().join(name);
            let _ = fs::remove_file(&file);
            match is_fifo {
                true => nix::unistd::mkfifo(&file, nix::sys::stat::Mode::from_bits_truncate(0o600))
                    .expect("the folder is ours"),
                false => symlink(&target, &file).expect("the folder is ours"),
            }
            let mut pending = Pending::default();
            pending.add(Changes { alerts: vec![alert("1-1", "a")], ..Changes::default() });
            database.write(&pending).unwrap_or_else(|error| panic!("{name}, {is_fifo}: {error}"));
            assert_eq!(database.take_lost(), name != "state.db-journal", "{name}: all is written again");
            database.close();
            assert_eq!(rows(folder.path(), "SELECT id FROM alerts"), ["1-1"], "{name}");
            assert!(
                fs::symlink_metadata(&file).is_ok_and(|file| file.is_file()) || name != DATABASE,
                "{name}"
            );
            assert!(refusal(folder.path(), &[]).is_none(), "{name}: the next start");
        }
    }
    assert_eq!(fs::read(&target).expect("it is there"), b"not ours");
}

#[test]
fn a_look_makes_a_database_anew_that_others_removed() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (_, mut database) = database::Database::open(folder.path()).expect("it is ours");
    assert!(!database.take_lost());
    database.look();
    assert!(!database.take_lost());
    fs::remove_file(folder.path().join(DATABASE)).expect("it is there");
    database.look();
    assert!(database.take_lost() && folder.path().join(DATABASE).exists());
}

#[test]
fn tables_of_another_form_are_no_reason_to_try_again() {
    let connection = rusqlite::Connection::open_in_memory().expect("memory");
    connection.execute_batch("CREATE TABLE alerts (id INTEGER CHECK (id > 5)) STRICT").expect("a statement");
    for statement in
        ["INSERT INTO mutes VALUES (1)", "INSERT INTO alerts VALUES (1)", "INSERT INTO alerts VALUES ('a')"]
    {
        let error = connection.execute(statement, []).expect_err(statement);
        assert!(error::StoreFault::from(error).of_own_statement().is_damage(), "{statement}");
    }
}

/// Too many removals wait for the disk, so everything that is kept is submitted again.
#[test]
fn a_notice_that_was_submitted_again_and_settled_leaves_no_row() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (_, writer) = open(folder.path());
    let sink = || "WebhookURL".to_owned();
    let notice = |number| {
        let row = NoticeRow {
            number,
            alert_id: "a".to_owned(),
            step: "opened".to_owned(),
            queued_at: 1,
            body: "{}".to_owned(),
        };
        let numbers = Numbers { last_notice: number, ..Numbers::default() };
        Changes { notices: vec![(row, vec![sink()])], numbers, ..Changes::default() }
    };
    let settled = |number| Changes { settled: vec![(sink(), number)], ..Changes::default() };
    let ticket = writer.submit(notice(1));
    assert!(writer.wait_committed(ticket, LONG));
    let other = rusqlite::Connection::open(folder.path().join(DATABASE)).expect("it is there");
    other.execute_batch("BEGIN IMMEDIATE").expect("nobody writes");
    let alerts_removed = (0..=REMOVALS_MAX).map(|number| format!("1-{number}")).collect();
    writer.submit(Changes { alerts_removed, ..Changes::default() });
    assert!(writer.take_lost());
    writer.submit(notice(1));
    writer.submit(settled(1));
    other.execute_batch("COMMIT").expect("it is ours");
    assert!(writer.finish(LONG));
    for table in ["outbox", "notices"] {
        assert_eq!(
            rows(folder.path(), &format!("SELECT CAST(count(*) AS TEXT) FROM {table}")),
            ["0"],
            "{table}"
        );
    }

    // Notices that come and go while the disk is full leave nothing to be removed.
    let mut pending = Pending::default();
    pending.add(notice(1));
    let mut pending = pending.after();
    for number in 2..100 {
        pending.add(notice(number));
        pending.add(settled(number));
    }
    assert_eq!(pending.rows(), 0);
    pending.add(settled(1));
    assert_eq!(pending.rows(), 1);
}
