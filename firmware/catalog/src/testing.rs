//! Files in memory that forget, tear and fail: the fault model of the tests.
//!
//! What was written since the last sync of a file is, at a power cut, kept, lost or torn at a multiple of 512 bytes,
//! write by write; unsynced deletions and cuts of a file likewise. What was synced stays.

use crate::files::{FileStats, VfsFiles};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;

#[derive(Clone, Debug)]
enum Pending {
    Write(u64, Vec<u8>),
    Truncate(u64),
    Delete,
}

#[derive(Default)]
struct Inner {
    current: BTreeMap<String, Vec<u8>>,
    durable: BTreeMap<String, Vec<u8>>,
    pending: Vec<(String, Pending)>,
    operations: u64,
    cut_at: Option<u64>,
    fail_at: Option<(u64, io::ErrorKind)>,
    stats: FileStats,
}

/// See the module.
#[derive(Default)]
pub(crate) struct MemoryFiles(Mutex<Inner>);

fn apply(files: &mut BTreeMap<String, Vec<u8>>, name: &str, change: &Pending) {
    match change {
        Pending::Write(offset, data) => {
            let file = files.entry(name.to_owned()).or_default();
            let end = *offset as usize + data.len();
            file.resize(file.len().max(end), 0);
            file[*offset as usize..end].copy_from_slice(data);
        }
        Pending::Truncate(size) => files.entry(name.to_owned()).or_default().resize(*size as usize, 0),
        Pending::Delete => {
            files.remove(name);
        }
    }
}

impl MemoryFiles {
    /// The power goes at the `operation`th changing call from now.
    pub(crate) fn cut_after(&self, operation: u64) {
        let mut inner = self.0.lock();
        inner.cut_at = Some(inner.operations + operation);
    }

    /// The `operation`th changing call from now fails, once.
    pub(crate) fn fail_after(&self, operation: u64, kind: io::ErrorKind) {
        let mut inner = self.0.lock();
        inner.fail_at = Some((inner.operations + operation, kind));
    }

    /// What a machine finds that starts after the power cut.
    pub(crate) fn after_cut(&self, mut random: impl FnMut() -> u64) -> MemoryFiles {
        let inner = self.0.lock();
        let mut files = inner.durable.clone();
        for (name, change) in &inner.pending {
            match (random() % 3, change) {
                (0, _) => {}
                (1, Pending::Write(offset, data)) => {
                    let torn = (random() as usize % (data.len() / 512 + 1)) * 512;
                    apply(&mut files, name, &Pending::Write(*offset, data[..torn].to_vec()));
                }
                _ => apply(&mut files, name, change),
            }
        }
        MemoryFiles::holding(files)
    }

    /// Files with these contents, all durable.
    pub(crate) fn holding(files: BTreeMap<String, Vec<u8>>) -> MemoryFiles {
        MemoryFiles(Mutex::new(Inner { current: files.clone(), durable: files, ..Inner::default() }))
    }

    /// Everything as it is now.
    pub(crate) fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        self.0.lock().current.clone()
    }

    fn change(&self, name: &str, change: Pending) -> io::Result<()> {
        let mut inner = self.0.lock();
        inner.step()?;
        apply(&mut inner.current, name, &change);
        inner.pending.push((name.to_owned(), change));
        Ok(())
    }
}

impl Inner {
    fn step(&mut self) -> io::Result<()> {
        self.operations += 1;
        if self.cut_at.is_some_and(|at| self.operations >= at) {
            return Err(io::Error::other("no power"));
        }
        match self.fail_at {
            Some((at, kind)) if self.operations >= at => {
                self.fail_at = None;
                Err(kind.into())
            }
            _ => Ok(()),
        }
    }

    fn settle(&mut self, name: &str) {
        for (of, change) in std::mem::take(&mut self.pending) {
            if of == name {
                apply(&mut self.durable, &of, &change);
            } else {
                self.pending.push((of, change));
            }
        }
    }
}

impl VfsFiles for MemoryFiles {
    fn read(&self, name: &str, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let inner = self.0.lock();
        let file = inner.current.get(name).ok_or(io::ErrorKind::NotFound)?;
        let rest = file.get(offset as usize..).unwrap_or(&[]);
        let n = rest.len().min(out.len());
        out[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn write(&self, name: &str, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(name, Pending::Write(offset, data.to_vec()))?;
        let stats = &mut self.0.lock().stats;
        stats.written_bytes += data.len() as u64;
        stats.writes += 1;
        Ok(())
    }

    fn truncate(&self, name: &str, size: u64) -> io::Result<()> {
        self.change(name, Pending::Truncate(size))
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        let mut inner = self.0.lock();
        inner.step()?;
        inner.stats.syncs += 1;
        inner.settle(name);
        Ok(())
    }

    fn size(&self, name: &str) -> io::Result<u64> {
        let inner = self.0.lock();
        inner.current.get(name).map(|file| file.len() as u64).ok_or(io::ErrorKind::NotFound.into())
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        Ok(self.0.lock().current.contains_key(name))
    }

    fn delete(&self, name: &str, sync_directory: bool) -> io::Result<()> {
        if !self.exists(name)? {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.change(name, Pending::Delete)?;
        if sync_directory {
            self.0.lock().settle(name);
        }
        Ok(())
    }

    fn stats(&self) -> FileStats {
        self.0.lock().stats
    }
}
