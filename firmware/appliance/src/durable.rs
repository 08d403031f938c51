//! Files that are there whole or as they were.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Writes a file: a power cut leaves the old one or the new one. Makes its directories; `mode` is the file's.
///
/// # Errors
/// The system's, naming the file.
pub fn write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    replace(path, content, mode).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// A name without a directory is in the one that we are in.
fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let directory = directory_of(path);
    fs::create_dir_all(directory)?;
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(".new");
    let temporary = directory.join(name);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
    // A leftover has the mode that it was made with.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(directory)?.sync_all()
}

/// As [`write`], but nothing is written when the file has that content already; whether it was.
///
/// # Errors
/// As [`write`].
pub fn update(path: &Path, content: &[u8], mode: u32) -> io::Result<bool> {
    let same = fs::read(path).is_ok_and(|now| now == content)
        && fs::metadata(path).is_ok_and(|now| now.permissions().mode() & 0o777 == mode);
    if same {
        return Ok(false);
    }
    write(path, content, mode).map(|()| true)
}

/// Removes a file durably; whether it was there.
///
/// # Errors
/// The system's.
pub fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
        Ok(()) => {
            File::open(directory_of(path))?.sync_all()?;
            Ok(true)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_in_this_directory() {
        assert_eq!(directory_of(Path::new("k.pem")), Path::new("."));
        assert_eq!(directory_of(Path::new("/a/k.pem")), Path::new("/a"));
    }

    #[test]
    fn a_file_is_written_when_it_differs() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/file");
        assert!(update(&path, b"one", 0o600).unwrap());
        assert!(!update(&path, b"one", 0o600).unwrap());
        assert!(update(&path, b"one", 0o644).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert!(update(&path, b"two", 0o644).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
        assert!(remove(&path).unwrap() && !remove(&path).unwrap());
    }
}
