//! The schema of the database, and how it is recognised.

use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::error::StoreFault;
use super::rows::SCHEMA_VERSION;

/// Marks the database as one of this program (`PRAGMA application_id`): the letters TrAl.
pub(super) const APPLICATION_ID: i64 = 0x5472_416c;

/// The tables, each with the statement that creates it. `docs/state.md` describes their columns.
pub(super) const TABLES: &[(&str, &str)] = &[
    ("meta", "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID"),
    ("alerts", "CREATE TABLE alerts (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT"),
    ("mutes", "CREATE TABLE mutes (id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT"),
    (
        "notices",
        "CREATE TABLE notices (number INTEGER PRIMARY KEY, alert_id TEXT NOT NULL, step TEXT NOT NULL, \
         queued_at INTEGER NOT NULL, body TEXT NOT NULL) STRICT",
    ),
    (
        "outbox",
        "CREATE TABLE outbox (notice INTEGER NOT NULL, sink TEXT NOT NULL, PRIMARY KEY (notice, sink)) \
         STRICT, WITHOUT ROWID",
    ),
    ("counters", "CREATE TABLE counters (sink TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT"),
];

/// What a file is, by its marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recognised {
    /// A database without any table.
    Empty,
    /// A database of this program with the schema of this version.
    Current,
    /// A database of this program with a schema of a later version.
    Newer(i64),
}

/// Returns the version of the schema that the header of a file says, if it is a later one of this program. What is only
/// in the WAL is not seen.
pub(super) fn newer_version(path: &Path) -> Option<i64> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = File::options().read(true).custom_flags(flags).open(path).ok()?;
    let number = |offset| {
        let mut bytes = [0; 4];
        file.read_exact_at(&mut bytes, offset).ok()?;
        Some(i64::from(i32::from_be_bytes(bytes)))
    };
    let is_ours = number(HEADER_APPLICATION_AT)? == APPLICATION_ID;
    number(HEADER_VERSION_AT).filter(|&version| is_ours && version > SCHEMA_VERSION)
}

/// Where the header of a database has its marks ("The Database File Format", sqlite.org/fileformat2.html, 1.3).
const HEADER_VERSION_AT: u64 = 60;
const HEADER_APPLICATION_AT: u64 = 68;

/// Returns what the database is.
///
/// # Errors
/// It is damaged, of another program, or its tables are not those of its version.
pub(super) fn recognise(connection: &Connection) -> Result<Recognised, StoreFault> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (application, version) = (number("application_id")?, number("user_version")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if (application, version, tables) == (0, 0, 0) {
        return Ok(Recognised::Empty);
    }
    if application != APPLICATION_ID {
        return Err(StoreFault::Foreign("it is a database of another program".to_owned()));
    }
    if version > SCHEMA_VERSION {
        return Ok(Recognised::Newer(version));
    }
    if version < SCHEMA_VERSION {
        return Err(StoreFault::Foreign(format!("its schema has the version {version}, which never was")));
    }
    for (name, statement) in TABLES {
        let found: Option<String> = connection
            .query_row("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1", [name], |row| {
                row.get(0)
            })
            .optional()?;
        if found.as_deref() != Some(statement) {
            return Err(StoreFault::Foreign(format!("its table {name} is not the one of this program")));
        }
    }
    // A trigger or a view would run statements of a stranger. The index of a primary key has no statement.
    let others: i64 = connection.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE sql IS NOT NULL AND type <> 'table' \
         OR type IN ('trigger', 'view')",
        [],
        |row| row.get(0),
    )?;
    if others > 0 {
        return Err(StoreFault::Foreign(
            "it has indices, views or triggers that are not of this program".to_owned(),
        ));
    }
    Ok(Recognised::Current)
}

/// Creates the tables in an empty database.
pub(super) fn create(connection: &mut Connection) -> Result<(), StoreFault> {
    let transaction = connection.transaction()?;
    for (_, statement) in TABLES {
        transaction.execute_batch(statement)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()?;
    Ok(())
}
