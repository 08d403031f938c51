//! Items as records: modelled by [`bramble_record`] against what was written before, or, where that cannot be, as they are.
//!
//! ```text
//! record := flags (1 byte) part of an item
//! flags  := bit 0: an item begins here, bit 1: it ends here, bit 2: the part is modelled, bit 3: what models remember
//!           begins anew with this record, bit 4: the samples fill in the past
//! part   := of a modelled item: head of the item, in its first record; a record of `bramble_record`
//!         | of another: bytes of the item
//! ```
//!
//! Models begin anew in each extent, so that each can be read alone; after a failure; and when they take too much memory.

use super::fits::fits;
use crate::item::{Item, decode_batch, encode_batch, shown};
use bramble_record::{Body, Encoder};
use bramble_runtime::{Budget, BudgetName};
use bramble_storage::{Batch, PreparedLogs, PreparedMetrics, PreparedSeries, PreparedSpans, Rejections, SeriesRef};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

pub(super) const BEGINS: u8 = 1;
pub(super) const ENDS: u8 = 1 << 1;
pub(super) const MODELLED: u8 = 1 << 2;
pub(super) const ANEW: u8 = 1 << 3;
pub(super) const BACKFILL: u8 = 1 << 4;

/// What the models of one queue may remember; beyond, they begin anew.
const MODELS_BYTES_MAX: usize = 2 << 20;
/// Records of a commit; each takes up to five bytes for its length, for which the journal keeps 4 KiB.
const RECORDS_MAX: usize = 512;
/// Payloads that are decoded at a time, in bytes, unless one is larger.
const DECODED_BYTES_MAX: usize = 256 << 10;

/// How much goes into one commit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// What a commit must find in an extent.
    pub(super) room: usize,
    /// Bytes after which it ends; one record may come on top.
    pub(super) soft_max: usize,
    /// Bytes after which a record ends; one sample, line or span may come on top.
    pub(super) record_max: usize,
    /// Largest item of a batch that is modelled.
    pub(super) item_max: usize,
}

impl Sizes {
    /// Of commits of at most `room` bytes.
    pub(super) fn of(room: usize) -> Sizes {
        Sizes { room, soft_max: room / 2, record_max: room / 4, item_max: room / 8 }
    }
}

/// An item on its way to disk.
pub(super) struct Outgoing {
    pub(super) item: Arc<Item>,
    form: Form,
    place: Place,
}

enum Form {
    /// The whole item, encoded.
    Plain(Vec<u8>),
    Modelled(Box<Modelled>),
}

struct Modelled {
    head: Vec<u8>,
    body: Body,
    is_backfill: bool,
}

/// How far an item is written: what its next record begins with, and how many it has.
#[derive(Clone, Copy, Default)]
struct Place {
    from: usize,
    parts: u64,
}

impl Outgoing {
    /// Modelled is what decodes, encodes to the same bytes again and has nothing that is too large for a record.
    fn new(item: Arc<Item>, sizes: &Sizes, series: &mut SeriesNumbers) -> Outgoing {
        let (mut head, mut whole) = (Vec::with_capacity(256), Vec::new());
        item.encode_head(&mut head);
        let batch = decode_batch(item.signal, &item.payload).ok().filter(|batch| {
            head.len() <= sizes.item_max && fits(batch, sizes.item_max) && encode_batch(shown(batch)) == item.payload
        });
        let is_backfill = matches!(&batch, Some(Batch::Metrics(batch)) if batch.backfill);
        let form = match batch.and_then(|batch| body(batch, series)) {
            Some(body) => Form::Modelled(Box::new(Modelled { head, body, is_backfill })),
            None => {
                item.encode(&mut whole);
                Form::Plain(whole)
            }
        };
        Outgoing { item, form, place: Place::default() }
    }
}

/// The records of one commit.
#[derive(Default)]
pub(super) struct Commit {
    records: Vec<Vec<u8>>,
    /// With what lengths take.
    pub(super) bytes: usize,
    /// Of each item that ends in it: how many records with its last one, and of how many it is.
    ends: Vec<(u64, u64)>,
    /// Where the first item that does not end in it goes on.
    place: Place,
    /// Whether it, or what is there already, says that the models began anew.
    is_told: bool,
}

impl Commit {
    pub(super) fn records(&self) -> Vec<&[u8]> {
        self.records.iter().map(Vec::as_slice).collect()
    }

    fn push(&mut self, record: Vec<u8>) {
        self.bytes += record.len() + 5;
        self.records.push(record);
    }
}

/// Turns items into records, commit by commit.
pub(super) struct Records {
    sizes: Sizes,
    waiting: VecDeque<Outgoing>,
    encoder: Encoder,
    /// How often models began anew: what the encoder knows as an epoch.
    generation: u64,
    /// The epoch of the journal that the models belong to; none: they begin anew with the next record.
    epoch: Option<u64>,
    /// Whether a record on disk says that they began anew.
    is_told: bool,
    series: SeriesNumbers,
    /// Bytes of records per KiB of payloads, of late.
    taken_of_kib: usize,
}

impl Records {
    pub(super) fn new(sizes: Sizes) -> Records {
        Records {
            encoder: Encoder::new(sizes.record_max),
            sizes,
            waiting: VecDeque::new(),
            generation: 0,
            epoch: None,
            is_told: false,
            series: SeriesNumbers::default(),
            taken_of_kib: 1 << 10,
        }
    }

    /// Takes up items from `items` as long as there are few that wait for their commit.
    pub(super) fn take_up(&mut self, items: &mut impl Iterator<Item = Arc<Item>>) {
        let mut bytes: usize = self.waiting.iter().map(|outgoing| outgoing.item.payload.len()).sum();
        while bytes < DECODED_BYTES_MAX && self.waiting.len() < RECORDS_MAX {
            let Some(item) = items.next() else { return };
            bytes += item.payload.len();
            self.waiting.push_back(Outgoing::new(item, &self.sizes, &mut self.series));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What the next commit is likely to take.
    pub(super) fn bytes_likely(&self) -> usize {
        let payloads: usize = self.waiting.iter().map(|outgoing| outgoing.item.payload.len()).sum();
        let likely = (payloads >> 10).saturating_mul(self.taken_of_kib + self.taken_of_kib / 4);
        (likely + self.waiting.len() * 256 + 4096).min(self.sizes.room)
    }

    /// The records of the first items that wait, as many as go into one commit of `epoch`. May be asked again, of another
    /// epoch, before it is [`committed`](Self::committed).
    pub(super) fn encode(&mut self, epoch: u64) -> Commit {
        if self.epoch != Some(epoch) {
            self.generation += 1;
            self.encoder.enter(self.generation);
            (self.epoch, self.is_told) = (Some(epoch), false);
        }
        let mut commit = Commit { is_told: self.is_told, ..Commit::default() };
        for outgoing in &self.waiting {
            let mut place = outgoing.place;
            let mut is_whole = false;
            while !is_whole && commit.bytes < self.sizes.soft_max && commit.records.len() < RECORDS_MAX {
                let mut record = vec![if place.parts == 0 { BEGINS } else { 0 }];
                is_whole = match &outgoing.form {
                    Form::Plain(bytes) => put_plain(bytes, self.sizes.record_max, &mut place.from, &mut record),
                    Form::Modelled(modelled) => {
                        let Modelled { head, body, is_backfill } = &**modelled;
                        record[0] |= MODELLED | if std::mem::replace(&mut commit.is_told, true) { 0 } else { ANEW };
                        if place.parts == 0 {
                            record[0] |= if *is_backfill { BACKFILL } else { 0 };
                            record.extend_from_slice(head);
                        }
                        let left = self.encoder.encode(body, place.from, &mut record);
                        place.from = left.unwrap_or_default();
                        left.is_none()
                    }
                };
                place.parts += 1;
                record[0] |= if is_whole { ENDS } else { 0 };
                commit.push(record);
            }
            if !is_whole {
                commit.place = place;
                break;
            }
            commit.ends.push((commit.records.len() as u64, place.parts));
        }
        commit
    }

    /// A commit is durable. Calls `ended` with each item that ended in it: how many records of the commit with its last
    /// one, and of how many it is in all.
    pub(super) fn committed(&mut self, commit: Commit, mut ended: impl FnMut(u64, u64, &Item)) {
        self.is_told = commit.is_told;
        let mut payloads = 0;
        for &(records, parts) in &commit.ends {
            let Some(outgoing) = self.waiting.pop_front() else { break };
            payloads += outgoing.item.payload.len();
            ended(records, parts, &outgoing.item);
        }
        if let Some(first) = self.waiting.front_mut() {
            first.place = commit.place;
        }
        if payloads > 4096 {
            self.taken_of_kib = ((commit.bytes << 10) / payloads).clamp(16, 1 << 10);
        }
        if self.encoder.memory_bytes() + self.series.memory_bytes() > MODELS_BYTES_MAX {
            self.forget();
        }
    }

    /// What was not committed is given back to who handed it over, and nobody knows what is on disk.
    pub(super) fn failed(&mut self) {
        self.waiting.clear();
        self.forget();
    }

    /// Models begin anew, and their memory is given back.
    pub(super) fn forget(&mut self) {
        self.epoch = None;
        self.encoder = Encoder::new(self.sizes.record_max);
        self.series.clear();
    }

    /// Memory of the models, in bytes.
    #[cfg(test)]
    pub(super) fn memory_bytes(&self) -> usize {
        self.encoder.memory_bytes() + self.series.memory_bytes()
    }
}

/// The next part of an item that is written as it is; whether it is the last.
fn put_plain(bytes: &[u8], part_max: usize, from: &mut usize, record: &mut Vec<u8>) -> bool {
    let rest = bytes.get(*from..).unwrap_or_default();
    let part = rest.get(..part_max).unwrap_or(rest);
    record.extend_from_slice(part);
    *from += part.len();
    part.len() == rest.len()
}

/// Numbers of series, by a hash of 128 bits of their labels, with keys that nobody knows.
#[derive(Default)]
struct SeriesNumbers {
    keys: [RandomState; 2],
    known: HashMap<(u64, u64), SeriesRef>,
    next: u32,
}

impl SeriesNumbers {
    fn number(&mut self, labels: &[u8]) -> SeriesRef {
        let [first, second] = &self.keys;
        let key = (first.hash_one(labels), second.hash_one(labels));
        *self.known.entry(key).or_insert_with(|| {
            // Never one that an item which waits may have.
            self.next = self.next.wrapping_add(1);
            SeriesRef(self.next)
        })
    }

    fn clear(&mut self) {
        self.known = HashMap::new();
    }

    fn memory_bytes(&self) -> usize {
        self.known.capacity() * (size_of::<((u64, u64), SeriesRef)>() + 1)
    }
}

fn body(batch: Batch, numbers: &mut SeriesNumbers) -> Option<Body> {
    let (accepted, rejections) = (0, Rejections::default());
    // Its memory is that of the item that waits.
    let space = Budget::standalone(BudgetName::Forward, 1).reserve(0).ok()?;
    Some(match batch {
        Batch::Metrics(batch) => {
            let numbered = batch.iter().zip(0..);
            let series = numbered
                .map(|((labels, _), entry)| PreparedSeries { entry, series: numbers.number(labels.as_bytes()) });
            let series = series.collect();
            Body::Metrics(PreparedMetrics { batch, series, accepted, rejections, space })
        }
        Batch::Logs(batch) => Body::Logs(PreparedLogs { batch, accepted, rejections, space }),
        Batch::Spans(batch) => Body::Spans(PreparedSpans { batch, accepted, rejections, space }),
    })
}
