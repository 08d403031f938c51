//! Texts by themselves, cut as lines are: for records of other signals.
//!
//! Each text stands under a key; texts of different keys share no skeletons, since what varies in them has nothing in
//! common.

use super::super::RecordError;
use super::super::bytes::{Reader, put_bytes};
use super::super::range_coder::{RangeDecoder, RangeEncoder};
use super::clock::Clock;
use super::templates::{NO_TEMPLATE, Templates};
use super::tokens::{LINE_END, MARK, RESERVED_MIN, Tokens, VARIABLES_MAX};
use super::values::{SideColumns, Values};
use bramble_signal::LabelsRef;
use hashbrown::HashMap;

/// Skeletons of an epoch: fewer than of lines.
const SKELETONS_MAX: usize = 4096;
const SKELETON_BYTES_MAX: usize = 512 << 10;

/// The columns that texts go to, beside what the coder writes.
#[derive(Default)]
pub(in super::super) struct TextColumns {
    skeletons: Vec<u8>,
    side: SideColumns,
}

impl TextColumns {
    pub(in super::super) fn clear(&mut self) {
        let SideColumns { ids, texts } = &mut self.side;
        [&mut self.skeletons, ids, texts].into_iter().for_each(Vec::clear);
    }

    /// In their order in a record.
    pub(in super::super) fn all(&self) -> [&Vec<u8>; 3] {
        [&self.skeletons, &self.side.texts, &self.side.ids]
    }
}

/// The same columns, read.
pub(in super::super) struct TextReaders<'a> {
    skeletons: Reader<'a>,
    texts: Reader<'a>,
    ids: Reader<'a>,
}

impl<'a> TextReaders<'a> {
    pub(in super::super) fn take(body: &mut Reader<'a>) -> Result<Self, RecordError> {
        let mut column = || body.bytes().map(Reader);
        Ok(TextReaders { skeletons: column()?, texts: column()?, ids: column()? })
    }
}

/// What both sides remember of an epoch's texts.
#[derive(Default)]
pub(in super::super) struct CutTexts {
    templates: Templates,
    values: Values,
    /// Texts have no time of their own: always the same one.
    clock: Clock,
    tokens: Tokens,
    /// Only of the writing side: templates by key and skeleton.
    known: HashMap<Box<[u8]>, u32>,
    named: Vec<u8>,
    /// Only of the reading side.
    skeletons: Vec<Box<[u8]>>,
}

impl CutTexts {
    pub(in super::super) fn memory_bytes(&self) -> usize {
        let known = self.templates.skeleton_bytes() + self.known.capacity() * 32;
        self.templates.memory_bytes() + self.values.memory_bytes() + self.tokens.memory_bytes() + known
    }

    /// Writes a text that stands under a key.
    pub(in super::super) fn encode(
        &mut self,
        key: u16,
        text: &[u8],
        coder: &mut RangeEncoder,
        columns: &mut TextColumns,
    ) {
        let CutTexts { templates, values, clock, tokens, known, named, .. } = self;
        let template = match tokens.cut(text, LabelsRef::EMPTY) {
            true => {
                named.clear();
                named.extend_from_slice(&key.to_le_bytes());
                named.extend_from_slice(&tokens.skeleton);
                let is_full = templates.len() >= SKELETONS_MAX || templates.skeleton_bytes() >= SKELETON_BYTES_MAX;
                known.get(named.as_slice()).map(|&known| known as usize).or_else(|| {
                    let next = templates.len();
                    (!is_full && templates.define(tokens.skeleton.len(), tokens.variables.len())).then(|| {
                        known.insert(named.as_slice().into(), next as u32);
                        put_bytes(&mut columns.skeletons, &tokens.skeleton);
                        next
                    })
                })
            }
            false => None,
        };
        // The coder gives back what it was given.
        _ = templates.code(usize::from(key), template.unwrap_or(NO_TEMPLATE), coder);
        let Some(template) = template else { return put_bytes(&mut columns.side.texts, text) };
        let first = templates.first_slot(template);
        let slots = templates.slots.get_mut(first..first + tokens.variables.len()).unwrap_or_default();
        for (at, slot) in slots.iter_mut().enumerate() {
            values.encode(slot, tokens, at, clock, coder, &mut columns.side);
        }
    }

    /// Reads a text that stands under a key.
    pub(in super::super) fn decode(
        &mut self,
        key: u16,
        coder: &mut RangeDecoder<'_>,
        columns: &mut TextReaders<'_>,
    ) -> Result<&[u8], RecordError> {
        let CutTexts { templates, values, clock, tokens, skeletons, .. } = self;
        let template = templates.code(usize::from(key), NO_TEMPLATE, coder)?;
        tokens.text.clear();
        tokens.variables.clear();
        if template == NO_TEMPLATE {
            tokens.text.extend_from_slice(columns.texts.bytes()?);
            return Ok(&tokens.text);
        }
        if template == skeletons.len() {
            let skeleton = columns.skeletons.bytes()?;
            let variables = skeleton.iter().filter(|&&byte| byte == MARK).count();
            if variables > VARIABLES_MAX || !templates.define(skeleton.len(), variables) {
                return Err(RecordError("too large a skeleton"));
            }
            skeletons.push(skeleton.into());
        }
        let skeleton = skeletons.get(template).ok_or(RecordError("undefined template"))?;
        let first = templates.first_slot(template);
        let mut slots = templates.slots.iter_mut().skip(first);
        let mut rest = &**skeleton;
        while let Some(at) = rest.iter().position(|&byte| byte >= RESERVED_MIN) {
            let (literal, after) = rest.split_at(at);
            tokens.text.extend_from_slice(literal);
            let (&mark, after) = after.split_first().ok_or(RecordError("skeleton"))?;
            rest = after;
            match mark {
                MARK => {
                    let slot = slots.next().ok_or(RecordError("skeleton"))?;
                    values.decode(slot, tokens, clock, coder, (&mut columns.ids, &mut columns.texts))?;
                }
                LINE_END => return Ok(&tokens.text),
                _ => return Err(RecordError("skeleton")),
            }
        }
        Err(RecordError("skeleton"))
    }
}
