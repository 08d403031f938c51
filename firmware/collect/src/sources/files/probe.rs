//! A look into a file: what it begins with, and whether it is the one of a position.

use super::position::{HEAD_BYTES_MAX, Position, Print, TAIL_BYTES_MAX};
use flate2::read::MultiGzDecoder;
use rustix::fs::{Mode, OFlags};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// Opens a file for reading without waiting: a pipe in the place of a log must not stop everything.
///
/// # Errors
/// What the system says; what is no regular file is [`io::ErrorKind::InvalidInput`].
pub(super) fn open(path: &Path) -> io::Result<(File, Metadata)> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok((file, metadata))
}

/// A file that was just opened.
pub(super) struct Probe {
    pub(super) file: File,
    pub(super) dev: u64,
    pub(super) ino: u64,
    pub(super) size: u64,
    /// Its first bytes, decompressed where it is compressed.
    pub(super) head: Vec<u8>,
    pub(super) is_compressed: bool,
}

impl Probe {
    /// # Errors
    /// As [`open`], and what reading says. A compressed file that cannot be unfolded is [`io::ErrorKind::InvalidData`] or
    /// [`io::ErrorKind::UnexpectedEof`]: it may be in the course of being written.
    pub(super) fn new(path: &Path, is_compressed: bool) -> io::Result<Probe> {
        let (file, metadata) = open(path)?;
        Probe::of_open(file, &metadata, is_compressed)
    }

    /// A file that is open already, whatever leads to it now.
    ///
    /// # Errors
    /// As [`Probe::new`].
    pub(super) fn of_open(file: File, metadata: &Metadata, is_compressed: bool) -> io::Result<Probe> {
        let mut head = vec![0; HEAD_BYTES_MAX];
        let count = if is_compressed {
            fill(&mut MultiGzDecoder::new(file.try_clone()?), &mut head)?
        } else {
            read_at(&file, &mut head, 0)?
        };
        head.truncate(count);
        Ok(Probe { dev: metadata.dev(), ino: metadata.ino(), size: metadata.len(), file, head, is_compressed })
    }

    pub(super) fn is_inode(&self, position: &Position) -> bool {
        (self.dev, self.ino) == (position.dev, position.ino)
    }

    /// Whether this is the file of a position, or a copy of it, as far as was read. Of a compressed file only the head is
    /// compared: the rest is when reading gets there.
    pub(super) fn is_of(&self, position: &Position) -> bool {
        if !position.head.begins(&self.head) {
            return false;
        }
        if self.is_compressed {
            return true;
        }
        if self.size < position.offset || position.is_done {
            return false;
        }
        let mut tail = [0; TAIL_BYTES_MAX];
        let Some(tail) = tail.get_mut(..position.tail.bytes) else { return false };
        read_at(&self.file, tail, position.tail_at()).is_ok_and(|count| position.tail == Print::of(&tail[..count]))
    }

    /// Where the last line begins that is not whole yet: where reading starts for who wants only what comes.
    pub(super) fn start_of_last_line(&self) -> u64 {
        let mut end = vec![0; 64 << 10];
        let from = self.size.saturating_sub(end.len() as u64);
        let count = read_at(&self.file, &mut end, from).unwrap_or(0);
        match end.get(..count).and_then(|end| memchr::memrchr(b'\n', end)) {
            Some(at) => from + at as u64 + 1,
            // No line is that long: from its middle then.
            None if from > 0 => self.size,
            None => 0,
        }
    }
}

/// Reads until the end or until `buffer` is full.
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// As [`read_at`] for what can only be read on.
pub(super) fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // What came before it is good.
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_and_compressed_copies_are_the_same_file() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.log");
        let text = b"first line\nsecond line\nthird";
        std::fs::write(&path, text).unwrap();
        let position =
            Position { offset: 23, head: Print::of(&text[..23]), tail: Print::of(&text[5..23]), ..Position::default() };
        let is_of = |text: &[u8]| {
            std::fs::write(&path, text).unwrap();
            Probe::new(&path, false).unwrap().is_of(&position)
        };
        assert!(is_of(text) && is_of(b"first line\nsecond line\nother"));
        assert!(!is_of(b"first line\nsecond") && !is_of(b"first line\nsecond lime\nthird") && !is_of(b""));
        let packed = root.path().join("a.log.gz");
        let mut encoder = flate2::write::GzEncoder::new(File::create(&packed).unwrap(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, text).unwrap();
        encoder.finish().unwrap();
        assert!(Probe::new(&packed, true).unwrap().is_of(&position));
        assert_eq!(Probe::new(&path, true).err().map(|error| error.kind()), Some(io::ErrorKind::UnexpectedEof));
        std::fs::write(&path, text).unwrap();
        assert_eq!(Probe::new(&path, false).unwrap().start_of_last_line(), 23);
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(open(root.path()).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        let pipe = root.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, Mode::from(0o600), 0).unwrap();
        assert_eq!(open(&pipe).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
