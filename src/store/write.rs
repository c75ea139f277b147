//! Writes changes in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, Transaction, params};

use super::error::StoreFault;
use super::pending::Pending;
use super::rows::{NoticeRow, Numbers};

/// Free pages of 4 KiB that stay in the file for the next rows.
const FREE_PAGES_MAX: i64 = 1024;

/// Writes the changes, after all rows were removed if `must_clear` is true.
///
/// # Errors
/// None of them was written.
pub(super) fn write(
    connection: &mut Connection,
    pending: &Pending,
    must_clear: bool,
) -> Result<(), StoreFault> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    if must_clear {
        // The numbers that were given out stay.
        transaction.execute_batch(
            "DELETE FROM outbox; DELETE FROM notices; DELETE FROM counters; DELETE FROM alerts; DELETE FROM mutes",
        )?;
    } else if pending.is_cleared {
        transaction.execute_batch("DELETE FROM alerts; DELETE FROM mutes")?;
    }
    write_rows(&transaction, pending)?;
    release_pages(&transaction)?;
    transaction.commit()?;
    Ok(())
}

/// Gives pages of removed rows back to the file system, a few at a time, if there are many.
fn release_pages(transaction: &Transaction<'_>) -> Result<(), StoreFault> {
    let free: i64 = transaction.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
    if free > FREE_PAGES_MAX {
        let mut vacuum = transaction.prepare("PRAGMA incremental_vacuum(256)")?;
        let mut rows = vacuum.query([])?;
        while rows.next()?.is_some() {}
    }
    Ok(())
}

fn write_rows(transaction: &Transaction<'_>, pending: &Pending) -> Result<(), StoreFault> {
    let Pending { is_cleared: _, alerts, mutes, numbers, notices, settled, counters, unwritten_from: _ } =
        pending;
    let mut upsert =
        transaction.prepare("INSERT INTO alerts VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET body = ?2")?;
    let mut delete = transaction.prepare("DELETE FROM alerts WHERE id = ?1")?;
    for (id, body) in alerts {
        match body {
            Some(body) => upsert.execute(params![id, body])?,
            None => delete.execute([id])?,
        };
    }
    let mut upsert =
        transaction.prepare("INSERT INTO mutes VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET body = ?2")?;
    let mut delete = transaction.prepare("DELETE FROM mutes WHERE id = ?1")?;
    for (id, body) in mutes {
        match body {
            Some(body) => upsert.execute(params![integer(*id), body])?,
            None => delete.execute([integer(*id)])?,
        };
    }
    let mut raise = transaction.prepare(
        "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = max(value, ?2)",
    )?;
    let Numbers { opened, last_mute, last_notice } = *numbers;
    for (name, number) in [("opened", opened), ("last_mute", last_mute), ("last_notice", last_notice)] {
        raise.execute(params![name, integer(number)])?;
    }
    let mut upsert = transaction
        .prepare("INSERT INTO counters VALUES (?1, ?2) ON CONFLICT (sink) DO UPDATE SET body = ?2")?;
    for (sink, body) in counters {
        upsert.execute(params![sink, body])?;
    }
    write_notices(transaction, notices)?;
    remove_settled(transaction, settled)
}

fn write_notices(
    transaction: &Transaction<'_>,
    notices: &BTreeMap<u64, (NoticeRow, BTreeSet<String>)>,
) -> Result<(), StoreFault> {
    let mut insert = transaction.prepare("INSERT OR REPLACE INTO notices VALUES (?1, ?2, ?3, ?4, ?5)")?;
    let mut insert_outbox = transaction.prepare("INSERT OR IGNORE INTO outbox VALUES (?1, ?2)")?;
    for (NoticeRow { number, alert_id, step, queued_at, body }, sinks) in notices.values() {
        insert.execute(params![integer(*number), alert_id, step, integer(*queued_at), body])?;
        for sink in sinks {
            insert_outbox.execute(params![integer(*number), sink])?;
        }
    }
    Ok(())
}

fn remove_settled(
    transaction: &Transaction<'_>,
    settled: &BTreeSet<(u64, String)>,
) -> Result<(), StoreFault> {
    let mut delete = transaction.prepare("DELETE FROM outbox WHERE notice = ?1 AND sink = ?2")?;
    let mut delete_notice = transaction.prepare(
        "DELETE FROM notices WHERE number = ?1 AND NOT EXISTS (SELECT 1 FROM outbox WHERE notice = ?1)",
    )?;
    for (notice, sink) in settled {
        delete.execute(params![integer(*notice), sink])?;
        delete_notice.execute([integer(*notice)])?;
    }
    Ok(())
}

/// Returns the number as SQLite has it. Numbers that the program gives out are far smaller than the largest one.
fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
