//! Keys that come together, and what each of them remembers.
//!
//! A template is a head (what else is always the same: of an event its name, say) and keys in their order. Each key of a
//! template has a slot. Both sides number templates and keys by first use in the epoch.

use super::super::RecordError;
use super::super::bytes::{Reader, put_bytes};
use super::super::coder::MeanLength;
use super::super::range_coder::Probability;
use super::kept::Place;
use bramble_signal::attributes::take_encoded;
use hashbrown::HashMap;

/// The number of attributes that go in as they are.
pub(super) const WHOLE: usize = 0;
/// Most templates, slots and bytes of definitions in an epoch.
const TEMPLATES_MAX: usize = 2048;
const SLOTS_MAX: usize = 8192;
const DEFINITION_BYTES_MAX: usize = 256 << 10;
/// Most attributes in a template, and most bytes of a definition.
const KEYS_MAX: usize = 256;
const ONE_DEFINITION_BYTES_MAX: usize = 8 << 10;
/// Attributes of more bytes go in as they are.
const CUT_BYTES_MAX: usize = 16 << 10;
/// Values that a slot remembers.
pub(super) const RECENT: usize = 4;

/// What both sides remember of a key of a template.
#[derive(Clone, Copy, Default)]
pub(super) struct Slot {
    pub(super) key: u16,
    /// How often in a row the value was not that of the trace, or not among the latest.
    pub(super) trace_misses: u8,
    pub(super) recent_misses: u8,
    /// What values are derived from, and how often in a row that was looked for in vain.
    pub(super) source: u8,
    pub(super) searches: u8,
    pub(super) kind: u8,
    pub(super) places: u8,
    pub(super) seen: u8,
    pub(super) recent: [Place; RECENT],
    pub(super) last: i64,
    pub(super) usual: MeanLength,
    pub(super) usual_step: MeanLength,
    pub(super) is_of_trace: Probability,
    pub(super) is_derived: Probability,
    pub(super) is_recent: Probability,
    pub(super) keeps_kind: Probability,
}

impl Slot {
    /// A new value goes to the middle of the latest, so that those that come again and again stay.
    pub(super) fn remember(&mut self, place: Place) {
        self.recent[RECENT - 1] = self.recent[RECENT - 2];
        self.recent[RECENT - 2] = place;
    }

    /// A value that was among the latest moves up by one place.
    pub(super) fn promote(&mut self, at: usize) -> Place {
        let place = self.recent[at % RECENT];
        self.recent.swap(at % RECENT, (at % RECENT).saturating_sub(1));
        place
    }
}

/// A head, keys and their slots.
pub(super) struct Template {
    definition: Box<[u8]>,
    keys_at: u32,
    first_slot: u32,
    slots: u32,
}

impl Template {
    pub(super) fn head(&self) -> &[u8] {
        let mut definition = Reader(&self.definition);
        definition.bytes().unwrap_or_default()
    }

    /// Where its slots are.
    pub(super) fn range(&self) -> std::ops::Range<usize> {
        self.first_slot as usize..(self.first_slot + self.slots) as usize
    }

    /// Each key behind its length.
    pub(super) fn keys(&self) -> &[u8] {
        self.definition.get(self.keys_at as usize..).unwrap_or_default()
    }
}

/// Takes the first key off, with its length.
pub(super) fn take_key<'a>(keys: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut rest = Reader(keys);
    rest.bytes().ok()?;
    let (key, after) = keys.split_at(keys.len() - rest.0.len());
    *keys = after;
    Some(key)
}

/// Templates of an epoch.
#[derive(Default)]
pub(super) struct Templates {
    pub(super) templates: Vec<Template>,
    pub(super) slots: Vec<Slot>,
    keys: HashMap<Box<[u8]>, u16>,
    bytes: usize,
    /// Only of the writing side.
    numbers: HashMap<Box<[u8]>, u32>,
    definition: Vec<u8>,
}

impl Templates {
    pub(super) fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
            + self.templates.capacity() * size_of::<Template>()
            + (self.keys.capacity() + self.numbers.capacity()) * 33
            + 3 * self.bytes
    }

    /// The number that the next new template gets.
    pub(super) fn next(&self) -> usize {
        self.templates.len() + 1
    }

    pub(super) fn get(&self, number: usize) -> Option<&Template> {
        self.templates.get(number.checked_sub(1)?)
    }

    /// Cuts attributes: `values` gets where the value of each is. [`WHOLE`] when they are damaged or too many. A new
    /// template's definition goes to `definitions`.
    pub(super) fn number_of(
        &mut self,
        head: &[u8],
        attributes: &[u8],
        values: &mut Vec<(u32, u32)>,
        definitions: &mut Vec<u8>,
    ) -> usize {
        values.clear();
        self.definition.clear();
        put_bytes(&mut self.definition, head);
        let mut rest = attributes;
        while let Some((key, value)) = take_encoded(&mut rest) {
            let end = attributes.len() - rest.len();
            values.push(((end - value.len()) as u32, end as u32));
            self.definition.extend_from_slice(key);
        }
        if !rest.is_empty() || attributes.len() > CUT_BYTES_MAX {
            return WHOLE;
        }
        if let Some(&known) = self.numbers.get(self.definition.as_slice()) {
            return known as usize;
        }
        let definition = std::mem::take(&mut self.definition);
        let number = self.next();
        let is_new = self.define(&definition).is_ok();
        if is_new {
            self.numbers.insert(definition.as_slice().into(), number as u32);
            put_bytes(definitions, &definition);
        }
        self.definition = definition;
        if is_new { number } else { WHOLE }
    }

    /// Takes a new template, the one with number [`next`](Self::next).
    pub(super) fn define(&mut self, definition: &[u8]) -> Result<(), RecordError> {
        let mut reader = Reader(definition);
        reader.bytes()?;
        let keys_at = (definition.len() - reader.0.len()) as u32;
        let count = std::iter::from_fn({
            let mut keys = reader.0;
            move || if keys.is_empty() { None } else { take_key(&mut keys) }
        });
        let count = count.count();
        let fits = count <= KEYS_MAX
            && definition.len() <= ONE_DEFINITION_BYTES_MAX
            && self.templates.len() < TEMPLATES_MAX
            && self.slots.len() + count <= SLOTS_MAX
            && self.bytes + definition.len() <= DEFINITION_BYTES_MAX;
        if !fits {
            return Err(RecordError("too many templates"));
        }
        let first_slot = self.slots.len() as u32;
        let mut keys = reader.0;
        while let Some(key) = take_key(&mut keys) {
            let next = self.keys.len() as u16;
            let key = match self.keys.get(key) {
                Some(known) => *known,
                None => *self.keys.entry(key.into()).or_insert(next),
            };
            self.slots.push(Slot { key, ..Slot::default() });
            if keys.is_empty() {
                break;
            }
        }
        if !keys.is_empty() {
            self.slots.truncate(first_slot as usize);
            return Err(RecordError("keys"));
        }
        let slots = self.slots.len() as u32 - first_slot;
        self.bytes += definition.len();
        self.templates.push(Template { definition: definition.into(), keys_at, first_slot, slots });
        Ok(())
    }
}
