//! What a bundle says of itself.

use serde::{Deserialize, Serialize};

/// Longest manifest, bytes.
pub const MANIFEST_BYTES_MAX: usize = 64 << 10;

/// Payloads that a manifest may name.
const PAYLOADS_MAX: usize = 16;

/// Longest version or build id, bytes.
const NAME_BYTES_MAX: usize = 128;

/// The manifest. Unknown fields are for a newer installer, and not looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of the release, for people.
    pub version: String,
    /// Of this build: two builds of one version differ in it.
    pub build_id: String,
    /// When it was built, seconds since the Unix epoch.
    pub built_unix_seconds: u64,
    /// What it runs on.
    pub architecture: Architecture,
    /// Boards it was built for, for people; empty for any.
    #[serde(default)]
    pub boards: Vec<String>,
    /// Which data it can read.
    pub data_format: DataFormat,
    /// Which key signed it ([`key_id`](super::key_id)).
    pub key_id: String,
    /// What follows, in this order.
    pub payloads: Vec<Payload>,
}

/// A processor architecture, as `uname -m` calls it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Architecture(pub String);

impl Architecture {
    /// Of this program.
    pub fn own() -> Architecture {
        Architecture(std::env::consts::ARCH.to_owned())
    }
}

/// Numbers of the data directory's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFormat {
    /// The oldest it reads.
    pub reads_from: u32,
    /// The newest it reads, and what it writes.
    pub writes: u32,
}

/// One payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// What it is for.
    pub kind: Kind,
    /// Length in the bundle: one zstd frame.
    pub compressed_bytes: u64,
    /// Length after decompression.
    pub bytes: u64,
    /// SHA-256 of that, 64 lower-case hex digits.
    pub sha256: String,
}

/// What a payload is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The root file system, written to the slot's partition as it is.
    Root,
    /// A tar of the files of the slot's directory on the boot partition.
    Boot,
}

impl Manifest {
    /// Reads a manifest's bytes, and checks what must hold whoever signed it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<Manifest, String> {
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let of_kind = |kind| manifest.payloads.iter().filter(|payload| payload.kind == kind).count();
        if manifest.payloads.len() > PAYLOADS_MAX || of_kind(Kind::Root) != 1 || of_kind(Kind::Boot) != 1 {
            return Err("it must have one root and one boot payload".to_owned());
        }
        for name in [&manifest.version, &manifest.build_id] {
            if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(|c: char| c.is_control()) {
                return Err("its version or build id is empty, too long or not printable".to_owned());
            }
        }
        if manifest.payloads.iter().any(|payload| !is_digest(&payload.sha256)) {
            return Err("a digest is not 64 hex digits".to_owned());
        }
        Ok(manifest)
    }

    /// Bytes of all payloads as they come; saturates.
    pub fn compressed_bytes(&self) -> u64 {
        self.payloads.iter().fold(0, |sum, payload| sum.saturating_add(payload.compressed_bytes))
    }

    /// The payload of that kind; [`decode`](Self::decode) makes sure that there is one.
    pub fn payload(&self, kind: Kind) -> Option<&Payload> {
        self.payloads.iter().find(|payload| payload.kind == kind)
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
