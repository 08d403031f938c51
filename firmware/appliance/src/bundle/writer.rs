//! Making a bundle, on the machine that builds.

use super::keys::{Signer, hex};
use super::manifest::{Architecture, DataFormat, Kind, Manifest, Payload};
use super::{MAGIC, WINDOW_LOG_MAX};
use sha2::{Digest, Sha256};
use std::io::{self, Read, Seek, Write};

/// The root is compressed already, and the boot files are small: a higher level costs minutes for nothing.
const LEVEL: i32 = 9;

/// What a bundle is made of, but for its payloads.
#[derive(Clone, Debug)]
pub struct Contents {
    /// Of the release.
    pub version: String,
    /// Of this build.
    pub build_id: String,
    /// When it was built, seconds since the Unix epoch.
    pub built_unix_seconds: u64,
    /// What it runs on.
    pub architecture: Architecture,
    /// Boards it is for; empty for any.
    pub boards: Vec<String>,
    /// Which data it reads.
    pub data_format: DataFormat,
}

struct Hashing<R>(R, Sha256, u64);

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(into)?;
        self.1.update(into.get(..count).unwrap_or_default());
        self.2 += count as u64;
        Ok(count)
    }
}

fn compress(kind: Kind, from: &mut dyn Read, into: &mut (impl Write + Seek)) -> io::Result<Payload> {
    let start = into.stream_position()?;
    let mut from = Hashing(from, Sha256::new(), 0);
    let mut encoder = zstd::stream::write::Encoder::new(&mut *into, LEVEL)?;
    encoder.window_log(WINDOW_LOG_MAX)?;
    io::copy(&mut from, &mut encoder)?;
    encoder.finish()?;
    let compressed_bytes = into.stream_position()? - start;
    Ok(Payload { kind, compressed_bytes, bytes: from.2, sha256: hex(&from.1.finalize()) })
}

/// Writes a bundle to `out`: `root` is the root file system, `boot` a tar of the boot files. `scratch` is an empty file that
/// holds the payloads meanwhile, since the manifest before them says their lengths. The same arguments give the same bytes.
///
/// # Errors
/// The files', and a manifest that no reader would take.
pub fn write_bundle(
    contents: &Contents,
    signer: &Signer,
    (root, boot): (&mut dyn Read, &mut dyn Read),
    scratch: &mut (impl Read + Write + Seek),
    out: &mut dyn Write,
) -> io::Result<Manifest> {
    // Boot files last: only when they are there is the slot anything that a firmware could start.
    let payloads = vec![compress(Kind::Root, root, scratch)?, compress(Kind::Boot, boot, scratch)?];
    let Contents { version, build_id, built_unix_seconds, architecture, boards, data_format } = contents.clone();
    let key_id = signer.id();
    let manifest =
        Manifest { version, build_id, built_unix_seconds, architecture, boards, data_format, key_id, payloads };
    let bytes = serde_json::to_vec(&manifest)?;
    Manifest::decode(&bytes).map_err(io::Error::other)?;
    let mut head = MAGIC.to_vec();
    head.extend(u32::try_from(bytes.len()).map_err(io::Error::other)?.to_le_bytes());
    head.extend(bytes);
    out.write_all(&head)?;
    out.write_all(&signer.sign(&head))?;
    scratch.rewind()?;
    io::copy(scratch, out)?;
    out.flush()?;
    Ok(manifest)
}
