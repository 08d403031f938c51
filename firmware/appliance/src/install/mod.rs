//! Installing a bundle into the slot that does not run, while it is read.
//!
//! Nothing is kept but buffers: a piece of the root, the decompressor's window, and the names and digests of the boot
//! files. What runs is not touched, and the other slot is known to be bad from before its first byte changes until all of
//! it was read back from the card.

mod boot_files;
#[cfg(test)]
pub(crate) mod tests;

use crate::bundle::{Architecture, BundleError, DataFormat, Keys, Kind, Manifest, PayloadReader, read_head};
use crate::medium::Medium;
use crate::release::Release;
use crate::slot::{Slot, give_up_inactive, mark_ready};
use boot_files::BootFile;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::{self, Read};
use thiserror::Error;

/// How much of a root is written at once: a whole erase block of most cards is a multiple of it.
const PIECE_BYTES: usize = 1 << 20;

/// What the boot partition must have left when everything is there, bytes.
const BOOT_SPARE_BYTES: u64 = 1 << 20;

/// What is known before a bundle comes.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Whose bundles are believed.
    pub keys: Keys,
    /// What this machine is.
    pub architecture: Architecture,
    /// The slot that runs.
    pub own: Slot,
    /// The build that runs, if it is known.
    pub running_build: Option<String>,
    /// The number of the format of what is stored; `None` when nothing is.
    pub stored_format: Option<u32>,
}

/// Where an installation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Nothing is going on.
    Idle,
    /// The head is read.
    Receiving,
    /// Payloads are written as they come.
    Writing,
    /// What was written is read back from the card.
    Verifying,
    /// Everything is there, and waits for a restart.
    Ready,
    /// It failed: the message says why. What runs goes on.
    Failed,
}

/// How far an installation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// Bytes of the bundle read, or of the slot read back.
    pub bytes_done: u64,
    /// Of how many; 0 when that is not known yet.
    pub bytes_total: u64,
}

/// Why a bundle was not installed.
#[derive(Debug, Error)]
pub enum UpdateError {
    /// It is no bundle of ours, or is damaged.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// For another machine.
    #[error("the bundle is for {bundle}, and this machine is {machine}")]
    Architecture {
        /// The bundle's.
        bundle: String,
        /// Ours.
        machine: String,
    },
    /// What runs already.
    #[error("this build runs already: {0}")]
    SameBuild(String),
    /// It could not read what is stored.
    #[error(
        "Bramble {version} reads data of format {} to {}, and what is stored here is of format {stored}: it would find \
         nothing. hint: export what you need, or take a release that reads it", format.reads_from, format.writes
    )]
    DataFormat {
        /// The bundle's release.
        version: String,
        /// What it reads.
        format: DataFormat,
        /// What is stored.
        stored: u32,
    },
    /// It does not fit.
    #[error("the bundle's {what} needs {needed} bytes, and there is room for {room}")]
    TooLarge {
        /// Which payload.
        what: &'static str,
        /// Its size.
        needed: u64,
        /// What there is.
        room: u64,
    },
    /// A tar of the boot files that holds something else than files with plain names.
    #[error("the bundle's boot files hold {0:?}, which is not a file below the slot's directory")]
    BootFile(String),
    /// What was read back is not what was written.
    #[error(
        "{0} reads back other than it was written: the card may be failing. hint: try again, then replace the card"
    )]
    ReadBack(String),
    /// The card's.
    #[error("the card: {0}")]
    Card(#[from] io::Error),
}

/// Reads `bundle` and installs it into the slot that does not run. The next restart prepared with
/// [`prepare_restart`](crate::slot::prepare_restart) tries it. `progress` is called at least once per MiB.
///
/// Blocks as long as the bundle takes to come and the card to write. Memory: some 10 MiB, most of it zstd's window.
///
/// # Errors
/// [`UpdateError`]. What runs is as it was; after an error that comes once payloads are read, the other slot is marked as
/// bad.
pub fn install(
    medium: &mut dyn Medium,
    bundle: &mut dyn Read,
    policy: &Policy,
    progress: &mut dyn FnMut(Progress),
) -> Result<Manifest, UpdateError> {
    progress(Progress { phase: Phase::Receiving, bytes_done: 0, bytes_total: 0 });
    let head = read_head(bundle, &policy.keys)?;
    let manifest = head.manifest;
    check(&manifest, policy)?;
    check_room(&manifest, medium, policy.own.other())?;
    let slot = give_up_inactive(medium, policy.own)?;
    medium.clear(slot)?;
    let total = head.bytes.saturating_add(manifest.compressed_bytes());
    let mut counted = Counted { bundle, done: head.bytes, total, told: 0, progress };
    let mut files = Vec::new();
    for payload in &manifest.payloads {
        let mut reader = PayloadReader::new(&mut counted, payload)?;
        match payload.kind {
            Kind::Root => write_root(medium, slot, &mut reader)?,
            Kind::Boot => files = boot_files::write(medium, slot, &mut reader)?,
        }
        reader.finish()?;
    }
    if read_some(counted.bundle, &mut [0]).map_err(BundleError::from)? > 0 {
        return Err(BundleError::Damaged("there is something after its end".to_owned()).into());
    }
    let release = Release { version: manifest.version.clone(), build_id: manifest.build_id.clone() };
    release.write(medium, slot)?;
    medium.sync_files()?;
    medium.sync_root(slot)?;
    read_back(medium, slot, &manifest, &files, counted.progress)?;
    mark_ready(medium, policy.own)?;
    (counted.progress)(Progress { phase: Phase::Ready, bytes_done: total, bytes_total: total });
    Ok(manifest)
}

fn check(manifest: &Manifest, policy: &Policy) -> Result<(), UpdateError> {
    if manifest.architecture != policy.architecture {
        let (bundle, machine) = (manifest.architecture.0.clone(), policy.architecture.0.clone());
        return Err(UpdateError::Architecture { bundle, machine });
    }
    if policy.running_build.as_ref() == Some(&manifest.build_id) {
        return Err(UpdateError::SameBuild(manifest.build_id.clone()));
    }
    let format = manifest.data_format;
    match policy.stored_format {
        Some(stored) if stored < format.reads_from || stored > format.writes => {
            Err(UpdateError::DataFormat { version: manifest.version.clone(), format, stored })
        }
        _ => Ok(()),
    }
}

fn check_room(manifest: &Manifest, medium: &mut dyn Medium, slot: Slot) -> Result<(), UpdateError> {
    let bytes = |kind| manifest.payload(kind).map_or(0, |payload| payload.bytes);
    let fits = |what, needed, room| match needed > room {
        true => Err(UpdateError::TooLarge { what, needed, room }),
        false => Ok(()),
    };
    fits("root", bytes(Kind::Root), medium.root_bytes(slot)?)?;
    let room = medium.free_bytes()?.saturating_add(medium.slot_bytes(slot)?);
    fits("boot files", bytes(Kind::Boot), room.saturating_sub(BOOT_SPARE_BYTES))
}

/// Tells how much of the bundle was read.
struct Counted<'a> {
    bundle: &'a mut dyn Read,
    done: u64,
    total: u64,
    told: u64,
    progress: &'a mut dyn FnMut(Progress),
}

impl Read for Counted<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.bundle.read(into)?;
        self.done = self.done.saturating_add(count as u64);
        if self.done - self.told >= PIECE_BYTES as u64 {
            self.told = self.done;
            (self.progress)(Progress { phase: Phase::Writing, bytes_done: self.done, bytes_total: self.total });
        }
        Ok(count)
    }
}

/// Reads until `into` is full or the end; how much that was.
fn read_some(from: &mut dyn Read, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn write_root(medium: &mut dyn Medium, slot: Slot, reader: &mut PayloadReader<'_>) -> Result<(), UpdateError> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut at = 0;
    loop {
        let count = read_some(reader, &mut piece).map_err(BundleError::from)?;
        if count == 0 {
            return Ok(());
        }
        medium.write_root(slot, at, piece.get(..count).unwrap_or_default())?;
        at += count as u64;
    }
}

/// Everything again, from the card.
fn read_back(
    medium: &mut dyn Medium,
    slot: Slot,
    manifest: &Manifest,
    files: &[BootFile],
    progress: &mut dyn FnMut(Progress),
) -> Result<(), UpdateError> {
    let root = manifest.payload(Kind::Root).ok_or_else(|| BundleError::Manifest("no root".to_owned()))?;
    let total = files.iter().fold(root.bytes, |sum, file| sum.saturating_add(file.bytes));
    let mut tell = |done| progress(Progress { phase: Phase::Verifying, bytes_done: done, bytes_total: total });
    let (mut piece, mut digest, mut at) = (vec![0; PIECE_BYTES], Sha256::new(), 0);
    while at < root.bytes {
        tell(at);
        let count = usize::try_from(root.bytes - at).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        let into = piece.get_mut(..count).unwrap_or_default();
        medium.read_root(slot, at, into)?;
        digest.update(into);
        at += count as u64;
    }
    if crate::bundle::hex(&digest.finalize()) != root.sha256 {
        return Err(UpdateError::ReadBack(format!("the root of slot {slot}")));
    }
    for file in files {
        tell(at);
        boot_files::read_back(medium, file, &mut piece)?;
        at = at.saturating_add(file.bytes);
    }
    Ok(())
}
