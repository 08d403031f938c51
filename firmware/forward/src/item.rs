//! What waits and is sent: an encoded batch with where it comes from.
//!
//! ```text
//! item := 1, signal, kind bytes…      see [`Item::encode`]
//! mark := 2, varint sequence          everything up to that record is settled
//! ```

use bramble_signal::Signal;
use bramble_storage::{Batch, Durable};
use bramble_wire::{DecodeError, delivery};
use bytes::Bytes;
use std::sync::Arc;

/// Largest payload that is made of one batch when it can be cut.
pub(crate) const PAYLOAD_BYTES_TARGET: usize = 1 << 20;
/// Memory that a batch may take when it is read back: what a payload of a few MiB can become.
const BATCH_BYTES_MAX: usize = 64 << 20;

/// Where an item comes from, for a hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The source's lane, as the hub knows it: `files`, or `files/1`.
    pub(crate) lane: Arc<str>,
    pub(crate) sequence: u64,
    pub(crate) positions: Vec<(String, String)>,
}

/// An encoded batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) signal: Signal,
    /// Samples, entries or spans.
    pub(crate) items: u64,
    /// When it was handed over, milliseconds since the Unix epoch.
    pub(crate) since_ms: i64,
    /// Of a hub's own journal: the batch's sequence; else 0.
    pub(crate) observed: u64,
    pub(crate) origin: Option<Origin>,
    /// Exact, as [`delivery`] has it.
    pub(crate) payload: Bytes,
}

/// What a record of the spool holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Item(Item),
    /// Everything up to this sequence is settled.
    Settled(u64),
}

const ITEM: u8 = 1;
const MARK: u8 = 2;

impl Item {
    /// Bytes that it holds in memory, nearly.
    pub(crate) fn memory_bytes(&self) -> usize {
        let positions = self.origin.as_ref().map_or(0, |origin| {
            origin.positions.iter().map(|(key, value)| key.len() + value.len() + 48).sum::<usize>() + 64
        });
        self.payload.len() + positions + size_of::<Item>()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        self.encode_head(out);
        out.extend_from_slice(&self.payload);
    }

    /// Everything but the payload.
    pub(crate) fn encode_head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[ITEM, self.signal.code()]);
        out.extend_from_slice(&self.since_ms.to_le_bytes());
        put_varint(out, self.items);
        put_varint(out, self.observed);
        match &self.origin {
            None => out.push(0),
            Some(origin) => {
                out.push(1);
                put_bytes(out, origin.lane.as_bytes());
                put_varint(out, origin.sequence);
                put_varint(out, origin.positions.len() as u64);
                for (key, value) in &origin.positions {
                    put_bytes(out, key.as_bytes());
                    put_bytes(out, value.as_bytes());
                }
            }
        }
    }

    /// Reads what [`encode_head`](Self::encode_head) wrote: an item without payload.
    pub(crate) fn decode_head(rest: &mut &[u8]) -> Option<Item> {
        match rest.split_off_first()? {
            &ITEM => decode_head(rest),
            _ => None,
        }
    }
}

impl Record {
    pub(crate) fn mark(sequence: u64) -> Vec<u8> {
        let mut out = vec![MARK];
        put_varint(&mut out, sequence);
        out
    }

    /// `None` for damage: the disk's checksums make that a bug, or another version's record.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Record> {
        let (&kind, mut rest) = bytes.split_first()?;
        match kind {
            MARK => take_varint(&mut rest).map(Record::Settled),
            ITEM => {
                let head = decode_head(&mut rest)?;
                Some(Record::Item(Item { payload: Bytes::copy_from_slice(rest), ..head }))
            }
            _ => None,
        }
    }
}

fn decode_head(rest: &mut &[u8]) -> Option<Item> {
    let (&signal, after) = rest.split_first()?;
    let (since_ms, after) = after.split_first_chunk::<8>()?;
    *rest = after;
    let items = take_varint(rest)?;
    let observed = take_varint(rest)?;
    let (&has_origin, after) = rest.split_first()?;
    *rest = after;
    let origin = match has_origin {
        0 => None,
        _ => {
            let lane = take_text(rest)?.into();
            let sequence = take_varint(rest)?;
            let count = take_varint(rest)?;
            let mut positions = Vec::new();
            for _ in 0..count {
                positions.push((take_text(rest)?.to_owned(), take_text(rest)?.to_owned()));
            }
            Some(Origin { lane, sequence, positions })
        }
    };
    let payload = Bytes::new();
    let signal = Signal::from_code(signal)?;
    Some(Item { signal, items, since_ms: i64::from_le_bytes(*since_ms), observed, origin, payload })
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let length = usize::try_from(take_varint(rest)?).ok()?;
    let (text, after) = rest.split_at_checked(length)?;
    *rest = after;
    std::str::from_utf8(text).ok()
}

/// The exact encoding of a batch.
pub(crate) fn encode_batch(batch: Durable<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    match batch {
        Durable::Metrics(batch) => delivery::put_metrics(batch, &mut out),
        Durable::Logs(batch) => delivery::put_logs(batch, &mut out),
        Durable::Spans(batch) => delivery::put_spans(batch, &mut out),
    }
    out
}

/// The batch of a payload.
pub(crate) fn decode_batch(signal: Signal, payload: &[u8]) -> Result<Batch, DecodeError> {
    Ok(match signal {
        Signal::Metrics => Batch::Metrics(delivery::read_metrics(payload, BATCH_BYTES_MAX)?.batch),
        Signal::Logs => Batch::Logs(delivery::read_logs(payload, BATCH_BYTES_MAX)?.batch),
        Signal::Traces => Batch::Spans(delivery::read_spans(payload, BATCH_BYTES_MAX)?.batch),
    })
}

/// What is to be shown of an owned batch.
pub(crate) fn shown(batch: &Batch) -> Durable<'_> {
    match batch {
        Batch::Metrics(batch) => Durable::Metrics(batch),
        Batch::Logs(batch) => Durable::Logs(batch),
        Batch::Spans(batch) => Durable::Spans(batch),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn item(number: u64, bytes: usize) -> Item {
        let origin = Origin {
            lane: "files".into(),
            sequence: number,
            positions: vec![("a".into(), number.to_string()), ("gone".into(), String::new())],
        };
        let mut payload = vec![0; bytes];
        let mut rng = bramble_runtime::Rng::new(number);
        rng.fill(&mut payload);
        // Every other one can be modelled.
        if number.is_multiple_of(2) {
            let mut batch = bramble_signal::LogBatch::new();
            batch.start_stream(&mut [("service", "web")]).unwrap();
            for part in 0..3 {
                let noise: String = (0..bytes / 6).map(|_| format!("{:02x}", rng.below(256))).collect();
                let line = format!("item {number} part {part} took {} ms id={noise}", rng.below(1000));
                batch.push_entry(number as i64 * 1_000_000, line.as_bytes(), &mut [("trace_id", "ab")]).unwrap();
            }
            payload = encode_batch(Durable::Logs(&batch));
        }
        let (since_ms, observed) = (number as i64 * 10, 0);
        Item { signal: Signal::Logs, items: 3, since_ms, observed, origin: Some(origin), payload: payload.into() }
    }

    proptest! {
        #[test]
        fn records_come_back(
            code in 1u8..4, items: u64, since_ms: i64, observed: u64, payload: Vec<u8>,
            origin: Option<(String, u64, Vec<(String, String)>)>,
        ) {
            let signal = Signal::from_code(code).unwrap();
            let origin = origin.map(|(lane, sequence, positions)| Origin { lane: lane.into(), sequence, positions });
            let item = Item { signal, items, since_ms, observed, origin, payload: payload.into() };
            let mut bytes = Vec::new();
            item.encode(&mut bytes);
            prop_assert_eq!(Record::decode(&bytes), Some(Record::Item(item)));
            prop_assert_eq!(Record::decode(&Record::mark(observed)), Some(Record::Settled(observed)));
        }

        #[test]
        fn any_bytes_are_a_record_or_none(bytes: Vec<u8>) {
            _ = Record::decode(&bytes);
        }
    }
}
