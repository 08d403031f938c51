//! What varies at one place of a skeleton: what both sides remember of it.
//!
//! A slot remembers the form of what stood there (a number, digits of a fixed width, hexadecimal digits, text), its
//! latest values, how many bits they take as they are and as steps, and where the last one came from if that is known:
//! a part of the entry's own timestamp, or something earlier in the same entry.

use super::super::coder::MeanLength;
use super::super::range_coder::Probability;
use super::clock::Clock;
use super::digits::{DIGITS_MAX, NIBBLES_MAX};
use super::tokens::{DIGIT, HEX_LOWER, HEX_UPPER, Tokens, Variable};

/// A number without leading zeros.
pub(super) const DECIMAL: u8 = 0;
/// Digits of a fixed width.
pub(super) const PADDED: u8 = 1;
/// Hexadecimal digits of a fixed width.
pub(super) const LOWER: u8 = 2;
pub(super) const UPPER: u8 = 3;
/// Anything.
pub(super) const TEXT: u8 = 4;
/// A new slot's form.
pub(super) const NONE: u8 = 7;
pub(super) const FORMS: usize = 8;

/// Hexadecimal digits from this width on are taken for ids, of which one tells nothing about the next.
const ID_NIBBLES_MIN: u8 = 8;

/// Values that a slot remembers.
pub(super) const RECENT: usize = 4;

/// So often in a row the source of a slot's values is looked for without success.
const SEARCHES_MAX: u8 = 12;
/// Sources: 0 unknown, below this a part of the clock, from here on a variable of the entry.
pub(super) const COPIES: u8 = 64;
const COPIED_BYTES_MIN: usize = 4;

/// A form and its width; that of numbers and texts is 0.
pub(super) type Form = (u8, u8);

/// How values of a form are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Number,
    Id,
    Text,
}

pub(super) fn kind_of(form: Form) -> Kind {
    match form {
        (DECIMAL | PADDED, _) => Kind::Number,
        (LOWER | UPPER, width) if width < ID_NIBBLES_MIN => Kind::Number,
        (LOWER | UPPER, _) => Kind::Id,
        _ => Kind::Text,
    }
}

/// What both sides remember of a slot.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    /// Latest values: numbers, or 1 + the place of an id or text.
    pub(super) recent: [u64; RECENT],
    pub(super) last: u64,
    pub(super) usual: MeanLength,
    pub(super) usual_step: MeanLength,
    pub(super) form: Form,
    pub(super) source: u8,
    /// Numbers seen, as far as it matters.
    pub(super) seen: u8,
    searches: u8,
    pub(super) from_source: Probability,
    pub(super) keeps_form: Probability,
    pub(super) repeats: Probability,
}

impl Slot {
    /// Of a new skeleton.
    pub(super) fn new() -> Slot {
        let p = Probability::default();
        Slot {
            recent: [0; RECENT],
            last: 0,
            usual: MeanLength::default(),
            usual_step: MeanLength::default(),
            form: (NONE, 0),
            source: 0,
            seen: 0,
            searches: 0,
            from_source: p,
            keeps_form: p,
            repeats: p,
        }
    }

    /// The form of `bytes`; that of the slot where several would do.
    #[inline]
    pub(super) fn form_of(&self, bytes: &[u8], classes: u8) -> Form {
        let width = bytes.len();
        if width > NIBBLES_MAX {
            return (TEXT, 0);
        }
        let own = (1..TEXT).contains(&self.form.0) && usize::from(self.form.1) == width;
        match classes {
            DIGIT if own => self.form,
            DIGIT if width > DIGITS_MAX => (LOWER, width as u8),
            DIGIT if width > 1 && bytes.first() == Some(&b'0') => (PADDED, width as u8),
            DIGIT => (DECIMAL, 0),
            _ if classes & !(DIGIT | HEX_LOWER) == 0 => (LOWER, width as u8),
            _ if classes & !(DIGIT | HEX_UPPER) == 0 => (UPPER, width as u8),
            _ => (TEXT, 0),
        }
    }

    /// Goes over to another form.
    pub(super) fn enter(&mut self, form: Form) {
        let before = kind_of(self.form);
        self.form = form;
        if kind_of(form) != before {
            (self.recent, self.last, self.seen) = ([0; RECENT], 0, 0);
        }
    }

    /// A new value goes to the middle of the latest, so that those that come again and again stay.
    pub(super) fn remember(&mut self, value: u64) {
        self.recent[RECENT - 1] = self.recent[RECENT - 2];
        self.recent[RECENT - 2] = value;
    }

    /// A value that was among the latest moves up by one place.
    pub(super) fn promote(&mut self, place: usize) -> u64 {
        let value = self.recent[place % RECENT];
        self.recent.swap(place % RECENT, (place % RECENT).saturating_sub(1));
        value
    }

    /// Looks for where variable `at` came from, which is the last one that a reader knows of. `value`: its number,
    /// if it is one.
    #[inline]
    pub(super) fn search(&mut self, tokens: &Tokens, at: usize, value: u64, clock: &Clock) {
        if self.searches >= SEARCHES_MAX {
            return;
        }
        self.source = self.source_of(tokens, at, value, clock);
        self.searches = if self.source == 0 { self.searches + 1 } else { 0 };
    }

    fn source_of(&self, tokens: &Tokens, at: usize, value: u64, clock: &Clock) -> u8 {
        let Some(&variable) = tokens.variables.get(at) else { return 0 };
        let bytes = tokens.bytes(variable);
        if self.form.0 < LOWER {
            let part = clock.part_of(value, bytes.len());
            if part != 0 {
                return part;
            }
        }
        if bytes.len() < COPIED_BYTES_MIN {
            return 0;
        }
        let before = tokens.variables.get(..at).unwrap_or_default();
        let same =
            |other: &Variable| (other.end - other.start) as usize == bytes.len() && tokens.bytes(*other) == bytes;
        before.iter().position(same).map_or(0, |other| COPIES + other as u8)
    }
}
