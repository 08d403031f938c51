//! Label sets of span metrics, and what is counted for each.
//!
//! A set's key is one run of bytes: identity (u32), kind, status with the mark of overflow, and then texts that each end
//! with 0xff, which no UTF-8 has: span name, status message if wanted, dimensions. Labels are made of it when it is
//! emitted; until then a span costs one hash and one comparison.

use crate::histogram::Durations;
use crate::options::DeriveOptions;
use crate::sources::{Source, put_text};
use crate::texts::{OTHER, TextId, cut};
use bramble_runtime::Reservation;
use bramble_signal::attributes::AttributesRef;
use bramble_signal::{SpanBatch, SpanEntry, TraceId};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// Sets are spread over so many parts by what they are called; each part is emitted as a whole, with the sequence that
/// it has counted. Changing this number, or how parts are told, makes one restart count a few spans twice.
pub(crate) const PARTS: usize = 16;

/// Longest span name, status message or dimension, bytes; longer ones are cut.
const LABEL_BYTES_MAX: usize = 512;

/// In the byte of the status: the set is for what is over the limit.
const OVERFLOW: u8 = 0x80;

/// Ends a text in a key.
const END: u8 = 0xff;

/// Table entry, slab entry, allocator's overhead of two boxes.
const ENTRY_BYTES: usize = 64;

/// A trace behind a number.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Example {
    pub(crate) trace_id: TraceId,
    pub(crate) duration_ns: u64,
    /// When its span ended, nanoseconds since the Unix epoch.
    pub(crate) end_ns: u64,
    pub(crate) failed: bool,
}

impl Example {
    /// Errors before others, the long before the short.
    pub(crate) fn rank(&self) -> (bool, u64) {
        (self.failed, self.duration_ns)
    }

    /// Keeps the one that tells more.
    pub(crate) fn keep_best(kept: &mut Option<Example>, other: Example) {
        if !other.trace_id.is_zero() && kept.is_none_or(|best| best.rank() < other.rank()) {
            *kept = Some(other);
        }
    }
}

/// When series began, changed, and were first written.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Life {
    /// Time of their first sample, which is zero; milliseconds since the Unix epoch.
    pub(crate) zero_ms: i64,
    /// The emission that is to be their first.
    pub(crate) round: u64,
    /// Last change, on the monotonic clock.
    pub(crate) changed_ns: u64,
}

/// One label set.
pub(crate) struct Set {
    hash: u64,
    key: Box<[u8]>,
    pub(crate) part: u8,
    pub(crate) durations: Durations,
    pub(crate) size_bytes: u64,
    pub(crate) example: Option<Example>,
    pub(crate) life: Life,
}

/// What a key says.
pub(crate) struct Named<'a> {
    pub(crate) identity: TextId,
    pub(crate) kind: u8,
    pub(crate) status: u8,
    pub(crate) overflow: bool,
    texts: &'a [u8],
}

impl<'a> Named<'a> {
    /// Span name, status message if wanted, dimensions; what a span does not have is empty.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.texts.split(|byte| *byte == END).map(|text| std::str::from_utf8(text).unwrap_or(""))
    }
}

impl Set {
    pub(crate) fn named(&self) -> Named<'_> {
        let (head, texts) = self.key.split_at_checked(6).unwrap_or((&[0; 6], &[]));
        let identity = head.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let (kind, status) = (head[4], head[5]);
        let overflow = status & OVERFLOW != 0;
        Named { identity: TextId(identity), kind, status: status & !OVERFLOW, overflow, texts }
    }
}

/// What a span adds.
pub(crate) struct Counted {
    pub(crate) duration_ns: u64,
    pub(crate) size_bytes: u64,
    pub(crate) example: Example,
}

pub(crate) struct Sets {
    table: HashTable<u32>,
    slots: Vec<Option<Set>>,
    free: Vec<u32>,
    ordinary: usize,
    most: usize,
    bounds: usize,
    units_ns: Vec<f64>,
    space: Reservation,
}

/// The part of a set: FNV-1a over the service's name and what the key says beside the identity, so that it is the same
/// after a restart.
fn part_of(service: &str, key: &[u8]) -> u8 {
    let texts = key.get(4..).unwrap_or(&[]);
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    let hash = service.as_bytes().iter().chain(texts).fold(0x811c_9dc5, step);
    ((hash ^ hash >> 16) % PARTS as u32) as u8
}

/// Writes the key of a span's set.
pub(crate) fn put_key(
    batch: &SpanBatch,
    span: &SpanEntry,
    source: &Source,
    options: &DeriveOptions,
    out: &mut Vec<u8>,
) {
    out.clear();
    out.extend_from_slice(&source.identity.0.to_le_bytes());
    out.extend_from_slice(&[span.kind as u8, span.status as u8]);
    out.extend_from_slice(cut(batch.text(span.name), LABEL_BYTES_MAX).as_bytes());
    if options.status_message {
        out.push(END);
        out.extend_from_slice(cut(batch.text(span.status_message), LABEL_BYTES_MAX).as_bytes());
    }
    if options.dimensions.is_empty() {
        return;
    }
    let own = batch.attributes(span.attributes);
    let resource = batch.resources.get(span.resource as usize);
    let resource = resource.map_or(AttributesRef::default(), |entry| batch.attributes(entry.attributes));
    for name in &options.dimensions {
        out.push(END);
        if let Some(value) = own.get(name).or_else(|| resource.get(name)) {
            put_text(&value, LABEL_BYTES_MAX, out);
        }
    }
}

impl Sets {
    /// At most `options.sets_max` and a quarter more for overflow, counted in `space`. `units_ns`: of the native
    /// histograms that each has.
    pub(crate) fn new(options: &DeriveOptions, units_ns: Vec<f64>, space: Reservation) -> Self {
        let bounds = if options.histograms.classic() { options.bounds_ns.len() } else { 0 };
        Sets {
            table: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            ordinary: 0,
            most: options.sets_max,
            bounds,
            units_ns,
            space,
        }
    }

    /// Label sets, those of overflow too.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Set> {
        self.slots.iter().flatten()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Set> {
        self.slots.iter_mut().flatten()
    }

    /// The set of a key, if it is known.
    pub(crate) fn known(&mut self, key: &[u8]) -> Option<&mut Set> {
        let at = self.find(FixedState::default().hash_one(key), key)?;
        self.slots.get_mut(at as usize)?.as_mut()
    }

    fn find(&self, hash: u64, key: &[u8]) -> Option<u32> {
        let same = |&at: &u32| self.slots.get(at as usize).and_then(Option::as_ref).is_some_and(|set| *set.key == *key);
        self.table.find(hash, same).copied()
    }

    /// The part that a set of this key belongs to.
    pub(crate) fn part(service: &str, key: &[u8]) -> u8 {
        part_of(service, key)
    }

    /// A new set for a key that is not known, or the one for overflow of the same service, kind and status.
    pub(crate) fn add(&mut self, key: &mut Vec<u8>, service: &str, life: Life) -> Option<&mut Set> {
        if self.ordinary < self.most && self.space.grow(self.bytes(key)).is_ok() {
            self.ordinary += 1;
            return self.insert(key, service, life);
        }
        key.truncate(6);
        if let Some(status) = key.get_mut(5) {
            *status |= OVERFLOW;
        }
        key.extend_from_slice(b"other");
        if let Some(at) = self.find(FixedState::default().hash_one(&key[..]), key) {
            return self.slots.get_mut(at as usize)?.as_mut();
        }
        let over = self.len() - self.ordinary;
        if over < self.most / 4 && self.space.grow(self.bytes(key)).is_ok() {
            return self.insert(key, service, life);
        }
        // One for all services: as many as there are kinds and statuses, so these need no room.
        key.splice(..4, OTHER.0.to_le_bytes());
        match self.find(FixedState::default().hash_one(&key[..]), key) {
            Some(at) => self.slots.get_mut(at as usize)?.as_mut(),
            None => {
                let bytes = self.space.bytes() + self.bytes(key);
                self.space.force_resize(bytes);
                self.insert(key, "other", life)
            }
        }
    }

    fn bytes(&self, key: &[u8]) -> usize {
        size_of::<Set>() + ENTRY_BYTES + key.len() + Durations::bytes_max(self.bounds, self.units_ns.len())
    }

    fn insert(&mut self, key: &[u8], service: &str, life: Life) -> Option<&mut Set> {
        let hash = FixedState::default().hash_one(key);
        let durations = Durations::new(self.bounds, &self.units_ns);
        let part = part_of(service, key);
        let set = Set { hash, key: key.into(), part, durations, size_bytes: 0, example: None, life };
        let at = match self.free.pop() {
            Some(at) => at,
            None => {
                self.slots.push(None);
                (self.slots.len() - 1) as u32
            }
        };
        let slots = &self.slots;
        let rehash = |&at: &u32| slots.get(at as usize).and_then(Option::as_ref).map_or(0, |set| set.hash);
        self.table.insert_unique(hash, at, rehash);
        let slot = self.slots.get_mut(at as usize)?;
        Some(slot.insert(set))
    }

    /// Takes out the sets that did not change since `before_ns`.
    pub(crate) fn end_idle(&mut self, before_ns: u64, mut ended: impl FnMut(Set)) {
        let (slots, free) = (&mut self.slots, &mut self.free);
        let mut gone = Vec::new();
        self.table.retain(|&mut at| {
            let Some(slot) = slots.get_mut(at as usize) else { return false };
            let idle = slot.as_ref().is_none_or(|set| set.life.changed_ns <= before_ns);
            if idle {
                free.push(at);
                gone.extend(slot.take());
            }
            !idle
        });
        for set in gone {
            self.ordinary -= usize::from(!set.named().overflow);
            let bytes = self.bytes(&set.key);
            drop(self.space.split(bytes));
            ended(set);
        }
    }
}

impl Set {
    /// Counts a span.
    pub(crate) fn count(&mut self, counted: &Counted, bounds_ns: &[u64], now_ns: u64) {
        self.durations.add(counted.duration_ns, bounds_ns);
        self.size_bytes = self.size_bytes.saturating_add(counted.size_bytes);
        Example::keep_best(&mut self.example, counted.example);
        self.life.changed_ns = now_ns;
    }
}
