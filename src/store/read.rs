//! Reads every row of the database. A row of a wrong type or length is left out and counted.

use rusqlite::{Connection, Row};
use tracing::warn;

use super::error::StoreFault;
use super::rows::{AlertRow, MuteRow, NoticeRow, Numbers, OutboxRow, Restored};

/// Maximum number of rows that are read from one table. The program writes fewer.
const ROWS_MAX: i64 = 500_000;

/// Maximum number of bytes in the text of a row. The largest alert with its evidence has fewer.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Maximum number of bytes in a name or an id.
const NAME_BYTES_MAX: usize = 64;

/// Largest number that is believed. Those after it must suffice for new rows.
const NUMBER_MAX: u64 = (i64::MAX / 2).unsigned_abs();

/// Reads all tables.
///
/// # Errors
/// The database cannot be read, or is damaged.
pub(super) fn all(connection: &Connection) -> Result<Restored, StoreFault> {
    let mut left_out = 0;
    let mut numbers = Numbers::default();
    let meta = rows(connection, "SELECT name, value FROM meta", &mut left_out, |row| {
        Some((name(row, 0)?, number(row, 1)?))
    })?;
    for (name, value) in meta {
        match name.as_str() {
            "opened" => numbers.opened = value,
            "last_mute" => numbers.last_mute = value,
            "last_notice" => numbers.last_notice = value,
            _ => left_out += 1,
        }
    }
    let alerts = rows(connection, "SELECT id, body FROM alerts ORDER BY id", &mut left_out, |row| {
        Some(AlertRow { id: name(row, 0)?, body: body(row, 1)? })
    })?;
    let mutes = rows(connection, "SELECT id, body FROM mutes ORDER BY id", &mut left_out, |row| {
        Some(MuteRow { id: number(row, 0)?, body: body(row, 1)? })
    })?;
    let notices = rows(
        connection,
        "SELECT number, alert_id, step, queued_at, body FROM notices ORDER BY number",
        &mut left_out,
        |row| {
            Some(NoticeRow {
                number: number(row, 0)?,
                alert_id: name(row, 1)?,
                step: name(row, 2)?,
                queued_at: u64::try_from(row.get::<_, i64>(3).ok()?).ok()?,
                body: body(row, 4)?,
            })
        },
    )?;
    let outbox =
        rows(connection, "SELECT notice, sink FROM outbox ORDER BY notice, sink", &mut left_out, |row| {
            let row = OutboxRow { notice: number(row, 0)?, sink: name(row, 1)? };
            notices.binary_search_by_key(&row.notice, |notice| notice.number).ok()?;
            Some(row)
        })?;
    let counters = rows(connection, "SELECT sink, body FROM counters ORDER BY sink", &mut left_out, |row| {
        Some((name(row, 0)?, body(row, 1)?))
    })?;
    if left_out > 0 {
        warn!("{left_out} rows of the state are not of this program's form and are not used");
    }
    // A number in use is believed even if `meta` has a smaller one.
    numbers.last_mute = mutes.last().map_or(0, |mute| mute.id).max(numbers.last_mute);
    numbers.last_notice = notices.last().map_or(0, |notice| notice.number).max(numbers.last_notice);
    Ok(Restored { alerts, mutes, numbers: Some(numbers), notices, outbox, counters })
}

fn rows<T>(
    connection: &Connection,
    query: &str,
    left_out: &mut usize,
    row_of: impl Fn(&Row<'_>) -> Option<T>,
) -> Result<Vec<T>, StoreFault> {
    let mut statement = connection.prepare(&format!("{query} LIMIT {ROWS_MAX}"))?;
    let mut found = Vec::new();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        match row_of(row) {
            Some(row) => found.push(row),
            None => *left_out += 1,
        }
    }
    Ok(found)
}

/// Returns a text without control characters, of at most [`NAME_BYTES_MAX`] bytes.
fn name(row: &Row<'_>, column: usize) -> Option<String> {
    let text = row.get_ref(column).ok()?.as_str().ok()?;
    let is_name = !text.is_empty() && text.len() <= NAME_BYTES_MAX && !text.contains(char::is_control);
    is_name.then(|| text.to_owned())
}

fn body(row: &Row<'_>, column: usize) -> Option<String> {
    let text = row.get_ref(column).ok()?.as_str().ok()?;
    (text.len() <= BODY_BYTES_MAX).then(|| text.to_owned())
}

fn number(row: &Row<'_>, column: usize) -> Option<u64> {
    let number = u64::try_from(row.get::<_, i64>(column).ok()?).ok()?;
    (number <= NUMBER_MAX).then_some(number)
}
