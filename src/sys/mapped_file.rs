//! A part of a file mapped into memory, so that it can be read without a copy.
//!
//! Offsets and lengths are bytes; the caller parses the content. Sources: mmap(2), madvise(2) (`MADV_POPULATE_READ`).

use std::fs::File;
use std::io;
use std::ops::Deref;

use memmap2::{Advice, Mmap, MmapOptions};

/// A mapped part of a regular file. Its bytes are those of the page cache.
///
/// [`new`](Self::new) reads every page, so that it returns an error if the disk fails. A page can become unavailable
/// later, if another process truncates the file, or if the page is evicted and the disk fails when it is read again.
/// The system then ends this process with `SIGBUS`. So map small parts, one after the other.
#[derive(Debug)]
pub(crate) struct MappedFile(Mmap);

impl MappedFile {
    /// Maps the bytes from `offset` to the present end of the file, but at most `len_max`. Returns `None` if there are
    /// none, or if the file is not a regular file.
    ///
    /// # Errors
    /// The file system does not support mapping, a page cannot be read, or Linux is older than 5.14 and lacks
    /// `MADV_POPULATE_READ`. The caller can still read(2) the file.
    pub(crate) fn new(file: &File, offset: u64, len_max: usize) -> io::Result<Option<Self>> {
        let metadata = file.metadata()?;
        let there = if metadata.is_file() { metadata.len().saturating_sub(offset) } else { 0 };
        let len = usize::try_from(there).map_or(len_max, |there| there.min(len_max));
        if len == 0 {
            return Ok(None);
        }
        let mut options = MmapOptions::new();
        options.offset(offset).len(len);
        // SAFETY: the part is mapped for reading, inside the length of the file, and this process does not write to it.
        // No system call can prevent another process from writing to it. The user who names the file must ensure that,
        // as with every program that maps files. If bytes change all the same, the parsers that read them treat every
        // byte as hostile and check each length against the slice.
        let mapping = unsafe { options.map(file) }?;
        mapping.advise(Advice::PopulateRead)?;
        Ok(Some(Self(mapping)))
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::cast_possible_truncation, reason = "offsets in these tests are small")]

    use std::io::Write;

    use super::*;

    #[test]
    fn a_part_holds_the_bytes_of_the_file_up_to_its_end() -> io::Result<()> {
        let mut file = tempfile::tempfile()?;
        assert!(MappedFile::new(&file, 0, 9)?.is_none(), "an empty file");
        let bytes: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
        file.write_all(&bytes)?;
        for (offset, len_max) in [(0, 1), (0, 1 << 20), (4095, 4098), (70_001, 20_000), (99_999, 5)] {
            let part = MappedFile::new(&file, offset, len_max)?.expect("bytes are there");
            let from = offset as usize;
            assert_eq!(&part[..], &bytes[from..(from + len_max).min(bytes.len())], "from {offset}");
        }
        for offset in [100_000, u64::MAX] {
            assert!(MappedFile::new(&file, offset, 9)?.is_none(), "past its end");
        }
        file.write_all(b"more")?;
        assert_eq!(MappedFile::new(&file, 100_000, 9)?.as_deref(), Some(&b"more"[..]), "it has grown");
        Ok(())
    }

    #[test]
    fn only_regular_files_are_mapped() -> io::Result<()> {
        assert!(MappedFile::new(&File::open("/dev/zero")?, 0, 9)?.is_none());
        assert!(MappedFile::new(&File::open("/")?, 0, 9)?.is_none());
        assert!(MappedFile::new(&File::open("/proc/self/status")?, 0, 9)?.is_none());
        Ok(())
    }
}
