//! One payload, as it is read.

use super::WINDOW_LOG_MAX;
use super::keys::hex;
use super::manifest::Payload;
use super::reader::BundleError;
use sha2::{Digest, Sha256};
use std::io::{self, BufReader, Read, Take};
use zstd::stream::read::Decoder;

const COMPRESSED_BUFFER_BYTES: usize = 64 << 10;

/// Decompresses a payload and never gives more than the manifest says; [`finish`](Self::finish) tells whether it was
/// exactly that.
pub struct PayloadReader<'a> {
    decoder: Decoder<'a, BufReader<Take<&'a mut dyn Read>>>,
    left: u64,
    digest: Sha256,
    expected: String,
}

impl std::fmt::Debug for PayloadReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PayloadReader({} bytes left)", self.left)
    }
}

impl<'a> PayloadReader<'a> {
    /// The payload that comes next in `bundle`.
    ///
    /// # Errors
    /// That no decompressor can be had.
    pub fn new(bundle: &'a mut dyn Read, payload: &Payload) -> Result<PayloadReader<'a>, BundleError> {
        let compressed = BufReader::with_capacity(COMPRESSED_BUFFER_BYTES, bundle.take(payload.compressed_bytes));
        let mut decoder = Decoder::with_buffer(compressed)?.single_frame();
        decoder.window_log_max(WINDOW_LOG_MAX)?;
        Ok(PayloadReader { decoder, left: payload.bytes, digest: Sha256::new(), expected: payload.sha256.clone() })
    }

    /// Bytes that are still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// After everything was read, whether it was what was signed. Leaves the bundle at the next payload.
    ///
    /// # Errors
    /// [`Truncated`](BundleError::Truncated), [`Damaged`](BundleError::Damaged).
    pub fn finish(mut self) -> Result<(), BundleError> {
        io::copy(&mut self, &mut io::sink())?;
        if self.left > 0 {
            return Err(BundleError::Truncated);
        }
        // One byte more would be one too many; this also reads the frame's own end.
        match self.decoder.read(&mut [0]) {
            Ok(0) => {}
            Ok(_) => return Err(BundleError::Damaged("a payload is longer than its manifest says".to_owned())),
            Err(error) => return Err(damage(error).into()),
        }
        let compressed = self.decoder.finish();
        if !compressed.buffer().is_empty() || compressed.get_ref().limit() > 0 {
            return Err(BundleError::Damaged("there is something after a payload's end".to_owned()));
        }
        match hex(&self.digest.finalize()) == self.expected {
            true => Ok(()),
            false => Err(BundleError::Damaged("a payload's digest is not the one that was signed".to_owned())),
        }
    }
}

/// What zstd says of bytes that it cannot read has no kind; what the bundle's own reader says keeps its.
fn damage(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::Other => io::Error::new(io::ErrorKind::InvalidData, error),
        _ => error,
    }
}

impl Read for PayloadReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
        let Some(into) = into.get_mut(..most).filter(|into| !into.is_empty()) else { return Ok(0) };
        let count = self.decoder.read(into).map_err(damage)?;
        self.left = self.left.saturating_sub(count as u64);
        self.digest.update(into.get(..count).unwrap_or_default());
        Ok(count)
    }
}
