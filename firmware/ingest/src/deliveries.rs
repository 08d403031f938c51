//! What is durable of each source ([`Delivery`]): its last sequence and its positions.
//!
//! A delivery is a record behind those of its batch, in the same commit: power cuts leave both or neither. (A batch that takes
//! several commits has it in the last; what a cut leaves of it is sent again, and equal items are one.) Each epoch of the
//! journal begins with a record of the whole table, so that the journal needs to be kept for it no further back than the
//! newest epoch; that is one of the positions that the catalog records.
//!
//! ```text
//! delivery := 0x05, text source, LEB128 sequence, LEB128 count, (text key, text value)*
//! table    := 0x06, LEB128 sources, (text source, LEB128 sequence, LEB128 count, (text key, text value)*)*
//! text     := LEB128 length, UTF-8 bytes
//! ```

use crate::commit::{Shared, WritePath};
use crate::observing::Observing;
use crate::record::RecordError;
use crate::record::bytes::{Reader, put_bytes, put_varint};
use bramble_signal::Signal;
use bramble_storage::{Batch, Delivered, Delivery, Done, Sequence, WriteError, Written};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The table's place among the positions that the catalog records.
pub(crate) const DELIVERIES: usize = Signal::ALL.len() + Observing::ALL.len();

/// Kind of a record of one delivery.
pub(crate) const DELIVERY: u8 = 0x05;
/// Kind of a record of all sources.
pub(crate) const TABLE: u8 = 0x06;

/// Most bytes of sources, keys and values that are remembered; each epoch of the journal begins with them.
const TABLE_BYTES_MAX: usize = 1 << 20;

/// What a source or a position costs beside its text.
const ENTRY_BYTES: usize = 16;

/// Sources and what is durable of them.
#[derive(Default, Debug, PartialEq)]
pub(crate) struct Deliveries {
    sources: BTreeMap<Arc<str>, Delivered>,
    bytes: usize,
    /// The newest record of the whole table; 0 for none.
    table_sequence: Sequence,
}

impl Deliveries {
    pub(crate) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// The last sequence that the journal need not keep for the table.
    pub(crate) fn position(&self, applied: Sequence) -> Sequence {
        if self.is_empty() { applied } else { self.table_sequence.saturating_sub(1).min(applied) }
    }

    /// The record of the table is in the journal.
    pub(crate) fn tabled(&mut self, sequence: Sequence) {
        self.table_sequence = sequence;
    }

    /// Takes over what became durable.
    pub(crate) fn apply(&mut self, delivery: Delivery) {
        let Delivery { source, sequence, positions } = delivery;
        if !self.sources.contains_key(&source) {
            self.bytes += source.len() + ENTRY_BYTES;
        }
        let known = self.sources.entry(source).or_default();
        known.sequence = known.sequence.max(sequence);
        for (key, value) in positions {
            let cost = |key: &str, value: &str| key.len() + value.len() + ENTRY_BYTES;
            let (key_bytes, added) = (key.len(), cost(&key, &value));
            let is_gone = value.is_empty();
            let old = if is_gone { known.positions.remove(&key) } else { known.positions.insert(key, value) };
            self.bytes += if is_gone { 0 } else { added };
            self.bytes -= old.map_or(0, |old| key_bytes + old.len() + ENTRY_BYTES);
        }
    }

    /// Appends the record of the whole table.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.push(TABLE);
        put_varint(out, self.sources.len() as u64);
        for (source, known) in &self.sources {
            let positions = known.positions.iter().map(|(key, value)| (key.as_str(), value.as_str()));
            encode_source(source, known.sequence, positions, out);
        }
    }

    /// Reads a record of either kind; `false` for one of another kind.
    ///
    /// # Errors
    /// [`RecordError`]: it is of such a kind, but damaged; nothing is taken over.
    pub(crate) fn replay(&mut self, sequence: Sequence, record: &[u8]) -> Result<bool, RecordError> {
        let Some((&kind, body)) = record.split_first() else { return Ok(false) };
        let mut body = Reader(body);
        match kind {
            DELIVERY => self.apply(read_source(&mut body)?),
            TABLE => {
                let mut table = Deliveries { table_sequence: sequence, ..Deliveries::default() };
                for _ in 0..body.count()? {
                    table.apply(read_source(&mut body)?);
                }
                *self = table;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn has_room_for(&self, delivery: &Delivery) -> bool {
        let added: usize = delivery.positions.iter().map(|(key, value)| key.len() + value.len() + ENTRY_BYTES).sum();
        self.bytes + added + delivery.source.len() + ENTRY_BYTES <= TABLE_BYTES_MAX
    }
}

/// Appends the record of one delivery.
pub(crate) fn encode_delivery(delivery: &Delivery, out: &mut Vec<u8>) {
    out.push(DELIVERY);
    let positions = delivery.positions.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    encode_source(&delivery.source, delivery.sequence, positions, out);
}

fn encode_source<'a>(
    source: &str,
    sequence: u64,
    positions: impl ExactSizeIterator<Item = (&'a str, &'a str)>,
    out: &mut Vec<u8>,
) {
    put_bytes(out, source.as_bytes());
    put_varint(out, sequence);
    put_varint(out, positions.len() as u64);
    for (key, value) in positions {
        put_bytes(out, key.as_bytes());
        put_bytes(out, value.as_bytes());
    }
}

fn read_source(body: &mut Reader<'_>) -> Result<Delivery, RecordError> {
    let source = body.text()?.into();
    let sequence = body.varint()?;
    let mut positions = Vec::new();
    for _ in 0..body.count()? {
        positions.push((body.text()?.to_owned(), body.text()?.to_owned()));
    }
    Ok(Delivery { source, sequence, positions })
}

impl WritePath {
    /// Lets a delivery through, or answers it: it is durable already, or there is no room for its positions, or the journal
    /// is still being replayed and nobody knows.
    pub(crate) fn admit(&self, delivery: &Delivery, batch: &Batch, done: Done) -> Option<Done> {
        let deliveries = self.shared.deliveries.lock();
        if !self.is_ready() {
            drop(deliveries);
            done(Err(WriteError::Journal("the journal is being replayed".into())));
            return None;
        }
        if deliveries.sources.get(&delivery.source).is_some_and(|known| delivery.sequence <= known.sequence) {
            drop(deliveries);
            self.shared.count_repeated(batch);
            done(Ok(Written { accepted: batch.item_count() as u64, ..Written::default() }));
            return None;
        }
        if !deliveries.has_room_for(delivery) {
            drop(deliveries);
            let why = format!("positions of sources take more than {TABLE_BYTES_MAX} bytes");
            done(Err(WriteError::Journal(why)));
            return None;
        }
        Some(done)
    }

    /// What is durable of a source; `None` until the journal was replayed.
    pub(crate) fn delivered_of(&self, source: &str) -> Option<Delivered> {
        self.is_ready().then(|| self.shared.deliveries.lock().sources.get(source).cloned().unwrap_or_default())
    }
}

impl Shared {
    /// Counts a delivery that was durable already.
    pub(crate) fn count_repeated(&self, batch: &Batch) {
        self.metrics.repeated_deliveries.inc();
        tracing::debug!(items = batch.item_count(), "a delivery came again and was dropped");
    }
}

#[cfg(test)]
mod tests;
