//! The files of a slot's directory on the boot partition, out of a tar.

use super::{UpdateError, read_some};
use crate::bundle::{BundleError, PayloadReader};
use crate::medium::Medium;
use crate::slot::Slot;
use sha2::{Digest, Sha256};
use std::io::{self, Read};
use std::path::{Component, Path};

/// Files that a slot may have: a kernel, an initrd, a few dozen device trees and some hundred overlays.
const FILES_MAX: usize = 2000;

/// Longest name, bytes.
const NAME_BYTES_MAX: usize = 200;

/// Longest command line of a kernel, bytes: more than any takes.
const COMMAND_LINE_BYTES_MAX: u64 = 4096;

/// A file that was written.
pub(super) struct BootFile {
    name: String,
    pub(super) bytes: u64,
    digest: [u8; 32],
}

struct Hashing<'a>(&'a mut dyn Read, Sha256);

impl Read for Hashing<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(into)?;
        self.1.update(into.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// Name below the slot's directory; `None` for what leaves it or hides.
fn plain_name(slot: Slot, path: &Path) -> Option<String> {
    let mut name = slot.name().to_owned();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::Normal(part) => {
                let part =
                    part.to_str().filter(|part| !part.contains(['\\', ':']) && !part.contains(char::is_control))?;
                name.push('/');
                name.push_str(part);
            }
            _ => return None,
        }
    }
    (name.len() > 2 && name.len() <= NAME_BYTES_MAX).then_some(name)
}

/// Writes what the tar has; returns what to read back.
pub(super) fn write(
    medium: &mut dyn Medium,
    slot: Slot,
    reader: &mut PayloadReader<'_>,
) -> Result<Vec<BootFile>, UpdateError> {
    let mut files = Vec::new();
    let mut archive = tar::Archive::new(reader);
    for entry in archive.entries().map_err(BundleError::from)? {
        let mut entry = entry.map_err(BundleError::from)?;
        let path = entry.path().map_err(BundleError::from)?.into_owned();
        let shown = || path.to_string_lossy().chars().take(NAME_BYTES_MAX).collect::<String>();
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            continue;
        }
        let name = plain_name(slot, &path).filter(|_| kind.is_file() && files.len() < FILES_MAX);
        let Some(name) = name else { return Err(UpdateError::BootFile(shown())) };
        if matches!(name.get(2..), Some("ready" | "release.json")) {
            continue;
        }
        let command_line;
        let content: &mut dyn Read = match name.get(2..) {
            Some("cmdline.txt") => {
                command_line = with_slot(read_command_line(&mut entry)?, slot);
                &mut command_line.as_slice()
            }
            _ => &mut entry,
        };
        let mut hashing = Hashing(content, Sha256::new());
        let bytes = medium.write(&name, &mut hashing)?;
        files.push(BootFile { name, bytes, digest: hashing.1.finalize().into() });
    }
    match files.is_empty() {
        true => Err(BundleError::Damaged("its boot payload has no files".to_owned()).into()),
        false => Ok(files),
    }
}

fn read_command_line(entry: &mut dyn Read) -> Result<Vec<u8>, UpdateError> {
    let mut bytes = Vec::new();
    entry.take(COMMAND_LINE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(BundleError::from)?;
    match bytes.len() as u64 > COMMAND_LINE_BYTES_MAX {
        true => Err(BundleError::Damaged("its cmdline.txt has more than 4 KiB".to_owned()).into()),
        false => Ok(bytes),
    }
}

/// The kernel's command line as the slot needs it: a bundle is made for either, and says one of them.
fn with_slot(mut line: Vec<u8>, slot: Slot) -> Vec<u8> {
    const NAME: &[u8] = b"bramble.slot=";
    let starts = line.windows(NAME.len()).enumerate().filter(|(_, part)| *part == NAME).map(|(at, _)| at);
    for start in starts.collect::<Vec<_>>() {
        let begins_a_word = start.checked_sub(1).and_then(|at| line.get(at)).is_none_or(u8::is_ascii_whitespace);
        if let Some(letter) = line.get_mut(start + NAME.len()).filter(|letter| begins_a_word && b"AB".contains(letter))
            && let Some(name) = slot.name().bytes().next()
        {
            *letter = name;
        }
    }
    line
}

pub(super) fn read_back(medium: &mut dyn Medium, file: &BootFile, piece: &mut [u8]) -> Result<(), UpdateError> {
    let (mut content, mut digest) = (medium.open(&file.name)?, Sha256::new());
    loop {
        let count = read_some(content.as_mut(), piece)?;
        if count == 0 {
            break;
        }
        digest.update(piece.get(..count).unwrap_or_default());
    }
    match <[u8; 32]>::from(digest.finalize()) == file.digest {
        true => Ok(()),
        false => Err(UpdateError::ReadBack(file.name.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_names_the_slot() {
        let line = |text: &str, slot| String::from_utf8(with_slot(text.as_bytes().to_vec(), slot)).unwrap();
        assert_eq!(line("quiet bramble.slot=A ro\n", Slot::B), "quiet bramble.slot=B ro\n");
        assert_eq!(line("bramble.slot=B", Slot::A), "bramble.slot=A");
        for kept in ["xbramble.slot=A", "bramble.slot=", "", "bramble.slot=C"] {
            assert_eq!(line(kept, Slot::B), kept);
        }
    }

    #[test]
    fn names_stay_below_the_slot() {
        let name = |path: &str| plain_name(Slot::B, Path::new(path));
        assert_eq!(name("./overlays/a.dtbo").as_deref(), Some("B/overlays/a.dtbo"));
        for bad in ["../config.txt", "/etc/passwd", "", ".", "a/../../b", "a\\b", "c:d", "a\nb"] {
            assert_eq!(name(bad), None, "{bad}");
        }
    }
}
