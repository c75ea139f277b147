//! The fuzz target of this room: any file in place of the database.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::database::Database;
use super::error::StoreError;
use super::folder::DATABASE;
use super::pending::Pending;
use super::rows::{AlertRow, Changes, MuteRow, NoticeRow, Numbers, Restored};

/// Starts with a file in place of the database and writes to it. If the first byte is even, the others are the file.
/// Else they change bytes of a sound one: four bytes for the place and one for the value each. The start reads it, or
/// sets it aside, or refuses a later version and leaves it as it is. What is written then is there at the next start.
///
/// # Panics
/// Panics if one of these does not hold.
pub fn state_database(input: &[u8]) {
    let Some((kind, rest)) = input.split_first() else { return };
    let file = if kind % 2 == 0 { rest.to_vec() } else { damaged(rest) };
    let folder = Folder::new();
    let path = folder.0.join(DATABASE);
    fs::write(&path, &file).expect("there is room for it");
    let mut database = match Database::open(&folder.0) {
        Ok((restored, database)) => {
            assert!(restored.numbers.unwrap_or_default().last_notice < u64::MAX / 4, "no number is left");
            database
        }
        Err(StoreError::Newer { .. }) => {
            assert!(fs::read(&path).expect("it is there") == file, "a file of a later version stays");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let mut pending = Pending::default();
    pending.add(rows(7));
    // The first write may meet damage that no read has met, and then sets the file aside.
    let written = database.write(&pending).or_else(|_| database.write(&pending));
    written.unwrap_or_else(|fault| panic!("no row can be written: {fault}"));
    database.close();
    let (again, _) = Database::open(&folder.0).unwrap_or_else(|error| panic!("{error}"));
    check_rows(&again, 7);
}

/// Returns a sound database with bytes changed.
fn damaged(changes: &[u8]) -> Vec<u8> {
    static SOUND: OnceLock<Vec<u8>> = OnceLock::new();
    let mut file = SOUND.get_or_init(sound).clone();
    for &[a, b, c, d, value] in changes.as_chunks().0 {
        let at = u32::from_be_bytes([a, b, c, d]) as usize % file.len();
        file[at] = value;
    }
    file
}

fn sound() -> Vec<u8> {
    let folder = Folder::new();
    let (_, mut database) = Database::open(&folder.0).expect("the folder is ours");
    let mut pending = Pending::default();
    (0..4).for_each(|number| pending.add(rows(number)));
    database.write(&pending).expect("the folder is ours");
    database.close();
    fs::read(folder.0.join(DATABASE)).expect("it was written")
}

/// Returns rows of each table; the alert needs several pages.
fn rows(number: u64) -> Changes {
    let text = |len| format!("{number}").repeat(len);
    let notice = NoticeRow {
        number,
        alert_id: format!("1-{number}"),
        step: "opened".to_owned(),
        queued_at: number,
        body: text(100),
    };
    Changes {
        alerts: vec![AlertRow { id: format!("1-{number}"), body: text(9000) }],
        mutes: vec![MuteRow { id: number, body: text(10) }],
        numbers: Numbers { opened: number, last_mute: number, last_notice: number },
        notices: vec![(notice, vec!["log".to_owned(), "webhook".to_owned()])],
        counters: vec![("log".to_owned(), text(3))],
        ..Changes::default()
    }
}

fn check_rows(found: &Restored, number: u64) {
    let Changes { alerts, mutes, notices, counters, .. } = rows(number);
    let (notice, sinks) = &notices[0];
    assert!(found.alerts.contains(&alerts[0]) && found.mutes.contains(&mutes[0]), "{found:?}");
    assert!(found.notices.contains(notice) && found.counters.contains(&counters[0]), "{found:?}");
    let outbox = found.outbox.iter().filter(|row| row.notice == number && sinks.contains(&row.sink));
    assert_eq!(outbox.count(), sinks.len(), "{found:?}");
}

/// A folder that goes away with its files.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("TrafficAlerted-fuzz-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a folder for the files");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_with_any_byte_of_the_header_changed_keeps_what_comes_after_it() {
        for place in 0..108_u32 {
            for value in [3, 0x7f] {
                let [a, b, c, d] = place.to_be_bytes();
                let show = Shown(place, value);
                state_database(&[1, a, b, c, d, value]);
                drop(show);
            }
        }
    }

    /// Says which byte was changed if the run panics.
    struct Shown(u32, u8);

    impl Drop for Shown {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("byte {} was {}", self.0, self.1);
            }
        }
    }
}
