//! Values of attributes.
//!
//! In this order, where it can be: that a value is the one that the trace had last under the key; that it follows from the
//! span's duration; that it is one of the slot's latest; that it keeps the kind of the last one, or its new kind; then
//! itself. What comes out again and again of one of these in vain is no longer tried.

use super::super::RecordError;
use super::super::bytes::{Reader, put_bytes, unzigzag, zigzag};
use super::super::coder::{Coder, LENGTHS, USUAL, bit_length, code_number};
use super::super::logs::{CutTexts, TextColumns, TextReaders};
use super::super::range_coder::{Probability, RangeDecoder, RangeEncoder};
use super::kept::Kept;
use super::recent::Trace;
use super::templates::{RECENT, Slot};
use bramble_signal::attributes::{AttributeValue, kind, put_value};

/// How often something is tried in vain.
const TRACE_MISSES_MAX: u8 = 12;
const RECENT_MISSES_MAX: u8 = 64;
const SEARCHES_MAX: u8 = 12;
/// Longer texts go in as they are.
const TEXT_BYTES_MAX: usize = 512;
/// Decimal places that doubles are looked at for.
const PLACES_MAX: u8 = 6;
const PLACES_BITS: u32 = 3;
const POWERS: [f64; PLACES_MAX as usize + 1] = [1.0, 10.0, 100.0, 1000.0, 10_000.0, 100_000.0, 1_000_000.0];
/// Sources: the span's duration as another number. 0 is none.
const SOURCES: u8 = 7;

/// How values are written. Those below 3 are the whole value.
const KINDS: usize = 8;
const INT: u8 = kind::INT;
/// A double with few decimal places.
const DECIMAL: u8 = kind::DOUBLE;
const TEXT: u8 = kind::STRING;
/// A double's bits.
const BITS: u8 = 6;
/// All else, as it is.
const RAW: u8 = 7;

/// What the values of an epoch share.
#[derive(Default)]
pub(super) struct Values {
    pub(super) kept: Kept,
    pub(super) texts: CutTexts,
    kinds: [[Probability; KINDS]; KINDS],
    recents: [Probability; RECENT],
    keeps_places: Probability,
    numbers: Numbers,
}

struct Numbers {
    usual: Box<[[Probability; LENGTHS]; USUAL]>,
    steps: Box<[[Probability; LENGTHS]; USUAL]>,
}

impl Default for Numbers {
    fn default() -> Self {
        let p = Probability::default();
        Numbers { usual: Box::new([[p; LENGTHS]; USUAL]), steps: Box::new([[p; LENGTHS]; USUAL]) }
    }
}

/// Columns beside what the coder writes.
#[derive(Default)]
pub(super) struct Columns {
    pub(super) definitions: Vec<u8>,
    pub(super) raw: Vec<u8>,
    pub(super) ids: Vec<u8>,
    pub(super) texts: TextColumns,
    pub(super) coded: RangeEncoder,
}

/// The same, read.
pub(super) struct Readers<'a> {
    pub(super) definitions: Reader<'a>,
    pub(super) raw: Reader<'a>,
    pub(super) ids: Reader<'a>,
    pub(super) texts: TextReaders<'a>,
    pub(super) coded: RangeDecoder<'a>,
    /// Links may lead to spans that are remembered: since version 2.
    pub(super) has_targets: bool,
}

impl Values {
    pub(super) fn memory_bytes(&self) -> usize {
        let trees = 2 * USUAL * LENGTHS * size_of::<Probability>();
        size_of::<Values>() + self.kept.memory_bytes() + self.texts.memory_bytes() + trees
    }

    /// Writes a value, encoded as attributes are.
    #[inline]
    pub(super) fn encode(
        &mut self,
        slot: &mut Slot,
        value: &[u8],
        duration_ns: i64,
        trace: &mut Trace,
        columns: &mut Columns,
    ) {
        let coder = &mut columns.coded;
        if let Some(kept) = self.of_trace(slot, trace) {
            let same = kept == value;
            coder.bit(&mut slot.is_of_trace, same);
            slot.trace_misses = if same { 0 } else { slot.trace_misses + 1 };
            if same {
                return;
            }
        }
        if slot.source != 0 {
            let same = source(slot.source, duration_ns).is_some_and(|s| s == value);
            coder.bit(&mut slot.is_derived, same);
            if same {
                return;
            }
        }
        if slot.recent_misses < RECENT_MISSES_MAX && slot.seen > 0 {
            let found = slot.recent.iter().position(|&place| self.kept.get(place) == Some(value));
            coder.bit(&mut slot.is_recent, found.is_some());
            if let Some(at) = found {
                coder.symbol(&mut self.recents, at);
                return repeat(slot, at, trace);
            }
            slot.recent_misses += 1;
        }
        self.encode_new(slot, value, columns);
        self.learn(slot, value, duration_ns, trace);
    }

    /// Reads a value and appends it.
    pub(super) fn decode(
        &mut self,
        slot: &mut Slot,
        duration_ns: i64,
        trace: &mut Trace,
        read: &mut Readers<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), RecordError> {
        if let Some(kept) = self.of_trace(slot, trace) {
            let same = read.coded.bit(&mut slot.is_of_trace);
            slot.trace_misses = if same { 0 } else { slot.trace_misses + 1 };
            if same {
                out.extend_from_slice(kept);
                return Ok(());
            }
        }
        if slot.source != 0 && read.coded.bit(&mut slot.is_derived) {
            out.extend_from_slice(&source(slot.source, duration_ns).unwrap_or_default());
            return Ok(());
        }
        if slot.recent_misses < RECENT_MISSES_MAX && slot.seen > 0 {
            if read.coded.bit(&mut slot.is_recent) {
                let at = read.coded.symbol(&mut self.recents);
                let place = slot.recent[at % RECENT];
                out.extend_from_slice(self.kept.get(place).ok_or(RecordError("forgotten value"))?);
                repeat(slot, at, trace);
                return Ok(());
            }
            slot.recent_misses += 1;
        }
        let start = out.len();
        self.decode_new(slot, read, out)?;
        self.learn(slot, out.get(start..).unwrap_or_default(), duration_ns, trace);
        Ok(())
    }

    /// What the trace had last under the slot's key, as far as that is of use.
    #[inline]
    fn of_trace(&self, slot: &Slot, trace: &Trace) -> Option<&[u8]> {
        if slot.trace_misses >= TRACE_MISSES_MAX {
            return None;
        }
        self.kept.get(trace.value(slot.key)?)
    }

    fn encode_new(&mut self, slot: &mut Slot, value: &[u8], columns: &mut Columns) {
        let (of, number, places) = look_at(value, slot.places);
        let coder = &mut columns.coded;
        self.code_kind(slot, of, coder);
        match of {
            INT => _ = self.numbers.code(slot, number, coder),
            DECIMAL => {
                self.code_places(slot, places, coder);
                self.numbers.code(slot, number, coder);
            }
            TEXT => self.texts.encode(slot.key, text_of(value).unwrap_or_default(), coder, &mut columns.texts),
            BITS => columns.ids.extend_from_slice(value.get(1..).unwrap_or_default()),
            RAW => put_bytes(&mut columns.raw, value),
            _ => {}
        }
    }

    fn decode_new(&mut self, slot: &mut Slot, read: &mut Readers<'_>, out: &mut Vec<u8>) -> Result<(), RecordError> {
        match self.code_kind(slot, 0, &mut read.coded) {
            INT => put_value(out, AttributeValue::Int(self.numbers.code(slot, 0, &mut read.coded))),
            DECIMAL => {
                self.code_places(slot, 0, &mut read.coded);
                let number = self.numbers.code(slot, 0, &mut read.coded);
                put_value(out, AttributeValue::Double(decimal(number, slot.places)));
            }
            TEXT => {
                let text = self.texts.decode(slot.key, &mut read.coded, &mut read.texts)?;
                out.push(TEXT);
                put_bytes(out, text);
            }
            BITS => {
                out.push(kind::DOUBLE);
                out.extend_from_slice(read.ids.take(8)?);
            }
            RAW => out.extend_from_slice(read.raw.bytes()?),
            whole => out.push(whole),
        }
        Ok(())
    }

    fn code_kind<C: Coder>(&mut self, slot: &mut Slot, of: u8, coder: &mut C) -> u8 {
        if slot.seen == 0 || !coder.bit(&mut slot.keeps_kind, of == slot.kind) {
            let from = usize::from(slot.kind) % KINDS;
            slot.kind = coder.symbol(&mut self.kinds[from], usize::from(of)) as u8;
            // Numbers of another kind tell nothing.
            slot.seen = slot.seen.min(1);
        }
        slot.kind
    }

    fn code_places<C: Coder>(&mut self, slot: &mut Slot, places: u8, coder: &mut C) {
        if !coder.bit(&mut self.keeps_places, places == slot.places) {
            slot.places = (coder.plain(u64::from(places), PLACES_BITS) as u8).min(PLACES_MAX);
        }
    }

    /// Both sides know the value now.
    fn learn(&mut self, slot: &mut Slot, value: &[u8], duration_ns: i64, trace: &mut Trace) {
        slot.seen = slot.seen.max(1);
        if matches!(value.first(), Some(&(kind::INT | kind::DOUBLE))) && slot.searches < SEARCHES_MAX {
            let found = (1..=SOURCES).find(|&of| source(of, duration_ns).is_some_and(|s| s == value));
            slot.source = found.unwrap_or(0);
            slot.searches = if found.is_some() { 0 } else { slot.searches + 1 };
        }
        let of_trace = slot.trace_misses < TRACE_MISSES_MAX;
        if of_trace || slot.recent_misses < RECENT_MISSES_MAX {
            let place = self.kept.push(value);
            slot.remember(place);
            if of_trace {
                trace.set_value(slot.key, place);
            }
        }
    }
}

/// One of the slot's latest values came again.
fn repeat(slot: &mut Slot, at: usize, trace: &mut Trace) {
    slot.recent_misses = 0;
    let place = slot.promote(at);
    if slot.trace_misses < TRACE_MISSES_MAX {
        trace.set_value(slot.key, place);
    }
}

impl Numbers {
    /// A number as it is, or as a step from the last one.
    #[inline]
    fn code<C: Coder>(&mut self, slot: &mut Slot, value: i64, coder: &mut C) -> i64 {
        // Half a bit, lest it goes back and forth.
        let by_steps = slot.seen > 2 && slot.usual_step.0 + 8 < slot.usual.0;
        let value = match by_steps {
            true => {
                let step = code_number(coder, &mut self.steps, slot.usual_step, zigzag(value.wrapping_sub(slot.last)));
                slot.last.wrapping_add(unzigzag(step))
            }
            false => unzigzag(code_number(coder, &mut self.usual, slot.usual, zigzag(value))),
        };
        slot.usual.learn(bit_length(zigzag(value)), slot.seen < 2);
        if slot.seen > 1 {
            slot.usual_step.learn(bit_length(zigzag(value.wrapping_sub(slot.last))), slot.seen == 2);
        }
        slot.seen = slot.seen.clamp(1, 3) + 1;
        slot.last = value;
        value
    }
}

/// How a value is written, with its number where it has one and the decimal places of that.
fn look_at(value: &[u8], places: u8) -> (u8, i64, u8) {
    match (value.first(), value.get(1..9).and_then(|b| b.first_chunk::<8>())) {
        (Some(&kind::INT), Some(eight)) => (INT, i64::from_le_bytes(*eight), 0),
        (Some(&kind::DOUBLE), Some(eight)) => {
            let number = f64::from_le_bytes(*eight);
            let of = |places: u8| {
                let scaled = (number * POWERS.get(usize::from(places)).copied().unwrap_or(1.0)).round();
                let whole = scaled as i64;
                let same = scaled.abs() < 9e15 && decimal(whole, places).to_bits() == number.to_bits();
                same.then_some((DECIMAL, whole, places))
            };
            of(places).or_else(|| (0..=PLACES_MAX).find_map(of)).unwrap_or((BITS, 0, 0))
        }
        (Some(&whole @ (kind::EMPTY | kind::FALSE | kind::TRUE)), _) => (whole, 0, 0),
        (Some(&kind::STRING), _) if text_of(value).is_some() => (TEXT, 0, 0),
        _ => (RAW, 0, 0),
    }
}

fn decimal(number: i64, places: u8) -> f64 {
    number as f64 / POWERS.get(usize::from(places)).copied().unwrap_or(1.0)
}

/// The text of a value that is one, not too long, behind its length in the one proper form.
fn text_of(value: &[u8]) -> Option<&[u8]> {
    let (&of, rest) = value.split_first()?;
    let mut rest = Reader(rest);
    let length = usize::try_from(rest.varint().ok()?).ok()?;
    let proper = value.len() - rest.0.len() == if length < 1 << 7 { 2 } else { 3 };
    (of == kind::STRING && proper && length == rest.0.len() && length <= TEXT_BYTES_MAX).then_some(rest.0)
}

/// A value that follows from the span's duration.
fn source(of: u8, duration_ns: i64) -> Option<[u8; 9]> {
    let double = |number: f64| (kind::DOUBLE, number.to_le_bytes());
    let int = |number: i64| (kind::INT, number.to_le_bytes());
    let (first, eight) = match of {
        1 => double(duration_ns as f64 / 1e6),
        2 => double(duration_ns as f64 / 1e3),
        3 => double(duration_ns as f64 / 1e9),
        4 => double(duration_ns as f64),
        5 => int(duration_ns),
        6 => int(duration_ns / 1000),
        7 => int(duration_ns / 1_000_000),
        _ => return None,
    };
    let mut value = [first; 9];
    value.last_chunk_mut::<8>()?.copy_from_slice(&eight);
    Some(value)
}
