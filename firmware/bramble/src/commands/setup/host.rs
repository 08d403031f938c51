//! The machine that is set up: a root directory, and the few programs that may be asked on a running one.

use anyhow::Context;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown, lchown};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Who Bramble runs as.
pub(super) const USER: &str = "bramble";

/// Who a file belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum Owner {
    /// root, group root.
    Root,
    /// root, group bramble: what Bramble reads and must not change.
    RootForBramble,
    /// bramble, group bramble.
    Bramble,
}

/// Asks a program of the host; its words when it fails.
type Runner = Box<dyn Fn(&[&str]) -> anyhow::Result<()>>;

/// A machine, or the root of one that does not run.
pub(super) struct Host {
    root: PathBuf,
    /// Whether users are made by the host's own programs, and units are started.
    pub(super) live: bool,
    /// Whether owners can be changed: as root.
    privileged: bool,
    /// The program that is put in place: this one.
    program: PathBuf,
    runner: Runner,
}

impl Host {
    /// The machine below `root`; programs are run only for `/`, where systemd runs.
    pub(super) fn new(root: &Path) -> Host {
        let live = root == Path::new("/");
        Host::with(root, live, std::env::current_exe().unwrap_or_default(), Box::new(run))
    }

    /// With another program, and another way to run those of the host, for tests.
    pub(super) fn with(root: &Path, live: bool, program: PathBuf, runner: Runner) -> Host {
        let privileged = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        Host { root: root.to_owned(), live, privileged, program, runner }
    }

    /// The bytes of the program that is put in place.
    pub(super) fn program(&self) -> anyhow::Result<Vec<u8>> {
        fs::read(&self.program).with_context(|| format!("cannot read this program, {:?}", self.program))
    }

    pub(super) fn is_privileged(&self) -> bool {
        self.privileged
    }

    /// Whether systemd runs here, so that units can be started.
    pub(super) fn has_systemd(&self) -> bool {
        self.live && self.at("/run/systemd/system").is_dir()
    }

    /// Where an absolute path lies.
    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    pub(super) fn run(&self, words: &[&str]) -> anyhow::Result<()> {
        (self.runner)(words)
    }

    /// The text of a file; `None` when there is none.
    pub(super) fn read(&self, path: &str) -> anyhow::Result<Option<String>> {
        match fs::read_to_string(self.at(path)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {path}")),
        }
    }

    /// Writes a file whole or not at all, with its parents, mode and owner.
    pub(super) fn write(&self, path: &str, bytes: &[u8], mode: u32, owner: Owner) -> anyhow::Result<()> {
        let give = |file: &Path| self.own(file, owner);
        self.replace(path, bytes, mode, &give).with_context(|| format!("cannot write {path}"))
    }

    /// Writes a file of the host's own, which keeps its mode and owner: `/etc/shadow` has others everywhere.
    pub(super) fn rewrite(&self, path: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let found = fs::metadata(self.at(path)).ok();
        let mode = found.as_ref().map_or(0o644, |found| found.mode() & 0o7777);
        let give = |file: &Path| match &found {
            Some(found) if self.privileged => Ok(chown(file, Some(found.uid()), Some(found.gid()))?),
            _ => Ok(()),
        };
        self.replace(path, bytes, mode, &give).with_context(|| format!("cannot write {path}"))
    }

    fn replace(
        &self,
        path: &str,
        bytes: &[u8],
        mode: u32,
        give: &dyn Fn(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let place = self.at(path);
        let parent = place.parent().context("no directory")?;
        fs::create_dir_all(parent)?;
        let temporary = temporary(&place);
        let _ = fs::remove_file(&temporary);
        // Nobody else's until it has its owner.
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode & 0o700).open(&temporary)?;
        file.write_all(bytes)?;
        give(&temporary)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.sync_all()?;
        if let Err(error) = fs::rename(&temporary, &place) {
            fs::remove_file(&temporary)?;
            // A file that is mounted, as /etc/hosts is in containers, cannot be replaced.
            if error.kind() != std::io::ErrorKind::ResourceBusy {
                return Err(error.into());
            }
            fs::write(&place, bytes)?;
        }
        Ok(fs::File::open(parent)?.sync_all()?)
    }

    /// Removes a file, and what an interrupted write left of it; one that is not there is no error.
    pub(super) fn remove(&self, path: &str) -> anyhow::Result<()> {
        let place = self.at(path);
        let _ = fs::remove_file(temporary(&place));
        match fs::remove_file(&place) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {path}"))
            }
            _ => Ok(()),
        }
    }

    /// Removes a directory if nothing is in it.
    pub(super) fn remove_if_empty(&self, path: &str) {
        let _ = fs::remove_dir(self.at(path));
    }

    /// User and group of `owner` by number, as this root knows them; `None` while there is no such user.
    fn ids(&self, owner: Owner) -> anyhow::Result<Option<(u32, u32)>> {
        let number = |file, field| -> anyhow::Result<Option<u32>> {
            let text = self.read(file)?.unwrap_or_default();
            let line = text.lines().find(|line| line.split(':').next() == Some(USER));
            Ok(line.and_then(|line| line.split(':').nth(field)).and_then(|id| id.parse().ok()))
        };
        Ok(match owner {
            Owner::Root => Some((0, 0)),
            Owner::RootForBramble => number("/etc/group", 2)?.map(|group| (0, group)),
            Owner::Bramble => number("/etc/passwd", 2)?.zip(number("/etc/group", 2)?),
        })
    }

    /// Whether a path has this owner and mode. Where owners cannot be changed they are not looked at.
    pub(super) fn is(&self, path: &str, mode: u32, owner: Owner) -> anyhow::Result<bool> {
        let Ok(found) = fs::symlink_metadata(self.at(path)) else { return Ok(false) };
        let owned = !self.privileged || self.ids(owner)? == Some((found.uid(), found.gid()));
        Ok(owned && found.mode() & 0o7777 == mode)
    }

    /// Gives a file away.
    pub(super) fn own(&self, place: &Path, owner: Owner) -> anyhow::Result<()> {
        if !self.privileged {
            return Ok(());
        }
        let (user, group) = self.ids(owner)?.with_context(|| format!("there is no user {USER} yet"))?;
        chown(place, Some(user), Some(group)).with_context(|| format!("cannot give {} away", place.display()))
    }

    /// Gives a directory and everything below it away; links are not followed.
    pub(super) fn own_tree(&self, path: &str, owner: Owner) -> anyhow::Result<()> {
        if !self.privileged {
            return Ok(());
        }
        let (user, group) = self.ids(owner)?.with_context(|| format!("there is no user {USER} yet"))?;
        let mut places = vec![self.at(path)];
        while let Some(place) = places.pop() {
            let is_directory = fs::symlink_metadata(&place)?.is_dir();
            lchown(&place, Some(user), Some(group)).with_context(|| format!("cannot give {} away", place.display()))?;
            if is_directory {
                places.extend(fs::read_dir(&place)?.flatten().map(|entry| entry.path()));
            }
        }
        Ok(())
    }
}

/// Beside the file that it becomes; always the same, so that a second try replaces what the first one left.
fn temporary(place: &Path) -> PathBuf {
    let mut name = place.file_name().unwrap_or_default().to_owned();
    name.push(".bramble-new");
    place.with_file_name(name)
}

fn run(words: &[&str]) -> anyhow::Result<()> {
    let (program, arguments) = words.split_first().context("no program")?;
    let output = Command::new(program).args(arguments).output().with_context(|| format!("cannot run {program}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{}: {}", words.join(" "), said.trim());
    Ok(())
}
