//! Streams by reference: 1 for the first that an epoch defines.

use super::super::RecordError;
use super::super::bytes::{Reader, put_difference, put_varint};
use bramble_signal::LabelsRef;
use hashbrown::HashMap;

/// Streams remembered per epoch. Beyond it the dictionary starts over (reference 0 means exactly that), so that
/// a flood of streams costs bytes, not memory.
const STREAMS_MAX: usize = 16_384;

/// What the writing side remembers of an epoch: streams by their labels.
#[derive(Default)]
pub(super) struct StreamDictionary {
    known: HashMap<Box<[u8]>, u32>,
    known_bytes: usize,
    last_definition: Vec<u8>,
}

impl StreamDictionary {
    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.known_bytes = 0;
        self.last_definition.clear();
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.known_bytes + self.known.capacity() * 32
    }

    /// Writes a stream's reference, and its definition if it is new; returns its place from 0.
    pub(super) fn put(&mut self, labels: LabelsRef<'_>, out: &mut Vec<u8>) -> usize {
        if let Some(&reference) = self.known.get(labels.as_bytes()) {
            put_varint(out, u64::from(reference));
            return reference as usize - 1;
        }
        if self.known.len() >= STREAMS_MAX {
            self.clear();
            put_varint(out, 0);
        }
        let reference = self.known.len() as u32 + 1;
        self.known.insert(labels.as_bytes().into(), reference);
        self.known_bytes += labels.as_bytes().len();
        put_varint(out, u64::from(reference));
        put_difference(out, &self.last_definition, labels.as_bytes());
        self.last_definition.clear();
        self.last_definition.extend_from_slice(labels.as_bytes());
        reference as usize - 1
    }
}

/// What the replaying side remembers of an epoch: labels by stream reference.
#[derive(Default)]
pub(super) struct StreamTexts {
    known: Vec<Box<[u8]>>,
    last_definition: Vec<u8>,
}

impl StreamTexts {
    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.last_definition.clear();
    }

    /// Reads a reference, and the definition of a new one; returns the stream's place from 0.
    pub(super) fn take(&mut self, runs: &mut Reader<'_>) -> Result<usize, RecordError> {
        let mut reference = runs.varint()?;
        if reference == 0 {
            self.clear();
            reference = runs.varint()?;
        }
        let index =
            usize::try_from(reference).ok().and_then(|r| r.checked_sub(1)).ok_or(RecordError("stream reference"))?;
        if index == self.known.len() && index < STREAMS_MAX {
            runs.difference(&mut self.last_definition)?;
            LabelsRef::parse(&self.last_definition).ok_or(RecordError("labels"))?;
            self.known.push(self.last_definition.as_slice().into());
        }
        if index < self.known.len() { Ok(index) } else { Err(RecordError("undefined stream")) }
    }

    /// The labels of a stream that was taken.
    pub(super) fn labels(&self, stream: usize) -> LabelsRef<'_> {
        self.known.get(stream).map_or(LabelsRef::EMPTY, |labels| LabelsRef::from_encoded(labels))
    }
}
