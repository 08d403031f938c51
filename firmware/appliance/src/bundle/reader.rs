//! The head: read, and believed only when it is signed.

use super::keys::Keys;
use super::manifest::{MANIFEST_BYTES_MAX, Manifest};
use super::{MAGIC, SIGNATURE_BYTES};
use std::io::{self, Read};
use thiserror::Error;

/// Why a bundle is not one that is installed.
#[derive(Debug, Error)]
pub enum BundleError {
    /// It does not begin as one.
    #[error("this is no Bramble bundle (it must begin with BRAMBLE1); a bundle's name ends in .bramble")]
    NotABundle,
    /// It ends too early.
    #[error("the bundle ends too early: it was not copied or sent whole")]
    Truncated,
    /// Signed by a key that is not believed here.
    #[error(
        "the bundle is signed with a key that is not known here ({0}); known keys are in /usr/share/bramble/update-keys"
    )]
    UnknownKey(String),
    /// There is no key at all.
    #[error("no update key is installed here, so no bundle can be believed")]
    NoKeys,
    /// The signature is not right.
    #[error("the bundle's signature is wrong: it was changed after it was signed, or damaged on its way")]
    BadSignature,
    /// Its manifest cannot be read.
    #[error("the bundle's manifest cannot be used: {0}")]
    Manifest(String),
    /// A payload is not what was signed.
    #[error("the bundle is damaged: {0}")]
    Damaged(String),
    /// Reading failed.
    #[error("the bundle cannot be read: {0}")]
    Read(io::Error),
}

impl From<io::Error> for BundleError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => BundleError::Truncated,
            io::ErrorKind::InvalidData => BundleError::Damaged(error.to_string()),
            _ => BundleError::Read(error),
        }
    }
}

/// A head that was signed by a key that is believed.
#[derive(Debug)]
pub struct Head {
    /// What it says.
    pub manifest: Manifest,
    /// Its length in the bundle, bytes.
    pub bytes: u64,
}

/// Reads a bundle's head and verifies it. At most [`MANIFEST_BYTES_MAX`] and a few bytes are read and held.
///
/// # Errors
/// Any of [`BundleError`].
pub fn read_head(bundle: &mut dyn Read, keys: &Keys) -> Result<Head, BundleError> {
    if keys.is_empty() {
        return Err(BundleError::NoKeys);
    }
    let mut signed = vec![0; MAGIC.len() + 4];
    bundle.read_exact(&mut signed)?;
    let (magic, length) = signed.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(BundleError::NotABundle);
    }
    let length = u32::from_le_bytes(length.try_into().map_err(|_| BundleError::Truncated)?) as usize;
    if length > MANIFEST_BYTES_MAX {
        return Err(BundleError::Manifest(format!("it has {length} bytes; at most {MANIFEST_BYTES_MAX} are read")));
    }
    let start = signed.len();
    signed.resize(start + length, 0);
    bundle.read_exact(signed.get_mut(start..).unwrap_or_default())?;
    let mut signature = [0; SIGNATURE_BYTES];
    bundle.read_exact(&mut signature)?;
    let manifest = signed.get(start..).unwrap_or_default();
    if !keys.verify(&signed, &signature) {
        // Only to say which: nothing of it is used.
        return Err(match Manifest::decode(manifest) {
            Ok(manifest) if !keys.knows(&manifest.key_id) => BundleError::UnknownKey(printable(&manifest.key_id)),
            _ => BundleError::BadSignature,
        });
    }
    let manifest = Manifest::decode(manifest).map_err(BundleError::Manifest)?;
    Ok(Head { manifest, bytes: (signed.len() + SIGNATURE_BYTES) as u64 })
}

/// What somebody unknown wrote, for a message.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(32).collect()
}
