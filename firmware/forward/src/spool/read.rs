//! Records back to items.

use super::write::{ANEW, BACKFILL, BEGINS, ENDS, MODELLED};
use crate::item::{Item, Record, encode_batch, shown};
use bramble_record::{Decoder, Shown};
use bramble_signal::{LogBatch, MetricBatch, SpanBatch};
use bramble_storage::Batch;

/// What a record brings to its end.
#[derive(Debug)]
pub(super) enum Joined {
    Item(Item),
    /// An item without payload, which does not decode.
    Damaged(Item),
    /// Everything up to this sequence is settled.
    Settled(u64),
}

/// Puts the parts of items together. An item whose last part never came was never acknowledged.
pub(super) struct Reader {
    /// Whether payloads are wanted; else items come without.
    with_payloads: bool,
    open: Option<Open>,
    decoder: Decoder,
    /// How often the models began anew.
    generation: u64,
    /// A part did not decode: nor does what follows until models begin anew.
    is_broken: bool,
    /// Parts of the item that ended last.
    pub(super) parts: u64,
}

/// An item of which the last part did not come yet.
enum Open {
    Plain(Vec<u8>),
    Modelled(Box<Modelled>),
}

struct Modelled {
    head: Item,
    batch: Option<Batch>,
    is_backfill: bool,
    is_damaged: bool,
}

impl Modelled {
    /// The item, with its payload.
    fn close(self) -> Joined {
        let Modelled { head, batch: Some(mut batch), is_backfill, is_damaged: false } = self else {
            return Joined::Damaged(self.head);
        };
        if let Batch::Metrics(batch) = &mut batch {
            batch.backfill = is_backfill;
        }
        Joined::Item(Item { payload: encode_batch(shown(&batch)).into(), ..head })
    }
}

impl Reader {
    /// Reads items whole. To be given all records from the begin of an extent on.
    pub(super) fn new() -> Reader {
        let (open, decoder) = (None, Decoder::default());
        Reader { with_payloads: true, open, decoder, generation: 0, is_broken: true, parts: 0 }
    }

    /// Reads items without their payloads where they are modelled; may begin anywhere.
    pub(super) fn of_heads() -> Reader {
        Reader { with_payloads: false, ..Reader::new() }
    }

    /// What was read of an item is not to be continued.
    pub(super) fn interrupt(&mut self) {
        self.open = None;
    }

    /// Takes the next record.
    pub(super) fn take(&mut self, record: &[u8]) -> Option<Joined> {
        let (&flags, mut part) = record.split_first()?;
        if flags & BEGINS != 0 {
            self.parts = 0;
            self.open = match flags & MODELLED {
                0 => Some(Open::Plain(Vec::new())),
                _ => Item::decode_head(&mut part).map(|head| {
                    let is_backfill = flags & BACKFILL != 0;
                    Open::Modelled(Box::new(Modelled { head, batch: None, is_backfill, is_damaged: false }))
                }),
            };
        }
        self.parts += 1;
        // Models learn of every part, also of items that are incomplete.
        let modelled = if flags & MODELLED != 0 && self.with_payloads { self.model(flags, part) } else { None };
        match self.open.as_mut()? {
            Open::Plain(bytes) => bytes.extend_from_slice(part),
            Open::Modelled(open) => match (modelled, &mut open.batch) {
                (None, _) => open.is_damaged = true,
                (Some(first), batch @ None) => *batch = Some(first),
                (Some(next), Some(batch)) => join(batch, next),
            },
        }
        if flags & ENDS == 0 {
            return None;
        }
        match self.open.take()? {
            Open::Plain(bytes) => Record::decode(&bytes).map(|record| match record {
                Record::Item(item) => Joined::Item(item),
                Record::Settled(through) => Joined::Settled(through),
            }),
            Open::Modelled(open) if !self.with_payloads => Some(Joined::Item(open.head)),
            Open::Modelled(open) => Some(open.close()),
        }
    }

    fn model(&mut self, flags: u8, part: &[u8]) -> Option<Batch> {
        if flags & ANEW != 0 {
            self.generation += 1;
            self.is_broken = false;
        }
        if self.is_broken {
            return None;
        }
        match self.decoder.shown(self.generation, part) {
            Ok(Some(Shown::Metrics(batch))) => Some(Batch::Metrics(batch)),
            Ok(Some(Shown::Logs(batch))) => Some(Batch::Logs(batch)),
            Ok(Some(Shown::Spans(batch))) => Some(Batch::Spans(batch)),
            Ok(None) => None,
            Err(error) => {
                tracing::warn!("spool: {error}");
                self.is_broken = true;
                None
            }
        }
    }
}

/// Puts the items of the next part behind those of the parts before.
fn join(batch: &mut Batch, next: Batch) {
    match (batch, next) {
        (Batch::Metrics(batch), Batch::Metrics(next)) => join_metrics(batch, next),
        (Batch::Logs(batch), Batch::Logs(next)) => join_logs(batch, &next),
        (Batch::Spans(batch), Batch::Spans(next)) => join_spans(batch, &next),
        // An item is of one signal.
        _ => {}
    }
}

fn join_metrics(batch: &mut MetricBatch, next: MetricBatch) {
    for (index, (labels, samples)) in next.iter().enumerate() {
        batch.start_series_encoded(labels);
        batch.set_start(next.start_ms(index));
        samples.iter().for_each(|&sample| batch.push_sample_of(&next, sample));
        batch.push_exemplars_of(&next, index);
    }
    batch.metadata.extend(next.metadata);
}

fn join_logs(batch: &mut LogBatch, next: &LogBatch) {
    for stream in next.streams() {
        batch.start_stream_encoded(stream.labels());
        for entry in stream.entries() {
            batch.push_entry_encoded(entry.timestamp_ns, entry.line, entry.metadata);
        }
    }
}

fn join_spans(batch: &mut SpanBatch, next: &SpanBatch) {
    next.spans.iter().for_each(|span| batch.push_from(next, span));
}
