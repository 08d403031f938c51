//! Decompression within what is reserved.

use super::ReceiverState;
use super::body::Held;
use super::refusal::Refusal;
use bramble_wire::compression::{DecompressError, Encoding, decompress};

/// First guess: telemetry unfolds three to ten times.
const GUESS_FACTOR: usize = 6;
const GUESS_BYTES_MIN: usize = 64 << 10;

/// Undoes `encoding`. The result's reservation covers the decompressed bytes alone.
///
/// The output is limited to what has been reserved; when that is not enough, twice as much is reserved and the work
/// done again, so that memory is never ahead of the budget, at a cost of at most twice the decompression.
///
/// # Errors
/// [`Refusal::TooLarge`], [`Refusal::OverBudget`], [`Refusal::Corrupt`].
pub(crate) fn unpack(state: &ReceiverState, encoding: Encoding, body: Held) -> Result<Held, Refusal> {
    if encoding == Encoding::Identity {
        return Ok(body);
    }
    let limit_max = state.0.decompressed_bytes_max();
    let mut limit = body.bytes.len().saturating_mul(GUESS_FACTOR).max(GUESS_BYTES_MIN).min(limit_max);
    let mut held = state.0.receive.reserve(limit)?;
    loop {
        // A buffer that holds the limit and a little more is never grown by reading; its pages cost memory only
        // where something is written.
        let mut bytes = Vec::with_capacity(limit + 64);
        match decompress(encoding, &body.bytes, limit, &mut bytes) {
            Ok(()) => {
                bytes.shrink_to_fit();
                held.force_resize(bytes.capacity());
                return Ok(Held { bytes, held });
            }
            Err(DecompressError::TooLarge { .. }) if limit < limit_max => {
                drop(bytes);
                limit = limit.saturating_mul(2).min(limit_max);
                held.resize(limit)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}
