//! Plain system calls on the calling thread.
//!
//! Writes bypass the page cache where the file system allows (`O_DIRECT`): what a segment or the journal writes is
//! not read soon, and buffered writes would push out what is. Reads go through the page cache: it is memory
//! the kernel takes back whenever someone needs it, so it costs no budget. Linux keeps the two coherent.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::RwLock;
use rustix::fs::FallocateFlags;
use rustix::io::{Errno, ReadWriteFlags};

use crate::aligned::{ALIGNMENT, AlignedBuffer};
use crate::disk::{DirEntry, Disk, DiskKind, FileId, ReadRequest, Space, check_alignment, check_name};
use crate::error::DiskError;
use crate::metrics::DiskMetrics;
use crate::sectors;

/// The disk that is always available. It does not lock its directory; [`crate::open_disk`] does.
pub struct ThreadsDisk {
    directory: PathBuf,
    files: RwLock<HashMap<FileId, Arc<OpenFile>>>,
    next_id: AtomicU64,
    metrics: Arc<DiskMetrics>,
    /// The directory's lock, if this disk was opened with one.
    _lock: Option<File>,
}

/// An open file: one descriptor for reads and metadata, one for direct writes (opened on the first).
pub(crate) struct OpenFile {
    pub(crate) name: String,
    buffered: File,
    direct: OnceLock<Option<File>>,
    unit: OnceLock<usize>,
}

impl OpenFile {
    /// The descriptor for reads and metadata.
    pub(crate) fn reading(&self) -> &File {
        &self.buffered
    }

    /// The descriptor for aligned writes: direct where that is possible.
    pub(crate) fn writing(&self) -> &File {
        self.direct.get_or_init(|| self.reopen_direct()).as_ref().unwrap_or(&self.buffered)
    }

    /// What durable writes are multiples of; see [`crate::sectors`].
    fn unit(&self) -> usize {
        *self.unit.get_or_init(|| sectors::write_unit(&self.buffered))
    }

    /// Through /proc, so that the file is found also after it was renamed. None where the file system or a
    /// missing /proc forbids it.
    fn reopen_direct(&self) -> Option<File> {
        let path = format!("/proc/self/fd/{}", self.buffered.as_raw_fd());
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_DIRECT | libc::O_CLOEXEC).open(path).ok()
    }

    /// Writes everything; `durably` makes this one write a data-synced one.
    fn write_all(&self, mut offset: u64, mut data: &[u8], durably: bool) -> io::Result<()> {
        let flags = if durably { ReadWriteFlags::DSYNC } else { ReadWriteFlags::empty() };
        let file = self.writing();
        while !data.is_empty() {
            match rustix::io::pwritev2(file, &[IoSlice::new(data)], offset, flags) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    data = data.get(written..).unwrap_or_default();
                    offset += written as u64;
                }
                Err(Errno::INTR) => {}
                // A file system that takes O_DIRECT when opening and then wants a larger unit, or that knows no
                // per-write sync: the plain way is always right, only slower.
                Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => {
                    self.buffered.write_all_at(data, offset)?;
                    return if durably { self.buffered.sync_data() } else { Ok(()) };
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl ThreadsDisk {
    /// A disk over `directory`, which is created if it is missing.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn new(directory: &Path) -> Result<Self, DiskError> {
        fs::create_dir_all(directory).map_err(|error| DiskError::Unusable {
            directory: directory.display().to_string(),
            why: format!("cannot create it: {error}"),
        })?;
        Ok(ThreadsDisk {
            directory: directory.to_path_buf(),
            files: RwLock::new(HashMap::new()),
            next_id: AtomicU64::new(1),
            metrics: Arc::new(DiskMetrics::new()),
            _lock: None,
        })
    }

    /// Keeps `lock` open as long as this disk lives.
    pub(crate) fn hold(&mut self, lock: File) {
        self._lock = Some(lock);
    }

    pub(crate) fn file(&self, id: FileId, doing: &'static str) -> Result<Arc<OpenFile>, DiskError> {
        let closed = DiskError::Invalid { name: format!("file {}", id.0), doing, what: "it is closed" };
        self.files.read().get(&id).cloned().ok_or(closed)
    }

    fn path(&self, name: &str, doing: &'static str) -> Result<PathBuf, DiskError> {
        check_name(name, doing)?;
        Ok(self.directory.join(name))
    }

    fn add(&self, name: &str, file: File) -> FileId {
        let id = FileId(self.next_id.fetch_add(1, Ordering::Relaxed));
        let open = OpenFile { name: name.into(), buffered: file, direct: OnceLock::new(), unit: OnceLock::new() };
        self.files.write().insert(id, Arc::new(open));
        id
    }

    /// Makes the missing folders above `path`, syncing each one's parent: a published file must not vanish
    /// with its folder.
    fn make_parents(&self, path: &Path) -> io::Result<()> {
        let Some(parent) = path.parent() else { return Ok(()) };
        if parent.is_dir() {
            return Ok(());
        }
        self.make_parents(parent)?;
        match fs::create_dir(parent) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => sync_directory(parent.parent().unwrap_or(parent)),
        }
    }

    pub(crate) fn failed(&self, name: &str, doing: &'static str, error: &io::Error) -> DiskError {
        self.metrics.failed(name);
        DiskError::from_io(name, doing, error)
    }

    /// Counts a finished write and turns its result into ours.
    pub(crate) fn wrote(&self, file: &OpenFile, bytes: usize, result: io::Result<()>) -> Result<(), DiskError> {
        match result {
            Ok(()) => {
                self.metrics.wrote(&file.name, bytes);
                Ok(())
            }
            Err(error) => Err(self.failed(&file.name, "write", &error)),
        }
    }

    fn write(&self, id: FileId, offset: u64, data: &[u8], durably: bool) -> Result<(), DiskError> {
        let file = self.file(id, "write")?;
        check_alignment(&file.name, offset, data.len(), if durably { file.unit() } else { ALIGNMENT })?;
        let started = Instant::now();
        let result = file.write_all(offset, data, durably);
        if durably {
            self.metrics.synced(&file.name, started.elapsed());
        }
        self.wrote(&file, data.len(), result)
    }

    fn read_one(&self, file: &OpenFile, request: &mut ReadRequest) -> Result<(), DiskError> {
        request.buffer.clear();
        // Within the file first: a length from damaged bytes must not become an allocation.
        let size = file.buffered.metadata().map_err(|error| self.failed(&file.name, "stat", &error))?.len();
        check_range(&file.name, size, request)?;
        request.buffer.resize(request.length, 0);
        let read = file.buffered.read_exact_at(&mut request.buffer, request.offset);
        read.map_err(|error| self.failed(&file.name, "read", &error))?;
        self.metrics.read(&file.name, request.length);
        Ok(())
    }
}

/// Checks that a request lies within a file of `size` bytes.
pub(crate) fn check_range(name: &str, size: u64, request: &ReadRequest) -> Result<(), DiskError> {
    let end = request.offset.checked_add(request.length as u64);
    if end.is_none_or(|end| end > size) {
        let what = format!("{} bytes wanted, but the file ends at {size}", request.length);
        return Err(DiskError::corrupt(name, request.offset, what));
    }
    Ok(())
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

impl Disk for ThreadsDisk {
    fn kind(&self) -> DiskKind {
        DiskKind::Threads
    }

    fn metrics(&self) -> Arc<DiskMetrics> {
        Arc::clone(&self.metrics)
    }

    fn create(&self, name: &str, preallocate_bytes: u64) -> Result<FileId, DiskError> {
        let path = self.path(name, "create")?;
        let failed = |error: io::Error| self.failed(name, "create", &error);
        self.make_parents(&path).map_err(failed)?;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path).map_err(failed)?;
        let id = self.add(name, file);
        if preallocate_bytes > 0
            && let Err(error) = self.preallocate(id, 0, preallocate_bytes)
        {
            self.close(id);
            return Err(error);
        }
        Ok(id)
    }

    fn open(&self, name: &str) -> Result<FileId, DiskError> {
        let path = self.path(name, "open")?;
        let opened = OpenOptions::new().read(true).write(true).open(path);
        Ok(self.add(name, opened.map_err(|error| self.failed(name, "open", &error))?))
    }

    fn preallocate(&self, file: FileId, offset: u64, bytes: u64) -> Result<(), DiskError> {
        let file = self.file(file, "preallocate")?;
        match rustix::fs::fallocate(&file.buffered, FallocateFlags::KEEP_SIZE, offset, bytes) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            Err(error) => Err(self.failed(&file.name, "preallocate", &error.into())),
        }
    }

    fn write_at(&self, file: FileId, offset: u64, data: AlignedBuffer) -> (Result<(), DiskError>, AlignedBuffer) {
        (self.write(file, offset, &data, false), data)
    }

    fn sync(&self, file: FileId) -> Result<(), DiskError> {
        let file = self.file(file, "sync")?;
        let started = Instant::now();
        let result = file.buffered.sync_data();
        self.metrics.synced(&file.name, started.elapsed());
        result.map_err(|error| self.failed(&file.name, "sync", &error))
    }

    fn write_unit(&self, file: FileId) -> usize {
        self.file(file, "stat").map_or(ALIGNMENT, |file| file.unit())
    }

    fn write_synced(&self, file: FileId, offset: u64, data: AlignedBuffer) -> (Result<(), DiskError>, AlignedBuffer) {
        (self.write(file, offset, &data, true), data)
    }

    fn read_at(&self, file: FileId, requests: &mut [ReadRequest]) -> Result<(), DiskError> {
        let file = self.file(file, "read")?;
        requests.iter_mut().try_for_each(|request| self.read_one(&file, request))
    }

    fn truncate(&self, file: FileId, bytes: u64) -> Result<(), DiskError> {
        let file = self.file(file, "truncate")?;
        file.buffered.set_len(bytes).map_err(|error| self.failed(&file.name, "truncate", &error))
    }

    fn publish(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let (source, target) = (self.path(from, "publish")?, self.path(to, "publish")?);
        let failed = |error: io::Error| self.failed(from, "publish", &error);
        self.make_parents(&target).map_err(failed)?;
        fs::rename(&source, &target).map_err(failed)?;
        sync_directory(target.parent().unwrap_or(&self.directory)).map_err(failed)
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        fs::remove_file(self.path(name, "remove")?).map_err(|error| self.failed(name, "remove", &error))
    }

    fn list(&self, directory: &str) -> Result<Vec<DirEntry>, DiskError> {
        let mut entries = Vec::new();
        let mut folders = BTreeSet::from([directory.to_string()]);
        while let Some(folder) = folders.pop_first() {
            let path = if folder.is_empty() { self.directory.clone() } else { self.path(&folder, "list")? };
            let failed = |error: io::Error| self.failed(&folder, "list", &error);
            let found = match fs::read_dir(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                found => found.map_err(failed)?,
            };
            for entry in found {
                let entry = entry.map_err(failed)?;
                // Names that are not UTF-8 are not ours.
                let Ok(leaf) = entry.file_name().into_string() else { continue };
                let name = if folder.is_empty() { leaf } else { format!("{folder}/{leaf}") };
                match entry.metadata() {
                    Ok(metadata) if metadata.is_dir() => _ = folders.insert(name),
                    Ok(metadata) if metadata.is_file() => entries.push(DirEntry { name, bytes: metadata.len() }),
                    // Sockets, links; or gone since the directory was read.
                    _ => {}
                }
            }
        }
        entries.sort_unstable();
        Ok(entries)
    }

    fn size(&self, file: FileId) -> Result<u64, DiskError> {
        let file = self.file(file, "stat")?;
        Ok(file.buffered.metadata().map_err(|error| self.failed(&file.name, "stat", &error))?.len())
    }

    fn close(&self, file: FileId) {
        self.files.write().remove(&file);
    }

    fn space(&self) -> Result<Space, DiskError> {
        let failed = |error: Errno| self.failed("", "ask for free space", &error.into());
        let stat = rustix::fs::statvfs(&self.directory).map_err(failed)?;
        Ok(Space {
            total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
            available_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_direct_where_the_file_system_allows() {
        let directory = tempfile::tempdir().unwrap();
        let probe = directory.path().join("probe");
        let create = || OpenOptions::new().write(true).create(true).custom_flags(libc::O_DIRECT).open(&probe);
        let allowed = create().is_ok();
        let disk = ThreadsDisk::new(directory.path()).unwrap();
        let id = disk.create("tmp/x", 0).unwrap();
        disk.publish("tmp/x", "x").unwrap();
        let file = disk.file(id, "test").unwrap();
        let flags = rustix::fs::fcntl_getfl(file.writing()).unwrap();
        assert_eq!(flags.contains(rustix::fs::OFlags::DIRECT), allowed, "also after the file was renamed");
        println!("direct writes here: {allowed}");
        let flags = rustix::fs::fcntl_getfl(file.reading()).unwrap();
        assert!(!flags.contains(rustix::fs::OFlags::DIRECT), "reads use the page cache");
    }
}
