//! Reading committed records, oldest first, while commits go on: for who uses the ring as a queue.

use zstd::zstd_safe::{DCtx, DParameter};

use super::extent::Extent;
use super::frame::{self, Found, HEAD_BYTES};
use super::recovery::decompress;
use super::ring::{Journal, WINDOW_LOG};
use super::{JournalError, Replayed, Sequence};
use crate::disk::read_range;

/// A place in the ring from which records are read in order; holds a decompression context (some 600 KiB once it was used).
///
/// It follows the ring through extents that were released meanwhile: what is gone is skipped.
pub struct Cursor {
    /// Records up to this one are not handed over.
    after: Sequence,
    place: Option<Place>,
    decoder: DCtx<'static>,
    raw: Vec<u8>,
}

/// Behind the last frame that was read.
#[derive(Clone, Copy)]
struct Place {
    epoch: u64,
    offset: u64,
    next_sequence: Sequence,
}

/// What a step of a [`Cursor`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// A commit was read; of its records those that were wanted were handed over.
    Read,
    /// There is no further commit yet.
    End,
    /// The rest of an extent cannot be read: records in this range, both ends included, are lost.
    Lost(Sequence, Sequence),
}

impl Cursor {
    /// A cursor that hands over records above `after`.
    pub fn new(after: Sequence) -> Self {
        Cursor { after, place: None, decoder: DCtx::create(), raw: Vec::new() }
    }

    /// The last record that was handed over or skipped.
    pub fn position(&self) -> Sequence {
        self.after
    }

    fn start_stream(&mut self) {
        // A context that failed is of no use for the next extent.
        self.decoder = DCtx::create();
        _ = self.decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG));
    }
}

impl Journal {
    /// Reads one commit: hands over its records above the cursor's position, in order. The first step into an extent begins at
    /// its start, because a commit continues the compression of the one before, so several steps may hand over nothing.
    ///
    /// # Errors
    /// When the disk cannot be read; the cursor is where it was, and the next step begins the extent anew.
    pub fn step(&self, cursor: &mut Cursor, on_record: &mut dyn FnMut(Replayed<'_>)) -> Result<Step, JournalError> {
        let Some((extent, place)) = self.place_of(cursor) else { return Ok(Step::End) };
        if cursor.place.is_none_or(|before| before.epoch != place.epoch) {
            cursor.start_stream();
        }
        cursor.place = None;
        let lost = |cursor: &mut Cursor| {
            let from = cursor.after.max(place.next_sequence.saturating_sub(1)) + 1;
            cursor.after = extent.last_sequence;
            Ok(Step::Lost(from.min(extent.last_sequence), extent.last_sequence))
        };
        let head_end = place.offset + HEAD_BYTES as u64;
        if head_end > extent.bytes {
            return lost(cursor);
        }
        let head = read_range(self.disk(), extent.file, place.offset, HEAD_BYTES)?;
        let payload_bytes = frame::payload_bytes(&head);
        if head_end + payload_bytes > extent.bytes {
            return lost(cursor);
        }
        let bytes = read_range(self.disk(), extent.file, place.offset, HEAD_BYTES + payload_bytes as usize)?;
        let Found::Frame(head, payload) = frame::find(extent.number, place.offset as usize, &bytes) else {
            return lost(cursor);
        };
        let continues = place.next_sequence == 0 || head.first_sequence == place.next_sequence;
        if head.epoch != place.epoch || !continues {
            return lost(cursor);
        }
        let mut raw = std::mem::take(&mut cursor.raw);
        let after = cursor.after;
        let mut sequence = head.first_sequence;
        let read = decompress(&mut cursor.decoder, payload, head.raw_bytes as usize, &mut raw).ok().and_then(|()| {
            frame::split_records(&raw, head.records, |record| {
                if sequence > after {
                    on_record(Replayed { sequence, epoch: head.epoch, record });
                }
                sequence += 1;
            })
        });
        cursor.raw = raw;
        if read.is_none() {
            return lost(cursor);
        }
        cursor.after = after.max(head.next_sequence() - 1);
        let offset = place.offset + head.frame_bytes() as u64;
        cursor.place = Some(Place { epoch: place.epoch, offset, next_sequence: head.next_sequence() });
        Ok(Step::Read)
    }

    /// Where the cursor reads next: on in its extent, or at the start of the oldest one with records above its position.
    fn place_of(&self, cursor: &Cursor) -> Option<(&Extent, Place)> {
        let wanted = |extent: &&Extent| extent.last_sequence > cursor.after;
        if let Some(place) = cursor.place
            && let Some(extent) = self.holding().filter(wanted).find(|extent| extent.epoch == place.epoch)
        {
            return Some((extent, place));
        }
        let extent = self.holding().filter(wanted).min_by_key(|extent| extent.epoch)?;
        Some((extent, Place { epoch: extent.epoch, offset: 0, next_sequence: 0 }))
    }
}
