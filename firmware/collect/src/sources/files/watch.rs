//! What the kernel tells of changes (inotify), as a hint when to look: nothing is lost when it tells nothing.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use std::collections::{HashMap, HashSet};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Directories watched at most; the kernel's own bound (`fs.inotify.max_user_watches`) may be lower.
const DIRECTORIES_MAX: usize = 2048;

/// What changed.
#[derive(Default)]
pub(super) struct Changes {
    /// Files that were written.
    pub(super) written: HashSet<PathBuf>,
    /// Names came or went: worth a scan.
    pub(super) names: bool,
    /// The kernel lost count: everything may have changed.
    pub(super) everything: bool,
}

/// Watches directories. Without inotify it only sleeps.
pub(super) struct Watch {
    inotify: Option<OwnedFd>,
    /// Wakes the thread from others.
    wake: OwnedFd,
    directories: HashMap<PathBuf, i32>,
    by_number: HashMap<i32, PathBuf>,
}

impl Watch {
    /// `wake` is an event counter that does not block.
    pub(super) fn new(wake: OwnedFd) -> Watch {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok();
        Watch { inotify, wake, directories: HashMap::new(), by_number: HashMap::new() }
    }

    /// Whether changes in a directory are told.
    pub(super) fn watches(&self, directory: &Path) -> bool {
        self.directories.contains_key(directory)
    }

    /// Watches these directories and no others.
    pub(super) fn set(&mut self, wanted: &HashSet<PathBuf>) {
        let Some(inotify) = &self.inotify else { return };
        let by_number = &mut self.by_number;
        self.directories.retain(|directory, number| {
            let keep = wanted.contains(directory);
            if !keep {
                by_number.remove(number);
                _ = inotify::remove_watch(inotify, *number);
            }
            keep
        });
        let flags = WatchFlags::MODIFY
            | WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVED_FROM
            | WatchFlags::DELETE
            | WatchFlags::ONLYDIR;
        for directory in wanted {
            if self.directories.len() >= DIRECTORIES_MAX {
                break;
            }
            if !self.directories.contains_key(directory)
                && let Ok(number) = inotify::add_watch(inotify, directory, flags)
            {
                self.directories.insert(directory.clone(), number);
                self.by_number.insert(number, directory.clone());
            }
        }
    }

    /// Sleeps until something is told, at most so long, and tells it.
    pub(super) fn wait(&mut self, at_most: Duration) -> Changes {
        let timeout = rustix::event::Timespec::try_from(at_most).ok();
        let mut fds = vec![PollFd::new(&self.wake, PollFlags::IN)];
        if let Some(inotify) = &self.inotify {
            fds.push(PollFd::new(inotify, PollFlags::IN));
        }
        if poll(&mut fds, timeout.as_ref()).is_err() {
            // Interrupted: there is a look at everything all the same.
        }
        _ = rustix::io::read(&self.wake, &mut [0; 8]);
        self.drain()
    }

    fn drain(&mut self) -> Changes {
        let mut changes = Changes::default();
        let Some(inotify) = &self.inotify else { return changes };
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(inotify.as_fd(), &mut buffer);
        let mut ended = Vec::new();
        while let Ok(event) = reader.next() {
            let flags = event.events();
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                changes.everything = true;
                continue;
            }
            if flags.contains(ReadFlags::IGNORED) {
                // The directory is gone.
                ended.push(event.wd());
                changes.names = true;
                continue;
            }
            if !flags.contains(ReadFlags::MODIFY) {
                changes.names = true;
                continue;
            }
            let name = event.file_name().map(|name| std::ffi::OsStr::from_bytes(name.to_bytes()));
            if let (Some(directory), Some(name)) = (self.by_number.get(&event.wd()), name) {
                changes.written.insert(directory.join(name));
            }
        }
        for number in ended {
            if let Some(directory) = self.by_number.remove(&number) {
                self.directories.remove(&directory);
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told() {
        let root = tempfile::tempdir().unwrap();
        let wake = rustix::event::eventfd(0, rustix::event::EventfdFlags::NONBLOCK).unwrap();
        let mut watch = Watch::new(wake.try_clone().unwrap());
        watch.set(&HashSet::from([root.path().to_owned()]));
        assert!(watch.watches(root.path()));
        std::fs::write(root.path().join("a.log"), "x").unwrap();
        let changes = watch.wait(Duration::from_secs(10));
        assert!(changes.names && !changes.everything);
        assert_eq!(changes.written, HashSet::from([root.path().join("a.log")]));
        rustix::io::write(&wake, &1u64.to_ne_bytes()).unwrap();
        let changes = watch.wait(Duration::from_secs(10));
        assert!(!changes.names && changes.written.is_empty());
        watch.set(&HashSet::new());
        assert!(!watch.watches(root.path()));
    }
}
