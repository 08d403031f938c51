//! [`VfsFiles`] over a directory of the operating system.

use crate::files::{FileStats, VfsFiles};
use parking_lot::Mutex;
use rustix::fs::{FlockOperation, fcntl_lock};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Files of one directory. Keeps each file open while SQLite does, and counts what is written.
///
/// A database is locked as a whole with a POSIX record lock while it is open. That covers the bytes which SQLite
/// itself locks, so that a person's `sqlite3 catalog.db` beside the running process hears "database is locked"
/// instead of replaying and deleting the log under our feet.
pub struct DirectoryFiles {
    directory: PathBuf,
    open: Mutex<HashMap<String, Arc<File>>>,
    written_bytes: AtomicU64,
    writes: AtomicU64,
    syncs: AtomicU64,
}

impl DirectoryFiles {
    /// Files of `directory`, which must exist.
    pub fn new(directory: PathBuf) -> Self {
        DirectoryFiles {
            directory,
            open: Mutex::new(HashMap::new()),
            written_bytes: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
        }
    }

    fn file(&self, name: &str, create: bool) -> io::Result<Arc<File>> {
        let mut open = self.open.lock();
        if let Some(file) = open.get(name) {
            return Ok(Arc::clone(file));
        }
        let path = self.directory.join(name);
        let fresh = create && !path.exists();
        let file = OpenOptions::new().read(true).write(true).create(create).truncate(false).open(&path)?;
        if fresh {
            // The name must survive a power cut before anything that is synced into the file can matter.
            File::open(&self.directory)?.sync_all()?;
        }
        if name.ends_with(".db") || name.ends_with(".bak") {
            fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive)
                .map_err(|e| io::Error::new(io::ErrorKind::WouldBlock, e))?;
        }
        let file = Arc::new(file);
        open.insert(name.to_owned(), Arc::clone(&file));
        Ok(file)
    }
}

impl VfsFiles for DirectoryFiles {
    fn open(&self, name: &str, create: bool) -> io::Result<()> {
        self.file(name, create).map(|_| ())
    }

    fn close(&self, name: &str) {
        self.open.lock().remove(name);
    }

    fn read(&self, name: &str, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let file = self.file(name, false)?;
        let mut done = 0;
        while let Some(rest) = out.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    fn write(&self, name: &str, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file(name, true)?.write_all_at(data, offset)?;
        self.written_bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
        self.writes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn truncate(&self, name: &str, size: u64) -> io::Result<()> {
        self.file(name, true)?.set_len(size)
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.file(name, true)?.sync_data()
    }

    fn size(&self, name: &str) -> io::Result<u64> {
        Ok(self.file(name, false)?.metadata()?.len())
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        self.directory.join(name).try_exists()
    }

    fn delete(&self, name: &str, sync_directory: bool) -> io::Result<()> {
        self.open.lock().remove(name);
        std::fs::remove_file(self.directory.join(name))?;
        if sync_directory { File::open(&self.directory)?.sync_all() } else { Ok(()) }
    }

    fn stats(&self) -> FileStats {
        FileStats {
            written_bytes: self.written_bytes.load(Ordering::Relaxed),
            writes: self.writes.load(Ordering::Relaxed),
            syncs: self.syncs.load(Ordering::Relaxed),
        }
    }
}
