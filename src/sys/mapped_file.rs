//! Part of a file in memory, without a copy of it.

use std::fs::File;
use std::io;
use std::ops::Deref;

use memmap2::{Advice, Mmap, MmapOptions};

/// Bytes of a regular file, as the page cache has them.
///
/// Every page of it was there when it was made, so a disk that fails is an error then. What takes pages away later has the
/// system end this process with `SIGBUS` where it touches one: whoever cuts the file short, or a disk that fails after the
/// page had to make room. So look at small parts, one after the other.
#[derive(Debug)]
pub struct MappedFile(Mmap);

impl MappedFile {
    /// Maps at most `len_max` bytes from `offset` on, as many as the file has now; `None` where it has none there, or is
    /// not regular and has no bytes but those that are read.
    ///
    /// # Errors
    /// The file system cannot map files, a page cannot be read, or Linux is older than 5.14 and cannot tell
    /// (`MADV_POPULATE_READ`, madvise(2)). What can be read at all can still be read plainly.
    pub fn new(file: &File, offset: u64, len_max: usize) -> io::Result<Option<Self>> {
        let metadata = file.metadata()?;
        let there = if metadata.is_file() { metadata.len().saturating_sub(offset) } else { 0 };
        let len = usize::try_from(there).map_or(len_max, |there| there.min(len_max));
        if len == 0 {
            return Ok(None);
        }
        let mut options = MmapOptions::new();
        options.offset(offset).len(len);
        // SAFETY: it is mapped for reading, inside the length of the file, and this process does not write to it. That no
        // other one does is asked of whoever names the file, as it is of every reader that maps: no system call could make
        // sure of it. Who writes all the same changes bytes under a parser to whom all bytes are hostile already, and who
        // asks the slice itself for every part that it looks at.
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
    use std::io::Write;

    use super::*;

    #[test]
    fn it_is_what_the_file_has_and_no_more() -> io::Result<()> {
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
    fn what_is_no_regular_file_has_no_part() -> io::Result<()> {
        assert!(MappedFile::new(&File::open("/dev/zero")?, 0, 9)?.is_none());
        assert!(MappedFile::new(&File::open("/")?, 0, 9)?.is_none());
        assert!(MappedFile::new(&File::open("/proc/self/status")?, 0, 9)?.is_none());
        Ok(())
    }
}
