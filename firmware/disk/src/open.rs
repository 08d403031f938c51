//! Opening a data directory: is it ours, is it free, can we write, and with what.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::FlockOperation;

use crate::disk::Disk;
use crate::error::DiskError;
use crate::threads::ThreadsDisk;
use crate::uring::UringDisk;

/// Version of the data directory as a whole, in its file `FORMAT`. Files have versions of their own; this one
/// changes when an older Bramble must not touch the directory at all.
pub const DATA_VERSION: u32 = 1;

/// The oldest version that this Bramble reads. What is older is refused, what is between stays as it is until
/// [`stamp_data_version`]: until then an older Bramble, fallen back to, finds what it knows.
pub const DATA_READS_FROM: u32 = 1;

const FORMAT_FILE: &str = "FORMAT";
const FORMAT_PREFIX: &str = "bramble data ";
const LOCK_FILE: &str = "LOCK";

/// Which implementation to use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DiskChoice {
    /// io_uring where it works, else threads.
    #[default]
    Auto,
    /// io_uring or nothing.
    IoUring,
    /// Threads.
    Threads,
}

/// Opens `data_dir` (made when missing), locks it for this process until the disk is dropped, checks its version, and
/// removes what unfinished segments left in `tmp/`. Returns the disk and why it is the implementation it is.
///
/// # Errors
/// [`InUse`](DiskError::InUse); [`Unusable`](DiskError::Unusable) (not writable, not ours, or io_uring demanded and not to be
/// had), with what to do; [`NewerVersion`](DiskError::NewerVersion).
pub fn open_disk(data_dir: &Path, choice: DiskChoice) -> Result<(Arc<dyn Disk>, String), DiskError> {
    let mut threads = ThreadsDisk::new(data_dir)?;
    threads.hold(lock(data_dir)?);
    check_format(data_dir)?;
    remove_temporary(&threads)?;
    match choice {
        DiskChoice::Threads => Ok((Arc::new(threads), "threads, as configured".into())),
        DiskChoice::Auto | DiskChoice::IoUring => match UringDisk::new(threads) {
            Ok(disk) => Ok((Arc::new(disk), "io_uring, its probe works".into())),
            Err((why, threads)) if choice == DiskChoice::Auto => {
                Ok((Arc::new(*threads), format!("threads, because io_uring does not work here ({why})")))
            }
            Err((why, _)) => {
                Err(unusable(data_dir, format!("io_uring does not work here ({why}); hint: set the disk to auto")))
            }
        },
    }
}

/// Removes everything below `tmp/`: leftovers of segments and extents that were never published. Only before anything
/// writes.
///
/// # Errors
/// When the directory cannot be read or a file not be removed.
pub fn remove_temporary(disk: &dyn Disk) -> Result<(), DiskError> {
    disk.list("tmp")?.iter().try_for_each(|entry| disk.remove(&entry.name))
}

fn unusable(data_dir: &Path, why: String) -> DiskError {
    DiskError::Unusable { directory: data_dir.display().to_string(), why }
}

fn explain(data_dir: &Path, doing: &str, error: &io::Error) -> DiskError {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => "; hint: give it to the user that runs Bramble, or choose another",
        io::ErrorKind::ReadOnlyFilesystem => "; hint: the card may have failed; mount it writable or choose another",
        io::ErrorKind::StorageFull => "; hint: free some space on it",
        _ => "",
    };
    unusable(data_dir, format!("cannot {doing}: {error}{hint}"))
}

/// The lock lives as long as the returned file; the system releases it also when the process is killed.
fn lock(data_dir: &Path) -> Result<File, DiskError> {
    let path = data_dir.join(LOCK_FILE);
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let mut file = opened.map_err(|error| explain(data_dir, "write there", &error))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut pid = String::new();
            _ = file.take(20).read_to_string(&mut pid);
            let owner = pid.trim().parse::<u32>().map_or("another process".into(), |pid| format!("pid {pid}"));
            return Err(DiskError::InUse { directory: data_dir.display().to_string(), owner });
        }
        Err(error) => return Err(explain(data_dir, "lock it", &error.into())),
    }
    // Only a courtesy to whoever finds the directory in use; on a full card it may be missing.
    let pid = std::process::id().to_string();
    _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(pid.as_bytes()));
    Ok(file)
}

fn check_format(data_dir: &Path) -> Result<(), DiskError> {
    let path = data_dir.join(FORMAT_FILE);
    let text = match fs::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return write_format(data_dir),
        Err(error) => return Err(explain(data_dir, "read its FORMAT file", &error)),
    };
    match version_of(&text) {
        Some(found) if found < DATA_READS_FROM => {
            let why = format!(
                "its data is of format {found}, and this Bramble reads {DATA_READS_FROM} to {DATA_VERSION}; hint: start a \
                 release between the two once"
            );
            Err(unusable(data_dir, why))
        }
        Some(found) if found > DATA_VERSION => {
            let name = path.display().to_string();
            Err(DiskError::NewerVersion { name, found, supported: DATA_VERSION })
        }
        Some(_) => Ok(()),
        None => {
            let why = "its FORMAT file is not Bramble's; hint: choose an empty directory, or, if the file is damaged, \
                       write 'bramble data 1' into it";
            Err(unusable(data_dir, why.into()))
        }
    }
}

fn version_of(text: &str) -> Option<u32> {
    text.trim().strip_prefix(FORMAT_PREFIX)?.parse().ok()
}

/// The version of what a data directory holds; `None` when there is none, or it does not say.
pub fn data_version(data_dir: &Path) -> Option<u32> {
    version_of(&fs::read_to_string(data_dir.join(FORMAT_FILE)).ok()?)
}

/// Says that the directory is of our version from now on, where it was older: an older Bramble is no longer to open it.
/// Returns whether anything changed.
///
/// # Errors
/// [`Unusable`](DiskError::Unusable): it cannot be written.
pub fn stamp_data_version(data_dir: &Path) -> Result<bool, DiskError> {
    match data_version(data_dir) {
        Some(version) if version < DATA_VERSION => write_format(data_dir).map(|()| true),
        _ => Ok(false),
    }
}

/// Whole or not at all, and durable: everything else in the directory depends on it.
fn write_format(data_dir: &Path) -> Result<(), DiskError> {
    let write = || -> io::Result<()> {
        let temporary = data_dir.join("FORMAT.new");
        let mut file = File::create(&temporary)?;
        writeln!(file, "{FORMAT_PREFIX}{DATA_VERSION}")?;
        file.sync_all()?;
        fs::rename(temporary, data_dir.join(FORMAT_FILE))?;
        File::open(data_dir)?.sync_all()
    };
    write().map_err(|error| explain(data_dir, "write there", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_owner_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/data");
        let (disk, why) = open_disk(&path, DiskChoice::Threads).unwrap();
        assert_eq!(why, "threads, as configured");
        let second = open_disk(&path, DiskChoice::Auto).err().unwrap();
        let pid = std::process::id();
        assert!(matches!(&second, DiskError::InUse { owner, .. } if *owner == format!("pid {pid}")), "{second}");
        drop(disk);
        let (disk, why) = open_disk(&path, DiskChoice::Auto).unwrap();
        println!("auto chose {} ({why})", disk.kind());
        assert_eq!(fs::read_to_string(path.join("FORMAT")).unwrap(), "bramble data 1\n");
    }

    #[test]
    fn newer_and_foreign_directories_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("FORMAT"), "bramble data 2\n").unwrap();
        let error = open_disk(directory.path(), DiskChoice::Auto).err().unwrap();
        assert!(matches!(error, DiskError::NewerVersion { found: 2, supported: 1, .. }), "{error}");
        fs::write(directory.path().join("FORMAT"), "something else").unwrap();
        let error = open_disk(directory.path(), DiskChoice::Auto).err().unwrap();
        assert!(error.to_string().contains("not Bramble's"), "{error}");
    }

    #[test]
    fn older_data_is_refused_or_stamped() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!((data_version(directory.path()), stamp_data_version(directory.path()).unwrap()), (None, false));
        fs::write(directory.path().join("FORMAT"), "bramble data 0\n").unwrap();
        let error = open_disk(directory.path(), DiskChoice::Auto).err().unwrap();
        assert!(error.to_string().contains("of format 0"), "{error}");
        assert!(stamp_data_version(directory.path()).unwrap());
        assert_eq!(data_version(directory.path()), Some(DATA_VERSION));
        assert!(!stamp_data_version(directory.path()).unwrap());
    }

    #[test]
    fn a_file_in_the_way_is_explained() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("file"), "").unwrap();
        let error = open_disk(&directory.path().join("file"), DiskChoice::Auto).err().unwrap();
        assert!(matches!(error, DiskError::Unusable { .. }), "{error}");
    }

    #[test]
    fn leftovers_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("tmp")).unwrap();
        fs::write(directory.path().join("tmp/half"), "x").unwrap();
        let (disk, _) = open_disk(directory.path(), DiskChoice::Auto).unwrap();
        assert_eq!(disk.list("tmp").unwrap(), []);
    }
}
