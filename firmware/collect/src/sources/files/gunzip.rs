//! A compressed file, read once from its beginning.

use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufReader, Seek};

use super::probe::fill;

/// Decompresses a file.
pub(super) struct Gunzip {
    decoder: MultiGzDecoder<BufReader<File>>,
    /// Decompressed bytes so far.
    at: u64,
}

impl Gunzip {
    /// # Errors
    /// When the file cannot be read from its beginning.
    pub(super) fn new(mut file: File) -> io::Result<Gunzip> {
        file.rewind()?;
        Ok(Gunzip { decoder: MultiGzDecoder::new(BufReader::with_capacity(32 << 10, file)), at: 0 })
    }

    /// The bytes at `from`, which never descends; 0 at the end. `None`: it is not there yet, ask again.
    ///
    /// # Errors
    /// When the file is damaged or not whole yet.
    pub(super) fn read(&mut self, from: u64, space: &mut [u8]) -> io::Result<Option<usize>> {
        let missing = from.saturating_sub(self.at);
        let skipped = usize::try_from(missing).unwrap_or(usize::MAX).min(space.len());
        let wanted = if missing > 0 { space.get_mut(..skipped).unwrap_or_default() } else { space };
        let count = fill(&mut self.decoder, wanted)?;
        self.at += count as u64;
        // Shorter than what was read of it before: nothing more.
        Ok(if missing > 0 && count > 0 { None } else { Some(count) })
    }
}
