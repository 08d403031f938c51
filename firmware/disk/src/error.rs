//! What can go wrong with a file, in words that name the file and what was tried.

use std::borrow::Cow;
use std::io;

/// Why a disk operation failed. Cloneable, so that everybody who waits for one write hears the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    /// No such file.
    #[error("{name}: no such file")]
    NotFound {
        /// File, relative to the data directory.
        name: String,
    },
    /// The file system has no room (or the quota is used up). Nothing usable was written.
    #[error("{name}: no space left on the card while trying to {doing}")]
    Full {
        /// File, relative to the data directory.
        name: String,
        /// What was tried.
        doing: &'static str,
    },
    /// The operating system refused or failed.
    #[error("{name}: cannot {doing}: {why}")]
    Io {
        /// File, relative to the data directory.
        name: String,
        /// What was tried.
        doing: &'static str,
        /// The system's own words.
        why: String,
        /// The system's error number, where there is one.
        code: Option<i32>,
    },
    /// The bytes are there and wrong: a checksum, a length or a value that cannot be.
    #[error("{name}: damaged at byte {offset}: {what}")]
    Corrupt {
        /// File, relative to the data directory.
        name: String,
        /// Where in the file, in bytes.
        offset: u64,
        /// What is wrong there.
        what: Cow<'static, str>,
    },
    /// Written by a newer Bramble; reading it could only go wrong.
    #[error(
        "{name}: written in format version {found}, this Bramble reads up to {supported}; hint: start the newer version again, or give it another data directory"
    )]
    NewerVersion {
        /// File, relative to the data directory.
        name: String,
        /// The version found.
        found: u32,
        /// The newest version this build reads.
        supported: u32,
    },
    /// Another process has the data directory.
    #[error("data directory {directory} is in use by {owner}; hint: stop it, or choose another with --data-dir")]
    InUse {
        /// The data directory.
        directory: String,
        /// `pid N`, or `another process` when it did not leave its number.
        owner: String,
    },
    /// The data directory cannot be used as one.
    #[error("data directory {directory} cannot be used: {why}")]
    Unusable {
        /// The data directory.
        directory: String,
        /// What is wrong, and what to do.
        why: String,
    },
    /// The caller asked for something that no file can do (unaligned, closed, a name outside the directory).
    #[error("{name}: cannot {doing}: {what}")]
    Invalid {
        /// File, relative to the data directory.
        name: String,
        /// What was tried.
        doing: &'static str,
        /// Which rule it breaks.
        what: &'static str,
    },
    /// The simulated power is off: nothing works until the simulated reboot.
    #[error("power lost")]
    PowerLost,
}

impl DiskError {
    /// From a failed system call on `name` while trying to `doing`.
    pub fn from_io(name: &str, doing: &'static str, error: &io::Error) -> Self {
        const NO_SPACE: i32 = libc::ENOSPC;
        const QUOTA: i32 = libc::EDQUOT;
        match (error.kind(), error.raw_os_error()) {
            (io::ErrorKind::NotFound, _) => DiskError::NotFound { name: name.into() },
            (_, Some(NO_SPACE | QUOTA)) => DiskError::Full { name: name.into(), doing },
            (_, code) => DiskError::Io { name: name.into(), doing, why: error.to_string(), code },
        }
    }

    /// Damage in `name` at `offset`.
    pub fn corrupt(name: &str, offset: u64, what: impl Into<Cow<'static, str>>) -> Self {
        DiskError::Corrupt { name: name.into(), offset, what: what.into() }
    }

    /// Whether the file itself is at fault: set it aside and go on with the rest.
    pub fn is_damage(&self) -> bool {
        matches!(self, DiskError::Corrupt { .. })
    }

    /// Whether the card is full: deleting something helps, repeating alone does not.
    pub fn is_full(&self) -> bool {
        matches!(self, DiskError::Full { .. })
    }
}
