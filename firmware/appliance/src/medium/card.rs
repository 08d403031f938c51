//! The real one: files of the mounted boot partition, and block devices (or files in their place).

use super::Medium;
use crate::layout::Layout;
use crate::slot::Slot;
use rustix::fs::{Advice, FlockOperation};
use rustix::mount::{MountFlags, mount_remount};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Files of a slot's directory: a damaged one must not keep us walking.
const SLOT_FILES_MAX: usize = 10_000;

/// The card that the appliance runs from. The boot partition is writable as long as this exists.
#[derive(Debug)]
pub struct Card {
    layout: Layout,
    boot: PathBuf,
    remounted: bool,
    /// Held as long as anything may be changed.
    _lock: Option<File>,
    /// Of the root that is written, so that it is not opened per piece.
    open: Option<(Slot, File)>,
}

impl Card {
    /// Makes the boot partition writable, if it is one of its own; a directory is used as it is.
    ///
    /// # Errors
    /// That it is not there, cannot be made writable (we are not root, or the card is failing), or that another process
    /// changes it: [`ResourceBusy`](io::ErrorKind::ResourceBusy).
    pub fn open(layout: &Layout) -> io::Result<Card> {
        let boot = layout.boot();
        let lock = lock(&boot).map_err(|error| about(&boot, &error))?;
        let remounted = is_mount_point(&boot)?;
        if remounted {
            remount(&boot, false)?;
        }
        Ok(Card { layout: layout.clone(), boot, remounted, _lock: Some(lock), open: None })
    }

    /// Whether somebody changes it just now.
    pub fn is_busy(layout: &Layout) -> bool {
        lock(&layout.boot()).is_err_and(|error| error.kind() == io::ErrorKind::ResourceBusy)
    }

    /// To look only: nothing is made writable.
    pub fn read_only(layout: &Layout) -> Card {
        Card { layout: layout.clone(), boot: layout.boot(), remounted: false, _lock: None, open: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.boot.join(name)
    }

    fn root(&mut self, slot: Slot) -> io::Result<&File> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != slot) {
            let path = self.layout.root_device(slot);
            let file = OpenOptions::new().read(true).write(true).open(&path);
            self.open = Some((slot, file.map_err(|error| about(&path, &error))?));
        }
        self.open.as_ref().map(|(_, file)| file).ok_or_else(|| io::Error::other("no root is open"))
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        if self.remounted {
            // A file that somebody else has open for writing keeps it writable: harmless, and the next one tries again.
            _ = remount(&self.boot, true);
        }
    }
}

fn about(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn lock(boot: &Path) -> io::Result<File> {
    let directory = File::open(boot)?;
    match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(directory),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(io::Error::new(io::ErrorKind::ResourceBusy, "an update is being installed, or a slot committed"))
        }
        Err(error) => Err(error.into()),
    }
}

fn remount(boot: &Path, read_only: bool) -> io::Result<()> {
    let kept = MountFlags::NOATIME | MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC;
    let flags = if read_only { kept | MountFlags::RDONLY } else { kept };
    mount_remount(boot, flags, c"").map_err(|error| about(boot, &error.into()))
}

fn is_mount_point(path: &Path) -> io::Result<bool> {
    let table = fs::read("/proc/self/mountinfo")?;
    let path = fs::canonicalize(path)?;
    // Fifth field; spaces are escaped, and our path has none.
    Ok(String::from_utf8_lossy(&table)
        .lines()
        .any(|line| line.split(' ').nth(4).is_some_and(|at| Path::new(at) == path)))
}

/// Syncs, and lets the next reader read what the card has.
fn settle(file: &File) -> io::Result<()> {
    file.sync_all()?;
    Ok(rustix::fs::fadvise(file, 0, None, Advice::DontNeed)?)
}

/// Calls `each` for every file below `directory`.
fn walk(directory: &Path, each: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    let mut waiting = vec![directory.to_owned()];
    let mut seen = 0;
    while let Some(directory) = waiting.pop() {
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        for entry in entries {
            let entry = entry?;
            seen += 1;
            if seen > SLOT_FILES_MAX {
                return Err(io::Error::other(format!("more than {SLOT_FILES_MAX} files in a slot's directory")));
            }
            match entry.file_type()?.is_dir() {
                true => waiting.push(entry.path()),
                false => each(&entry.path())?,
            }
        }
    }
    Ok(())
}

impl Medium for Card {
    fn open(&mut self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(File::open(self.path(name))?))
    }

    fn overwrite(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.path(name))?;
        if file.metadata()?.len() < at.saturating_add(bytes.len() as u64) {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{name} is too short")));
        }
        file.write_all_at(bytes, at)?;
        file.sync_all()
    }

    fn write(&mut self, name: &str, content: &mut dyn Read) -> io::Result<u64> {
        let path = self.path(name);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        io::copy(content, &mut File::create(path)?)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn clear(&mut self, slot: Slot) -> io::Result<()> {
        let directory = self.path(slot.name());
        match fs::remove_dir_all(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
        fs::create_dir_all(directory)
    }

    fn sync_files(&mut self) -> io::Result<()> {
        rustix::fs::syncfs(File::open(&self.boot)?)?;
        for slot in Slot::ALL {
            walk(&self.path(slot.name()), &mut |path| {
                Ok(rustix::fs::fadvise(File::open(path)?, 0, None, Advice::DontNeed)?)
            })?;
        }
        Ok(())
    }

    fn free_bytes(&mut self) -> io::Result<u64> {
        let space = rustix::fs::statvfs(&self.boot)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }

    fn slot_bytes(&mut self, slot: Slot) -> io::Result<u64> {
        let mut bytes = 0u64;
        walk(&self.path(slot.name()), &mut |path| {
            bytes = bytes.saturating_add(fs::metadata(path)?.len());
            Ok(())
        })?;
        Ok(bytes)
    }

    fn root_bytes(&mut self, slot: Slot) -> io::Result<u64> {
        // A block device has no length of its own, but an end.
        self.root(slot)?.seek(SeekFrom::End(0))
    }

    fn write_root(&mut self, slot: Slot, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.root(slot)?.write_all_at(bytes, at)
    }

    fn sync_root(&mut self, slot: Slot) -> io::Result<()> {
        settle(self.root(slot)?)
    }

    fn read_root(&mut self, slot: Slot, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.root(slot)?.read_exact_at(into, at)
    }
}
