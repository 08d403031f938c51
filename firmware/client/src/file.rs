//! Small files that are read again when they change: tokens, passwords, certificates.

use parking_lot::Mutex;
use std::fs::Metadata;
use std::io;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Tokens are a few KiB, bundles of certificates a few hundred: more is a mistake in a path.
const FILE_BYTES_MAX: u64 = 2 << 20;

/// What tells one content of a path from the next. Kubernetes swaps a symbolic link, which changes the inode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    /// Of the file that the path leads to now; `None` if there is none.
    pub(crate) fn of(path: &Path) -> Option<Stamp> {
        std::fs::metadata(path).ok().map(|metadata| Stamp::from(&metadata))
    }

    fn from(metadata: &Metadata) -> Stamp {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// A text in a file. One `stat` per use; the file is read only when that changes.
#[derive(Debug)]
pub(crate) struct WatchedText {
    path: PathBuf,
    last: Mutex<Option<(Stamp, String)>>,
}

impl WatchedText {
    pub(crate) fn new(path: &Path) -> Self {
        WatchedText { path: path.to_owned(), last: Mutex::new(None) }
    }

    /// The content without the white space around it.
    pub(crate) fn get(&self) -> Result<String, String> {
        let explain = |error: io::Error| {
            format!("unable to read file {}: {}", self.path.display(), crate::error::io_text(&error))
        };
        let mut last = self.last.lock();
        let stamp = Stamp::from(&std::fs::metadata(&self.path).map_err(explain)?);
        if let Some((known, text)) = &*last
            && *known == stamp
        {
            return Ok(text.clone());
        }
        let bytes = read(&self.path).map_err(explain)?;
        let text = String::from_utf8_lossy(&bytes).trim().to_owned();
        *last = Some((stamp, text.clone()));
        Ok(text)
    }
}

/// Reads a whole file of at most [`FILE_BYTES_MAX`].
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("longer than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}
