//! The bundle: one signed file that holds what goes into a slot.
//!
//! Read front to back in bounded memory, never kept as a whole. What is signed is the head, which holds the length and the
//! SHA-256 of every payload: a payload is written while it is read, and believed when its digest has been compared.
//!
//! ```text
//! "BRAMBLE1" | u32 length of manifest | manifest (JSON) | 64 bytes Ed25519 over all before | payload … payload
//! ```
//!
//! Layout: docs/formats.md, "Bundle".

mod keys;
mod manifest;
mod payload;
mod reader;
mod writer;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use keys::hex;
pub use keys::{Keys, Signer, generate_key, key_id};
pub use manifest::{Architecture, DataFormat, Kind, MANIFEST_BYTES_MAX, Manifest, Payload};
pub use payload::PayloadReader;
pub use reader::{BundleError, Head, read_head};
pub use writer::{Contents, write_bundle};

/// First bytes of every bundle.
pub const MAGIC: &[u8; 8] = b"BRAMBLE1";

/// Length of an Ed25519 signature, bytes.
pub const SIGNATURE_BYTES: usize = 64;

/// Largest window of a payload's compression, as a power of two: what decompressing may hold in memory (8 MiB).
pub const WINDOW_LOG_MAX: u32 = 23;
