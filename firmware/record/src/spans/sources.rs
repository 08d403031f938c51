//! Resources, or scopes, by number: those that an epoch remembers, and those of one record alone.

use super::super::RecordError;
use super::super::bytes::{Reader, put_bytes};
use hashbrown::HashMap;

const KEPT_MAX: usize = 1024;
const BYTES_MAX: usize = 256 << 10;

/// Encoded resources or scopes.
#[derive(Default)]
pub(super) struct Sources {
    kept: Vec<Box<[u8]>>,
    bytes: usize,
    /// Of the record.
    own: Vec<Box<[u8]>>,
    /// Only of the writing side: numbers, and which of the batch's were looked up for this record.
    numbers: HashMap<Box<[u8]>, usize>,
    looked_up: Vec<usize>,
}

/// In place of the number of one of the batch's that was not looked up.
const NOT: usize = usize::MAX;

impl Sources {
    pub(super) fn memory_bytes(&self) -> usize {
        2 * self.bytes + self.numbers.capacity() * 33 + self.looked_up.capacity() * 8
    }

    /// Begins a record.
    pub(super) fn start(&mut self) {
        self.own.clear();
        self.looked_up.clear();
    }

    /// The number of one of the batch's, which `encode` writes. Behind a new number its definition goes to `definitions`.
    #[inline]
    pub(super) fn number_of(
        &mut self,
        index: usize,
        definitions: &mut Vec<u8>,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> usize {
        if let Some(&known) = self.looked_up.get(index).filter(|&&number| number != NOT) {
            return known;
        }
        if self.looked_up.len() <= index {
            self.looked_up.resize(index + 1, NOT);
        }
        let mut encoded = Vec::new();
        encode(&mut encoded);
        let number = match self.numbers.get(encoded.as_slice()) {
            Some(&known) => known,
            None => {
                put_bytes(definitions, &encoded);
                let number = self.next(encoded.len());
                if number.is_multiple_of(2) {
                    self.numbers.insert(encoded.as_slice().into(), number);
                }
                self.define(number, encoded.into());
                number
            }
        };
        if let Some(place) = self.looked_up.get_mut(index) {
            *place = number;
        }
        number
    }

    /// The number of the next one of so many bytes: even where the epoch remembers it.
    fn next(&self, bytes: usize) -> usize {
        match self.kept.len() < KEPT_MAX && self.bytes + bytes <= BYTES_MAX {
            true => 2 * self.kept.len(),
            false => 2 * self.own.len() + 1,
        }
    }

    fn define(&mut self, number: usize, encoded: Box<[u8]>) {
        if number.is_multiple_of(2) {
            self.bytes += encoded.len();
            self.kept.push(encoded);
        } else {
            self.own.push(encoded);
        }
    }

    /// The one with this number, whose definition may be next.
    pub(super) fn take(&mut self, number: usize, definitions: &mut Reader<'_>) -> Result<&[u8], RecordError> {
        let is_new = number == if number.is_multiple_of(2) { 2 * self.kept.len() } else { 2 * self.own.len() + 1 };
        if is_new {
            let encoded = definitions.bytes()?;
            if self.next(encoded.len()) != number {
                return Err(RecordError("too many resources or scopes"));
            }
            self.define(number, encoded.into());
        }
        let from = if number.is_multiple_of(2) { &self.kept } else { &self.own };
        from.get(number / 2).map(|encoded| &**encoded).ok_or(RecordError("undefined resource or scope"))
    }
}
