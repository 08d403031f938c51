//! What varies, each coded against what its slot remembers.
//!
//! In this order, where it can be: that it is what its source has; that it is one of the slot's latest values, and
//! which; that it keeps the slot's form, or its new form; then itself. Numbers go through the range coder, as they are or
//! as steps from the last one, whichever was shorter lately; ids and texts into columns of their own.
//!
//! All arithmetic that both sides repeat is in integers.

use super::super::RecordError;
use super::super::bytes::{Reader, put_bytes, unzigzag, zigzag};
use super::super::coder::{Coder, LENGTHS, USUAL, bit_length, code_number};
use super::super::range_coder::{Probability, RangeDecoder, RangeEncoder};
use super::clock::Clock;
use super::digits::{DIGITS_MAX, Id, NIBBLES_MAX, hex_number, id_of, number, put_hex_number, put_id, put_number};
use super::slots::{COPIES, DECIMAL, FORMS, Form, Kind, LOWER, NONE, PADDED, RECENT, Slot, TEXT, UPPER, kind_of};
use super::tokens::{Tokens, Variable};
use hashbrown::HashMap;

/// Ids and texts remembered of an epoch.
const IDS: usize = 1024;
const TEXTS_MAX: usize = 1 << TEXT_PLACE_BITS;
const TEXT_PLACE_BITS: u32 = 12;
const TEXT_BYTES_MAX: usize = 128;
const WIDTH_BITS: u32 = 7;

/// What slots share: probabilities, ids and texts of an epoch.
pub(super) struct Values {
    forms: [[Probability; FORMS]; FORMS],
    places: [[Probability; RECENT]; FORMS],
    usual: Box<[[Probability; LENGTHS]; USUAL]>,
    steps: Box<[[Probability; LENGTHS]; USUAL]>,
    is_known: Probability,
    ids: Vec<Id>,
    /// How many ids were remembered so far; the newest [`IDS`] still are.
    id_count: u64,
    texts: Vec<Box<[u8]>>,
    /// Only of the writing side.
    text_places: HashMap<Box<[u8]>, u32>,
}

impl Default for Values {
    fn default() -> Self {
        let p = Probability::default();
        Values {
            forms: [[p; FORMS]; FORMS],
            places: [[p; RECENT]; FORMS],
            usual: Box::new([[p; LENGTHS]; USUAL]),
            steps: Box::new([[p; LENGTHS]; USUAL]),
            is_known: p,
            ids: Vec::new(),
            id_count: 0,
            texts: Vec::new(),
            text_places: HashMap::new(),
        }
    }
}

/// A variable that is written: the one of number, id and text that its form says.
struct Value<'a> {
    bytes: &'a [u8],
    number: u64,
    id: Id,
    /// Where the text is known.
    text: Option<u32>,
}

/// The columns that ids and texts go to.
#[derive(Default)]
pub(super) struct SideColumns {
    pub(super) ids: Vec<u8>,
    pub(super) texts: Vec<u8>,
}

impl Values {
    pub(super) fn memory_bytes(&self) -> usize {
        let texts = self.texts.len() * (TEXT_BYTES_MAX / 2 + 2 * size_of::<Box<[u8]>>());
        let trees = 2 * USUAL * LENGTHS * size_of::<Probability>();
        size_of::<Values>() + trees + self.ids.capacity() * size_of::<Id>() + texts
    }

    /// Writes variable `at` of an entry.
    pub(super) fn encode(
        &mut self,
        slot: &mut Slot,
        tokens: &Tokens,
        at: usize,
        clock: &Clock,
        coder: &mut RangeEncoder,
        columns: &mut SideColumns,
    ) {
        let Some(&variable) = tokens.variables.get(at) else { return };
        let bytes = tokens.bytes(variable);
        if let Some(other) = slot.source.checked_sub(COPIES) {
            let same = tokens.variables.get(usize::from(other)).is_some_and(|v| tokens.bytes(*v) == bytes);
            coder.bit(&mut slot.from_source, same);
            if same {
                return;
            }
        }
        let form = slot.form_of(bytes, variable.classes);
        let mut value = Value { bytes, number: 0, id: Id::default(), text: None };
        match kind_of(form) {
            Kind::Number if form.0 >= LOWER => value.number = hex_number(bytes),
            Kind::Number => value.number = number(bytes),
            Kind::Id => value.id = id_of(bytes),
            Kind::Text => value.text = self.text_places.get(bytes).copied(),
        }
        if (1..COPIES).contains(&slot.source) {
            let same = form == slot.form && value.number == clock.part(slot.source);
            coder.bit(&mut slot.from_source, same);
            if same {
                return;
            }
        }
        self.encode_value(slot, form, &value, coder, columns);
        slot.search(tokens, at, value.number, clock);
    }

    fn encode_value(
        &mut self,
        slot: &mut Slot,
        form: Form,
        value: &Value<'_>,
        coder: &mut RangeEncoder,
        columns: &mut SideColumns,
    ) {
        let found = if form == slot.form { self.find(slot, value) } else { None };
        if self.code_repeat(slot, found, coder).is_some() {
            return;
        }
        self.code_form(slot, form, coder);
        match kind_of(slot.form) {
            Kind::Number => _ = self.code_spread(slot, value.number, coder),
            Kind::Id => {
                columns.ids.extend(value.id.iter().take(usize::from(slot.form.1).div_ceil(2)));
                self.learn_id(slot, value.id);
            }
            Kind::Text => {
                coder.bit(&mut self.is_known, value.text.is_some());
                match value.text {
                    Some(place) => {
                        coder.plain(u64::from(place), TEXT_PLACE_BITS);
                        slot.remember(u64::from(place) + 1);
                    }
                    None => {
                        put_bytes(&mut columns.texts, value.bytes);
                        if let Some(place) = self.learn_text(slot, value.bytes) {
                            self.text_places.insert(value.bytes.into(), place);
                        }
                    }
                }
            }
        }
    }

    /// Where the slot's latest values have this one.
    fn find(&self, slot: &Slot, value: &Value<'_>) -> Option<usize> {
        let same = |recent: u64| match kind_of(slot.form) {
            Kind::Number => recent == value.number,
            Kind::Id => self.id(recent).is_some_and(|id| *id == value.id),
            Kind::Text => value.text.is_some_and(|place| recent == u64::from(place) + 1),
        };
        slot.recent.iter().position(|&recent| same(recent))
    }

    /// Reads a variable and appends it to the text.
    pub(super) fn decode(
        &mut self,
        slot: &mut Slot,
        tokens: &mut Tokens,
        clock: &Clock,
        coder: &mut RangeDecoder<'_>,
        columns: (&mut Reader<'_>, &mut Reader<'_>),
    ) -> Result<(), RecordError> {
        let start = tokens.text.len();
        let is_from_source = slot.source != 0 && coder.bit(&mut slot.from_source);
        let mut number = 0;
        if !is_from_source {
            number = self.decode_value(slot, coder, columns, &mut tokens.text)?;
        } else if let Some(other) = slot.source.checked_sub(COPIES) {
            let other = tokens.variables.get(usize::from(other)).ok_or(RecordError("copy of nothing"))?;
            tokens.text.extend_from_within(other.start as usize..other.end as usize);
        } else {
            put_number(clock.part(slot.source), usize::from(slot.form.1), &mut tokens.text);
        }
        // The classes are of use to the cutting side only.
        tokens.variables.push(Variable { start: start as u32, end: tokens.text.len() as u32, classes: 0 });
        if !is_from_source {
            slot.search(tokens, tokens.variables.len() - 1, number, clock);
        }
        Ok(())
    }

    /// Returns the number, if it is one.
    fn decode_value(
        &mut self,
        slot: &mut Slot,
        coder: &mut RangeDecoder<'_>,
        (ids, texts): (&mut Reader<'_>, &mut Reader<'_>),
        out: &mut Vec<u8>,
    ) -> Result<u64, RecordError> {
        let repeated = self.code_repeat(slot, None, coder);
        if repeated.is_none() {
            self.code_form(slot, (NONE, 0), coder);
        }
        let (form, width) = (slot.form.0, usize::from(slot.form.1));
        match kind_of(slot.form) {
            Kind::Number => {
                let number = repeated.unwrap_or_else(|| self.code_spread(slot, 0, coder));
                match form {
                    DECIMAL | PADDED => put_number(number, width, out),
                    _ => put_hex_number(number, width, form == UPPER, out),
                }
                return Ok(number);
            }
            Kind::Id => {
                let mut id = Id::default();
                match repeated {
                    Some(recent) => id = *self.id(recent).ok_or(RecordError("forgotten id"))?,
                    None => {
                        let bytes = ids.take(width.div_ceil(2))?;
                        id.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
                        self.learn_id(slot, id);
                    }
                }
                put_id(&id, width, form == UPPER, out);
            }
            Kind::Text => {
                let known = match repeated {
                    Some(recent) => Some(recent),
                    None if coder.bit(&mut self.is_known) => {
                        let place = coder.plain(TEXT_PLACE_BITS);
                        slot.remember(place + 1);
                        Some(place + 1)
                    }
                    None => None,
                };
                match known {
                    Some(place) => {
                        let text = usize::try_from(place).ok().and_then(|place| self.texts.get(place.checked_sub(1)?));
                        out.extend_from_slice(text.ok_or(RecordError("undefined text"))?);
                    }
                    None => {
                        let bytes = texts.bytes()?;
                        self.learn_text(slot, bytes);
                        out.extend_from_slice(bytes);
                    }
                }
            }
        }
        Ok(0)
    }

    /// One of the slot's latest values, if it is one.
    #[inline]
    fn code_repeat<C: Coder>(&mut self, slot: &mut Slot, found: Option<usize>, coder: &mut C) -> Option<u64> {
        if slot.form.0 == NONE || !coder.bit(&mut slot.repeats, found.is_some()) {
            return None;
        }
        let place = coder.symbol(&mut self.places[usize::from(slot.form.0) % FORMS], found.unwrap_or(0));
        slot.last = slot.promote(place);
        Some(slot.last)
    }

    #[inline]
    fn code_form<C: Coder>(&mut self, slot: &mut Slot, form: Form, coder: &mut C) {
        if slot.form.0 != NONE && coder.bit(&mut slot.keeps_form, form == slot.form) {
            return;
        }
        let from = usize::from(slot.form.0) % FORMS;
        let (form, width) = (coder.symbol(&mut self.forms[from], usize::from(form.0)) as u8, form.1);
        let width = match form {
            PADDED => coder.plain(u64::from(width), WIDTH_BITS).min(DIGITS_MAX as u64) as u8,
            LOWER | UPPER => coder.plain(u64::from(width), WIDTH_BITS).min(NIBBLES_MAX as u64) as u8,
            _ => 0,
        };
        slot.enter((form.min(TEXT), width));
    }

    /// A number as it is, or as a step from the last one.
    #[inline]
    fn code_spread<C: Coder>(&mut self, slot: &mut Slot, value: u64, coder: &mut C) -> u64 {
        // Half a bit, lest it goes back and forth.
        let by_steps = slot.seen > 1 && slot.usual_step.0 + 8 < slot.usual.0;
        let step = |value: u64, last: u64| zigzag(value.wrapping_sub(last) as i64);
        let value = match by_steps {
            true => {
                let step = code_number(coder, &mut self.steps, slot.usual_step, step(value, slot.last));
                slot.last.wrapping_add(unzigzag(step) as u64)
            }
            false => code_number(coder, &mut self.usual, slot.usual, value),
        };
        slot.usual.learn(bit_length(value), slot.seen == 0);
        if slot.seen > 0 {
            slot.usual_step.learn(bit_length(step(value, slot.last)), slot.seen == 1);
        }
        slot.seen = slot.seen.saturating_add(1);
        slot.last = value;
        slot.remember(value);
        value
    }

    /// The id that a slot remembers as `recent`, if it still is.
    fn id(&self, recent: u64) -> Option<&Id> {
        let place = recent.checked_sub(1)?;
        let is_kept = place < self.id_count && self.id_count - place <= IDS as u64;
        self.ids.get((place % IDS as u64) as usize).filter(|_| is_kept)
    }

    fn learn_id(&mut self, slot: &mut Slot, id: Id) {
        let place = (self.id_count % IDS as u64) as usize;
        match self.ids.get_mut(place) {
            Some(kept) => *kept = id,
            None => self.ids.push(id),
        }
        self.id_count += 1;
        slot.remember(self.id_count);
    }

    fn learn_text(&mut self, slot: &mut Slot, bytes: &[u8]) -> Option<u32> {
        if self.texts.len() >= TEXTS_MAX || bytes.len() > TEXT_BYTES_MAX {
            return None;
        }
        self.texts.push(bytes.into());
        slot.remember(self.texts.len() as u64);
        Some(self.texts.len() as u32 - 1)
    }
}
